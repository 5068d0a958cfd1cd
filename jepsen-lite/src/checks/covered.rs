//! What a window must have had for its silence to mean something: every purge acknowledged, after a
//! hit served by the disturbed node within the last second, and before enough questions to it, the
//! first of them at once when it could hear again. Not a property of the product.

use crate::clock::Micros;
use crate::history::{Act, Op};

/// Questions to the disturbed node after each purge.
pub(crate) const QUESTIONS_COUNT_MIN: usize = 20;
/// A hit is no older than this when the purge is sent.
const HIT_AGE_MICROS_MAX: Micros = 1_000_000;
/// The first question comes no later than this after it can be heard.
const FIRST_MICROS_MAX: Micros = 50_000;

/// What a window set out to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) window: usize,
    pub(crate) victim: usize,
    pub(crate) targets: usize,
    /// Whether the old answers were hits; else they were in the air.
    pub(crate) from_hits: bool,
    /// When the victim could hear again; none: it always could.
    pub(crate) woken: Option<Micros>,
}

/// What is missing, in words.
pub(crate) fn covered(ops: &[Op], plan: &Plan) -> Vec<String> {
    let here: Vec<&Op> = ops
        .iter()
        .filter(|op| op.window == plan.window && op.is_ok())
        .collect();
    (0..plan.targets)
        .filter_map(|target| missing(&here, plan, target))
        .collect()
}

fn missing(here: &[&Op], plan: &Plan, target: usize) -> Option<String> {
    let who = format!("window {} target {target}", plan.window);
    let is_purge =
        |op: &&&Op| matches!(op.act, Act::Purge { target: of } if of.is_none_or(|of| of == target));
    let Some(purge) = here.iter().find(is_purge) else {
        return Some(format!("{who}: no purge was acknowledged"));
    };
    let asked = |op: &&&Op| {
        op.node == plan.victim && matches!(&op.act, Act::Ask { target: of, .. } if *of == target)
    };
    let hit = |op: &&&Op| {
        matches!(&op.act, Act::Ask { cache, .. } if cache == "hit")
            && op.complete <= purge.invoke
            && op.complete + HIT_AGE_MICROS_MAX >= purge.invoke
    };
    if plan.from_hits && !here.iter().filter(asked).any(|op| hit(&op)) {
        return Some(format!(
            "{who}: no hit at node {} in the second before the purge",
            plan.victim
        ));
    }
    let after: Vec<Micros> = here
        .iter()
        .filter(asked)
        .filter(|op| op.invoke > purge.complete)
        .map(|op| op.invoke)
        .collect();
    if after.len() < QUESTIONS_COUNT_MIN {
        return Some(format!(
            "{who}: only {} questions after the purge",
            after.len()
        ));
    }
    let first = after.iter().min().copied().unwrap_or(Micros::MAX);
    let heard = plan
        .woken
        .map_or(purge.complete, |woken| woken.max(purge.complete));
    (plan.woken.is_some() && first > heard + FIRST_MICROS_MAX)
        .then(|| format!("{who}: the first question came {} us late", first - heard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;

    const PLAN: Plan = Plan {
        window: 0,
        victim: 1,
        targets: 1,
        from_hits: true,
        woken: Some(3_000_000),
    };

    fn op(act: Act, at: Micros) -> Op {
        Op {
            act,
            node: 1,
            window: 0,
            invoke: at,
            complete: at + 10,
            outcome: Outcome::Ok,
        }
    }

    fn ask(cache: &str, at: Micros) -> Op {
        op(
            Act::Ask {
                target: 0,
                cache: cache.into(),
                calls: vec![1],
            },
            at,
        )
    }

    fn good() -> Vec<Op> {
        let mut ops = vec![
            ask("hit", 500_000),
            op(Act::Purge { target: Some(0) }, 900_000),
        ];
        ops.extend((0..20).map(|at| ask("miss", 3_000_000 + at)));
        ops
    }

    #[test]
    fn a_full_window_is_covered() {
        assert_eq!(covered(&good(), &PLAN), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_told() {
        let without = |from: usize, count: usize| {
            let mut ops = good();
            ops.drain(from..from + count);
            covered(&ops, &PLAN)
        };
        assert!(without(0, 1)[0].contains("no hit"));
        assert!(without(1, 1)[0].contains("no purge"));
        assert!(without(2, 1)[0].contains("only 19"));
        let mut stale = good();
        stale[1].invoke += 1_000_000;
        stale[1].complete = stale[1].invoke;
        assert!(covered(&stale, &PLAN)[0].contains("no hit"));
        let late = Plan {
            woken: Some(2_900_000),
            ..PLAN
        };
        assert!(covered(&good(), &late)[0].contains("late"));
        assert!(covered(&good(), &Plan { victim: 2, ..PLAN })[0].contains("no hit"));
    }
}
