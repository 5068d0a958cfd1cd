//! The look for a near answer, from words to candidates: embed, search the space, ask the guard,
//! hold what is left against the bar. It finds keys; whether an answer still lies under one, and
//! whether it is played, is the filler's. It never keeps anything and never compares across spaces.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::Key;

use super::eligible::is_volatile;
use super::embed::{Declined, Embedder};
use super::found::{ACCEPTED, Candidate, Match, Survey};
use super::guard::{Fingerprint, Rules, Verdict, judge};
use super::window::{is_long, windows};
use crate::answer::stamp::{Millis, Stamp};
use crate::job::Near;
use crate::ledger::money::NanoUsd;
use crate::policy::Reason;
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
    /// What a provider was paid for the vectors.
    pub paid: NanoUsd,
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
    /// Nothing was looked for.
    pub fn declined(reason: impl Into<Cow<'static, str>>) -> Looked {
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
        let (asked, mut paid) = match self.ask(near).await {
            Ok(asked) => asked,
            Err(reason) => return Looked::declined(reason),
        };
        let found = self.neighbours(&asked, asked.bar, now).await;
        let (matches, declined) = match found {
            Ok(found) => {
                let mut weighed = Vec::with_capacity(found.len());
                for neighbour in found {
                    let verdict = self
                        .weigh(&asked, &neighbour, rules, (live, now), &mut paid)
                        .await;
                    weighed.push((neighbour, verdict));
                }
                choose(weighed, asked.bar)
            }
            Err(reason) => (Vec::new(), Some(reason)),
        };
        Looked {
            matches,
            meaning: Some(asked.meaning),
            declined,
            paid,
        }
    }

    /// What a question means, to be kept with its answer, where no near answer will do.
    pub async fn mean(&self, near: &Near) -> Looked {
        match self.ask(near).await {
            Ok((asked, paid)) => Looked {
                meaning: Some(asked.meaning),
                paid,
                ..Looked::default()
            },
            Err(_) => Looked::default(),
        }
    }

    /// The nearest, however far, and what would become of each. One embedding, and where those are
    /// paid for no further one: what only another would tell is refused as `window`.
    pub async fn survey(
        &self,
        near: &Near,
        rules: &Rules,
        live: &(dyn Fn(&Neighbour) -> bool + Sync),
        now: Millis,
    ) -> Survey {
        let declined = |reason| Survey {
            bar: near.bar_of(),
            declined: Some(reason),
            ..Survey::default()
        };
        let (mut asked, mut paid) = match self.ask(near).await {
            Ok(asked) => asked,
            Err(reason) => return declined(reason),
        };
        asked.thrifty = self.embedder.is_paid();
        let found = match self.neighbours(&asked, 0, now).await {
            Ok(found) => found,
            Err(reason) => return declined(reason),
        };
        let mut neighbours = Vec::with_capacity(found.len());
        for neighbour in found {
            let verdict = self
                .weigh(&asked, &neighbour, rules, (live, now), &mut paid)
                .await;
            let counted = verdict.as_ref().ok().copied();
            let verdict = match verdict {
                Ok(counted) if counted >= asked.bar => ACCEPTED.into(),
                Ok(_) => Reason::BelowThreshold.as_str().into(),
                Err(refused) => refused.reason,
            };
            neighbours.push(Candidate {
                key: neighbour.stamp.source,
                lies_at: neighbour.key,
                similarity: basis_points(neighbour.similarity),
                counted,
                began: neighbour.stamp.began,
                verdict,
            });
        }
        Survey {
            bar: asked.bar,
            tokens: asked.tokens,
            neighbours,
            declined: None,
        }
    }

    /// The question, measured and embedded, and what that cost.
    async fn ask<'n>(&self, near: &'n Near) -> Result<(Asked<'n>, NanoUsd), Cow<'static, str>> {
        let tokens = self.measure(near)?;
        let paid = self.embedder.embed_paid(vec![near.words.clone()]).await;
        let mut paid = paid.map_err(Declined::as_str)?;
        if paid.vectors.len() != 1 {
            return Err(Declined::Failed.as_str().into());
        }
        let vector = paid.vectors.remove(0);
        let meaning = Meaning {
            vector: vector.as_slice().to_vec(),
            fingerprint: Fingerprint::of(&near.words),
            words: near.words.clone(),
        };
        let asked = Asked {
            near,
            meaning,
            bar: near.bar_of(),
            tokens,
            beyond: tokens > self.embedder.window_tokens(),
            thrifty: false,
        };
        Ok((asked, paid.price))
    }

    /// How many tokens the words have, if they may be matched at all.
    fn measure(&self, near: &Near) -> Result<usize, &'static str> {
        const LONG: &str = Reason::LongPrompt.as_str();
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
        asked: &Asked<'_>,
        bar: u16,
        now: Millis,
    ) -> Result<Vec<Neighbour>, Cow<'static, str>> {
        let (space, vector) = (asked.near.space, asked.meaning.vector.clone());
        let at_least = f32::from(bar) / 10_000.0;
        let looking =
            self.vectors
                .nearest(space, &self.model, vector, at_least, CANDIDATES_MAX, now);
        match tokio::time::timeout(self.store_patience, looking).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store could not be asked for neighbours");
                Err(Reason::StoreUnavailable.as_str().into())
            }
            Err(_) => Err(Reason::StoreUnavailable.as_str().into()),
        }
    }

    /// How near a neighbour is, less what the guard takes off; or what is said against it.
    async fn weigh(
        &self,
        asked: &Asked<'_>,
        neighbour: &Neighbour,
        rules: &Rules,
        (live, now): (&(dyn Fn(&Neighbour) -> bool + Sync), Millis),
        paid: &mut NanoUsd,
    ) -> Result<u16, Refused> {
        if !live(neighbour) {
            return Err(Refused::silently(Reason::Purged));
        }
        let fresh = now.since(neighbour.stamp.began) <= VOLATILE_MILLIS_MAX;
        if !fresh && (asked.near.volatile || is_volatile(&neighbour.message)) {
            return Err(Refused::silently(Reason::Volatile));
        }
        if is_long(&asked.near.words, &neighbour.message)
            && let Some((ours, theirs)) = windows(&asked.near.words, &neighbour.message)
            && !(ours.is_empty() && theirs.is_empty())
        {
            let verdict = judge(&Fingerprint::of(ours), &Fingerprint::of(theirs), rules);
            if matches!(verdict, Verdict::Veto(_)) {
                return less(neighbour.similarity, verdict);
            }
            if asked.thrifty {
                return Err(Refused::aloud(Reason::Window.as_str()));
            }
            let texts = vec![ours.to_owned(), theirs.to_owned()];
            let made = self.embedder.embed_paid(texts).await;
            let made = made.map_err(|declined| Refused::aloud(declined.as_str()))?;
            *paid += made.price;
            let [one, other] = &made.vectors[..] else {
                return Err(Refused::aloud(Declined::Failed.as_str()));
            };
            return less(one.cosine(other).min(neighbour.similarity), verdict);
        }
        if asked.beyond {
            // The model has not seen all of it.
            return Err(Refused::aloud(Reason::LongPrompt.as_str()));
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
    meaning: Meaning,
    bar: u16,
    tokens: usize,
    /// Whether it is longer than the model sees.
    beyond: bool,
    /// Whether nothing more may be paid for it.
    thrifty: bool,
}

/// Why a neighbour may not be served.
struct Refused {
    reason: Cow<'static, str>,
    /// Whether the caller is told: not of answers that are out of date anyway.
    aloud: bool,
}

impl Refused {
    fn aloud(reason: impl Into<Cow<'static, str>>) -> Refused {
        Refused {
            reason: reason.into(),
            aloud: true,
        }
    }

    fn silently(reason: Reason) -> Refused {
        Refused {
            reason: reason.as_str().into(),
            aloud: false,
        }
    }
}

/// Of the neighbours those that may be served, the best first; or why the nearest may not.
fn choose(
    weighed: Vec<(Neighbour, Result<u16, Refused>)>,
    bar: u16,
) -> (Vec<Match>, Option<Cow<'static, str>>) {
    let (mut matches, mut declined) = (Vec::new(), None);
    for (neighbour, verdict) in weighed {
        match verdict {
            Ok(similarity_bp) if similarity_bp >= bar => matches.push(Match {
                key: neighbour.key,
                similarity_bp,
                stamp: neighbour.stamp,
            }),
            // Near, but not near enough with what the guard takes off.
            Ok(_) => {}
            Err(refused) if refused.aloud => declined = declined.or(Some(refused.reason)),
            Err(_) => {}
        }
    }
    matches.sort_by_key(|found| std::cmp::Reverse(found.similarity_bp));
    let declined = declined.filter(|_| matches.is_empty());
    (matches, declined)
}

fn less(similarity: f32, verdict: Verdict) -> Result<u16, Refused> {
    match verdict {
        Verdict::Veto(cause) => Err(Refused::aloud(format!("vetoed-{cause}"))),
        Verdict::Penalty {
            basis_points: off, ..
        } => Ok(basis_points(similarity).saturating_sub(off)),
    }
}

/// A cosine of a little more than 1 is rounding.
fn basis_points(similarity: f32) -> u16 {
    (similarity.clamp(0.0, 1.0) * 10_000.0).floor() as u16
}
