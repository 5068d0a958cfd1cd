//! Goal: one meaning has one canonical text, two meanings never share one, and what is not JSON is
//! told apart from what we cannot hold. Method: tables of texts.

use super::*;

fn canonical(text: &str) -> String {
    let tree = parse(text.as_bytes())
        .expect("grammatical")
        .understood()
        .expect("exact");
    String::from_utf8(Canonical::of(&tree).bytes().to_vec()).expect("utf-8")
}

#[test]
fn one_meaning_one_text() {
    let table: &[(&str, &[&str])] = &[
        ("0", &["0", "0.0", "-0", "-0.0", "0e5", " 0\n"]),
        ("1", &["1", "1.0", "1e0", "10e-1", "100.0e-2"]),
        ("-7", &["-7", "-7.0", "-70e-1"]),
        ("0.1", &["0.1", "0.10", "1e-1", "0.01e1"]),
        (
            "9007199254740991",
            &["9007199254740991", "9007199254740991.0"],
        ),
        ("18446744073709551615", &["18446744073709551615"]),
        ("-9223372036854775808", &["-9223372036854775808"]),
        (
            r#""é\n\"\\/\u0001""#,
            &[
                r#""é\n\"\\/\u0001""#,
                r#""\u00e9\u000a\u0022\u005c\/\u0001""#,
            ],
        ),
        (r#""😀""#, &[r#""😀""#, r#""\ud83d\ude00""#]),
        (
            r#"{"a":1,"b":[{"c":2,"d":3}]}"#,
            &[r#"{ "b":[{"d":3.0,"c":2}] , "a":1 }"#],
        ),
        (r#"{"":0,"a":{}}"#, &[r#"{"a":{},"":-0}"#]),
        ("[]", &["[]", "[ ]"]),
        ("null", &["null"]),
    ];
    for (expected, texts) in table {
        for text in *texts {
            assert_eq!(canonical(text), *expected, "of {text}");
            assert_eq!(canonical(expected), *expected, "canonical is a fixed point");
        }
    }
}

#[test]
fn two_meanings_two_texts() {
    let texts = [
        "0",
        "1",
        "-1",
        "0.1",
        "0.10000000000000002",
        "1e-300",
        "\"1\"",
        "\"\"",
        "null",
        "[]",
        "{}",
        "true",
        "false",
        "[1,2]",
        "[2,1]",
        "[[1],2]",
        "[1,[2]]",
        "18446744073709551615",
        "18446744073709551614",
        "9007199254740993",
        "9007199254740992",
        r#"{"a":null}"#,
        r#"{"a":1}"#,
        r#"{"A":1}"#,
        "\"a b\"",
        "\"a  b\"",
        "\"é\"",
        "\"e\u{301}\"",
    ];
    for (at, one) in texts.iter().enumerate() {
        for other in &texts[at + 1..] {
            assert_ne!(canonical(one), canonical(other), "{one} and {other}");
        }
    }
}

#[test]
fn what_no_number_type_tells_apart_is_not_understood() {
    for text in [
        "18446744073709551616",
        "-9223372036854775809",
        "1e16",
        "9007199254740992.0",
        "[1,{\"a\":123456789012345678901234567890}]",
    ] {
        let parsed = parse(text.as_bytes()).expect("grammatical");
        assert!(matches!(parsed, Parsed::Rounded(_)), "{text}: {parsed:?}");
    }
    for text in [
        "1e400",
        "-1e400",
        r#"{"a":["x",1e999]}"#,
        r#""\ud800""#,
        r#""\udc00 \ud83d""#,
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(Parsed::Unheld), "{text}");
    }
}

#[test]
fn what_is_not_json_is_malformed_and_never_quoted() {
    let deep = "[".repeat(10_000);
    let closed = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(129), "}".repeat(129));
    let twins_far = format!(
        "{{{},\"k3\":0}}",
        (0..40)
            .map(|n| format!("\"k{n}\":{n}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{'a':1}",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "1 2",
        "{\"secret\":1}x",
        "\"a\nb\"",
        "\"\\x\"",
        "\u{feff}{}",
        "{\"a\":1,\"a\":1}",
        "[{\"secret\":1,\"\\u0073ecret\":2}]",
        "{\"secret\": secret}",
        &deep,
        &closed,
        &objects,
        &twins_far,
    ] {
        let error = parse(text.as_bytes()).expect_err(text);
        assert!(error.line() >= 1, "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.to_string().contains("send one JSON value"), "{error}");
    }
    let error = parse(b"{\n \"a\xff\": 1}").expect_err("not UTF-8");
    assert_eq!((error.line(), error.column()), (2, 4));
}

#[test]
fn the_promised_depth_is_accepted() {
    let text = format!(
        "{}{}",
        "[".repeat(DEPTH_LEVELS_MAX),
        "]".repeat(DEPTH_LEVELS_MAX)
    );
    assert_eq!(canonical(&text), text);
}

#[test]
fn plain_writing_keeps_order_and_spelling_of_numbers() {
    let text = r#"{"b":1.0,"a":[-0.0,1e-7,"x"],"c":null}"#;
    let tree = parse(text.as_bytes())
        .expect("json")
        .understood()
        .expect("exact");
    assert_eq!(tree.to_bytes(), text.as_bytes());
    assert_eq!(tree.clone().into_owned(), tree);
}

#[test]
fn members_lie_where_they_say() {
    let text = " {\"a\" : [1, {\"b\":2}] ,\n \"q\\\"uo\": \"}\" , \"\":null } ";
    let found = members(text).expect("members");
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.name.as_ref(), one.raw, &text[one.span.clone()]))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", "[1, {\"b\":2}]", "\"a\" : [1, {\"b\":2}]"),
            ("q\"uo", "\"}\"", "\"q\\\"uo\": \"}\""),
            ("", "null", "\"\":null"),
        ]
    );
    for member in &found {
        assert_eq!(&text[member.value_span()], member.raw);
        let mut rest = text.to_owned();
        rest.replace_range(cut_of(&found, &member.name).expect("there"), "");
        assert_eq!(
            members(&rest).expect("still an object").len(),
            2,
            "without {}",
            member.name
        );
    }
    assert_eq!(cut_of(&found, "absent"), None);
    assert_eq!(members("{}"), Ok(Vec::new()));
    for text in ["[]", "1", "{\"a\":}", "{} {}", ""] {
        assert!(members(text).is_err(), "{text}");
    }
}

#[test]
fn elements_are_the_texts_between_commas() {
    assert_eq!(
        elements("[ 1.50 , {\"a\" : [ ] },\"],\" ]"),
        Ok(vec!["1.50", "{\"a\" : [ ] }", "\"],\""])
    );
    assert_eq!(elements("[]"), Ok(Vec::new()));
    assert!(elements("{}").is_err());
}
