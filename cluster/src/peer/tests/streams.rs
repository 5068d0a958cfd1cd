//! Many calls on one connection: those nobody reads hold up nobody else, and nobody for ever.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::*;

/// Begins `count` floods and reads one frame of each, so that they are surely under way.
async fn unread(a: &Node, b: &Node, count: usize) -> Vec<Hearing> {
    let mut stalled = join_all((0..count).map(|_| a.begin(b, Room::Fetch, "flood"))).await;
    for hearing in &mut stalled {
        assert!(matches!(
            hearing.next(LONG).await,
            Ok(Some(Frame::Chunk(_)))
        ));
    }
    stalled
}

async fn flows_beside(a: &Node, b: &Node, stalled: usize) {
    let _stalled = unread(a, b, stalled).await;
    assert_eq!(b.host.hearing.load(Ordering::Relaxed), stalled);
    assert_eq!(
        a.say(b, Room::Fetch, "trickle 100").await.unwrap().len(),
        100
    );
    let heard = a.say(b, Room::Fetch, "bytes 1000000").await.unwrap();
    assert_eq!(heard[0].len(), 1_000_000);
    assert_eq!(a.stats().dialled.get(), 1, "all of it on one connection");
}

#[tokio::test(start_paused = true)]
async fn a_connection_full_of_stalled_calls_lets_another_flow() {
    let (a, b, _) = pair().await;
    let start = Instant::now();
    flows_beside(&a, &b, Class::Bulk.streams_max() - 1).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn two_hundred_stalled_calls_let_another_flow_over_tls() {
    let (a, b) = tls_pair().await;
    flows_beside(&a, &b, 200).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalled_for_half_a_minute_is_given_up() {
    let (a, b, _) = pair().await;
    let start = Instant::now();
    let mut stalled = unread(&a, &b, 3).await;
    // One of the three goes on reading, slowly: that is no stall.
    let mut slow = stalled.pop().unwrap();
    for _ in 0..35 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..64 {
            assert!(matches!(slow.next(LONG).await, Ok(Some(Frame::Chunk(_)))));
        }
    }
    for _ in 0..2 {
        assert!(b.told().await.starts_with("gave up after"));
    }
    assert!((30..36).contains(&start.elapsed().as_secs()));
    assert_eq!(b.stats().stalled.get(), 2);
    assert_eq!(b.host.hearing.load(Ordering::Relaxed), 1);
    // What was under way is there or not; the call is lost either way, and told so.
    for mut hearing in stalled {
        let end = loop {
            match hearing.next(LONG).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert_eq!(end.err(), Some(PeerError::Lost));
    }
    assert_eq!(a.say(&b, Room::Fetch, "trickle 3").await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_is_made_when_the_first_is_full_and_no_third() {
    let (a, b, _) = pair().await;
    let full = Class::Bulk.streams_max();
    let waiting = |count| join_all((0..count).map(|_| a.begin(&b, Room::Fetch, "wait")));
    let mut first = waiting(full).await;
    assert_eq!(a.stats().dialled.get(), 1);
    let second = waiting(full).await;
    assert_eq!(a.stats().dialled.get(), 2);
    let crowded = a.say(&b, Room::Fetch, "hello").await;
    assert_eq!(crowded.err(), Some(PeerError::Crowded));
    assert_eq!(a.stats().crowded.get(), 1);
    // Other rooms have their own.
    assert_eq!(a.say(&b, Room::Ask, "hello").await.unwrap(), ["hello"]);
    // A place that is given back is there for the next.
    first.pop();
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
    assert_eq!(b.host.hearing_most.load(Ordering::Relaxed), 2 * full + 1);
    drop((first, second));
    for _ in 0..2 * full {
        assert_eq!(b.told().await, "deserted");
    }
    assert_eq!(a.stats().dialled.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_callers_who_go_at_once_do_not_end_the_connection() {
    let (a, b, _) = pair().await;
    for _ in 0..5 {
        // Gone before the other end has seen any of them, and again after.
        let calls = (0..1_000).map(|_| {
            let ask = vec![text("mute")];
            a.peers.call(&b.id, Room::Fetch, ask, Duration::ZERO)
        });
        assert!(join_all(calls).await.iter().all(Result::is_err));
        drop(join_all((0..1_000).map(|_| a.begin(&b, Room::Fetch, "wait"))).await);
    }
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
    assert_eq!(a.stats().dialled.get(), 1);
}

/// A connection to `b` with nothing of ours after the hello.
async fn raw(a: &Node, b: &Node) -> h2::client::SendRequest<Bytes> {
    let stream = hello::dial(&a.peers.base, &b.id, b.address, Class::Bulk)
        .await
        .unwrap();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(1_000_000)
        .max_frame_size(65_536);
    let (requests, running) = builder.handshake(stream).await.unwrap();
    a.tasks.spawn("connection", async move {
        let _ = running.await;
    });
    requests
}

/// The pieces in which a reply arrives.
async fn pieces(order: &str) -> Vec<usize> {
    let (a, b, _) = pair().await;
    let mut requests = raw(&a, &b).await;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Room::Fetch.uri();
    let (reply, mut body) = requests.send_request(request, false).unwrap();
    body.send_data(spelled(Room::Fetch, &[text(order)]).unwrap(), true)
        .unwrap();
    let mut body = reply.await.unwrap().into_body();
    let mut pieces = Vec::new();
    while let Some(piece) = body.data().await {
        pieces.push(piece.unwrap().len());
    }
    assert!(body.is_end_stream());
    pieces
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_leaves_in_one_piece() {
    assert_eq!(pieces("bytes 4096").await, [4096 + 8 + 8]);
    assert_eq!(pieces("nothing").await, [0; 0]);
    assert_eq!(
        pieces("trickle 3").await.len(),
        3 + 1,
        "each as it comes, and the end"
    );
}

/// What `b` says to an ask whose bytes are `ask`, sent whole or begun only.
async fn status(uri: http::Uri, ask: &[u8], whole: bool) -> (StatusCode, u64) {
    let (a, b, _) = pair().await;
    let mut requests = raw(&a, &b).await;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let (reply, mut body) = requests.send_request(request, false).unwrap();
    body.send_data(Bytes::copy_from_slice(ask), whole).unwrap();
    let status = reply.await.unwrap().status();
    assert_eq!(
        b.host.hearing_most.load(Ordering::Relaxed),
        0,
        "the host was not asked"
    );
    (status, b.stats().misspelled.get())
}

#[tokio::test(start_paused = true)]
async fn what_is_no_ask_never_reaches_the_host() {
    let fetch = || Room::Fetch.uri();
    let refused = |status| (status, 1);
    let bad = refused(StatusCode::BAD_REQUEST);
    assert_eq!(status(fetch(), b"not a frame", true).await, bad);
    // A frame that is cut short, one of another version, and an ask beyond every limit.
    assert_eq!(
        status(fetch(), b"fG\x01\x05\x09\0\0\0half", true).await,
        bad
    );
    assert_eq!(status(fetch(), b"fG\x02\x05\0\0\0\0", true).await, bad);
    let many = b"fG\x01\x07\0\0\0\0".repeat(65);
    assert_eq!(status(fetch(), &many, true).await, bad);
    // A room of another kind of connection, and none at all.
    let elsewhere = refused(StatusCode::NOT_FOUND);
    assert_eq!(status(Room::Control.uri(), b"", true).await, elsewhere);
    assert_eq!(
        status("http://x/".parse().unwrap(), b"", true).await,
        elsewhere
    );
    // One that is begun and never goes on.
    let slow = refused(StatusCode::REQUEST_TIMEOUT);
    assert_eq!(status(fetch(), b"fG\x01\x05", false).await, slow);
}

#[tokio::test(start_paused = true)]
async fn a_long_ask_and_a_kept_answer_cross_an_ocean_in_few_steps() {
    let (a, b, faults) = pair().await;
    faults.delay(&a.id, &b.id, Duration::from_millis(125));
    for room in [Room::Fetch, Room::Look] {
        assert_eq!(a.say(&b, room, "hello").await.unwrap(), ["hello"]);
    }
    let start = Instant::now();
    let mut ask = vec![text("nothing")];
    ask.push(Frame::Payload(vec![5; 2 * 1024 * 1024].into()));
    let mut hearing = a.peers.call(&b.id, Room::Fetch, ask, LONG).await.unwrap();
    assert!(hearing.next(LONG).await.unwrap().is_none());
    let asked = start.elapsed();
    assert!(asked < Duration::from_millis(1_100), "{asked:?} for 2 MiB");
    let start = Instant::now();
    let heard = a.say(&b, Room::Look, "bytes 900000").await.unwrap();
    assert_eq!(heard[0].len(), 900_000);
    let answered = start.elapsed();
    assert!(
        answered < Duration::from_millis(600),
        "{answered:?} for 900 kB"
    );
}
