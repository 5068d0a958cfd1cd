//! Goal: the book says what the registry says, from the moment it is told, and the default stays.
//! Method: lists handed in one after the other, look-ups in between.

use super::*;

fn told(name: &str, base_url: &str, models: &[&str]) -> registry::Provider {
    registry::Provider {
        name: name.into(),
        kind: ProviderKind::OpenAi,
        base_url: base_url.into(),
        models: models.iter().map(|model| Glob::from(*model)).collect(),
        auth: registry::Auth::None,
        forward_headers: Vec::new(),
    }
}

fn providers() -> Providers {
    let default = Provider::new("default", "http://127.0.0.1:1/v1", Auth::Caller).unwrap();
    let patience = Patience {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(1),
        chunk: Duration::from_secs(1),
        idle_connections_max: 1,
    };
    // Told once in the process; another test may have done it.
    let _told = rustls::crypto::ring::default_provider().install_default();
    Providers::new(default, patience).unwrap()
}

#[test]
fn a_list_takes_the_place_of_the_one_before() {
    let providers = providers();
    let at = |name: Option<&str>, model: &str| -> Option<String> {
        Some(providers.book().choose(name, model)?.base_url.to_string())
    };
    assert_eq!(at(None, "llama3").as_deref(), Some("http://127.0.0.1:1/v1"));
    assert_eq!(at(Some("b"), "llama3"), None);

    let list = Arc::new(vec![
        told("a", "http://127.0.0.1:2/v1", &["gpt-*"]),
        told("b", "http://127.0.0.1:3/v1", &["llama*", "gpt-4o"]),
    ]);
    assert_eq!(providers.follow(Some(&list)), []);
    for (name, model, port) in [
        (None, "llama3", "3"),
        (None, "gpt-4o", "2"),
        (None, "claude", "1"),
        (Some("b"), "gpt-4o", "3"),
        (Some("default"), "llama3", "1"),
    ] {
        let url = format!("http://127.0.0.1:{port}/v1");
        assert_eq!(at(name, model), Some(url), "{name:?} {model}");
    }

    let before = Arc::as_ptr(&providers.book());
    assert_eq!(providers.follow(Some(&list)), []);
    assert_eq!(
        Arc::as_ptr(&providers.book()),
        before,
        "nothing was written"
    );

    let still = |name: &str, at: &str| providers.book().still_at(name, at).is_some();
    let (before, after) = ("http://127.0.0.1:3/v1", "http://127.0.0.1:4/v1");
    assert!(still("b", before) && !still("b", after) && !still("c", before));
    assert!(still("default", "http://127.0.0.1:1/v1"));

    let list = Arc::new(vec![told("b", "http://127.0.0.1:4/v1", &[])]);
    assert_eq!(providers.follow(Some(&list)), []);
    assert!(
        !still("b", before) && still("b", after),
        "a job made before finds it gone"
    );
    assert_eq!(at(Some("a"), "x"), None);
    assert_eq!(at(Some("b"), "x").as_deref(), Some("http://127.0.0.1:4/v1"));
    assert_eq!(at(None, "llama3").as_deref(), Some("http://127.0.0.1:1/v1"));
}

#[test]
fn what_cannot_be_called_is_left_out_and_told() {
    let providers = providers();
    let operator = registry::Provider {
        auth: registry::Auth::Operator,
        ..told("later", "http://127.0.0.1:2/v1", &["*"])
    };
    let list = Arc::new(vec![
        told("broken", "http://[::1/v1", &["*"]),
        operator,
        told("good", "http://127.0.0.1:3/v1", &[]),
    ]);
    let unfit = providers.follow(Some(&list));
    assert_eq!(unfit.len(), 2, "{unfit:?}");
    assert!(unfit[0].0.starts_with("broken: ") && !unfit[0].0.contains("::1"));
    let book = providers.book();
    assert!(book.named(Some("good")).is_some() && book.named(Some("broken")).is_none());
    assert_eq!(book.choose(None, "any").unwrap().name, "default");
}
