//! The index by itself: what it finds in a large space, beside every cosine taken one by one; that
//! it keeps its books when points come and go in any order; and that its bounds hold.

use std::collections::BTreeSet;

use super::*;
use crate::store::contract::vectors::{Draw, cosine, key, model, point};

const NOW: Millis = Millis(1_000_000);
const SPACE: Space = Space([7; 32]);

fn known(number: u64) -> Known {
    let point = point(number, 0.0);
    Known {
        key: point.key,
        stamp: point.stamp,
        fingerprint: point.fingerprint.into(),
        message: "how long?".into(),
    }
}

fn look(
    index: &Index,
    space: Space,
    vector: &[f32],
    at_least: f32,
    limit: usize,
) -> Vec<Neighbour> {
    let (query, model) = (Query::of(vector), model());
    let mut found = Found::new(at_least, limit);
    let mut slice = 0;
    while index.scan((space, &model), slice, &query, NOW, &mut found) {
        slice += 1;
    }
    found.neighbours()
}

/// Forty topics, each with some hundred intents, each said in many ways: as questions lie.
fn questions(draw: &mut Draw, many: usize) -> Vec<Vec<f32>> {
    let topics: Vec<_> = (0..40).map(|_| draw.vector()).collect();
    let intents: Vec<_> = (0..many / 50)
        .map(|number| draw.near(&topics[number % topics.len()], 0.9))
        .collect();
    let said = |_| {
        let intent = &intents[draw.next() as usize % intents.len()];
        let far = (draw.next() % 8 + 2) as f32 / 10.0;
        draw.near(intent, far)
    };
    (0..many).map(said).collect()
}

#[test]
fn the_nearest_of_a_large_space_is_found() {
    let mut draw = Draw(0x1ea);
    // Some slices, and a last one that is not full.
    let all = questions(&mut draw, 3 * SLICE_POINTS + 300);
    let index = Index::new(1 << 30);
    for (number, vector) in all.iter().enumerate() {
        index.add(SPACE, &model(), &Code::of(vector), known(number as u64));
    }
    let (mut first, mut asked) = (0, 0);
    for _ in 0..50 {
        let near = &all[draw.next() as usize % all.len()];
        let vector = draw.near(near, 0.4);
        let exact = all.iter().map(|it| cosine(&vector, it));
        let numbered = exact.enumerate();
        let (best, nearest) = numbered
            .max_by(|one, other| one.1.total_cmp(&other.1))
            .unwrap();
        let found = look(&index, SPACE, &vector, 0.7, 8);
        assert!(found.iter().all(|it| it.similarity >= 0.7));
        if nearest >= 0.705 {
            asked += 1;
            first += usize::from(found.first().is_some_and(|it| it.key == key(best as u64)));
        }
    }
    assert!(asked >= 45, "only {asked} have a near one");
    assert!(first * 100 >= asked * 99, "{first} of {asked}");
}

/// Points come, go, come again and move from space to space; after each step the index holds what a
/// plain list holds.
#[test]
fn the_books_are_kept_whatever_comes_and_goes() {
    let mut draw = Draw(0xb00c);
    let index = Index::new(1 << 30);
    let spaces = [SPACE, Space([8; 32]), Space([9; 32])];
    // One sharp direction a point, so that a look for it finds it and nothing else.
    let vectors: Vec<_> = (0..400).map(|_| draw.vector()).collect();
    let mut there: HashMap<u64, Space> = HashMap::new();
    let mut most = 0;
    for step in 0..6_000_u64 {
        let number = draw.next() % 400;
        // Two thirds come while it fills, one third while it empties.
        let comes = draw.next() % 3 < if step < 4_000 { 2 } else { 1 };
        if comes {
            // Most in the first, so that it grows beyond what is compared exactly.
            let elsewhere = usize::from(draw.next().is_multiple_of(20));
            let space = spaces[elsewhere * (draw.next() as usize % 3)];
            let mut known = known(number);
            known.stamp.began = Millis(step);
            index.add(space, &model(), &Code::of(&vectors[number as usize]), known);
            there.insert(number, space);
        } else {
            index.remove(&[key(number), key(9_999)]);
            there.remove(&number);
        }
        most = most.max(there.len());
        let asked = draw.next() % 400;
        for space in spaces {
            let found = look(&index, space, &vectors[asked as usize], 0.9, 8);
            let keys: Vec<Key> = found.iter().map(|it| it.key).collect();
            let is_here = there.get(&asked) == Some(&space);
            assert_eq!(keys, [key(asked)][..usize::from(is_here)], "step {step}");
        }
        assert_eq!(index.held().0, there.len() as u64);
    }
    assert!(most > 200, "only {most} at most");
    for number in 0..400 {
        index.remove(&[key(number)]);
    }
    assert_eq!(index.held(), (0, 0, 0), "and nothing is left");
    let held = index.read();
    assert!(held.shelves.is_empty() && held.ages.is_empty());
}

#[test]
fn the_oldest_make_room_and_what_is_older_still_asks_for_none() {
    let one = weight(384, &known(0));
    let index = Index::new(10 * one);
    let code = Code::of(&point(0, 0.0).vector);
    let add = |number| index.add(SPACE, &model(), &code, known(number));
    let keys = || -> BTreeSet<Key> {
        let all = look(&index, SPACE, &point(0, 0.0).vector, 0.0, 64);
        all.iter().map(|it| it.key).collect()
    };
    // Read at the start, the latest first.
    for number in (0..5).rev() {
        assert!(index.add_older(SPACE, &model(), &code, known(number)));
    }
    (5..10).for_each(add);
    assert_eq!(index.held(), (10, 10 * one, 0));
    assert!(!index.add_older(SPACE, &model(), &code, known(99)), "full");
    assert!(index.add_older(SPACE, &model(), &code, known(3)), "there");
    (10..13).for_each(add);
    assert_eq!(index.held(), (10, 10 * one, 3));
    assert_eq!(keys(), (3..13).map(key).collect());
    // What is added again is young again.
    let mut again = known(3);
    again.stamp.began = NOW;
    index.add(SPACE, &model(), &code, again);
    add(13);
    assert_eq!(keys(), [3].into_iter().chain(5..14).map(key).collect());
}

#[test]
fn a_point_alone_in_its_space_is_cheap() {
    let index = Index::new(1 << 30);
    let code = Code::of(&point(0, 0.0).vector);
    for number in 0..100 {
        let mut space = SPACE;
        space.0[0] = number;
        index.add(space, &model(), &code, known(u64::from(number)));
    }
    let held = index.read();
    for slice in held.shelves.values().flatten() {
        // Its code and little more: no signs, no room for others.
        assert_eq!(slice.points(), 1);
        assert!(slice.bytes() <= 384 + 128, "{}", slice.bytes());
    }
    assert_eq!(held.shelves.len(), 100);
}

#[test]
fn a_code_loses_a_thousandth_at_most() {
    let mut draw = Draw(0xc0de);
    let mut worst = 0.0_f32;
    for dimensions in [1, 2, 31, 32, 33, 64, 100, 384, 1_536, 4_096] {
        for _ in 0..50 {
            let long = |draw: &mut Draw| -> Vec<f32> {
                (0..dimensions).map(|_| draw.normal() * 1e-3).collect()
            };
            let one = long(&mut draw);
            let other = draw.near(&one, 1e-3);
            let code = Code::of(&other);
            let found = Query::of(&one).cosine(code.scale, &code.values);
            if dimensions >= 384 {
                worst = worst.max((found - cosine(&one, &other)).abs());
            }
            assert!((-1.0..=1.0).contains(&found));
            let same = Query::of(&other).cosine(code.scale, &code.values);
            assert!(same > 0.9995, "{dimensions}: {same}");
        }
    }
    assert!(worst <= 0.001, "{worst}");
    // The largest sums there can be do not overflow.
    let ones = vec![1.0; 4_096];
    let code = Code::of(&ones);
    assert!((Query::of(&ones).cosine(code.scale, &code.values) - 1.0).abs() < 1e-6);
}
