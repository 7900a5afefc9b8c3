//! Lists on the command line: entries separated by commas, without the blanks around them; what has a comma or outer blanks
//! of its own stands in double quotes, and a quote within is doubled, as in CSV (RFC 4180).

use gpu_logreg::error::{Error, Result};

/// An entry of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// The names of a list that may be given in several parts.
pub(super) fn names(flag: &str, parts: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for part in parts {
        for Entry { text, is_quoted } in entries(flag, part)? {
            if text.is_empty() && !is_quoted {
                return Err(Error::usage(
                    format!("{flag} has an empty name"),
                    "Separate the names with single commas; a column without a name is \"\".",
                ));
            }
            names.push(text);
        }
    }
    Ok(names)
}

/// The entries of a list, at least one.
pub(super) fn entries(flag: &str, list: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = list;
    loop {
        let (entry, behind) = if let Some(quoted) = rest.trim_start().strip_prefix('"') {
            quoted_entry(flag, list, quoted)?
        } else {
            let (text, behind) = rest.split_once(',').map_or((rest, None), |(text, behind)| (text, Some(behind)));
            (Entry { text: text.trim().to_owned(), is_quoted: false }, behind)
        };
        entries.push(entry);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(entries),
        }
    }
}

/// The entry whose first quote stands before `rest`, and what comes after its comma, if it has one.
fn quoted_entry<'l>(flag: &str, list: &str, mut rest: &'l str) -> Result<(Entry, Option<&'l str>)> {
    let mut text = String::new();
    loop {
        let Some((before, behind)) = rest.split_once('"') else {
            return Err(Error::usage(
                format!("{flag} {list}: a quote is not closed"),
                "A name in double quotes ends with one; a quote within is doubled.",
            ));
        };
        text += before;
        rest = behind;
        match behind.strip_prefix('"') {
            Some(behind) => {
                text.push('"');
                rest = behind;
            }
            None => break,
        }
    }
    let entry = Entry { text, is_quoted: true };
    match rest.trim_start().strip_prefix(',') {
        Some(behind) => Ok((entry, Some(behind))),
        None if rest.trim().is_empty() => Ok((entry, None)),
        None => Err(Error::usage(
            format!("{flag} {list}: no comma stands behind the quotes, but `{}`", rest.trim()),
            "Put the whole name into the quotes; a quote within is doubled.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpu_logreg::wording::entry;

    #[test]
    fn names_with_commas_and_blanks_stand_in_quotes() {
        let found = |list: &str| names("--features", &[list.to_owned()]).expect("a list");
        assert_eq!(found(" a , b c,d"), ["a", "b c", "d"]);
        assert_eq!(found("\"a,b\", \" c \" ,d\"e,\"\""), ["a,b", " c ", "d\"e", ""]);
        assert_eq!(found("\"say \"\"a, b\"\"\""), ["say \"a, b\""]);
        for list in ["", "a,,b", "a, ", "\"a", "\"a\"b", "\"a\"\"", "a,\"b\" c"] {
            assert!(names("--features", &[list.to_owned()]).is_err(), "{list}");
        }
    }

    /// What a message lists can be copied.
    #[test]
    fn what_is_shown_is_read_again() {
        let odd = [
            "a",
            "a,b",
            " a",
            "a ",
            "",
            "\"",
            "\"\"",
            "a\"b",
            ",",
            ",,\"",
            "\"a\",b",
            "\u{a0}x",
            "-x",
            "a=b",
            "\u{1f600}",
        ];
        let shown: Vec<String> = odd.iter().map(|name| entry(name)).collect();
        assert_eq!(names("--keep", &[shown.join(", ")]).expect("a list"), odd);
    }
}
