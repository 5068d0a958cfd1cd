//! Requests that were read before, by their very bytes: a client that asks again sends the same
//! text, and reading it again to the same key is most of what a hit would cost. It remembers what
//! was read, never what was answered or by whom, and says nothing of a text it has not met whole:
//! texts are compared, not their hashes.

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter};

use crate::json::Malformed;
use crate::key::CanonicalDigest;
use crate::openai::normal::canonical;
use crate::openai::request::{Endpoint, Gist, Input, Reading, Request};
use crate::semantic::eligible::is_personal;

/// All texts together, with what was read of them.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A longer text is read each time: one of them would take the place of sixty-four.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What an entry takes beside its text.
const ENTRY_BYTES: u64 = 256;

/// What a typical entry takes; only the table's first size depends on it.
const ENTRY_TYPICAL_BYTES: u64 = 1_280;

/// What was read lately.
pub struct Readings {
    table: Cache<Text, Read, ByBytes, DefaultHashBuilder>,
}

/// A request, and the digest of its one spelling where that is at hand.
pub struct Found<'a> {
    /// What the body turned out to be.
    pub reading: Reading<'a>,
    /// Of a request that is asked as a whole; `None` where it is asked item by item.
    pub worked_out: Option<WorkedOut>,
}

/// What was worked out from a request's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkedOut {
    /// The digest of its one spelling.
    pub canonical: CanonicalDigest,
    /// Whether the last user message is about the user's own affairs.
    pub personal: bool,
}

impl WorkedOut {
    /// Works them out.
    pub fn of(request: &Request<'_>) -> WorkedOut {
        let words = request.last_user_text();
        WorkedOut {
            canonical: CanonicalDigest::of(&canonical(request)),
            personal: words.is_some_and(|words| is_personal(&words)),
        }
    }
}

#[derive(Clone)]
struct Read {
    gist: Gist,
    worked_out: WorkedOut,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Text {
    endpoint: Endpoint,
    body: Box<[u8]>,
}

/// A text that is looked for. Hashed as [`Text`] is: the same fields in the same order.
#[derive(Hash)]
struct Sought<'a> {
    endpoint: Endpoint,
    body: &'a [u8],
}

impl Equivalent<Text> for Sought<'_> {
    fn equivalent(&self, text: &Text) -> bool {
        self.endpoint == text.endpoint && self.body == &*text.body
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Text, Read> for ByBytes {
    fn weight(&self, text: &Text, _: &Read) -> u64 {
        text.body.len() as u64 + ENTRY_BYTES
    }
}

impl Default for Readings {
    fn default() -> Readings {
        let options = OptionsBuilder::new()
            .estimated_items_capacity((BYTES_MAX / ENTRY_TYPICAL_BYTES) as usize)
            .weight_capacity(BYTES_MAX)
            .build()
            .unwrap_or_else(|_| unreachable!("both capacities are given"));
        let table = Cache::with_options(
            options,
            ByBytes,
            DefaultHashBuilder::default(),
            Default::default(),
        );
        Readings { table }
    }
}

impl Readings {
    /// Reads a body sent to this endpoint, as [`Request::read`] does.
    ///
    /// # Errors
    /// What [`Request::read`] finds malformed.
    pub fn read<'a>(&self, endpoint: Endpoint, body: &'a [u8]) -> Result<Found<'a>, Malformed> {
        if let Some(read) = self.table.get(&Sought { endpoint, body }) {
            return Ok(Found {
                reading: Reading::Understood(Request::recalled(&read.gist, body)),
                worked_out: Some(read.worked_out),
            });
        }
        let reading = Request::read(endpoint, body)?;
        let worked_out = match &reading {
            Reading::Understood(request) if request.input == Input::None => {
                Some(self.remember(request, body))
            }
            _ => None,
        };
        Ok(Found {
            reading,
            worked_out,
        })
    }

    /// How many texts, and how many bytes they take.
    pub fn size(&self) -> (usize, u64) {
        (self.table.len(), self.table.weight())
    }

    fn remember(&self, request: &Request<'_>, body: &[u8]) -> WorkedOut {
        let worked_out = WorkedOut::of(request);
        if body.len() <= TEXT_BYTES_MAX {
            let text = Text {
                endpoint: request.endpoint,
                body: body.into(),
            };
            let gist = request.gist();
            self.table.insert(text, Read { gist, worked_out });
        }
        worked_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(readings: &Readings, endpoint: Endpoint, body: &'a str) -> Found<'a> {
        readings.read(endpoint, body.as_bytes()).unwrap()
    }

    fn request(found: Found<'_>) -> Request<'_> {
        match found.reading {
            Reading::Understood(request) => request,
            Reading::NotUnderstood(why) => panic!("{why}"),
        }
    }

    const ASKED: &str = r#"{"model":"m","user":"u","stream":true,
        "messages":[{"role":"user","content":"hello"}],"n":1.0}"#;

    #[test]
    fn a_text_met_again_reads_as_it_did() {
        let readings = Readings::default();
        let first = found(&readings, Endpoint::Chat, ASKED);
        let again = found(&readings, Endpoint::Chat, ASKED);
        assert_eq!(readings.size().0, 1);
        assert!(first.worked_out.is_some() && first.worked_out == again.worked_out);
        let (first, again) = (request(first), request(again));
        assert_eq!(again.gist(), first.gist());
        assert_eq!(again.last_user_text(), first.last_user_text());
        assert_eq!(canonical(&again), canonical(&first));
    }

    #[test]
    fn another_spelling_is_another_text_and_the_same_question() {
        let readings = Readings::default();
        let spelt = ASKED.replace("1.0", "1");
        let (one, other) = (
            found(&readings, Endpoint::Chat, ASKED),
            found(&readings, Endpoint::Chat, &spelt),
        );
        assert_eq!(readings.size().0, 2);
        assert_eq!(one.worked_out, other.worked_out);
    }

    #[test]
    fn the_same_bytes_sent_elsewhere_are_read_anew() {
        let readings = Readings::default();
        let body = r#"{"model":"m","prompt":"p","messages":[]}"#;
        assert_eq!(
            request(found(&readings, Endpoint::Chat, body)).endpoint,
            Endpoint::Chat
        );
        let elsewhere = request(found(&readings, Endpoint::Completions, body));
        assert_eq!(elsewhere.endpoint, Endpoint::Completions);
        assert_eq!(elsewhere.last_user_text().as_deref(), Some("p"));
    }

    #[test]
    fn what_is_long_strange_or_asked_by_item_is_read_each_time() {
        let readings = Readings::default();
        let long = format!(
            r#"{{"model":"m","messages":[],"x":"{}"}}"#,
            "x".repeat(TEXT_BYTES_MAX)
        );
        assert!(found(&readings, Endpoint::Chat, &long).worked_out.is_some());
        let items = r#"{"model":"m","input":["a","b"]}"#;
        assert!(
            found(&readings, Endpoint::Embeddings, items)
                .worked_out
                .is_none()
        );
        assert!(readings.read(Endpoint::Chat, b"[").is_err());
        assert!(matches!(
            found(&readings, Endpoint::Chat, "{}").reading,
            Reading::NotUnderstood(_)
        ));
        assert_eq!(readings.size().0, 0);
    }

    #[test]
    fn it_never_holds_more_than_its_bytes() {
        let readings = Readings::default();
        for n in 0..20_000 {
            let body = format!(
                r#"{{"model":"m","messages":[],"n":{n},"x":"{}"}}"#,
                "x".repeat(900)
            );
            found(&readings, Endpoint::Chat, &body);
        }
        let (texts, bytes) = readings.size();
        assert!(texts > 1_000 && bytes <= BYTES_MAX, "{texts} {bytes}");
    }
}
