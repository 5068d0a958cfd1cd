//! Times named by word: weekdays, months, seasons, parts of the day, feasts, and times relative to
//! now ("last month"). A prompt about another time is another prompt.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table, lacks};
use super::stem::owner;

/// A named time: of what kind, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) kind: u8,
    pub(super) name: Mark,
}

const WEEKDAY: u8 = 0;
const MONTH: u8 = 1;
const SEASON: u8 = 2;
const PART_OF_DAY: u8 = 3;
const DAY: u8 = 4;
const QUARTER: u8 = 5;
const FEAST: u8 = 6;

/// Whether a word names a weekday or a month.
pub(super) fn is_date(word: Mark) -> bool {
    NAMES
        .get(word)
        .is_some_and(|time| [WEEKDAY, MONTH].contains(&time.kind))
}

/// The times a prompt names, each once.
pub(super) fn read(reading: &Reading<'_>) -> Vec<Time> {
    let mut times: Vec<Time> = Vec::new();
    for token in reading.tokens.iter().filter(|token| !token.counted) {
        let word = if token.text.ends_with("'s") {
            Mark::of(owner(token.text))
        } else {
            token.mark
        };
        if let Some(time) = NAMES.get(word)
            && !times.contains(&time)
        {
            times.push(time);
        }
    }
    let may = Mark::of("may");
    if may_is_a_verb(reading) {
        times.retain(|time| time.name != may);
    }
    times
}

/// "may I", "may not": permission, no month.
fn may_is_a_verb(reading: &Reading<'_>) -> bool {
    let words = &reading.tokens;
    let verb = words
        .windows(2)
        .any(|pair| pair[0].text == "may" && AFTER_MAY.contains(&pair[1].text));
    (verb || words.first().is_some_and(|word| word.text == "may"))
        && !words.iter().any(|word| word.text.starts_with("month"))
}

/// Whether both sides name times of one kind, and not the same.
pub(super) fn differ(a: &[Time], b: &[Time]) -> bool {
    kinds(a, b).any(|kind| {
        let (a, b) = (of_kind(a, kind), of_kind(b, kind));
        !a.is_empty() && !b.is_empty() && (lacks(&a, &b) || lacks(&b, &a))
    })
}

/// Whether one side alone names a kind of time; a season or a part of the day may go unsaid.
pub(super) fn one_sided(a: &[Time], b: &[Time]) -> bool {
    !differ(a, b)
        && kinds(a, b).any(|kind| {
            ![SEASON, PART_OF_DAY].contains(&kind)
                && (of_kind(a, kind).is_empty() != of_kind(b, kind).is_empty())
        })
}

fn kinds<'t>(a: &'t [Time], b: &'t [Time]) -> impl Iterator<Item = u8> + 't {
    a.iter().chain(b).map(|time| time.kind)
}

fn of_kind(times: &[Time], kind: u8) -> Vec<Time> {
    times
        .iter()
        .copied()
        .filter(|time| time.kind == kind)
        .collect()
}

const AFTER_MAY: [&str; 15] = [
    "i", "we", "you", "he", "she", "they", "it", "not", "be", "a", "the", "an", "my", "never",
    "carry",
];

/// The periods relative to now that a prompt names: "last month", "next friday".
pub(super) fn periods(reading: &Reading<'_>) -> Vec<Mark> {
    let mut periods = Vec::new();
    for pair in reading.tokens.windows(2) {
        let Some(when) = WHEN.get(pair[0].mark) else {
            continue;
        };
        let unit = owner(pair[1].text);
        if let Some(unit) = PERIODS.get(Mark::of(unit.strip_suffix('s').unwrap_or(unit))) {
            let period = Mark::of(when).and(unit);
            if !periods.contains(&period) {
                periods.push(period);
            }
        }
    }
    periods
}

static WHEN: LazyLock<Table<&'static str>> = LazyLock::new(|| {
    Table::of([
        ("this current", "this"),
        ("next coming upcoming following", "next"),
        ("last past previous prior", "last"),
    ])
});

static PERIODS: LazyLock<Table<Mark>> = LazyLock::new(|| {
    let names = "second minute hour day night week weekend month quarter semester term season \
        summer winter spring fall year decade century version release monday tuesday wednesday \
        thursday friday saturday sunday";
    Table::of(names.split(' ').map(|name| (name, Mark::of(name))))
});

static NAMES: LazyLock<Table<Time>> = LazyLock::new(|| {
    let spelled = |kind: u8, lists: &'static [&'static str]| {
        // The spellings of one name stand together, the first names it.
        lists.iter().map(move |list| {
            let first = list.split(' ').next().unwrap_or_default();
            (
                *list,
                Time {
                    kind,
                    name: Mark::of(first),
                },
            )
        })
    };
    let single = |kind: u8, list: &'static str| {
        list.split_whitespace().map(move |name| {
            (
                name,
                Time {
                    kind,
                    name: Mark::of(name),
                },
            )
        })
    };
    Table::of(
        single(WEEKDAY, WEEKDAYS_ABROAD)
            .chain(single(MONTH, MONTHS_ABROAD))
            .chain(spelled(WEEKDAY, &WEEKDAYS))
            .chain(spelled(MONTH, &MONTHS))
            .chain(spelled(
                SEASON,
                &["spring", "summer", "autumn fall", "winter"],
            ))
            .chain(single(
                PART_OF_DAY,
                "morning noon afternoon evening night midnight tonight",
            ))
            .chain(single(DAY, DAYS))
            .chain(single(QUARTER, "q1 q2 q3 q4"))
            .chain(single(FEAST, "christmas easter thanksgiving halloween")),
    )
});

const WEEKDAYS: [&str; 11] = [
    "monday mondays mon",
    "tuesday tuesdays tue tues",
    "wednesday wednesdays wed",
    "thursday thursdays thu thurs",
    "friday fridays fri",
    "saturday saturdays sat",
    "sunday sundays sun",
    "montag montags",
    "dienstag dienstags",
    "samstag samstags",
    "sonntag sonntags",
];

const WEEKDAYS_ABROAD: &str = "lunes martes miércoles jueves viernes sábado domingo mittwoch \
    donnerstag freitag lundi mardi mercredi jeudi vendredi samedi dimanche";

const MONTHS: [&str; 12] = [
    "january jan",
    "february feb",
    "march mar",
    "april apr",
    "may",
    "june jun",
    "july jul",
    "august aug",
    "september sep sept",
    "october oct",
    "november nov",
    "december dec",
];

const MONTHS_ABROAD: &str = "enero febrero marzo abril mayo junio julio agosto septiembre octubre \
    noviembre diciembre januar februar märz mai juni juli oktober dezember janvier février mars \
    avril juin juillet août septembre octobre novembre décembre";

const DAYS: &str = "today tomorrow yesterday hoy mañana ayer heute morgen gestern aujourd'hui \
    demain hier";
