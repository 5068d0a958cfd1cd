//! One spelling for what looks the same: compatibility forms (full-width letters, ligatures, no-break
//! spaces), typographic apostrophes, upper case. Never changes what a reader would call another word.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// The text in its plain form, its case kept.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let normal = is_nfkc_quick(text.chars()) == IsNormalized::Yes;
    if normal && !text.contains(is_apostrophe) {
        return Cow::Borrowed(text);
    }
    let straight = |c| if is_apostrophe(c) { '\'' } else { c };
    Cow::Owned(text.nfkc().map(straight).collect())
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '’' | '‘' | 'ʼ' | '‛')
}

/// The text in lower case.
pub(super) fn lower(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.to_lowercase()
    }
}
