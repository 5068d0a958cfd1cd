//! The chunks of a stream into the one JSON answer a plain caller would have got. Nothing is left
//! out: members nobody has heard of are kept, texts appended, lists extended, numbers said anew.
//! The one thing lost is a tool call's own `index`, which in a plain answer is its place.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use super::Malformed;
use super::merge::{Members, Texts, merge_member, room};
use crate::json::{self, Json, Parsed};

/// A stream being folded, chat or completions.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    top: Members,
    choices: Vec<Choice>,
    saw_choices: bool,
    rounded: bool,
}

#[derive(Clone, Debug, Default)]
struct Choice {
    index: u64,
    /// what stands beside the message
    members: Members,
    /// the deltas so far; `None` for a legacy completion
    message: Option<Members>,
    calls: Vec<Call>,
}

/// A tool call whose arguments arrive in pieces.
#[derive(Clone, Debug)]
struct Call {
    index: u64,
    members: Members,
}

impl Fold {
    /// Before the first chunk.
    pub fn new() -> Fold {
        Fold::default()
    }

    /// Takes the next payload in.
    pub fn push(&mut self, payload: &str) -> Result<(), Malformed> {
        const NOT_A_CHUNK: Malformed = Malformed("a payload of the stream is no JSON object");
        let parsed = json::parse(payload.as_bytes()).map_err(|_| NOT_A_CHUNK)?;
        self.rounded |= matches!(parsed, Parsed::Rounded(_));
        match parsed.tree().map(Json::into_owned) {
            Some(Json::Object(members)) => self.take(members),
            _ => Err(NOT_A_CHUNK),
        }
    }

    /// Whether some number of the stream is kept only nearly.
    pub fn is_rounded(&self) -> bool {
        self.rounded
    }

    fn take(&mut self, members: Members) -> Result<(), Malformed> {
        for (name, value) in members {
            match (name.as_ref(), value) {
                ("choices", Json::List(choices)) => {
                    self.saw_choices = true;
                    for choice in choices {
                        self.take_choice(choice)?;
                    }
                }
                ("choices", Json::Null) => {}
                ("choices", _) => return Err(Malformed("the choices of the stream are no list")),
                // Sent whole each time; what a later chunk says anew holds.
                (_, value) => set_whole(&mut self.top, name, value)?,
            }
        }
        Ok(())
    }

    fn take_choice(&mut self, choice: Json<'static>) -> Result<(), Malformed> {
        let index = choice.member("index").map_or(Some(0), Json::as_u64);
        let (Some(index), Json::Object(members)) = (index, choice) else {
            return Err(Malformed("a choice of the stream has no index"));
        };
        room(self.choices.len())?;
        let known = self.choices.iter().position(|known| known.index == index);
        let at = known.unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
            self.choices.len() - 1
        });
        if let Some(known) = self.choices.get_mut(at) {
            for (name, value) in members {
                known.take(name, value)?;
            }
        }
        Ok(())
    }

    /// The answer so far, as a tree.
    pub fn tree(mut self) -> Json<'static> {
        self.choices.sort_by_key(|choice| choice.index);
        let choices = self.choices.into_iter().map(Choice::tree).collect();
        for (name, value) in &mut self.top {
            if name == "object" && value.as_text() == Some("chat.completion.chunk") {
                *value = Json::Text(Cow::Borrowed("chat.completion"));
            }
        }
        if self.saw_choices {
            self.top
                .push((Cow::Borrowed("choices"), Json::List(choices)));
            usage_last(&mut self.top);
        }
        Json::Object(self.top)
    }

    /// The answer so far, as a body.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.tree().to_bytes())
    }
}

impl Choice {
    fn take(&mut self, name: Cow<'static, str>, value: Json<'static>) -> Result<(), Malformed> {
        match (name.as_ref(), value) {
            ("delta", Json::Object(delta)) => return self.take_delta(delta),
            ("delta", Json::Null) => {}
            ("delta", _) => return Err(Malformed("a delta of the stream is no object")),
            ("text" | "logprobs", value) => {
                merge_member(&mut self.members, name, value, Texts::Append)?;
            }
            // `finish_reason`, filter results and whatever else a choice carries.
            (_, value) => merge_member(&mut self.members, name, value, Texts::Replace)?,
        }
        Ok(())
    }

    fn take_delta(&mut self, delta: Members) -> Result<(), Malformed> {
        let mut pieces = Vec::new();
        let message = self.message.get_or_insert_default();
        for (name, value) in delta {
            match (name.as_ref(), value) {
                ("tool_calls", Json::List(list)) => {
                    // Only its place in the message: the calls are put in when all have arrived.
                    set_whole(message, name, Json::List(Vec::new()))?;
                    pieces = list;
                }
                (_, value) => merge_member(message, name, value, Texts::Append)?,
            }
        }
        pieces
            .into_iter()
            .try_for_each(|piece| self.take_call(piece))
    }

    fn take_call(&mut self, piece: Json<'static>) -> Result<(), Malformed> {
        let index = self.index_of(&piece);
        let Json::Object(members) = piece else {
            return Err(Malformed("a tool call of the stream is no object"));
        };
        room(self.calls.len())?;
        let known = self.calls.iter().position(|call| call.index == index);
        let at = known.unwrap_or_else(|| {
            self.calls.push(Call {
                index,
                members: Members::new(),
            });
            self.calls.len() - 1
        });
        if let Some(call) = self.calls.get_mut(at) {
            for (name, value) in members.into_iter().filter(|(name, _)| name != "index") {
                merge_member(&mut call.members, name, value, Texts::Append)?;
            }
        }
        Ok(())
    }

    /// Servers that leave the index out send each call whole, or go on with the last one.
    fn index_of(&self, piece: &Json<'_>) -> u64 {
        if let Some(index) = piece.member("index").and_then(Json::as_u64) {
            return index;
        }
        let next = self
            .calls
            .iter()
            .map(|call| call.index.saturating_add(1))
            .max()
            .unwrap_or_default();
        let begins = piece
            .member("id")
            .and_then(Json::as_text)
            .is_some_and(|id| !id.is_empty());
        if begins { next } else { next.saturating_sub(1) }
    }

    fn tree(mut self) -> Json<'static> {
        if let Some(message) = self.message.take() {
            let message = whole_message(message, self.calls);
            // A server that sends both shapes at once has said more in its deltas.
            self.members.retain(|(name, _)| name != "message");
            let at = usize::from(
                self.members
                    .first()
                    .is_some_and(|(name, _)| name == "index"),
            );
            self.members
                .insert(at, (Cow::Borrowed("message"), Json::Object(message)));
        }
        Json::Object(self.members)
    }
}

/// The message with its calls in their place.
fn whole_message(mut message: Members, mut calls: Vec<Call>) -> Members {
    calls.sort_by_key(|call| call.index);
    let calls = calls
        .into_iter()
        .map(|call| Json::Object(call.members))
        .collect();
    let place = message.iter_mut().find(|(name, _)| name == "tool_calls");
    if let Some((_, place @ Json::List(_))) = place {
        *place = Json::List(calls);
    }
    message
}

/// For the reader's eye: choices before usage, as providers write it.
fn usage_last(top: &mut Members) {
    if let Some(at) = top.iter().position(|(name, _)| name == "usage") {
        let usage = top.remove(at);
        top.push(usage);
    }
}

/// What is sent whole each time: the last that says something holds.
fn set_whole(
    top: &mut Members,
    name: Cow<'static, str>,
    value: Json<'static>,
) -> Result<(), Malformed> {
    match top.iter_mut().find(|(known, _)| *known == name) {
        Some((_, known)) => {
            let nothing = value.as_text() == Some("") && *known != Json::Null;
            if value != Json::Null && !nothing {
                *known = value;
            }
        }
        None => {
            room(top.len())?;
            top.push((name, value));
        }
    }
    Ok(())
}
