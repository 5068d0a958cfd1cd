//! Goal: whoever starts without a network has a cache that says what it cannot do yet, and does it as
//! soon as the model is brought, without a restart. Method: the binary itself, whose way to the model
//! leads nowhere; then the model from where this machine has it.

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ask, CHAT, PROVIDER_KEY, chat};

/// How long the model may take to be found and read.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where this machine has the model; `None`, said, where it has none.
fn model() -> Option<PathBuf> {
    let environment = fgy::config::Environment::of_process();
    let (cache, home) = (environment.get("XDG_CACHE_HOME"), environment.get("HOME"));
    let set = environment.get("FGY_MODEL_DIR").map(PathBuf::from);
    let folder = set.or_else(|| fgy::semantic::model::default_folder(cache, home))?;
    let found = fgy::semantic::model::look(&folder).is_some();
    if !found {
        println!("passed over: {} holds no model", folder.display());
    }
    found.then_some(folder)
}

/// A command of the binary that finds no network and keeps everything in this folder.
fn fgy(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgy"));
    command
        .env_clear()
        .env("HOME", folder.path())
        .env("FGY_DATA", folder.path().join("data"))
        .env("FGY_MODEL_DIR", folder.path().join("model"))
        .env("FGY_LISTEN", "127.0.0.1:0")
        .env("FGY_ADMIN_LISTEN", "127.0.0.1:0")
        .env("FGY_MODEL_URL", "http://127.0.0.1:9/model.whl");
    command
}

struct Up {
    child: Child,
    base: String,
    key: String,
    client: reqwest::Client,
}

fn word(lines: &mut Lines<BufReader<ChildStdout>>, before: &str) -> String {
    loop {
        let line = lines.next().expect("it speaks before it ends");
        let line = line.expect("a line");
        if let Some(rest) = line.strip_prefix(before) {
            return rest.split_whitespace().next().expect("a word").to_owned();
        }
    }
}

fn up(folder: &TempDir) -> Up {
    let mut child = fgy(folder)
        .args(["up", "--demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let mut lines = BufReader::new(child.stdout.take().expect("its mouth")).lines();
    let base = word(&mut lines, "base URL");
    let key = word(&mut lines, "tenant key");
    let base = base.trim_end_matches("/v1").to_owned();
    Up {
        child,
        base,
        key,
        client: crate::support::client(),
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Up {
    fn ask(&self, method: reqwest::Method, path: &str) -> Ask {
        let url = format!("{}{path}", self.base);
        Ask::new(self.client.clone(), method, url).key(&self.key)
    }
}

async fn readiness(up: &Up) -> Value {
    let ready = up.ask(reqwest::Method::GET, "/readyz").send().await;
    assert_eq!(ready.status, 200);
    ready.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_without_network_is_exact_and_the_model_may_come_later() {
    let Some(model) = model() else { return };
    // As the binary does where it starts: this client speaks for itself.
    let _told = rustls::crypto::ring::default_provider().install_default();
    let folder = TempDir::new().expect("a folder");
    let up = up(&folder);
    let ask = |words: &str| {
        up.ask(reqwest::Method::POST, CHAT)
            .header("x-provider-auth", PROVIDER_KEY)
            .header("content-type", "application/json")
            .body(chat(words).to_string())
    };
    // Exact it is, and says why no more.
    let first = ask("how do I reset my router?").send().await;
    assert_eq!(
        (first.cache(), first.reason()),
        ("miss", "embedder-loading")
    );
    let again = ask("how do I reset my router?").send().await;
    assert_eq!(again.cache(), "hit");
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            let told = readiness(&up).await;
            if told["semantic"] == "off" {
                return told;
            }
            tokio::task::yield_now().await;
        }
    });
    let told = told.await.expect("it finds that there is none");
    assert_eq!(told["degraded"], serde_json::json!(["semantic"]));

    let pulled = fgy(&folder)
        .args(["model", "pull", "--from"])
        .arg(&model)
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&pulled.stderr).into_owned();
    assert!(pulled.status.success(), "{said}");
    let ready = tokio::time::timeout(PATIENCE, async {
        while readiness(&up).await["semantic"] != "ready" {
            tokio::task::yield_now().await;
        }
    });
    ready.await.expect("it is found without a restart");
    let told = readiness(&up).await;
    assert_eq!(told["degraded"], serde_json::json!([]));
    let made = ask("how do I clean the filter of a dishwasher?")
        .send()
        .await;
    assert_eq!((made.cache(), made.reason()), ("miss", ""));
    let near = ask("how can I clean the filter of a dishwasher?")
        .send()
        .await;
    assert_eq!(near.cache(), "semantic-hit", "{}", near.reason());
}
