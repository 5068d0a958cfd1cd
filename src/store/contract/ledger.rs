//! The clauses of [`Ledger`].

use std::collections::BTreeMap;

use fgy_cluster::Key;

use crate::answer::stamp::Millis;
use crate::ledger::line::{Line, LineId, Outcome};
use crate::ledger::money::NanoUsd;
use crate::ledger::pages::statement;
use crate::ledger::samples;
use crate::ledger::totals::{Period, Place, Sum};
use crate::names::TenantId;
use crate::store::Ledger;

const ALWAYS: Period = Period {
    from: Millis(0),
    to: Millis(u64::MAX),
};

/// Every clause; each has its own tenants, for lines cannot be removed.
pub async fn all(ledger: &dyn Ledger) {
    every_field_comes_back(ledger).await;
    a_line_counts_once(ledger).await;
    pages_go_on_where_the_last_ended(ledger).await;
    totals_are_the_sum_of_the_lines(ledger).await;
    a_statement_folds_what_the_lines_say(ledger).await;
}

/// Lines of one tenant; ids differ between tenants.
fn lines(tenant: &str, count: u128) -> Vec<Line> {
    let digest = blake3::hash(tenant.as_bytes());
    let base = u128::from(digest.as_bytes()[0]) << 120 | u128::from(digest.as_bytes()[1]) << 112;
    let of = |number| {
        let mut line = samples::line(number);
        (line.tenant, line.id) = (tenant.into(), LineId(base + number));
        line
    };
    (0..count).map(of).collect()
}

async fn page(ledger: &dyn Ledger, tenant: &str, period: Period) -> Vec<Line> {
    ledger
        .page(tenant.into(), period, None, 10_000)
        .await
        .expect("page")
}

async fn every_field_comes_back(ledger: &dyn Ledger) {
    assert_eq!(ledger.line(LineId(3)).await, Ok(None));
    let mut lines = lines("fields", 3);
    let [full, bare, odd] = &mut lines[..] else {
        unreachable!("three lines")
    };
    (full.similarity_bp, full.embedding) = (Some(9_999), NanoUsd::MAX);
    full.usage.input = u32::MAX;
    (bare.key, bare.idempotency, bare.similarity_bp) = (None, None, None);
    (bare.agent, bare.namespace, bare.reason) = ("".into(), "".into(), "".into());
    (bare.delivered, bare.priced, bare.usage.estimated) = (false, false, true);
    (odd.outcome, odd.status, odd.model) = (Outcome::Refused, 504, "it's 'ünïcode' -- %".into());
    odd.key = Some(Key([0; 32]));
    ledger.post(lines.clone()).await.expect("post");
    assert_eq!(page(ledger, "fields", ALWAYS).await, lines);
    for line in &lines {
        assert_eq!(ledger.line(line.id).await, Ok(Some(line.clone())));
    }
    assert_eq!(ledger.post(Vec::new()).await, Ok(()));
}

async fn a_line_counts_once(ledger: &dyn Ledger) {
    let first = lines("once", 200);
    ledger.post(first.clone()).await.expect("post");
    let before = ledger.totals("once".into(), ALWAYS).await.expect("totals");
    // Again, within one batch, and with other amounts under a known id: nothing changes.
    let mut forged = first.clone();
    for line in &mut forged {
        (line.fee, line.tenant) = (NanoUsd(1), "once-more".into());
    }
    ledger.post(first.clone()).await.expect("post");
    ledger
        .post([first.clone(), first.clone()].concat())
        .await
        .expect("post");
    ledger.post(forged).await.expect("post");
    assert_eq!(
        ledger.totals("once".into(), ALWAYS).await,
        Ok(before.clone())
    );
    assert_eq!(before.whole().replies, 200);
    assert_eq!(page(ledger, "once", ALWAYS).await, first);
    assert_eq!(page(ledger, "once-more", ALWAYS).await, []);
}

async fn pages_go_on_where_the_last_ended(ledger: &dyn Ledger) {
    // Three lines a moment, posted backwards: the order is by time, then id.
    let mut all = lines("pages", 100);
    all.iter_mut()
        .for_each(|line| line.at = Millis(1_000 + line.id.0 as u64 % 100 / 3));
    all.sort_by_key(Place::of);
    ledger
        .post(all.iter().rev().cloned().collect())
        .await
        .expect("post");
    for limit in [1, 2, 7, 100, 1_000] {
        let (mut after, mut got) = (None, Vec::new());
        loop {
            let some = ledger
                .page("pages".into(), ALWAYS, after, limit)
                .await
                .expect("page");
            assert!(some.len() <= limit as usize);
            let Some(last) = some.last() else { break };
            after = Some(Place::of(last));
            got.extend(some);
        }
        assert_eq!(got, all, "by {limit}");
    }
    let (from, to) = (Millis(1_005), Millis(1_010));
    let inside: Vec<Line> = all
        .iter()
        .filter(|line| (from..to).contains(&line.at))
        .cloned()
        .collect();
    assert_eq!(inside.len(), 15);
    assert_eq!(page(ledger, "pages", Period { from, to }).await, inside);
    let early = Some(Place {
        at: Millis(1),
        id: LineId(u128::MAX),
    });
    let tenant = || TenantId::from("pages");
    let behind_an_early_one = ledger.page(tenant(), Period { from, to }, early, 100).await;
    assert_eq!(behind_an_early_one, Ok(inside));
    assert_eq!(
        page(ledger, "pages", Period { from: to, to: from }).await,
        []
    );
    assert_eq!(page(ledger, "nobody", ALWAYS).await, []);
}

async fn totals_are_the_sum_of_the_lines(ledger: &dyn Ledger) {
    let mut all = lines("totals", 140);
    for (number, line) in all.iter_mut().enumerate() {
        line.outcome = Outcome::ALL[number % Outcome::ALL.len()];
        line.model = ["gpt-4o", "GPT-4o", "gpt-4o-mini"][number % 3].into();
        (line.saved, line.fee) = (NanoUsd(number as u64 * 1_000_003), NanoUsd(number as u64));
        (line.embedding, line.priced) = (NanoUsd(number as u64 % 5), number % 2 == 0);
    }
    ledger.post(all.clone()).await.expect("post");
    let period = Period {
        from: all[10].at,
        to: all[110].at,
    };
    let totals = ledger
        .totals("totals".into(), period)
        .await
        .expect("totals");
    let mut expected = BTreeMap::<_, Sum>::new();
    let mut whole = Sum::default();
    for line in &all[10..110] {
        expected
            .entry((line.model.clone(), line.outcome))
            .or_default()
            .add(&Sum::of(line));
        whole.add(&Sum::of(line));
    }
    let got: BTreeMap<_, _> = totals
        .parts()
        .map(|part| ((part.model, part.outcome), part.sum))
        .collect();
    assert_eq!(got, expected);
    assert_eq!((totals.whole(), whole.replies), (whole, 100));
    let nothing = ledger
        .totals("nobody".into(), ALWAYS)
        .await
        .expect("totals");
    assert_eq!(nothing.whole(), Sum::default());
}

async fn a_statement_folds_what_the_lines_say(ledger: &dyn Ledger) {
    // 2,500 lines, so several pages; each five with one request and mark are billed as one.
    let mut all = lines("statement", 2_500);
    for (number, line) in all.iter_mut().enumerate() {
        line.key = Some(Key(*blake3::hash(&(number / 5).to_le_bytes()).as_bytes()));
        line.idempotency = Some([1; 32]);
    }
    let (saved, fee) = (all[0].saved, all[0].fee);
    let period = Period::month("2026-11").expect("a month");
    ledger.post(all).await.expect("post");
    let statement = statement(ledger, "statement".into(), period)
        .await
        .expect("a statement");
    assert_eq!(statement.totals.whole().replies, 2_500);
    assert_eq!(statement.folded, 2_000);
    assert_eq!(statement.saved, NanoUsd(saved.0 * 500));
    assert_eq!(statement.fee, NanoUsd(fee.0 * 500));
}
