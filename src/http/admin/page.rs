//! Lists a page at a time: how many, after which, and what to ask for next. Every list of this
//! API is read so; a page is never longer than the stated maximum, whoever asks.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::Problem;

/// Items of one page at most, and where nothing is said.
pub(super) const PAGE_ITEMS_MAX: u32 = 1_000;

/// Which page.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageQuery {
    /// Items of a page, 1 to 1000 (1000).
    #[schemars(range(min = 1, max = 1000))]
    pub(super) limit: Option<u32>,
    /// What the page before gave as `next`; the first page without it.
    pub(super) after: Option<String>,
}

/// How many items a page has.
pub(super) fn length(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE_ITEMS_MAX) {
        wanted @ 1..=PAGE_ITEMS_MAX => Ok(wanted as usize),
        _ => Err(Problem::BadQuery(format!("limit: 1 to {PAGE_ITEMS_MAX}"))),
    }
}

/// A page of items that come in the order of their names, so that a page holds though the item it
/// begins after has gone.
pub(super) fn page<T>(
    query: &PageQuery,
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let after = query.after.as_deref();
    let rest = items.filter(|item| after.is_none_or(|after| *name(item) > *after));
    Ok(cut(rest, length(query.limit)?, &name))
}

/// The first of what is left, and the name of the last of them where there are more.
pub(super) fn cut<T>(
    mut rest: impl Iterator<Item = T>,
    length: usize,
    name: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let items: Vec<T> = rest.by_ref().take(length).collect();
    let more = rest.next().is_some();
    let next = items.last().filter(|_| more).map(name);
    (items, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(limit: u32, names: &[&str]) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let query = PageQuery {
                limit: Some(limit),
                after,
            };
            let items = names.iter().map(|name| (*name).to_owned());
            let (items, next) = page(&query, items, String::clone).unwrap();
            pages.push(items);
            after = next;
            if after.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_are_whole_and_end() {
        assert_eq!(read(2, &["a", "b", "c"]), [vec!["a", "b"], vec!["c"]]);
        assert_eq!(
            read(3, &["a", "b", "c"]),
            [vec!["a", "b", "c"]],
            "no empty page at the end"
        );
        assert_eq!(read(1_000, &[]), [vec![""; 0]]);
    }

    #[test]
    fn a_page_holds_though_its_beginning_has_gone() {
        let query = PageQuery {
            limit: None,
            after: Some("b".into()),
        };
        let (items, _) = page(&query, ["a", "c"].into_iter(), |name| (*name).to_owned()).unwrap();
        assert_eq!(items, ["c"]);
    }

    #[test]
    fn a_page_has_its_bounds() {
        for limit in [0, PAGE_ITEMS_MAX + 1, u32::MAX] {
            assert!(length(Some(limit)).is_err(), "{limit}");
        }
        assert_eq!(length(None), Ok(1_000));
        assert_eq!(length(Some(1)), Ok(1));
    }
}
