//! Stories told over a socket, by a client that sees every byte.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// What came back, to the last byte.
struct Heard {
    head: String,
    /// With chunk framing taken off.
    body: String,
    /// Whether the answer was closed as HTTP closes one.
    whole: bool,
}

impl Heard {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The payloads of the events, `[DONE]` left out.
    fn events(&self) -> Vec<Value> {
        let data = self
            .body
            .split("\n\n")
            .filter_map(|event| event.split("data: ").nth(1));
        data.filter(|data| *data != "[DONE]")
            .filter_map(|d| serde_json::from_str(d).ok())
            .collect()
    }
}

async fn mock() -> Mock {
    Mock::start(Settings::default()).await.unwrap()
}

async fn send(mock: &Mock, method: &str, path: &str, headers: &str, body: &str) -> Heard {
    let mut stream = TcpStream::connect(mock.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: mock\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A cut connection may read as an error; what came before it still counts.
    let _ = stream.read_to_end(&mut bytes).await;
    heard(&bytes)
}

fn heard(bytes: &[u8]) -> Heard {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let head = head.to_ascii_lowercase();
    let claimed = head.split("content-length: ").nth(1);
    let claimed = claimed.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    let (body, whole) = match claimed {
        Some(claimed) => (body.to_owned(), body.len() == claimed),
        None => unchunked(body),
    };
    Heard { head, body, whole }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let end = size.min(after.len());
        body.push_str(&after[..end]);
        rest = after.get(end + 2..).unwrap_or("");
    }
    (body, false)
}

async fn post(mock: &Mock, path: &str, body: Value) -> Heard {
    send(mock, "POST", path, "", &body.to_string()).await
}

fn chat(prompt: &str) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]})
}

fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Puts the deltas of one choice together as a client would.
fn folded(events: &[Value], choice: u64) -> Value {
    let mut message =
        json!({"content": "", "reasoning_content": "", "refusal": "", "arguments": ["", ""]});
    let choices = events
        .iter()
        .flat_map(|event| event["choices"].as_array().unwrap());
    for delta in choices
        .filter(|c| c["index"] == choice)
        .map(|c| &c["delta"])
    {
        for field in ["content", "reasoning_content", "refusal"] {
            append(&mut message[field], &delta[field]);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = call["index"].as_u64().unwrap() as usize;
            append(
                &mut message["arguments"][at],
                &call["function"]["arguments"],
            );
        }
    }
    message
}

fn append(whole: &mut Value, piece: &Value) {
    *whole = format!(
        "{}{}",
        whole.as_str().unwrap(),
        piece.as_str().unwrap_or("")
    )
    .into();
}

#[tokio::test]
async fn calls_are_numbered_in_the_id_and_in_every_piece() {
    let mock = mock().await;
    let plain = post(
        &mock,
        "/v1/chat/completions",
        chat("hello [[mock chunks=3]]"),
    )
    .await
    .json();
    assert_eq!(plain["id"], "chatcmpl-mock-1");
    let text = plain["choices"][0]["message"]["content"].as_str().unwrap();
    let names: Vec<_> = text
        .split_whitespace()
        .map(|word| word.split(':').next().unwrap())
        .collect();
    assert_eq!(names, ["1/0", "1/1", "1/2"]);

    let asked = with(chat("hello [[mock chunks=3]]"), json!({"stream": true}));
    let streamed = post(&mock, "/chat/completions", asked).await;
    assert!(streamed.whole && streamed.body.ends_with("data: [DONE]\n\n"));
    let events = streamed.events();
    assert!(events.iter().all(|event| event["id"] == "chatcmpl-mock-2"));
    let streamed = folded(&events, 0)["content"].as_str().unwrap().to_owned();
    assert_eq!(
        streamed,
        text.replace("1/", "2/"),
        "the same words, under another number"
    );
}

#[tokio::test]
async fn a_stream_folds_into_what_the_plain_answer_says() {
    let table = [
        ("[[mock text=\"one two three\" chunks=4]]", json!({"n": 2})),
        (
            "[[mock text=\"think, then speak\" reasoning=3 extra=true]]",
            json!({}),
        ),
        ("[[mock refusal=\"I will not say that\"]]", json!({"n": 3})),
        (
            "[[mock text=\"{\\\"a\\\": 1}\" tools=2 chunks=3]]",
            json!({"n": 2}),
        ),
    ];
    for (prompt, fields) in table {
        let mock = mock().await;
        let ask = with(chat(prompt), fields);
        let streamed = post(
            &mock,
            "/v1/chat/completions",
            with(ask.clone(), json!({"stream": true})),
        );
        let events = streamed.await.events();
        mock.calls().reset();
        let plain = post(&mock, "/v1/chat/completions", ask).await.json();
        for (index, choice) in plain["choices"].as_array().unwrap().iter().enumerate() {
            let folded = folded(&events, index as u64);
            let message = &choice["message"];
            assert_eq!(
                folded["content"],
                message["content"].as_str().unwrap_or(""),
                "{prompt}"
            );
            assert_eq!(
                folded["refusal"],
                message["refusal"].as_str().unwrap_or(""),
                "{prompt}"
            );
            let thought = message["reasoning_content"].as_str().unwrap_or("");
            assert_eq!(
                folded["reasoning_content"],
                thought.replace("2/", "1/"),
                "{prompt}"
            );
            for (at, call) in message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                assert_eq!(
                    folded["arguments"][at], call["function"]["arguments"],
                    "{prompt}"
                );
            }
            let mut closing = events
                .iter()
                .flat_map(|event| event["choices"].as_array().unwrap());
            let closing = closing.rfind(|c| c["index"] == index).unwrap();
            assert_eq!(
                closing["finish_reason"], choice["finish_reason"],
                "{prompt}"
            );
        }
    }
}

#[tokio::test]
async fn usage_comes_last_and_null_before_it_when_asked_for() {
    let mock = mock().await;
    let fields =
        json!({"stream": true, "stream_options": {"include_usage": true}, "logprobs": true});
    let ask = with(chat("[[mock chunks=5 cached_tokens=3]]"), fields);
    let events = post(&mock, "/v1/chat/completions", ask).await.events();
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 5);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    assert!(
        before
            .iter()
            .all(|event| event.get("usage") == Some(&Value::Null))
    );
    let token = &before[1]["choices"][0]["logprobs"]["content"][0]["token"];
    assert_eq!(*token, before[1]["choices"][0]["delta"]["content"]);

    let quiet = with(chat("quiet"), json!({"stream": true}));
    let events = post(&mock, "/v1/chat/completions", quiet).await.events();
    assert!(events.len() > 2 && events.iter().all(|event| event.get("usage").is_none()));
}

#[tokio::test]
async fn errors_come_with_their_status_shape_and_retry_after() {
    #[rustfmt::skip]
    let table = [
        ("/v1/chat/completions", "[[mock status=500]]",                        500, "server_error"),
        ("/v1/chat/completions", "[[mock status=429 retry_after_seconds=7]]",  429, "requests"),
        ("/v1/completions",      "[[mock error_percent=100]]",                 500, "server_error"),
        ("/v1/messages",         "[[mock status=429 retry_after_seconds=7]]",  429, "rate_limit_error"),
        ("/v1/messages",         "[[mock speed=1]]",                           400, "invalid_request_error"),
        ("/v1/chat/completions", "[[mock fail=inside]]",                       200, "server_error"),
    ];
    for (path, prompt, status, kind) in table {
        let mock = mock().await;
        let heard = post(&mock, path, with(chat(prompt), json!({"prompt": prompt}))).await;
        assert_eq!(
            (heard.status(), &heard.json()["error"]["type"]),
            (status, &json!(kind)),
            "{prompt}"
        );
        assert_eq!(
            heard.head.contains("retry-after: 7"),
            prompt.contains("retry_after"),
            "{prompt}"
        );
        assert_eq!(mock.calls().last(1)[0].status(), status);
    }
    let mock = mock().await;
    let heard = send(&mock, "POST", "/v1/chat/completions", "", "{\"model\": ").await;
    assert_eq!(heard.status(), 400);
    assert!(heard.body.contains("the body is not a request"));
}

#[tokio::test]
async fn a_prompt_may_fail_so_many_times_and_then_succeed() {
    let mock = mock().await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let ask = chat("[[mock status=503 times=2]]");
        statuses.push(post(&mock, "/v1/chat/completions", ask).await.status());
    }
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn a_stream_breaks_off_where_it_was_told() {
    #[rustfmt::skip]
    let table = [
        // directive           whole events, properly closed, ends on
        ("fail=cut fail_at=5",   5, false, "\n\n"),
        ("fail=half fail_at=5",  5, false, ""),
        ("fail=end fail_at=3",   3, true,  "\n\n"),
        ("fail=event fail_at=2", 3, true,  "}}\n\n"),
        ("fail=inside",          1, true,  "}}\n\n"),
        ("fail=cut fail_at=0",   0, false, ""),
    ];
    for (order, events, whole, ending) in table {
        let mock = mock().await;
        let ask = with(chat(&format!("[[mock {order}]]")), json!({"stream": true}));
        let heard = post(&mock, "/v1/chat/completions", ask).await;
        assert_eq!(
            (heard.events().len(), heard.whole),
            (events, whole),
            "{order}"
        );
        assert!(
            heard.body.ends_with(ending) && !heard.body.contains("[DONE]"),
            "{order}"
        );
        assert_eq!(heard.body.ends_with("\n\n"), !ending.is_empty(), "{order}");
        assert_eq!(mock.calls().last(1)[0].end(), End::Failed, "{order}");
    }
}

#[tokio::test]
async fn a_plain_answer_breaks_off_lies_or_floods() {
    #[rustfmt::skip]
    let table = [
        // directive            whole, parses
        ("fail=cut",             false, false),
        ("fail=end",             true,  false),
        ("length_error=100",     false, true),
        ("length_error=-10",     true,  false),
        ("flood_bytes=3000000",  true,  true),
    ];
    for (order, whole, parses) in table {
        let mock = mock().await;
        let ask = chat(&format!("[[mock {order}]]"));
        let heard = post(&mock, "/v1/chat/completions", ask).await;
        let parsed = serde_json::from_str::<Value>(&heard.body).is_ok();
        assert_eq!((heard.whole, parsed), (whole, parses), "{order}");
        assert!(
            heard.body.contains("chatcmpl-mock-1"),
            "{order}: it did begin"
        );
        assert_eq!(
            heard.body.len() > 3_000_000,
            order.contains("flood"),
            "{order}"
        );
    }
}

#[tokio::test]
async fn messages_come_in_the_true_sequence() {
    let mock = mock().await;
    let tools =
        json!([{"name": "w", "input_schema": {"properties": {"city": {"type": "string"}}}}]);
    let prompt = "[[mock chunks=2 reasoning=1 tools=1]]";
    let ask = with(
        chat(prompt),
        json!({"stream": true, "tools": tools, "max_tokens": 9}),
    );
    let events = post(&mock, "/v1/messages", ask).await.events();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let thinking = [
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
    ];
    let tool = thinking;
    let expected = [
        &["message_start", "ping"][..],
        &thinking,
        &tool,
        &["message_delta", "message_stop"],
    ];
    assert_eq!(kinds, expected.concat());
    let json: String = events
        .iter()
        .filter_map(|e| e["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        json!({"city": "city-1"})
    );
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], "tool_use");

    let plain = post(&mock, "/v1/messages", chat("hi [[mock text=hello]]"))
        .await
        .json();
    assert_eq!(plain["content"], json!([{"type": "text", "text": "hello"}]));
    assert_eq!(
        (&plain["id"], &plain["stop_reason"]),
        (&json!("msg-mock-2"), &json!("end_turn"))
    );
}

#[tokio::test]
async fn embeddings_keep_the_order_of_the_batch() {
    let mock = mock().await;
    let vectors = async |input: Value| {
        let ask = json!({"model": "e", "input": input, "dimensions": 4});
        let body = post(&mock, "/v1/embeddings", ask).await.json();
        let items = body["data"].as_array().unwrap().clone();
        assert!(
            items
                .iter()
                .enumerate()
                .all(|(at, item)| item["index"] == at)
        );
        items
            .into_iter()
            .map(|item| item["embedding"].clone())
            .collect::<Vec<_>>()
    };
    let (one, two) = (vectors(json!("one")).await, vectors(json!(["two"])).await);
    assert_ne!(one, two);
    assert_eq!(vectors(json!(["two", "one"])).await, [two, one].concat());
    assert_eq!(
        mock.calls().totals(),
        Totals {
            calls: 3,
            streams: 0,
            items: 4
        }
    );
}

#[tokio::test]
async fn the_log_judges_the_pace_and_holds_no_secret() {
    let mock = mock().await;
    let ask = with(
        chat("canary-prompt [[mock chunks=4 pace_ms=15 latency_ms=10]]"),
        json!({"stream": true}),
    );
    let headers = "authorization: Bearer canary-key\r\n";
    send(
        &mock,
        "POST",
        "/v1/chat/completions",
        headers,
        &ask.to_string(),
    )
    .await;
    let call = &mock.calls().last(1)[0];
    let times = call.chunks_micros();
    // Role, four tokens, closing, [DONE]; the tokens 15 ms apart, counted from the first.
    assert_eq!((times.len(), call.end()), (7, End::Complete));
    assert!(
        times[1] >= call.began_micros + 10_000,
        "{times:?} from {}",
        call.began_micros
    );
    assert!(
        times[4] >= call.began_micros + 55_000,
        "{times:?} from {}",
        call.began_micros
    );
    assert_eq!(call.asked.credential, Some(Digest::of(b"canary-key")));
    let shown = send(&mock, "GET", "/__calls?last=5", "", "").await;
    assert_eq!(
        shown.json()["calls"][0]["chunks_micros"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
    assert!(!shown.body.contains("canary"));
    send(&mock, "DELETE", "/__calls", "", "").await;
    assert_eq!(mock.calls().totals(), Totals::default());
}

#[tokio::test]
async fn hanging_up_is_noticed() {
    for order in ["hang=true", "fail=hang fail_at=2"] {
        let mock = mock().await;
        let ask = with(chat(&format!("[[mock {order}]]")), json!({"stream": true})).to_string();
        let mut stream = TcpStream::connect(mock.address()).await.unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: mock\r\ncontent-length: ";
        let request = format!("{head}{}\r\n\r\n{ask}", ask.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        while mock.calls().last(1).is_empty() {
            tokio::task::yield_now().await;
        }
        let call = mock.calls().last(1)[0].clone();
        drop(stream);
        while call.end() == End::Open {
            tokio::task::yield_now().await;
        }
        assert!(
            matches!(call.end(), End::Abandoned | End::Failed),
            "{order}"
        );
    }
}

#[tokio::test]
async fn a_required_key_is_required() {
    let settings = Settings {
        require_key: Some("right".into()),
        ..Settings::default()
    };
    let mock = Mock::start(settings).await.unwrap();
    #[rustfmt::skip]
    let table = [
        ("",                                 401),
        ("authorization: Bearer wrong\r\n",  401),
        ("authorization: Bearer right\r\n",  200),
        ("x-api-key: right\r\n",             200),
    ];
    for (headers, status) in table {
        for (method, path) in [("POST", "/v1/chat/completions"), ("GET", "/v1/models")] {
            let heard = send(&mock, method, path, headers, &chat("hi").to_string()).await;
            assert_eq!(heard.status(), status, "{path} {headers}");
        }
    }
}

#[tokio::test]
async fn behaviour_is_set_and_taken_back() {
    let mock = mock().await;
    let text = async || {
        let body = post(&mock, "/v1/chat/completions", chat("hi")).await.json();
        body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let set = json!({"text": "as told", "chunks": 2}).to_string();
    assert_eq!(
        send(&mock, "PUT", "/__behaviour", "", &set).await.status(),
        200
    );
    assert_eq!(text().await, "as told");
    assert_eq!(
        send(&mock, "PUT", "/__behaviour", "", "{\"speed\": 1}")
            .await
            .status(),
        400
    );
    assert_eq!(text().await, "as told", "a bad setting changes nothing");
    send(&mock, "DELETE", "/__behaviour", "", "").await;
    assert!(text().await.starts_with("3/0:"));
}

#[tokio::test]
async fn what_is_not_simulated_is_echoed() {
    let mock = mock().await;
    let headers = "x-a: 1\r\nx-a: 2\r\nauthorization: Bearer canary\r\n";
    let heard = send(&mock, "POST", "/v1/files?purpose=x", headers, "12345").await;
    let echo = heard.json();
    assert_eq!(
        (&echo["path"], &echo["query"]),
        (&json!("/v1/files"), &json!("purpose=x"))
    );
    assert_eq!(echo["body_bytes"], 5);
    let lines: Vec<_> = echo["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|l| l[0] == "x-a")
        .collect();
    assert_eq!(lines, [&json!(["x-a", "1"]), &json!(["x-a", "2"])]);
    assert!(!heard.body.contains("canary"));

    let body = post(&mock, "/v1/chat/completions", chat("[[mock echo=true]]"))
        .await
        .json();
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    let seen = serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(seen["path"], "/v1/chat/completions");
}
