//! `control_order`: every acknowledged write is present on every node when all is over, all nodes
//! tell one order, and that order is the order of time: a write that was sent after another was
//! acknowledged stands behind it. A write that surely failed is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Act, Op, Outcome};

/// What one node tells in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// (index, what was done to whom), oldest first.
    pub(crate) audit: Vec<(u64, String)>,
    pub(crate) tenants: BTreeSet<String>,
    /// Older records that it keeps no longer.
    pub(crate) dropped: u64,
}

/// What is put before a write's name where it is told.
pub(crate) const CREATED: &str = "create-tenant ";

/// Everything that breaks it, in words.
pub(crate) fn control_order(ops: &[Op], told: &[Told]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, node) in told.iter().enumerate() {
        found.extend(
            node.audit
                .windows(2)
                .filter(|two| two[0].0 >= two[1].0)
                .map(|two| format!("node {at}: index {} stands before {}", two[0].0, two[1].0)),
        );
        if node.audit != told[0].audit || node.tenants != told[0].tenants {
            found.push(differs(at, node, &told[0]));
        }
    }
    let Some(first) = told.first() else {
        return found;
    };
    let index: BTreeMap<&str, u64> = first
        .audit
        .iter()
        .filter_map(|(index, what)| Some((what.strip_prefix(CREATED)?, *index)))
        .collect();
    if index.len()
        != first
            .audit
            .iter()
            .filter(|(_, what)| what.starts_with(CREATED))
            .count()
    {
        found.push("a write was applied twice".to_owned());
    }
    let mut acknowledged = Vec::new();
    for op in ops {
        let Act::Write { name } = &op.act else {
            continue;
        };
        let present = told
            .iter()
            .filter(|node| node.tenants.contains(name))
            .count();
        match (op.outcome, index.get(name.as_str())) {
            (Outcome::Ok, Some(index)) if present == told.len() => acknowledged.push((op, *index)),
            (Outcome::Ok, in_order) => found.push(format!(
                "LOST: {name}, acknowledged by node {} at {} us: on {present} of {} nodes, index {in_order:?}",
                op.node, op.complete, told.len()
            )),
            (Outcome::Fail, _) if present > 0 => found.push(format!("{name} failed and is there")),
            _ => {}
        }
    }
    found.extend(out_of_time(&acknowledged));
    found
}

fn differs(at: usize, node: &Told, first: &Told) -> String {
    let apart = node.audit.iter().zip(&first.audit).find(|(a, b)| a != b);
    format!(
        "node {at} tells {} records and {} tenants, node 0 {} and {}; first apart: {apart:?}",
        node.audit.len(),
        node.tenants.len(),
        first.audit.len(),
        first.tenants.len()
    )
}

/// Writes that stand before one that was acknowledged before they were sent.
fn out_of_time(acknowledged: &[(&Op, u64)]) -> Vec<String> {
    let mut by_end: Vec<_> = acknowledged.to_vec();
    let mut by_begin = by_end.clone();
    by_end.sort_by_key(|(op, _)| op.complete);
    by_begin.sort_by_key(|(op, _)| op.invoke);
    let (mut ended, mut highest, mut found) = (by_end.into_iter().peekable(), 0, Vec::new());
    for (op, index) in by_begin {
        while let Some((_, before)) = ended.next_if(|(before, _)| before.complete < op.invoke) {
            highest = highest.max(before);
        }
        if index < highest {
            found.push(format!(
                "{:?} has index {index}, and {highest} was acknowledged before it was sent",
                op.act
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, invoke: u64, outcome: Outcome) -> Op {
        let act = Act::Write { name: name.into() };
        Op {
            act,
            node: 0,
            window: 0,
            invoke,
            complete: invoke + 5,
            outcome,
        }
    }

    fn told(names: &[(u64, &str)]) -> Told {
        Told {
            audit: names
                .iter()
                .map(|(index, name)| (*index, format!("{CREATED}{name}")))
                .collect(),
            tenants: names.iter().map(|(_, name)| (*name).to_owned()).collect(),
            dropped: 0,
        }
    }

    fn found(ops: &[Op], told: &[Told]) -> String {
        control_order(ops, told).join("\n")
    }

    #[test]
    fn one_order_with_everything_in_it_holds() {
        let ops = [
            write("a", 0, Outcome::Ok),
            write("b", 10, Outcome::Ok),
            write("maybe", 20, Outcome::Unknown),
            write("never", 20, Outcome::Fail),
        ];
        let node = told(&[(3, "a"), (5, "b"), (9, "maybe")]);
        assert_eq!(found(&ops, &[node.clone(), node]), "");
    }

    #[test]
    fn a_lost_write_is_flagged_on_whichever_node() {
        let ops = [write("a", 0, Outcome::Ok), write("b", 10, Outcome::Ok)];
        let (whole, short) = (told(&[(3, "a"), (5, "b")]), told(&[(3, "a")]));
        assert!(found(&ops, &[whole.clone(), short.clone()]).contains("LOST: b"));
        assert!(found(&ops, &[short.clone(), short]).contains("LOST: b"));
        assert_eq!(found(&ops, &[whole.clone(), whole]), "");
    }

    #[test]
    fn two_orders_and_an_order_against_time_are_flagged() {
        let ops = [write("a", 0, Outcome::Ok), write("b", 10, Outcome::Ok)];
        let turned = told(&[(3, "b"), (5, "a")]);
        assert!(
            found(&ops, &[told(&[(3, "a"), (5, "b")]), turned.clone()]).contains("first apart")
        );
        assert!(found(&ops, &[turned.clone(), turned]).contains("before it was sent"));
        let beside = [write("a", 0, Outcome::Ok), write("b", 3, Outcome::Ok)];
        let turned = told(&[(3, "b"), (5, "a")]);
        assert_eq!(found(&beside, &[turned]), "", "they overlapped");
    }

    #[test]
    fn twice_applied_and_failed_but_there_are_flagged() {
        let ops = [write("a", 0, Outcome::Ok)];
        assert!(found(&ops, &[told(&[(3, "a"), (4, "a")])]).contains("twice"));
        let ops = [write("a", 0, Outcome::Fail)];
        assert!(found(&ops, &[told(&[(3, "a")])]).contains("failed and is there"));
    }
}
