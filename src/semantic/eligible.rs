//! Which prompts may be matched by meaning, and with whose answers: what can be told from the last
//! user message alone. Personal ones are their end user's; volatile ones grow old in a minute;
//! those in a language the model does not cover are matched exactly or not at all. Says what a
//! prompt is; what follows from it is the policy's to decide.

mod language;
mod lexicon;
mod personal;
mod volatile;

pub use self::language::{is_covered, is_in};
pub use self::personal::is_personal;
pub use self::volatile::is_volatile;
