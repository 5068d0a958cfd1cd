//! JSON as fgy reads it: one tree, strict enough to make a key from. It never repairs a text, never
//! quotes it in an error, and never decides what a member means.
//!
//! Three outcomes: an understood tree; a tree whose numbers a 64-bit reader cannot tell apart (not
//! understood: pass it through, make no key of it); or a malformed text.

mod canonical;
mod limits;
mod parse;
mod spans;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use canonical::Canonical;
pub(crate) use canonical::{write_separator, write_text};
pub use limits::{DEPTH_LEVELS_MAX, Malformed};
pub use parse::{Parsed, parse};
pub use spans::{Member, cut_of, elements, members};

/// From here on a double no longer tells neighbouring integers apart: 2^53.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// A JSON value; strings without escapes are borrowed from the text, members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// a number, see [`Number`]
    Number(Number),
    /// a string, unescaped
    Text(Cow<'a, str>),
    /// an array
    List(Vec<Json<'a>>),
    /// an object: its members in the order of the text, no name twice
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A number as it was spelled: without fraction and exponent it is exact, else the nearest double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// an integer from 0 to 2^64 - 1
    Unsigned(u64),
    /// an integer from -2^63 to -1
    Negative(i64),
    /// anything spelled with a fraction or an exponent, and what no integer type holds
    Float(f64),
}

impl Number {
    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "asked for by name")]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Unsigned(number) => number as f64,
            Number::Negative(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

impl<'a> Json<'a> {
    /// The member of this name, if this is an object that has it.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        self.as_object()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub fn as_list(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a non-negative integer spelled as one.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Json::Number(Number::Unsigned(number)) => Some(*number),
            _ => None,
        }
    }

    /// The same value owning all its strings.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(flag) => Json::Bool(flag),
            Json::Number(number) => Json::Number(number),
            Json::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Json::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Json::Object(members) => Json::Object(members.into_iter().map(own_member).collect()),
        }
    }

    /// Appends the compact text, members in their own order, numbers as they were spelled.
    pub fn write(&self, out: &mut Vec<u8>) {
        canonical::write_plain(self, out);
    }

    /// The compact text as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

fn own_member<'a>((key, value): (Cow<'a, str>, Json<'a>)) -> (Cow<'static, str>, Json<'static>) {
    (Cow::Owned(key.into_owned()), value.into_owned())
}
