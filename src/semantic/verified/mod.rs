//! The bar of a namespace, learned from judged look-ups: how near is near enough where a rate of wrong
//! hits is aimed at. Pure: it is told what was judged and asked what to do; who judges, and when, is
//! others' business. It never sees a word.
//!
//! Look-ups that end in a fresh answer although a candidate was near are judged for nothing. Of those
//! that would have been served a small share is sent upstream all the same and counts for all of them.
//! The bar is the lowest from which on the upper end of the interval around the weighted share of wrong
//! ones is below the aim. An entry that was seen to be wrong is served only where it is nearer than that,
//! or not at all; one that was confirmed may be a little farther.

mod same;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::Serialize;

pub use self::same::{Sameness, compare, normal, said};
use crate::label::{Judge, Label, Verdict};
use crate::names::{Name, TenantId};

/// What is nearer than this is a candidate, and judged where a fresh answer comes anyway.
pub const CANDIDATE_BP_MIN: u16 = 7_000;
/// No bar is lower, whatever was learned.
pub const BAR_BP_MIN: u16 = 7_500;
/// The aim where a policy names none.
pub const AIM_BP_DEFAULT: u16 = 200;

/// The bar while too little is known.
const BAR_BP_FIRST: u16 = 9_500;
/// The bar where even that was too low.
const BAR_BP_WARY: u16 = 9_900;
/// The first so many candidates from here on are all judged and none is served.
const SHADOWED_COUNT: u32 = 150;
const SHADOWED_BP_MIN: u16 = 8_500;
/// Of what would be served, one of so many is judged, and counts for all.
const SAMPLED_ONE_OF: u16 = 20;
/// A bar needs so many look-ups, weights considered, above it.
const JUDGED_MIN: f64 = 30.0;
/// How careful the bar is: one standard deviation.
const Z_BAR: f64 = 1.0;
/// How wide the interval is that people are shown: 95 of a hundred.
const Z_SHOWN: f64 = 1.96;
/// Entries remembered in one namespace, some fifty bytes each; the oldest make room.
const ENTRIES_MAX: usize = 4_096;

const BINS: usize = 101;

/// What is done with the best candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is served.
    Serve,
    /// It would be, but a fresh answer is heard and compared with it; this look-up counts for so many.
    Sample(u16),
    /// It is not near enough; what is made anew is compared with it.
    Miss,
}

/// What is known of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Too little, or the aim is refused.
    Unknown,
    /// From here on it is right often enough.
    Shown(u16),
    /// Not from the first bar on; of the nearest too little is known.
    Wary,
    /// Not even the nearest.
    Hopeless,
}

/// What was learned in one namespace.
#[derive(Clone, Debug)]
pub struct Learner {
    bins: [Bin; BINS],
    entries: HashMap<u64, Seen>,
    order: VecDeque<u64>,
    /// Candidates that could have been served, judged or not.
    met: u32,
    /// Look-ups that would be served, for choosing those that are judged.
    served: u64,
    judged: u64,
    judge: Compared,
}

/// Look-ups of one similarity.
#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    wrong: f64,
    all: f64,
    squares: f64,
}

/// What was seen of an entry.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    right: u32,
    wrong: u32,
    /// The nearest at which it was wrong.
    worst_bp: u16,
}

/// Fresh answers to questions that had one, compared with it: what the judge takes for different
/// though nothing was asked differently.
#[derive(Clone, Copy, Debug, Default)]
struct Compared {
    different: u32,
    all: u32,
}

/// What is known of one namespace, for people.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub namespace: Name,
    /// The rate of wrong hits that was aimed at last.
    pub target_wrong: f64,
    /// From where on a near answer is served; none: nowhere.
    pub bar: Option<f64>,
    /// Look-ups judged.
    pub judged: u64,
    /// The estimated share of wrong ones among what is served, with its interval of 95 %; none while
    /// nothing above the bar was judged.
    pub wrong_share: Option<[f64; 3]>,
    /// The share of equal questions whose two answers the judge took for different; none while fewer
    /// than thirty were compared.
    pub judge_error: Option<f64>,
    /// Whether the aim is below what the judge can tell: the bar is not learned then.
    pub refused: bool,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            bins: [Bin::default(); BINS],
            entries: HashMap::new(),
            order: VecDeque::new(),
            met: 0,
            served: 0,
            judged: 0,
            judge: Compared::default(),
        }
    }
}

impl Learner {
    /// Takes in what was said of a look-up.
    pub fn learn(&mut self, label: &Label) {
        let wrong = match label.verdict {
            Verdict::Right => false,
            Verdict::Wrong => true,
            // It was right once: that says nothing of the question.
            Verdict::Stale => return,
        };
        let Some(similarity_bp) = label.similarity_bp else {
            if label.judge == Judge::Node {
                self.judge.all = self.judge.all.saturating_add(1);
                self.judge.different += u32::from(wrong);
            }
            return;
        };
        self.judged += 1;
        let bin = &mut self.bins[usize::from(similarity_bp / 100).min(BINS - 1)];
        let weight = f64::from(label.weight);
        bin.all += weight;
        bin.squares += weight * weight;
        if wrong {
            bin.wrong += weight;
        }
        if let Some(entry) = label.entry {
            self.seen(entry, similarity_bp, wrong);
        }
    }

    /// The same from an earlier life, whose look-ups were met then.
    pub fn remember(&mut self, label: &Label) {
        if label.similarity_bp >= Some(SHADOWED_BP_MIN) && label.judge == Judge::Node {
            self.met = self.met.saturating_add(u32::from(label.weight));
        }
        self.learn(label);
    }

    fn seen(&mut self, entry: Key, similarity_bp: u16, wrong: bool) {
        let entry = short(entry);
        if !self.entries.contains_key(&entry) {
            self.order.push_back(entry);
            if self.order.len() > ENTRIES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        let seen = self.entries.entry(entry).or_default();
        if wrong {
            seen.wrong += 1;
            seen.worst_bp = seen.worst_bp.max(similarity_bp);
        } else {
            seen.right += 1;
        }
    }

    /// What is done with the best candidate of a look-up: an entry, how near it is, how near the policy
    /// and the caller want it at least, and the aim.
    pub fn decide(
        &mut self,
        entry: Key,
        similarity_bp: u16,
        least_bp: u16,
        aim_bp: u16,
    ) -> Decision {
        let bar = self.bar_of(entry, aim_bp);
        let near_enough = bar.is_some_and(|bar| similarity_bp >= bar.max(least_bp));
        if similarity_bp >= SHADOWED_BP_MIN {
            self.met = self.met.saturating_add(1);
        }
        if !near_enough {
            return Decision::Miss;
        }
        // At the wary bar, too, nothing is served on trust.
        if self.met <= SHADOWED_COUNT || self.standing(aim_bp) == Standing::Wary {
            return Decision::Sample(1);
        }
        self.served += 1;
        // Spread evenly whatever the rhythm of the traffic: multiples of the golden section.
        let spread = self.served.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        if spread < 65_536 / u64::from(SAMPLED_ONE_OF) {
            return Decision::Sample(SAMPLED_ONE_OF);
        }
        Decision::Serve
    }

    /// From where on this entry is served.
    pub fn bar_of(&self, entry: Key, aim_bp: u16) -> Option<u16> {
        let bar = self.bar(aim_bp)?;
        match self.entries.get(&short(entry)) {
            Some(seen) if seen.wrong > 0 => (seen.right > 2 * seen.wrong)
                .then_some(bar.max(seen.worst_bp.saturating_add(200)))
                .filter(|bar| *bar <= 10_000),
            Some(seen) if seen.right >= 2 => {
                let lower = 150 * seen.right.min(4) as u16;
                Some(bar.saturating_sub(lower).max(BAR_BP_MIN))
            }
            _ => Some(bar),
        }
    }

    /// From where on entries are served; nowhere where even the nearest are wrong too often.
    pub fn bar(&self, aim_bp: u16) -> Option<u16> {
        match self.standing(aim_bp) {
            Standing::Unknown => Some(BAR_BP_FIRST),
            Standing::Shown(bar) => Some(bar),
            Standing::Wary => Some(BAR_BP_WARY),
            Standing::Hopeless => None,
        }
    }

    fn standing(&self, aim_bp: u16) -> Standing {
        if self.is_refused(aim_bp) {
            return Standing::Unknown;
        }
        let aim = f64::from(aim_bp) / 10_000.0;
        let (mut above, mut lowest) = (Bin::default(), None);
        // Whether enough is known from the first bar on, and from the wary one.
        let (mut first, mut wary) = (false, false);
        for at in (usize::from(BAR_BP_MIN / 100)..BINS).rev() {
            above.add(&self.bins[at]);
            let Some(most) = above.most() else { continue };
            let bar = at as u16 * 100;
            // Not where nothing was ever judged.
            if most <= aim && self.bins[at].all > 0.0 {
                lowest = Some(bar);
            }
            wary |= bar >= BAR_BP_WARY;
            first |= bar >= BAR_BP_FIRST;
        }
        match (lowest, first, wary) {
            (Some(lowest), ..) => Standing::Shown(lowest),
            (None, false, _) => Standing::Unknown,
            (None, true, false) => Standing::Wary,
            (None, true, true) => Standing::Hopeless,
        }
    }

    /// Whether the judge errs more often than the aim allows: what it says cannot show that it is met.
    pub fn is_refused(&self, aim_bp: u16) -> bool {
        let aim = f64::from(aim_bp) / 10_000.0;
        self.judge_error().is_some_and(|error| error > aim)
    }

    fn judge_error(&self) -> Option<f64> {
        let Compared { different, all } = self.judge;
        (f64::from(all) >= JUDGED_MIN).then(|| f64::from(different) / f64::from(all))
    }

    /// What is known, for people.
    pub fn report(&self, tenant: TenantId, namespace: Name, aim_bp: u16) -> Report {
        let bar = self.bar(aim_bp);
        let mut above = Bin::default();
        let from = usize::from(bar.unwrap_or(BAR_BP_WARY) / 100);
        self.bins[from..].iter().for_each(|bin| above.add(bin));
        let share = (above.all > 0.0).then(|| {
            let (low, high) = wilson(above.share(), above.effective(), Z_SHOWN);
            [low, above.share(), high]
        });
        Report {
            tenant,
            namespace,
            target_wrong: f64::from(aim_bp) / 10_000.0,
            bar: bar.map(|bar| f64::from(bar) / 10_000.0),
            judged: self.judged,
            wrong_share: share,
            judge_error: self.judge_error(),
            refused: self.is_refused(aim_bp),
        }
    }
}

/// An entry's name here: keys are digests, and any stretch of one will do.
fn short(entry: Key) -> u64 {
    let mut stretch = [0; 8];
    stretch.copy_from_slice(&entry.0[..8]);
    u64::from_le_bytes(stretch)
}

impl Bin {
    fn add(&mut self, other: &Bin) {
        self.wrong += other.wrong;
        self.all += other.all;
        self.squares += other.squares;
    }

    fn share(&self) -> f64 {
        self.wrong / self.all
    }

    /// How many look-ups of equal weight would say as much.
    fn effective(&self) -> f64 {
        self.all * self.all / self.squares
    }

    /// The most that may well be wrong; nothing where too few were judged.
    fn most(&self) -> Option<f64> {
        (self.all > 0.0 && self.effective() >= JUDGED_MIN)
            .then(|| wilson(self.share(), self.effective(), Z_BAR).1)
    }
}

/// The interval of Wilson around a share of so many.
fn wilson(share: f64, count: f64, z: f64) -> (f64, f64) {
    let squared = z * z;
    let middle = share + squared / (2.0 * count);
    let half = z * (share * (1.0 - share) / count + squared / (4.0 * count * count)).sqrt();
    let whole = 1.0 + squared / count;
    (
        ((middle - half) / whole).max(0.0),
        ((middle + half) / whole).min(1.0),
    )
}
