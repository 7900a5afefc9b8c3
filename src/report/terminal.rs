//! Texts from files, as a terminal can show them.

use crate::wording::{plain, visible};

/// Characters of a name that a table shows.
const NAME_WIDTH: usize = 32;

/// A name or a type as a table shows it.
pub(super) fn shortened(name: &str) -> String {
    plain(&cut(name, NAME_WIDTH))
}

/// A feature as a table shows it; a level of a category with its blanks, which nobody would see else.
pub(super) fn feature_name(name: &str, category: Option<&str>) -> String {
    let level = category.and_then(|category| Some((category, name.strip_prefix(category)?.strip_prefix('=')?)));
    level.map_or_else(|| shortened(name), |(category, level)| shortened(&format!("{category}={}", visible(level))))
}

/// At most `width` characters of a text; where it was longer the last one says so.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().nth(width).is_none() {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
