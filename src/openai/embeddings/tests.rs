//! Goal: apart and together again changes no vector and invents no token. Method: one odd body with
//! numbers and members that must survive as text.

use super::*;

const BATCH: &str = r#"{ "object":"list", "data":[
 {"object":"embedding","index": 1 ,"embedding":[0.10, 1e-7]},
 {"embedding":"AAA=","index":0,"new":{"a":[1]}} ], "model":"m","usage":{"prompt_tokens":10,"total_tokens":10} ,"x":1.0}"#;

fn usage(input: u32) -> Option<Usage> {
    Some(Usage {
        input,
        cached_input: 0,
        output: 0,
        estimated: true,
    })
}

#[test]
fn a_batch_comes_apart_into_whole_answers() {
    let items = split(&Bytes::from(BATCH), &[1, 2]).expect("a batch");
    let body = |element: &str, tokens: u32| {
        format!(
            "{{ \"object\":\"list\", \"data\":[{element}], \"model\":\"m\",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}} ,\"x\":1.0}}"
        )
    };
    let first = body(r#"{"embedding":"AAA=","index":0,"new":{"a":[1]}}"#, 3);
    let second = body(
        r#"{"object":"embedding","index": 0 ,"embedding":[0.10, 1e-7]}"#,
        6,
    );
    assert_eq!(
        items[0],
        Item {
            body: Bytes::from(first),
            usage: usage(3)
        }
    );
    assert_eq!(
        items[1],
        Item {
            body: Bytes::from(second),
            usage: usage(6)
        }
    );
    assert_eq!(items.len(), 2);
}

#[test]
fn joined_they_stand_in_the_order_asked() {
    let items = split(&Bytes::from(BATCH), &[1, 1]).expect("a batch");
    let (one, two) = (items[0].body.clone(), items[1].body.clone());
    let joined = join(&[two.clone(), one, two]).expect("three answers");
    let text = std::str::from_utf8(&joined).expect("text");
    let vector =
        |at: usize| format!(r#"{{"object":"embedding","index": {at} ,"embedding":[0.10, 1e-7]}}"#);
    let middle = r#"{"embedding":"AAA=","index":1,"new":{"a":[1]}}"#;
    assert!(
        text.contains(&format!("[{},{middle},{}]", vector(0), vector(2))),
        "{text}"
    );
    assert!(
        text.contains(r#""usage":{"prompt_tokens":15,"total_tokens":15}"#),
        "{text}"
    );
}

#[test]
fn shares_never_exceed_the_whole() {
    let element = |at: usize| format!(r#"{{"index":{at},"embedding":[1]}}"#);
    for weights in [
        &[1, 1, 1][..],
        &[0, 0, 5],
        &[0, 0, 0],
        &[usize::MAX, usize::MAX, 7],
    ] {
        let data = [element(0), element(1), element(2)].join(",");
        let body =
            format!(r#"{{"data":[{data}],"usage":{{"prompt_tokens":100,"total_tokens":100}}}}"#);
        let items = split(&Bytes::from(body), weights).expect("a batch");
        let sum: u32 = items
            .iter()
            .filter_map(|item| item.usage)
            .map(|usage| usage.input)
            .sum();
        assert!(sum <= 100, "{weights:?}: {sum}");
        assert!(
            items
                .iter()
                .all(|item| item.usage.is_some_and(|usage| usage.estimated))
        );
    }
}

#[test]
fn a_batch_of_one_is_kept_as_told() {
    let body =
        Bytes::from(r#"{"data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":7,"x":1}}"#);
    let items = split(&body, &[4]).expect("one");
    let told = Usage {
        input: 7,
        cached_input: 0,
        output: 0,
        estimated: false,
    };
    assert_eq!(
        items,
        [Item {
            body,
            usage: Some(told)
        }]
    );
}

#[test]
fn without_usage_none_is_made_up() {
    let body = Bytes::from(
        r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]}],"usage":null}"#,
    );
    let items = split(&body, &[4, 4]).expect("two");
    assert!(items.iter().all(|item| item.usage.is_none()));
    assert_eq!(
        join(&[items[0].body.clone(), items[1].body.clone()]),
        Ok(body)
    );
}

#[test]
fn what_does_not_answer_each_input_is_refused() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"data":1}"#,
        r#"{"data":[]}"#,
        r#"{"data":[{"index":0},{"index":0}]}"#,
        r#"{"data":[{"index":0},{"index":2}]}"#,
        r#"{"data":[{"index":0},{}]}"#,
        r#"{"data":[{"index":0},1]}"#,
    ] {
        assert!(split(&Bytes::from(body), &[1, 1]).is_err(), "{body}");
    }
    assert!(join(&[]).is_err());
    assert!(
        join(&[Bytes::from(r#"{"data":[{"embedding":[1]}]}"#)]).is_err(),
        "no index to rewrite"
    );
}
