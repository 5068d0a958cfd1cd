//! The composition root: builds every part in its order and takes them down in the other. The only
//! place that knows everyone, and it decides nothing: what a part does is written in the part.

mod around;
mod company;
mod first;
mod folder;
mod gauges;
mod parts;
mod quiet;
mod quotas;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fgy_cluster::{Control, Tasks};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::company::Out;
pub use self::folder::{Folder, TOKEN_FILE};
use self::parts::Parts;
use self::quiet::Quiet;
use crate::config::Settings;
use crate::http::{Admin, Edge, Front, Server, admin, public};
use crate::ledger::post::Post;
use crate::registry::Registry;

/// How often memory is rid of what has expired or was purged.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long a background part that panicked rests before it is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// How long tasks may take to end after everything has been flushed.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A running node.
pub struct Node {
    /// Where the public API listens.
    pub address: SocketAddr,
    /// Where the admin API listens.
    pub admin_address: SocketAddr,
    /// Heard once this node has settled in.
    settled: Option<oneshot::Receiver<Option<String>>>,
    out: Option<Arc<Out>>,
    /// Fires when this node should end without being told by a signal.
    leaving: CancellationToken,
    edge: Arc<Edge>,
    post: Arc<Post>,
    control: Control<Registry>,
    tasks: Tasks,
    drain: CancellationToken,
    drain_ready: Duration,
    drain_patience: Duration,
    servers: Vec<tokio::sync::oneshot::Receiver<()>>,
    /// Held for as long as the node lives: a second node on the same folder is refused.
    folder: Folder,
    quiet: Quiet,
}

impl Node {
    /// Starts a lone node.
    pub async fn start(settings: &Settings) -> Result<Node> {
        let folder = Folder::open(&settings.data)?;
        let listener = bind(settings.listen, "FGY_LISTEN").await?;
        let admin_listener = bind(settings.admin_listen, "FGY_ADMIN_LISTEN").await?;
        let quiet = Quiet::start()?;
        let mut parts = Parts::build(settings, &folder, &quiet).await?;
        let cluster = parts.edge.gateway.cluster.clone();
        let (tasks, drain) = (parts.tasks.clone(), CancellationToken::new());
        let mut node = Node {
            address: listener.local_addr()?,
            admin_address: admin_listener.local_addr()?,
            settled: None,
            out: None,
            leaving: CancellationToken::new(),
            edge: parts.edge.clone(),
            post: parts.post.clone(),
            control: parts.control.clone(),
            tasks: tasks.clone(),
            drain: drain.clone(),
            drain_ready: Duration::from_secs(settings.limits.drain_ready_seconds),
            drain_patience: Duration::from_secs(settings.limits.drain_seconds),
            servers: Vec::new(),
            folder,
            quiet,
        };
        let tls = parts::tls(settings)?;
        let limits = parts::listener_limits(&settings.limits);
        let server = |listener, tls, front| Server {
            listener,
            tls,
            front,
            limits,
            tasks: tasks.clone(),
        };
        let admin_parts = Arc::new(Admin {
            edge: parts.edge.clone(),
            control: parts.control.clone(),
            stores: parts.stores.clone(),
            gauges: Box::new(parts.gauges()),
            tokens: parts.tokens.clone(),
            leaving: node.leaving.clone(),
            tasks: tasks.clone(),
            learned: Box::new({
                let verify = parts.verify.clone();
                move || verify.reports()
            }),
        });
        node.serve(
            "public",
            server(
                listener,
                tls,
                Front {
                    edge: Some(parts.edge.clone()),
                    router: public(parts.edge.clone()),
                },
            ),
        );
        node.serve(
            "admin",
            server(
                admin_listener,
                None,
                Front {
                    edge: None,
                    router: admin(admin_parts),
                },
            ),
        );
        let beside = tasks.on(node.quiet.handle());
        parts.run_in_background(&beside, SWEEP_EVERY, RESTART_PAUSE);
        let (settled, settling) = oneshot::channel();
        node.settled = Some(settling);
        match parts.others.take() {
            None => {
                let key = parts.settle_alone(settings).await?;
                // Nobody waits where the node was dropped instead of asked.
                let _unheard = settled.send(key);
            }
            Some(others) => {
                let out = Arc::new(
                    others
                        .go_out(settings, &node.folder, &cluster, &tasks)
                        .await?,
                );
                out.watch(&tasks, node.leaving.clone());
                node.out = Some(out.clone());
                let settle = parts.settle_among(others, out, settings.clone());
                let stop = tasks.stopping();
                tasks.spawn("settle", async move {
                    if let Some(key) = stop.run_until_cancelled(settle).await {
                        let _unheard = settled.send(key);
                    }
                });
            }
        }
        Ok(node)
    }

    /// Waits until this node serves. The key of tenant `default`, where it was made here: it is
    /// shown once. Waits for ever the second time.
    pub async fn settled(&mut self) -> Option<String> {
        match self.settled.take() {
            Some(settling) => settling.await.ok().flatten(),
            None => std::future::pending().await,
        }
    }

    /// Resolves where the node should end though nobody told its process to.
    pub async fn left(&self) {
        self.leaving.cancelled().await;
    }

    fn serve(&mut self, name: &'static str, server: Server) {
        let (done, waiting) = tokio::sync::oneshot::channel();
        let drain = self.drain.clone();
        self.tasks.spawn(name, async move {
            server.run(drain).await;
            // Nobody waits where the node was dropped instead of stopped.
            let _unheard = done.send(());
        });
        self.servers.push(waiting);
    }

    /// Leaves in order: unready, finish replies, finish flights, flush what is kept and what is
    /// billed. Each step has its deadline; what was accepted is answered or told why not.
    pub async fn stop(self) {
        self.edge.health.ready(false);
        tracing::info!("draining: not ready, still answering");
        if let Some(out) = &self.out {
            out.leave_the_ring(self.control.rings()).await;
        }
        tokio::time::sleep(self.drain_ready).await;
        self.drain.cancel();
        let deadline = tokio::time::Instant::now() + self.drain_patience;
        for server in self.servers {
            // An error means that the server's task has ended, which is what is waited for.
            let _ended = server.await;
        }
        if let Some(out) = &self.out {
            out.land(deadline).await;
        }
        self.edge.closing.cancel();
        if !self.tasks.end(END_PATIENCE).await {
            tracing::warn!(
                running = self.tasks.running(),
                "some tasks did not end in time"
            );
        }
        if !self.post.flush(END_PATIENCE).await {
            tracing::warn!("ledger lines stay in the journal until the next start");
        }
        if let Some(out) = &self.out {
            out.leave().await;
        }
        tracing::info!("stopped");
    }
}

async fn bind(address: SocketAddr, variable: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: is another program there? set {variable} to a free one"
        )
    })
}
