//! Names as a text column holds them. PostgreSQL's texts hold every character but U+0000, which a
//! caller may well put into a model's name: one such line must not stop all others for ever. It
//! changes nothing else.

use std::borrow::Cow;

/// Stands before what could not be said plainly: a character that no text means.
const MARK: char = '\u{10FFFF}';

/// A name as it is written.
pub(super) fn written(name: &str) -> Cow<'_, str> {
    if !name.contains(['\0', MARK]) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        match character {
            '\0' => text.extend([MARK, '0']),
            MARK => text.extend([MARK, '1']),
            plain => text.push(plain),
        }
    }
    Cow::Owned(text)
}

/// A name as it was given.
pub(super) fn read(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut name = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            MARK if rest.next() == Some('0') => name.push('\0'),
            plain => name.push(plain),
        }
    }
    Cow::Owned(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_and_no_two_are_written_alike() {
        let names = [
            "",
            "gpt-4o",
            "\0",
            "\0\0",
            "a\0b",
            "\u{10FFFF}",
            "\u{10FFFF}0",
            "\u{10FFFF}1",
            "\0\u{10FFFF}\0",
            "it's \u{1F980}",
        ];
        for name in names {
            let text = written(name);
            assert!(!text.contains('\0'), "{name:?}");
            assert_eq!(read(&text), name);
        }
        let written: std::collections::BTreeSet<_> = names.iter().map(|it| written(it)).collect();
        assert_eq!(written.len(), names.len());
    }
}
