//! How a value that arrives in pieces grows. The rules know JSON and a few words of the wire (what
//! is always sent whole); which members arrive in pieces is decided by `fold`.

use std::borrow::Cow;

use super::Malformed;
use crate::json::Json;

/// The members of an object that is being put together.
pub(super) type Members = Vec<(Cow<'static, str>, Json<'static>)>;

/// What two strings of one member make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// the second goes on where the first ended
    Append,
    /// the second says it anew
    Replace,
}

/// How many members one object may grow to, choices one answer, calls one message. Each piece is
/// looked up among those before it, so a hostile stream would otherwise cost the square of its length.
pub(super) const PARTS_COUNT_MAX: usize = 4_096;

const TOO_MANY: Malformed = Malformed("an answer has too many parts");

/// Whether one part more fits.
pub(super) fn room(parts: usize) -> Result<(), Malformed> {
    if parts < PARTS_COUNT_MAX {
        Ok(())
    } else {
        Err(TOO_MANY)
    }
}

/// Sent whole, and by some providers again and again, where all else arrives in pieces.
const WHOLE: [&str; 4] = ["role", "id", "type", "index"];

/// Takes a member in.
pub(super) fn merge_member(
    members: &mut Members,
    name: Cow<'static, str>,
    value: Json<'static>,
    texts: Texts,
) -> Result<(), Malformed> {
    let texts = if WHOLE.contains(&name.as_ref()) {
        Texts::Replace
    } else {
        texts
    };
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) if name == "name" => merge_name(known, value),
        Some((_, known)) => merge(known, value, texts),
        None => {
            room(members.len())?;
            members.push((name, value));
            Ok(())
        }
    }
}

/// Takes a value in: null says nothing, lists and objects grow, numbers and flags are said anew.
fn merge(known: &mut Json<'static>, value: Json<'static>, texts: Texts) -> Result<(), Malformed> {
    match (known, value) {
        (_, Json::Null) => {}
        // An empty text never takes back what was said.
        (Json::Text(_), Json::Text(more)) if more.is_empty() => {}
        (Json::Text(text), Json::Text(more)) if texts == Texts::Append => {
            text.to_mut().push_str(&more);
        }
        (Json::List(items), Json::List(more)) => items.extend(more),
        (Json::Object(members), Json::Object(more)) => {
            room(members.len().max(more.len()))?;
            for (name, value) in more {
                merge_member(members, name, value, texts)?;
            }
        }
        (known, value) => *known = value,
    }
    Ok(())
}

/// A function's name comes whole or in pieces; some providers repeat it whole with every piece.
fn merge_name(known: &mut Json<'static>, value: Json<'static>) -> Result<(), Malformed> {
    if *known == value {
        Ok(())
    } else {
        merge(known, value, Texts::Append)
    }
}
