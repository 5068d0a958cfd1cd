//! The top-level `usage` of a payload, cut out and put back. Providers send it on every chunk once
//! asked, mostly as null and mostly at the same place: then it costs one byte a chunk.

use std::ops::Range;

use super::Chunk;
use crate::answer::Malformed;
use crate::answer::bytes::{Reader, write_varint};
use crate::json;

const NOTHING: u8 = 0;
const AS_BEFORE: u8 = 1;
const ANEW: u8 = 2;

/// Where in a payload the usage stands.
pub(super) enum Found {
    /// nowhere
    Nothing,
    /// here, its comma included
    Member(Range<usize>),
    /// the payload is for the usage alone: no choice in it
    Alone,
}

/// Looks for `usage`; most payloads of most providers are told without reading JSON.
pub(super) fn find(payload: &str) -> Found {
    if !payload.contains("usage") {
        return Found::Nothing;
    }
    let Ok(members) = json::members(payload) else {
        return Found::Nothing;
    };
    let raw = |name: &str| {
        members
            .iter()
            .find(|member| member.name == name)
            .map(|one| one.raw)
    };
    let no_choice = raw("choices").is_some_and(is_empty_list);
    if no_choice && raw("usage").is_some_and(|usage| usage.starts_with('{')) {
        return Found::Alone;
    }
    let twins = members
        .iter()
        .filter(|member| member.name == "usage")
        .count()
        > 1;
    match json::cut_of(&members, "usage") {
        Some(span) if !twins => Found::Member(span),
        _ => Found::Nothing,
    }
}

fn is_empty_list(raw: &str) -> bool {
    let inside = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// What was cut out, and how far from the end of what is left it stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    from_end: usize,
    text: String,
}

impl Cut {
    pub(super) fn of(payload: &str, span: Range<usize>) -> Cut {
        let from_end = payload.len() - span.end;
        Cut {
            from_end,
            text: payload.get(span).unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn write_after(&self, before: &Cut, out: &mut Vec<u8>) {
        if self == before {
            return out.push(AS_BEFORE);
        }
        out.push(ANEW);
        write_varint(self.from_end, out);
        write_varint(self.text.len(), out);
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Takes the next cut in; whether there is one.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<bool, Malformed> {
        match reader.byte()? {
            NOTHING => Ok(false),
            AS_BEFORE => Ok(true),
            ANEW => {
                self.from_end = reader.varint()?;
                let length = reader.varint()?;
                self.text = reader.text(length)?.to_owned();
                Ok(true)
            }
            _ => Err(Malformed("a chunk of an unknown cut")),
        }
    }

    /// The payload with the cut between its two halves.
    pub(super) fn split<'r>(&'r self, text: &'r str) -> Result<Chunk<'r>, Malformed> {
        let at = text.len().checked_sub(self.from_end);
        let halves = at.and_then(|at| text.split_at_checked(at));
        let (before, after) = halves.ok_or(Malformed("a chunk is cut outside of its text"))?;
        Ok(Chunk {
            before,
            usage: &self.text,
            after,
        })
    }
}

/// Says that a payload has no usage.
pub(super) fn write_nothing(out: &mut Vec<u8>) {
    out.push(NOTHING);
}
