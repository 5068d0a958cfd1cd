//! Tree to text. The canonical text is the one spelling of a value: compact, members sorted by the
//! bytes of their names, numbers by value, one way to escape. It never drops or adds a member.

use std::borrow::Cow;

use super::{EXACT_BELOW, Json, Number};

/// The canonical text of a value, ready to be hashed. Two texts of one meaning have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// The canonical text of a whole value.
    pub fn of(value: &Json<'_>) -> Canonical {
        let mut out = Vec::with_capacity(512);
        write_canonical(value, &mut out);
        Canonical(out)
    }

    /// The canonical text of an object made of these members, of about that many bytes.
    pub(crate) fn of_members<'t>(
        members: impl Iterator<Item = (&'t str, &'t Json<'t>)>,
        bytes_hint: usize,
    ) -> Canonical {
        let mut out = Vec::with_capacity(bytes_hint);
        write_sorted(members, &mut out);
        Canonical(out)
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn write_canonical(value: &Json<'_>, out: &mut Vec<u8>) {
    match value {
        Json::Number(number) => write_by_value(*number, out),
        Json::List(items) => write_list(items, out, write_canonical),
        Json::Object(members) => {
            write_sorted(members.iter().map(|(name, value)| (&**name, value)), out);
        }
        Json::Null | Json::Bool(_) | Json::Text(_) => write_word(value, out),
    }
}

/// Up to this many members are sorted without an allocation; most objects have fewer.
const SORTED_IN_PLACE_MAX: usize = 12;

type Pair<'t> = (&'t str, &'t Json<'t>);

fn write_sorted<'t>(members: impl Iterator<Item = Pair<'t>>, out: &mut Vec<u8>) {
    let mut first = [("", &Json::Null); SORTED_IN_PLACE_MAX];
    let mut members = members.fuse();
    let mut count = 0;
    for (place, pair) in first.iter_mut().zip(members.by_ref()) {
        *place = pair;
        count += 1;
    }
    let (first, _) = first.split_at_mut(count);
    match members.next() {
        None => write_in_order(first, out),
        Some(next) => {
            let mut all = first.to_vec();
            all.push(next);
            all.extend(members);
            write_in_order(&mut all, out);
        }
    }
}

fn write_in_order(members: &mut [Pair<'_>], out: &mut Vec<u8>) {
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        write_separator(at, out);
        write_text(name, out);
        out.push(b':');
        write_canonical(value, out);
    }
    out.push(b'}');
}

/// The value's text with its members in their own order.
pub(super) fn write_plain(value: &Json<'_>, out: &mut Vec<u8>) {
    match value {
        Json::Number(number) => write_as_spelled(*number, out),
        Json::List(items) => write_list(items, out, write_plain),
        Json::Object(members) => write_members(members, out),
        Json::Null | Json::Bool(_) | Json::Text(_) => write_word(value, out),
    }
}

fn write_members(members: &[(Cow<'_, str>, Json<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        write_separator(at, out);
        write_text(name, out);
        out.push(b':');
        write_plain(value, out);
    }
    out.push(b'}');
}

fn write_list(items: &[Json<'_>], out: &mut Vec<u8>, write: fn(&Json<'_>, &mut Vec<u8>)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        write_separator(at, out);
        write(item, out);
    }
    out.push(b']');
}

fn write_word(value: &Json<'_>, out: &mut Vec<u8>) {
    match value {
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Text(text) => write_text(text, out),
        _ => out.extend_from_slice(b"null"),
    }
}

/// A comma before every item but the first.
pub(crate) fn write_separator(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

/// A quoted string. Only what must be escaped is: quote, backslash and control characters. Runs
/// between them are copied whole, since prompts are long and escapes few.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        write_escape(*byte, out);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Looks at a block of bytes without a branch between them, which the compiler turns into vector
/// instructions; only a block that has one is searched.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 16;
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let has_one = |block: &[u8; BLOCK]| {
        block
            .iter()
            .fold(false, |has, byte| has | must_escape(*byte))
    };
    if let Some(at) = blocks.iter().position(has_one) {
        let from = at * BLOCK;
        return blocks[at]
            .iter()
            .position(|byte| must_escape(*byte))
            .map(|at| from + at);
    }
    let from = bytes.len() - tail.len();
    tail.iter()
        .position(|byte| must_escape(*byte))
        .map(|at| from + at)
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => return write_code(byte, out),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_code(byte: u8, out: &mut Vec<u8>) {
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        }
    };
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
}

/// `1`, `1.0` and `1e0` are one number, `0` and `-0.0` too.
fn write_by_value(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Float(float) if float.fract() == 0.0 && float.abs() < EXACT_BELOW => {
            #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^53")]
            write_number(&(float as i64), out);
        }
        other => write_as_spelled(other, out),
    }
}

/// Integers as such, doubles as the shortest text that reads back as the same double.
fn write_as_spelled(number: Number, out: &mut Vec<u8>) {
    match number {
        Number::Unsigned(number) => write_number(&number, out),
        Number::Negative(number) => write_number(&number, out),
        Number::Float(number) => write_number(&number, out),
    }
}

fn write_number<N: serde::Serialize>(number: &N, out: &mut Vec<u8>) {
    let before = out.len();
    // A Vec takes every byte and the parser makes finite numbers only; were it otherwise, the text
    // must still be JSON.
    if serde_json::to_writer(&mut *out, number).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}
