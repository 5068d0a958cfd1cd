//! Many callers of one answer, what each of them heard and when, and the judges of it.

use std::time::Duration;

use reqwest::Client;

use super::{Answer, Ask, Told, World, client_h2, now_micros, payloads, together, until};

/// How the asker wants its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Plain,
    Stream,
    /// Every third plain, the others streamed.
    Mixed,
}

impl Shape {
    pub(crate) fn streams(self, at: usize) -> bool {
        match self {
            Shape::Plain => false,
            Shape::Stream => true,
            Shape::Mixed => !at.is_multiple_of(3),
        }
    }
}

/// What one caller heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) cache: String,
    pub(crate) asked_micros: u64,
    pub(crate) plain: Option<Answer>,
    pub(crate) told: Vec<Told>,
}

impl Heard {
    pub(crate) fn whole(&self) -> bool {
        match &self.plain {
            Some(answer) => answer.status == 200,
            None => self.told.last().is_some_and(Told::is_done),
        }
    }

    pub(crate) fn last_micros(&self) -> u64 {
        self.told.last().map_or(0, |told| told.micros)
    }
}

pub(crate) async fn hear(ask: Ask, stream: bool) -> Heard {
    let asked_micros = now_micros();
    if !stream {
        let answer = ask.send().await;
        return Heard {
            status: answer.status,
            cache: answer.cache().to_owned(),
            asked_micros,
            plain: Some(answer),
            told: Vec::new(),
        };
    }
    let mut live = ask.open().await;
    let (status, cache) = (live.status, live.cache().to_owned());
    Heard {
        status,
        cache,
        asked_micros,
        plain: None,
        told: live.rest().await,
    }
}

/// Connections for many callers, a hundred to each.
pub(crate) fn clients(callers: usize) -> Vec<Client> {
    (0..callers.div_ceil(100)).map(|_| client_h2()).collect()
}

pub(crate) fn asking(world: &World, prompt: &str, stream: bool, client: &Client) -> Ask {
    let ask = if stream {
        world.stream(prompt)
    } else {
        world.chat(prompt)
    };
    ask.through(client)
}

/// One caller first, then so many others evenly over `over` while the answer is made.
pub(crate) async fn crowd(
    world: &World,
    prompt: &str,
    first: Shape,
    others: Shape,
    count: usize,
    over: Duration,
) -> (Heard, Vec<Heard>) {
    let clients = clients(count);
    let before = world.calls();
    let leader = asking(world, prompt, first.streams(1), &clients[0]);
    let mut leading = tokio::task::JoinSet::new();
    leading.spawn(hear(leader, first.streams(1)));
    until("the first caller's call is in the air", || {
        world.calls() > before
    })
    .await;
    let start = tokio::time::Instant::now();
    let followers = (0..count).map(|at| {
        let ask = asking(
            world,
            prompt,
            others.streams(at),
            &clients[at % clients.len()],
        );
        let due = start + over.mul_f64(at as f64 / count as f64);
        async move {
            tokio::time::sleep_until(due).await;
            hear(ask, others.streams(at)).await
        }
    });
    let heard = together(followers).await;
    let led = leading.join_next().await.expect("a leader");
    (led.expect("no panic"), heard)
}

/// All heard the same whole answer, by one call.
pub(crate) fn all_heard_one_call(world: &World, calls_before: u64, led: &Heard, heard: &[Heard]) {
    assert_eq!(world.calls() - calls_before, 1, "one call for all of them");
    assert!(led.whole(), "{led:?}");
    assert_eq!((led.status, led.cache.as_str()), (200, "miss"));
    let streams: Vec<&Heard> = heard.iter().filter(|heard| heard.plain.is_none()).collect();
    let plains: Vec<&Answer> = heard
        .iter()
        .filter_map(|heard| heard.plain.as_ref())
        .collect();
    assert!(
        heard.iter().all(Heard::whole),
        "nobody heard a part for the whole"
    );
    let caches: Vec<&str> = heard.iter().map(|heard| heard.cache.as_str()).collect();
    assert!(
        caches.iter().all(|cache| *cache == "coalesced"),
        "{caches:?}"
    );
    for stream in &streams {
        assert_eq!(payloads(&stream.told), payloads(&streams[0].told));
    }
    if led.plain.is_none()
        && let Some(stream) = streams.first()
    {
        assert_eq!(payloads(&led.told), payloads(&stream.told));
    }
    for plain in &plains {
        assert_eq!(plain.body, plains[0].body);
    }
    if let (Some(plain), Some(leader)) = (plains.first(), &led.plain) {
        assert_eq!(plain.body, leader.body);
    }
    // Two shapes of one answer: the text is the same.
    if let (Some(plain), Some(stream)) = (plains.first(), streams.first()) {
        assert_eq!(plain_text(plain), stream_text(&stream.told));
    }
}

pub(crate) fn plain_text(answer: &Answer) -> String {
    let body = answer.json();
    let text = body["choices"][0]["message"]["content"].as_str();
    text.expect("a text").to_owned()
}

pub(crate) fn stream_text(told: &[Told]) -> String {
    let events = told.iter().filter(|told| !told.is_done());
    let text = |told: &Told| {
        let event = told.json();
        let piece = event["choices"][0]["delta"]["content"].as_str();
        piece.unwrap_or_default().to_owned()
    };
    events.map(text).collect()
}

/// The share of a sorted list below which so many per cent lie, in milliseconds.
pub(crate) fn percentile(sorted_micros: &[u64], percent: usize) -> f64 {
    let at = (sorted_micros.len() * percent / 100).min(sorted_micros.len() - 1);
    sorted_micros[at] as f64 / 1000.0
}

/// Holds the followers of a live stream against the provider's own moments.
pub(crate) fn judge(world: &World, led: &Heard, heard: &[Heard], behind_max: usize) {
    let sent = world.last_call().chunks_micros();
    let sent_by = |micros: u64| sent.iter().filter(|sent| **sent <= micros).count();
    let (mut catching_up, mut behind, mut judged) = (Vec::new(), 0, 0);
    let (mut last, mut lags) = (Vec::new(), Vec::new());
    for one in heard.iter().filter(|one| one.plain.is_none()) {
        last.push(one.last_micros().saturating_sub(led.last_micros()));
        // The provider's call had said so much when this follower asked.
        let said = sent_by(one.asked_micros).min(one.told.len());
        if said == 0 {
            continue;
        }
        let caught_up = one.told[said - 1].micros;
        catching_up.push(caught_up.saturating_sub(one.asked_micros));
        behind = behind.max(sent_by(caught_up).saturating_sub(said));
        judged += usize::from(said + behind_max < sent.len());
        // From then on every event comes as it is said.
        let late = one.told.iter().zip(&sent).skip(said);
        lags.extend(late.map(|(told, sent)| told.micros.saturating_sub(*sent)));
    }
    for figures in [&mut catching_up, &mut last, &mut lags] {
        figures.sort_unstable();
    }
    println!(
        "{} followers: caught up in p50 {:.1} ms p99 {:.1} ms (at most {behind} events behind); \
         an event after the provider said it p50 {:.1} p99 {:.1}; \
         last event after the first caller's p50 {:.1} p99 {:.1} max {:.1}",
        last.len(),
        percentile(&catching_up, 50),
        percentile(&catching_up, 99),
        percentile(&lags, 50),
        percentile(&lags, 99),
        percentile(&last, 50),
        percentile(&last, 99),
        percentile(&last, 100),
    );
    assert!(
        judged * 2 > last.len(),
        "most came while much was still to be said"
    );
    assert!(behind <= behind_max, "caught up {behind} events late");
}
