//! Matching by meaning: which prompts may be matched (`eligible`), which near ones are not the same
//! after all (`guard`, `window`), texts as vectors (`embed`) by a model that lies in a folder
//! (`model`), and the look that brings them together (`matcher`). The first three are pure.

pub mod eligible;
pub mod embed;
pub mod guard;
pub mod matcher;
pub mod model;
pub mod window;
