//! What a tenant's callers may be served from the cache: policies as data, how one is chosen, and
//! the pure decision that turns policy, request and the caller's own wishes into a plan. Nothing
//! here does anything; a plan travels and others act on it.

mod decide;
mod decimal;
mod directives;
mod file;
mod glob;
mod plan;
mod select;
mod yaml;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::decide::{Facts, decide};
pub use self::directives::{Directives, Unreadable};
pub use self::file::parse;
pub use self::glob::Glob;
pub use self::plan::{CachePlan, Keep, Plan, Reason};
pub use self::select::{Asked, Shadow, select, shadows};
use crate::names::{Name, TenantId};
use crate::semantic::verified::{AIM_BP_DEFAULT, BAR_BP_MIN};

/// How long an answer is kept where no policy says otherwise.
pub const TTL_SECONDS_DEFAULT: u32 = 3_600;
/// The longest life a policy may give: a year and a day.
pub const TTL_SECONDS_MAX: u32 = 366 * 86_400;

/// What applies where no policy does.
pub static DEFAULT: LazyLock<Policy> = LazyLock::new(Policy::default);

/// One policy, as it stands in the registry. Thresholds are basis points, so that policies can be
/// compared and written down without loss.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// What people call it; `""` for the built-in one.
    pub name: Name,
    /// Which paths it governs.
    pub kind: Kind,
    /// Whether it caches.
    pub enabled: Enabled,
    /// For these agents; empty: all.
    pub agents: Vec<Name>,
    /// For these models; empty: all.
    pub models: Vec<Glob>,
    /// For these tenants; empty: all.
    pub tenants: Vec<TenantId>,
    /// For these request paths; empty: all.
    pub paths: Vec<Glob>,
    /// For last user messages like these, letters of either case; empty: all.
    pub prompts: Vec<Glob>,
    /// How it caches.
    pub config: Config,
}

/// Which look-ups a policy governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Exact, and by meaning.
    #[default]
    SemanticCache,
    /// Exact alone.
    ExactCache,
}

/// Whether a policy caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enabled {
    /// It does.
    #[default]
    Yes,
    /// It does not: no look, no store, no coalescing.
    No,
    /// Only for a request that says so.
    OnRequest,
}

/// How a policy caches: the keys of the `config` section. Those that concern look-ups by meaning
/// are carried as data and judged where meanings are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// How near a near answer must be, as a word.
    pub profile: Profile,
    /// The same as a number, instead of the profile's, in basis points.
    pub similarity_basis_points: Option<u16>,
    /// How long an answer is kept.
    pub ttl_seconds: u32,
    /// Entries kept for this policy and one tenant; `None`: as many as the store takes.
    pub max_entries: Option<u64>,
    /// Who shares an answer.
    pub scope: Scope,
    /// A partition; `""`: none.
    pub namespace: Name,
    /// Across what answers are shared.
    pub share: Share,
    /// The longest last user message that is matched by meaning.
    pub max_prompt_tokens: Option<u32>,
    /// The similarity asked of long messages, in basis points.
    pub long_prompt_basis_points: Option<u16>,
    /// The highest stated temperature at which meanings are matched, in thousandths.
    pub max_temperature_milli: Option<u16>,
    /// What refuses a near answer.
    pub guard: Guard,
    /// Languages matched by meaning; empty: those the model covers.
    pub languages: Vec<Name>,
    /// The rate of wrong hits aimed at (profile `verified`), in basis points.
    pub target_wrong_basis_points: Option<u16>,
    /// How far identical requests are brought together.
    pub coalesce_scope: CoalesceScope,
    /// What becomes of a call nobody listens to any more.
    pub on_abandon: OnAbandon,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            similarity_basis_points: None,
            ttl_seconds: TTL_SECONDS_DEFAULT,
            max_entries: None,
            scope: Scope::default(),
            namespace: Name::default(),
            share: Share::default(),
            max_prompt_tokens: None,
            long_prompt_basis_points: None,
            max_temperature_milli: None,
            guard: Guard::default(),
            languages: Vec::new(),
            target_wrong_basis_points: None,
            coalesce_scope: CoalesceScope::default(),
            on_abandon: OnAbandon::default(),
        }
    }
}

impl Config {
    /// The highest stated temperature at which meanings are matched.
    #[must_use]
    pub fn temperature_max(&self) -> f64 {
        let strict = self.profile == Profile::Strict;
        let milli = self
            .max_temperature_milli
            .unwrap_or(if strict { 300 } else { 1_000 });
        f64::from(milli) / 1_000.0
    }

    /// The rate of wrong hits aimed at, where the bar is learned.
    #[must_use]
    pub fn aim(&self) -> Option<u16> {
        let aim = self.target_wrong_basis_points.unwrap_or(AIM_BP_DEFAULT);
        (self.profile == Profile::Verified).then_some(aim)
    }

    /// The similarity a near answer must reach, in basis points; 10,000 admits no near answer.
    #[must_use]
    pub fn similarity_min(&self) -> u16 {
        self.similarity_basis_points.unwrap_or(match self.profile {
            Profile::Strict => 9_500,
            Profile::Safe => 9_200,
            // The lowest it may ever learn; what holds is learned where answers are made.
            Profile::Verified => BAR_BP_MIN,
            Profile::Balanced => 8_800,
            Profile::Aggressive => 8_500,
        })
    }
}

/// How near a near answer must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// 0.95
    Strict,
    /// 0.92
    #[default]
    Safe,
    /// 0.88
    Balanced,
    /// 0.85
    Aggressive,
    /// Learned from judged look-ups, for each namespace and entry.
    Verified,
}

/// Who shares an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The tenant, but a personal prompt only with its own end user.
    #[default]
    Auto,
    /// The end user alone.
    User,
    /// The tenant, whatever the prompt says.
    Tenant,
}

/// Across what answers are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Share {
    /// Across models.
    pub models: bool,
    /// Across agents.
    pub agents: bool,
}

/// What refuses a near answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Guard {
    /// Guards not asked.
    pub off: Vec<Name>,
    /// Words that must not be taken for one another.
    pub antonyms: Vec<Vec<Name>>,
    /// Names that must agree.
    pub entities: Vec<Name>,
    /// Words that mean the same.
    pub synonyms: Vec<Vec<Name>>,
}

/// How far identical requests are brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoalesceScope {
    /// Over all regions.
    #[default]
    Global,
    /// In the region where they arrive.
    Region,
}

/// What becomes of a call nobody listens to any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAbandon {
    /// It is finished and kept.
    #[default]
    Finish,
    /// It is broken off.
    Cancel,
}
