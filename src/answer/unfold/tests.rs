//! Goal: unfolding and folding again gives the answer back. Method: answers made at random from a
//! printed seed, with all that providers send and more, compared by meaning.

use super::*;
use crate::answer::fold::Fold;
use crate::json::{Canonical, parse};

fn canonical(text: &[u8]) -> Canonical {
    Canonical::of(&parse(text).expect("json").tree().expect("held"))
}

fn there_and_back(body: &str) -> Bytes {
    let mut fold = Fold::new();
    for payload in unfold(body.as_bytes(), true).expect(body) {
        fold.push(std::str::from_utf8(&payload).expect("text"))
            .expect("a chunk");
    }
    fold.finish()
}

#[test]
fn an_answer_becomes_the_stream_a_provider_would_send() {
    let body = r#"{"id":"x","object":"chat.completion","created":1,"choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    let top = r#""id":"x","object":"chat.completion.chunk","created":1,"choices""#;
    let choices = [
        r#"{"index":0,"delta":{"role":"assistant","refusal":null},"finish_reason":null}"#,
        r#"{"index":0,"delta":{"content":"hi"},"logprobs":null,"finish_reason":null}"#,
        r#"{"index":0,"delta":{},"finish_reason":"stop"}"#,
    ];
    let plain: Vec<String> = choices
        .iter()
        .map(|one| format!("{{{top}:[{one}]}}"))
        .collect();
    assert_eq!(unfold(body.as_bytes(), false).expect("an answer"), plain);
    let mut asked: Vec<String> = choices
        .iter()
        .map(|one| format!("{{{top}:[{one}],\"usage\":null}}"))
        .collect();
    asked.push(format!("{{{top}:[],\"usage\":{{\"prompt_tokens\":1}}}}"));
    assert_eq!(unfold(body.as_bytes(), true).expect("an answer"), asked);
}

#[test]
fn tool_calls_come_one_by_one() {
    let body = r#"{"choices":[{"index":0,"message":{"content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b"}]},"finish_reason":"tool_calls"}]}"#;
    let payloads = unfold(body.as_bytes(), false).expect("an answer");
    let text: Vec<&str> = payloads
        .iter()
        .map(|one| std::str::from_utf8(one).expect("text"))
        .collect();
    assert_eq!(text.len(), 4);
    assert!(
        text[1].contains(r#""tool_calls":[{"index":0,"id":"a","#),
        "{}",
        text[1]
    );
    assert!(
        text[2].contains(r#""tool_calls":[{"index":1,"id":"b"}]"#),
        "{}",
        text[2]
    );
    assert_eq!(canonical(&there_and_back(body)), canonical(body.as_bytes()));
}

#[test]
fn odd_answers_come_back_too() {
    for body in [
        r#"{"choices":[]}"#,
        r#"{"choices":[],"usage":null,"x":[1]}"#,
        r#"{"choices":[],"usage":{"a":1}}"#,
        r#"{"choices":[{"index":0,"message":{}}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"message":{"tool_calls":[]},"logprobs":{"content":[]}}]}"#,
        r#"{"choices":[{"index":3,"message":{"content":"a"}},{"index":7,"message":{"content":"b"}}]}"#,
        r#"{"object":"text_completion","choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":"stop","x":[1]}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"list":[1,2],"object":"other","tier":null}"#,
    ] {
        assert_eq!(
            canonical(&there_and_back(body)),
            canonical(body.as_bytes()),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_answer_is_malformed() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"choices":1}"#,
        r#"{"choices":[1]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"message":1}]}"#,
        r#"{"choices":[{"message":{"tool_calls":[1]}}]}"#,
    ] {
        assert!(unfold(body.as_bytes(), true).is_err(), "{body}");
    }
}

#[test]
fn a_body_made_to_swell_is_refused() {
    let choices: Vec<String> = (0..500)
        .map(|at| format!("{{\"index\":{at},\"text\":\"a\"}}"))
        .collect();
    let id = "x".repeat(20_000);
    let body = format!("{{\"id\":\"{id}\",\"choices\":[{}]}}", choices.join(","));
    assert!(unfold(body.as_bytes(), false).is_err());
    let honest = body.replace(&id, "chatcmpl-0123456789012345678901234567890");
    assert_eq!(
        unfold(honest.as_bytes(), false).map(|payloads| payloads.len()),
        Ok(500)
    );
}

/// A small generator of numbers: the seed is the whole story of a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[usize::try_from(self.roll(texts.len() as u64)).expect("small")]
    }

    fn text(&mut self) -> String {
        let length = self.roll(6);
        let words: String = (0..length)
            .map(|_| self.one_of(&["a", " ", "\\n", "é", "\\u0000", "😀", "{\\\"x\\\":", "]"]))
            .collect();
        format!("\"{words}\"")
    }

    fn value(&mut self, depth: u64) -> String {
        match self.roll(if depth == 0 { 6 } else { 8 }) {
            0 => "null".to_owned(),
            1 => self.one_of(&["true", "false"]).to_owned(),
            2 => self
                .one_of(&[
                    "0",
                    "-1",
                    "1.0",
                    "-0.0",
                    "0.1",
                    "1e-9",
                    "18446744073709551615",
                ])
                .to_owned(),
            3..=5 => self.text(),
            6 => format!("[{}]", self.many(3, |dice| dice.value(depth - 1))),
            _ => self.object(
                &["a", "b", "c", "name", "id", "type", "index", "role"],
                depth - 1,
            ),
        }
    }

    fn many(&mut self, max: u64, make: impl Fn(&mut Dice) -> String) -> String {
        let count = self.roll(max + 1);
        (0..count).map(|_| make(self)).collect::<Vec<_>>().join(",")
    }

    /// Some of these members.
    fn some(&mut self, members: Vec<(&str, String)>) -> String {
        let kept = members.into_iter().filter(|_| self.roll(3) > 0);
        let kept: Vec<String> = kept
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", kept.join(","))
    }

    fn object(&mut self, names: &[&'static str], depth: u64) -> String {
        let members = names
            .iter()
            .map(|name| (*name, self.value(depth)))
            .collect();
        self.some(members)
    }

    fn call(&mut self) -> String {
        let function = self.object(&["name", "arguments", "odd"], 1);
        let members = vec![
            ("id", self.text()),
            ("type", self.text()),
            ("function", function),
            ("x", self.value(2)),
        ];
        self.some(members)
    }

    fn message(&mut self) -> String {
        let calls = format!("[{}]", self.many(3, Dice::call));
        let members = vec![
            ("role", "\"assistant\"".to_owned()),
            ("content", self.value(2)),
            ("refusal", self.value(0)),
            ("reasoning_content", self.text()),
            ("tool_calls", calls),
            ("function_call", self.object(&["name", "arguments"], 0)),
            ("annotations", self.value(2)),
            ("audio", self.object(&["id", "data", "expires_at"], 1)),
        ];
        self.some(members)
    }

    fn choice(&mut self, index: u64, is_chat: bool) -> String {
        let said = if is_chat { self.message() } else { self.text() };
        let lists = ["content", "refusal", "tokens"];
        let rest = vec![
            (
                "logprobs",
                if self.roll(2) == 0 {
                    self.object(&lists, 2)
                } else {
                    "null".to_owned()
                },
            ),
            (
                "finish_reason",
                self.one_of(&["null", "\"stop\"", "\"length\""]).to_owned(),
            ),
            ("odd", self.value(2)),
        ];
        let rest = self.some(rest);
        let name = if is_chat { "message" } else { "text" };
        let joint = if rest == "{}" { "" } else { "," };
        format!("{{\"index\":{index},\"{name}\":{said}{joint}{}", &rest[1..])
    }

    fn answer(&mut self) -> String {
        let is_chat = self.roll(4) > 0;
        let count = self.roll(4);
        let choices: Vec<String> = (0..count)
            .map(|index| self.choice(index * 2, is_chat))
            .collect();
        let top = vec![
            ("id", self.text()),
            ("object", "\"chat.completion\"".to_owned()),
            ("created", self.value(0)),
            ("service_tier", self.value(0)),
            ("odd", self.value(3)),
            ("usage", self.value(2)),
        ];
        let top = self.some(top);
        let joint = if top == "{}" { "" } else { "," };
        format!("{{\"choices\":[{}]{joint}{}", choices.join(","), &top[1..])
    }
}

#[test]
fn any_answer_comes_back() {
    let (mut longest, mut many) = (0, 0);
    for seed in 0..4_000 {
        let body = Dice(seed).answer();
        let back = there_and_back(&body);
        let text = String::from_utf8_lossy(&back);
        assert_eq!(
            canonical(&back),
            canonical(body.as_bytes()),
            "seed {seed}: {body}\nbecame {text}"
        );
        longest = longest.max(body.len());
        many += usize::from(body.matches("\"index\"").count() > 1);
    }
    assert!(
        longest > 500 && many > 1_000,
        "the generator makes real answers: {longest}, {many}"
    );
}
