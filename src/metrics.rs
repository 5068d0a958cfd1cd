//! What is counted, by the names operators know it by. Prometheus text; a label is always one of
//! a closed set (a tenant's name, a model or a prompt never is one).

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use crate::ledger::line::Outcome;
use crate::openai::request::Endpoint;

/// From a tenth of a millisecond to ten minutes.
const SECONDS: [f64; 20] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
];

/// Where the bars of the profiles lie, and what lies between them.
const SIMILARITIES: [f64; 9] = [0.8, 0.85, 0.88, 0.9, 0.92, 0.95, 0.97, 0.99, 1.0];

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
    reason: Cow<'static, str>,
    path: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    outcome: &'static str,
}

fn ended(outcome: Outcome, reason: Cow<'static, str>, path: &'static str) -> Ended {
    // How many of how many is for the caller; as a label it would never end.
    let partial = reason.starts_with("partial-");
    let reason = if partial {
        Cow::Borrowed("partial")
    } else {
        reason
    };
    Ended {
        outcome: outcome.token(),
        reason,
        path,
    }
}

/// Where a figure comes from that is measured when it is read.
pub trait Gauges: Send + Sync {
    /// Every gauge by its name, what it means, and its value now.
    fn read(&self) -> Vec<(&'static str, &'static str, u64)>;
}

/// The counters of a node.
pub struct Metrics {
    requests: Family<Ended, Counter>,
    /// The counters of hits that have nothing to explain, by path: found without hashing labels.
    plain_hits: [(&'static str, Counter); 3],
    seconds: Family<By, Histogram, fn() -> Histogram>,
    /// The histogram of each outcome, likewise.
    seconds_by: [(Outcome, Histogram); 7],
    similarity: Histogram,
    saved: Dollars,
    unbilled: Counter,
    panics: Counter,
}

/// A sum of money, shown in dollars.
#[derive(Debug, Clone, Default)]
struct Dollars(std::sync::Arc<AtomicU64>);

impl EncodeMetric for Dollars {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let dollars = self.0.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_counter::<NoLabelSet, f64, f64>(&dollars, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

impl TypedMetric for Dollars {
    const TYPE: MetricType = MetricType::Counter;
}

impl Default for Metrics {
    fn default() -> Metrics {
        let requests: Family<Ended, Counter> = Family::default();
        let seconds: Family<By, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let plain_hits = Endpoint::ALL.map(|endpoint| {
            let (outcome, path) = (Outcome::Hit.token(), endpoint.path());
            let ended = Ended {
                outcome,
                reason: Cow::Borrowed(""),
                path,
            };
            (path, requests.get_or_create(&ended).clone())
        });
        let seconds_by = Outcome::ALL.map(|outcome| {
            (
                outcome,
                seconds
                    .get_or_create(&By {
                        outcome: outcome.token(),
                    })
                    .clone(),
            )
        });
        Metrics {
            requests,
            plain_hits,
            seconds,
            seconds_by,
            similarity: Histogram::new(SIMILARITIES),
            saved: Dollars::default(),
            unbilled: Counter::default(),
            panics: Counter::default(),
        }
    }
}

impl Metrics {
    /// Counts one request that has ended.
    #[expect(
        clippy::ptr_arg,
        reason = "a borrowed token is counted without being copied"
    )]
    pub fn ended(
        &self,
        outcome: Outcome,
        reason: &Cow<'static, str>,
        path: &'static str,
        took: Duration,
        saved_nano_usd: u64,
    ) {
        let known = self.plain_hits.iter().find(|(known, _)| *known == path);
        match known {
            Some((_, hits)) if outcome == Outcome::Hit && reason.is_empty() => hits.inc(),
            _ => self
                .requests
                .get_or_create(&ended(outcome, reason.clone(), path))
                .inc(),
        };
        if let Some((_, seconds)) = self.seconds_by.iter().find(|(by, _)| *by == outcome) {
            seconds.observe(took.as_secs_f64());
        }
        self.saved.0.fetch_add(saved_nano_usd, Ordering::Relaxed);
    }

    /// Notes how near another question's answer was, in basis points.
    pub fn near(&self, similarity_bp: u16) {
        self.similarity.observe(f64::from(similarity_bp) / 10_000.0);
    }

    /// Counts a reply that could not be written to the journal and is therefore never billed.
    pub fn unbilled(&self) {
        self.unbilled.inc();
    }

    /// Counts a panic that ended a request.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// All of it, as Prometheus reads it.
    pub fn render(&self, gauges: &dyn Gauges) -> String {
        let mut registry = Registry::with_prefix("fgy");
        registry.register(
            "requests",
            "Requests that have ended",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request",
            "From the head of the request to the end of the answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "semantic_similarity",
            "How near the answers to other questions were that were served",
            self.similarity.clone(),
        );
        registry.register("saved_usd", "Provider cost avoided", self.saved.clone());
        registry.register(
            "unbilled",
            "Replies without a journal line",
            self.unbilled.clone(),
        );
        registry.register("panics", "Requests ended by a panic", self.panics.clone());
        for (name, help, value) in gauges.read() {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _infallible = encode(&mut text, &registry);
        text
    }
}
