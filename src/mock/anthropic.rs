//! Anthropic's `POST /v1/messages`: plain, and as the true sequence of events (`message_start`,
//! blocks with their start, deltas and stop, `message_delta`, `message_stop`). Spelling only.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::ask::Ask;
use super::dialect::{Dialect, Event, Events, json as bytes_of, sse};
use super::script::{Script, ToolCall, Usage};

/// The messages dialect. It has one choice and no log probabilities.
pub(super) struct Messages;

impl Dialect for Messages {
    fn plain(&self, _: &Ask, script: &Script) -> Vec<u8> {
        let mut body = message(script, blocks(script), Some(script.finish.as_anthropic()));
        if script.usage_in_plain {
            body["usage"] = usage(script.usage, script.usage.completion);
        }
        bytes_of(&body)
    }

    fn events(&self, script: Script) -> Option<Events> {
        let blocks = blocks(&script);
        let opening = start(&script);
        let closing = end(&script);
        let middle = blocks.into_iter().enumerate().flat_map(move |(at, block)| {
            let pieces = pieces(&script, &block);
            block_events(at, block, pieces)
        });
        Some(Box::new(opening.into_iter().chain(middle).chain(closing)))
    }

    fn error(&self, status: u16, message: &str) -> Vec<u8> {
        bytes_of(&error(status, message))
    }

    fn error_event(&self, message: &str) -> Bytes {
        sse(Some("error"), &error(529, message))
    }
}

fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

fn usage(usage: Usage, output: u32) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached, "output_tokens": output,
    })
}

fn message(script: &Script, content: Vec<Value>, stop: Option<&str>) -> Value {
    let mut body = json!({
        "id": format!("msg-mock-{}", script.call), "type": "message", "role": "assistant",
        "model": script.model, "content": content, "stop_reason": stop, "stop_sequence": null,
    });
    if script.extra {
        body["x_mock"] = json!({"call": script.call, "unheard_of": [1.5, null]});
    }
    body
}

/// The finished content blocks: thinking, words, tools, each only where there is any.
fn blocks(script: &Script) -> Vec<Value> {
    let thinking = (!script.reasoning.is_empty()).then(|| {
        let signature = format!("mock-{}", script.call);
        json!({"type": "thinking", "thinking": script.reasoning.concat(), "signature": signature})
    });
    let words = (script.pieces() > 0).then(|| json!({"type": "text", "text": script.text(0)}));
    let tools = script.tools.iter().map(tool);
    thinking.into_iter().chain(words).chain(tools).collect()
}

fn tool(call: &ToolCall) -> Value {
    let input: Value = serde_json::from_str(&call.arguments.concat()).unwrap_or_else(|_| json!({}));
    json!({"type": "tool_use", "id": call.id.replacen("call_", "toolu_", 1), "name": call.name, "input": input})
}

/// The deltas of one block.
fn pieces(script: &Script, block: &Value) -> Vec<Value> {
    let delta = |kind: &str, field: &str, text: &str| json!({"type": kind, field: text});
    match block["type"].as_str() {
        Some("thinking") => {
            let spoken = script
                .reasoning
                .iter()
                .map(|r| delta("thinking_delta", "thinking", r));
            let signature = block["signature"].as_str().unwrap_or("");
            spoken
                .chain([delta("signature_delta", "signature", signature)])
                .collect()
        }
        Some("text") => {
            let at = |at| delta("text_delta", "text", &script.piece(0, at));
            (0..script.pieces()).map(at).collect()
        }
        _ => {
            let is_this = |call: &&ToolCall| tool(call)["id"] == block["id"];
            let call = script.tools.iter().find(is_this);
            let arguments = call.map_or(&[][..], |call| &call.arguments);
            arguments
                .iter()
                .map(|a| delta("input_json_delta", "partial_json", a))
                .collect()
        }
    }
}

fn event(name: &str, mut value: Value, token: bool) -> Event {
    value["type"] = name.into();
    Event {
        bytes: sse(Some(name), &value),
        token,
    }
}

fn start(script: &Script) -> [Event; 2] {
    let mut opening = message(script, Vec::new(), None);
    if script.usage_in_plain {
        opening["usage"] = usage(script.usage, 1);
    }
    [
        event("message_start", json!({"message": opening}), false),
        event("ping", json!({}), false),
    ]
}

fn end(script: &Script) -> [Event; 2] {
    let stop = script.finish.as_anthropic();
    let mut last = json!({"delta": {"stop_reason": stop, "stop_sequence": null}});
    if script.usage_in_plain {
        last["usage"] = json!({"output_tokens": script.usage.completion});
    }
    [
        event("message_delta", last, false),
        event("message_stop", json!({}), false),
    ]
}

/// A block's start with its fields emptied, its deltas, its stop.
fn block_events(at: usize, mut block: Value, deltas: Vec<Value>) -> Vec<Event> {
    for field in ["text", "thinking", "signature"] {
        if let Some(text) = block.get_mut(field) {
            *text = "".into();
        }
    }
    if let Some(input) = block.get_mut("input") {
        *input = json!({});
    }
    let start = json!({"index": at, "content_block": block});
    let mut events = vec![event("content_block_start", start, false)];
    let delta = |delta| {
        event(
            "content_block_delta",
            json!({"index": at, "delta": delta}),
            true,
        )
    };
    events.extend(deltas.into_iter().map(delta));
    events.push(event("content_block_stop", json!({"index": at}), false));
    events
}
