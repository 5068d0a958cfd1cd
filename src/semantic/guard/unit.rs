//! Units by what they measure. Two prompts that measure the same thing in other units are other
//! prompts; a unit on one side alone says nothing.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table, cross};

/// A unit: what it measures, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) dimension: u8,
    pub(super) name: Mark,
}

pub(super) fn is(word: Mark) -> bool {
    UNITS.has(word)
}

/// The unit of a sign or word.
pub(super) fn of(text: &str, mark: Mark) -> Option<Unit> {
    let sign = SIGNS.iter().find(|(sign, _, _)| *sign == text);
    sign.map(|(_, dimension, name)| Unit {
        dimension: *dimension,
        name: Mark::of(name),
    })
    .or_else(|| UNITS.get(mark))
}

/// The units of a prompt, each once.
pub(super) fn read(reading: &Reading<'_>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for pair in reading.tokens.windows(2).filter(|pair| pair[0].text == "°") {
        let scale = ["celsius", "fahrenheit"]
            .iter()
            .find(|name| name.starts_with(pair[1].text));
        units.extend(scale.and_then(|name| UNITS.get(Mark::of(name))));
    }
    for token in &reading.tokens {
        let compound = token.text.split('-').skip(1).filter(|_| token.counted);
        let parts = compound.filter_map(|part| UNITS.get(Mark::of(part)));
        let whole = (!token.counted || token.text == "%" || token.text == "percent")
            .then(|| of(token.text, token.mark));
        for unit in parts.chain(whole.flatten()) {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
    }
    units
}

/// Whether one thing is measured in other units.
pub(super) fn differ(a: &[Unit], b: &[Unit]) -> bool {
    let of = |units: &[Unit], dimension| -> Vec<Unit> {
        units
            .iter()
            .copied()
            .filter(|unit| unit.dimension == dimension)
            .collect()
    };
    let shared = a.iter().map(|unit| unit.dimension);
    shared
        .into_iter()
        .any(|dimension| cross(&of(a, dimension), &of(b, dimension)))
}

/// The dimension of money: names of currencies are units, not names.
pub(super) const MONEY: u8 = 6;

static UNITS: LazyLock<Table<Unit>> = LazyLock::new(|| {
    Table::of(NAMES.iter().map(|(dimension, names)| {
        let first = names.split(' ').next().unwrap_or_default();
        (
            *names,
            Unit {
                dimension: *dimension,
                name: Mark::of(first),
            },
        )
    }))
});

const SIGNS: [(&str, u8, &str); 6] = [
    ("%", 7, "percent"),
    ("$", MONEY, "usd"),
    ("€", MONEY, "eur"),
    ("£", MONEY, "gbp"),
    ("¥", MONEY, "jpy"),
    ("₹", MONEY, "inr"),
];

/// The first word of each list names the unit.
const NAMES: &[(u8, &str)] = &[
    // time
    (0, "µs μs usec microsecond microseconds"),
    (0, "ms millisecond milliseconds msec"),
    (
        0,
        "sec secs second seconds segundo segundos sekunde sekunden seconde secondes 秒",
    ),
    (0, "min mins minute minutes minuto minutos minuten"),
    (
        0,
        "hr hrs hour hours hourly hora horas stunde stunden heure heures",
    ),
    (
        0,
        "day days daily día días dia dias tag tage tagen jour jours 天 日",
    ),
    (
        0,
        "week weeks weekly semana semanas woche wochen semaine semaines 周",
    ),
    (
        0,
        "month months monthly mes meses monat monate monaten mois 月",
    ),
    (0, "quarter quarters quarterly"),
    (
        0,
        "year years yearly annual annually annum año años jahr jahre jahren ans année années 年",
    ),
    // length
    (1, "mm millimeter millimeters millimetre"),
    (1, "cm centimeter centimeters centimetre centimetres"),
    (1, "meter meters metre metres"),
    (1, "km kilometer kilometers kilometre kilometres kms"),
    (1, "mile miles"),
    (1, "nautical"),
    (1, "foot feet ft"),
    (1, "inch inches"),
    (1, "yard yards"),
    // mass
    (2, "mcg µg μg microgram micrograms"),
    (2, "mg milligram milligrams"),
    (2, "gram grams gramme grammes gramos gramm"),
    (2, "kg kilo kilos kilogram kilograms kilogramm"),
    (2, "lb lbs pound pounds"),
    (2, "oz ounce ounces"),
    (2, "ton tons tonne tonnes"),
    // volume
    (3, "ml milliliter milliliters millilitre"),
    (3, "cl"),
    (3, "liter liters litre litres litro litros"),
    (3, "gal gallon gallons"),
    (3, "cup cups"),
    (3, "tbsp tablespoon tablespoons"),
    (3, "tsp teaspoon teaspoons"),
    // bytes
    (4, "kb kilobyte kilobytes"),
    (4, "mb megabyte megabytes"),
    (4, "gb gigabyte gigabytes"),
    (4, "tb terabyte terabytes"),
    // temperature
    (5, "celsius centigrade"),
    (5, "fahrenheit"),
    // money
    (MONEY, "usd dollar dollars dólar dólares bucks"),
    (MONEY, "eur euro euros"),
    (MONEY, "gbp sterling"),
    (MONEY, "jpy yen"),
    (MONEY, "chf franc francs"),
    (MONEY, "cny yuan rmb 元"),
    (MONEY, "inr rupee rupees"),
    (MONEY, "btc bitcoin bitcoins"),
    (MONEY, "eth ether ethereum"),
    // share
    (7, "percent"),
];
