//! Words of messages: names from files as a terminal can show them, lists that end, counts with their noun.

/// Names that a list shows.
const LISTED: usize = 20;

/// A text from a file without what would move the cursor or change the colours of a terminal.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (escaped, kept) = if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(kept)
        })
        .collect()
}

/// Names from a file as a list: there may be thousands, and nobody reads them.
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| plain(name.as_ref())).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The same, a line each, for entries that say more than a name.
pub fn lines<T: AsRef<str>>(entries: &[T]) -> String {
    let mut lines: Vec<String> = entries.iter().take(LISTED).map(|entry| plain(entry.as_ref())).collect();
    if let more @ 1.. = entries.len() - lines.len() {
        lines.push(format!("and {more} more"));
    }
    lines.iter().flat_map(|line| ["\n    ", line.as_str()]).collect()
}

/// `row` of one, `rows` of others.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{noun}{}", if n == 1 { "" } else { "s" })
}

/// `1 row`, `2 rows`.
pub fn counted(n: u64, noun: &str) -> String {
    format!("{n} {}", plural(n, noun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_and_are_plain() {
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["a", "b\u{1b}[31m\n", "Köln"]), "a, b\\u{1b}[31m\\n, Köln");
        let names: Vec<String> = (1..=22).map(|k| format!("x{k}")).collect();
        assert!(listed(&names[..20]).ends_with(", x19, x20"));
        assert!(listed(&names[..21]).ends_with(", x19, x20 and 1 more"));
        assert!(listed(&names).ends_with(", x19, x20 and 2 more"));
    }

    #[test]
    fn lines_end_and_are_plain() {
        assert_eq!(lines::<&str>(&[]), "");
        assert_eq!(lines(&["a\n: 1", "b"]), "\n    a\\n: 1\n    b");
        let names: Vec<String> = (1..=22).map(|k| format!("x{k}")).collect();
        assert!(lines(&names[..20]).ends_with("\n    x19\n    x20"));
        assert!(lines(&names).ends_with("\n    x19\n    x20\n    and 2 more"));
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row")), ["0 rows", "1 row", "2 rows"]);
    }
}
