//! Goal: an answer is served to a question in other words only where everything else is the same,
//! in the shape its caller asked for, and no longer than it lives. Method: an embedder that takes
//! every text for the same, so that nothing but the space keeps questions apart; answers that name
//! what they were made for.

use std::collections::BTreeMap;

use fgy::config::{Auth, Provider, ProviderKind};
use fgy::semantic::guard::Cause;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, CHAT, Database, Draws, World, chat, streamed};

/// Guards read words, and here words are to mean nothing: a policy whose guard asks for nothing.
pub(crate) fn unguarded(name: &str, rest: &str) -> String {
    let causes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
    let off = causes.join(", ");
    format!(
        "policies:\n- name: {name}\n  type: semantic_cache\n{rest}  config:\n    \
         profile: aggressive\n    scope: {}\n    guard: {{off: [{off}]}}\n",
        if rest.is_empty() { "auto" } else { "user" }
    )
}

/// Words that no other question has, about nothing in particular.
pub(crate) fn words(n: usize) -> String {
    format!("please tell us something about topic {n}")
}

/// A chat in these words whose answer is this text.
pub(crate) fn saying(words: &str, text: &str) -> Value {
    chat(&format!("{words} [[mock text={text}]]"))
}

pub(crate) fn said(answer: &Answer) -> String {
    let json = answer.json();
    let text = &json["choices"][0]["message"]["content"];
    text.as_str().unwrap_or_default().to_owned()
}

async fn meaningless(world: &World) {
    world.policy(&unguarded("unguarded", "")).await;
}

/// A world whose embedder is the simulated provider's.
pub(crate) async fn world(store: Option<String>) -> World {
    let world = guarded(store).await;
    meaningless(&world).await;
    world
}

/// The same with the guard of the built-in policy.
pub(crate) async fn guarded(store: Option<String>) -> World {
    let world = distinct(store).await;
    world.behave(&[("alike", "true")]);
    world
}

/// The same with vectors that are as far apart as can be; a shared store of four connections.
pub(crate) async fn distinct(store: Option<String>) -> World {
    World::told(fgy::mock::Settings::default(), |settings| {
        settings.limits.store_connections_max = 4;
        if let Some(store) = store {
            settings.store = store;
        }
        let mock = Provider {
            name: "mock".into(),
            kind: ProviderKind::OpenAi,
            base_url: settings.upstream.clone(),
            models: Vec::new(),
            auth: Auth::None,
            forward_headers: Vec::new(),
        };
        settings.providers.insert("mock".into(), mock);
        settings.embedding.provider = "mock".into();
        settings.embedding.embedding_model = "text-embedding-3-small".into();
        settings.embedding.vector_dimensions = 1_536;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_words_hear_what_was_said_before_in_their_own_shape() {
    let world = world(None).await;
    let (first, other) = (words(1), words(2));
    let made = world.post(CHAT, saying(&first, "blue")).send().await;
    assert_eq!((made.cache(), said(&made).as_str()), ("miss", "blue"));
    let near = world.post(CHAT, saying(&other, "red")).send().await;
    assert_eq!(
        (near.cache(), said(&near).as_str()),
        ("semantic-hit", "blue")
    );
    let similarity: f64 = near
        .header("x-fgy-cache-similarity")
        .unwrap()
        .parse()
        .unwrap();
    assert!((0.999..=1.0).contains(&similarity), "{similarity}");
    assert!(near.header("age").is_some() && near.header("x-fgy-saved-usd").is_some());
    // The same again is found under its own key, and is still another question's answer.
    let again = world.post(CHAT, saying(&other, "red")).send().await;
    assert_eq!(
        (again.cache(), said(&again).as_str()),
        ("semantic-hit", "blue")
    );
    let stream = streamed(&saying(&words(3), "green"));
    let played = world.post(CHAT, stream).send().await;
    assert_eq!(played.cache(), "semantic-hit");
    let text = played.text();
    assert!(
        text.starts_with("data: ") && text.contains("blue"),
        "{text}"
    );
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    assert_eq!(
        world.mock.calls().totals().calls,
        4,
        "one chat, three embeddings"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_raise_the_bar_and_never_lower_it() {
    let world = world(None).await;
    world.post(CHAT, saying(&words(1), "blue")).send().await;
    for (name, value) in [
        ("x-fgy-cache", "exact"),
        ("x-fgy-similarity-threshold", "1.0"),
    ] {
        let body = saying(&words(2), name);
        let strict = world.post(CHAT, body.clone()).header(name, value);
        let heard = strict.send().await;
        assert_eq!((heard.cache(), said(&heard).as_str()), ("miss", name));
    }
    // What was promoted for a caller with a low bar is not good enough for one with a high bar.
    let body = saying(&words(3), "red");
    assert_eq!(
        world.post(CHAT, body.clone()).send().await.cache(),
        "semantic-hit"
    );
    let strict = world.post(CHAT, body).header("x-fgy-cache", "exact");
    let heard = strict.send().await;
    assert_eq!((heard.cache(), said(&heard).as_str()), ("miss", "red"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_takes_its_promoted_copies_along() {
    let world = world(None).await;
    world.post(CHAT, saying(&words(1), "blue")).send().await;
    let copy = saying(&words(2), "red");
    assert_eq!(
        world.post(CHAT, copy.clone()).send().await.cache(),
        "semantic-hit"
    );
    let purge = json!({"tenant": "default"});
    world.administer("POST", "/purge", purge).await;
    let heard = world.post(CHAT, copy).send().await;
    assert_eq!((heard.cache(), said(&heard).as_str()), ("miss", "red"));
}

/// Everything a question may differ in but its words.
type Place = [usize; 11];

/// How many of each: tenants, agents, namespaces, users, models, system prompts, earlier turns,
/// tools, formats, temperatures, pictures.
const SIZES: Place = [3, 3, 2, 3, 2, 3, 2, 2, 2, 2, 2];

/// A place that is the usual one in most respects, so that many questions meet.
fn place(draws: &mut Draws) -> Place {
    SIZES.map(|size| {
        let at = draws.below(size * 4);
        if at < size { at } else { 0 }
    })
}

fn asked(world: &World, keys: &[String], place: Place, n: usize) -> Ask {
    let [
        tenant,
        agent,
        namespace,
        user,
        model,
        system,
        turns,
        tools,
        format,
        warm,
        picture,
    ] = place;
    let words = format!("{} [[mock text=made-for-{n}]]", words(n));
    let content = if picture == 0 {
        json!(words)
    } else {
        let url = format!("data:image/png;base64,{picture}");
        json!([{"type": "text", "text": words}, {"type": "image_url", "image_url": {"url": url}}])
    };
    let mut messages = Vec::new();
    if system > 0 {
        messages.push(json!({"role": "system", "content": format!("You are of kind {system}.")}));
    }
    if turns > 0 {
        messages.push(json!({"role": "user", "content": "hello"}));
        messages.push(json!({"role": "assistant", "content": "hi"}));
    }
    messages.push(json!({"role": "user", "content": content}));
    let mut body = json!({
        "model": if model == 0 { "gpt-4o" } else { "gpt-4o-mini" }, "messages": messages,
        "temperature": warm as f64 / 2.0,
    });
    if tools > 0 {
        body["tools"] = json!([{"type": "function", "function": {"name": "look_up"}}]);
        body["tool_choice"] = json!("none");
    }
    if format > 0 {
        body["response_format"] = json!({"type": "json_object"});
    }
    if user > 0 {
        body["user"] = json!(format!("u{user}"));
    }
    let mut ask = world.post(CHAT, body).key(&keys[tenant]);
    if agent > 0 {
        ask = ask.header("x-fgy-agent", ["", "faq", "diary"][agent]);
    }
    if namespace > 0 {
        ask = ask.header("x-fgy-namespace", "staging");
    }
    ask
}

/// Where users do not count they are no part of the place.
fn effective(place: Place) -> Place {
    let mut place = place;
    if place[1] != 2 {
        place[3] = 0;
    }
    place
}

/// Why a look may be given up.
const GIVEN_UP: [&str; 3] = ["store-unavailable", "embedder-busy", "embedder-failed"];

/// With an embedder that takes all texts for one, an answer is heard exactly by those who ask from
/// the place it was made for: nothing crosses, and nothing that may be shared is not.
async fn no_two_places_meet(store: Option<String>, questions: usize) {
    let world = world(store).await;
    world
        .policy(&unguarded("by-user", "  agents: [diary]\n"))
        .await;
    let keys = [
        world.key.clone(),
        world.tenant("b", json!({})).await,
        world.tenant("a", json!({})).await,
    ];
    let tenants = ["default", "b", "a"];
    let seed = 0x5eed_0003;
    println!("seed {seed:#x}");
    let mut draws = Draws(seed);
    // Of a place, what was made for it: once, but for looks that were given up.
    let mut made: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    let (mut near, mut fresh, mut given_up) = (0, 0, 0);
    for n in 0..questions {
        if n % 997 == 996 {
            let tenant = draws.below(tenants.len());
            let purge = json!({"tenant": tenants[tenant]});
            world.administer("POST", "/purge", purge).await;
            made.retain(|place, _| place[0] != tenant);
        }
        let place = place(&mut draws);
        let answer = asked(&world, &keys, place, n).send().await;
        let place = effective(place);
        if place[1] == 2 && place[3] == 0 {
            assert_eq!((answer.cache(), answer.reason()), ("bypass", "no-user"));
            continue;
        }
        let text = said(&answer);
        match made.get(&place) {
            Some(expected) if answer.cache() == "semantic-hit" => {
                assert!(expected.contains(&text), "{n}: {place:?} {text}");
                near += 1;
            }
            // On a machine that is busy elsewhere a look may be given up; it says so.
            Some(_) => {
                let told = (answer.cache(), answer.reason());
                assert!(
                    told.0 == "miss" && GIVEN_UP.contains(&told.1),
                    "{n}: {told:?}"
                );
                made.entry(place).or_default().push(text);
                given_up += 1;
            }
            None => {
                assert_eq!(
                    (answer.cache(), text),
                    ("miss", format!("made-for-{n}")),
                    "{place:?}"
                );
                made.insert(place, vec![format!("made-for-{n}")]);
                fresh += 1;
            }
        }
    }
    println!("{near} near answers, {fresh} fresh ones, {given_up} looks given up");
    assert!(near > questions / 4 && fresh > questions / 50 && given_up < questions / 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_places_meet_in_memory() {
    no_two_places_meet(Some("volatile:".to_owned()), 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_places_meet_in_the_file() {
    no_two_places_meet(None, 10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_places_meet_in_a_shared_store() {
    let Some(database) = Database::new("places").await else {
        return;
    };
    no_two_places_meet(Some(database.url()), 10_000).await;
    database.end().await;
}
