//! Matching by meaning: which prompts may be matched (`eligible`), which near ones are not the same
//! after all (`guard`, `window`), texts as vectors (`embed`) by a model that lies in a folder
//! (`model`), and the look that brings them together (`matcher`), with what it gives (`found`); and
//! the bar that is learned (`verified`). The first three and the last two are pure.

pub mod eligible;
pub mod embed;
pub mod found;
pub mod guard;
pub mod matcher;
pub mod model;
pub mod verified;
pub mod window;
