//! Which policy governs a request: the most specific one that matches, whether it is enabled or
//! not. One winner; nothing is merged or inherited. Choosing allocates nothing and, where there is
//! no policy, does nothing.

use std::sync::Arc;

use super::{DEFAULT, Policy};
use crate::names::Name;

/// What a policy is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whose request it is.
    pub tenant: &'a str,
    /// For which agent; `""`: none named.
    pub agent: &'a str,
    /// The model asked for.
    pub model: &'a str,
    /// The request's path, without its query.
    pub path: &'a str,
    /// The last user message, where there is one.
    pub prompt: Option<&'a str>,
}

/// The most specific policy that matches, the first of equals; the built-in one if none does.
#[must_use]
pub fn select<'p>(policies: &'p [Arc<Policy>], asked: &Asked<'_>) -> &'p Policy {
    let mut best: Option<(&Policy, u8)> = None;
    for policy in policies {
        if let Some(rank) = policy.rank(asked)
            && best.is_none_or(|(_, held)| rank > held)
        {
            best = Some((policy, rank));
        }
    }
    best.map_or(&DEFAULT, |(policy, _)| policy)
}

const AGENTS: u8 = 16;
const MODELS_EXACT: u8 = 8;
const MODELS_GLOB: u8 = 4;
const PATHS_OR_PROMPTS: u8 = 2;
const TENANTS: u8 = 1;

impl Policy {
    /// How specific the policy is about this request; `None`: it does not match. A weight is more
    /// than all the lesser ones together, so the order of the contract is the order of numbers.
    fn rank(&self, asked: &Asked<'_>) -> Option<u8> {
        let agents = any(&self.agents, AGENTS, |agent| **agent == *asked.agent)?;
        let tenants = any(&self.tenants, TENANTS, |tenant| {
            tenant.as_str() == asked.tenant
        })?;
        let models = self.rank_model(asked.model)?;
        let paths = any(&self.paths, PATHS_OR_PROMPTS, |path| {
            path.matches(asked.path)
        })?;
        // Last, because it is the only one that reads a long text.
        let prompts = any(&self.prompts, PATHS_OR_PROMPTS, |prompt| {
            asked
                .prompt
                .is_some_and(|text| prompt.matches_any_case(text))
        })?;
        Some(agents | models | paths | prompts | tenants)
    }

    fn rank_model(&self, model: &str) -> Option<u8> {
        if self
            .models
            .iter()
            .any(|named| named.is_exact() && named.as_str() == model)
        {
            return Some(MODELS_EXACT);
        }
        any(&self.models, MODELS_GLOB, |named| named.matches(model))
    }
}

/// Nothing for an empty list, the weight for a match, `None` for neither.
fn any<T>(list: &[T], weight: u8, matches: impl Fn(&T) -> bool) -> Option<u8> {
    if list.is_empty() {
        return Some(0);
    }
    list.iter().any(matches).then_some(weight)
}

/// Two policies equally specific about requests that both match: there the first wins, and the
/// second is in its shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Stands first and wins.
    pub winner: Name,
    /// Loses wherever both match.
    pub shadowed: Name,
}

/// All shadows in a list of policies.
#[must_use]
pub fn shadows(policies: &[Arc<Policy>]) -> Vec<Shadow> {
    let mut found = Vec::new();
    for (at, shadowed) in policies.iter().enumerate() {
        let before = policies[..at]
            .iter()
            .filter(|winner| contend(winner, shadowed));
        found.extend(before.map(|winner| Shadow {
            winner: Name::clone(&winner.name),
            shadowed: Name::clone(&shadowed.name),
        }));
    }
    found
}

/// Whether a request can exist that both match with one rank. Each selector is judged by itself,
/// which may warn once too often where two of them exclude each other only together.
fn contend(a: &Policy, b: &Policy) -> bool {
    let path_or_prompt = |policy: &Policy| !policy.paths.is_empty() || !policy.prompts.is_empty();
    a.agents.is_empty() == b.agents.is_empty()
        && a.tenants.is_empty() == b.tenants.is_empty()
        && path_or_prompt(a) == path_or_prompt(b)
        && meet(&a.agents, &b.agents, |x, y| x == y)
        && meet(&a.tenants, &b.tenants, |x, y| x == y)
        && meet(&a.paths, &b.paths, |x, y| x.overlaps(y))
        && meet(&a.prompts, &b.prompts, |x, y| x.overlaps(y))
        && models_contend(a, b)
}

/// Exact names outrank globs, so only like meets like.
fn models_contend(a: &Policy, b: &Policy) -> bool {
    if a.models.is_empty() || b.models.is_empty() {
        return a.models.is_empty() && b.models.is_empty();
    }
    let pairs = a
        .models
        .iter()
        .flat_map(|x| b.models.iter().map(move |y| (x, y)));
    pairs
        .into_iter()
        .any(|(x, y)| x.is_exact() == y.is_exact() && x.overlaps(y))
}

fn meet<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| same(x, y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked {
        tenant: "acme",
        agent: "faq-bot",
        model: "gpt-4o",
        path: "/v1/chat/completions",
        prompt: Some("What is the Stock Price of X?"),
    };

    fn policy(name: &str, change: impl FnOnce(&mut Policy)) -> Arc<Policy> {
        let mut policy = Policy {
            name: name.into(),
            ..Policy::default()
        };
        change(&mut policy);
        Arc::new(policy)
    }

    /// From the least specific to the most; every one matches [`ASKED`].
    fn ladder() -> Vec<Arc<Policy>> {
        vec![
            policy("any", |_| {}),
            policy("tenant", |p| p.tenants = vec!["acme".into()]),
            policy("path", |p| p.paths = vec!["/v1/chat/*".into()]),
            policy("prompt+tenant", |p| {
                p.prompts = vec!["*stock price*".into()];
                p.tenants = vec!["acme".into()];
            }),
            policy("glob", |p| {
                p.models = vec!["claude-*".into(), "gpt-*".into()]
            }),
            policy("exact", |p| {
                p.models = vec!["mistral-*".into(), "gpt-4o".into()]
            }),
            policy("agent", |p| p.agents = vec!["x".into(), "faq-bot".into()]),
            policy("agent+model", |p| {
                p.agents = vec!["faq-bot".into()];
                p.models = vec!["gpt-4o".into()];
            }),
        ]
    }

    #[test]
    fn the_more_specific_wins_wherever_it_stands() {
        let ladder = ladder();
        for (rung, lower) in ladder.iter().enumerate() {
            for higher in &ladder[rung + 1..] {
                for pair in [[lower, higher], [higher, lower]] {
                    let list: Vec<_> = pair.into_iter().cloned().collect();
                    assert_eq!(select(&list, &ASKED).name, higher.name, "{:?}", lower.name);
                }
            }
        }
    }

    #[test]
    fn of_equals_the_first_wins_and_a_disabled_winner_still_wins() {
        let list = [
            policy("off", |p| {
                p.enabled = super::super::Enabled::No;
                p.agents = vec!["faq-bot".into()];
            }),
            policy("on", |p| p.agents = vec!["faq-bot".into()]),
        ];
        assert_eq!(&*select(&list, &ASKED).name, "off");
    }

    #[test]
    fn what_does_not_match_is_not_chosen() {
        let table: Vec<(&str, Arc<Policy>)> = vec![
            ("agent", policy("p", |p| p.agents = vec!["other".into()])),
            ("tenant", policy("p", |p| p.tenants = vec!["other".into()])),
            ("model", policy("p", |p| p.models = vec!["gpt-4".into()])),
            (
                "path",
                policy("p", |p| p.paths = vec!["/v1/embeddings".into()]),
            ),
            (
                "prompt",
                policy("p", |p| p.prompts = vec!["*weather*".into()]),
            ),
        ];
        for (what, policy) in table {
            assert_eq!(&*select(&[policy], &ASKED).name, "", "{what}");
        }
        assert_eq!(&*select(&[], &ASKED).name, "");
        let prompt = policy("p", |p| p.prompts = vec!["*".into()]);
        assert_eq!(
            &*select(
                &[prompt],
                &Asked {
                    prompt: None,
                    ..ASKED
                }
            )
            .name,
            ""
        );
    }

    #[test]
    fn shadows_are_named_and_only_they() {
        assert_eq!(
            shadows(&ladder()),
            [],
            "the rungs of a ladder cast no shadow"
        );
        let bots = |name: &str, models: &[&str]| {
            policy(name, |p| {
                p.agents = vec!["faq-bot".into(), name.into()];
                p.models = models.iter().map(|model| (*model).into()).collect();
            })
        };
        let table = [
            (bots("a", &[]), bots("b", &[]), true),
            (bots("a", &["gpt-4o"]), bots("b", &["gpt-4o", "x"]), true),
            (bots("a", &["gpt-4o"]), bots("b", &["gpt-*"]), false),
            (bots("a", &["gpt-*"]), bots("b", &["*-mini"]), true),
            (bots("a", &["gpt-*"]), bots("b", &["claude-*"]), false),
            (
                bots("a", &[]),
                policy("b", |p| p.agents = vec!["other".into()]),
                false,
            ),
        ];
        for (winner, shadowed, expected) in table {
            let found = shadows(&[Arc::clone(&winner), Arc::clone(&shadowed)]);
            let named = [Shadow {
                winner: "a".into(),
                shadowed: "b".into(),
            }];
            assert_eq!(
                found,
                if expected { &named[..] } else { &[] },
                "{winner:?} {shadowed:?}"
            );
        }
    }
}
