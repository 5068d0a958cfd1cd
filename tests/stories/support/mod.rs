//! The ground every story stands on: a real node on ports of the loopback, a real simulated
//! provider behind it, a client that writes down when each event came. Nothing here looks inside
//! the node: what a story knows it heard over HTTP or counted at the provider.

mod ask;
pub(crate) mod crowd;
mod database;
mod live;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use fgy::config::{Args, Environment, Mode, Settings, settings};
use fgy::mock::{self, Behaviour, Call, Mock};
use fgy::node::{Node, TOKEN_FILE};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use ask::{Answer, Ask};
pub(crate) use database::{Database, Server};
pub(crate) use live::{Live, Told, now_micros, payloads};

/// How long a condition may take to come true on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The provider key of a caller who has nothing better to say.
pub(crate) const PROVIDER_KEY: &str = "Bearer sk-story";

/// The path most stories are about.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A node, its provider and a client.
pub(crate) struct World {
    pub(crate) mock: Mock,
    pub(crate) key: String,
    pub(crate) client: reqwest::Client,
    pub(crate) base: String,
    admin: String,
    token: String,
    node: Option<Node>,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> World {
        World::told(mock::Settings::default(), |_| {}).await
    }

    /// A world whose provider and node were told something first.
    pub(crate) async fn told(mock: mock::Settings, tell: impl FnOnce(&mut Settings)) -> World {
        let mock = Mock::start(mock).await.expect("a provider");
        let folder = TempDir::new().expect("a folder");
        let mut told = settings_of(folder.path(), &mock.base_url());
        tell(&mut told);
        let mut node = Node::start(&told).await.expect("a node");
        let token = std::fs::read_to_string(folder.path().join("data").join(TOKEN_FILE));
        World {
            key: node.settled().await.expect("the first key"),
            client: client(),
            base: format!("http://{}", node.address),
            admin: format!("http://{}", node.admin_address),
            token: token.expect("the admin token").trim().to_owned(),
            node: Some(node),
            mock,
            folder,
        }
    }

    /// Stops the node in order and starts it again on its folder, told something else perhaps.
    pub(crate) async fn restart(&mut self, tell: impl FnOnce(&mut Settings)) {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
        let mut told = settings_of(self.folder.path(), &self.mock.base_url());
        tell(&mut told);
        // A command line that another story starts just now holds a copy of the folder's lock until
        // it runs: the process forks with all its open files.
        let start = async || match Node::start(&told).await {
            Ok(node) => Some(node),
            Err(error) if error.to_string().contains("in use by another") => None,
            Err(error) => panic!("the node again: {error:#}"),
        };
        let mut node = eventually("the node starts again", start).await;
        assert_eq!(node.settled().await, None, "a second start makes no key");
        self.base = format!("http://{}", node.address);
        self.admin = format!("http://{}", node.admin_address);
        self.node = Some(node);
    }

    /// A file beside the node's folder; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    /// A request to `path`, with the world's tenant key and a provider key.
    pub(crate) fn post(&self, path: &str, body: impl ToString) -> Ask {
        let url = format!("{}{path}", self.base);
        Ask::new(self.client.clone(), reqwest::Method::POST, url)
            .header("authorization", &format!("Bearer {}", self.key))
            .header("x-provider-auth", PROVIDER_KEY)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Ask {
        let url = format!("{}{path}", self.base);
        Ask::new(self.client.clone(), reqwest::Method::GET, url)
            .header("authorization", &format!("Bearer {}", self.key))
            .header("x-provider-auth", PROVIDER_KEY)
    }

    /// A chat with one user message.
    pub(crate) fn chat(&self, prompt: &str) -> Ask {
        self.post(CHAT, chat(prompt))
    }

    /// The same, streamed.
    pub(crate) fn stream(&self, prompt: &str) -> Ask {
        self.post(CHAT, streamed(&chat(prompt)))
    }

    /// A request to the admin API, with its token.
    pub(crate) fn admin_ask(&self, method: &str, path: &str) -> Ask {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.admin);
        Ask::new(self.client.clone(), method, url)
            .header("authorization", &format!("Bearer {}", self.token))
            .header("content-type", "application/json")
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: impl ToString) -> Answer {
        let ask = self.admin_ask(method, path).body(body.to_string());
        ask.send().await
    }

    /// The same, with an answer that must be a success.
    pub(crate) async fn administer(&self, method: &str, path: &str, body: impl ToString) -> Value {
        let answer = self.admin(method, &format!("/admin/v1{path}"), body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()
    }

    /// A new tenant with these settings; its key.
    pub(crate) async fn tenant(&self, id: &str, settings: Value) -> String {
        let new = json!({"id": id, "settings": settings});
        let made = self.administer("POST", "/tenants", new).await;
        made["key"].as_str().expect("a key, shown once").to_owned()
    }

    /// What the command line says, asked about this node; it must succeed.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fgy"));
        command.env("FGY_ADMIN_URL", &self.admin);
        command.env("FGY_ADMIN_TOKEN", &self.token);
        let output = command.args(args).output().expect("the binary");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "fgy {args:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) async fn policy(&self, yaml: &str) {
        self.administer("POST", "/policies", yaml).await;
    }

    /// One of the node's own figures, as `/metrics` shows it.
    pub(crate) async fn gauge(&self, name: &str) -> u64 {
        let text = self.admin("GET", "/metrics", "").await.text();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(found, _)| *found == name);
        let (_, value) = found.unwrap_or_else(|| panic!("no {name} in {text}"));
        value.parse().expect("a whole number")
    }

    /// A counter of the node's, over all its labels.
    pub(crate) async fn sum(&self, name: &str) -> u64 {
        let text = self.admin("GET", "/metrics", "").await.text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let mine = lines.filter(|(found, _)| found.starts_with(&format!("{name}{{")));
        mine.map(|(_, value)| value.parse::<u64>().expect("a whole number"))
            .sum()
    }

    /// Waits until so many callers have joined flights of others since the node started.
    pub(crate) async fn followers(&self, count: u64) {
        let joined = async || (self.gauge("fgy_flights_followed").await >= count).then_some(());
        eventually("all have joined", joined).await;
    }

    /// Calls that reached the provider so far.
    pub(crate) fn calls(&self) -> u64 {
        self.mock.calls().totals().calls
    }

    /// The provider's last call.
    pub(crate) fn last_call(&self) -> std::sync::Arc<Call> {
        let mut last = self.mock.calls().last(1);
        last.pop().expect("a call")
    }

    /// Sets what the provider does from now on.
    pub(crate) fn behave(&self, settings: &[(&str, &str)]) {
        let mut behaviour = Behaviour::default();
        for (name, value) in settings {
            behaviour.set(name, value).expect("a setting");
        }
        self.mock.behave(behaviour);
    }

    /// Stops the node in order and opens what it left behind.
    pub(crate) async fn left_behind(&mut self) -> fgy::store::Stores {
        if let Some(node) = self.node.take() {
            node.stop().await;
        }
        let file = self.folder.path().join("data").join("fgy.db");
        let url = format!("sqlite:{}", file.display());
        let told = fgy::store::Settings::default();
        fgy::store::open(&url, &told).await.expect("the store")
    }

    /// The ledger of the stopped node, line by line.
    pub(crate) async fn lines(&mut self, tenant: &str) -> Vec<fgy::ledger::line::Line> {
        use fgy::answer::stamp::Millis;
        let stores = self.left_behind().await;
        let all = fgy::ledger::totals::Period {
            from: Millis(0),
            to: Millis(1 << 52),
        };
        let page = stores.ledger.page(tenant.into(), all, None, 10_000);
        page.await.expect("the lines")
    }
}

fn settings_of(folder: &Path, upstream: &str) -> Settings {
    let data = folder.join("data");
    let args = Args {
        listen: Some("127.0.0.1:0".into()),
        admin_listen: Some("127.0.0.1:0".into()),
        data: Some(data.display().to_string()),
        upstream: Some(upstream.to_owned()),
        ..Args::default()
    };
    let mut told = settings(Mode::Up, &args, &Environment::default(), None).expect("settings");
    told.limits.drain_ready_seconds = 0;
    told.limits.drain_seconds = 5;
    told
}

/// A client that speaks HTTP/1.1, a connection for each request in the air. It takes a world: the
/// node has told the process who does its cryptography.
pub(crate) fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    client.build().expect("a client")
}

/// A client that speaks HTTP/2: many requests on one connection.
pub(crate) fn client_h2() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    let client = client.http2_prior_knowledge();
    client.build().expect("a client")
}

/// This month in UTC, as statements name it.
pub(crate) fn this_month() -> String {
    use fgy::ledger::totals::Period;
    let now = fgy::answer::stamp::Millis(now_micros() / 1_000);
    let months = (2020..2200).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let mut texts = months.map(|(year, month)| format!("{year}-{month:02}"));
    let holds = |text: &String| Period::month(text).is_some_and(|month| month.contains(now));
    texts.find(holds).expect("a month")
}

/// A small generator with a seed of its own, printed, so that a failure can be told again.
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    pub(crate) fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// A chat request with one user message.
pub(crate) fn chat(prompt: &str) -> Value {
    json!({
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
    })
}

/// The same request with this member set.
pub(crate) fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[name] = value;
    body
}

/// The same request, asking for a stream.
pub(crate) fn streamed(body: &Value) -> Value {
    with(body, "stream", json!(true))
}

/// Waits until something holds; fails by name where it does not come to hold.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, async || holds().then_some(())).await;
}

/// Waits until something is there.
pub(crate) async fn eventually<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = find().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("it never came to pass: {what}"))
}

/// Runs all of them at once, in tasks of their own, and gives their results in order.
pub(crate) async fn together<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    let mut count = 0;
    for (at, future) in futures.into_iter().enumerate() {
        set.spawn(async move { (at, future.await) });
        count += 1;
    }
    let mut results: Vec<_> = (0..count).map(|_| None).collect();
    let all = async {
        while let Some(joined) = set.join_next().await {
            let (at, result) = joined.expect("no task panics");
            results[at] = Some(result);
        }
    };
    let hung = tokio::time::timeout(Duration::from_secs(60), all).await;
    hung.expect("nobody hangs");
    results.into_iter().flatten().collect()
}
