//! The window rule: of two long prompts that are mostly one text, what is compared is where they
//! part, with the sentence around it. An embedder sees the beginning of a long text only, and one
//! changed number moves the vector of a page by nothing. Cuts; compares nothing itself.

/// Tokens before the first difference that are kept where no sentence begins nearer.
const CONTEXT_TOKENS: usize = 24;
/// Prompts longer than this are compared in windows where they can be: about 48 tokens.
pub const LONG_BYTES: usize = 240;

/// Whether the rule is asked for: either of the two is long.
#[must_use]
pub fn is_long(asked: &str, kept: &str) -> bool {
    asked.len().max(kept.len()) > LONG_BYTES
}

/// The two windows, if the prompts agree in at least half of the longer one, counted in words from
/// both ends. `None`: they are two texts, to be compared in full or not at all. Both windows are
/// empty for equal prompts.
#[must_use]
pub fn windows<'a, 'k>(asked: &'a str, kept: &'k str) -> Option<(&'a str, &'k str)> {
    let (a, b) = (Words::of(asked), Words::of(kept));
    let shorter = a.count().min(b.count());
    let head = (0..shorter)
        .take_while(|at| a.word(*at) == b.word(*at))
        .count();
    let back = |words: &Words<'_>, at: usize| words.count() - 1 - at;
    let same_back = |at: &usize| a.word(back(&a, *at)) == b.word(back(&b, *at));
    let tail = (0..shorter - head).take_while(same_back).count();
    let longer = a.count().max(b.count());
    (2 * (head + tail) >= longer && longer > 0)
        .then(|| (a.around(head, tail), b.around(head, tail)))
}

/// A text and where its words lie.
struct Words<'t> {
    text: &'t str,
    places: Vec<(usize, usize)>,
}

impl<'t> Words<'t> {
    fn of(text: &'t str) -> Self {
        let start = text.as_ptr() as usize;
        let place = |word: &str| {
            let at = word.as_ptr() as usize - start;
            (at, at + word.len())
        };
        Self {
            text,
            places: text.split_whitespace().map(place).collect(),
        }
    }

    fn count(&self) -> usize {
        self.places.len()
    }

    fn word(&self, at: usize) -> &'t str {
        let (start, end) = self.places[at];
        &self.text[start..end]
    }

    /// From the beginning of the sentence in which the first `head` words end, to the end of the
    /// one in which the last `tail` words begin.
    fn around(&self, head: usize, tail: usize) -> &'t str {
        let (first, end) = (self.first(head), self.end(self.count() - tail));
        match (
            self.places.get(first),
            end.checked_sub(1).and_then(|last| self.places.get(last)),
        ) {
            (Some((start, _)), Some((_, end))) if start < end => &self.text[*start..*end],
            _ => "",
        }
    }

    fn first(&self, head: usize) -> usize {
        let earliest = (head + 1).saturating_sub(CONTEXT_TOKENS);
        let begins = (earliest..head)
            .rev()
            .find(|at| self.word(*at).ends_with(['.', '?', '!', ':']));
        begins.map_or(head.saturating_sub(CONTEXT_TOKENS), |at| at + 1)
    }

    fn end(&self, end: usize) -> usize {
        let latest = self.count().min(end + CONTEXT_TOKENS);
        let ends =
            (end.saturating_sub(1)..latest).find(|at| self.word(*at).ends_with(['.', '?', '!']));
        ends.map_or(latest, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALE: &str = "We have sold bicycles since the spring of the year in which my aunt retired. \
        Two of us mend them and one keeps the books. The shop is open on weekdays. A frame costs \
        {} euros when it is bought alone. How much do three frames cost together, without tax?";

    #[test]
    fn only_the_sentence_that_differs_is_left() {
        let (one, other) = (TALE.replace("{}", "140"), TALE.replace("{}", "190"));
        assert!(is_long(&one, &other));
        let sentence = |price| format!("A frame costs {price} euros when it is bought alone.");
        let left = windows(&one, &other).expect("two windows");
        assert_eq!(left, (&*sentence("140"), &*sentence("190")));
    }

    #[test]
    fn what_was_added_is_seen_with_its_neighbour() {
        let plain = TALE.replace("{}", "140");
        let longer = plain.replace(
            "together, without",
            "together after a rebate of 5 euros, without",
        );
        let (short, long) = windows(&plain, &longer).expect("two windows");
        assert_eq!(
            short,
            "How much do three frames cost together, without tax?"
        );
        assert!(long.contains("rebate of 5 euros"), "{long}");
    }

    #[test]
    fn a_long_sentence_is_cut_near_the_difference() {
        let words = |middle: &str| format!("{}{middle} {}", "so ".repeat(60), "on ".repeat(60));
        let (one, other) = (words("red"), words("blue"));
        let (one, other) = windows(&one, &other).expect("two windows");
        assert_eq!(one.split(' ').count(), 2 * CONTEXT_TOKENS + 1);
        assert_eq!(one.replace("red", "blue"), other);
    }

    #[test]
    fn two_texts_have_no_windows() {
        let (one, other) = ("a b c d e f g h", "a b x y z u v w");
        assert_eq!(windows(one, other), None);
        assert_eq!(windows("", ""), None);
        assert_eq!(windows("", "a b"), None);
    }

    #[test]
    fn half_is_enough_and_equal_prompts_leave_the_end() {
        assert_eq!(windows("a b c d", "a b x y"), Some(("a b c d", "a b x y")));
        assert_eq!(windows("a b c d", "a x y z"), None);
        let (one, other) = windows("One. Two. Three.", "One. Two. Three.").expect("windows");
        assert_eq!(one, other);
    }

    #[test]
    fn any_two_texts_give_pieces_of_themselves() {
        let texts = [
            "",
            " ",
            "?",
            "é. ü! ñ?",
            "a\u{3000}b\u{a0}c",
            "你好。 再见",
            "🚲 🚲. 🚲",
        ];
        for one in texts {
            for other in texts {
                if let Some((a, b)) = windows(one, other) {
                    assert!(one.contains(a) && other.contains(b), "{one:?} {other:?}");
                }
            }
        }
    }
}
