//! Verbs that a small word turns round: turn on, turn off; log in, log out.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table};
use super::stem::Stem;
use super::token::Kind;
use super::word;

/// How many words may stand between the verb and its particle, itself included.
const REACH: usize = 4;

/// A verb with its particles, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) verb: Mark,
    pub(super) particles: u8,
}

pub(super) fn read(reading: &Reading<'_>) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let tokens = &reading.tokens;
    let verbs = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| VERBS.has(token.mark));
    for (at, token) in verbs {
        let reach = tokens.iter().skip(at + 1).take(REACH);
        let mut own =
            reach
                .map(|token| (particle(token.text), token))
                .take_while(|(turn, token)| {
                    let ends = VERBS.has(token.mark)
                        || token.kind == Kind::Sign && ".,;?!".contains(token.text);
                    turn.is_some() || !ends
                });
        let Some(particle) = own.find_map(|(turn, _)| turn) else {
            continue;
        };
        let verb = Stem::of(token.text).mark();
        match turns.iter_mut().find(|turn| turn.verb == verb) {
            Some(turn) => turn.particles |= particle,
            None => turns.push(Turn {
                verb,
                particles: particle,
            }),
        }
    }
    turns
}

impl Turn {
    /// The one word that says the same: "turn on" enables.
    pub(super) fn meaning(self) -> Option<Mark> {
        let turns = ["turn", "switch"]
            .iter()
            .any(|verb| Mark::of(verb) == self.verb);
        let words = [
            (ON, "enable"),
            (OFF, "disable"),
            (UP, "increase"),
            (DOWN, "decrease"),
        ];
        let word = words
            .iter()
            .find(|(particle, _)| turns && *particle == self.particles);
        word.map(|(_, word)| word::key(word))
    }
}

const ON: u8 = 1;
const OFF: u8 = 2;
const UP: u8 = 4;
const DOWN: u8 = 8;

/// Whether a verb that both sides have is turned another way.
pub(super) fn differ(a: &[Turn], b: &[Turn]) -> bool {
    a.iter().any(|a| {
        b.iter()
            .any(|b| a.verb == b.verb && a.particles & b.particles == 0)
    })
}

fn particle(word: &str) -> Option<u8> {
    let particles = ["on", "off", "up", "down", "in", "out", "back", "over"];
    match particles.iter().position(|particle| *particle == word) {
        Some(at) => Some(1 << at),
        // `away` and `back` lead the same way.
        None => (word == "away").then_some(1 << 6),
    }
}

static VERBS: LazyLock<Table<()>> = LazyLock::new(|| {
    Table::of([
        (
            "turn turned turning switch switched set shut log logged sign signed scale bring pick",
            (),
        ),
        (
            "put take check look run break opt roll ramp dial crank zoom scroll fill hand back go",
            (),
        ),
        ("come move", ()),
    ])
});
