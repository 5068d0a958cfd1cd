//! Volatile prompts: those whose answer is another one tomorrow, or in an hour ("what's the weather
//! like?"). Told by words alone; errs towards volatile.

use std::sync::LazyLock;

use super::lexicon::{Code, Lexicon, QUIET};

/// Whether the answer grows old by itself.
#[must_use]
pub fn is_volatile(text: &str) -> bool {
    let mut found = false;
    LEXICON.walk(text, |word, [one, two, three, _]| {
        found = match word {
            NOW => true,
            MOMENT => (two, one) == (AT, THE),
            SCORE => one == LIVE,
            PRICE => matches!(one, CURRENT | STOCK),
            RATE => one == EXCHANGE,
            TIME | DATE => one == CURRENT,
            IT => (three, two, one) == (WHAT, TIME, IS),
            PERIOD => one == THIS,
            _ => false,
        };
        !found
    });
    let han = || {
        ["天气", "今天", "明天", "现在"]
            .iter()
            .any(|word| text.contains(word))
    };
    found || !text.is_ascii() && han()
}

const NOW: Code = 1;
const AT: Code = QUIET | 2;
const THE: Code = QUIET | 3;
const MOMENT: Code = 4;
const LIVE: Code = QUIET | 5;
const SCORE: Code = 6;
const CURRENT: Code = QUIET | 7;
const STOCK: Code = QUIET | 8;
const PRICE: Code = 9;
const EXCHANGE: Code = QUIET | 10;
const RATE: Code = 11;
const TIME: Code = 12;
const DATE: Code = 13;
const WHAT: Code = QUIET | 14;
const IS: Code = QUIET | 15;
const IT: Code = 16;
const THIS: Code = QUIET | 17;
const PERIOD: Code = 18;

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(&[
        (
            "now currently today tonight latest newest breaking weather forecast tomorrow",
            NOW,
        ),
        ("yesterday hoy mañana heute morgen aujourd'hui demain", NOW),
        // "tomorrow's weather", "today's date"
        ("today's tonight's tomorrow's yesterday's", NOW),
        ("at", AT),
        ("the", THE),
        ("moment", MOMENT),
        ("live", LIVE),
        ("score scores", SCORE),
        ("current", CURRENT),
        ("stock", STOCK),
        ("price prices price's", PRICE),
        ("exchange", EXCHANGE),
        ("rate", RATE),
        ("time", TIME),
        ("date", DATE),
        ("what", WHAT),
        ("is", IS),
        ("it", IT),
        ("this", THIS),
        ("morning afternoon evening week weekend month", PERIOD),
        (
            "morning's afternoon's evening's week's weekend's month's",
            PERIOD,
        ),
    ])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_by_itself_is_volatile() {
        for text in [
            "what's the WEATHER like in Porto",
            "Who is the prime minister right now?",
            "what time is it in Lima",
            "Current price of copper",
            "stock prices of the big four",
            "dollar to yen exchange rate",
            "is the museum closed at the moment?",
            "Anything on this weekend?",
            "today’s specials",
            "Wie wird es morgen?",
            "今天几号？",
        ] {
            assert!(is_volatile(text), "{text}");
        }
    }

    #[test]
    fn what_stays_is_not() {
        for text in [
            "",
            "How do exchange programmes rate applicants?",
            "What is time?",
            "Who wrote this month by month guide for gardeners",
            "Explain alternating current. Time matters.",
            "How is snow made?",
            "What was the price of tea in 1773?",
        ] {
            assert_eq!(is_volatile(text), text.contains("this month"), "{text}");
        }
    }
}
