//! Who may know whom: the tables. A room is a module, or a few that are one thing; what is not in
//! a table is not allowed, and an exception stands here with its reason.

use crate::source::{File, Named};

/// A room: what lies in it, and which other rooms it may name besides the core.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// Modules, as they begin; the longest that fits counts.
    pub(crate) modules: &'static [&'static str],
    pub(crate) sees: &'static [&'static str],
}

/// No effect, no clock, no runtime: what may be known by all.
pub(crate) const CORE: &str = "core";

/// Core rooms may use each other; a room sees itself.
pub(crate) const ROOMS: &[Room] = &[
    Room {
        name: CORE,
        modules: &[
            "answer",
            // points at which a build for tests can be made to panic; nothing in any other
            "faults",
            "job",
            "json",
            "key",
            "label",
            "ledger::line",
            "ledger::money",
            "ledger::price",
            "ledger::price_file",
            "ledger::samples",
            "ledger::statement",
            "ledger::totals",
            "mistake",
            "names",
            "openai",
            "policy",
            "problem",
            "rate",
            "registry",
            "semantic::eligible",
            "semantic::found",
            "semantic::guard",
            "semantic::verified",
            "semantic::window",
        ],
        sees: &[],
    },
    Room {
        name: "clock",
        modules: &["clock"],
        sees: &[],
    },
    Room {
        name: "random",
        modules: &["random"],
        sees: &[],
    },
    Room {
        name: "config",
        modules: &["config"],
        sees: &[],
    },
    Room {
        name: "metrics",
        modules: &["metrics"],
        sees: &[],
    },
    Room {
        name: "fuzz",
        modules: &["fuzz"],
        sees: &[],
    },
    Room {
        name: "mock",
        modules: &["mock"],
        sees: &[],
    },
    Room {
        name: "telemetry",
        modules: &["telemetry"],
        sees: &["config"],
    },
    Room {
        name: "provider",
        modules: &["provider"],
        sees: &[],
    },
    Room {
        name: "priority",
        modules: &["priority"],
        sees: &[],
    },
    Room {
        name: "semantic",
        modules: &["semantic"],
        // Its guard, eligibility and windows are of the core.
        sees: &["priority", "store"],
    },
    Room {
        name: "store",
        modules: &["store"],
        sees: &["postgres"],
    },
    // It makes connections and asks probes behind its callers' backs, so it has tasks of its own.
    Room {
        name: "postgres",
        modules: &["store::postgres"],
        sees: &["store"],
    },
    Room {
        name: "ledger",
        modules: &["ledger"],
        sees: &["store"],
    },
    Room {
        name: "settle",
        modules: &["settle"],
        sees: &["metrics", "ledger"],
    },
    Room {
        name: "filler",
        modules: &["filler"],
        sees: &["clock", "provider", "semantic", "store"],
    },
    Room {
        name: "feedback",
        modules: &["feedback"],
        sees: &["settle", "store"],
    },
    // Passing through has no owner and no flight: the edge itself goes upstream.
    Room {
        name: "gateway",
        modules: &["gateway"],
        sees: &["provider", "settle"],
    },
    Room {
        name: "http",
        modules: &["http"],
        sees: &[
            "clock", "feedback", "gateway", "metrics", "random", "settle",
        ],
    },
    // Reads what is kept and what was billed, and nothing of it on a caller's path.
    Room {
        name: "admin",
        modules: &["http::admin"],
        sees: &[
            "feedback", "gateway", "http", "ledger", "metrics", "random", "settle", "store",
        ],
    },
    Room {
        name: "node",
        modules: &["node"],
        sees: &[
            "admin", "clock", "config", "feedback", "filler", "gateway", "http", "ledger",
            "metrics", "priority", "provider", "random", "semantic", "settle", "store",
        ],
    },
    Room {
        name: "cli",
        modules: &["cli"],
        sees: &["clock", "config", "mock", "node", "semantic", "telemetry"],
    },
    Room {
        name: "main",
        modules: &["main"],
        sees: &["cli"],
    },
];

/// (file, room, reason): what breaks the table above and stays for now.
pub(crate) const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "src/http/mod.rs",
        "admin",
        "a room's door names the room behind it",
    ),
    (
        "src/store/contract/ledger.rs",
        "ledger",
        "the suite reads a month as statements do: page by page",
    ),
    (
        "src/http/passthrough.rs",
        "provider",
        "what broke while passing through is worded where it is heard",
    ),
];

/// Rooms that may name only the plain types of `fgy_cluster`: data, and no one who acts.
pub(crate) const PLAIN_ONLY: &[&str] = &[
    CORE, "clock", "config", "ledger", "metrics", "mock", "provider", "random", "store",
];

/// The plain types.
pub(crate) const PLAIN: &[&str] = &[
    "Credential",
    "Fault",
    "Frame",
    "HeardBy",
    "Key",
    "Malformed",
    "NodeId",
    "NotAKey",
    "Refusal",
    "Sealed",
    "Secret",
    "State",
    "Terms",
];

/// Parts of the standard library that act on the world: not for the core.
pub(crate) const EFFECTS: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread", "time"];

/// (file, part, reason).
pub(crate) const EFFECT_EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// The room that a module path lies in.
fn room(module: &[String]) -> Option<&'static Room> {
    let path = module.join("::");
    let fits = |start: &str| path == start || path.starts_with(&format!("{start}::"));
    let longest = |room: &&Room| {
        room.modules
            .iter()
            .filter(|start| fits(start))
            .map(|start| start.len())
            .max()
    };
    ROOMS
        .iter()
        .filter(|room| longest(room).is_some())
        .max_by_key(longest)
}

/// The module path behind `crate::`, `self::`, `super::`, or nothing where the path leads outside.
fn inside(file: &File, parts: &[String]) -> Option<Vec<String>> {
    let mut module = file.module();
    match parts[0].as_str() {
        "crate" | "fgy" => return Some(parts[1..].to_vec()),
        "self" | "super" => {}
        _ => return None,
    }
    for part in parts {
        match part.as_str() {
            "self" => {}
            "super" => {
                module.pop();
            }
            other => module.push(other.to_owned()),
        }
    }
    Some(module)
}

fn product(file: &File) -> Vec<Named> {
    let end = file.tests_begin();
    file.named()
        .into_iter()
        .filter(|named| named.line < end)
        .collect()
}

/// What a file of the root package names beyond its room's neighbours.
pub(crate) fn strangers(file: &File) -> Vec<String> {
    let Some(own) = room(&file.module()) else {
        return vec![format!("{}:1: lies in no room of ROOMS", file.path)];
    };
    let mut found = Vec::new();
    for Named { line, parts } in product(file) {
        let place = format!("{}:{line}: {}", file.path, parts.join("::"));
        let core_effect = own.name == CORE
            && parts[0] == "std"
            && EFFECTS.contains(&parts[1].as_str())
            && !EFFECT_EXCEPTIONS
                .iter()
                .any(|e| (e.0, e.1) == (&file.path, &parts[1]));
        if core_effect {
            found.push(format!("{place}: the core has no effects"));
        }
        if parts[0] == "fgy_cluster"
            && PLAIN_ONLY.contains(&own.name)
            && !PLAIN.contains(&parts[1].as_str())
        {
            found.push(format!("{place}: {} may name plain types only", own.name));
        }
        let Some(other) = inside(file, &parts).as_deref().and_then(room) else {
            continue;
        };
        let known = other.name == CORE || other.name == own.name || own.sees.contains(&other.name);
        let excepted = |e: &(&str, &str, &str)| (e.0, e.1) == (file.path.as_str(), other.name);
        if !known && !EXCEPTIONS.iter().any(excepted) {
            found.push(format!("{place}: {} does not see {}", own.name, other.name));
        }
    }
    found
}
