//! The stories, one binary, a module each.

mod corpus;
