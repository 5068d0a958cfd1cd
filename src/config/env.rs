//! The environment, read once and in this file alone; everyone else is handed what it found. A
//! test hands in a map.

use std::collections::BTreeMap;

use super::args::VARIABLES;
use crate::mistake::nearest;

/// Variables that others of fgy's parts read: the command line, the model, the tests.
const ELSEWHERE: &[&str] = &["FGY_ADMIN_URL", "FGY_MODEL_URL", "FGY_TEST_POSTGRES_URL"];

/// What Fly.io sets on its machines, and what it stands in for.
const PLATFORM: &[(&str, &str)] = &[
    ("advertise", "FLY_PRIVATE_IP"),
    ("node_id", "FLY_MACHINE_ID"),
    ("region", "FLY_REGION"),
];

/// The environment of the process, or of a test.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own. What is not UTF-8 is not fgy's.
    #[must_use]
    pub fn of_process() -> Self {
        let pairs = std::env::vars_os();
        Self(
            pairs
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value of a variable, if it is set to anything.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The variables of the table that are set: key, name and text.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        VARIABLES
            .iter()
            .filter_map(|(key, name)| Some((*key, *name, self.get(name)?)))
    }

    /// What the platform says where nobody else does.
    pub(super) fn platform(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        PLATFORM
            .iter()
            .filter_map(|(key, name)| Some((*key, *name, self.get(name)?)))
    }

    /// One warning for every `FGY_*` variable nobody knows.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let known = || {
            VARIABLES
                .iter()
                .map(|(_, name)| *name)
                .chain(ELSEWHERE.iter().copied())
        };
        let set = self.0.keys().filter(|name| name.starts_with("FGY_"));
        let unknown = set.filter(|name| !known().any(|k| k == name.as_str()));
        let warn = |name: &String| match nearest(name, known()) {
            Some(meant) => format!("{name} is unknown, did you mean {meant}"),
            None => format!("{name} is unknown and has no effect"),
        };
        unknown.map(warn).collect()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }
}

/// Names alone: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.keys().filter(|name| name.starts_with("FGY_")))
            .finish()
    }
}
