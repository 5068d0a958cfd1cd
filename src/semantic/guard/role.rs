//! Who does what to whom, where from and where to: what stands behind "from", "to", "than", "by".
//! The same words with the roles exchanged are another prompt.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table, meet};
use super::stem::Stem;
use super::synonym;
use super::token::{Kind, Token};
use super::unit;
use super::word;

/// A role a word plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Role {
    From,
    To,
    Than,
    By,
    Minus,
    Before,
    After,
    Against,
}

impl Role {
    pub(super) const ALL: [Self; 8] = [
        Self::From,
        Self::To,
        Self::Than,
        Self::By,
        Self::Minus,
        Self::Before,
        Self::After,
        Self::Against,
    ];
}

/// A word in its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) word: Mark,
}

/// How far behind a direction word its argument may stand.
const REACH: usize = 5;

pub(super) fn read(reading: &Reading<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let tokens = &reading.tokens;
    for (at, token) in tokens.iter().enumerate() {
        if let Some(Some(role)) = DIRECTIONS.get(token.mark) {
            let wanted = if matches!(role, Role::From | Role::To) {
                1
            } else {
                3
            };
            for word in arguments(&tokens[at + 1..]).take(wanted) {
                add(&mut parts, role, word);
            }
        }
        for (role, word) in between(tokens, at) {
            add(&mut parts, role, word);
        }
        if let Some((role, word)) = han(tokens, at).or_else(|| movement(tokens, at)) {
            add(&mut parts, role, word);
        }
    }
    parts
}

fn add(parts: &mut Vec<Part>, role: Role, word: Mark) {
    let part = Part { role, word };
    if !parts.contains(&part) {
        parts.push(part);
    }
}

/// The content words that follow, up to the next direction or break.
fn arguments<'t>(rest: &'t [Token<'_>]) -> impl Iterator<Item = Mark> + 't {
    let near = rest.iter().take(REACH);
    let own = near.take_while(|token| {
        !DIRECTIONS.has(token.mark)
            && !matches!(
                token.text,
                "and" | "or" | "," | "?" | "." | ";" | "und" | "y" | "et"
            )
    });
    own.filter(|token| {
        token.speaks() && !word::is_stop(token.mark) || matches!(token.text, "$" | "€" | "£")
    })
    .map(argument)
}

fn argument(token: &Token<'_>) -> Mark {
    match token.kind {
        Kind::Number => Mark::of(token.text.trim_end_matches(".0")),
        Kind::Sign => unit::of(token.text, token.mark).map_or(token.mark, |unit| unit.name),
        Kind::Word | Kind::Han => {
            synonym::of(token.mark).unwrap_or_else(|| Stem::of(token.text).mark())
        }
    }
}

/// "de Lyon à Nice", "du français vers l'anglais", "100 EUR to USD": words that lead from one place to
/// another only where both stand.
fn between(tokens: &[Token<'_>], at: usize) -> Vec<(Role, Mark)> {
    let is = |token: &Token<'_>, words: &[&str]| words.contains(&token.text);
    let from = &tokens[at];
    let romance = is(from, &["de", "du", "del", "des"]);
    let near =
        tokens.iter().skip(at + 1).take(4).position(|token| {
            is(token, &["à", "a", "au", "al", "aux", "vers", "hacia"]) && romance
        });
    if let Some(to) = near {
        let first = |rest: &[Token<'_>]| arguments(rest).next();
        let ends = (
            first(&tokens[at + 1..at + 1 + to]),
            first(&tokens[at + 2 + to..]),
        );
        if let (Some(from), Some(to)) = ends {
            return vec![(Role::From, from), (Role::To, to)];
        }
    }
    let led = |to: &Token<'_>| is(to, &["to", "into", "in"]) && unit::is(from.mark);
    let money = tokens
        .get(at + 1..at + 3)
        .filter(|next| led(&next[0]) && unit::is(next[1].mark));
    money.map_or_else(Vec::new, |next| {
        vec![(Role::From, argument(from)), (Role::To, argument(&next[1]))]
    })
}

/// Chinese places are taken to be of two characters.
fn han(tokens: &[Token<'_>], at: usize) -> Option<(Role, Mark)> {
    let role = match tokens[at].text {
        "从" => Role::From,
        "到" | "去" | "往" => Role::To,
        _ => return None,
    };
    let place = tokens.get(at + 1..at + 3)?;
    let named = place.iter().all(|token| token.kind == Kind::Han);
    named.then(|| (role, place[0].mark.and(place[1].mark)))
}

/// "leaving Paris", "departs Oslo", "out of Rome"; "arriving in Rome", "landing at Oslo".
fn movement(tokens: &[Token<'_>], at: usize) -> Option<(Role, Mark)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let named = |at: usize| {
        let token = tokens.get(at)?;
        (token.kind == Kind::Word && token.text.chars().count() >= 3).then(|| argument(token))
    };
    match text(at) {
        "leaving" | "leave" | "leaves" | "departing" | "depart" | "departs" => {
            let next = text(at + 1);
            let onward = ["from", "on", "at", "in", "the", "before", "after", "for"];
            (!onward.contains(&next)).then_some((Role::From, named(at + 1)?))
        }
        "out" if text(at + 1) == "of" => Some((Role::From, named(at + 2)?)),
        word if word.starts_with("arriv") || word.starts_with("land") => {
            matches!(text(at + 1), "at" | "in").then_some((Role::To, named(at + 2)?))
        }
        _ => None,
    }
}

fn of(parts: &[Part], role: Role) -> Vec<Mark> {
    parts
        .iter()
        .filter(|part| part.role == role)
        .map(|part| part.word)
        .collect()
}

/// Whether what one side goes from is what the other goes to.
pub(super) fn reversed(a: &[Part], b: &[Part]) -> bool {
    let turned = |role, back| {
        let (here, there) = (of(a, role), of(b, role));
        meet(&here, &of(b, back)) && !meet(&here, &there)
    };
    turned(Role::From, Role::To) || turned(Role::To, Role::From)
}

/// Whether a role that both sides fill is filled by other words.
pub(super) fn differ(a: &[Part], b: &[Part]) -> bool {
    [Role::Than, Role::By, Role::Minus, Role::Before, Role::After]
        .into_iter()
        .any(|role| {
            let (a, b) = (of(a, role), of(b, role));
            !a.is_empty() && !b.is_empty() && !meet(&a, &b)
        })
}

/// `None`: ends another's argument, and has none of its own.
static DIRECTIONS: LazyLock<Table<Option<Role>>> = LazyLock::new(|| {
    Table::of([
        ("from von aus desde depuis", Some(Role::From)),
        ("to into nach hacia vers", Some(Role::To)),
        ("than", Some(Role::Than)),
        ("after", Some(Role::After)),
        ("before", Some(Role::Before)),
        ("by", Some(Role::By)),
        ("against", Some(Role::Against)),
        ("minus", Some(Role::Minus)),
        ("in with de à", None),
    ])
});
