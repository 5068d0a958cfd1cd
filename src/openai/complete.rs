//! Whether an answer may be kept, and what it took. Only a whole, successful answer may: one that
//! was cut, filtered, refused or failed is heard by those who wait for it and by nobody after.

#[cfg(test)]
mod tests;

use crate::answer::fold::Fold;
use crate::answer::usage::Usage;
use crate::json::{self, Json, Parsed};
use crate::openai::request::{Endpoint, NOT_UNDERSTOOD};

/// Whether an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// it is whole
    Store,
    /// it is not; the reason token
    Refuse(&'static str),
}

/// What was found out about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// whether it may be kept
    pub verdict: Verdict,
    /// what the provider said it took, if it did
    pub usage: Option<Usage>,
}

/// Cut before its end: no terminal event, or a choice without a finish.
pub const TRUNCATED: &str = "truncated";
/// An error object inside a success.
pub const ERROR_INSIDE: &str = "error-in-answer";
/// No choice at all.
pub const NO_CHOICES: &str = "no-choices";
/// The model declined in words.
pub const REFUSAL: &str = "refusal";
/// It ran into the token limit.
pub const FINISH_LENGTH: &str = "finish-length";
/// It ran into the provider's filter.
pub const FINISH_FILTER: &str = "finish-content-filter";
/// It ended for a reason nobody has vouched for.
pub const FINISH_OTHER: &str = "finish-other";
/// A call whose arguments are not JSON.
pub const ARGUMENTS: &str = "arguments-not-json";
/// Not one embedding for each input.
pub const EMBEDDINGS_COUNT: &str = "embeddings-count";

/// Judges a plain body. `inputs` is what an embeddings request asked for, else 0.
pub fn judge_plain(endpoint: Endpoint, body: &[u8], inputs: usize) -> Judgement {
    let answer = match json::parse(body) {
        Ok(Parsed::Understood(answer)) => answer,
        Ok(Parsed::Rounded(answer)) => return refused(NOT_UNDERSTOOD, usage_of(&answer)),
        Ok(Parsed::Unheld) | Err(_) => return refused(NOT_UNDERSTOOD, None),
    };
    let found = match endpoint {
        Endpoint::Chat | Endpoint::Completions => whole(&answer),
        Endpoint::Embeddings => all_embedded(&answer, inputs),
    };
    judgement(found, usage_of(&answer))
}

/// Judges a stream while it is heard.
#[derive(Debug, Default)]
pub struct Judge {
    fold: Fold,
    unreadable: bool,
    done: bool,
}

impl Judge {
    /// Before the first payload.
    pub fn new() -> Judge {
        Judge::default()
    }

    /// Hears a payload; `[DONE]` is not one.
    pub fn chunk(&mut self, payload: &str) {
        if !self.unreadable && self.fold.push(payload).is_err() {
            self.unreadable = true;
        }
    }

    /// Hears the terminal event, `[DONE]`. A connection that merely closes is not one.
    pub fn done(&mut self) {
        self.done = true;
    }

    /// The judgement over all that was heard.
    pub fn verdict(self) -> Judgement {
        let (rounded, unreadable) = (self.fold.is_rounded(), self.unreadable);
        let answer = self.fold.tree();
        let usage = usage_of(&answer);
        let found = if has_error(&answer) {
            Err(ERROR_INSIDE)
        } else if !self.done {
            Err(TRUNCATED)
        } else if unreadable || rounded {
            Err(NOT_UNDERSTOOD)
        } else {
            whole(&answer)
        };
        judgement(found, usage)
    }
}

type Found = Result<(), &'static str>;

fn judgement(found: Found, usage: Option<Usage>) -> Judgement {
    match found {
        Ok(()) => Judgement {
            verdict: Verdict::Store,
            usage,
        },
        Err(reason) => refused(reason, usage),
    }
}

fn refused(reason: &'static str, usage: Option<Usage>) -> Judgement {
    Judgement {
        verdict: Verdict::Refuse(reason),
        usage,
    }
}

fn has_error(answer: &Json<'_>) -> bool {
    answer
        .member("error")
        .is_some_and(|error| *error != Json::Null)
}

fn whole(answer: &Json<'_>) -> Found {
    if has_error(answer) {
        return Err(ERROR_INSIDE);
    }
    match answer.member("choices").and_then(Json::as_list) {
        None | Some([]) => Err(NO_CHOICES),
        Some(choices) => choices.iter().try_for_each(whole_choice),
    }
}

fn whole_choice(choice: &Json<'_>) -> Found {
    if has_error(choice) {
        return Err(ERROR_INSIDE);
    }
    match choice.member("finish_reason").unwrap_or(&Json::Null) {
        Json::Null => return Err(TRUNCATED),
        Json::Text(finish) => match finish.as_ref() {
            "stop" | "tool_calls" | "function_call" => {}
            "length" => return Err(FINISH_LENGTH),
            "content_filter" => return Err(FINISH_FILTER),
            "error" => return Err(ERROR_INSIDE),
            _ => return Err(FINISH_OTHER),
        },
        _ => return Err(FINISH_OTHER),
    }
    match choice.member("message") {
        Some(message) => whole_message(message),
        None if choice.member("text").and_then(Json::as_text).is_some() => Ok(()),
        None => Err(NO_CHOICES),
    }
}

fn whole_message(message: &Json<'_>) -> Found {
    match message.member("refusal") {
        None | Some(Json::Null) => {}
        Some(Json::Text(nothing)) if nothing.is_empty() => {}
        Some(_) => return Err(REFUSAL),
    }
    let calls = message
        .member("tool_calls")
        .and_then(Json::as_list)
        .unwrap_or_default();
    let functions = calls.iter().filter_map(|call| call.member("function"));
    functions
        .chain(message.member("function_call"))
        .try_for_each(has_arguments)
}

/// Arguments are JSON inside a string. A function without any may be called with none.
fn has_arguments(function: &Json<'_>) -> Found {
    match function.member("arguments") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Text(text)) if text.is_empty() => Ok(()),
        Some(Json::Text(text)) if json::parse(text.as_bytes()).is_ok() => Ok(()),
        // Some servers send the object itself.
        Some(Json::Object(_)) => Ok(()),
        Some(_) => Err(ARGUMENTS),
    }
}

fn all_embedded(answer: &Json<'_>, inputs: usize) -> Found {
    if has_error(answer) {
        return Err(ERROR_INSIDE);
    }
    let data = answer
        .member("data")
        .and_then(Json::as_list)
        .unwrap_or_default();
    let mut seen: Vec<u64> = data.iter().filter_map(embedded_index).collect();
    seen.sort_unstable();
    if data.len() == inputs && seen.into_iter().eq(0..inputs as u64) && inputs > 0 {
        Ok(())
    } else {
        Err(EMBEDDINGS_COUNT)
    }
}

/// The index of an element that has an embedding: a list of numbers, or base64 text.
fn embedded_index(element: &Json<'_>) -> Option<u64> {
    let is_vector = match element.member("embedding")? {
        Json::List(numbers) => !numbers.is_empty(),
        Json::Text(text) => !text.is_empty(),
        _ => false,
    };
    element.member("index")?.as_u64().filter(|_| is_vector)
}

/// The top-level `usage`, if it tells the input at least.
fn usage_of(answer: &Json<'_>) -> Option<Usage> {
    let usage = answer.member("usage")?;
    let tokens = |value: Option<&Json<'_>>| value.and_then(Json::as_u64).map(clamp);
    let input = tokens(usage.member("prompt_tokens"))?;
    let details = usage.member("prompt_tokens_details");
    let cached = tokens(details.and_then(|details| details.member("cached_tokens")));
    let output = tokens(usage.member("completion_tokens")).unwrap_or_default();
    // More cached than asked would make a bill negative: a provider that says so is not believed.
    let cached_input = cached.unwrap_or_default().min(input);
    Some(Usage {
        input,
        cached_input,
        output,
        estimated: false,
    })
}

fn clamp(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
