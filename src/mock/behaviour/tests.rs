//! The table of settings, and who is struck by a rate.

use super::*;

/// Settings as they are written.
type Pairs = &'static [(&'static str, &'static str)];

fn with(settings: &[(&str, &str)]) -> Behaviour {
    let mut behaviour = Behaviour::default();
    for (name, value) in settings {
        behaviour.set(name, value).unwrap();
    }
    behaviour
}

#[test]
fn what_befalls_a_call() {
    #[rustfmt::skip]
    let table: [(Pairs, u64, u32, Turn); 10] = [
        (&[],                                           1, 0, Turn::Answer),
        (&[("status", "429")],                          1, 0, Turn::Refuse(429)),
        (&[("status", "429"), ("times", "2")],          7, 1, Turn::Refuse(429)),
        (&[("status", "429"), ("times", "2")],          7, 2, Turn::Answer),
        (&[("fail", "half")],                           1, 0, Turn::Fail(Fail::Half)),
        (&[("hang", "true"), ("status", "500")],        1, 0, Turn::Hang),
        (&[("error_percent", "0"), ("status", "500")],  1, 0, Turn::Answer),
        (&[("error_percent", "99")],                    0, 0, Turn::Refuse(500)),
        (&[("error_percent", "30")],                    1, 0, Turn::Answer),
        (&[("error_percent", "40")],                    1, 0, Turn::Refuse(500)),
    ];
    for (settings, call, seen, turn) in table {
        assert_eq!(
            with(settings).decide(call, seen),
            turn,
            "{settings:?} call {call} seen {seen}"
        );
    }
}

#[test]
fn a_rate_strikes_exactly_its_share_of_any_hundred_calls() {
    for percent in [1, 20, 50, 99] {
        let behaviour = with(&[("error_percent", &percent.to_string())]);
        let struck = (1234..1334)
            .filter(|call| behaviour.decide(*call, 0) != Turn::Answer)
            .count();
        assert_eq!(struck, percent);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    #[rustfmt::skip]
    let table = [
        ("chunk",         "5",    "no setting is called 'chunk', see --help"),
        ("chunks",        "0",    "chunks=0: give a whole number, 1 to 100000"),
        ("status",        "200",  "status=200: give a whole number, 400 to 599"),
        ("status",        "soon", "status=soon: give a whole number, 400 to 599"),
        ("finish",        "done", "finish=done: give one of stop, length, content_filter, tool_calls"),
        ("hang",          "yes",  "hang=yes: give one of true, false"),
    ];
    for (name, value, complaint) in table {
        let error = Behaviour::default().set(name, value).unwrap_err();
        assert_eq!(error.to_string(), complaint);
    }
}

#[test]
fn a_json_object_sets_what_the_names_set() {
    let json =
        serde_json::json!({"pace_ms": 20, "hang": true, "text": "hello", "finish": "length"});
    let mut behaviour = Behaviour::default();
    behaviour.set_all(json.as_object().unwrap()).unwrap();
    let named = with(&[
        ("pace_ms", "20"),
        ("hang", "true"),
        ("text", "hello"),
        ("finish", "length"),
    ]);
    assert_eq!(behaviour, named);
    assert_eq!(behaviour.pace_micros, 20_000);
}
