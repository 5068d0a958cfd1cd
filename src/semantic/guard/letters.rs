//! The letters, digits and apostrophes of a prompt in lower case with nothing between them: where
//! a name or an identifier of another prompt is looked for, however it is spaced there.

/// A piece of [`Letters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) length: u16,
}

impl Span {
    pub(super) fn end(self) -> usize {
        usize::from(self.start) + usize::from(self.length)
    }
}

/// At most `u16::MAX` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters(pub(super) String);

impl Letters {
    /// Writes what counts of a token behind what is there.
    pub(super) fn push(&mut self, token: &str) -> Span {
        let start = self.0.len();
        let mut before = None;
        let mut rest = token.chars();
        while let Some(c) = rest.next() {
            // A quotation mark looks like an apostrophe, and is none.
            let next = rest.as_str().chars().next();
            let joins = c == '\'' && is_part(before) && is_part(next);
            if joins || c.is_alphanumeric() {
                self.0.push(c);
            }
            before = Some(c);
        }
        span(start, self.0.len())
    }

    /// Where the text's letters stand; behind the rest if nowhere. `None` if it has none.
    pub(super) fn hold(&mut self, text: &str) -> Option<Span> {
        let start = self.0.len();
        let whole = self.push(text);
        if whole.length == 0 {
            return None;
        }
        let (before, letters) = self.0.split_at(start);
        match before.find(letters) {
            Some(at) => {
                self.0.truncate(start);
                Some(Span {
                    start: u16::try_from(at).ok()?,
                    ..whole
                })
            }
            None => Some(whole),
        }
    }

    pub(super) fn at(&self, span: Span) -> &str {
        let start = usize::from(span.start);
        self.0
            .get(start..start + usize::from(span.length))
            .unwrap_or_default()
    }

    pub(super) fn contains(&self, letters: &str) -> bool {
        self.0.contains(letters)
    }
}

fn is_part(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

fn span(start: usize, end: usize) -> Span {
    let short = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    Span {
        start: short(start),
        length: short(end - start),
    }
}
