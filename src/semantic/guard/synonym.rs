//! Words that mean the same where people ask for things. Only what holds in every trade: what two
//! words share in one trade alone belongs in a policy.

use std::sync::LazyLock;

use super::mark::{Mark, Table};

/// The mark that all words of a group share.
pub(super) fn of(word: Mark) -> Option<Mark> {
    SYNONYMS.get(word)
}

static SYNONYMS: LazyLock<Table<Mark>> = LazyLock::new(|| {
    // A group is known by its first word and a sign that no word has.
    Table::of(GROUPS.map(|group| {
        let first = group.split(' ').next().unwrap_or_default();
        (group, Mark::of("same").and(Mark::of(first)))
    }))
});

const GROUPS: [&str; 28] = [
    "cancel terminate",
    "send email",
    "buy purchase",
    "cheap inexpensive low-cost",
    "picture photo image",
    "phone telephone",
    "car automobile",
    "film movie",
    "begin start",
    "big large",
    "doctor physician",
    "kid child",
    "mom mother",
    "dad father",
    "tv television",
    "usa us america american united-states",
    "uk britain",
    "bike bicycle",
    "fix repair solve",
    "quick fast",
    "error bug",
    "erase delete remove",
    "bill invoice",
    "cell mobile",
    "pwd password",
    "acct account",
    "msg message",
    "info information",
];
