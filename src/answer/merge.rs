//! How a value that arrives in pieces grows. The rules know JSON and a few words of the wire (what
//! is always sent whole); which members arrive in pieces is decided by `fold`.

use std::borrow::Cow;

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

/// Sent whole, and by some providers again and again, where all else arrives in pieces.
const WHOLE: [&str; 4] = ["role", "id", "type", "index"];

/// Takes a member in.
pub(super) fn merge_member(
    members: &mut Members,
    name: Cow<'static, str>,
    value: Json<'static>,
    texts: Texts,
) {
    let texts = if WHOLE.contains(&name.as_ref()) {
        Texts::Replace
    } else {
        texts
    };
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) if name == "name" => merge_name(known, value),
        Some((_, known)) => merge(known, value, texts),
        None => members.push((name, value)),
    }
}

/// Takes a value in: null says nothing, lists and objects grow, numbers and flags are said anew.
pub(super) fn merge(known: &mut Json<'static>, value: Json<'static>, texts: Texts) {
    match (known, value) {
        (_, Json::Null) => {}
        // An empty text never takes back what was said.
        (Json::Text(_), Json::Text(more)) if more.is_empty() => {}
        (Json::Text(text), Json::Text(more)) if texts == Texts::Append => {
            text.to_mut().push_str(&more);
        }
        (Json::List(items), Json::List(more)) => items.extend(more),
        (Json::Object(members), Json::Object(more)) => {
            for (name, value) in more {
                merge_member(members, name, value, texts);
            }
        }
        (known, value) => *known = value,
    }
}

/// A function's name comes whole or in pieces; some providers repeat it whole with every piece.
fn merge_name(known: &mut Json<'static>, value: Json<'static>) {
    if *known != value {
        merge(known, value, Texts::Append);
    }
}
