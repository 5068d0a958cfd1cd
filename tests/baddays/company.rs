//! Three nodes as processes of their own, on the loopback, over the wire they really speak: a
//! thousand callers who cost one call, an owner killed or stopped in the middle, strangers at the
//! door, and a purge that a stopped node cannot have missed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use fgy::mock::{Mock, Settings};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::heard::{Heard, chat, chat_streamed};
use crate::home::Home;
use crate::node::{LOOK, Node, PATIENCE, Start};

/// The longest to a first byte or an error when a node hangs, beside what the provider takes.
const FOUND_OUT_WITHIN: Duration = Duration::from_millis(2_500);

/// What a machine that does other things too is granted on top.
const LEEWAY: Duration = Duration::from_millis(1_500);

const SECRET: &str = "one-secret-of-the-cluster-8f3a61c07d";

/// Nodes, each on a folder of its own, that found each other.
struct Company {
    nodes: Vec<Node>,
    homes: Vec<Home>,
    mock: Mock,
    gossip: Vec<u16>,
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// A node whose store is its own: the shared one is another story's.
fn node<'h>(
    home: &'h Home,
    number: usize,
    gossip: &[u16],
    upstream: &str,
    secret: &str,
) -> Start<'h> {
    let file = home.write("fgy.toml", "store_shared = false\n");
    // No store says who begins: the node without seeds does, and the others seek it.
    let seeds = if number == 0 {
        String::new()
    } else {
        format!("127.0.0.1:{}", gossip[0])
    };
    Start::serve(home, upstream)
        .arg("--config", file.to_str().unwrap())
        .arg("--node-id", &format!("node-{number}"))
        .arg("--peer-listen", "127.0.0.1:0")
        .arg("--gossip-listen", &format!("127.0.0.1:{}", gossip[number]))
        .arg("--seeds", &seeds)
        .env("FGY_CLUSTER_SECRET", secret)
}

impl Company {
    async fn of(count: usize) -> Company {
        let mock = Mock::start(Settings::default()).await.unwrap();
        let gossip: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let homes: Vec<Home> = (0..count).map(|_| Home::new()).collect();
        let mut nodes = Vec::new();
        for (number, home) in homes.iter().enumerate() {
            let start = node(home, number, &gossip, &mock.base_url(), SECRET);
            nodes.push(start.go().await);
        }
        let company = Company {
            nodes,
            homes,
            mock,
            gossip,
        };
        company.until(|status| ring(status) == count).await;
        for node in &company.nodes {
            node.is_ready().await;
        }
        company
    }

    /// Waits until every node that answers sees the cluster so.
    async fn until(&self, holds: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        'again: loop {
            for node in &self.nodes {
                let status = node.admin("/admin/v1/cluster").await.json();
                if !holds(&status) {
                    assert!(Instant::now() < deadline, "{status:#}");
                    tokio::time::sleep(LOOK).await;
                    continue 'again;
                }
            }
            return;
        }
    }

    fn calls(&self) -> u64 {
        self.mock.calls().totals().calls
    }

    /// A prompt whose answer this node owns, asked once of it so that it is kept.
    async fn kept_by(&self, owner: usize, words: &str) -> String {
        for number in 0..200 {
            let prompt = format!("{words} {number}");
            let heard = self.nodes[0].ask(&chat(&prompt)).await;
            if heard.header("x-fgy-owner") == format!("node-{owner}") {
                return prompt;
            }
        }
        panic!("node-{owner} owns nothing");
    }

    /// A prompt that this node would own, asked by nobody yet: found by prompts that differ from it
    /// in nothing but their number.
    async fn owned_by(&self, owner: usize, words: &str) -> String {
        for number in 0..200 {
            let prompt = format!("{words} {number}");
            let explained = self.nodes[0].explain(&chat(&prompt)).await;
            if explained["owner"] == format!("node-{owner}") {
                return prompt;
            }
        }
        panic!("node-{owner} owns nothing");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a caller of a story is waited for by the story"
    )]
    fn ask(&self, at: usize, body: Value) -> JoinHandle<Asked> {
        let request = self.nodes[at]
            .post("/v1/chat/completions")
            .body(body.to_string());
        tokio::spawn(async move {
            let began = Instant::now();
            let response = request.send().await;
            let first = began.elapsed();
            Asked {
                first,
                heard: match response {
                    Ok(response) => Some(Heard::to_the_end(response).await),
                    Err(_) => None,
                },
            }
        })
    }

    async fn comes_to_rest(&self) {
        for node in &self.nodes {
            node.assert_calm().await;
        }
    }
}

/// What one caller heard, and when it heard the first of it.
struct Asked {
    first: Duration,
    heard: Option<Heard>,
}

impl Asked {
    fn heard(&self) -> &Heard {
        self.heard.as_ref().unwrap()
    }

    /// The calls of the provider whose words are in it: more than one is a mixture.
    fn generations(&self) -> BTreeSet<String> {
        let text = self.heard().text();
        let is_piece = |word: &str| {
            let (call, rest) = word.split_once('/')?;
            let call: String = call
                .chars()
                .rev()
                .take_while(char::is_ascii_digit)
                .collect();
            let place = rest.split_once(':')?.0;
            let counted = !call.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit());
            counted.then(|| call.chars().rev().collect())
        };
        text.split([' ', '"']).filter_map(is_piece).collect()
    }
}

fn ring(status: &Value) -> usize {
    let members = status["members"].as_array().unwrap();
    members
        .iter()
        .filter(|member| !member["share"].is_null())
        .count()
}

async fn all(asks: Vec<JoinHandle<Asked>>) -> Vec<Asked> {
    let mut asked = Vec::new();
    for ask in asks {
        asked.push(ask.await.unwrap());
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_three_nodes_are_one_call_whoever_owns_the_answer() {
    let company = Company::of(3).await;
    for (owner, shape) in ["plain", "streamed", "mixed"].into_iter().enumerate() {
        let words = format!("[[mock chunks=10 pace_ms=30]] {shape}");
        let prompt = company.owned_by(owner, &words).await;
        let before = company.calls();
        let body = |i: usize| match (shape, i % 2) {
            ("plain", _) | ("mixed", 0) => chat(&prompt),
            _ => chat_streamed(&prompt),
        };
        let asked = all((0..1_000).map(|i| company.ask(i % 3, body(i))).collect()).await;
        assert_eq!(company.calls() - before, 1, "{shape}");
        for asked in &asked {
            let heard = asked.heard();
            assert_eq!((heard.status, heard.whole), (200, true), "{}", heard.text());
            assert_eq!(asked.generations().len(), 1);
            let streamed = heard
                .header("content-type")
                .starts_with("text/event-stream");
            assert!(!streamed || heard.text().contains("data: [DONE]"));
        }
        let told = |what: &str| {
            asked
                .iter()
                .filter(|asked| asked.heard().cache() == what)
                .count()
        };
        assert_eq!(
            (told("miss"), told("coalesced") + told("hit")),
            (1, 999),
            "{shape}"
        );
    }
    company.comes_to_rest().await;
}

/// Two of each shape at each node in turn, a stream first.
fn is_streamed(i: usize) -> bool {
    (i / 2).is_multiple_of(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_killed_at_chunk_five_costs_one_more_call_and_mixes_nothing() {
    let mut company = Company::of(3).await;
    let prompt = company
        .owned_by(2, "[[mock chunks=12 pace_ms=150]] a long one")
        .await;
    let before = company.calls();
    // The provider is asked in the shape of the first: a stream.
    let mut asks = vec![company.ask(0, chat_streamed(&prompt))];
    while company.calls() == before {
        tokio::time::sleep(LOOK).await;
    }
    let body = |i: usize| match is_streamed(i) {
        true => chat_streamed(&prompt),
        false => chat(&prompt),
    };
    asks.extend((1..100).map(|i| company.ask(i % 2, body(i))));
    tokio::time::sleep(Duration::from_millis(5 * 150 + 75)).await;
    company.nodes.pop().unwrap().kill();
    let asked = all(asks).await;
    assert!(
        company.calls() - before <= 2,
        "{}",
        company.calls() - before
    );
    let mut cut = 0;
    for (i, asked) in asked.iter().enumerate() {
        let heard = asked.heard();
        assert_eq!(heard.status, 200, "{}", heard.text());
        assert_eq!(asked.generations().len(), 1, "{}", heard.text());
        if !is_streamed(i) {
            assert!(heard.json()["usage"].is_object(), "a plain answer is whole");
        } else if heard.text().contains("fgy_truncated") {
            assert!(!heard.text().contains("[DONE]"), "{}", heard.text());
            cut += 1;
        } else {
            assert!(heard.text().contains("[DONE]"), "{}", heard.text());
        }
    }
    assert!(cut > 0, "the owner died when nobody was listening");
    company.comes_to_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_stopped_holds_nobody_up_and_is_back_when_it_wakes() {
    let company = Company::of(3).await;
    let prompt = company
        .owned_by(2, "[[mock chunks=4 pace_ms=20]] stopped")
        .await;
    company.nodes[2].signal("STOP");
    let asked = all((0..40).map(|i| company.ask(i % 2, chat(&prompt))).collect()).await;
    for asked in &asked {
        assert_eq!(asked.heard().status, 200, "{}", asked.heard().text());
        assert!(asked.first < FOUND_OUT_WITHIN + LEEWAY, "{:?}", asked.first);
    }
    let slowest = asked.iter().map(|asked| asked.first).max().unwrap();
    println!("a stopped owner: the slowest of 40 waited {slowest:?}");
    company.nodes[2].signal("CONT");
    company.until(|status| masked(status) == 0).await;
    company.comes_to_rest().await;
}

fn masked(status: &Value) -> usize {
    let members = status["members"].as_array().unwrap();
    members
        .iter()
        .filter(|member| !member["masked"].is_null())
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_nowhere() {
    let company = Company::of(2).await;
    // One that knows where to knock and not what to say.
    let (home, mut gossip) = (Home::new(), company.gossip.clone());
    gossip.push(free_port());
    let wrong = "another-secret-altogether-5c1be2907a";
    let stranger = node(&home, 2, &gossip, &company.mock.base_url(), wrong)
        .go()
        .await;
    let peers = company.nodes[0].admin("/admin/v1/cluster").await.json();
    let address = peers["members"][0]["address"].as_str().unwrap().to_owned();
    let mut plain = tokio::net::TcpStream::connect(&address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    // A reset is an answer too.
    let _reset = plain.read_to_end(&mut said).await;
    assert!(
        !String::from_utf8_lossy(&said).contains("HTTP"),
        "it was answered"
    );

    company.nodes[0].reaches("fgy_gossip_wrong_key", 1).await;
    company.nodes[0].reaches("fgy_peer_refused", 1).await;
    let status = company.nodes[0].admin("/admin/v1/cluster").await.json();
    assert_eq!(status["members"].as_array().unwrap().len(), 2, "{status:#}");
    let alone = stranger.admin("/admin/v1/cluster").await.json();
    assert_eq!(alone["members"].as_array().unwrap().len(), 1, "{alone:#}");
    assert_eq!(stranger.get("/readyz").await.status, 503);
    std::io::stdout().flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_slept_through_a_purge_serves_nothing_old() {
    let company = Company::of(3).await;
    company.until(|status| voters(status) == 3).await;
    let prompts = [
        company.kept_by(0, "purge at its owner").await,
        company.kept_by(1, "purge at another").await,
    ];
    // So that the stopped node holds a copy as well.
    for prompt in &prompts {
        for _ in 0..12 {
            assert_eq!(company.nodes[2].ask(&chat(prompt)).await.cache(), "hit");
        }
    }
    let old: Vec<String> = {
        let mut old = Vec::new();
        for prompt in &prompts {
            old.push(company.nodes[2].ask(&chat(prompt)).await.text());
        }
        old
    };
    company.nodes[2].signal("STOP");
    let began = Instant::now();
    let purged = company.nodes[0]
        .admin_post("/admin/v1/purge", &json!({"all": true}))
        .await;
    let took = began.elapsed();
    assert_eq!(purged.status, 200, "{}", purged.text());
    println!("a purge with a node stopped took {took:?}");
    assert!(took < Duration::from_millis(3_500) + LEEWAY, "{took:?}");
    // Asked while it sleeps, answered when it wakes.
    let asks: Vec<_> = (0..20)
        .map(|i| company.ask(2, chat(&prompts[i % 2])))
        .collect();
    company.nodes[2].signal("CONT");
    for (i, asked) in all(asks).await.iter().enumerate() {
        let heard = asked.heard();
        assert_eq!(heard.status, 200, "{}", heard.text());
        assert_ne!(
            heard.text(),
            old[i % 2],
            "an answer from before the purge: {:?}",
            heard.headers
        );
    }
    company
        .until(|status| status["lease"]["holds"] == true)
        .await;
    for node in &company.nodes {
        for (prompt, old) in prompts.iter().zip(&old) {
            assert_ne!(&node.ask(&chat(prompt)).await.text(), old);
        }
    }
    for home in &company.homes {
        assert!(!home.logs().contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_made_at_one_node_is_known_at_all_and_a_revoked_key_at_none() {
    let company = Company::of(3).await;
    let made = company.nodes[0]
        .admin_post("/admin/v1/tenants", &json!({"id": "acme", "name": "acme"}))
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let (key, id) = (
        made["key"].as_str().unwrap(),
        made["keys"][0]["id"].as_str().unwrap(),
    );
    let began = Instant::now();
    for node in &company.nodes {
        while node.ask_with(key, &chat("whose is it?")).await.status != 200 {
            assert!(
                began.elapsed() < Duration::from_secs(1) + LEEWAY,
                "not known yet"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
    let path = format!("/admin/v1/tenants/acme/keys/{id}");
    let revoked = company.nodes[1].admin_delete(&path).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    for node in &company.nodes {
        let heard = node.ask_with(key, &chat("whose is it?")).await;
        assert_eq!(heard.assert_error(401, "a revoked key"), "unknown-key");
    }
    // Who changed what is the same list everywhere.
    let mut told = Vec::new();
    for node in &company.nodes {
        told.push(node.admin("/admin/v1/audit").await.json()["audit"].clone());
    }
    assert!(
        told[0].as_array().is_some_and(|changes| changes.len() >= 3),
        "{}",
        told[0]
    );
    assert!(told.iter().all(|changes| *changes == told[0]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_one_rate_however_many_nodes_are_asked() {
    let company = Company::of(3).await;
    let settings = json!({"requests_per_minute": 60});
    let tenant = json!({"id": "paced", "name": "paced", "settings": settings});
    let made = company.nodes[0]
        .admin_post("/admin/v1/tenants", &tenant)
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let mut statuses = Vec::new();
    for i in 0..150 {
        let heard = company.nodes[i % 3].ask_with(&key, &chat("again")).await;
        statuses.push(heard.status);
    }
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    println!("60 a minute over three nodes: {admitted} of 150 were let in at once");
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 429)),
        "{statuses:?}"
    );
    // What three nodes would have let in without knowing of each other is all of it.
    assert!((40..=90).contains(&admitted), "{admitted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_leaves_its_answers_with_the_others() {
    let mut company = Company::of(3).await;
    let mut prompts = Vec::new();
    for number in 0..40 {
        let prompt = format!("left behind {number}");
        let owner = company.nodes[0].ask(&chat(&prompt)).await;
        prompts.push((prompt, owner.header("x-fgy-owner") == "node-2"));
    }
    let left = prompts.iter().filter(|(_, leaves)| *leaves).count();
    assert!(left > 3, "{left} of 40");
    let mut leaving = company.nodes.pop().unwrap();
    leaving.signal("TERM");
    assert!(leaving.ended().await.success());
    company.until(|status| ring(status) == 2).await;
    let before = company.calls();
    for (i, (prompt, _)) in prompts.iter().enumerate() {
        assert_eq!(company.nodes[i % 2].ask(&chat(prompt)).await.cache(), "hit");
    }
    assert_eq!(company.calls(), before);
    let (mut taken, mut inherited) = (0, 0);
    for node in &company.nodes {
        taken += node.metric("fgy_handoff_taken").await;
        inherited += node.metric("fgy_answers_inherited").await;
    }
    assert_eq!((taken, inherited), (left as u64, 0));
    company.until(|status| status["handoff_done"] == true).await;
    company.comes_to_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_made_at_one_node_is_kept_for_all() {
    let company = Company::of(3).await;
    let texts: Vec<String> = (0..30).map(|number| format!("text {number}")).collect();
    let ask = |at: usize| {
        let body = json!({"model": "text-embedding-3-small", "dimensions": 8, "input": texts});
        let request = company.nodes[at].post("/v1/embeddings");
        async move { Heard::to_the_end(request.body(body.to_string()).send().await.unwrap()).await }
    };
    let first = ask(0).await;
    assert_eq!(
        (first.status, first.cache()),
        (200, "miss"),
        "{}",
        first.text()
    );
    // About two of three are another's; all of those are given once the count stands still.
    company.nodes[0].reaches("fgy_handoff_pushed", 8).await;
    let (mut given, mut still) = (0, 0);
    while still < 30 {
        tokio::time::sleep(LOOK).await;
        let now = company.nodes[0].metric("fgy_handoff_pushed").await;
        still = if now == given { still + 1 } else { 0 };
        given = now;
    }
    let before = company.calls();
    for at in [1, 2] {
        let again = ask(at).await;
        assert_eq!((again.status, again.cache()), (200, "hit"), "at {at}");
        assert_eq!(again.json()["data"], first.json()["data"]);
    }
    assert_eq!(company.calls(), before);
}

fn voters(status: &Value) -> usize {
    let members = status["members"].as_array().unwrap();
    members
        .iter()
        .filter(|member| member["part"] == "voter")
        .count()
}
