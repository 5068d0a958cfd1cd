//! The house rules that a compiler does not check: who may know whom, one home per outside crate,
//! what a file must and must not hold. Reads the sources as text; each test prints every place
//! that breaks its rule. The tables, and the exceptions with their reasons, are in `tidy/`.
#![allow(
    clippy::expect_used,
    reason = "a test ends where its ground is missing"
)]

#[path = "tidy/homes.rs"]
mod homes;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use layers::{ROOMS, strangers};
use source::{File, files, named, without_texts};

/// The Rust files; fails where there are suspiciously few.
fn rust() -> Vec<File> {
    let all: Vec<File> = files().into_iter().filter(File::is_rust).collect();
    assert!(all.len() > 100, "only {} files were found", all.len());
    all
}

/// Fails with every violation.
fn none(rule: &str, violations: &[String]) {
    let count = violations.len();
    assert!(
        violations.is_empty(),
        "{rule}: {count} violations\n{}",
        violations.join("\n")
    );
}

fn excepted(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(file, _)| *file == path)
}

#[test]
fn rooms_see_only_their_neighbours() {
    let sources: Vec<File> = rust()
        .into_iter()
        .filter(|file| file.path.starts_with("src/"))
        .collect();
    let product = sources
        .iter()
        .filter(|file| !file.is_test() && file.path != "src/lib.rs");
    let found: Vec<String> = product.flat_map(strangers).collect();
    none("layers", &found);
    let missing: Vec<String> = ROOMS
        .iter()
        .flat_map(|room| room.modules)
        .filter(|module| {
            !sources
                .iter()
                .any(|file| file.module().join("::") == **module)
        })
        .map(|module| format!("tests/tidy/layers.rs: no module is called {module}"))
        .collect();
    none("rooms", &missing);
}

#[test]
fn the_cluster_knows_nothing_of_the_product() {
    let mut found = Vec::new();
    for file in rust()
        .iter()
        .filter(|file| file.path.starts_with("cluster/"))
    {
        let fgy = file
            .named()
            .into_iter()
            .filter(|named| named.parts[0] == "fgy");
        found.extend(fgy.map(|named| format!("{}:{}: names fgy", file.path, named.line)));
    }
    none("cluster", &found);
    let cluster = dependencies("cluster/Cargo.toml");
    assert!(cluster.contains("tokio") && !cluster.contains("fgy"));
}

/// What judges the product from outside shares no code with it.
#[test]
fn the_judge_knows_nothing_of_the_product() {
    let ours = |name: &str| name.starts_with("fgy");
    let named = rust()
        .iter()
        .filter(|file| file.path.starts_with("jepsen-lite/"))
        .flat_map(|file| {
            let named = file.named().into_iter();
            let fgy = named.filter(|named| ours(&named.parts[0]));
            fgy.map(|named| format!("{}:{}: names fgy", file.path, named.line))
                .collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    none("judge", &named);
    let judge = dependencies("jepsen-lite/Cargo.toml");
    assert!(judge.contains("tokio") && !judge.iter().any(|name| ours(name)));
}

/// The direct dependencies of a package, of all kinds.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
    let text = std::fs::read_to_string(path).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("TOML");
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

fn all_dependencies() -> BTreeSet<String> {
    let mut all = dependencies("Cargo.toml");
    all.extend(dependencies("cluster/Cargo.toml"));
    all.extend(dependencies("jepsen-lite/Cargo.toml"));
    all.extend(dependencies("src/semantic/minilm/Cargo.toml"));
    all
}

#[test]
fn every_outside_crate_has_one_home() {
    let mut found = Vec::new();
    let (files, all) = (rust(), all_dependencies());
    let paths: Vec<_> = files
        .iter()
        .map(|file| (file.path.as_str(), file.named()))
        .collect();
    let known: BTreeSet<&str> = homes::HOMES.iter().map(|home| home.0).collect();
    for name in &all {
        if !known.contains(name.as_str()) {
            found.push(format!(
                "Cargo.toml: {name} has no row in tests/tidy/homes.rs"
            ));
        }
    }
    for (name, homes) in homes::HOMES {
        if !all.contains(*name) {
            found.push(format!("tests/tidy/homes.rs: {name} is no dependency"));
        }
        let word = name.replace('-', "_");
        let mut lived_in = BTreeSet::new();
        for (path, named) in &paths {
            for named in named.iter().filter(|named| named.parts[0] == word) {
                match homes.iter().find(|home| path.starts_with(**home)) {
                    Some(home) => drop(lived_in.insert(*home)),
                    None => found.push(format!("{path}:{}: names {name}", named.line)),
                }
            }
        }
        let empty = homes
            .iter()
            .filter(|home| !lived_in.contains(**home) && **home != "tests/");
        found.extend(empty.map(|home| format!("tests/tidy/homes.rs: {name} is not in {home}")));
    }
    none("homes", &found);
}

#[test]
fn every_file_says_what_it_is_for() {
    let opens = |file: &File| {
        let text = file.text.trim_start_matches("#![no_main]\n");
        text.starts_with("//!") || text.starts_with("#![doc = include_str!(")
    };
    let silent: Vec<String> = rust()
        .iter()
        .filter(|file| !opens(file))
        .map(|file| format!("{}:1: opens without //!", file.path))
        .collect();
    none("openings", &silent);
}

/// Why a line of code may not stand, if it may not.
fn unwanted(file: &File, line: usize, code: &str) -> Option<&'static str> {
    let test = line >= file.tests_begin();
    let has = |word: &str| code.contains(word);
    let noun = ["Manager", "Helper", "Util", "Utils", "Service", "Context"];
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    let kind = words
        .by_ref()
        .any(|word| ["struct", "enum", "trait", "type"].contains(&word));
    let name = if kind {
        words.next().unwrap_or_default()
    } else {
        ""
    };
    match () {
        () if has("todo!(") || has("unimplemented!(") => Some("is not done"),
        () if has("dbg!(") => Some("is left from a search"),
        () if has("#[ignore") && !excepted(tree::IGNORED, &file.path) => Some("is passed over"),
        () if test && has("sleep(") && !excepted(tree::SLEEPS, &file.path) => {
            Some("sleeps and hopes: wait for a condition, with a bound")
        }
        () if noun.iter().any(|end| name.ends_with(end)) => Some("is a name that says nothing"),
        () => None,
    }
}

fn unwanted_in(file: &File) -> Vec<String> {
    let lines = file.code().into_iter().enumerate();
    let found = lines.filter_map(|(at, code)| Some((at + 1, unwanted(file, at + 1, &code)?)));
    found
        .map(|(line, why)| format!("{}:{line}: {why}", file.path))
        .collect()
}

#[test]
fn nothing_is_left_lying_about() {
    let found: Vec<String> = rust().iter().flat_map(unwanted_in).collect();
    none("leftovers", &found);
}

#[test]
fn what_the_card_names_is_used() {
    let all = all_dependencies();
    let missing = tree::CARD.iter().filter(|name| !all.contains(**name));
    none(
        "card",
        &missing
            .map(|name| format!("Cargo.toml: {name} is missing"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_top_level_is_the_cards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = source::ignored(root);
    let entries = std::fs::read_dir(root).expect("the root");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name")
    });
    let visible: Vec<String> = names
        .filter(|name| !name.starts_with('.') && !ignored.contains(name))
        .collect();
    assert!(visible.iter().any(|name| name == "Cargo.toml"));
    let found = visible
        .iter()
        .filter(|name| !tree::TOP.contains(&name.as_str()));
    none(
        "top level",
        &found
            .map(|name| format!("{name}: is not on the card"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_method_of_a_store_is_in_the_contract() {
    let files = rust();
    let text = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .expect("the store's traits")
    };
    let contract: String = files
        .iter()
        .filter(|file| file.path.starts_with("src/store/contract/"))
        .flat_map(File::code)
        .collect();
    let (mut of, mut found, mut seen) = (String::new(), Vec::new(), 0);
    for (at, line) in text("src/store/mod.rs").code().iter().enumerate() {
        if let Some(rest) = line.strip_prefix("pub trait ") {
            of = rest.split(':').next().unwrap_or_default().to_owned();
        } else if line == "}" {
            of.clear();
        } else if let (false, Some(rest)) = (of.is_empty(), line.trim().strip_prefix("fn ")) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            seen += 1;
            if !contract.contains(&format!(".{name}(")) {
                found.push(format!(
                    "src/store/mod.rs:{}: {of}::{name} is in no contract",
                    at + 1
                ));
            }
        }
    }
    assert!(seen >= 12, "only {seen} methods were found");
    none("contract", &found);
}

/// The hosts that a line names in addresses.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://").skip(1).map(|rest| {
        let host = |c: char| !(c.is_alphanumeric() || c == '.' || c == '-');
        rest.split(host).next().unwrap_or_default()
    })
}

/// What looks like a secret that works somewhere.
fn is_secret(word: &str) -> bool {
    let long = |start: &str| {
        word.strip_prefix(start).is_some_and(|rest| {
            rest.len() >= 20
                && rest.chars().all(|c| c.is_alphanumeric())
                && rest.chars().any(|c| c.is_ascii_digit())
        })
    };
    ["sk-", "ghp_", "gho_", "AKIA", "xoxb-", "npm_", "hf_"]
        .iter()
        .any(|start| long(start))
}

#[test]
fn nothing_of_anybodys_machine_is_in_the_tree() {
    let mut found = Vec::new();
    for file in files()
        .iter()
        .filter(|file| !file.path.starts_with("tests/fuzz/corpus/"))
    {
        for (at, line) in file.text.lines().enumerate() {
            let mut tell = |what: &str| found.push(format!("{}:{}: {what}", file.path, at + 1));
            let home = ["/root/", "/home/", "/Users/"]
                .iter()
                .any(|start| line.contains(start));
            if home && !excepted(tree::PATHS, &file.path) {
                tell("names a home folder");
            }
            let web = hosts(line).filter(|_| line.contains("http"));
            for host in web.filter(|host| !host.is_empty() && !tree::HOSTS.contains(host)) {
                tell(&format!("names the host {host}"));
            }
            let words = line.split(|c: char| c.is_whitespace() || "\"'`=,;()".contains(c));
            if words.into_iter().any(is_secret)
                || line.contains("PRIVATE KEY-----") && !line.contains("contains(")
            {
                tell("holds what looks like a secret");
            }
        }
    }
    none("machines", &found);
}

/// The rules see what they are made to see: planted violations are found, and nothing else.
#[test]
fn the_eyes_are_open() {
    let planted = |path: &str, text: &str| File {
        path: path.into(),
        text: text.into(),
    };
    let text = "//! use crate::http::x;\nuse crate::{http::Server, json::{self, Canonical}};\n\
        const A: &str = \"crate::store::x\"; // crate::store\nuse std::{fmt, fs};\n\
        fn f<'a>(c: char) { super::super::node::go(c == '\"'); fgy_cluster::Tasks::new() }\n\
        const B: &str = r#\"todo!( \" crate::cli::x \"#;\nstruct CacheManager;\n\
        #[cfg(test)]\nmod tests {\nuse crate::node::Node; fn t() { sleep(1); todo!() }\n}\n";
    let lines = |found: &[String]| -> Vec<usize> {
        found
            .iter()
            .map(|v| {
                v.split(':')
                    .nth(1)
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(0)
            })
            .collect()
    };
    let file = planted("src/openai/normal.rs", text);
    assert_eq!(
        lines(&strangers(&file)),
        [2, 4, 5, 5],
        "{:?}",
        strangers(&file)
    );
    assert_eq!(
        lines(&unwanted_in(&file)),
        [7, 10],
        "{:?}",
        unwanted_in(&file)
    );
    assert_eq!(strangers(&planted("src/elsewhere.rs", "//! x\n")).len(), 1);
    let paths = named(&without_texts("use a::{b::{c as d, e}, f::*};"));
    let told: Vec<String> = paths.iter().map(|named| named.parts.join("::")).collect();
    assert_eq!(told, ["a::b::c", "a::b::e", "a::f"]);
    assert_eq!(
        hosts("see HTTPS://mirror.example:8/x HTTP://b").collect::<Vec<_>>(),
        ["mirror.example", "b"]
    );
    assert!(is_secret(&format!("sk-{}", "a1".repeat(12))) && !is_secret("sk-litellm-test-key"));
}
