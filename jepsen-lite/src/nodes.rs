//! Starts, kills, stops and wakes real nodes, by the ids of processes it started itself, and proves
//! each fault by looking at the process. Knows nothing of what is asked of them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::client::{Request, send};
use crate::rng::Rng;
use crate::verdict::{Trouble, trouble};

/// Longer than anything here should take, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
pub(crate) const LOOK: Duration = Duration::from_millis(5);
/// How long one question to the admin API is waited for while nodes are disturbed.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) binary: PathBuf,
    pub(crate) nodes: usize,
    /// A shared `postgres://`; none: a file for each node.
    pub(crate) store: Option<String>,
}

/// The processes of one run. Dropping it ends them all.
pub(crate) struct Nodes {
    nodes: Vec<Node>,
    ground: Ground,
    upstream: SocketAddr,
    secret: String,
    token: String,
    room: TempDir,
}

struct Node {
    child: Option<Child>,
    public: SocketAddr,
    admin: SocketAddr,
    peer: SocketAddr,
    gossip: SocketAddr,
}

/// One of a node's two listeners.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) admin: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) token: String,
}

/// Ports that were free a moment ago; a node keeps its own over restarts.
fn free() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

impl Nodes {
    /// Starts them all and waits until each is ready, sees all, and `voters` of them agree.
    pub(crate) async fn up(
        ground: Ground,
        upstream: SocketAddr,
        rng: &mut Rng,
        voters: usize,
    ) -> Result<Nodes, Trouble> {
        let mut nodes = Vec::new();
        for _ in 0..ground.nodes {
            nodes.push(Node {
                child: None,
                public: free()?,
                admin: free()?,
                peer: free()?,
                gossip: free()?,
            });
        }
        let mut all = Nodes {
            nodes,
            ground,
            upstream,
            secret: rng.hex(32),
            token: rng.hex(24),
            room: tempfile::Builder::new().prefix("jepsen-lite-").tempdir()?,
        };
        for at in 0..all.count() {
            all.start(at).await?;
        }
        all.whole(voters).await?;
        Ok(all)
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn door(&self, at: usize) -> Door {
        Door {
            admin: self.nodes[at].admin,
            public: self.nodes[at].public,
            token: self.token.clone(),
        }
    }

    fn command(&self, at: usize) -> std::io::Result<Command> {
        let (node, folder) = (&self.nodes[at], self.room.path().join(format!("node-{at}")));
        fs::create_dir_all(&folder)?;
        let gossip: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.gossip.to_string())
            .collect();
        let mut command = Command::new(&self.ground.binary);
        command
            .env_clear()
            .args(["serve", "--node-id", &format!("node-{at}")]);
        let seeds = match &self.ground.store {
            Some(url) => {
                command.env("FGY_STORE", url);
                gossip.join(",")
            }
            // No store says who begins: the node without seeds does, and the others seek it. One
            // that has begun already needs them to be found again.
            None => {
                let file = folder.join("fgy.toml");
                fs::write(&file, "store_shared = false\n")?;
                command.arg("--config").arg(file);
                let began = folder.join("data").exists();
                if at == 0 && !began {
                    String::new()
                } else {
                    gossip.join(",")
                }
            }
        };
        command.arg("--zone").arg(format!("zone-{at}"));
        command.arg("--data").arg(folder.join("data"));
        command.arg("--listen").arg(node.public.to_string());
        command.arg("--admin-listen").arg(node.admin.to_string());
        command.arg("--peer-listen").arg(node.peer.to_string());
        command.arg("--gossip-listen").arg(node.gossip.to_string());
        command.arg("--seeds").arg(seeds);
        command
            .arg("--upstream")
            .arg(format!("http://{}/v1", self.upstream));
        command.env("FGY_CLUSTER_SECRET", &self.secret);
        command.env("FGY_ADMIN_TOKEN", &self.token);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log(at))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    fn log(&self, at: usize) -> PathBuf {
        self.room.path().join(format!("node-{at}.log"))
    }

    /// Starts it and waits until somebody listens at both doors.
    pub(crate) async fn start(&mut self, at: usize) -> Result<(), Trouble> {
        let child = self.command(at)?.spawn()?;
        self.nodes[at].child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        for door in [self.nodes[at].public, self.nodes[at].admin] {
            while tokio::net::TcpStream::connect(door).await.is_err() {
                let ended = self.nodes[at].child.as_mut().map(Child::try_wait);
                if !matches!(ended, Some(Ok(None))) || Instant::now() > deadline {
                    return trouble(format!(
                        "node-{at} does not start: {ended:?}\n{}",
                        tail(&self.log(at))
                    ));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// `kill -9`; proved by the process's own end by that signal.
    pub(crate) fn kill(&mut self, at: usize) -> Result<(), Trouble> {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(mut child) = self.nodes[at].child.take() else {
            return trouble(format!("node-{at} does not run"));
        };
        child.kill()?;
        let status = child.wait()?;
        match status.signal() {
            Some(9) => Ok(()),
            _ => trouble(format!(
                "node-{at} ended by itself before it was killed: {status}"
            )),
        }
    }

    /// SIGSTOP; proved by `/proc/PID/status`.
    pub(crate) async fn pause(&self, at: usize) -> Result<(), Trouble> {
        self.signal(at, Signal::STOP)?;
        self.is_in(at, |state| state == 'T').await
    }

    /// SIGCONT; proved likewise.
    pub(crate) fn resume(&self, at: usize) -> Result<(), Trouble> {
        self.signal(at, Signal::CONT)
    }

    /// Still stopped, as it was left?
    pub(crate) fn is_paused(&self, at: usize) -> bool {
        self.state(at) == Some('T')
    }

    fn pid(&self, at: usize) -> Option<u32> {
        self.nodes[at].child.as_ref().map(Child::id)
    }

    fn signal(&self, at: usize, signal: Signal) -> Result<(), Trouble> {
        let pid = self
            .pid(at)
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let Some(pid) = pid else {
            return trouble(format!("node-{at} does not run"));
        };
        kill_process(pid, signal).map_err(|error| Trouble(format!("node-{at}: {error}")))
    }

    /// The letter in `/proc/PID/status`.
    fn state(&self, at: usize) -> Option<char> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(at)?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("State:"))?;
        line.trim().chars().next()
    }

    async fn is_in(&self, at: usize, want: impl Fn(char) -> bool) -> Result<(), Trouble> {
        for _ in 0..200 {
            if self.state(at).is_some_and(&want) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        trouble(format!("node-{at} is in state {:?}", self.state(at)))
    }

    /// What a node says of the cluster; `null` where it says nothing.
    pub(crate) async fn status(&self, at: usize) -> Value {
        self.door(at).get("/admin/v1/cluster").await
    }

    /// The leader that most who answer name.
    pub(crate) async fn leader(&self) -> Option<usize> {
        for at in 0..self.count() {
            let status = self.status(at).await;
            if status["agreement"]["role"] == "leader" {
                return Some(at);
            }
        }
        None
    }

    /// Who has no vote, as `at` sees it.
    pub(crate) async fn learners(&self, at: usize) -> Vec<usize> {
        let status = self.status(at).await;
        let members = status["members"].as_array().cloned().unwrap_or_default();
        let learner = |member: &Value| {
            let name = member["node"].as_str()?.strip_prefix("node-")?;
            (member["part"] == "learner").then(|| name.parse().ok())?
        };
        members.iter().filter_map(learner).collect()
    }

    /// Waits until every node is ready, holds its lease, masks nobody, has all on the ring, and so
    /// many vote.
    pub(crate) async fn whole(&self, voters: usize) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        for at in 0..self.count() {
            loop {
                let status = self.status(at).await;
                if self.is_whole(&status, voters) {
                    break;
                }
                if Instant::now() > deadline {
                    return trouble(format!(
                        "node-{at} does not come back: {status}\n{}",
                        tail(&self.log(at))
                    ));
                }
                tokio::time::sleep(LOOK * 4).await;
            }
        }
        Ok(())
    }

    fn is_whole(&self, status: &Value, voters: usize) -> bool {
        let members = status["members"].as_array().cloned().unwrap_or_default();
        let whole = |member: &&Value| {
            member["masked"].is_null() && member["share"].is_number() && member["phase"] == "ready"
        };
        status["lease"]["holds"] == true
            && status["agreement"]["leader"].is_string()
            && status["agreement"]["changing"] == false
            && members.iter().filter(whole).count() == self.count()
            && members
                .iter()
                .filter(|member| member["part"] == "voter")
                .count()
                >= voters
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            // It may be gone already.
            let _gone = child.kill();
            let _waited = child.wait();
        }
    }
}

impl Door {
    fn request(&self, method: &'static str, path: &str, body: String) -> Request {
        Request {
            method,
            path: path.to_owned(),
            headers: vec![("authorization", format!("Bearer {}", self.token))],
            body,
        }
    }

    /// `null` where nothing came.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.request("GET", path, String::new());
        let reply = send(self.admin, &request, STATUS_PATIENCE).await;
        reply.map_or(Value::Null, |reply| reply.json())
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<crate::client::Reply, crate::client::Lost> {
        send(
            self.admin,
            &self.request("POST", path, body.to_string()),
            patience,
        )
        .await
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
