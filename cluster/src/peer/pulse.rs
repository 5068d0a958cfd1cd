//! Whether the other end of a connection is still there. A beat goes out at every pause and must
//! come back; nothing else is sent and nothing is decided here.

use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

/// Ends when the other end has stopped to echo.
pub(super) async fn faint(pings: Option<PingPong>, pause: Duration, wait_max: Duration) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(pause).await;
        match timeout(wait_max, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection has ended by itself, and tells so itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
