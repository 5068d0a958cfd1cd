//! The endpoint against a server that answers as it is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

/// What one connection heard: head and body.
type Heard = (String, serde_json::Value);

/// A server that gives these answers, one a connection, and tells what it heard.
fn provider(answers: Vec<(u16, String)>) -> (String, mpsc::Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length = length.lines().next().unwrap().parse().unwrap();
            let mut asked = vec![0; length];
            stream.read_exact(&mut asked).unwrap();
            tell.send((head, serde_json::from_slice(&asked).unwrap()))
                .unwrap();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    (base, heard)
}

fn settings(base_url: &str) -> HttpSettings {
    crate::semantic::model::tests::tell_tls();
    HttpSettings {
        base_url: base_url.to_owned(),
        embedding_model: "tiny".into(),
        vector_dimensions: 2,
        key: Some(Secret::new(b"the operator's")),
        price: Some(Price {
            input: NanoUsd(20_000_000),
            cached_input: NanoUsd(20_000_000),
            output: NanoUsd::ZERO,
        }),
        patience: Duration::from_secs(60),
        calls_max: 4,
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const GOOD: &str = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[0,2]},
    {"object":"embedding","index":0,"embedding":[3,4]}],"model":"m",
    "usage":{"prompt_tokens":150,"total_tokens":150}}"#;

#[tokio::test]
async fn vectors_come_in_the_order_of_the_texts_with_their_price() {
    let (base, heard) = provider(vec![(200, GOOD.to_owned())]);
    let http = Http::new(settings(&format!("{base}/"))).unwrap();
    let paid = http.embed_paid(texts(&["a", "b"])).await.unwrap();
    let numbers: Vec<&[f32]> = paid.vectors.iter().map(Vector::as_slice).collect();
    assert_eq!(numbers, [[0.6, 0.8], [0.0, 1.0]]);
    assert_eq!((paid.tokens, paid.price), (150, NanoUsd(3_000)));
    let (head, body) = heard.recv().unwrap();
    assert!(
        head.starts_with("post /v1/embeddings http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\nauthorization: bearer the operator's\r\n"),
        "{head}"
    );
    let right =
        serde_json::json!({"model": "tiny", "input": ["a", "b"], "encoding_format": "float"});
    assert_eq!(body, right);
    assert_eq!(http.model().to_string(), "tiny@/2");
}

#[tokio::test]
async fn dimensions_are_asked_of_models_that_know_them_and_tokens_are_guessed_where_none_are_told()
{
    let answer = r#"{"data":[{"index":0,"embedding":[1,0]}]}"#;
    let (base, heard) = provider(vec![(200, answer.to_owned())]);
    let small = HttpSettings {
        embedding_model: "text-embedding-3-small".into(),
        key: None,
        ..settings(&base)
    };
    let http = Http::new(small).unwrap();
    let paid = http.embed_paid(texts(&["nine byte"])).await.unwrap();
    assert_eq!((paid.tokens, paid.price), (3, NanoUsd(60)));
    let (head, body) = heard.recv().unwrap();
    assert_eq!(body["dimensions"], 2);
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_agreed_is_refused() {
    let long = format!(r#"{{"data":[],"x":"{}"}}"#, "x".repeat(8192));
    for (status, body, declined) in [
        (200, "", Declined::Failed),
        (200, "{}", Declined::Failed),
        (200, r#"{"data":[]}"#, Declined::Failed),
        (
            200,
            r#"{"data":[{"index":0,"embedding":[1,0,0]}]}"#,
            Declined::Failed,
        ),
        (
            200,
            r#"{"data":[{"index":1,"embedding":[1,0]}]}"#,
            Declined::Failed,
        ),
        (
            200,
            r#"{"data":[{"index":0,"embedding":[0,0]}]}"#,
            Declined::Failed,
        ),
        (
            200,
            r#"{"data":[{"index":0,"embedding":[1e999,0]}]}"#,
            Declined::Failed,
        ),
        (200, long.as_str(), Declined::Failed),
        (401, "{}", Declined::Failed),
        (500, "{}", Declined::Failed),
        (302, "", Declined::Failed),
        (429, "{}", Declined::Busy),
    ] {
        let (base, heard) = provider(vec![(status, body.to_owned())]);
        let http = Http::new(settings(&base)).unwrap();
        assert_eq!(
            http.embed(texts(&["a"])).await,
            Err(declined),
            "{status} {body}"
        );
        drop(heard);
    }
    // Two texts, and one vector twice.
    let twice = r#"{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#;
    let (base, _heard) = provider(vec![(200, twice.to_owned())]);
    let http = Http::new(settings(&base)).unwrap();
    assert_eq!(http.embed(texts(&["a", "b"])).await, Err(Declined::Failed));
}

#[tokio::test]
async fn nobody_there_is_failed_and_too_many_or_too_slow_is_busy() {
    let http = Http::new(settings("http://127.0.0.1:1/v1")).unwrap();
    assert_eq!(http.embed(texts(&["a"])).await, Err(Declined::Failed));
    let none = HttpSettings {
        calls_max: 0,
        ..settings("http://127.0.0.1:1/v1")
    };
    assert_eq!(
        Http::new(none).unwrap().embed(texts(&["a"])).await,
        Err(Declined::Busy)
    );
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hurried = HttpSettings {
        patience: Duration::from_millis(20),
        ..settings(&format!("http://{}/v1", silent.local_addr().unwrap()))
    };
    assert_eq!(
        Http::new(hurried).unwrap().embed(texts(&["a"])).await,
        Err(Declined::Busy)
    );
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_would() {
    let with = |change: &dyn Fn(&mut HttpSettings)| {
        let mut settings = settings("http://127.0.0.1:1/v1");
        change(&mut settings);
        Http::new(settings).err().map(|error| error.to_string())
    };
    assert_eq!(with(&|_| {}), None);
    for (model, dimensions, most) in [
        ("text-embedding-3-small", 1_537, "1536"),
        ("text-embedding-3-small", 0, "1536"),
        ("text-embedding-3-large", 4_096, "3072"),
        ("text-embedding-ada-002", 512, "1536"),
    ] {
        let said = with(&|settings| {
            settings.embedding_model = model.into();
            settings.vector_dimensions = dimensions;
        });
        let said = said.unwrap_or_default();
        assert!(
            said.contains(model) && said.contains(most),
            "{model}: {said}"
        );
    }
    for url in ["", "ftp://host/v1", "127.0.0.1:1"] {
        let said = with(&|settings| settings.base_url = url.to_owned()).unwrap_or_default();
        assert!(said.contains("give an http or https URL"), "{url}: {said}");
    }
    let said = with(&|settings| settings.key = Some(Secret::new(b"two\nlines")));
    assert!(said.unwrap_or_default().contains("key"));
}
