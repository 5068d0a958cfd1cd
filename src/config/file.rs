//! The TOML file as a flat list of keys with their places. It knows how the file is laid out and
//! nothing of what the values mean; every error of the text is reported, not only the first.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::Mistake;

/// Bytes of a configuration file.
const FILE_BYTES_MAX: usize = 1 << 20;

/// One value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The keys that lead to it, the sections first.
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string, a whole number, a truth: as text.
    Text(String),
    List(Vec<String>),
    /// A section with nothing in it.
    Empty,
    /// What no key takes: a date, a fraction, a list of sections.
    Odd(&'static str),
}

impl Entry {
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }

    pub(super) fn mistake(&self, text: impl Into<String>) -> Mistake {
        Mistake {
            line: self.line,
            column: self.column,
            key: self.key(),
            text: text.into(),
        }
    }
}

/// All entries, and what is wrong with the text.
pub(super) fn read(text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    if text.len() > FILE_BYTES_MAX {
        let text = format!("the file is above {FILE_BYTES_MAX} bytes");
        return (
            Vec::new(),
            vec![Mistake {
                line: 1,
                column: 1,
                key: String::new(),
                text,
            }],
        );
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mistakes = errors.iter().map(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        Mistake {
            line,
            column,
            key: String::new(),
            text: format!("not TOML: {}", error.message()),
        }
    });
    let mut entries = Vec::new();
    flatten(text, table.get_ref(), &mut Vec::new(), &mut entries);
    entries.sort_by_key(|entry| (entry.line, entry.column));
    (entries, mistakes.collect())
}

fn flatten(text: &str, table: &DeTable<'_>, path: &mut Vec<String>, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(section) if !section.is_empty() => flatten(text, section, path, entries),
            plain => {
                let (line, column) = place(text, key.span().start);
                entries.push(Entry {
                    path: path.clone(),
                    value: read_value(plain),
                    line,
                    column,
                });
            }
        }
        path.pop();
    }
}

fn read_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Table(_) => Value::Empty,
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(Spanned::get_ref).map(text_of).collect();
            texts.map_or(
                Value::Odd("a list of anything but plain values"),
                Value::List,
            )
        }
        DeValue::Float(_) => Value::Odd("a fraction"),
        DeValue::Datetime(_) => Value::Odd("a date"),
        plain => text_of(plain).map_or(Value::Odd("a number that is not decimal"), Value::Text),
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Line and column, from 1, of a byte of the text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
