//! `POST /v1/completions`, the older text format. Spelling only.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::{DONE, UsageOut, extra};
use crate::mock::ask::Ask;
use crate::mock::dialect::{Dialect, Event, Events, json as bytes_of, sse};
use crate::mock::script::Script;

/// The completions dialect.
pub(in crate::mock) struct Text;

impl Dialect for Text {
    fn plain(&self, _: &Ask, script: &Script) -> Vec<u8> {
        let choice = |index| {
            let pieces = (0..script.pieces()).map(|at| script.piece(index, at).into_owned());
            choice(
                script,
                index,
                pieces.collect(),
                Some(script.finish.as_openai()),
            )
        };
        let choices = (0..script.choices).map(choice).collect();
        bytes_of(&envelope(
            script,
            choices,
            script.usage_in_plain.then(|| usage(script)),
        ))
    }

    fn events(&self, script: Script) -> Option<Events> {
        let (choices, pieces) = (script.choices, script.pieces());
        let places = (0..pieces).flat_map(move |at| (0..choices).map(move |index| (index, at)));
        let told = script.usage_in_stream;
        let told_at_end =
            told.then(|| sse(None, &envelope(&script, Vec::new(), Some(usage(&script)))));
        let spoken = places.map(move |(index, at)| {
            let finish = (at + 1 == pieces).then_some(script.finish.as_openai());
            let choice = choice(
                &script,
                index,
                vec![script.piece(index, at).into_owned()],
                finish,
            );
            let bytes = sse(
                None,
                &envelope(&script, vec![choice], told.then_some(Value::Null)),
            );
            Event { bytes, token: true }
        });
        let closing = told_at_end.into_iter().chain([DONE]);
        Some(Box::new(spoken.chain(closing.map(|bytes| Event {
            bytes,
            token: false,
        }))))
    }

    fn error(&self, status: u16, message: &str) -> Vec<u8> {
        super::error(status, message)
    }

    fn error_event(&self, message: &str) -> Bytes {
        super::error_event(message)
    }
}

fn usage(script: &Script) -> Value {
    json!(UsageOut::from(script.usage))
}

fn choice(script: &Script, index: u32, pieces: Vec<String>, finish: Option<&str>) -> Value {
    let offsets = pieces.iter().scan(0, |end, piece| {
        let start = *end;
        *end += piece.chars().count();
        Some(start)
    });
    let logprobs = script.logprobs.then(|| {
        json!({
            "tokens": pieces, "token_logprobs": vec![-0.25; pieces.len()],
            "top_logprobs": null, "text_offset": offsets.collect::<Vec<_>>(),
        })
    });
    json!({"index": index, "text": pieces.concat(), "logprobs": logprobs, "finish_reason": finish})
}

fn envelope(script: &Script, choices: Vec<Value>, usage: Option<Value>) -> Value {
    let mut body = json!({
        "id": format!("cmpl-mock-{}", script.call), "object": "text_completion",
        "created": script.created, "model": script.model, "choices": choices,
    });
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    if let Some(extra) = extra(script.extra, script.call) {
        body["x_mock"] = json!(extra.x_mock);
    }
    body
}
