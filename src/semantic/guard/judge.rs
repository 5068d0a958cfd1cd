//! Two fingerprints, one verdict: the tables of what refuses a near answer and of what makes it count
//! as less near. How each is seen is in the files beside this one.

use std::cell::OnceCell;

use super::cause::{Cause, Causes};
use super::mark::{meet, missing};
use super::rules::Rules;
use super::substitution::{self, Substitution};
use super::word::Alone;
use super::{Fingerprint, antonym, contrast, entity, identifier, number, order, particle};
use super::{quantifier, question, quote, role, time, unit};

/// What is to be done with a near answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers another prompt.
    Veto(Cause),
    /// It may be served if its similarity, less this, is high enough.
    Penalty {
        /// What is taken off the similarity, in basis points; 0: nothing speaks against it.
        basis_points: u16,
        /// Why.
        causes: Causes,
    },
}

/// Compares what is asked with what an answer was kept for. Symmetric: either may be either.
#[must_use]
pub fn judge(asked: &Fingerprint, kept: &Fingerprint, rules: &Rules) -> Verdict {
    let pair = Pair::of(asked, kept, rules);
    let asks = |cause: Cause| !rules.is_off(cause);
    let mut vetoes = VETOES.iter().filter(|(cause, _)| asks(*cause));
    if let Some((cause, _)) = vetoes.find(|(_, differ)| differ(&pair)) {
        return Verdict::Veto(*cause);
    }
    let penalties = PENALTIES
        .iter()
        .filter(|(cause, _, differ)| asks(*cause) && differ(&pair));
    let (mut basis_points, mut causes) = (0, Causes::NONE);
    for (cause, points, _) in penalties {
        basis_points += points;
        causes.insert(*cause);
    }
    Verdict::Penalty {
        basis_points,
        causes,
    }
}

/// Whether two prompts differ in one thing.
type Look = fn(&Pair<'_>) -> bool;

/// What refuses, the cheap looks first. Each is symmetric.
const VETOES: [(Cause, Look); 19] = [
    (Cause::Length, |pair| pair.a.cut || pair.b.cut),
    (Cause::Number, |pair| pair.numbers_differ()),
    (Cause::Unit, |pair| pair.units_differ()),
    (Cause::Negation, |pair| pair.one_denies() && pair.is_near()),
    (Cause::Antonym, |pair| {
        antonym::differ(pair.a, pair.b, &pair.alone, &pair.rules.antonyms)
    }),
    (Cause::Contrast, |pair| contrast::differ(&pair.alone)),
    (Cause::Time, |pair| {
        time::differ(&pair.a.times, &pair.b.times)
    }),
    (Cause::Period, |pair| pair.periods_differ()),
    (Cause::Aggregate, |pair| pair.aggregates_differ()),
    (Cause::Particle, |pair| {
        particle::differ(&pair.a.turns, &pair.b.turns)
    }),
    (Cause::Quantifier, |pair| {
        quantifier::differ(pair.a.quantifiers, pair.b.quantifiers)
    }),
    (Cause::Identifier, |pair| identifier::differ(pair.a, pair.b)),
    (Cause::Quote, |pair| quote::differ(pair.a, pair.b)),
    (Cause::Entity, |pair| {
        pair.names() == (true, true) || pair.own_entities_differ()
    }),
    (Cause::Direction, |pair| {
        role::reversed(&pair.a.parts, &pair.b.parts)
    }),
    (Cause::Role, |pair| {
        role::differ(&pair.a.parts, &pair.b.parts)
    }),
    (Cause::Order, |pair| order::swapped(pair.a, pair.b)),
    (Cause::Question, |pair| pair.questions_exclude()),
    (Cause::RareWord, |pair| {
        pair.substitution() == Some(Substitution::Rare)
    }),
];

/// What makes a near answer count as less near, and by how many basis points.
const PENALTIES: [(Cause, u16, Look); 10] = [
    (Cause::Negation, 300, |pair| pair.one_denies()),
    (Cause::Time, 800, |pair| {
        time::one_sided(&pair.a.times, &pair.b.times)
    }),
    (Cause::Period, 400, |pair| pair.period_one_sided()),
    (Cause::Entity, 600, |pair| {
        matches!(pair.names(), (true, false) | (false, true))
    }),
    (Cause::Aggregate, 300, |pair| {
        pair.a.aggregates != pair.b.aggregates
    }),
    (Cause::Quantifier, 300, |pair| {
        quantifier::one_sided(pair.a.quantifiers, pair.b.quantifiers)
    }),
    (Cause::Conjunction, 400, |pair| {
        quantifier::joined_otherwise(pair.a.quantifiers, pair.b.quantifiers)
    }),
    (Cause::Question, 600, |pair| {
        question::differ(pair.a.questions, pair.b.questions)
    }),
    (Cause::Count, 600, |pair| pair.a.counts != pair.b.counts),
    (Cause::Word, 400, |pair| {
        pair.substitution() == Some(Substitution::Common)
    }),
];

/// Two prompts, and what is looked for in them more than once.
struct Pair<'f> {
    a: &'f Fingerprint,
    b: &'f Fingerprint,
    rules: &'f Rules,
    alone: Alone,
    names: OnceCell<(bool, bool)>,
    substitution: OnceCell<Option<Substitution>>,
}

impl<'f> Pair<'f> {
    fn of(a: &'f Fingerprint, b: &'f Fingerprint, rules: &'f Rules) -> Self {
        let alone = Alone::of(a, b);
        Self {
            a,
            b,
            rules,
            alone,
            names: OnceCell::new(),
            substitution: OnceCell::new(),
        }
    }

    /// Whether each side names something that the other does not speak of.
    fn names(&self) -> (bool, bool) {
        *self.names.get_or_init(|| entity::differ(self.a, self.b))
    }

    fn own_entities_differ(&self) -> bool {
        self.rules.entities_differ(self.a, self.b)
    }

    fn substitution(&self) -> Option<Substitution> {
        let between = || substitution::between(self.a, self.b, self.rules);
        *self.substitution.get_or_init(between)
    }

    fn numbers_differ(&self) -> bool {
        let (a, b) = (&self.a.numbers, &self.b.numbers);
        number::differ(a, b) || number::reordered(a, b) && order::same(self.a, self.b)
    }

    fn units_differ(&self) -> bool {
        unit::differ(&self.a.units, &self.b.units)
            || number::measured_otherwise(&self.a.numbers, &self.b.numbers)
    }

    fn one_denies(&self) -> bool {
        self.a.denies != self.b.denies
    }

    fn periods_differ(&self) -> bool {
        let (a, b) = (&self.a.periods, &self.b.periods);
        !a.is_empty() && !b.is_empty() && !meet(a, b)
    }

    /// Whether one side alone is relative to now; "next winter" may be "winter".
    fn period_one_sided(&self) -> bool {
        let same_time = !self.a.times.is_empty() && self.a.times == self.b.times;
        self.a.periods.is_empty() != self.b.periods.is_empty() && !same_time
    }

    fn aggregates_differ(&self) -> bool {
        let (a, b) = (self.a.aggregates, self.b.aggregates);
        a & !b != 0 && b & !a != 0
    }

    fn questions_exclude(&self) -> bool {
        question::exclude(self.a.questions, self.b.questions)
            && self.a.bag.len() > 1
            && self.b.bag.len() > 1
            && self.is_near()
    }

    /// Whether the content words are nearly the same.
    fn is_near(&self) -> bool {
        let (a, b) = (&self.a.bag, &self.b.bag);
        let (only_a, only_b) = (missing(a, b), missing(b, a));
        let all = a.len() + only_b;
        only_a.max(only_b) <= 1 || (only_a + only_b) * 100 <= 34 * all
    }
}
