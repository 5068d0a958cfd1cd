//! `purge_holds`: after a purge was acknowledged, no node answers a request made since with words
//! of a call that began before the purge was sent. An answer asked for before the acknowledgement
//! may be either. And every answer is of one call, which the provider really had.

use crate::history::{Act, Call, Op};

/// Everything that breaks it, in words.
pub(crate) fn purge_holds(ops: &[Op], calls: &[Call]) -> Vec<String> {
    let purges: Vec<(&Op, Option<usize>)> = ops
        .iter()
        .filter(|op| op.is_ok())
        .filter_map(|op| match op.act {
            Act::Purge { target } => Some((op, target)),
            _ => None,
        })
        .collect();
    ops.iter()
        .filter(|op| op.is_ok())
        .filter_map(|op| wrong(op, &purges, calls))
        .collect()
}

fn wrong(op: &Op, purges: &[(&Op, Option<usize>)], calls: &[Call]) -> Option<String> {
    let Act::Ask {
        target,
        cache,
        calls: heard,
    } = &op.act
    else {
        return None;
    };
    let who = format!(
        "window {} target {target} node {} ({cache}) at {} us",
        op.window, op.node, op.invoke
    );
    let [number] = heard[..] else {
        return Some(format!("{who}: words of the calls {heard:?}"));
    };
    let place = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let Some(call) = place.and_then(|place| calls.get(place)) else {
        return Some(format!(
            "{who}: words of call {number}, which was never made"
        ));
    };
    let covering = purges.iter().filter(|(purge, of)| {
        of.is_none_or(|of| of == *target && purge.window == op.window) && purge.complete < op.invoke
    });
    let (purge, _) = covering.max_by_key(|(purge, _)| purge.invoke)?;
    (call.began < purge.invoke).then(|| {
        format!(
            "{who}: OLD: call {number} began at {}, the purge was sent at {} and acknowledged at {}",
            call.began, purge.invoke, purge.complete
        )
    })
}

/// Answers that a purge before them could have made wrong.
pub(crate) fn judged(ops: &[Op]) -> usize {
    let purged = |window, target| {
        move |op: &&Op| {
            op.is_ok()
                && op.window == window
                && matches!(op.act, Act::Purge { target: of } if of.is_none_or(|of| of == target))
        }
    };
    let after = |op: &&Op| match op.act {
        Act::Ask { target, .. } if op.is_ok() => ops
            .iter()
            .filter(purged(op.window, target))
            .any(|purge| purge.complete < op.invoke),
        _ => false,
    };
    ops.iter().filter(after).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;

    fn op(act: Act, invoke: u64, complete: u64) -> Op {
        Op {
            act,
            node: 1,
            window: 0,
            invoke,
            complete,
            outcome: Outcome::Ok,
        }
    }

    fn ask(target: usize, calls: &[u64], invoke: u64) -> Op {
        let act = Act::Ask {
            target,
            cache: "hit".into(),
            calls: calls.to_vec(),
        };
        op(act, invoke, invoke + 5)
    }

    fn purge(target: Option<usize>, invoke: u64, complete: u64) -> Op {
        op(Act::Purge { target }, invoke, complete)
    }

    fn calls(began: &[u64]) -> Vec<Call> {
        began
            .iter()
            .map(|began| Call {
                began: *began,
                ended: None,
            })
            .collect()
    }

    #[test]
    fn an_old_answer_after_the_acknowledgement_is_flagged() {
        let calls = calls(&[10, 300]);
        for of in [Some(7), None] {
            let history = [ask(7, &[1], 50), purge(of, 100, 200), ask(7, &[1], 201)];
            let found = purge_holds(&history, &calls);
            assert_eq!(found.len(), 1);
            assert!(found[0].contains("OLD"), "{found:?}");
            assert_eq!(judged(&history), 1);
        }
    }

    #[test]
    fn a_fill_begun_before_the_purge_is_old_whenever_it_ends() {
        let calls = vec![Call {
            began: 90,
            ended: Some(10_000),
        }];
        assert_eq!(
            purge_holds(&[purge(Some(7), 100, 200), ask(7, &[1], 20_000)], &calls).len(),
            1
        );
    }

    #[test]
    fn what_overlaps_the_purge_may_be_either_and_what_is_newer_is_right() {
        let calls = calls(&[10, 150, 300]);
        let history = [
            purge(Some(7), 100, 200),
            ask(7, &[1], 150),
            ask(7, &[2], 201),
            ask(7, &[3], 400),
            // Of another scope.
            ask(8, &[1], 400),
        ];
        assert_eq!(purge_holds(&history, &calls), Vec::<String>::new());
    }

    #[test]
    fn a_purge_that_was_not_acknowledged_promises_nothing() {
        let mut unknown = purge(Some(7), 100, 200);
        unknown.outcome = Outcome::Unknown;
        assert!(purge_holds(&[unknown, ask(7, &[1], 300)], &calls(&[10])).is_empty());
    }

    #[test]
    fn a_mixture_and_an_invented_answer_are_flagged() {
        let calls = calls(&[10, 20]);
        assert_eq!(purge_holds(&[ask(1, &[1, 2], 50)], &calls).len(), 1);
        assert_eq!(purge_holds(&[ask(1, &[3], 50)], &calls).len(), 1);
        assert_eq!(purge_holds(&[ask(1, &[], 50)], &calls).len(), 1);
    }
}
