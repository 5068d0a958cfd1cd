//! Goal: what a fuzzer or a hand once found stays found. Method: every saved input is run through
//! the checks of its fuzz target; the inputs that this suite is proud of must be among them.

use std::fs;
use std::path::{Path, PathBuf};

/// The saved inputs of a target, by name.
fn saved(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let listed = fs::read_dir(&folder).expect("the corpus is part of the repository");
    let mut inputs: Vec<PathBuf> = listed
        .map(|entry| entry.expect("an entry").path())
        .collect();
    inputs.sort();
    inputs
}

fn replay(target: &str, check: fn(&[u8]), must_have: &[&str]) {
    let inputs = saved(target);
    for name in must_have {
        assert!(
            inputs.iter().any(|path| path.ends_with(name)),
            "{target}/{name} is gone"
        );
    }
    for path in inputs {
        // A failed check names its input by this line, which the test prints only then.
        println!("{}", path.display());
        check(&fs::read(&path).expect("a readable input"));
    }
}

#[test]
fn saved_requests_hold() {
    let proud = [
        "deep-10000.json",
        "lone-surrogate.json",
        "duplicate-key.json",
        "huge-numbers.json",
    ];
    replay("request", fgy::fuzz::request, &proud);
}

#[test]
fn saved_streams_hold() {
    replay(
        "sse",
        fgy::fuzz::sse,
        &[
            "line-ends-mixed.txt",
            "usage-everywhere.txt",
            "too-long.txt",
        ],
    );
}
