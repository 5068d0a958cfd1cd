//! The clauses of [`Vectors`], and of what [`Entries`] does to points. A store may miss a neighbour,
//! so what must be *found* here is what none may miss: few points, far apart, or an exact copy. What
//! must *not* be found is asked of everything.

use std::sync::Arc;

use bytes::Bytes;
use fgy_cluster::Key;

use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;
use crate::store::{
    Entries, Error, ModelKey, NEIGHBOURS_MAX, Neighbour, Point, Put, Scope, Stores, Vectors,
};

const NOW: Millis = Millis(1_000_000);
const SPACE: Space = Space([7; 32]);
const DIMENSIONS: u32 = 384;
/// Half a hundredth: what eight bits a dimension, or sixteen, may lose of a cosine.
const LOST: f32 = 0.005;

/// Every clause, on a store without points or entries; it has none afterwards.
pub async fn all(stores: &Stores) {
    let Stores {
        entries, vectors, ..
    } = stores;
    let store = &Store {
        entries: &**entries,
        vectors: &**vectors,
    };
    vectors.load().await.expect("load");
    assert!(vectors.held().ready);
    what_is_put_is_found_whole(store).await;
    added_it_is_found_before_it_is_stored(store).await;
    the_nearest_come_first(store).await;
    no_space_and_no_model_sees_anothers(store).await;
    nothing_below_the_bar_is_found(store).await;
    nothing_expired_is_found(store).await;
    a_point_goes_with_its_answer(store).await;
    a_replaced_answer_brings_its_own_point(store).await;
    what_does_not_fit_is_refused(store).await;
    it_agrees_with_an_exact_scan(store).await;
}

struct Store<'a> {
    entries: &'a dyn Entries,
    vectors: &'a dyn Vectors,
}

impl Store<'_> {
    async fn put(&self, points: impl IntoIterator<Item = Point>) {
        let puts = points.into_iter().map(put).collect();
        self.entries.put(puts).await.expect("put");
    }

    async fn nearest(&self, vector: Vec<f32>, at_least: f32, limit: usize) -> Vec<Neighbour> {
        self.seen_by(&model(), SPACE, vector, at_least, limit).await
    }

    async fn seen_by(
        &self,
        model: &ModelKey,
        space: Space,
        vector: Vec<f32>,
        at_least: f32,
        limit: usize,
    ) -> Vec<Neighbour> {
        let asked = self
            .vectors
            .nearest(space, model, vector, at_least, limit, NOW);
        asked.await.expect("nearest")
    }

    /// The keys of all that is near the first axis.
    async fn keys(&self) -> Vec<Key> {
        let found = self.nearest(at(0.0), -1.0, NEIGHBOURS_MAX).await;
        let mut keys: Vec<Key> = found.into_iter().map(|it| it.key).collect();
        keys.sort_unstable();
        keys
    }

    async fn empty(&self) {
        let step = 1_000;
        while self.entries.forget(Scope::default(), step).await == Ok(u64::from(step)) {}
        assert_eq!(self.entries.count(Scope::default()).await, Ok(0));
        assert_eq!(self.vectors.held().points, 0, "no answer, no point");
    }
}

pub(in crate::store) fn key(number: u64) -> Key {
    let mut bytes = [0xb6; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Key(bytes)
}

pub(in crate::store) fn model() -> ModelKey {
    ModelKey {
        name: "mini".into(),
        revision: "r1".into(),
        dimensions: DIMENSIONS,
    }
}

/// A direction in the plane of the first two axes, so many degrees from the first.
fn at(degrees: f32) -> Vec<f32> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let mut vector = vec![0.0; DIMENSIONS as usize];
    (vector[0], vector[1]) = (cosine, sine);
    vector
}

/// A point of its own key, so many degrees from the first axis.
pub(in crate::store) fn point(number: u64, degrees: f32) -> Point {
    let stamp = Stamp {
        tenant: "acme".into(),
        agent: "faq-bot".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: "faq-cache".into(),
        source: key(number),
        epoch: 3,
        began: Millis(NOW.0 - 1_000 + number),
        until: Millis(NOW.0 + 1_000_000),
    };
    Point {
        space: SPACE,
        key: key(number),
        model: model(),
        vector: at(degrees),
        stamp,
        fingerprint: number.to_be_bytes().to_vec(),
        message: format!("ünïcode {number} \u{1F980}"),
    }
}

fn put(point: Point) -> Put {
    Put {
        key: point.key,
        stamp: point.stamp.clone(),
        bytes: Bytes::from_static(b"\x01\0answer"),
        point: Some(Arc::new(point)),
    }
}

fn pointless(put: Put) -> Put {
    Put { point: None, ..put }
}

async fn what_is_put_is_found_whole(store: &Store<'_>) {
    assert_eq!(
        store.nearest(at(0.0), -1.0, 9).await,
        [],
        "nothing is there"
    );
    let mut bare = point(2, 170.0);
    (bare.fingerprint, bare.message) = (Vec::new(), String::new());
    (bare.stamp.agent, bare.stamp.policy) = ("".into(), "".into());
    store.put([point(1, 20.0), bare.clone()]).await;
    for whole in [point(1, 20.0), bare] {
        let found = store.nearest(whole.vector.clone(), 0.9, 9).await;
        let [found] = found.try_into().expect("one is near");
        assert!((found.similarity - 1.0).abs() <= LOST, "{found:?}");
        assert!(found.similarity <= 1.0, "{found:?}");
        let expected = Neighbour {
            key: whole.key,
            similarity: found.similarity,
            stamp: whole.stamp,
            fingerprint: whole.fingerprint,
            message: whole.message,
        };
        assert_eq!(found, expected, "every byte and field");
    }
    let held = store.vectors.held();
    assert!(held.points <= 2, "no more than there are: {held:?}");
    store.empty().await;
}

async fn added_it_is_found_before_it_is_stored(store: &Store<'_>) {
    let add = |point: Point| store.vectors.add(Arc::new(point));
    for _ in 0..2 {
        assert_eq!(add(point(1, 0.0)), Ok(()));
        assert_eq!(store.keys().await, [key(1)], "at once, and once");
    }
    assert_eq!(store.entries.get(key(1), NOW).await, Ok(None));
    store.put([point(1, 0.0)]).await;
    assert_eq!(store.keys().await, [key(1)], "still once");
    store
        .entries
        .put(vec![pointless(put(point(5, 0.0)))])
        .await
        .expect("put");
    assert_eq!(
        store.keys().await,
        [key(1)],
        "an exact answer is no neighbour"
    );
    // An answer that began earlier changes nothing, whichever way it comes.
    let mut earlier = point(1, 90.0);
    earlier.stamp.began = Millis(1);
    assert_eq!(add(earlier.clone()), Ok(()));
    store.put([earlier]).await;
    assert_eq!(store.nearest(at(0.0), 0.9, 9).await.len(), 1);
    assert_eq!(store.nearest(at(90.0), 0.9, 9).await, []);
    assert_eq!(add(point(2, 0.0)), Ok(()));
    store.vectors.withdraw(key(2));
    store.vectors.withdraw(key(77));
    assert_eq!(store.keys().await, [key(1)], "taken back");
    store.empty().await;
}

async fn the_nearest_come_first(store: &Store<'_>) {
    let degrees = |number: u64| (number * 37 % 100) as f32;
    store
        .put((0..100).map(|number| point(number, degrees(number))))
        .await;
    let mut expected: Vec<u64> = (0..100).collect();
    expected.sort_by_key(|number| number * 37 % 100);
    for limit in [0, 1, 8, NEIGHBOURS_MAX, NEIGHBOURS_MAX + 1, usize::MAX] {
        let found = store.nearest(at(0.0), -1.0, limit).await;
        assert_eq!(found.len(), limit.min(NEIGHBOURS_MAX));
        for (found, number) in found.iter().zip(&expected) {
            let exact = degrees(*number).to_radians().cos();
            assert!((found.similarity - exact).abs() <= LOST, "{found:?}");
        }
        let sorted = |pair: &[Neighbour]| pair[0].similarity >= pair[1].similarity;
        assert!(found.windows(2).all(sorted), "the most similar first");
    }
    let first = store.nearest(at(0.0), -1.0, 3).await;
    assert_eq!(first[0].key, key(0));
    store.empty().await;
}

async fn no_space_and_no_model_sees_anothers(store: &Store<'_>) {
    let with = |name: &str, revision: &str| ModelKey {
        name: name.into(),
        revision: revision.into(),
        ..model()
    };
    let short = ModelKey {
        dimensions: 2,
        ..model()
    };
    let models = [model(), with("mini", "r2"), with("other", "r1"), short];
    let spaces = [SPACE, Space([8; 32])];
    let vector = |model: &ModelKey| at(0.0)[..model.dimensions as usize].to_vec();
    // The same direction and words in each space, by each model.
    let mut number = 0;
    let mut expected = Vec::new();
    for model in &models {
        for space in spaces {
            number += 1;
            let mut it = point(number, 0.0);
            (it.space, it.model, it.vector) = (space, model.clone(), vector(model));
            expected.push((model, space, it.key));
            store.put([it]).await;
        }
    }
    for (model, space, key) in expected {
        let found = store.seen_by(model, space, vector(model), -1.0, 64).await;
        let keys: Vec<Key> = found.into_iter().map(|it| it.key).collect();
        assert_eq!(keys, [key], "{model} {space}");
    }
    let nowhere = Space([9; 32]);
    assert_eq!(
        store.seen_by(&model(), nowhere, at(0.0), -1.0, 64).await,
        []
    );
    let nobody = with("nobody", "");
    assert_eq!(store.seen_by(&nobody, SPACE, at(0.0), -1.0, 64).await, []);
    store.empty().await;
}

async fn nothing_below_the_bar_is_found(store: &Store<'_>) {
    store
        .put((0..60).map(|number| point(number, number as f32 * 3.0)))
        .await;
    for bar in [-1.0, 0.0, 0.5, 0.85, 0.92, 0.999, 1.1] {
        let found = store.nearest(at(0.0), bar, 64).await;
        for it in &found {
            assert!(it.similarity >= bar, "{bar}: {it:?}");
        }
        let clearly = |number: &u64| (*number as f32 * 3.0).to_radians().cos() >= bar + LOST;
        let above = (0..60).filter(clearly).count();
        assert!(found.len() >= above, "{bar}: {} of {above}", found.len());
    }
    store.empty().await;
}

async fn nothing_expired_is_found(store: &Store<'_>) {
    let ending = |number: u64| {
        let mut it = point(number, 0.0);
        it.stamp.until = Millis(NOW.0 + number);
        it
    };
    store.put((0..10).map(ending)).await;
    for late in [0, 1, 5, 9, 10] {
        let (now, model) = (Millis(NOW.0 + late), model());
        let found = store.vectors.nearest(SPACE, &model, at(0.0), 0.9, 64, now);
        let found = found.await.expect("nearest");
        let mut keys: Vec<Key> = found.iter().map(|it| it.key).collect();
        keys.sort_unstable();
        let expected: Vec<Key> = (late + 1..10).map(key).collect();
        assert_eq!(keys, expected, "{late}");
    }
    store.empty().await;
}

async fn a_point_goes_with_its_answer(store: &Store<'_>) {
    let mine = |number: u64| {
        let mut it = point(number, 0.0);
        it.stamp.namespace = ["even", "odd"][number as usize % 2].into();
        it.stamp.until = Millis(NOW.0 + if number < 4 { 1 } else { 1_000 });
        it
    };
    let left = |numbers: &[u64]| numbers.iter().copied().map(key).collect::<Vec<_>>();
    store.put((0..12).map(mine)).await;
    // Purged, in bounded steps.
    let even = Scope {
        namespace: Some("even".into()),
        began_before: Some(mine(10).stamp.began),
        ..Scope::default()
    };
    assert_eq!(store.entries.forget(even.clone(), 3).await, Ok(3));
    assert_eq!(
        store.keys().await.len(),
        9,
        "the answers' points, and no others"
    );
    assert_eq!(store.entries.forget(even, 3).await, Ok(2));
    assert_eq!(store.keys().await, left(&[1, 3, 5, 7, 9, 10, 11]));
    // Expired.
    let expired = store.entries.forget_expired(Millis(NOW.0 + 1), 100);
    assert_eq!(expired.await, Ok(2));
    assert_eq!(store.keys().await, left(&[5, 7, 9, 10, 11]));
    // Beyond what the policy may hold: the least recently used.
    let used = (key(5), Millis(NOW.0 + 9));
    store.entries.touch(vec![used]).await.expect("touch");
    let trim = store
        .entries
        .trim("faq-cache".into(), "acme".into(), 3, 100);
    assert_eq!(trim.await, Ok(2));
    assert_eq!(
        store.keys().await,
        left(&[5, 10, 11]),
        "used last, or later"
    );
    assert!(store.vectors.held().points <= 3);
    store.empty().await;
}

async fn a_replaced_answer_brings_its_own_point(store: &Store<'_>) {
    let later = |degrees| {
        let mut it = point(1, degrees);
        it.stamp.began = NOW;
        it
    };
    store.put([point(1, 0.0)]).await;
    store.put([later(90.0)]).await;
    assert_eq!(store.nearest(at(0.0), 0.9, 9).await, []);
    let [moved] = store
        .nearest(at(90.0), 0.9, 9)
        .await
        .try_into()
        .expect("one");
    assert_eq!(moved.stamp.began, NOW);
    let earlier = pointless(put(point(1, 0.0)));
    store.entries.put(vec![earlier]).await.expect("put");
    assert_eq!(
        store.keys().await,
        [key(1)],
        "what came too late takes nothing away"
    );
    let last = pointless(put(later(0.0)));
    store.entries.put(vec![last]).await.expect("put");
    assert_eq!(store.keys().await, [], "an answer without a point has none");
    // In one batch as one after the other.
    let both = vec![put(point(2, 0.0)), pointless(put(point(2, 0.0)))];
    store.entries.put(both.clone()).await.expect("put");
    assert_eq!(store.keys().await, []);
    let both = both.into_iter().rev().collect();
    store.entries.put(both).await.expect("put");
    assert_eq!(store.keys().await, [key(2)]);
    store.empty().await;
}

async fn what_does_not_fit_is_refused(store: &Store<'_>) {
    let with = |vector: Vec<f32>| Point {
        vector,
        ..point(1, 0.0)
    };
    let mut endless = at(0.0);
    endless[3] = f32::INFINITY;
    let of_none = Point {
        model: ModelKey {
            dimensions: 0,
            ..model()
        },
        ..with(Vec::new())
    };
    let wordy = Point {
        message: "x".repeat(1 << 20),
        ..point(1, 0.0)
    };
    for (story, unfit, says) in [
        (
            "shorter",
            with(vec![1.0; 10]),
            "10 dimensions is none of mini@r1/384",
        ),
        ("longer", with(vec![1.0; 1_536]), "set vector_dimensions"),
        (
            "without a direction",
            with(vec![0.0; 384]),
            "look at the embedder",
        ),
        ("without an end", with(endless), "look at the embedder"),
        (
            "no number",
            with(vec![f32::NAN; 384]),
            "look at the embedder",
        ),
        ("of nothing", of_none, "name a model"),
        ("too wordy", wordy, "a message of 1048576 bytes"),
    ] {
        let Err(Error::Refused(text)) = store.vectors.add(Arc::new(unfit.clone())) else {
            panic!("{story}: taken");
        };
        assert!(text.contains(says), "{story}: {text}");
        let both = vec![put(point(2, 0.0)), put(unfit.clone())];
        let refused = store.entries.put(both).await;
        assert!(
            matches!(refused, Err(Error::Refused(_))),
            "{story}: {refused:?}"
        );
        if unfit.message.len() < 1_000 {
            let asked = store
                .vectors
                .nearest(SPACE, &unfit.model, unfit.vector, 0.0, 9, NOW);
            let refused = asked.await;
            assert!(
                matches!(refused, Err(Error::Refused(_))),
                "{story}: {refused:?}"
            );
        }
    }
    assert_eq!(store.keys().await, [], "all of a batch or none");
    store.empty().await;
}

/// Numbers that look random and are the same in every run.
pub(in crate::store) struct Draw(pub(in crate::store) u64);

impl Draw {
    pub(in crate::store) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// About normal: the sum of four even draws.
    pub(in crate::store) fn normal(&mut self) -> f32 {
        let even = |draw: u64| draw as f32 / (1_u64 << 53) as f32 - 0.5;
        (0..4).map(|_| even(self.next())).sum()
    }

    pub(in crate::store) fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| self.normal()).collect()
    }

    /// So far from another, in parts of that one's length.
    pub(in crate::store) fn near(&mut self, other: &[f32], far: f32) -> Vec<f32> {
        other.iter().map(|it| it + far * self.normal()).collect()
    }
}

pub(in crate::store) fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    (dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()) as f32
}

/// What is found in a space of clusters, beside an exact scan of what should be there, while answers
/// come and go: never anything wrong, and nothing missed that stands clearly first.
async fn it_agrees_with_an_exact_scan(store: &Store<'_>) {
    let mut draw = Draw(0x5eed);
    let centres: Vec<Vec<f32>> = (0..40).map(|_| draw.vector()).collect();
    let mut there: Vec<Point> = Vec::new();
    let mut asked = 0;
    for round in 0..8 {
        let fresh = (0..100).map(|number| {
            let centre = &centres[draw.next() as usize % centres.len()];
            let mut it = point(round * 1_000 + number, 0.0);
            it.vector = draw.near(centre, 0.6);
            it.stamp.namespace = format!("n{}", number % 10).into();
            it.space = if number % 7 == 0 {
                Space([8; 32])
            } else {
                SPACE
            };
            it
        });
        let fresh: Vec<Point> = fresh.collect();
        store.put(fresh.clone()).await;
        there.extend(fresh);
        let purged = format!("n{round}");
        let scope = Scope {
            namespace: Some(purged.as_str().into()),
            ..Scope::default()
        };
        store.entries.forget(scope, 1_000).await.expect("forget");
        there.retain(|it| it.stamp.namespace != purged);
        for _ in 0..20 {
            let near = &there[draw.next() as usize % there.len()];
            let (space, vector) = (near.space, draw.near(&near.vector, 0.2));
            let bar = [0.5, 0.8, 0.95][draw.next() as usize % 3];
            let found = store.seen_by(&model(), space, vector.clone(), bar, 8).await;
            agrees(&there, (space, &vector, bar), &found);
            asked += usize::from(!found.is_empty());
        }
    }
    assert!(asked > 100, "only {asked} looks found anything");
    assert!(store.vectors.held().points <= there.len() as u64);
    store.empty().await;
}

fn agrees(there: &[Point], (space, vector, bar): (Space, &[f32], f32), found: &[Neighbour]) {
    let mut exact: Vec<(f32, Key)> = there
        .iter()
        .filter(|it| it.space == space)
        .map(|it| (cosine(vector, &it.vector), it.key))
        .collect();
    exact.sort_by(|one, other| other.0.total_cmp(&one.0));
    for it in found {
        let (cosine, _) = exact
            .iter()
            .find(|(_, key)| *key == it.key)
            .expect("is there");
        assert!((it.similarity - cosine).abs() <= LOST, "{it:?}: {cosine}");
        assert!(it.similarity >= bar);
    }
    let keys: std::collections::BTreeSet<Key> = found.iter().map(|it| it.key).collect();
    assert_eq!(keys.len(), found.len(), "each once");
    assert!(found.len() <= 8);
    if exact[0].0 >= bar + LOST && exact[0].0 >= exact[1].0 + LOST {
        assert_eq!(found[0].key, exact[0].1, "it stands clearly first");
    }
}
