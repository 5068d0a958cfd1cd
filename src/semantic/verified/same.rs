//! Whether two answers say the same, as far as words tell: equal but for case and spaces, equal as
//! JSON, or apart for the guard. What is left is for their vectors to say.

use serde_json::Value;

use crate::semantic::guard::{Fingerprint, Rules, Verdict, judge};

/// What words tell of two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// The same.
    Same,
    /// Not the same.
    Different,
    /// Their vectors are to be asked.
    Open,
}

/// Compares two answers.
pub fn compare(one: &str, other: &str, rules: &Rules) -> Sameness {
    if normal(one) == normal(other) {
        return Sameness::Same;
    }
    if let (Some(one), Some(other)) = (json(one), json(other)) {
        return if one == other {
            Sameness::Same
        } else {
            Sameness::Different
        };
    }
    match judge(&Fingerprint::of(one), &Fingerprint::of(other), rules) {
        Verdict::Veto(_) => Sameness::Different,
        Verdict::Penalty { .. } => Sameness::Open,
    }
}

/// A text without what says nothing: its case, its spaces, its last full stop.
pub fn normal(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

/// A text that is JSON of more than one value.
fn json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

/// The words of a plain answer, chat or completions: of one choice, that calls no tool.
pub fn said(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let [choice] = &body.get("choices")?.as_array()?[..] else {
        return None;
    };
    let message = choice.get("message");
    let calls = message.and_then(|it| it.get("tool_calls"));
    if calls.is_some_and(|calls| !calls.is_null()) {
        return None;
    }
    let text = match message {
        Some(message) => message.get("content")?,
        None => choice.get("text")?,
    };
    text.as_str().map(str::to_owned)
}
