//! `kill -9` in mid-load, several times on one folder. What is owed afterwards is counted from the
//! clients' own record and the provider's: an answer finished half a second before the kill hits
//! without a call, with the very same text; every reply whose last byte was seen has its ledger
//! line; no reply has two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fgy::mock::{Behaviour, Mock, Settings};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::heard::{Heard, chat, chat_streamed};
use crate::home::Home;
use crate::node::{LOOK, Node, PATIENCE, Start};

const CLIENTS: u64 = 16;
const ROUNDS: u64 = 4;
/// What the contract gives the store to have an answer written.
const GRACE: Duration = Duration::from_millis(500);
/// Prompts to choose from in one round: some are asked once, most again and again.
const PROMPTS: u64 = 600;

/// A reply whose last byte a client saw.
struct Finished {
    prompt: String,
    id: String,
    at: Instant,
    words: String,
}

/// What the clients of one round know.
#[derive(Default)]
struct Record {
    finished: Mutex<Vec<Finished>>,
    sent: AtomicU64,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_before_a_kill_is_kept_and_billed_once() {
    let seed = seed();
    println!("seed {seed} (FGY_TEST_SEED repeats it)");
    let mock = Mock::start(Settings {
        behaviour: Behaviour {
            latency_ms: 3,
            chunks: 6,
            pace_micros: 1_500,
            ..Behaviour::default()
        },
        ..Settings::default()
    });
    let (mock, home) = (mock.await.unwrap(), Home::new());
    let mut seen = BTreeSet::new();
    let mut sent = 0;
    let mut node = start(&home, &mock).await;
    for round in 0..ROUNDS {
        let record = load_and_kill(node, seed ^ (round << 48), round).await;
        let killed = record.killed;
        node = start(&home, &mock).await;
        let finished = std::mem::take(&mut *record.record.finished.lock().unwrap());
        assert!(
            finished.len() > 50,
            "round {round}: hardly a load: {}",
            finished.len()
        );
        seen.extend(finished.iter().map(|reply| reply.id.clone()));
        sent += record.record.sent.load(Ordering::Relaxed);
        let kept = kept_in_time(&finished, killed);
        let (asked, again) = ask_again(&node, &mock, &kept).await;
        seen.extend(again);
        sent += asked;
        assert_billed_once(&node, &seen, sent).await;
        println!(
            "round {round}: {} replies seen so far, {asked} asked again",
            seen.len()
        );
    }
}

async fn start(home: &Home, mock: &Mock) -> Node {
    Start::new(home, &mock.base_url()).go().await
}

struct Killed {
    record: Arc<Record>,
    killed: Instant,
}

/// Loads the node from many clients and kills it at a moment the seed chooses.
async fn load_and_kill(node: Node, seed: u64, round: u64) -> Killed {
    let (node, record) = (Arc::new(node), Arc::new(Record::default()));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (node, record) = (node.clone(), record.clone());
        clients.spawn(async move { client(&node, &record, seed ^ number, round).await });
    }
    let load = Duration::from_millis(1_200 + draw(&mut { seed }) % 800);
    tokio::time::sleep(load).await;
    let killed = Instant::now();
    // While the clients ask on.
    node.signal("KILL");
    record.stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    Arc::into_inner(node).unwrap().kill();
    Killed { record, killed }
}

async fn client(node: &Node, record: &Record, seed: u64, round: u64) {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while !record.stop.load(Ordering::Relaxed) {
        let prompt = format!("round {round}, prompt {}", draw(&mut random) % PROMPTS);
        let streamed = draw(&mut random).is_multiple_of(2);
        let body = if streamed {
            chat_streamed(&prompt)
        } else {
            chat(&prompt)
        };
        record.sent.fetch_add(1, Ordering::Relaxed);
        let Ok(heard) = node.try_ask(&body).await else {
            return;
        };
        if !heard.whole {
            return;
        }
        assert_eq!(heard.status, 200, "{}", heard.text());
        let reply = Finished {
            prompt,
            id: heard.id(),
            at: Instant::now(),
            words: words(&heard),
        };
        record.finished.lock().unwrap().push(reply);
    }
}

/// The answer's text, whichever way it came. The simulated provider writes the number of the call
/// into every piece of it.
fn words(heard: &Heard) -> String {
    let text = heard.text();
    if !heard
        .header("content-type")
        .starts_with("text/event-stream")
    {
        return heard.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
    let events = events.map(|rest| serde_json::from_str(&format!("{{{rest}")).unwrap());
    let pieces = events.filter_map(|event: serde_json::Value| {
        Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
    });
    pieces.collect()
}

/// The prompts that somebody had a whole answer to in time, each with that answer.
fn kept_in_time(finished: &[Finished], killed: Instant) -> BTreeMap<String, String> {
    let in_time = finished.iter().filter(|reply| reply.at + GRACE <= killed);
    in_time
        .map(|reply| (reply.prompt.clone(), reply.words.clone()))
        .collect()
}

/// Asks for everything that must be kept; nothing of it may cost a call.
async fn ask_again(
    node: &Node,
    mock: &Mock,
    kept: &BTreeMap<String, String>,
) -> (u64, BTreeSet<String>) {
    assert!(
        kept.len() > 20,
        "hardly anything to be kept: {}",
        kept.len()
    );
    let (calls, mut ids) = (mock.calls().totals().calls, BTreeSet::new());
    for (prompt, answer) in kept {
        let heard = node.ask(&chat(prompt)).await;
        assert_eq!(heard.cache(), "hit", "{prompt} was finished in time");
        assert_eq!(&words(&heard), answer, "{prompt}");
        ids.insert(heard.id());
    }
    assert_eq!(
        mock.calls().totals().calls,
        calls,
        "a kept answer was paid for again"
    );
    (kept.len() as u64, ids)
}

/// Every reply that was seen to its end has one line; there is no line too many.
async fn assert_billed_once(node: &Node, seen: &BTreeSet<String>, sent: u64) {
    let deadline = Instant::now() + PATIENCE;
    let lines = loop {
        let lines = node.lines().await;
        let ids: BTreeSet<&str> = lines
            .iter()
            .map(|line| line["id"].as_str().unwrap())
            .collect();
        let lost = seen.iter().filter(|id| !ids.contains(id.as_str())).count();
        if lost == 0 {
            assert_eq!(ids.len(), lines.len(), "an id stands twice");
            break lines;
        }
        assert!(
            Instant::now() < deadline,
            "{lost} of {} lines are lost",
            seen.len()
        );
        tokio::time::sleep(LOOK).await;
    };
    assert!(
        lines.len() as u64 <= sent,
        "{} lines of {sent} requests",
        lines.len()
    );
    for line in lines
        .iter()
        .filter(|line| seen.contains(line["id"].as_str().unwrap()))
    {
        assert_eq!(
            (line["delivered"].as_bool(), line["status"].as_u64()),
            (Some(true), Some(200))
        );
    }
    let statement = node.admin("/admin/v1/stats?tenant=default").await.json();
    assert_eq!(
        statement["requests"].as_u64(),
        Some(lines.len() as u64),
        "{statement}"
    );
}

fn seed() -> u64 {
    let environment = fgy::config::Environment::of_process();
    match environment.get("FGY_TEST_SEED") {
        Some(seed) => seed.parse().unwrap(),
        None => u64::from_le_bytes(fgy::random::bytes().unwrap()[..8].try_into().unwrap()),
    }
}

/// The next number (xorshift).
fn draw(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 11
}
