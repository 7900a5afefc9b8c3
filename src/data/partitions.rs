//! What the path of a file says about its rows.
//!
//! Folders `key=value` on the way to a file are its partitions: all below the folder that was named (of a pattern: its
//! part without wildcards), and those with which its name ends. So `data/year=*` has the partition `year` whether the
//! shell expands the pattern or this does. A file that was named itself has none: what its path says was no part of
//! the question. Keys and values are percent-decoded.

use std::path::{Component, Path};

use crate::error::{Error, Result};

/// What Hive and Spark call the partition of a null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Key and value of a folder `key=value`; no value is a null.
pub(super) type Partition = (String, Option<String>);

/// Key and value of a folder `key=value`.
pub(super) fn key_and_value(name: &str) -> Option<(&str, &str)> {
    name.split_once('=').filter(|(key, _)| !key.is_empty())
}

/// The partitions of a file that was found below `base`, the outermost first.
pub(super) fn partitions_of(path: &Path, base: &Path) -> Result<Vec<Partition>> {
    let named: Vec<Component> = base.components().collect();
    let is_partition = |part: &Component| {
        matches!(part, Component::Normal(_)) && key_and_value(&part.as_os_str().to_string_lossy()).is_some()
    };
    let ending = named.iter().rev().take_while(|part| is_partition(part)).count();
    let skipped = named.len() - ending;
    let mut partitions: Vec<Partition> = Vec::new();
    for part in path.parent().unwrap_or(Path::new("")).components().skip(skipped).filter(is_partition) {
        let Some((key, value)) = part.as_os_str().to_str().and_then(key_and_value) else {
            return Err(Error::data(
                format!("the partition {} of {} is no UTF-8", part.as_os_str().display(), path.display()),
                "Rename the folder.",
            ));
        };
        let key = decoded(key);
        if partitions.iter().any(|(known, _)| *known == key) {
            return Err(Error::data(
                format!("{} lies in two partitions called `{key}`", path.display()),
                "Rename one of the folders, or name the file itself.",
            ));
        }
        partitions.push((key, (value != NULL_PARTITION).then(|| decoded(value))));
    }
    Ok(partitions)
}

/// `text` with `%20` and the like decoded; as it stands where that gives no UTF-8.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .get(..2)
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decodes_to_no_text_stands_as_it_is() {
        assert_eq!(decoded("a%20%C3%A9"), "a é");
        assert_eq!(decoded("%E4%41%"), "%E4%41%");
    }
}
