//! Whether an English sentence model can tell apart what a prompt says: its script, and of Latin
//! script its language, by the little words that hold sentences together. A guess, made to refuse
//! what is surely another language, and to let through what it cannot tell.

use std::sync::LazyLock;

use super::lexicon::{Code, Lexicon};
use crate::names::Name;

/// Whether the model covers the prompt: Latin script, and no sign of a language outside English,
/// German, Spanish and French.
#[must_use]
pub fn is_covered(text: &str) -> bool {
    is_latin(text) && COVERED.contains(&guess(text))
}

/// Whether the prompt is in one of these languages (`en`, `de`, ..); empty: whatever is covered.
#[must_use]
pub fn is_in(text: &str, languages: &[Name]) -> bool {
    let guess = || LANGUAGES[usize::from(guess(text) - 1)].0;
    languages.is_empty() || is_latin(text) && languages.iter().any(|name| &**name == guess())
}

/// A few Greek letters are signs of science; three in a row are Greek.
const GREEK_RUN_MAX: u32 = 2;

fn is_latin(text: &str) -> bool {
    let mut greek = 0;
    text.is_ascii()
        || text.chars().all(|c| {
            greek = if matches!(c, '\u{370}'..='\u{3ff}') {
                greek + 1
            } else {
                0
            };
            greek <= GREEK_RUN_MAX && (greek > 0 || !c.is_alphabetic() || in_latin(c))
        })
}

/// Latin letters, the phonetic and the mathematical ones, but for what only Vietnamese writes.
fn in_latin(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{2ff}'
            | '\u{1e00}'..='\u{1e9f}'
            | '\u{2070}'..='\u{218f}'
            | '\u{24b6}'..='\u{24e9}'
            | '\u{fb00}'..='\u{fb06}'
            | '\u{ff21}'..='\u{ff5a}'
            | '\u{1d400}'..='\u{1d7ff}'
    )
}

const ENGLISH: Code = 1;
const COVERED: [Code; 4] = [ENGLISH, 2, 3, 4];

/// A language needs this many of its little words, and more than any other, to be told from English.
const WORDS_MIN: u32 = 2;

fn guess(text: &str) -> Code {
    let mut counts = [0_u32; LANGUAGES.len() + 1];
    LEXICON.walk(text, |code, _| {
        if let Some(count) = counts.get_mut(usize::from(code)) {
            *count += 1;
        }
        true
    });
    let mut best = ENGLISH;
    for code in 2..=LANGUAGES.len() as Code {
        let count = counts[usize::from(code)];
        if count >= WORDS_MIN && count > counts[usize::from(best)] {
            best = code;
        }
    }
    best
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let lists = LANGUAGES.iter().zip(1..);
    Lexicon::of(
        &lists
            .map(|((_, words), code)| (*words, code))
            .collect::<Vec<_>>(),
    )
});

/// Little words by language. A word of two languages stands with neither, or with the one that
/// uses it more.
const LANGUAGES: [(&str, &str); 11] = [
    (
        "en",
        "the of and to is are was for that with on what how can do does you i it this from by not \
         be have has which when where who why my or if an at as your will should could would",
    ),
    (
        "de",
        "der das und ist ich nicht ein eine einen einem einer zu mit auf für den dem sich wie kann \
         wird sind mein meine auch nach bei aus wenn oder wo was welche wir warum",
    ),
    (
        "es",
        "el los las una para por con del cómo qué cuál es está mi puedo hay más pero cuando donde \
         dónde cuánto cuánta y su al muy quién",
    ),
    (
        "fr",
        "le les des du et est une pour dans je que qui sur avec mon ma mes quel quelle comment \
         pas au aux ce cette où vous sont combien puis-je nous pourquoi",
    ),
    (
        "it",
        "il che gli della delle degli nel nella sono come posso perché dove quanto quanti quale \
         mio mia anche più è un'altra questo quando i'italia cosa",
    ),
    (
        "pt",
        "os da dos das em uma não como eu meu minha posso são você qual quanto mais ou \
         pelo pela isso onde quando",
    ),
    (
        "nl",
        "de het een van en ik niet mijn hoe zijn wat voor naar ook kan waar waarom wordt maar deze \
         dit bij",
    ),
    (
        "sv",
        "och är jag inte att det som för på av ett hur vad mitt min kan var när",
    ),
    (
        "pl",
        "nie jest się jak czy na że dla mój moje gdzie kiedy ile mogę po co przez",
    ),
    (
        "tr",
        "bir ve bu için ne nasıl mi mı değil ile kaç nerede neden var benim olan",
    ),
    (
        "ro",
        "și este cum pentru nu care sunt unde ce pot mea meu când cât",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_model_covers() {
        for text in [
            "",
            "ok",
            "How do I descale a kettle?",
            "¿Cómo quito la cal de una tetera?",
            "Wie entkalke ich den Kessel?",
            "Comment détartrer la bouilloire ?",
            "naïve café ﬁancé Ångström 10 µm, Δt = 3 λ",
            "SELECT name FROM users WHERE id = 3",
            "Who sang O Sole Mio?",
            "🚲 ✅ → ½ ™",
        ] {
            assert!(is_covered(text), "{text}");
        }
    }

    #[test]
    fn what_it_does_not() {
        for text in [
            "如何给水壶除垢？",
            "Как очистить чайник?",
            "كيف أنظف الغلاية؟",
            "ケトルを掃除する方法",
            "주전자 청소 방법",
            "πώς καθαρίζω",
            "What does привет mean?",
            "làm thế nào để tẩy cặn ấm đun nước",
            "Come posso pulire il bollitore? Non sono un esperto",
            "Como eu limpo uma chaleira e onde isso fica?",
            "Hoe ontkalk ik een waterkoker van het merk Smeg?",
            "Hur gör jag för att det inte är kalk?",
        ] {
            assert!(!is_covered(text), "{text}");
        }
    }

    #[test]
    fn a_list_restricts() {
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| Name::from(*name))
                .collect::<Vec<_>>()
        };
        let german = "Wie entkalke ich den Kessel?";
        assert!(is_in(german, &[]) && is_in(german, &names(&["en", "de"])));
        assert!(!is_in(german, &names(&["en"])));
        assert!(is_in("Descale the kettle", &names(&["en"])));
    }
}
