//! Goal: a stream folds into the answer a plain caller would have got. Method: a table of streams as
//! servers send them, each beside its answer.

use super::*;

fn fold(payloads: &[&str]) -> String {
    let mut fold = Fold::new();
    for payload in payloads {
        fold.push(payload).expect(payload);
    }
    String::from_utf8(fold.finish().to_vec()).expect("text")
}

#[test]
fn streams_fold_into_answers() {
    let table: &[(&str, &[&str], &str)] = &[
        (
            "text, nulls, usage",
            &[
                r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
                r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#,
                r#"{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3}}"#,
            ],
            r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}"#,
        ),
        (
            "choices interleaved, the second first",
            &[
                r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"B"}}]}"#,
                r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"},{"index":0,"delta":{"content":"A"},"finish_reason":"length"}]}"#,
            ],
            r#"{"choices":[{"index":0,"message":{"content":"aA"},"finish_reason":"length"},{"index":1,"message":{"content":"bB"},"finish_reason":"stop"}]}"#,
        ),
        (
            "tool calls in pieces, interleaved, the name once and the role repeated",
            &[
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{\"b\""}},{"index":0,"function":{"arguments":"{\"a"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"","type":"function","function":{"name":null,"arguments":"\":1}"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"name":"g","arguments":":2}"}}]},"finish_reason":"tool_calls"}]}"#,
            ],
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{\"b\":2}"}}]},"finish_reason":"tool_calls"}]}"#,
        ),
        (
            "tool calls without an index",
            &[
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"c1","function":{"arguments":"1"}},{"id":"c2","function":{"arguments":"2"}}]}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"3"}}]}}]}"#,
            ],
            r#"{"choices":[{"index":0,"message":{"tool_calls":[{"id":"c1","function":{"arguments":"1"}},{"id":"c2","function":{"arguments":"23"}}]}}]}"#,
        ),
        (
            "a function call",
            &[
                r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"{"}}}]}"#,
                r#"{"choices":[{"index":0,"delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call"}]}"#,
            ],
            r#"{"choices":[{"index":0,"message":{"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call"}]}"#,
        ),
        (
            "logprobs of both kinds, refusal, reasoning in two spellings, members nobody knows",
            &[
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"th","reasoning":"w","refusal":"I","odd":{"t":"a","l":[1],"n":1},"list":[1]},"logprobs":{"content":[{"token":"a","logprob":-0.5}],"refusal":null}}],"top":[1],"tier":null}"#,
                r#"{"choices":[{"index":0,"delta":{"reasoning_content":"ink","reasoning":"hy","refusal":" no","odd":{"t":"b","l":[2],"n":2},"list":[2],"score":1.5},"logprobs":{"content":[{"token":"b","logprob":0.0}],"refusal":[{"token":"I"}]},"filter":{"hate":{"severity":"safe"}}}],"top":[2],"tier":"flex"}"#,
                r#"{"choices":[{"index":0,"delta":{"score":2.5},"filter":{"hate":{"severity":"safe"}}}],"tier":""}"#,
            ],
            r#"{"top":[2],"tier":"flex","choices":[{"index":0,"message":{"reasoning_content":"think","reasoning":"why","refusal":"I no","odd":{"t":"ab","l":[1,2],"n":2},"list":[1,2],"score":2.5},"logprobs":{"content":[{"token":"a","logprob":-0.5},{"token":"b","logprob":0.0}],"refusal":[{"token":"I"}]},"filter":{"hate":{"severity":"safe"}}}]}"#,
        ),
        (
            "legacy completions",
            &[
                r#"{"object":"text_completion","choices":[{"text":"a","index":0,"logprobs":{"tokens":["a"],"text_offset":[0]},"finish_reason":null}]}"#,
                r#"{"object":"text_completion","choices":[{"text":"b","index":0,"logprobs":{"tokens":["b"],"text_offset":[1]},"finish_reason":null}]}"#,
                r#"{"object":"text_completion","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}"#,
            ],
            r#"{"object":"text_completion","choices":[{"text":"ab","index":0,"logprobs":{"tokens":["a","b"],"text_offset":[0,1]},"finish_reason":"stop"}]}"#,
        ),
        ("nothing", &[], "{}"),
        (
            "an error",
            &[r#"{"error":{"code":500}}"#],
            r#"{"error":{"code":500}}"#,
        ),
        (
            "no choice",
            &[r#"{"choices":null}"#, r#"{"choices":[]}"#],
            r#"{"choices":[]}"#,
        ),
    ];
    for (name, payloads, expected) in table {
        assert_eq!(fold(payloads), *expected, "{name}");
    }
}

#[test]
fn what_is_no_stream_of_chunks_is_malformed() {
    for payload in [
        "",
        "x",
        "[]",
        "1",
        r#"{"choices":1}"#,
        r#"{"choices":[1]}"#,
        r#"{"choices":[{"index":"a"}]}"#,
        r#"{"choices":[{"index":-1}]}"#,
        r#"{"choices":[{"delta":"a"}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[1]}}]}"#,
        r#"{"a":1,"a":2}"#,
    ] {
        assert!(Fold::new().push(payload).is_err(), "{payload}");
    }
}

#[test]
fn a_hostile_stream_is_not_paid_for_with_its_square() {
    let many = |make: fn(usize) -> String| (0..5_000).map(make).collect::<Vec<_>>().join(",");
    let choices = many(|at| format!("{{\"index\":{at}}}"));
    let calls = many(|at| format!("{{\"index\":{at}}}"));
    let names = many(|at| format!("\"n{at}\":0"));
    for payload in [
        format!("{{\"choices\":[{choices}]}}"),
        format!("{{\"choices\":[{{\"delta\":{{\"tool_calls\":[{calls}]}}}}]}}"),
        format!(
            "{{\"choices\":[{{\"delta\":{{\"x\":{{{names}}}}}}},{{\"delta\":{{\"x\":{{{names}}}}}}}]}}"
        ),
        format!("{{{names}}}"),
    ] {
        assert!(Fold::new().push(&payload).is_err(), "{}", &payload[..60]);
    }
}
