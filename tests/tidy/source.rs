//! Reads the tree for the rules of `tidy.rs`: files, code without its comments and texts, and the
//! paths that code names. It knows no rule.

use std::fs;
use std::path::Path;

/// A file of the repository.
pub(crate) struct File {
    /// Where it lies, from the repository's root, with `/`.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
}

/// A path that code names, such as `crate::ledger::line::Line`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Counted from one.
    pub(crate) line: usize,
    /// Its parts.
    pub(crate) parts: Vec<String>,
}

/// Every readable file that is not ignored.
pub(crate) fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ignored = ignored(root);
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a readable folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a readable name");
            if ignored.contains(&name) {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The names that `.gitignore` leaves out, and git's own folder.
pub(crate) fn ignored(root: &Path) -> Vec<String> {
    let listed = fs::read_to_string(root.join(".gitignore")).expect(".gitignore");
    let names = listed.lines().map(|line| line.trim_matches('/').to_owned());
    names
        .chain([".git".to_owned()])
        .filter(|name| !name.is_empty())
        .collect()
}

impl File {
    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether all of it is for tests and benchmarks alone.
    pub(crate) fn is_test(&self) -> bool {
        let tests = ["tests/", "cluster/tests/"];
        tests.iter().any(|start| self.path.starts_with(start))
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// The first line, counted from one, that is for tests alone; past the end where none is.
    pub(crate) fn tests_begin(&self) -> usize {
        if self.is_test() {
            return 1;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let begin = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1] == "mod tests {";
        lines.windows(2).position(begin).unwrap_or(lines.len()) + 1
    }

    /// Its lines without comments and without what stands in texts.
    pub(crate) fn code(&self) -> Vec<String> {
        without_texts(&self.text)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Every path it names.
    pub(crate) fn named(&self) -> Vec<Named> {
        named(&without_texts(&self.text))
    }

    /// The modules that lead to it: `src/a/b/mod.rs` and `src/a/b.rs` are `a::b`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self
            .path
            .trim_start_matches("cluster/")
            .trim_start_matches("src/");
        let stem = inside.trim_end_matches(".rs");
        let parts = stem.split('/').map(str::to_owned);
        parts
            .filter(|part| part != "mod" && part != "lib")
            .collect()
    }
}

/// Blanks comments and the inside of texts; lines stay where they are.
pub(crate) fn without_texts(text: &str) -> String {
    let mut left: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < left.len() {
        let (inner, next) = match left[at] {
            '/' if left.get(at + 1) == Some(&'/') => (at, until(&left, at, |c| c == '\n')),
            '/' if left.get(at + 1) == Some(&'*') => (at, block_end(&left, at)),
            'r' if raw_hashes(&left, at).is_some() => {
                let hashes = raw_hashes(&left, at).unwrap_or(0);
                (at + hashes + 2, raw_end(&left, at + hashes + 2, hashes))
            }
            '"' => (at + 1, quoted_end(&left, at + 1, '"')),
            '\'' if is_char(&left, at) => (at + 1, quoted_end(&left, at + 1, '\'')),
            _ => {
                at += 1;
                continue;
            }
        };
        let end = next.min(left.len());
        for c in &mut left[inner.min(end)..end] {
            if *c != '\n' {
                *c = ' ';
            }
        }
        at = next.max(at) + 1;
    }
    left.into_iter().collect()
}

fn until(text: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..text.len())
        .find(|at| stop(text[*at]))
        .unwrap_or(text.len())
}

fn block_end(text: &[char], from: usize) -> usize {
    let ends = |at: &usize| text[*at] == '*' && text.get(at + 1) == Some(&'/');
    (from + 2..text.len())
        .find(ends)
        .map_or(text.len(), |at| at + 2)
}

/// How many hashes open the raw text that begins here, if one does.
fn raw_hashes(text: &[char], at: usize) -> Option<usize> {
    if at > 0 && is_word(text[at - 1]) && text[at - 1] != 'b' {
        return None;
    }
    let hashes = until(text, at + 1, |c| c != '#') - at - 1;
    (text.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_end(text: &[char], from: usize, hashes: usize) -> usize {
    let ends = |at: &usize| {
        let closing = text.get(at + 1..at + 1 + hashes);
        text[*at] == '"' && closing.is_some_and(|all| all.iter().all(|c| *c == '#'))
    };
    (from..text.len()).find(ends).unwrap_or(text.len())
}

fn quoted_end(text: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at
}

/// A character, and not a lifetime.
fn is_char(text: &[char], at: usize) -> bool {
    text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\'')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words, `::` and other signs of a code, each with its line.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if rest.starts_with("::") => 2,
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            found.push((number + 1, rest[..length].to_owned()));
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// Every path in a code, those inside the braces of a `use` spelled out.
pub(crate) fn named(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if starts_word(&tokens, at) {
            tree(&tokens, at, &[], &mut found)
        } else {
            at + 1
        };
    }
    found
}

fn starts_word(tokens: &[(usize, String)], at: usize) -> bool {
    tokens
        .get(at)
        .is_some_and(|(_, token)| token.starts_with(is_word))
}

fn is(tokens: &[(usize, String)], at: usize, sign: &str) -> bool {
    tokens.get(at).is_some_and(|(_, token)| token == sign)
}

/// Reads one path or use tree that begins at a word; gives the place behind it.
fn tree(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Named>,
) -> usize {
    let line = tokens[at].0;
    let mut parts = before.to_vec();
    parts.push(tokens[at].1.clone());
    at += 1;
    while is(tokens, at, "::") {
        if starts_word(tokens, at + 1) {
            parts.push(tokens[at + 1].1.clone());
            at += 2;
        } else if is(tokens, at + 1, "{") {
            return branches(tokens, at + 2, &parts, found);
        } else {
            at += 1;
        }
    }
    if parts.len() > 1 {
        found.push(Named { line, parts });
    }
    at
}

fn branches(
    tokens: &[(usize, String)],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Named>,
) -> usize {
    while at < tokens.len() && !is(tokens, at, "}") {
        at = if starts_word(tokens, at) {
            tree(tokens, at, before, found)
        } else {
            at + 1
        };
        if is(tokens, at, "as") {
            at += 2;
        }
    }
    at + 1
}
