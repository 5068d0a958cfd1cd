//! Goal: what must part two prompts parts them and says why; what need not does not. Method: tables
//! of pairs, one a cause; the corpus in `tests/corpus`; and what must hold of any text.

use super::*;
use crate::policy::Guard;

fn verdict(a: &str, b: &str) -> Verdict {
    judge(&Fingerprint::of(a), &Fingerprint::of(b), &Rules::default())
}

const NOTHING: Verdict = Verdict::Penalty {
    basis_points: 0,
    causes: Causes::NONE,
};

/// Each pair is refused for this cause, whichever side asks; no prompt is refused for itself.
fn parts(cause: Cause, pairs: &[(&str, &str)]) {
    for (a, b) in pairs {
        assert_eq!(verdict(a, b), Verdict::Veto(cause), "{a} | {b}");
        assert_eq!(verdict(b, a), Verdict::Veto(cause), "{b} | {a}");
        assert_eq!(verdict(a, a), NOTHING, "{a}");
        assert_eq!(verdict(b, b), NOTHING, "{b}");
    }
}

/// Nothing speaks against any of these pairs.
fn meets(pairs: &[(&str, &str)]) {
    for (a, b) in pairs {
        assert_eq!(verdict(a, b), NOTHING, "{a} | {b}");
        assert_eq!(verdict(b, a), NOTHING, "{b} | {a}");
    }
}

/// Each pair counts as this much less near for this cause alone.
fn weighs(cause: Cause, points: u16, pairs: &[(&str, &str)]) {
    let causes = Causes::from_iter([cause]);
    for (a, b) in pairs {
        let expected = Verdict::Penalty {
            basis_points: points,
            causes,
        };
        assert_eq!(verdict(a, b), expected, "{a} | {b}");
        assert_eq!(verdict(b, a), expected, "{b} | {a}");
    }
}

#[test]
fn numbers() {
    parts(
        Cause::Number,
        &[
            ("Feed a family of 4", "Feed a family of 6"),
            (
                "List three poets of the Tang dynasty",
                "List thirty poets of the Tang dynasty",
            ),
            ("Invest $2,500 in gold", "Invest $25,000 in gold"),
            (
                "the third law of motion",
                "the first and fifth law of motion",
            ),
            ("Subtract 12 from 40", "Subtract 40 from 12"),
            ("Open the second drawer", "Open the fourth drawer"),
            ("Compare the two phones", "Compare the three phones"),
            ("What changed in 1.2.3?", "What changed in 1.2.4?"),
            ("a budget of 1.5 million", "a budget of 15 million"),
        ],
    );
    meets(&[
        ("Lend me 5,000 francs", "Lend me 5000 francs"),
        ("a grant of 2k", "a grant of two thousand"),
        ("Feed a family of four", "Feed a family of 4"),
        ("thirty-five students", "35 students"),
        ("raise it by 7%", "raise it by 7 percent"),
        ("Name one river", "Name a river"),
        ("1.5 litres of milk", "1,5 litres of milk"),
        ("３ eggs", "3 eggs"),
    ]);
}

#[test]
fn units() {
    parts(
        Cause::Unit,
        &[
            ("Is 60 km a long ride?", "Is 60 miles a long ride?"),
            ("bake at 200 °C", "bake at 200 °F"),
            ("a 2 week course", "a 2 month course"),
            ("Is €30 a fair tip?", "Is $30 a fair tip?"),
            ("How many ounces are 9 kg?", "How many kg are 9 ounces?"),
            ("a file of 8 MB", "a file of 8 GB"),
        ],
    );
    meets(&[
        ("bake at 200 degrees Celsius", "bake at 200 °C"),
        ("a ride of 60 kilometres", "a ride of 60 km"),
        ("a tip of €30", "a tip of 30 euros"),
    ]);
}

#[test]
fn negations() {
    parts(
        Cause::Negation,
        &[
            (
                "Which mushrooms are edible?",
                "Which mushrooms are not edible?",
            ),
            ("Soups with cream", "Soups without cream"),
            ("Why does yeast rise?", "Why doesn't yeast rise?"),
            ("a flour with gluten", "a gluten-free flour"),
            ("Darf man hier parken?", "Darf man hier nicht parken?"),
            ("¿Se puede nadar aquí?", "¿No se puede nadar aquí?"),
            ("Peut-on nager ici ?", "Ne peut-on pas nager ici ?"),
        ],
    );
    meets(&[
        ("Should we rent", "Should we rent or not"),
        ("a soup without cream", "a soup with no cream"),
    ]);
}

#[test]
fn antonyms() {
    parts(
        Cause::Antonym,
        &[
            ("Why did sales increase?", "Why did sales decrease?"),
            ("habits that reduce stress", "habits which increased stress"),
            ("How to install a theme", "How to uninstall a theme"),
            ("Is the contract valid?", "Is the contract invalid?"),
            ("Turn on dark mode", "How do I disable dark mode?"),
            ("duties of a landlord", "duties of a tenant"),
            ("paint an uppercase letter", "paint a lowercase letter"),
            (
                "Wie kann ich das Fenster öffnen?",
                "Wie kann ich das Fenster schließen?",
            ),
        ],
    );
    meets(&[("How to enable dark mode", "How do I enable the dark mode?")]);
}

#[test]
fn contrasts() {
    parts(
        Cause::Contrast,
        &[
            ("a name for my dog", "a name for my cat"),
            ("sort strings in python", "sort strings in haskell"),
            (
                "flights to vienna for under a hundred",
                "to madrid, flights for under a hundred",
            ),
            ("what causes migraines", "symptoms of migraines"),
            ("Is the coat blue?", "Is the coat green?"),
        ],
    );
    meets(&[("Is the blue coat warm", "Is the coat warm and blue")]);
}

#[test]
fn times() {
    parts(
        Cause::Time,
        &[
            (
                "Is the gym open on Tuesday?",
                "Is the gym open on Thursdays?",
            ),
            ("festivals in May", "festivals in June"),
            ("a hike in spring", "a hike in autumn"),
            ("closed at Easter", "closed at Christmas"),
        ],
    );
    parts(
        Cause::Period,
        &[(
            "sales in the current quarter",
            "sales in the following quarter",
        )],
    );
    weighs(
        Cause::Time,
        800,
        &[("festivals in June nearby", "festivals nearby")],
    );
    meets(&[
        ("closed on Sundays", "closed on Sunday"),
        ("festivals in Sept", "festivals in September"),
        ("May I park here?", "Can I park here?"),
    ]);
}

#[test]
fn identifiers() {
    parts(
        Cause::Identifier,
        &[
            ("Explain tar --strip", "Explain tar --verbose"),
            ("write to eve@example.com", "write to bob@example.com"),
            ("What does row_len do?", "What does col_len do?"),
            ("fix src/main.rs", "fix src/lib.rs"),
            ("call getName()", "call setName()"),
            (
                "Is a > b the same as b < a?",
                "Is a > b the same as b >= a?",
            ),
            ("when do I use && here", "when do I use || here"),
        ],
    );
    meets(&[
        ("Explain `tar --strip`", "explain tar --strip"),
        ("What does max_len do?", "what does max_len do"),
        ("pick him and/or her", "pick him or her and"),
    ]);
}

#[test]
fn quotes() {
    parts(
        Cause::Quote,
        &[
            (
                "How do you spell \"rhythm\"?",
                "How do you spell \"colonel\"?",
            ),
            ("Translate “good night”", "Translate “good luck”"),
            ("Traduis « merci »", "Traduis « pardon »"),
        ],
    );
    meets(&[("How do you spell \"rhythm\"?", "How do you spell 'rhythm'?")]);
}

#[test]
fn entities() {
    parts(
        Cause::Entity,
        &[
            ("the castle of Bled", "the castle of Trakai"),
            ("Is Slovenia larger?", "Is Slovakia larger?"),
            ("How old is Script now", "How old is ScriptRunner now"),
            ("Who founded IKEA?", "Who founded LEGO?"),
        ],
    );
    weighs(
        Cause::Entity,
        600,
        &[("good soup around Trakai", "good soup around")],
    );
    meets(&[
        ("Does Brazil export tea?", "does brazil export tea"),
        ("a typical Italian soup", "a typical soup of Italy"),
        ("Is Wi-Fi free?", "is wi fi free"),
    ]);
}

#[test]
fn directions_roles_and_order() {
    parts(
        Cause::Direction,
        &[
            ("drive from Graz to Linz", "drive from Linz to Graz"),
            ("Convert EUR to CHF", "Convert CHF to EUR"),
            ("un vol de Nantes à Brest", "un vol de Brest à Nantes"),
        ],
    );
    parts(
        Cause::Role,
        &[
            ("wash it before dinner time", "wash it before the concert"),
            ("books written by women", "books written by monks"),
        ],
    );
    parts(
        Cause::Order,
        &[
            ("Do owls hunt foxes?", "Do foxes hunt owls?"),
            ("turn a vector into a matrix", "turn a matrix into a vector"),
        ],
    );
    meets(&[
        ("drive from Graz to Linz", "from Graz drive to Linz"),
        ("sort array javascript", "sort javascript array"),
    ]);
}

#[test]
fn aggregates_particles_quantifiers() {
    parts(
        Cause::Aggregate,
        &[
            ("average rent in town", "total rent in town"),
            (
                "the first flight out, please",
                "the latest flight out, please",
            ),
        ],
    );
    parts(
        Cause::Particle,
        &[("Should I hand the form in?", "Should I hand the form back?")],
    );
    parts(
        Cause::Quantifier,
        &[("rooms with more than a bed", "rooms with exactly a bed")],
    );
    meets(&[
        ("the price of each seat", "the price of every seat"),
        ("What does idempotent mean?", "what does idempotent mean"),
        (
            "towers with at least 9 floors",
            "towers with 9 floors or more",
        ),
    ]);
    weighs(
        Cause::Conjunction,
        400,
        &[("bring boots and skis", "bring boots or skis")],
    );
}

#[test]
fn questions_and_substitutions() {
    parts(
        Cause::Question,
        &[
            (
                "When was Machu Picchu abandoned?",
                "Why was Machu Picchu abandoned?",
            ),
            ("How far is the moon?", "How old is the moon?"),
        ],
    );
    parts(
        Cause::RareWord,
        &[("a poem about otters", "a poem about walruses")],
    );
    weighs(
        Cause::Word,
        400,
        &[(
            "a poem about winning the war",
            "a poem about winning the race",
        )],
    );
    weighs(
        Cause::Count,
        600,
        &[(
            "How many bridges does Prague have",
            "the bridges Prague does have",
        )],
    );
}

#[test]
fn a_policy_may_add_and_take_away() {
    let names = |list: &[&str]| list.iter().map(|name| (*name).into()).collect::<Vec<_>>();
    let guard = Guard {
        off: names(&["number", "no-such-cause"]),
        antonyms: vec![names(&["Sandbox", "live", "archived"])],
        entities: names(&["project x", "Project"]),
        synonyms: vec![names(&["skiff", "Dinghies"])],
    };
    let rules = Rules::of(&guard);
    assert!(rules.is_off(Cause::Number) && !rules.is_off(Cause::Unit));
    let under =
        |rules: &Rules, a: &str, b: &str| judge(&Fingerprint::of(a), &Fingerprint::of(b), rules);
    for (a, b, own, plain) in [
        (
            "a list of 5 names",
            "a list of 9 names",
            NOTHING,
            Verdict::Veto(Cause::Number),
        ),
        (
            "the keys of the sandbox account",
            "keys of the live account",
            Verdict::Veto(Cause::Antonym),
            NOTHING,
        ),
        (
            "the keys of the archived account",
            "keys of the live account",
            Verdict::Veto(Cause::Antonym),
            NOTHING,
        ),
        (
            "who leads project X and how",
            "who leads and how",
            Verdict::Veto(Cause::Entity),
            Verdict::Penalty {
                basis_points: 600,
                causes: Causes::from_iter([Cause::Entity]),
            },
        ),
        (
            "rent out a skiff",
            "rent out a dinghy",
            NOTHING,
            Verdict::Veto(Cause::RareWord),
        ),
    ] {
        assert_eq!(under(&rules, a, b), own, "{a} | {b}");
        assert_eq!(under(&rules, b, a), own, "{b} | {a}");
        assert_eq!(under(&Rules::default(), a, b), plain, "{a} | {b}");
    }
}

#[test]
fn every_cause_has_its_own_token() {
    for cause in Cause::ALL {
        assert_eq!(Cause::named(cause.as_str()), Some(cause));
        assert!(
            cause
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
        );
    }
    assert_eq!(Cause::named("vetoed"), None);
    let all: Causes = Cause::ALL.into_iter().collect();
    assert_eq!(all.iter().collect::<Vec<_>>(), Cause::ALL);
    assert_eq!(Causes::NONE.iter().count(), 0);
}

/// The prompts of the corpus: family, whether it is a paraphrase, cause, text.
fn corpus() -> Vec<(String, bool, String, String)> {
    let text = include_str!("../../../tests/corpus/prompts.jsonl");
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let member = |name: &str| line[name].as_str().expect("a text").to_owned();
        let same = match member("kind").as_str() {
            "same" => true,
            "different" => false,
            other => panic!("a kind: {other}"),
        };
        (member("family"), same, member("cause"), member("text"))
    };
    text.lines().map(line).collect()
}

#[test]
fn the_corpus_is_told_apart() {
    // What these part is not in the words' form: they only weigh.
    let by_meaning = [Cause::Word.as_str(), "aspect", "scope"];
    let corpus = corpus();
    assert!(corpus.len() >= 400, "{} prompts", corpus.len());
    let (mut served, mut paraphrases, mut missed, mut alike) = (Vec::new(), 0, Vec::new(), 0);
    let mut base = &corpus[0];
    for prompt in &corpus {
        if prompt.0 != base.0 {
            base = prompt;
            assert!(base.1, "{} begins with a look-alike", base.0);
            continue;
        }
        let vetoed = matches!(verdict(&base.3, &prompt.3), Verdict::Veto(_));
        let pair = format!("{} | {}", base.3, prompt.3);
        if prompt.1 {
            paraphrases += usize::from(!std::ptr::eq(base, prompt));
            served.extend(vetoed.then_some(pair));
        } else if !by_meaning.contains(&prompt.2.as_str()) {
            assert!(Cause::named(&prompt.2).is_some(), "{}", prompt.2);
            alike += 1;
            missed.extend((!vetoed).then_some(pair));
        }
    }
    assert!(
        paraphrases >= 150 && alike >= 150,
        "{paraphrases} and {alike}"
    );
    assert!(
        missed.len() * 20 <= alike,
        "{} of {alike} missed: {missed:#?}",
        missed.len()
    );
    assert!(
        served.len() * 10 <= paraphrases,
        "of {paraphrases} refused: {served:#?}"
    );
}

#[test]
fn fingerprints_outlive_the_process() {
    for (_, _, _, text) in corpus() {
        let print = Fingerprint::of(&text);
        let bytes = print.encode();
        assert_eq!(Fingerprint::decode(&bytes), Ok(print), "{text}");
        assert!(bytes.len() <= 300, "{} bytes: {text}", bytes.len());
        let mut other = bytes.clone();
        other[0] = codec::VERSION + 1;
        assert_eq!(Fingerprint::decode(&other), Err(Malformed));
        assert_eq!(
            Fingerprint::decode(&bytes[..bytes.len() - 1]),
            Err(Malformed)
        );
    }
    assert_eq!(Fingerprint::decode(&[]), Err(Malformed));
}

/// Bytes of one fingerprint of version 1. They lie in databases: when this fails, raise `VERSION`.
#[test]
fn the_layout_has_not_moved_unnoticed() {
    let bytes = Fingerprint::of("Give $5 to Ana by Friday").encode();
    let sum = bytes
        .iter()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
    assert_eq!(
        (codec::VERSION, bytes.len(), sum),
        (1, 98, 5_764_384_402_765_595_802)
    );
}

/// Texts of every kind of letter and sign, from a seed.
fn noise(mut seed: u64, length: usize) -> String {
    const PIECES: [&str; 48] = [
        " ",
        " ",
        " ",
        "a",
        "the",
        "not",
        "non-",
        "-",
        "'",
        "’",
        "\"",
        "“",
        "«",
        "`",
        ".",
        "?",
        "\n",
        "1",
        "1,000",
        "3.5.1",
        "five",
        "thirty-five",
        "second",
        "%",
        "°",
        "C",
        "$",
        "km",
        "Paris",
        "IKEA",
        "é",
        "ß",
        "İ",
        "ﬁ",
        "½",
        "从",
        "到",
        "不",
        "привет",
        "👩‍🚀",
        "a_b",
        "::",
        "()",
        "<T>",
        "--x",
        "@b.c",
        "http://",
        "\u{301}",
    ];
    let mut text = String::new();
    while text.len() < length {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
    }
    text
}

#[test]
fn any_two_texts_have_one_verdict_both_ways() {
    for seed in 0..2_000_u64 {
        let length = (seed % 90) as usize;
        let (a, b) = (noise(seed, length), noise(seed ^ 0x5555, length + 3));
        let (one, other) = (Fingerprint::of(&a), Fingerprint::of(&b));
        let rules = Rules::default();
        assert_eq!(
            judge(&one, &other, &rules),
            judge(&other, &one, &rules),
            "{a:?} {b:?}"
        );
        assert_eq!(judge(&one, &one, &rules), NOTHING, "{a:?}");
        assert_eq!(Fingerprint::decode(&one.encode()), Ok(one), "{a:?}");
    }
}

#[test]
fn any_bytes_are_a_fingerprint_or_none() {
    let mut bytes = Fingerprint::of("Send $5 to Ana by Friday, 'please'").encode();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            bytes[at] ^= flip;
            if let Ok(print) = Fingerprint::decode(&bytes) {
                let _ = judge(
                    &print,
                    &Fingerprint::of("Send $6 to Ben"),
                    &Rules::default(),
                );
            }
            bytes[at] ^= flip;
        }
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let long = "word ".repeat(TEXT_BYTES_MAX);
    let print = Fingerprint::of(&long);
    assert!(print.encode().len() < 4 * TEXT_BYTES_MAX);
    let verdict = judge(&print, &print, &Rules::default());
    assert_eq!(verdict, Verdict::Veto(Cause::Length));
    let names = (0..2 * COUNT_MAX).map(|at| format!("and N{} ", "x".repeat(at + 1)));
    let print = Fingerprint::of(&names.collect::<String>());
    assert_eq!(
        judge(&print, &print, &Rules::default()),
        Verdict::Veto(Cause::Length)
    );
}
