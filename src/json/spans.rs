//! Where the members of an object and the items of an array lie in the text, so that one of them
//! can be cut out or replaced while every other byte stays as its author wrote it. Only the top
//! level is named; what is inside is skipped, checked for grammar alone.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Malformed;
use super::parse::Name;

/// A member of an object in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// its name, unescaped
    pub name: Cow<'a, str>,
    /// the text of its value
    pub raw: &'a str,
    /// where the text of name, colon and value lies
    pub span: Range<usize>,
}

impl Member<'_> {
    /// Where the text of the value lies.
    pub fn value_span(&self) -> Range<usize> {
        self.span.end - self.raw.len()..self.span.end
    }
}

/// The members of the object that this text is, in their order. Twins are not looked for.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, Malformed> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(RawMembers);
    let raws = read.and_then(|raws| reader.end().map(|()| raws));
    let mut members = Vec::new();
    let mut after = 0;
    for (name, raw) in raws.map_err(|error| Malformed::of(&error))? {
        let end = offset(text, raw) + raw.len();
        // Between the last value and this name lie only white space and one of `{` and `,`.
        let gap = text.get(after..end).unwrap_or_default();
        let start = after + gap.find('"').unwrap_or_default();
        members.push(Member {
            name,
            raw,
            span: start..end,
        });
        after = end;
    }
    Ok(members)
}

/// What to cut from the text so that this member is gone and the rest is still an object: the member
/// and one comma beside it. `None` if there is no such member.
pub fn cut_of(members: &[Member<'_>], name: &str) -> Option<Range<usize>> {
    let at = members.iter().position(|member| member.name == name)?;
    let span = members.get(at)?.span.clone();
    let before = at.checked_sub(1).and_then(|before| members.get(before));
    match (before, members.get(at + 1)) {
        (Some(before), _) => Some(before.span.end..span.end),
        (None, Some(after)) => Some(span.start..after.span.start),
        (None, None) => Some(span),
    }
}

/// The texts of the items of the array that this text is, in their order.
pub fn elements(text: &str) -> Result<Vec<&str>, Malformed> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_seq(RawItems);
    let items = read.and_then(|items| reader.end().map(|()| items));
    items.map_err(|error| Malformed::of(&error))
}

/// Both lie in one allocation: the reader hands out slices of the text it was given.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

struct RawMembers;

impl<'de> Visitor<'de> for RawMembers {
    type Value = Vec<(Cow<'de, str>, &'de str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(name) = entries.next_key_seed(Name)? {
            members.push((name, entries.next_value::<&'de RawValue>()?.get()));
        }
        Ok(members)
    }
}

struct RawItems;

impl<'de> Visitor<'de> for RawItems {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(raw) = entries.next_element::<&'de RawValue>()? {
            items.push(raw.get());
        }
        Ok(items)
    }
}
