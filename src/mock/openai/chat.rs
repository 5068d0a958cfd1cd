//! `POST /v1/chat/completions`: plain bodies and chunks, with several choices, tool calls in
//! pieces, reasoning, refusals, log probabilities and usage. Spelling only.

use axum::body::Bytes;
use serde::Serialize;

use super::{DONE, Extra, UsageOut, extra};
use crate::mock::ask::Ask;
use crate::mock::dialect::{Dialect, Event, Events, json, sse};
use crate::mock::script::{Script, ToolCall};

/// The chat dialect.
pub(in crate::mock) struct Chat;

impl Dialect for Chat {
    fn plain(&self, _: &Ask, script: &Script) -> Vec<u8> {
        let choices = (0..script.choices)
            .map(|index| plain_choice(script, index))
            .collect();
        let usage = script.usage_in_plain.then(|| Some(script.usage.into()));
        json(&envelope(script, "chat.completion", choices, usage))
    }

    fn events(&self, script: Script) -> Option<Events> {
        let steps = steps(&script);
        Some(Box::new(
            steps.into_iter().map(move |step| event(&script, step)),
        ))
    }

    fn error(&self, status: u16, message: &str) -> Vec<u8> {
        super::error(status, message)
    }

    fn error_event(&self, message: &str) -> Bytes {
        super::error_event(message)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    choices: Vec<Choice<'a>>,
    /// Absent, `null`, or told: OpenAI writes all three.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageOut>>,
    #[serde(flatten)]
    extra: Option<Extra>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Message<'a>>,
    logprobs: Option<Logprobs>,
    finish_reason: Option<&'static str>,
}

/// A message or a delta: what is outside an `Option` twice over may be `null` or absent.
#[derive(Default, Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Option<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Tool<'a>>,
    #[serde(flatten)]
    extra: Option<Extra>,
}

#[derive(Serialize)]
struct Tool<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: String,
}

#[derive(Serialize)]
struct Logprobs {
    content: Vec<Token>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct Token {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    top_logprobs: Vec<Token>,
}

/// What one chunk carries.
#[derive(Clone, Copy)]
enum Step {
    Open(u32),
    Reason(u32, usize),
    Say(u32, usize),
    ToolOpen(u32, usize),
    ToolArguments(u32, usize, usize),
    Close(u32),
    Usage,
    Done,
}

/// The order of the chunks: the choices side by side, as a provider interleaves them.
fn steps(script: &Script) -> Vec<Step> {
    let each = |step: &dyn Fn(u32) -> Step| (0..script.choices).map(step).collect::<Vec<_>>();
    let mut steps = each(&Step::Open);
    (0..script.reasoning.len()).for_each(|at| steps.extend(each(&|c| Step::Reason(c, at))));
    (0..script.pieces()).for_each(|at| steps.extend(each(&|c| Step::Say(c, at))));
    for (tool, call) in script.tools.iter().enumerate() {
        steps.extend(each(&|c| Step::ToolOpen(c, tool)));
        let pieces = 0..call.arguments.len();
        pieces.for_each(|at| steps.extend(each(&|c| Step::ToolArguments(c, tool, at))));
    }
    steps.extend(each(&Step::Close));
    steps.extend(script.usage_in_stream.then_some(Step::Usage));
    steps.push(Step::Done);
    steps
}

fn event(script: &Script, step: Step) -> Event {
    let token = matches!(
        step,
        Step::Reason(..) | Step::Say(..) | Step::ToolArguments(..)
    );
    let usage_null = script.usage_in_stream.then_some(None);
    let (choices, usage) = match step {
        Step::Done => return Event { bytes: DONE, token },
        Step::Usage => (Vec::new(), Some(Some(script.usage.into()))),
        step => (vec![chunk_choice(script, step)], usage_null),
    };
    Event {
        bytes: sse(
            None,
            &envelope(script, "chat.completion.chunk", choices, usage),
        ),
        token,
    }
}

fn envelope<'a>(
    script: &'a Script,
    object: &'static str,
    choices: Vec<Choice<'a>>,
    usage: Option<Option<UsageOut>>,
) -> Envelope<'a> {
    Envelope {
        id: format!("chatcmpl-mock-{}", script.call),
        object,
        created: script.created,
        model: &script.model,
        service_tier: "default",
        system_fingerprint: "fp_mock",
        choices,
        usage,
        extra: extra(script.extra, script.call),
    }
}

fn chunk_choice(script: &Script, step: Step) -> Choice<'_> {
    let mut choice = Choice {
        index: 0,
        message: None,
        delta: None,
        logprobs: None,
        finish_reason: None,
    };
    let mut delta = Message {
        extra: extra(script.extra, script.call),
        ..Message::default()
    };
    choice.index = match step {
        Step::Open(index) => {
            delta.role = Some("assistant");
            delta.content = Some(script.tools.is_empty().then(String::new));
            delta.refusal = Some(None);
            index
        }
        Step::Reason(index, at) => {
            delta.reasoning_content = script.reasoning.get(at).cloned();
            index
        }
        Step::Say(index, at) => {
            let piece = script.piece(index, at).into_owned();
            choice.logprobs = script.logprobs.then(|| logprobs([piece.clone()]));
            let said = if script.refused {
                &mut delta.refusal
            } else {
                &mut delta.content
            };
            *said = Some(Some(piece));
            index
        }
        Step::ToolOpen(index, tool) => {
            delta.tool_calls = vec![tool_open(
                &script.tools[tool],
                index,
                Some(tool),
                String::new(),
            )];
            index
        }
        Step::ToolArguments(index, tool, at) => {
            let arguments = script.tools[tool].arguments[at].clone();
            let function = Function {
                name: None,
                arguments,
            };
            delta.tool_calls = vec![Tool {
                index: Some(tool),
                id: None,
                kind: None,
                function,
            }];
            index
        }
        Step::Close(index) => {
            choice.finish_reason = Some(script.finish.as_openai());
            index
        }
        Step::Usage | Step::Done => 0,
    };
    choice.delta = Some(delta);
    choice
}

fn plain_choice(script: &Script, index: u32) -> Choice<'_> {
    let text = || Some(script.text(index));
    let said = !script.refused && script.tools.is_empty();
    let tool = |call| tool_open(call, index, None, call.arguments.concat());
    let message = Message {
        role: Some("assistant"),
        content: Some(said.then(text).flatten()),
        reasoning_content: Some(script.reasoning.concat()).filter(|text| !text.is_empty()),
        refusal: Some(script.refused.then(text).flatten()),
        tool_calls: script.tools.iter().map(tool).collect(),
        extra: extra(script.extra, script.call),
    };
    let pieces = (0..script.pieces()).map(|at| script.piece(index, at).into_owned());
    Choice {
        index,
        message: Some(message),
        delta: None,
        logprobs: script.logprobs.then(|| logprobs(pieces)),
        finish_reason: Some(script.finish.as_openai()),
    }
}

/// A tool call with its head; a second choice's has an id of its own.
fn tool_open(call: &ToolCall, choice: u32, index: Option<usize>, arguments: String) -> Tool<'_> {
    let id = if choice == 0 {
        call.id.clone()
    } else {
        format!("{}.{choice}", call.id)
    };
    let function = Function {
        name: Some(&call.name),
        arguments,
    };
    Tool {
        index,
        id: Some(id),
        kind: Some("function"),
        function,
    }
}

fn logprobs(pieces: impl IntoIterator<Item = String>) -> Logprobs {
    let token = |token: String, top: Vec<Token>| Token {
        logprob: -0.25,
        bytes: token.as_bytes().to_vec(),
        top_logprobs: top,
        token,
    };
    let content = pieces.into_iter().map(|piece| {
        let same = token(piece.clone(), Vec::new());
        token(piece, vec![same])
    });
    Logprobs {
        content: content.collect(),
        refusal: None,
    }
}
