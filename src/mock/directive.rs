//! Directives inside prompts: `[[mock latency_ms=200 text="hello there" hang=true]]`. A header
//! cannot steer one call through a cache, a prompt can. Pure text to settings, nothing else.

use super::behaviour::{Behaviour, Unreadable};

/// What every directive begins with.
pub(super) const OPEN: &str = "[[mock ";
const CLOSE: &str = "]]";

/// Lays the last directive of `prompt`, if any, over `behaviour`. A value with blanks or `]]` is
/// written in double quotes, with `\"`, `\\` and `\n` inside.
pub(super) fn apply(prompt: &str, behaviour: &mut Behaviour) -> Result<(), Unreadable> {
    let Some(start) = prompt.rfind(OPEN) else {
        return Ok(());
    };
    let mut rest = &prompt[start + OPEN.len()..];
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(CLOSE) {
            return Ok(());
        }
        let Some((name, after)) = rest.split_once('=') else {
            return Ok(());
        };
        let (value, after) = value(after);
        behaviour.set(name, &value)?;
        rest = after;
    }
}

/// Splits a value off the front: quoted, or up to a blank or the close.
fn value(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"') {
        return unquote(quoted);
    }
    let blank = text.find(char::is_whitespace).unwrap_or(text.len());
    let end = text.find(CLOSE).unwrap_or(text.len()).min(blank);
    (text[..end].to_owned(), &text[end..])
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_found_and_laid_over() {
        #[rustfmt::skip]
        let table = [
            ("no directive",                                        8, None),
            ("[[mock chunks=3]]",                                   3, None),
            ("Hi [[mock chunks=3 text=yes]] there",                 3, Some("yes")),
            ("[[mock chunks=3]] then [[mock text=last]]",           8, Some("last")),
            (r#"[[mock text="{\"a\": [[1]]}" chunks=2]]"#,          2, Some(r#"{"a": [[1]]}"#)),
            (r#"[[mock text="two\nlines" chunks=5 ]]"#,             5, Some("two\nlines")),
            ("[[mock chunks=4",                                     4, None),
            (r#"[[mock text="never closed"#,                        8, Some("never closed")),
        ];
        for (prompt, chunks, text) in table {
            let mut behaviour = Behaviour::default();
            apply(prompt, &mut behaviour).unwrap();
            assert_eq!(
                (behaviour.chunks, behaviour.text.as_deref()),
                (chunks, text),
                "{prompt}"
            );
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_not_a_guess() {
        let error = apply("[[mock speed=9]]", &mut Behaviour::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no setting is called 'speed', see --help"
        );
    }
}
