//! A server's stand-in on the way to it: it carries bytes both ways until it is told to hold them, to
//! slow them down, or to cut every connection. Holding is what a stopped process looks like from
//! outside: connections are taken, and nothing is ever said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How a relay treats what comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    /// Carries at once.
    Fair,
    /// Carries nothing, refuses nothing.
    Frozen,
    /// Carries each piece later.
    Slow(Duration),
    /// Cuts what there is, and each new connection at once.
    Gone,
}

/// See the module. Dropped, it ends with all its connections.
pub(super) struct Relay {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    taken: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// To the server of a URL; tells the URL through the relay, too.
    pub(super) async fn to(url: &str) -> (Relay, String) {
        let (before, after) = url.split_once('@').expect("a URL with a user");
        let (server, database) = after.split_once('/').expect("a URL with a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, mut tasks) = (watch::Sender::new(Mood::Fair), JoinSet::new());
        let taken = Arc::<AtomicUsize>::default();
        tasks.spawn(serve(
            listener,
            server.to_owned(),
            mood.clone(),
            taken.clone(),
        ));
        let relay = Relay {
            address,
            mood,
            taken,
            _tasks: tasks,
        };
        let through = format!("{before}@{}/{database}", relay.address);
        (relay, through)
    }

    /// From now on.
    pub(super) fn turn(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Connections taken so far.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn serve(
    listener: TcpListener,
    server: String,
    mood: watch::Sender<Mood>,
    taken: Arc<AtomicUsize>,
) {
    let mut ways = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        taken.fetch_add(1, Ordering::Relaxed);
        if *mood.borrow() == Mood::Gone {
            continue;
        }
        let Ok(server) = TcpStream::connect(&server).await else {
            continue;
        };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (moods, until) = (mood.subscribe(), mood.subscribe());
        ways.spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::select! {
                () = carry(&mut from_client, &mut to_server, moods.clone()) => {}
                () = carry(&mut from_server, &mut to_client, moods) => {}
                () = gone(until) => {}
            }
        });
    }
}

async fn gone(mut mood: watch::Receiver<Mood>) {
    let _ = mood.wait_for(|mood| *mood == Mood::Gone).await;
}

async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut mood: watch::Receiver<Mood>,
) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut piece).await {
        let now = *mood.borrow();
        if let Mood::Slow(by) = now {
            tokio::time::sleep(by).await;
        }
        if mood.wait_for(|mood| *mood != Mood::Frozen).await.is_err()
            || to.write_all(&piece[..bytes]).await.is_err()
        {
            return;
        }
    }
}
