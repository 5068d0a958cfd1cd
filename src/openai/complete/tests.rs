//! Goal: whole answers are kept and nothing else, in both shapes alike. Method: a table of choices,
//! judged as a plain body and as the stream that folds into it.

use super::*;
use crate::answer::unfold::unfold;

fn body(choice: &str) -> String {
    format!(
        r#"{{"id":"x","object":"chat.completion","choices":[{choice}],"usage":{{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{{"cached_tokens":4}}}}}}"#
    )
}

fn streamed(body: &str, done: bool) -> Judgement {
    let mut judge = Judge::new();
    for payload in unfold(body.as_bytes(), true).expect("an answer") {
        judge.chunk(std::str::from_utf8(&payload).expect("text"));
    }
    if done {
        judge.done();
    }
    judge.verdict()
}

#[test]
fn both_shapes_are_judged_alike() {
    let call = |arguments: &str| {
        format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":{arguments}}}}}]}},"finish_reason":"tool_calls"}}"#
        )
    };
    let said = |finish: &str| {
        format!(
            r#"{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":{finish}}}"#
        )
    };
    let two = |finish: &str| {
        format!(
            r#"{},{{"index":1,"message":{{"content":"ho"}},"finish_reason":{finish}}}"#,
            said("\"stop\"")
        )
    };
    let table = [
        (said("\"stop\""), Verdict::Store),
        (said("\"length\""), Verdict::Refuse(FINISH_LENGTH)),
        (said("\"content_filter\""), Verdict::Refuse(FINISH_FILTER)),
        (said("\"error\""), Verdict::Refuse(ERROR_INSIDE)),
        (said("\"whim\""), Verdict::Refuse(FINISH_OTHER)),
        (said("null"), Verdict::Refuse(TRUNCATED)),
        (two("\"stop\""), Verdict::Store),
        (two("\"length\""), Verdict::Refuse(FINISH_LENGTH)),
        (two("null"), Verdict::Refuse(TRUNCATED)),
        (call(r#""{\"a\":1}""#), Verdict::Store),
        (call(r#""""#), Verdict::Store),
        (call(r#""{\"a\":""#), Verdict::Refuse(ARGUMENTS)),
        (
            r#"{"index":0,"message":{"content":null,"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}"#.to_owned(),
            Verdict::Store,
        ),
        (
            r#"{"index":0,"message":{"content":null,"function_call":{"name":"f","arguments":"{"}},"finish_reason":"function_call"}"#.to_owned(),
            Verdict::Refuse(ARGUMENTS),
        ),
        (
            r#"{"index":0,"message":{"content":null,"refusal":"I will not"},"finish_reason":"stop"}"#.to_owned(),
            Verdict::Refuse(REFUSAL),
        ),
        (
            r#"{"index":0,"message":{"content":"a","refusal":null},"finish_reason":"stop"}"#.to_owned(),
            Verdict::Store,
        ),
        (r#"{"index":0,"text":"hi","finish_reason":"stop"}"#.to_owned(), Verdict::Store),
        (r#"{"index":0,"text":"hi","finish_reason":"length"}"#.to_owned(), Verdict::Refuse(FINISH_LENGTH)),
        (String::new(), Verdict::Refuse(NO_CHOICES)),
    ];
    let usage = Some(Usage {
        input: 9,
        cached_input: 4,
        output: 2,
        estimated: false,
    });
    for (choice, verdict) in table {
        let body = body(&choice);
        let expected = Judgement { verdict, usage };
        assert_eq!(
            judge_plain(Endpoint::Chat, body.as_bytes(), 0),
            expected,
            "{choice}"
        );
        assert_eq!(streamed(&body, true), expected, "{choice} streamed");
        let cut = streamed(&body, false).verdict;
        assert_eq!(cut, Verdict::Refuse(TRUNCATED), "{choice} without its end");
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for (body, reason) in [
        (r#"{"error":{"message":"no"}}"#, ERROR_INSIDE),
        (r#"{"error":{"message":"no"},"choices":[]}"#, ERROR_INSIDE),
        ("{}", NO_CHOICES),
        ("[]", NO_CHOICES),
        ("", NOT_UNDERSTOOD),
        ("<html>", NOT_UNDERSTOOD),
        ("{\"choices\":[", NOT_UNDERSTOOD),
        (r#"{"choices":[{"finish_reason":"stop"}]}"#, NO_CHOICES),
        (
            r#"{"choices":[{"finish_reason":"stop","message":{}}],"x":1e300}"#,
            NOT_UNDERSTOOD,
        ),
    ] {
        let judgement = judge_plain(Endpoint::Chat, body.as_bytes(), 0);
        assert_eq!(judgement.verdict, Verdict::Refuse(reason), "{body}");
    }
}

#[test]
fn a_stream_that_goes_wrong_is_refused() {
    let good = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    for (payloads, reason) in [
        (vec![], NO_CHOICES),
        (vec![good, r#"{"error":{"code":500}}"#], ERROR_INSIDE),
        (vec![good, "{\"choices\":"], NOT_UNDERSTOOD),
        (
            vec![good, r#"{"choices":[],"x":123456789012345678901}"#],
            NOT_UNDERSTOOD,
        ),
    ] {
        let mut judge = Judge::new();
        payloads.iter().for_each(|payload| judge.chunk(payload));
        judge.done();
        assert_eq!(
            judge.verdict().verdict,
            Verdict::Refuse(reason),
            "{payloads:?}"
        );
    }
}

#[test]
fn embeddings_must_answer_each_input() {
    let element =
        |index: usize| format!(r#"{{"object":"embedding","index":{index},"embedding":[0.5]}}"#);
    let body = |data: &str| {
        format!(r#"{{"data":[{data}],"usage":{{"prompt_tokens":3,"total_tokens":3}}}}"#)
    };
    let both = format!("{},{}", element(1), element(0));
    for (data, inputs, stored) in [
        (both.clone(), 2, true),
        (element(0), 1, true),
        (r#"{"index":0,"embedding":"AAAA"}"#.to_owned(), 1, true),
        (both.clone(), 3, false),
        (both, 1, false),
        (element(1), 1, false),
        (format!("{},{}", element(0), element(0)), 2, false),
        (r#"{"index":0,"embedding":[]}"#.to_owned(), 1, false),
        (r#"{"index":0}"#.to_owned(), 1, false),
        (r#"{"embedding":[1]}"#.to_owned(), 1, false),
        (String::new(), 0, false),
    ] {
        let judgement = judge_plain(Endpoint::Embeddings, body(&data).as_bytes(), inputs);
        assert_eq!(
            judgement.verdict == Verdict::Store,
            stored,
            "{data} for {inputs}"
        );
        assert_eq!(
            judgement.usage.map(|usage| (usage.input, usage.output)),
            Some((3, 0))
        );
    }
}

#[test]
fn usage_is_taken_as_told_or_not_at_all() {
    for (usage, expected) in [
        ("null", None),
        ("{}", None),
        (r#"{"prompt_tokens":-1}"#, None),
        (r#"{"prompt_tokens":5}"#, Some((5, 0, 0))),
        (
            r#"{"prompt_tokens":5,"completion_tokens":6,"prompt_tokens_details":null}"#,
            Some((5, 0, 6)),
        ),
        (
            r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":50}}"#,
            Some((5, 5, 0)),
        ),
        (r#"{"prompt_tokens":99999999999}"#, Some((u32::MAX, 0, 0))),
    ] {
        let body = format!(r#"{{"usage":{usage}}}"#);
        let found = judge_plain(Endpoint::Chat, body.as_bytes(), 0).usage;
        assert_eq!(
            found.map(|one| (one.input, one.cached_input, one.output)),
            expected,
            "{usage}"
        );
    }
}
