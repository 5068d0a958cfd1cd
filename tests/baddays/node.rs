//! A running node in a child process: started on a home, found by what it prints, asked over real
//! sockets, signalled and killed by its id alone.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::heard::Heard;
use crate::home::{Home, program};

/// The key of tenant `default` in these stories.
pub(crate) const KEY: &str = "fgy_baddays7c41e9d2a05b83f6";

/// The admin token of those who are given one.
const TOKEN: &str = "admin-token-of-the-company-d41f7a";

/// Longer than anything here should take, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// A node to be.
pub(crate) struct Start<'h> {
    home: &'h Home,
    command: Command,
}

/// A node that is.
pub(crate) struct Node {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) token: String,
    pub(crate) key: String,
    client: reqwest::Client,
}

impl<'h> Start<'h> {
    /// A lone node on `home` with this provider.
    pub(crate) fn new(home: &'h Home, upstream: &str) -> Start<'h> {
        let mut command = program();
        command.args(["up", "--listen", "127.0.0.1:0"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--upstream", upstream]);
        command.arg("--data").arg(home.data());
        command.env("FGY_BOOTSTRAP_KEY", KEY);
        Start { home, command }
    }

    /// One of a cluster.
    pub(crate) fn serve(home: &'h Home, upstream: &str) -> Start<'h> {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--upstream", upstream]);
        command.arg("--data").arg(home.data());
        command.env("FGY_BOOTSTRAP_KEY", KEY);
        command.env("FGY_ADMIN_TOKEN", TOKEN);
        Start { home, command }
    }

    pub(crate) fn arg(mut self, name: &str, value: &str) -> Start<'h> {
        self.command.args([name, value]);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Start<'h> {
        self.command.env(name, value);
        self
    }

    /// With these limits, from a file.
    pub(crate) fn limits(self, limits: &str) -> Start<'h> {
        let file = self
            .home
            .write("fgy.toml", &format!("[limits]\n{limits}\n"));
        let file = file.to_str().unwrap().to_owned();
        self.arg("--config", &file)
    }

    /// Starts it and waits for the lines that say where it listens.
    pub(crate) async fn go(mut self) -> Node {
        let (out, err) = self.home.voice();
        let voice = |path: &std::path::Path| Stdio::from(File::create(path).unwrap());
        let command = self.command.stdin(Stdio::null());
        let mut child = command
            .stdout(voice(&out))
            .stderr(voice(&err))
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let (address, admin) = loop {
            let said = fs::read_to_string(&out).unwrap();
            if let Some(listening) = listening(&said) {
                break listening;
            }
            let gone = child.try_wait().unwrap();
            assert!(
                gone.is_none() && Instant::now() < deadline,
                "no node: {gone:?} {said} {}",
                fs::read_to_string(&err).unwrap()
            );
            tokio::time::sleep(LOOK).await;
        };
        // Where the node was given none, it made one.
        let made = fs::read_to_string(self.home.data().join("admin-token"));
        let token = made.unwrap_or_else(|_| TOKEN.to_owned());
        // Told once in the process.
        let _told = rustls::crypto::ring::default_provider().install_default();
        Node {
            child,
            address,
            admin,
            token,
            key: KEY.to_owned(),
            client: reqwest::Client::new(),
        }
    }
}

/// The two addresses, once both have been printed with the whole of their lines.
fn listening(said: &str) -> Option<(SocketAddr, SocketAddr)> {
    let url = |name: &str, tail: &str| {
        let line = said.lines().find(|line| line.starts_with(name))?;
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))?;
        url.strip_prefix("http://")?
            .strip_suffix(tail)?
            .parse()
            .ok()
    };
    Some((url("base URL", "/v1")?, url("admin", "/admin/v1")?))
}

impl Node {
    /// A request on the public API, with the tenant's key and a provider's.
    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .post(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.key))
            .header("x-provider-auth", "Bearer sk-baddays")
            .header("content-type", "application/json")
    }

    /// Asks a chat and listens to the end; an error where the connection broke.
    pub(crate) async fn try_ask(&self, body: &Value) -> Result<Heard, reqwest::Error> {
        let request = self.post("/v1/chat/completions").body(body.to_string());
        Ok(Heard::to_the_end(request.send().await?).await)
    }

    pub(crate) async fn ask(&self, body: &Value) -> Heard {
        self.try_ask(body).await.unwrap()
    }

    /// Asks with these bytes as they are.
    pub(crate) async fn ask_bytes(&self, path: &str, body: Vec<u8>) -> Heard {
        let sent = self.post(path).body(body).send().await.unwrap();
        Heard::to_the_end(sent).await
    }

    pub(crate) async fn get(&self, path: &str) -> Heard {
        let url = format!("http://{}{path}", self.address);
        Heard::to_the_end(self.client.get(url).send().await.unwrap()).await
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, path: &str) -> Heard {
        let url = format!("http://{}{path}", self.admin);
        let request = self.client.get(url).bearer_auth(&self.token);
        Heard::to_the_end(request.send().await.unwrap()).await
    }

    pub(crate) async fn admin_post(&self, path: &str, body: &Value) -> Heard {
        let url = format!("http://{}{path}", self.admin);
        let request = self.client.post(url).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json");
        let sent = request.body(body.to_string()).send().await;
        Heard::to_the_end(sent.unwrap()).await
    }

    pub(crate) async fn admin_delete(&self, path: &str) -> Heard {
        let url = format!("http://{}{path}", self.admin);
        let request = self.client.delete(url).bearer_auth(&self.token);
        Heard::to_the_end(request.send().await.unwrap()).await
    }

    /// Asks a chat under another key.
    pub(crate) async fn ask_with(&self, key: &str, body: &Value) -> Heard {
        let url = format!("http://{}/v1/chat/completions", self.address);
        let request = self.client.post(url).bearer_auth(key);
        let request = request.header("x-provider-auth", "Bearer sk-baddays");
        let request = request.header("content-type", "application/json");
        let sent = request.body(body.to_string()).send().await;
        Heard::to_the_end(sent.unwrap()).await
    }

    /// What would happen to a chat.
    pub(crate) async fn explain(&self, body: &Value) -> Value {
        let question = serde_json::json!({"body": body});
        let told = self.admin_post("/admin/v1/explain", &question).await;
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").await.status != 200 {
            assert!(Instant::now() < deadline, "it never became ready");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        self.admin("/metrics").await.text()
    }

    /// One figure without labels; it must be there.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    /// Waits until a figure is at least this.
    pub(crate) async fn reaches(&self, name: &str, least: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name).await < least {
            assert!(Instant::now() < deadline, "{name} never came to {least}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Every ledger line of tenant `default` in the store, of this month.
    pub(crate) async fn lines(&self) -> Vec<Value> {
        let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
        let (mut lines, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/admin/v1/statements/default/lines?month={month}{after}");
            let page = self.admin(&path).await;
            assert_eq!(page.status, 200, "{}", page.text());
            let mut page = page.json();
            lines.append(page["lines"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return lines,
            }
        }
    }

    /// Nothing panicked, and nothing is left in the air.
    pub(crate) async fn assert_calm(&self) {
        for name in ["fgy_panics_total", "fgy_task_panics"] {
            assert_eq!(self.metric(name).await, 0, "{name}");
        }
        let deadline = Instant::now() + PATIENCE;
        while self.metric("fgy_inflight").await + self.metric("fgy_inflight_bytes").await > 0 {
            assert!(Instant::now() < deadline, "something stays in the air");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The same, and nothing is kept.
    pub(crate) async fn assert_calm_and_empty(&self) {
        self.assert_calm().await;
        for name in ["fgy_entries", "fgy_store_kept", "fgy_store_waiting"] {
            assert_eq!(self.metric(name).await, 0, "{name}");
        }
        let requests = self.metrics().await;
        assert!(
            requests.contains("fgy_requests_total{"),
            "nothing was counted"
        );
    }

    /// Resident memory, in bytes: now (`VmRSS`) or at its highest (`VmHWM`).
    pub(crate) fn memory(&self, what: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(what))
            .unwrap();
        let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        kib * 1024
    }

    /// Sends a signal by its name, to this process alone.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let words = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &words]).status().unwrap();
        assert!(sent.success(), "{name}");
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Still there?
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Gone already, after a story that killed it.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}
