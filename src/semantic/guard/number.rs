//! Quantities: digits, words and ordinals as values, so that `5,000`, `5k` and `five thousand` are
//! one. Two prompts with other quantities are other prompts.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table, lacks, meet};
use super::token::{Kind, Token};
use super::unit::{self, Unit};

/// The quantities of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// As they stand.
    pub(super) stated: Vec<Mark>,
    /// Those the other side may leave out: "one", "the two".
    pub(super) loose: Vec<Mark>,
    /// Those with a unit beside them.
    pub(super) measured: Vec<Measure>,
}

/// A quantity in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) value: Mark,
    pub(super) unit: Unit,
}

impl Numbers {
    /// Reads them, and marks the tokens that are spent on them.
    pub(super) fn read(reading: &mut Reading<'_>) -> Self {
        let mut numbers = Self::default();
        let mut at = 0;
        while at < reading.tokens.len() {
            at = numbers.take(&mut reading.tokens, at);
        }
        numbers
    }

    /// Reads what stands at a token; gives the place behind it.
    fn take(&mut self, tokens: &mut [Token<'_>], at: usize) -> usize {
        let token = tokens[at];
        let value = match token.kind {
            Kind::Sign => return at + 1,
            Kind::Number => match digits(token.text) {
                Some(value) => value,
                None => {
                    self.stated.push(token.mark);
                    tokens[at].counted = true;
                    return at + 1;
                }
            },
            Kind::Word | Kind::Han => {
                if ONES.has(token.mark) {
                    self.loose.push(Mark::of_value(1.0));
                    return at + 1;
                }
                let ordinal = || is_ordinal_second(tokens, at).then_some(2.0);
                match WORDS
                    .get(token.mark)
                    .or_else(ordinal)
                    .or_else(|| compound(token.text))
                {
                    Some(value) => value,
                    None => return at + 1,
                }
            }
        };
        tokens[at].counted = true;
        let next = tokens.get(at + 1).map(|token| token.mark);
        let measured = next.is_some_and(|next| unit::is(next) || POWERS.has(next));
        let before = at.checked_sub(1).map(|before| tokens[before].mark);
        let definite = before.is_some_and(|before| DEFINITE.has(before));
        let word = token.kind != Kind::Number && !ORDINALS.has(token.mark);
        if word && !measured && definite {
            self.loose.push(Mark::of_value(value));
            return at + 1;
        }
        let (value, end) = powers(tokens, at + 1, value);
        let value = Mark::of_value(value);
        self.stated.push(value);
        // "$50", "50 miles"
        let beside = tokens
            .get(end)
            .into_iter()
            .chain(at.checked_sub(1).map(|at| &tokens[at]));
        let mut beside = beside.filter_map(|token| unit::of(token.text, token.mark));
        if let Some(unit) = beside.next() {
            self.measured.push(Measure { value, unit });
        }
        end
    }
}

/// "the second chapter", not "a second" nor "per second".
fn is_ordinal_second(tokens: &[Token<'_>], at: usize) -> bool {
    let word = |at: Option<usize>| at.and_then(|at| tokens.get(at));
    let after_article = word(at.checked_sub(1)).is_some_and(|before| DEFINITE.has(before.mark));
    let noun = word(Some(at + 1)).is_some_and(|next| next.kind == Kind::Word && next.text != "of");
    tokens[at].text == "second" && after_article && noun
}

/// Multiplies by the powers that follow, and spends them, `%` too.
fn powers(tokens: &mut [Token<'_>], mut at: usize, mut value: f64) -> (f64, usize) {
    while let Some(power) = tokens.get(at).and_then(|token| POWERS.get(token.mark)) {
        value *= power;
        tokens[at].counted = true;
        at += 1;
    }
    if let Some(token) = tokens.get_mut(at)
        && matches!(token.text, "%" | "percent")
    {
        token.counted = true;
        at += 1;
    }
    (value, at)
}

/// `1,000.5`, `1.000` and `0,5` as a value; `1.2.3` is none.
fn digits(text: &str) -> Option<f64> {
    let grouped = |by: char| {
        let mut groups = text.split(by);
        let first = groups.next().map_or(0, str::len);
        let rest: Vec<usize> = groups.map(str::len).collect();
        (1..=3).contains(&first) && !rest.is_empty() && rest.iter().all(|len| *len == 3)
    };
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let commas = whole.contains(',')
        && whole.split(',').skip(1).all(|group| group.len() == 3)
        && whole.find(',').is_some_and(|at| at <= 3)
        && text.matches('.').count() <= 1;
    let plain: String = if commas {
        text.replace(',', "")
    } else if grouped('.') {
        text.replace('.', "")
    } else {
        text.replace(',', ".")
    };
    plain.parse().ok()
}

/// `thirty-five`, `two-factor`.
fn compound(word: &str) -> Option<f64> {
    let (first, rest) = word.split_once('-')?;
    let tens = WORDS.get(Mark::of(first))?;
    let ones = rest
        .split('-')
        .next()
        .and_then(|word| WORDS.get(Mark::of(word)));
    Some(tens + ones.filter(|_| tens >= 20.0).unwrap_or(0.0))
}

/// Whether a quantity of one side is missing on the other.
pub(super) fn differ(a: &Numbers, b: &Numbers) -> bool {
    let more = |a: &Numbers, b: &Numbers| {
        a.stated
            .iter()
            .any(|n| !b.stated.contains(n) && !b.loose.contains(n))
    };
    more(a, b) || more(b, a) || !a.loose.is_empty() && !b.loose.is_empty() && apart(a, b)
}

/// "the two", "the three": what may go unsaid may still not differ.
fn apart(a: &Numbers, b: &Numbers) -> bool {
    let one = Mark::of_value(1.0);
    let set = |numbers: &Numbers| -> Vec<Mark> {
        numbers
            .loose
            .iter()
            .copied()
            .filter(|number| *number != one)
            .collect()
    };
    let (a, b) = (set(a), set(b));
    !a.is_empty() && !b.is_empty() && !meet(&a, &b)
}

/// Whether one quantity is measured in two units of one dimension.
pub(super) fn measured_otherwise(a: &Numbers, b: &Numbers) -> bool {
    let as_here = |measure: &Measure| b.measured.contains(measure);
    a.measured
        .iter()
        .filter(|measure| !as_here(measure))
        .any(|here| {
            let mut same = b.measured.iter().filter(|there| there.value == here.value);
            same.any(|there| there.unit.dimension == here.unit.dimension)
                && !b.measured.contains(here)
        })
}

/// Whether the same quantities stand in another order.
pub(super) fn reordered(a: &Numbers, b: &Numbers) -> bool {
    let (a, b) = (&a.stated, &b.stated);
    a.len() > 1 && a.len() == b.len() && a != b && !lacks(a, b) && !lacks(b, a)
}

static ONES: LazyLock<Table<()>> =
    LazyLock::new(|| Table::of([("one uno una un ein eine 一", ())]));

/// Those that pick one: "the third" is never left out.
static ORDINALS: LazyLock<Table<()>> = LazyLock::new(|| {
    Table::of([
        (
            "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
            (),
        ),
        ("sixteenth twentieth", ()),
    ])
});

static DEFINITE: LazyLock<Table<()>> =
    LazyLock::new(|| Table::of([("the these those all both my our", ())]));

static WORDS: LazyLock<Table<f64>> = LazyLock::new(|| Table::of(VALUES.iter().copied()));

const VALUES: &[(&str, f64)] = &[
    ("zero", 0.0),
    ("two dos zwei deux 两 二", 2.0),
    ("three third tres drei trois 三", 3.0),
    ("four fourth cuatro vier quatre 四", 4.0),
    ("five fifth cinco fünf cinq 五", 5.0),
    ("six sixth seis sechs 六", 6.0),
    ("seven seventh siete sieben 七", 7.0),
    ("eight eighth ocho acht huit 八", 8.0),
    ("nine ninth nueve neun 九", 9.0),
    ("ten tenth diez zehn dix 十", 10.0),
    ("eleven eleventh", 11.0),
    ("twelve twelfth", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen sixteenth", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
    ("twenty twentieth", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
];

static POWERS: LazyLock<Table<f64>> = LazyLock::new(|| {
    Table::of([
        ("hundred 百", 100.0),
        ("thousand k mil mille tausend 千", 1e3),
        ("万", 1e4),
        ("million m", 1e6),
        ("亿", 1e8),
        ("billion bn", 1e9),
    ])
});
