//! The look for a near answer, from words to candidates: embed, search the space, ask the guard,
//! hold what is left against the bar. It finds keys; whether an answer still lies under one, and
//! whether it is played, is the filler's. It never keeps anything and never compares across spaces.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::Key;

use super::eligible::is_volatile;
use super::embed::{Declined, Embedder, Vector};
use super::guard::{Fingerprint, Rules, Verdict, judge};
use super::window::{LONG_BYTES, is_long, windows};
use crate::answer::stamp::{Millis, Stamp};
use crate::job::Near;
use crate::store::{ModelKey, Neighbour, Point, Vectors};

/// How many of the nearest the guard is asked about.
const CANDIDATES_MAX: usize = 8;

/// Longer words are not kept, and what is not kept cannot be compared.
const WORDS_BYTES_MAX: usize = 16 * 1024;

/// The age up to which an answer to a volatile question may be another's.
const VOLATILE_MILLIS_MAX: u64 = 60_000;

/// What is looked with.
pub struct Matcher {
    embedder: Arc<dyn Embedder>,
    vectors: Arc<dyn Vectors>,
    /// The embedder's model, as stores name it.
    model: ModelKey,
    store_patience: Duration,
}

/// What a look gave.
#[derive(Default)]
pub struct Looked {
    /// Near answers that the guard lets pass and the bar admits, the best first.
    pub matches: Vec<Match>,
    /// The question's own meaning, to be kept with its answer.
    pub meaning: Option<Meaning>,
    /// Why there was no better, in one token.
    pub declined: Option<Cow<'static, str>>,
}

/// A near answer.
#[derive(Clone, Debug)]
pub struct Match {
    /// Where it lies.
    pub key: Key,
    /// How near it is, less what the guard takes off, in basis points, rounded down.
    pub similarity_bp: u16,
    /// Whose it is and how long it lives.
    pub stamp: Stamp,
}

/// What a question means.
pub struct Meaning {
    vector: Vec<f32>,
    fingerprint: Fingerprint,
    words: String,
}

impl Meaning {
    /// As a store keeps it, beside the answer under `key`.
    pub fn point(&self, matcher: &Matcher, near: &Near, key: Key, stamp: Stamp) -> Arc<Point> {
        Arc::new(Point {
            space: near.space,
            key,
            model: matcher.model.clone(),
            vector: self.vector.clone(),
            stamp,
            fingerprint: self.fingerprint.encode(),
            message: self.words.clone(),
        })
    }
}

impl Looked {
    fn declined(reason: impl Into<Cow<'static, str>>) -> Looked {
        Looked {
            declined: Some(reason.into()),
            ..Looked::default()
        }
    }
}

impl Matcher {
    /// Looks with this embedder among these vectors; the store may take so long.
    pub fn new(
        embedder: Arc<dyn Embedder>,
        vectors: Arc<dyn Vectors>,
        store_patience: Duration,
    ) -> Matcher {
        let told = embedder.model();
        let model = ModelKey {
            name: told.name.clone(),
            revision: told.revision.clone(),
            dimensions: told.dimensions,
        };
        Matcher {
            embedder,
            vectors,
            model,
            store_patience,
        }
    }

    /// Looks for answers near enough to `near`. `live` says of a neighbour whether it may still be
    /// served.
    pub async fn look(
        &self,
        near: &Near,
        rules: &Rules,
        live: &(dyn Fn(&Neighbour) -> bool + Sync),
        now: Millis,
    ) -> Looked {
        let tokens = match self.measure(near) {
            Ok(tokens) => tokens,
            Err(reason) => return Looked::declined(reason),
        };
        let vector = match self.embedder.embed(vec![near.words.clone()]).await {
            Ok(mut vectors) if vectors.len() == 1 => vectors.remove(0),
            Ok(_) => return Looked::declined(Declined::Failed.as_str()),
            Err(declined) => return Looked::declined(declined.as_str()),
        };
        let meaning = Meaning {
            vector: vector.as_slice().to_vec(),
            fingerprint: Fingerprint::of(&near.words),
            words: near.words.clone(),
        };
        let bar = match near.bar_long {
            Some(long) if near.words.len() > LONG_BYTES => long,
            _ => near.bar,
        };
        let found = self.neighbours(near, &vector, bar, now).await;
        let (matches, declined) = match found {
            Ok(found) => {
                let asked = Asked {
                    near,
                    meaning: &meaning,
                    bar,
                    beyond: tokens > self.embedder.window_tokens(),
                };
                self.choose(&asked, found, rules, live, now).await
            }
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Looked {
            matches,
            meaning: Some(meaning),
            declined,
        }
    }

    /// How many tokens the words have, if they may be matched at all.
    fn measure(&self, near: &Near) -> Result<usize, &'static str> {
        const LONG: &str = crate::policy::Reason::LongPrompt.as_str();
        if near.words.len() > WORDS_BYTES_MAX {
            return Err(LONG);
        }
        let tokens = self.embedder.count_tokens(&near.words);
        match near.tokens_max {
            Some(max) if tokens > max as usize => Err(LONG),
            _ => Ok(tokens),
        }
    }

    async fn neighbours(
        &self,
        near: &Near,
        vector: &Vector,
        bar: u16,
        now: Millis,
    ) -> Result<Vec<Neighbour>, Cow<'static, str>> {
        let (model, vector) = (&self.model, vector.as_slice().to_vec());
        let at_least = f32::from(bar) / 10_000.0;
        let looking =
            self.vectors
                .nearest(near.space, model, vector, at_least, CANDIDATES_MAX, now);
        match tokio::time::timeout(self.store_patience, looking).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store could not be asked for neighbours");
                Err(crate::policy::Reason::StoreUnavailable.as_str().into())
            }
            Err(_) => Err(crate::policy::Reason::StoreUnavailable.as_str().into()),
        }
    }

    /// Of the neighbours those that may be served, the best first; or why the nearest may not.
    async fn choose(
        &self,
        asked: &Asked<'_>,
        found: Vec<Neighbour>,
        rules: &Rules,
        live: &(dyn Fn(&Neighbour) -> bool + Sync),
        now: Millis,
    ) -> (Vec<Match>, Option<Cow<'static, str>>) {
        let (mut matches, mut declined) = (Vec::new(), None);
        for neighbour in found {
            let fresh = now.since(neighbour.stamp.began) <= VOLATILE_MILLIS_MAX;
            let volatile = asked.near.volatile || is_volatile(&neighbour.message);
            if !live(&neighbour) || (volatile && !fresh) {
                continue;
            }
            match self.weigh(asked, &neighbour, rules).await {
                Ok(similarity_bp) if similarity_bp >= asked.bar => matches.push(Match {
                    key: neighbour.key,
                    similarity_bp,
                    stamp: neighbour.stamp,
                }),
                // Near, but not near enough with what the guard takes off.
                Ok(_) => {}
                Err(reason) => declined = declined.or(Some(reason)),
            }
        }
        matches.sort_by_key(|found| std::cmp::Reverse(found.similarity_bp));
        let declined = declined.filter(|_| matches.is_empty());
        (matches, declined)
    }

    /// How near a neighbour is, less what the guard takes off; or what the guard says against it.
    async fn weigh(
        &self,
        asked: &Asked<'_>,
        neighbour: &Neighbour,
        rules: &Rules,
    ) -> Result<u16, Cow<'static, str>> {
        if is_long(&asked.near.words, &neighbour.message)
            && let Some((ours, theirs)) = windows(&asked.near.words, &neighbour.message)
            && !(ours.is_empty() && theirs.is_empty())
        {
            let texts = vec![ours.to_owned(), theirs.to_owned()];
            let vectors = self.embedder.embed(texts).await;
            let vectors = vectors.map_err(|declined| Cow::from(declined.as_str()))?;
            let [one, other] = &vectors[..] else {
                return Err(Declined::Failed.as_str().into());
            };
            let similarity = one.cosine(other).min(neighbour.similarity);
            let (ours, theirs) = (Fingerprint::of(ours), Fingerprint::of(theirs));
            return less(similarity, judge(&ours, &theirs, rules));
        }
        if asked.beyond {
            // The model has not seen all of it.
            return Err(crate::policy::Reason::LongPrompt.as_str().into());
        }
        // A fingerprint of another release is taken anew from the words it was taken from.
        let theirs = Fingerprint::decode(&neighbour.fingerprint)
            .unwrap_or_else(|_| Fingerprint::of(&neighbour.message));
        let verdict = judge(&asked.meaning.fingerprint, &theirs, rules);
        less(neighbour.similarity, verdict)
    }
}

/// A question while its candidates are weighed.
struct Asked<'a> {
    near: &'a Near,
    meaning: &'a Meaning,
    bar: u16,
    /// Whether it is longer than the model sees.
    beyond: bool,
}

fn less(similarity: f32, verdict: Verdict) -> Result<u16, Cow<'static, str>> {
    match verdict {
        Verdict::Veto(cause) => Err(format!("vetoed-{cause}").into()),
        Verdict::Penalty { basis_points, .. } => {
            // A cosine of a little more than 1 is rounding.
            let similarity = (similarity.clamp(0.0, 1.0) * 10_000.0).floor() as u16;
            Ok(similarity.saturating_sub(basis_points))
        }
    }
}
