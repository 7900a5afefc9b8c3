//! Words of messages: names from files as a terminal can show them and as the command line takes them, lists that end,
//! counts with their noun.

use std::fmt::Write as _;

use strsim::osa_distance;

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

/// A name as an entry of a list on the command line, which is what a user copies it into: in double quotes where it would
/// not be read as itself otherwise, and a quote within doubled (RFC 4180).
pub fn entry(name: &str) -> String {
    let is_plain = !name.is_empty() && name.trim() == name && !name.starts_with('"') && !name.contains(',');
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A value as a list shows it: in quotes if it is empty or has blanks at an end, which nobody would see.
pub fn visible(value: &str) -> String {
    if value.is_empty() || value.trim() != value { format!("'{value}'") } else { value.to_owned() }
}

/// A word as a POSIX shell takes it. Control characters, which a message cannot show, are written by `printf`.
pub fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    if !word.contains(|c: char| c.is_control()) {
        return quoted(word);
    }
    let mut escaped = String::new();
    for c in word.chars() {
        match c {
            '%' => escaped.push_str("%%"),
            '\\' => escaped.push_str("\\\\"),
            c if c.is_control() => {
                for byte in c.to_string().bytes() {
                    let _ = write!(escaped, "\\{byte:03o}");
                }
            }
            c => escaped.push(c),
        }
    }
    format!("\"$(printf {})\"", quoted(&escaped))
}

/// The words of a command as a POSIX shell takes them.
pub fn command<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| shell(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A flag and its value as a POSIX shell takes them; a value with a dash in front would be taken for a flag.
pub fn flag(name: &str, value: &str) -> String {
    let between = if value.starts_with('-') { "=" } else { " " };
    format!("{name}{between}{}", shell(value))
}

/// A setting as a message of the library carries it: whoever shows the message knows how it is made. `⟦l2⟧` is the setting, `⟦l2 1e-3⟧`
/// says its value, and this one proposes a value for whoever reads it: `⟦label=bought⟧`.
pub fn proposed(name: &str, value: &str) -> String {
    format!("⟦{name}={}⟧", value.replace('⟧', "⟧⟧"))
}

/// The settings that a message may carry.
const SETTINGS: &[&str] = &[
    "alpha",
    "bounds",
    "categorical",
    "checkpoint",
    "class-weight",
    "classes",
    "confidence",
    "correlation",
    "cv-metric",
    "device",
    "features",
    "fold-blocks",
    "fold-column",
    "fold-groups",
    "folds",
    "full-path",
    "gap-tolerance",
    "gradient-tolerance",
    "host-memory",
    "ignore",
    "imbalance",
    "inference",
    "init",
    "json",
    "keep",
    "keep-on-interrupt",
    "l1",
    "l2",
    "label",
    "lambda",
    "lambda-min-ratio",
    "limit",
    "max-iterations",
    "max-levels",
    "model",
    "multinomial",
    "no-intercept",
    "nonnegative",
    "nulls",
    "offset",
    "path",
    "penalty-factor",
    "positive",
    "preconditioner",
    "reference",
    "refine",
    "resume",
    "sample",
    "scratch",
    "seed",
    "select",
    "solver",
    "split",
    "time-limit",
    "tolerance",
    "valid",
    "verify",
    "weight",
    "weight-kind",
    "where",
];

/// A setting of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<'t> {
    /// Its name.
    pub name: &'t str,
    /// Its value, if the message says it.
    pub value: Option<String>,
    /// The value is one that the message proposes.
    pub is_proposed: bool,
}

/// The setting at the beginning of `text`, and what comes behind it.
fn setting_at(text: &str) -> Option<(Setting<'_>, &str)> {
    let inner = text.strip_prefix('⟦')?;
    let end = inner.find(|c: char| c != '-' && !c.is_ascii_alphanumeric())?;
    let (name, rest) = inner.split_at(end);
    SETTINGS.binary_search(&name).ok()?;
    let (is_proposed, mut rest) = match rest.strip_prefix([' ', '=']) {
        Some(value) => (Some(rest.starts_with('=')), value),
        None if rest.starts_with('⟧') => (None, rest),
        None => return None,
    };
    let mut value = String::new();
    loop {
        let (before, behind) = rest.split_once('⟧').filter(|(before, _)| !before.contains('⟦'))?;
        value.push_str(before);
        let Some(more) = behind.strip_prefix('⟧') else {
            let setting = Setting { name, value: is_proposed.map(|_| value), is_proposed: is_proposed == Some(true) };
            return Some((setting, behind));
        };
        value.push('⟧');
        rest = more;
    }
}

/// A message with its settings as `show` shows them.
pub fn with_settings(message: &str, show: impl Fn(&Setting<'_>) -> String) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find('⟦') {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((setting, behind)) = setting_at(rest) {
            shown.push_str(&show(&setting));
            rest = behind;
        } else {
            shown.push('⟦');
            rest = &rest['⟦'.len_utf8()..];
        }
    }
    shown + rest
}

/// A message as a caller of the library reads it: its settings by the names that [`Job`](crate::Job) has for them.
pub fn in_rust(message: &str) -> String {
    with_settings(message, |Setting { name, value, .. }| {
        if *name == "no-intercept" {
            return "`intercept = false`".into();
        }
        let name = name.replace('-', "_");
        value.as_ref().map_or_else(|| format!("`{name}`"), |value| format!("`{name} = {value}`"))
    })
}

/// The name that is most like `name`, if one is like it: in another case, or with blanks at its ends, or with few letters
/// changed.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let bare = |name: &str| name.trim().to_lowercase();
    let wanted = bare(name);
    let most = 1.max(wanted.chars().count() / 3);
    // Of names that differ in their case alone the nearest is the one with the fewest letters in another one.
    let distance = |other: &str| (osa_distance(&wanted, &bare(other)), osa_distance(name, other));
    let of_each = names.into_iter().map(|other| (distance(other), other));
    of_each.min_by_key(|(distance, _)| *distance).filter(|((distance, _), _)| *distance <= most).map(|(_, other)| other)
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
    use std::path::{Path, PathBuf};

    /// The texts of a folder.
    fn texts(folder: &Path, all: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                texts(&path, all);
            } else {
                let text = std::fs::read_to_string(&path).expect("a text");
                all.push((path, text));
            }
        }
    }

    /// Every setting that a message of the library carries is one that is shown.
    #[test]
    fn settings_of_messages_are_known() {
        let mut all = Vec::new();
        texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        let mut seen = 0;
        for (path, text) in all.iter().filter(|(path, _)| !path.ends_with("wording.rs")) {
            for at in text.split('⟦').skip(1) {
                let name: String = at.chars().take_while(|c| *c == '-' || c.is_ascii_alphanumeric()).collect();
                // A name that is put in when it is known.
                let is_later = at.starts_with('{');
                assert!(is_later || SETTINGS.binary_search(&&*name).is_ok(), "`{name}` in {}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen} settings");
        assert!(SETTINGS.is_sorted());
    }

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
    fn names_are_entries_of_a_list() {
        for (name, shown) in [
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            (" a", "\" a\""),
            ("", "\"\""),
            ("\"a\"", "\"\"\"a\"\"\""),
            ("5\" x", "5\" x"),
            ("5\",x", "\"5\"\",x\""),
        ] {
            assert_eq!(entry(name), shown);
        }
    }

    #[test]
    fn blanks_at_an_end_show() {
        assert_eq!(["a", "a b", "a ", "", "\u{a0}a"].map(visible), ["a", "a b", "'a '", "''", "'\u{a0}a'"]);
    }

    #[test]
    fn the_nearest_name_is_a_slip_away() {
        let names = ["age", "Income", "income_2", "city", "x1", "x2", ""];
        for (name, expected) in [
            ("Age", Some("age")),
            ("income", Some("Income")),
            ("incoem", Some("Income")),
            ("city ", Some("city")),
            ("ctiy", Some("city")),
            ("x3", Some("x1")),
            ("banana", None),
            ("elephant", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
        assert_eq!(nearest("AGE", ["age", "Age", "AGe"]), Some("AGe"));
        assert_eq!(nearest("a", []), None);
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (word, shown) in [
            ("a/b_c-1.x,y=2:@%+", "a/b_c-1.x,y=2:@%+"),
            ("K\u{f6}ln", "K\u{f6}ln"),
            ("", "''"),
            (">50K", "'>50K'"),
            ("it's", "'it'\\''s'"),
            ("$x `y` \"z\"", "'$x `y` \"z\"'"),
            ("a\n5%\\", "\"$(printf 'a\\0125%%\\\\')\""),
        ] {
            assert_eq!(shell(word), shown);
        }
        assert_eq!(["-1", "1"].map(|value| flag("--positive", value)), ["--positive=-1", "--positive 1"]);
        assert_eq!(command(&["train", "a b", ""]), "train 'a b' ''");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row")), ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn settings_are_shown_as_whoever_shows_them_knows_them() {
        assert!(SETTINGS.is_sorted(), "they are looked up by halves");
        let as_flags = |message: &str| {
            with_settings(message, |Setting { name, value, is_proposed }| match value {
                None => format!("--{name}"),
                Some(value) if *is_proposed => flag(&format!("--{name}"), value),
                Some(value) => format!("--{name} {value}"),
            })
        };
        let message = format!("Raise ⟦tolerance⟧, add ⟦l2 1e-3⟧ or say {}.", proposed("label", "a ⟧ b"));
        assert_eq!(as_flags(&message), "Raise --tolerance, add --l2 1e-3 or say --label 'a ⟧ b'.");
        assert_eq!(in_rust(&message), "Raise `tolerance`, add `l2 = 1e-3` or say `label = a ⟧ b`.");
        assert_eq!(in_rust("⟦max-levels⟧"), "`max_levels`");
        assert_eq!(in_rust("Leave ⟦no-intercept⟧ out."), "Leave `intercept = false` out.");
        // What only looks like one stays: a column may be called so.
        for text in ["⟦x⟧", "⟦", "⟧", "⟦l2", "⟦l2 1", "⟦⟦", "⟦l2?abc⟧"] {
            assert_eq!((as_flags(text).as_str(), in_rust(text).as_str()), (text, text));
        }
        assert_eq!(as_flags("⟦l2 of ⟦seed⟧"), "⟦l2 of --seed");
    }

    /// Every setting that the sources name is known, and no message names a flag.
    #[test]
    fn messages_carry_settings_that_are_known() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut found) = (vec![sources.clone()], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.extend((!path.ends_with("src/cli")).then_some(path));
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a source");
                let style = path.ends_with("html/style.rs") || path == sources.join("wording.rs");
                for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !style) {
                    for (at, _) in line.match_indices('⟦') {
                        let name: String =
                            line[at + 3..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                        let is_made = line[at + 3..].starts_with('{');
                        assert!(is_made || SETTINGS.contains(&name.as_str()), "{}: {line}", path.display());
                        found += 1;
                    }
                    let flags = line.match_indices(" --").chain(line.match_indices("\"--")).map(|(at, _)| &line[at..]);
                    let is_flag = |rest: &str| {
                        rest.trim_start_matches([' ', '"']).chars().nth(2).is_some_and(|c| c.is_ascii_lowercase())
                    };
                    for rest in flags {
                        let is_css = line.contains("var(--") || line.contains("--test");
                        assert!(is_css || !is_flag(rest), "{}: a flag: {line}", path.display());
                    }
                }
            }
        }
        assert!(found > 100, "{found} settings");
    }
}
