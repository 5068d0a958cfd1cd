//! Text to tree, through serde_json with our own visitor: its `Value` would copy every string, keep
//! the last of two equal names and blur large numbers in silence. This one never does.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_LEVELS_MAX, EXACT_BELOW, Json, Malformed, Number};

/// Up to this many members pairwise comparison beats sorting.
const PAIRWISE_MEMBERS_MAX: usize = 12;

/// A grammatical text.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed<'a> {
    /// every number and string is held exactly
    Understood(Json<'a>),
    /// some number was rounded: good enough to look at, not to make a key from
    Rounded(Json<'a>),
    /// no tree holds it: a number beyond a double, or half of a surrogate pair
    Unheld,
}

impl<'a> Parsed<'a> {
    /// The tree if it is exact.
    pub fn understood(self) -> Option<Json<'a>> {
        match self {
            Parsed::Understood(tree) => Some(tree),
            Parsed::Rounded(_) | Parsed::Unheld => None,
        }
    }

    /// The tree, be it rounded.
    pub fn tree(self) -> Option<Json<'a>> {
        match self {
            Parsed::Understood(tree) | Parsed::Rounded(tree) => Some(tree),
            Parsed::Unheld => None,
        }
    }
}

/// Reads one JSON value and nothing after it.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed::not_utf8(bytes, error))?;
    let walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    // Depth is counted by `Walk`, which allows exactly what the contract promises.
    reader.disable_recursion_limit();
    let read = Seed {
        walk: &walk,
        depth: 0,
    }
    .deserialize(&mut reader)
    .and_then(|tree| reader.end().map(|()| tree));
    match read {
        Ok(tree) if walk.rounded.get() => Ok(Parsed::Rounded(tree)),
        Ok(tree) => Ok(Parsed::Understood(tree)),
        // Our own complaint stands; the reader's own may be about a value that JSON allows.
        Err(_) if !walk.complained.get() && is_grammatical(text) => Ok(Parsed::Unheld),
        Err(error) => Err(Malformed::of(&error)),
    }
}

/// Skipping checks the grammar alone, without recursion, and never converts a value.
fn is_grammatical(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// What the visitors learn on the way.
#[derive(Default)]
struct Walk {
    rounded: Cell<bool>,
    complained: Cell<bool>,
}

impl Walk {
    fn complain<E: serde::de::Error>(&self, what: &str) -> E {
        self.complained.set(true);
        E::custom(what)
    }

    /// Takes a double in; what it stands for is certain only below 2^53.
    fn weigh(&self, number: f64) -> Number {
        if number.abs() >= EXACT_BELOW {
            self.rounded.set(true);
        }
        Number::Float(number)
    }
}

/// One value at this depth.
#[derive(Clone, Copy)]
struct Seed<'w> {
    walk: &'w Walk,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_LEVELS_MAX {
            return Err(self.walk.complain("nested too deep"));
        }
        Ok(Seed {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Unsigned(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(match u64::try_from(number) {
            Ok(number) => Number::Unsigned(number),
            Err(_) => Number::Negative(number),
        }))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(self.walk.weigh(number)))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let seed = self.deeper()?;
        let mut members = Vec::with_capacity(4);
        while let Some(name) = entries.next_key_seed(Name)? {
            members.push((name, entries.next_value_seed(seed)?));
        }
        if has_twins(&members) {
            return Err(self.walk.complain("a name twice in one object"));
        }
        Ok(Json::Object(members))
    }
}

fn has_twins(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if members.len() <= PAIRWISE_MEMBERS_MAX {
        let mut rest = members;
        while let [(name, _), tail @ ..] = rest {
            if tail.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = tail;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair.first() == pair.last())
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
