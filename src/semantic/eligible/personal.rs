//! Personal prompts: those whose answer is about whoever asks ("where is my parcel?"), which nobody
//! else may be served. How-to questions are not, although they say "my" ("how do I change my
//! password?"). Errs towards personal: that costs a hit, the other error shows a stranger's answer.

use std::sync::LazyLock;

use super::lexicon::{Before, Code, Lexicon, QUIET};

/// Whether the answer is about the person who asks. Nothing is allocated for ASCII
/// text.
#[must_use]
pub fn is_personal(text: &str) -> bool {
    let mut seen = Seen::default();
    if speaks_of_itself(text) {
        LEXICON.walk(text, |word, before| {
            seen.word(word, before);
            !seen.certain
        });
    }
    if !text.is_ascii() {
        seen.han(text);
    }
    seen.certain || seen.own && !seen.how_to
}

/// Whether there is a word without which nothing is personal. Few texts have one, and for few words
/// of a text it takes more than a look at where they begin and how long they are.
fn speaks_of_itself(text: &str) -> bool {
    let mut found = false;
    SELVES.walk(text, |_, _| {
        found = true;
        false
    });
    found
}

static SELVES: LazyLock<Lexicon> = LazyLock::new(|| {
    let selves = [OWN, OWN_TOO, STATES, "i", "we", "ich", "je"];
    Lexicon::of(&selves.map(|list| (list, MY)))
});

const OWN: &str = "my mine our ours mi mis nuestro nuestra mein meine meinen meiner meinem unser";
const OWN_TOO: &str = "unsere mon ma mes notre nos";
const STATES: &str = "tengo debo hice pagué j'ai";

const MY: Code = 1;
const STATE: Code = 2;
const I: Code = 3;
const WE: Code = 4;
const HOW: Code = QUIET | 5;
const DO: Code = 6;
const CAN: Code = 7;
const MAY: Code = 8;
const WOULD: Code = 9;
const TO: Code = 10;
const DOES: Code = QUIET | 11;
const ONE: Code = 12;
const WHAT: Code = QUIET | 13;
const IS: Code = QUIET | 14;
const THE: Code = QUIET | 15;
const BEST: Code = QUIET | 16;
const WAY: Code = 17;
const DOCUMENTS: Code = 18;
const AM: Code = 19;
const ALLOWED: Code = 20;
const IT: Code = QUIET | 21;
const FINE: Code = 22;
const A: Code = QUIET | 23;
const GOOD: Code = QUIET | 24;
const IDEA: Code = 25;
const USE: Code = 26;
const NEED: Code = 27;
const HAVE: Code = 28;
const WHERE: Code = QUIET | 29;
const WHICH: Code = QUIET | 30;
const HELP: Code = QUIET | 31;
const ME: Code = 32;
const HOW_ABROAD: Code = 33;
const WIE: Code = QUIET | 34;
const KANN: Code = 35;
const MACHE: Code = 36;
const ICH: Code = 37;
const PUIS: Code = QUIET | 38;
const JE: Code = 39;
const DID: Code = QUIET | 40;
const WAS: Code = 41;
const GOT: Code = 42;
const HABE: Code = 43;
const AI: Code = QUIET | 44;
const ELIGIBLE: Code = 45;
const OWE: Code = 46;
const WERE: Code = 47;

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(&[
        (OWN, MY),
        (OWN_TOO, MY),
        (STATES, STATE),
        ("i", I),
        ("we", WE),
        ("how", HOW),
        ("do", DO),
        ("can could should", CAN),
        ("may", MAY),
        ("would might", WOULD),
        ("to", TO),
        ("does", DOES),
        ("one", ONE),
        ("what what's", WHAT),
        ("is are", IS),
        ("the", THE),
        ("best right proper easiest", BEST),
        ("way process steps procedure document rule rules", WAY),
        ("documents", DOCUMENTS),
        ("am", AM),
        ("allowed", ALLOWED),
        ("it", IT),
        ("possible ok safe legal normal wise", FINE),
        ("a", A),
        ("good", GOOD),
        ("idea", IDEA),
        ("use put pack say bring", USE),
        ("need", NEED),
        ("have", HAVE),
        ("where", WHERE),
        ("which", WHICH),
        ("help", HELP),
        ("me", ME),
        ("cómo puedo comment", HOW_ABROAD),
        ("wie", WIE),
        ("kann", KANN),
        ("ändere lösche mache soll schalte kündige", MACHE),
        ("ich", ICH),
        ("puis", PUIS),
        ("je", JE),
        ("did will don't didn't haven't", DID),
        ("was had", WAS),
        ("were", WERE),
        ("got been paid ordered bought received", GOT),
        ("habe", HABE),
        ("ai", AI),
        ("eligible qualify on", ELIGIBLE),
        ("owe", OWE),
    ])
});

/// What a text has shown so far.
#[derive(Default)]
struct Seen {
    /// Something of the asker's own.
    own: bool,
    /// A question about how anybody does it.
    how_to: bool,
    /// What no how-to question takes back.
    certain: bool,
}

impl Seen {
    fn word(&mut self, word: Code, before: Before) {
        let [one, two, three, _] = before;
        let (mut own, mut how_to) = (false, false);
        match word {
            MY | STATE => own = true,
            I | WE => {
                own = matches!(one, DO | DID | HAVE | AM | WAS | WERE);
                how_to = word == I && (matches!(one, CAN | MAY) || (two, one) == (WHERE, DO));
            }
            HAVE | WAS | WERE | GOT | AM => own = matches!(one, I | WE),
            OWE | ELIGIBLE => {
                own = word == OWE && matches!(one, I | WE);
                self.certain |= one == I && matches!(two, AM | DO);
            }
            DO => how_to = one == HOW || (three, two, one) == (WHAT, DO, I),
            NEED | USE => how_to = (three, two, one) == (WHAT, DO, I),
            CAN | WOULD => how_to = one == HOW,
            TO => how_to = one == HOW || (three, two) == (DO, I) && matches!(one, NEED | HAVE),
            ONE => how_to = (two, one) == (HOW, DOES),
            ALLOWED => how_to = matches!((two, one), (AM, I) | (IS, IT)),
            FINE => how_to = (two, one) == (IS, IT),
            IDEA => how_to = before == [GOOD, A, IT, IS],
            ME => how_to = one == HELP,
            WAY => how_to = asks_the_way(before),
            DOCUMENTS => how_to = one == WHICH || asks_the_way(before),
            HOW_ABROAD => how_to = true,
            MACHE => how_to = one == WIE,
            KANN => how_to = one == WIE,
            ICH => (own, how_to) = (one == HABE, one == KANN),
            HABE => own = one == ICH,
            JE => (own, how_to) = (one == AI, one == PUIS),
            _ => {}
        }
        self.own |= own;
        self.how_to |= how_to;
    }

    /// Chinese has no spaces: the words are looked for anywhere.
    fn han(&mut self, text: &str) {
        let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let behind = |word: &str, words: &[&str]| {
            let rest = text.find(word).map_or("", |at| &text[at..]);
            words.iter().any(|word| rest.contains(word))
        };
        self.own |= any(&["我的", "我账户", "我家", "我们"])
            || behind("我", &["多少", "余额", "到哪", "在哪"]);
        self.how_to |= any(&["怎么", "如何"]) || behind("可以", &["吗"]);
    }
}

/// "what is the best way", "what steps".
fn asks_the_way(before: Before) -> bool {
    let mut rest = &before[..];
    for between in [BEST, THE, IS] {
        if let [first, more @ ..] = rest
            && *first == between
        {
            rest = more;
        }
    }
    rest.first() == Some(&WHAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_asker_is_personal() {
        for text in [
            "Where is my parcel?",
            "What did I pay for heating in March?",
            "am i eligible for the loyalty rate",
            "How much do I owe, and how do I pay?",
            "Show OUR open invoices",
            "which seats have we booked",
            "I ordered a lamp on Friday and it has not come",
            "It’s mine, isn’t it?",
            "¿Cuándo llega mi pedido?",
            "¿Cuánto debo?",
            "Wo ist mein Paket?",
            "Wann habe ich bezahlt?",
            "Où est mon colis ?",
            "Qu'est-ce que j’ai commandé ?",
            "我的订单到哪了？",
            "我还有多少天假？",
        ] {
            assert!(is_personal(text), "{text}");
        }
    }

    #[test]
    fn what_anybody_may_ask_is_not() {
        for text in [
            "",
            "How do I change my password?",
            "how can we cancel our plan",
            "What's the best way to fold my map?",
            "What documents for my passport?",
            "which documents prove my address",
            "Can I bring my dog on the train?",
            "Do I need to declare my bicycle?",
            "Is it a good idea to repot my orchid in winter?",
            "Is it safe to freeze my soup twice?",
            "Where do I hand in my keys?",
            "What do I say to my landlord?",
            "help me word my cover letter",
            "Why is the sky blue?",
            "Does the myth of Minos mention minerals?",
            "¿Cómo cambio mi contraseña?",
            "Wie ändere ich mein Passwort?",
            "Kann ich mein Abo pausieren?",
            "Puis-je changer mon mot de passe ?",
            "如何修改我的密码？",
            "我可以退货吗？",
        ] {
            assert!(!is_personal(text), "{text}");
        }
    }

    #[test]
    fn words_across_a_stop_do_not_belong_together() {
        assert!(!is_personal("What can one do? I wonder"));
        assert!(is_personal("what can one do i wonder"));
        assert!(is_personal("Say how. Do my taxes look right?"));
    }
}
