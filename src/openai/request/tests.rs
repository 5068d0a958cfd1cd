//! Goal: known members are read as meant, other shapes are passed on and only what is no JSON
//! object is refused. Method: tables of bodies.

use super::*;

fn read(endpoint: Endpoint, body: &str) -> Request<'_> {
    match Request::read(endpoint, body.as_bytes()) {
        Ok(Reading::Understood(request)) => request,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_chat_request_is_read() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"one"},
        {"role":"user","content":[{"type":"text","text":"two"},{"type":"image_url"},{"type":"text","text":"three"}]},
        {"role":"assistant","content":"four"}],"stream":true,"stream_options":{"include_usage":true},
        "user":"u","safety_identifier":"s","temperature":0.5,"new":1}"#;
    let request = read(Endpoint::Chat, body);
    assert_eq!(
        (
            request.model.as_ref(),
            request.stream,
            request.include_usage
        ),
        ("m", true, true)
    );
    assert_eq!(
        request.user.as_deref(),
        Some("s"),
        "the safety identifier goes first"
    );
    assert_eq!(request.last_user_text().as_deref(), Some("two\nthree"));
    assert_eq!(request.temperature(), Some(0.5));
    assert!(request.member("new").is_some());
}

#[test]
fn null_is_absent() {
    let body = r#"{"model":"m","messages":[],"stream":null,"stream_options":null,"user":null,"safety_identifier":null}"#;
    let request = read(Endpoint::Chat, body);
    assert_eq!(
        (request.stream, request.include_usage, request.user),
        (false, false, None)
    );
}

#[test]
fn inputs_are_counted_as_spelled() {
    for (input, expected) in [
        (r#""a""#, Input::Single),
        ("[1,2]", Input::Single),
        (r#"["a","b"]"#, Input::Batch(2)),
        (r#"["a"]"#, Input::Batch(1)),
        ("[[1],[2,3]]", Input::Batch(2)),
    ] {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        let request = read(Endpoint::Embeddings, &body);
        assert_eq!(request.input, expected, "{input}");
        let items = (0..9).filter_map(|at| request.item(at)).count();
        assert_eq!(items, expected.count(), "{input}");
    }
}

#[test]
fn other_shapes_are_passed_on() {
    let (chat, completions, embeddings) =
        (Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings);
    for (endpoint, body) in [
        (chat, "{}"),
        (chat, r#"{"model":"m"}"#),
        (chat, r#"{"messages":[]}"#),
        (chat, r#"{"model":1,"messages":[]}"#),
        (chat, r#"{"model":null,"messages":[]}"#),
        (chat, r#"{"model":"m","messages":{}}"#),
        (chat, r#"{"model":"m","messages":["x"]}"#),
        (chat, r#"{"model":"m","messages":[],"stream":"yes"}"#),
        (chat, r#"{"model":"m","messages":[],"stream_options":1}"#),
        (
            chat,
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#,
        ),
        (chat, r#"{"model":"m","messages":[],"user":7}"#),
        (chat, r#"{"model":"m","messages":[],"seed":1e400}"#),
        (
            chat,
            r#"{"model":"m","messages":[],"seed":123456789012345678901}"#,
        ),
        (chat, " {\"model\":\"\\ud800\",\"messages\":[]}"),
        (completions, r#"{"model":"m"}"#),
        (completions, r#"{"model":"m","prompt":{}}"#),
        (embeddings, r#"{"model":"m"}"#),
        (embeddings, r#"{"model":"m","input":[]}"#),
        (embeddings, r#"{"model":"m","input":["a",1]}"#),
        (embeddings, r#"{"model":"m","input":[[1],"a"]}"#),
        (embeddings, r#"{"model":"m","input":[1.5]}"#),
    ] {
        let reading = Request::read(endpoint, body.as_bytes());
        assert!(
            matches!(reading, Ok(Reading::NotUnderstood(_))),
            "{body}: {reading:?}"
        );
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for body in [
        "",
        "[]",
        "1",
        "\"x\"",
        "null",
        "1e400",
        "[1e400]",
        "{\"a\":1,\"a\":2}",
        "{\"model\"",
    ] {
        assert!(
            Request::read(Endpoint::Chat, body.as_bytes()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn paths_name_their_endpoint() {
    for endpoint in Endpoint::ALL {
        assert_eq!(Endpoint::at(endpoint.path()), Some(endpoint));
    }
    assert_eq!(Endpoint::at("/v1/models"), None);
}
