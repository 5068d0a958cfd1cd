//! The clauses of [`Labels`].

use fgy_cluster::Key;

use crate::answer::stamp::Millis;
use crate::label::{Judge, Label, Verdict};
use crate::ledger::line::LineId;
use crate::store::{LABELS_PER_TENANT_MAX, Labels};

/// Every clause; each has its own tenants.
pub async fn all(labels: &dyn Labels) {
    every_field_comes_back_the_latest_first(labels).await;
    of_a_reply_the_later_word_counts(labels).await;
    a_tenant_has_so_many_and_is_forgotten_alone(labels).await;
}

/// A label of a tenant; its number is its time too.
fn label(tenant: &str, number: u64) -> Label {
    let digest = blake3::hash(tenant.as_bytes());
    let base = u128::from(digest.as_bytes()[0]) << 120 | u128::from(digest.as_bytes()[1]) << 112;
    Label {
        id: LineId(base + u128::from(number)),
        at: Millis(number),
        tenant: tenant.into(),
        namespace: "v3/staging".into(),
        policy: "it's 'ünïcode'".into(),
        entry: Some(Key([number as u8; 32])),
        similarity_bp: Some(9_431),
        verdict: Verdict::Wrong,
        judge: Judge::Caller,
        weight: 1,
    }
}

async fn read(labels: &dyn Labels, tenant: &str, limit: u32) -> Vec<Label> {
    let read = labels.labels(tenant.into(), limit).await;
    read.expect("labels")
}

async fn every_field_comes_back_the_latest_first(labels: &dyn Labels) {
    let (one, mut two, mut three) = (label("said", 1), label("said", 2), label("said", 3));
    (two.entry, two.similarity_bp, two.verdict) = (None, None, Verdict::Stale);
    (two.namespace, two.policy) = ("".into(), "".into());
    (three.judge, three.verdict, three.weight) = (Judge::Node, Verdict::Right, 20);
    labels.label(Vec::new()).await.expect("nothing to say");
    let said = vec![two.clone(), three.clone(), one.clone()];
    labels.label(said).await.expect("label");
    assert_eq!(read(labels, "said", 9).await, [three.clone(), two, one]);
    assert_eq!(read(labels, "said", 1).await, [three]);
    assert_eq!(read(labels, "unsaid", 9).await, []);
}

async fn of_a_reply_the_later_word_counts(labels: &dyn Labels) {
    let first = label("twice", 5);
    let later = Label {
        at: Millis(7),
        verdict: Verdict::Right,
        judge: Judge::Operator,
        ..first.clone()
    };
    let earlier = Label {
        at: Millis(6),
        verdict: Verdict::Stale,
        ..first.clone()
    };
    for said in [first, later.clone(), earlier] {
        labels.label(vec![said]).await.expect("label");
    }
    assert_eq!(read(labels, "twice", 9).await, [later]);
}

async fn a_tenant_has_so_many_and_is_forgotten_alone(labels: &dyn Labels) {
    let other = label("other", 1);
    labels.label(vec![other.clone()]).await.expect("label");
    let most = u64::from(LABELS_PER_TENANT_MAX);
    let many: Vec<Label> = (1..=most + 10)
        .map(|number| label("many", number))
        .collect();
    for some in many.chunks(1_000) {
        labels.label(some.to_vec()).await.expect("label");
    }
    let held = read(labels, "many", u32::MAX).await;
    assert_eq!(held.len() as u64, most);
    assert_eq!(held[0].at, Millis(most + 10), "the latest stay");
    assert_eq!(held[held.len() - 1].at, Millis(11));
    labels.forget_labels("many".into()).await.expect("forget");
    assert_eq!(read(labels, "many", 9).await, []);
    assert_eq!(read(labels, "other", 9).await, [other]);
}
