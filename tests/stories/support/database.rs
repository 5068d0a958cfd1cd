//! A database of one story's own on the PostgreSQL that the test command started, and a server of its
//! own for the story that ends it. The few words that take, said to the server as it speaks: it lets
//! the loopback in without a password, as `deploy/postgres.sh` starts it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where the server is; without it the stories that need one are passed over, and say so.
const VARIABLE: &str = "FGY_TEST_POSTGRES_URL";

/// See the module.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// `None` where there is no server to test on.
    pub(crate) async fn new(name: &str) -> Option<Database> {
        let server = server()?;
        let database = Database {
            name: format!("fgy_story_{name}_{}", std::process::id()),
            server,
        };
        database.tell("CREATE DATABASE", "").await;
        Some(database)
    }

    /// As the node is told it.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    /// Throws it away, whoever is connected to it.
    pub(crate) async fn end(self) {
        self.tell("DROP DATABASE", "WITH (FORCE)").await;
    }

    async fn tell(&self, what: &str, how: &str) {
        let rest = self.server.split_once("://").expect("a URL").1;
        let (user, rest) = rest.split_once('@').expect("a URL with a user");
        let (host, database) = rest.split_once('/').expect("a URL with a database");
        let user = user.split(':').next().unwrap_or_default();
        let mut server = TcpStream::connect(host).await.expect("the server");
        let names = format!("user\0{user}\0database\0{database}\0\0");
        let mut hello = (names.len() as u32 + 8).to_be_bytes().to_vec();
        hello.extend(196_608_u32.to_be_bytes());
        hello.extend(names.as_bytes());
        server.write_all(&hello).await.expect("a greeting");
        until_ready(&mut server).await;
        let query = format!("{what} {} {how}\0", self.name);
        let mut ask = vec![b'Q'];
        ask.extend((query.len() as u32 + 4).to_be_bytes());
        ask.extend(query.as_bytes());
        server.write_all(&ask).await.expect("a question");
        until_ready(&mut server).await;
    }
}

/// Reads what the server says until it waits for the next question.
async fn until_ready(server: &mut TcpStream) {
    loop {
        let kind = server.read_u8().await.expect("a word");
        let length = server.read_u32().await.expect("its length") as usize;
        let mut body = vec![0; length - 4];
        server.read_exact(&mut body).await.expect("its end");
        match kind {
            b'Z' => return,
            b'R' => assert_eq!(body[..4], [0; 4], "the server asks for a password"),
            b'E' => panic!("{}", String::from_utf8_lossy(&body)),
            _ => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "which server to test on is the test command's to say"
)]
fn server() -> Option<String> {
    let server = std::env::var(VARIABLE).ok();
    if server.is_none() {
        println!("passed over: {VARIABLE} names no server; deploy/test starts one");
    }
    server
}

/// A server that may be stopped, killed and started again. Dropped, it ends.
pub(crate) struct Server {
    pub(crate) url: String,
    pid: u32,
    says: Lines<BufReader<ChildStdout>>,
    // That its input ends is how the script hears that this process has gone, however it went.
    script: Child,
}

/// Starts one by the means of `deploy/test`, and again on the same port whenever it is told to.
const SCRIPT: &str = r#"
source deploy/ground.sh
source deploy/postgres.sh
start_postgres >&2
echo "$postgres_url $postgres_pid"
while read -r _; do
    (cd "$postgres_room" && as_postgres "$postgres_bin/postgres" -D "$postgres_room/data" \
        -p "$postgres_port" -k '' -c listen_addresses=127.0.0.1 -c fsync=off) \
        >>"$postgres_room.log" 2>&1 &
    postgres_pid=$!
    postgres_answers >&2
    echo "$postgres_url $postgres_pid"
done
stop_postgres
"#;

impl Server {
    /// `None` where there is nothing to test on.
    pub(crate) fn start() -> Option<Server> {
        server()?;
        let mut script = Command::new("bash")
            .args(["-c", SCRIPT, "deploy/postgres"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let says = BufReader::new(script.stdout.take().expect("its mouth")).lines();
        let mut server = Server {
            url: String::new(),
            pid: 0,
            says,
            script,
        };
        server.hear();
        Some(server)
    }

    fn hear(&mut self) {
        let said = self.says.next().expect("the server starts");
        let said = said.expect("a line");
        let (url, pid) = said.split_once(' ').expect("a URL and a process");
        (self.url, self.pid) = (url.to_owned(), pid.parse().expect("a process"));
    }

    /// Its processes, by their numbers.
    fn processes(&self) -> Vec<u32> {
        let all = std::fs::read_dir("/proc").expect("processes");
        let numbers = all.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok());
        let child = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name, which may hold anything: the state, then the parent.
            let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
            behind.split(' ').nth(1) == Some(&self.pid.to_string())
        };
        let mut found: Vec<u32> = numbers.filter(child).collect();
        found.insert(0, self.pid);
        found
    }

    /// Sends each of its processes a signal.
    pub(crate) fn signal(&self, name: &str) {
        for pid in self.processes() {
            let kill = format!("kill -{name} {pid}");
            // One that has just ended needs no signal.
            let told = Command::new("bash").args(["-c", &kill]).status();
            assert!(told.is_ok(), "bash");
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        let kill = format!("kill -QUIT {}", self.pid);
        let killed = Command::new("bash").args(["-c", &kill]).status();
        assert!(killed.expect("bash").success());
    }

    /// Starts it again where it was.
    pub(crate) fn again(&mut self) {
        let ear = self.script.stdin.as_mut().expect("its ear");
        ear.write_all(b"again\n").expect("it listens");
        self.hear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ended = self.script.wait();
    }
}
