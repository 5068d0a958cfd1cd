//! Goal: what cannot change the answer is not in the key, all else is; the body upstream is the
//! caller's but for what was asked. Method: tables of pairs of bodies.

use super::*;
use crate::openai::request::Reading;

fn read(endpoint: Endpoint, body: &str) -> Request<'_> {
    match Request::read(endpoint, body.as_bytes()) {
        Ok(Reading::Understood(request)) => request,
        other => panic!("{body}: {other:?}"),
    }
}

const BASE: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0}"#;

fn key(body: &str) -> Canonical {
    canonical(&read(Endpoint::Chat, body))
}

#[test]
fn what_stands_aside_does_not_count() {
    for body in [
        r#"{ "temperature":0.0, "messages":[{"content":"h\u0069","role":"user"}], "model":"m" }"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":-0,"stream":true,
            "stream_options":{"include_usage":true},"user":"u","safety_identifier":"s",
            "metadata":{"a":"b"},"prompt_cache_key":"k"}"#,
    ] {
        assert_eq!(key(body), key(BASE), "{body}");
    }
}

#[test]
fn everything_else_counts() {
    let bodies = [
        BASE,
        r#"{"model":"n","messages":[{"role":"user","content":"hi"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi "}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"seed":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"max_tokens":1}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"unheard_of":null}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0,"tools":[]}"#,
        // Below the top the same names do count.
        r#"{"model":"m","messages":[{"role":"user","content":"hi","user":"u"}],"temperature":0}"#,
    ];
    for (at, one) in bodies.iter().enumerate() {
        for other in &bodies[at + 1..] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
    }
}

#[test]
fn across_models_only_the_model_is_gone() {
    let other = BASE.replace("\"m\"", "\"n\"");
    let across = |body: &str| canonical_across_models(&read(Endpoint::Chat, body));
    assert_eq!(across(BASE), across(&other));
    assert_ne!(across(BASE), across(&BASE.replace("hi", "ho")));
}

#[test]
fn an_item_is_the_same_alone_and_in_a_batch() {
    let alone = read(
        Endpoint::Embeddings,
        r#"{"model":"m","input":"b","user":"u"}"#,
    );
    let batch = read(Endpoint::Embeddings, r#"{"input":["a","b"],"model":"m"}"#);
    let tokens = read(Endpoint::Embeddings, r#"{"input":[[1,2]],"model":"m"}"#);
    let token = read(Endpoint::Embeddings, r#"{"input":[1,2],"model":"m"}"#);
    assert_eq!(canonical_item(&alone, 0), canonical_item(&batch, 1));
    assert_ne!(canonical_item(&batch, 0), canonical_item(&batch, 1));
    assert_eq!(canonical_item(&tokens, 0), canonical_item(&token, 0));
    assert_eq!(canonical_item(&alone, 1), None);
    for other in [
        r#"{"model":"m","input":"b","dimensions":256}"#,
        r#"{"model":"m","input":"b","encoding_format":"base64"}"#,
        r#"{"model":"n","input":"b"}"#,
    ] {
        let other = read(Endpoint::Embeddings, other);
        assert_ne!(canonical_item(&alone, 0), canonical_item(&other, 0));
    }
    let single = canonical_item(&alone, 0).expect("an item");
    assert_eq!(single.bytes(), br#"{"input":"b","model":"m"}"#);
}

#[test]
fn the_body_upstream_is_the_callers_but_for_the_usage() {
    let usage = r#""stream_options":{"include_usage":true}"#;
    let messages = r#""model" : "m","messages":[ ]"#;
    let table = [
        (format!("{{{messages}}}"), false, format!("{{{messages}}}")),
        (
            format!("{{{messages},\"stream\":true }}"),
            true,
            format!("{{{messages},\"stream\":true,{usage} }}"),
        ),
        (
            format!("{{\"stream\":true,\"stream_options\":{{ \"x\":1.0 }},{messages}}}"),
            true,
            format!(
                "{{\"stream\":true,\"stream_options\":{{ \"x\":1.0,\"include_usage\":true }},{messages}}}"
            ),
        ),
        (
            format!(
                "{{\"stream\":true,\"stream_options\":{{\"include_usage\":false}},{messages}}}"
            ),
            true,
            format!("{{\"stream\":true,{usage},{messages}}}"),
        ),
        (
            format!("{{\"stream\":true,\"stream_options\":null,{messages}}}"),
            true,
            format!("{{\"stream\":true,{usage},{messages}}}"),
        ),
        (
            format!("{{\"stream\":true,\"stream_options\":{{}},{messages}}}"),
            true,
            format!("{{\"stream\":true,{usage},{messages}}}"),
        ),
        (
            format!("{{\"stream\":true,{usage},{messages}}}"),
            true,
            format!("{{\"stream\":true,{usage},{messages}}}"),
        ),
        (
            format!("{{{messages}}}"),
            true,
            format!("{{{messages},\"stream\":true,{usage}}}"),
        ),
        (
            format!("{{\"stream\":true,{usage},{messages}}}"),
            false,
            format!("{{\"stream\":false,{messages}}}"),
        ),
        (
            format!("{{{messages},\"stream\":true}}"),
            false,
            format!("{{{messages},\"stream\":false}}"),
        ),
    ];
    for (body, as_stream, expected) in table {
        let request = read(Endpoint::Chat, &body);
        let sent = upstream_body(&request, &Bytes::from(body.clone()), as_stream);
        assert_eq!(sent, expected, "{body} as stream: {as_stream}");
    }
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let batch = read(
        Endpoint::Embeddings,
        r#"{"input":["a","b","c"],"model":"m","dimensions":8}"#,
    );
    assert_eq!(
        embeddings_body(&batch, &[2, 0]),
        r#"{"input":["c","a"],"model":"m","dimensions":8}"#
    );
    let alone = read(Endpoint::Embeddings, r#"{"input":"a","model":"m"}"#);
    assert_eq!(
        embeddings_body(&alone, &[0]),
        r#"{"input":"a","model":"m"}"#
    );
    let tokens = read(Endpoint::Embeddings, r#"{"model":"m","input":[[1],[2,3]]}"#);
    assert_eq!(
        embeddings_body(&tokens, &[1]),
        r#"{"model":"m","input":[[2,3]]}"#
    );
}
