//! What a simulated call does, as plain data: how long it takes, what it says, how it goes wrong.
//! One table of names ([`Behaviour::set`]) serves the flags, `PUT /__behaviour` and the directives
//! in prompts. Pure: no clock, no randomness (errors fall by call number), no IO.

use std::fmt;

use serde_json::{Map, Value};

/// Most pieces one answer may be cut into; a typing slip must not become a flood.
const CHUNKS_MAX: u32 = 100_000;
/// Most bytes a generated answer may be asked to have (a flood is [`Behaviour::flood_bytes`]).
const ANSWER_BYTES_MAX: u32 = 64 << 20;
/// Most choices, tool calls or reasoning pieces of one answer.
const PARTS_MAX: u32 = 128;

/// Everything that can be settled about a call. Times are milliseconds, rates whole percents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Silence before the first byte.
    pub latency_ms: u64,
    /// Microseconds from one piece of the answer to the next, kept against the call's start.
    pub pace_micros: u64,
    /// How many pieces the answer's text, or its tool arguments, come in.
    pub chunks: u32,
    /// The answer's text; left out, it is made from the prompt and the call number.
    pub text: Option<String>,
    /// Length of a made text, at least; left out, as long as its words.
    pub answer_bytes: u32,
    /// Answer with this error status instead.
    pub status: Option<u16>,
    /// The error's body, verbatim; left out, the dialect's own shape.
    pub body: Option<String>,
    /// The error's `retry-after`.
    pub retry_after_seconds: Option<u64>,
    /// Share of the calls that the error, failure or hang befalls, in whole percents; left out,
    /// all. Given alone, the error is a 500.
    pub error_percent: Option<u32>,
    /// Misbehave only on the first so many calls with one prompt, then answer well.
    pub times: Option<u32>,
    /// Break the answer off in this way.
    pub fail: Option<Fail>,
    /// How many events (of a stream) go out before it is broken off.
    pub fail_at: u32,
    /// Take the request and never answer.
    pub hang: bool,
    /// Lie about the length of a plain answer by so many bytes.
    pub length_error: i64,
    /// Let the answer swell to so many bytes.
    pub flood_bytes: u64,
    /// Why the answer ended; left out, as the request asks (`tool_calls` where a tool is forced).
    pub finish: Option<Finish>,
    /// So many tool calls; left out, one where the request or the finish reason wants it.
    pub tools: Option<u32>,
    /// Choices, where the request does not say `n`.
    pub choices: u32,
    /// Give `logprobs` unasked.
    pub logprobs: bool,
    /// Refuse, with this text.
    pub refusal: Option<String>,
    /// So many pieces of `reasoning_content` (a thinking block for Anthropic) before the answer.
    pub reasoning: u32,
    /// When usage is told.
    pub usage: UsageTold,
    /// Prompt tokens said to have come from the provider's own cache.
    pub cached_tokens: u32,
    /// Add fields nobody knows to every answer and chunk.
    pub extra: bool,
    /// Answer with the request's own headers as the text, credentials as digests.
    pub echo: bool,
    /// Set a cookie.
    pub cookie: bool,
    /// Give every text the same vector.
    pub alike: bool,
}

/// How an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// The connection is cut between two events (a plain answer: half way).
    Cut,
    /// Half an event, then the cut.
    Half,
    /// The dialect's error event, then a proper end of the body, no `[DONE]`.
    Event,
    /// A proper end of the body, with no closing event.
    End,
    /// Nothing more, for ever.
    Hang,
    /// An error object inside a 200.
    Inside,
}

/// Why the answer ended, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was said.
    Stop,
    /// The token limit.
    Length,
    /// The provider's filter.
    ContentFilter,
    /// Tools are to be called.
    ToolCalls,
}

/// When usage is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageTold {
    /// As OpenAI: in plain answers, in streams when `include_usage` was asked.
    Asked,
    /// In every stream too.
    Always,
    /// Never: a server that does not count.
    Never,
}

/// What is to happen to one call, [`Behaviour::decide`]'s answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Answer as described.
    Answer,
    /// Answer with the error status.
    Refuse(u16),
    /// Break the answer off.
    Fail(Fail),
    /// Never answer.
    Hang,
}

/// A setting that cannot be taken; says which, and what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            pace_micros: 0,
            chunks: 8,
            text: None,
            answer_bytes: 0,
            status: None,
            body: None,
            retry_after_seconds: None,
            error_percent: None,
            times: None,
            fail: None,
            fail_at: 0,
            hang: false,
            length_error: 0,
            flood_bytes: 0,
            finish: None,
            tools: None,
            choices: 1,
            logprobs: false,
            refusal: None,
            reasoning: 0,
            usage: UsageTold::Asked,
            cached_tokens: 0,
            extra: false,
            echo: false,
            cookie: false,
            alike: false,
        }
    }
}

impl Behaviour {
    /// Sets one thing by its name. The names are the fields', with two spellings of the pace.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Unreadable> {
        let text = || Some(value.to_owned());
        match name {
            "latency_ms" => self.latency_ms = number(name, value, 0, u64::MAX)?,
            "pace_ms" => self.pace_micros = number::<u64>(name, value, 0, 3_600_000)? * 1000,
            "pace_micros" => self.pace_micros = number(name, value, 0, 3_600_000_000)?,
            "chunks" => self.chunks = number(name, value, 1, CHUNKS_MAX)?,
            "text" => self.text = text(),
            "answer_bytes" => self.answer_bytes = number(name, value, 0, ANSWER_BYTES_MAX)?,
            "status" => self.status = Some(number(name, value, 400, 599)?),
            "body" => self.body = text(),
            "retry_after_seconds" => {
                self.retry_after_seconds = Some(number(name, value, 0, u64::MAX)?)
            }
            "error_percent" => self.error_percent = Some(number(name, value, 0, 100)?),
            "times" => self.times = Some(number(name, value, 0, u32::MAX)?),
            "fail" => self.fail = Some(one_of(name, value, &FAILS)?),
            "fail_at" => self.fail_at = number(name, value, 0, u32::MAX)?,
            "hang" => self.hang = flag(name, value)?,
            "length_error" => self.length_error = number(name, value, -(1 << 40), 1 << 40)?,
            "flood_bytes" => self.flood_bytes = number(name, value, 0, 1 << 40)?,
            "finish" => self.finish = Some(one_of(name, value, &FINISHES)?),
            "tools" => self.tools = Some(number(name, value, 0, PARTS_MAX)?),
            "choices" => self.choices = number(name, value, 1, PARTS_MAX)?,
            "logprobs" => self.logprobs = flag(name, value)?,
            "refusal" => self.refusal = text(),
            "reasoning" => self.reasoning = number(name, value, 0, PARTS_MAX)?,
            "usage" => self.usage = one_of(name, value, &USAGES)?,
            "cached_tokens" => self.cached_tokens = number(name, value, 0, u32::MAX)?,
            "extra" => self.extra = flag(name, value)?,
            "echo" => self.echo = flag(name, value)?,
            "cookie" => self.cookie = flag(name, value)?,
            "alike" => self.alike = flag(name, value)?,
            _ => {
                return Err(Unreadable(format!(
                    "no setting is called '{name}', see --help"
                )));
            }
        }
        Ok(())
    }

    /// Lays a JSON object of settings over these: `{"latency_ms": 200, "hang": true}`.
    pub fn set_all(&mut self, settings: &Map<String, Value>) -> Result<(), Unreadable> {
        settings.iter().try_for_each(|(name, value)| match value {
            Value::String(text) => self.set(name, text),
            other => self.set(name, &other.to_string()),
        })
    }

    /// What befalls call number `call`, the `seen`-th (from 0) with its prompt.
    pub fn decide(&self, call: u64, seen: u32) -> Turn {
        let spared = self.times.is_some_and(|times| seen >= times);
        if spared || !falls_on(call, self.error_percent.unwrap_or(100)) {
            return Turn::Answer;
        }
        match (self.hang, self.status, self.fail) {
            (true, ..) => Turn::Hang,
            (_, Some(status), _) => Turn::Refuse(status),
            (_, _, Some(fail)) => Turn::Fail(fail),
            _ if self.error_percent.is_some() => Turn::Refuse(500),
            _ => Turn::Answer,
        }
    }
}

impl Finish {
    /// OpenAI's spelling.
    pub fn as_openai(self) -> &'static str {
        name_of(self, &FINISHES)
    }

    /// Anthropic's spelling.
    pub fn as_anthropic(self) -> &'static str {
        match self {
            Self::Stop => "end_turn",
            Self::Length => "max_tokens",
            Self::ContentFilter => "refusal",
            Self::ToolCalls => "tool_use",
        }
    }
}

const FAILS: [(&str, Fail); 6] = [
    ("cut", Fail::Cut),
    ("half", Fail::Half),
    ("event", Fail::Event),
    ("end", Fail::End),
    ("hang", Fail::Hang),
    ("inside", Fail::Inside),
];
const FINISHES: [(&str, Finish); 4] = [
    ("stop", Finish::Stop),
    ("length", Finish::Length),
    ("content_filter", Finish::ContentFilter),
    ("tool_calls", Finish::ToolCalls),
];
const USAGES: [(&str, UsageTold); 3] = [
    ("asked", UsageTold::Asked),
    ("always", UsageTold::Always),
    ("never", UsageTold::Never),
];

/// Spreads `percent` evenly over call numbers: the same calls fail in every run.
fn falls_on(call: u64, percent: u32) -> bool {
    // 37 and 100 have no common factor, so any hundred calls in a row hold exactly `percent`.
    call.wrapping_mul(37) % 100 < u64::from(percent)
}

fn number<N>(name: &str, value: &str, min: N, max: N) -> Result<N, Unreadable>
where
    N: std::str::FromStr + PartialOrd + fmt::Display,
{
    let wrong = || {
        Unreadable(format!(
            "{name}={value}: give a whole number, {min} to {max}"
        ))
    };
    value
        .parse()
        .ok()
        .filter(|n| (&min..=&max).contains(&n))
        .ok_or_else(wrong)
}

fn flag(name: &str, value: &str) -> Result<bool, Unreadable> {
    one_of(name, value, &[("true", true), ("false", false)])
}

fn one_of<T: Copy>(name: &str, value: &str, table: &[(&str, T)]) -> Result<T, Unreadable> {
    let names = || {
        table
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = table
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, value)| *value);
    found.ok_or_else(|| Unreadable(format!("{name}={value}: give one of {}", names())))
}

fn name_of<T: Copy + PartialEq>(value: T, table: &[(&'static str, T)]) -> &'static str {
    table
        .iter()
        .find(|(_, each)| *each == value)
        .map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests;
