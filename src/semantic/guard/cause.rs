//! Why a near answer is refused or held to be less near: a closed list of tokens, the same in the
//! header, the metric, `explain` and a policy's `guard: {off: [..]}`.

use std::fmt;

/// What differs between two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cause {
    /// A quantity, or the order of quantities.
    Number,
    /// What a thing is measured in.
    Unit,
    /// One side denies.
    Negation,
    /// A word and its opposite.
    Antonym,
    /// Two words of one kind: red, blue.
    Contrast,
    /// A weekday, month, season, part of the day, feast.
    Time,
    /// A time relative to now: last month, next month.
    Period,
    /// An address, path, flag, version, name in code or operator.
    Identifier,
    /// A text in quotation marks.
    Quote,
    /// A name.
    Entity,
    /// From and to, exchanged.
    Direction,
    /// Two words, exchanged.
    Order,
    /// What stands behind than, by, before, after.
    Role,
    /// Average, sum, most, least, first, last.
    Aggregate,
    /// Turn on, turn off.
    Particle,
    /// At least, at most, each, only.
    Quantifier,
    /// One rare word in the place of another.
    RareWord,
    /// One common word in the place of another.
    Word,
    /// Who, when, where, why, how many.
    Question,
    /// How many there are, and which ones.
    Count,
    /// And, or.
    Conjunction,
    /// Too long to be compared in full.
    Length,
}

impl Cause {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 22] = [
        Self::Number,
        Self::Unit,
        Self::Negation,
        Self::Antonym,
        Self::Contrast,
        Self::Time,
        Self::Period,
        Self::Identifier,
        Self::Quote,
        Self::Entity,
        Self::Direction,
        Self::Order,
        Self::Role,
        Self::Aggregate,
        Self::Particle,
        Self::Quantifier,
        Self::RareWord,
        Self::Word,
        Self::Question,
        Self::Count,
        Self::Conjunction,
        Self::Length,
    ];

    /// Its token: what follows `vetoed-` in a reason, and what a policy's `off` names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Negation => "negation",
            Self::Antonym => "antonym",
            Self::Contrast => "contrast",
            Self::Time => "time",
            Self::Period => "period",
            Self::Identifier => "identifier",
            Self::Quote => "quote",
            Self::Entity => "entity",
            Self::Direction => "direction",
            Self::Order => "order",
            Self::Role => "role",
            Self::Aggregate => "aggregate",
            Self::Particle => "particle",
            Self::Quantifier => "quantifier",
            Self::RareWord => "rare-word",
            Self::Word => "word",
            Self::Question => "question",
            Self::Count => "count",
            Self::Conjunction => "conjunction",
            Self::Length => "length",
        }
    }

    /// The cause that a token names.
    #[must_use]
    pub fn named(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == token)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u32);

impl Causes {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub fn insert(&mut self, cause: Cause) {
        self.0 |= 1 << cause as u8;
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(self, cause: Cause) -> bool {
        self.0 & (1 << cause as u8) != 0
    }

    /// Each of them once, in the order of [`Cause::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL
            .into_iter()
            .filter(move |cause| self.contains(*cause))
    }
}

impl FromIterator<Cause> for Causes {
    fn from_iter<I: IntoIterator<Item = Cause>>(causes: I) -> Self {
        let mut all = Self::NONE;
        causes.into_iter().for_each(|cause| all.insert(cause));
        all
    }
}
