//! What can be agreed on: a value, commands, and a pure function from one to the next. It never
//! reads a clock, draws a random number or touches a file: whatever a command needs of these
//! travels in the command, so that every replica that applies it comes to the same state.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A replicated state machine.
pub trait State: Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static {
    /// The version of the serialised form. Raised when an older program would misread it; a file
    /// with a higher one is refused, never guessed at.
    const FORMAT: u32;

    /// What may be proposed. Append-only: a command once released is understood for ever.
    type Command: Serialize + DeserializeOwned + Send + 'static;

    /// What a command came to, refusals included. It is told to the node that proposed, and kept
    /// for a while, so it travels in the same evolvable form as commands do.
    type Outcome: Serialize + DeserializeOwned + Send + 'static;

    /// Applies the command that stands at `index` in the order: deterministic, total, without
    /// effects. A refused command leaves `self` as it was.
    fn apply(&mut self, index: u64, command: Self::Command) -> Self::Outcome;
}
