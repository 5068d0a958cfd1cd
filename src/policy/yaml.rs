//! YAML as a tree of texts with their places, and nothing cleverer: no anchors, no tags, no guess
//! at types. What a text means is decided by whoever reads the key it stands under, so `no` is a
//! name where a name is wanted. Size, depth and number of nodes are bounded.

use saphyr_parser::{Event, Parser, Span};

use crate::mistake::Mistake;

/// Bytes of a policy file.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Lists within sections within lists; the deepest policy needs seven.
const DEPTH_MAX: usize = 16;
/// Texts, lists and sections in a file.
const NODES_MAX: usize = 200_000;

/// A part of the file and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    List(Vec<Node>),
    Section(Vec<(Node, Node)>),
}

impl Node {
    /// A mistake at this place.
    pub(super) fn mistake(&self, key: &str, text: impl Into<String>) -> Mistake {
        Mistake {
            line: self.line,
            column: self.column,
            key: key.to_owned(),
            text: text.into(),
        }
    }
}

/// The file's one document; `None`: the file says nothing.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    if text.len() > FILE_BYTES_MAX {
        let text = format!("the file is above {FILE_BYTES_MAX} bytes; split it");
        return Err(Mistake {
            line: 1,
            column: 1,
            key: String::new(),
            text,
        });
    }
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            mistake(
                at.line(),
                at.col() + 1,
                format!("not YAML: {}", error.info()),
            )
        })?;
        tree.take(event, span)?;
    }
    Ok(tree.root)
}

fn mistake(line: usize, column: usize, text: impl Into<String>) -> Mistake {
    Mistake {
        line,
        column,
        key: String::new(),
        text: text.into(),
    }
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Node>,
    /// The keys of the open sections that still wait for their values.
    keys: Vec<Option<Node>>,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        let node = |value| Node {
            line,
            column,
            value,
        };
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                refuse_clever(anchor, tag.is_some(), line, column)?;
                self.put(node(Value::Text(text.into_owned())))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_clever(anchor, tag.is_some(), line, column)?;
                self.descend(node(Value::List(Vec::new())))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_clever(anchor, tag.is_some(), line, column)?;
                self.descend(node(Value::Section(Vec::new())))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.keys.pop();
                self.open.pop().map_or(Ok(()), |done| self.put(done))
            }
            Event::Alias(_) => Err(mistake(
                line,
                column,
                "aliases (`*name`) are not taken here",
            )),
            Event::DocumentStart(_) if self.root.is_some() => Err(mistake(
                line,
                column,
                "a second document; one file is one document",
            )),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn descend(&mut self, node: Node) -> Result<(), Mistake> {
        if self.open.len() >= DEPTH_MAX {
            return Err(mistake(
                node.line,
                node.column,
                "nested more deeply than any policy is",
            ));
        }
        self.open.push(node);
        self.keys.push(None);
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Mistake> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(mistake(
                node.line,
                node.column,
                "more entries than a policy file may have",
            ));
        }
        match (self.open.last_mut(), self.keys.last_mut()) {
            (
                Some(Node {
                    value: Value::List(list),
                    ..
                }),
                _,
            ) => list.push(node),
            (
                Some(Node {
                    value: Value::Section(rows),
                    ..
                }),
                Some(key),
            ) => match key.take() {
                Some(key) => rows.push((key, node)),
                None => *key = Some(node),
            },
            _ => self.root = Some(node),
        }
        Ok(())
    }
}

fn refuse_clever(anchor: usize, tagged: bool, line: usize, column: usize) -> Result<(), Mistake> {
    match (anchor, tagged) {
        (0, false) => Ok(()),
        (_, true) => Err(mistake(line, column, "tags (`!name`) are not taken here")),
        (_, false) => Err(mistake(
            line,
            column,
            "anchors (`&name`) are not taken here",
        )),
    }
}
