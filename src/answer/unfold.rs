//! A plain JSON answer into the payloads of a stream, for a caller who asked for one. Folding them
//! gives the answer back; nothing in it is left out, nothing is invented.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use super::Malformed;
use crate::json::{self, Json, Number};

type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// What every payload repeats makes a stream longer than its body; past this factor somebody has
/// made a body for that purpose.
const ROOM_FACTOR: usize = 32;
const ROOM_BYTES: usize = 64 * 1_024;

/// The payloads of the stream, without the `[DONE]` that follows them. With `asked_usage` they carry
/// the usage as a provider asked for it would: null on each, and on a last one of its own.
pub fn unfold(body: &[u8], asked_usage: bool) -> Result<Vec<Bytes>, Malformed> {
    let parsed = json::parse(body).map_err(|_| Malformed("a plain answer is no JSON"))?;
    let Some(Json::Object(answer)) = parsed.tree() else {
        return Err(Malformed("a plain answer is no JSON object"));
    };
    let (mut top, mut choices, mut usage) = (Members::new(), None, None);
    for (name, value) in answer {
        match (name.as_ref(), value) {
            ("choices", Json::List(list)) => choices = Some(list),
            ("usage", value) => usage = Some(value),
            ("object", Json::Text(kind)) => top.push((name, Json::Text(streamed(kind)))),
            (_, value) => top.push((name, value)),
        }
    }
    let choices = choices.ok_or(Malformed("a plain answer has no list of choices"))?;
    let usage = usage.filter(|_| asked_usage);
    let room = ROOM_BYTES + ROOM_FACTOR * body.len();
    Stream {
        top,
        usage,
        payloads: Vec::new(),
        room,
    }
    .write(choices)
}

fn streamed(kind: Cow<'_, str>) -> Cow<'_, str> {
    if kind == "chat.completion" {
        Cow::Borrowed("chat.completion.chunk")
    } else {
        kind
    }
}

/// The payloads written so far, and what each of them carries beside its choice.
struct Stream<'a> {
    top: Members<'a>,
    usage: Option<Json<'a>>,
    payloads: Vec<Bytes>,
    /// how many bytes of payloads there may still be
    room: usize,
}

impl<'a> Stream<'a> {
    fn write(mut self, choices: Vec<Json<'a>>) -> Result<Vec<Bytes>, Malformed> {
        let own_index = have_own_index(&choices);
        for (place, choice) in (0..).zip(choices) {
            let Json::Object(mut members) = choice else {
                return Err(Malformed("a choice of a plain answer is no object"));
            };
            let own = take(&mut members, "index").filter(|_| own_index);
            let index = own.unwrap_or(Json::Number(Number::Unsigned(place)));
            for mut piece in pieces(members)? {
                piece.insert(0, (Cow::Borrowed("index"), index.clone()));
                self.payload(vec![Json::Object(piece)], Json::Null)?;
            }
        }
        match self.usage.clone() {
            Some(Json::Null) | None if self.payloads.is_empty() => {
                self.payload(Vec::new(), Json::Null)?;
            }
            Some(Json::Null) | None => {}
            Some(usage) => self.payload(Vec::new(), usage)?,
        }
        Ok(self.payloads)
    }

    fn payload(&mut self, choices: Vec<Json<'a>>, usage: Json<'a>) -> Result<(), Malformed> {
        let mut members = self.top.clone();
        members.push((Cow::Borrowed("choices"), Json::List(choices)));
        if self.usage.is_some() {
            members.push((Cow::Borrowed("usage"), usage));
        }
        let payload = Bytes::from(Json::Object(members).to_bytes());
        let room = self.room.checked_sub(payload.len());
        self.room = room.ok_or(Malformed("a plain answer is far longer as a stream"))?;
        self.payloads.push(payload);
        // Names and times stand on every payload; lists and objects are told once.
        self.top
            .retain(|(_, value)| !matches!(value, Json::List(_) | Json::Object(_)));
        Ok(())
    }
}

/// Indexes tell choices apart only if all are there and no two are the same.
fn have_own_index(choices: &[Json<'_>]) -> bool {
    let index = |choice: &Json<'_>| choice.member("index").and_then(Json::as_u64);
    let mut seen: Vec<u64> = choices.iter().filter_map(index).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() == choices.len()
}

fn take<'a>(members: &mut Members<'a>, name: &str) -> Option<Json<'a>> {
    let at = members.iter().position(|(known, _)| known == name)?;
    Some(members.remove(at).1)
}

/// What a choice says, in the order a provider would say it; each piece is a choice without index.
fn pieces(mut choice: Members<'_>) -> Result<Vec<Members<'_>>, Malformed> {
    let finish = take(&mut choice, "finish_reason");
    let logprobs = take(&mut choice, "logprobs");
    let mut pieces = match take(&mut choice, "message") {
        Some(Json::Object(message)) => deltas(message)?,
        Some(_) => return Err(Malformed("a message of a plain answer is no object")),
        None => vec![said(&mut choice)?],
    };
    add_logprobs(&mut pieces, logprobs);
    let is_chat = pieces.iter().any(|piece| has(piece, "delta"));
    if let Some(finish) = finish {
        for piece in &mut pieces {
            piece.push((Cow::Borrowed("finish_reason"), Json::Null));
        }
        choice.push((Cow::Borrowed("finish_reason"), finish));
    }
    if !choice.is_empty() {
        let nothing = if is_chat {
            delta(Vec::new())
        } else {
            empty_text()
        };
        choice.insert(0, nothing);
        pieces.push(choice);
    }
    Ok(pieces)
}

/// The one piece of a legacy completion.
fn said<'a>(choice: &mut Members<'a>) -> Result<Members<'a>, Malformed> {
    let text = take(choice, "text").ok_or(Malformed("a choice has neither message nor text"))?;
    Ok(vec![(Cow::Borrowed("text"), text)])
}

fn empty_text<'a>() -> (Cow<'a, str>, Json<'a>) {
    (Cow::Borrowed("text"), Json::Text(Cow::Borrowed("")))
}

fn delta(members: Members<'_>) -> (Cow<'_, str>, Json<'_>) {
    (Cow::Borrowed("delta"), Json::Object(members))
}

fn has(members: &Members<'_>, name: &str) -> bool {
    members.iter().any(|(known, _)| known == name)
}

/// First the role with all that is null or empty, then each member of the message by itself, each
/// tool call by itself too.
fn deltas(message: Members<'_>) -> Result<Vec<Members<'_>>, Malformed> {
    let opens = |name: &str, value: &Json<'_>| {
        name == "role" || *value == Json::Null || value.as_text() == Some("")
    };
    let (first, rest): (Members<'_>, Members<'_>) = message
        .into_iter()
        .partition(|(name, value)| opens(name, value));
    let mut pieces = vec![vec![delta(first)]];
    for (name, value) in rest {
        match (name.as_ref(), value) {
            ("tool_calls", Json::List(calls)) if !calls.is_empty() => {
                for (at, call) in (0..).zip(calls) {
                    pieces.push(vec![delta(vec![(name.clone(), numbered(at, call)?)])]);
                }
            }
            (_, value) => pieces.push(vec![delta(vec![(name, value)])]),
        }
    }
    Ok(pieces)
}

fn numbered(at: u64, call: Json<'_>) -> Result<Json<'_>, Malformed> {
    let Json::Object(mut members) = call else {
        return Err(Malformed("a tool call of a plain answer is no object"));
    };
    take(&mut members, "index");
    members.insert(
        0,
        (Cow::Borrowed("index"), Json::Number(Number::Unsigned(at))),
    );
    Ok(Json::List(vec![Json::Object(members)]))
}

/// With the content they are about, else with the first piece.
fn add_logprobs<'a>(pieces: &mut [Members<'a>], logprobs: Option<Json<'a>>) {
    let Some(logprobs) = logprobs else { return };
    let about_content = |piece: &Members<'a>| {
        piece
            .iter()
            .any(|(_, value)| value.member("content").is_some_and(|it| *it != Json::Null))
    };
    let at = pieces.iter().position(about_content).unwrap_or_default();
    if let Some(piece) = pieces.get_mut(at) {
        piece.push((Cow::Borrowed("logprobs"), logprobs));
    }
}
