//! Many tenants of very different size in one store, with a small share of their points purged: what
//! a graph that is filtered afterwards is worst at. Spaces above a handful of points are walked here,
//! so that the graph answers nearly every look.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fgy_cluster::Key;

use super::super::vectors::Way;
use super::{Postgres, Scratch, Settings};
use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;
use crate::store::{Entries, ModelKey, Point, Put, Scope, Vectors};

const TENANTS: u64 = 50;
const DIMENSIONS: u32 = 48;
const NOW: Millis = Millis(1_000);

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn even(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSIONS).map(|_| self.even()).collect()
    }

    fn near(&mut self, other: &[f32]) -> Vec<f32> {
        other.iter().map(|it| it + 0.05 * self.even()).collect()
    }
}

fn model() -> ModelKey {
    ModelKey {
        name: "mini".into(),
        revision: "".into(),
        dimensions: DIMENSIONS,
    }
}

/// The first tenant has a thousand points, the last of fifty twenty.
fn size(tenant: u64) -> u64 {
    1_000 / (tenant + 1)
}

fn point(tenant: u64, number: u64, vector: Vec<f32>) -> Put {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&tenant.to_be_bytes());
    key[8..16].copy_from_slice(&number.to_be_bytes());
    let key = Key(key);
    let stamp = Stamp {
        tenant: format!("tenant-{tenant}").as_str().into(),
        agent: "".into(),
        model: "gpt-4o".into(),
        namespace: ["kept", "purged"][usize::from(number % 2 == 1)].into(),
        policy: "".into(),
        source: key,
        epoch: 1,
        began: Millis(1),
        until: Millis(9_000),
    };
    let point = Point {
        space: space(tenant),
        key,
        model: model(),
        vector,
        stamp: stamp.clone(),
        fingerprint: Vec::new(),
        message: String::new(),
    };
    Put {
        key,
        stamp,
        bytes: Bytes::from_static(b"\x01\0answer"),
        point: Some(Arc::new(point)),
    }
}

fn space(tenant: u64) -> Space {
    let mut space = [7; 32];
    space[..8].copy_from_slice(&tenant.to_be_bytes());
    Space(space)
}

/// How many of some tenants' looks find the very point they lie beside.
async fn found(store: &Postgres, all: &BTreeMap<(u64, u64), Vec<f32>>, every: u64) -> (u32, u32) {
    let mut draw = Draw(99);
    let (mut asked, mut right) = (0, 0);
    for ((tenant, number), vector) in all.iter().filter(|((_, number), _)| number % every == 0) {
        let (model, vector) = (model(), draw.near(vector));
        let near = store.nearest(space(*tenant), &model, vector, 0.9, 8, NOW);
        let near = near.await.unwrap();
        for it in &near {
            assert_eq!(it.stamp.tenant.as_str(), format!("tenant-{tenant}"));
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&tenant.to_be_bytes());
        key[8..16].copy_from_slice(&number.to_be_bytes());
        asked += 1;
        right += u32::from(near.first().is_some_and(|it| it.key == Key(key)));
    }
    (right, asked)
}

#[tokio::test]
async fn no_tenants_points_hide_behind_anothers_before_and_after_a_purge() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let settings = Settings {
        scan_points_max: 10,
        look_wait_max: std::time::Duration::from_secs(10),
        ..Settings::default()
    };
    let store = Postgres::open(scratch.url(), &settings).await.unwrap();
    let mut draw = Draw(5);
    let mut all = BTreeMap::new();
    let mut puts = Vec::new();
    // In the order of their numbers, so that tenants lie mixed, as they come.
    for number in 0..size(0) {
        for tenant in (0..TENANTS).filter(|tenant| number < size(*tenant)) {
            let vector = draw.vector();
            puts.push(point(tenant, number, vector.clone()));
            all.insert((tenant, number), vector);
        }
    }
    for some in puts.chunks(1_000) {
        store.put(some.to_vec()).await.unwrap();
    }
    for (way, index) in [
        (Way::Scan, "points_1_space"),
        (Way::Graph, "points_1_graph"),
    ] {
        let plan = store.plan_near(way, space(0), &model()).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
        let other = ["points_1_graph", "points_1_space"][usize::from(way == Way::Graph)];
        assert!(!plan.contains(other), "{plan}");
    }
    let (right, asked) = found(&store, &all, 10).await;
    assert!(asked > 400, "{asked}");
    assert!(right * 100 >= asked * 98, "{right} of {asked}");
    // Half of every tenant's answers are purged; the graph has not been vacuumed since.
    let purged = Scope {
        namespace: Some("purged".into()),
        ..Scope::default()
    };
    while store.forget(purged.clone(), 1_000).await.unwrap() == 1_000 {}
    all.retain(|(_, number), _| number % 2 == 0);
    let (right, asked) = found(&store, &all, 10).await;
    assert!(
        right * 100 >= asked * 98,
        "{right} of {asked} after a purge"
    );
    scratch.end().await;
}
