//! What the path of a file says about its rows.
//!
//! Folders `key=value` on the way to a file are its partitions: all below the folder that was named (of a pattern: its
//! part without wildcards), and those with which its name ends. So `data/year=*` has the partition `year` whether the
//! shell expands the pattern or this does. A file that was named itself has none: what its path says was no part of
//! the question. Keys and values are percent-decoded.

use std::path::{Component, Path};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// What Hive and Spark call the partition of a null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Key and value of a folder `key=value`; no value is a null.
pub(super) type Key = (String, Option<String>);

/// Key and value of a folder `key=value`.
pub(super) fn key_and_value(name: &str) -> Option<(&str, &str)> {
    name.split_once('=').filter(|(key, _)| !key.is_empty())
}

/// What the folders on the way to a file say that was found below `base`, the outermost first.
pub(super) fn keys_of(path: &Path, base: &Path) -> Result<Vec<Key>> {
    let named: Vec<Component> = base.components().collect();
    let is_partition = |part: &Component| {
        matches!(part, Component::Normal(_)) && key_and_value(&part.as_os_str().to_string_lossy()).is_some()
    };
    let ending = named.iter().rev().take_while(|part| is_partition(part)).count();
    let skipped = named.len() - ending;
    let mut keys: Vec<Key> = Vec::new();
    for part in path.parent().unwrap_or(Path::new("")).components().skip(skipped).filter(is_partition) {
        let Some((key, value)) = part.as_os_str().to_str().and_then(key_and_value) else {
            return Err(Error::data(
                format!("the partition {} of {} is no UTF-8", part.as_os_str().display(), path.display()),
                "Rename the folder.",
            ));
        };
        let key = decoded(key);
        if keys.iter().any(|(known, _)| *known == key) {
            return Err(Error::data(
                format!("{} lies in two partitions called `{key}`", path.display()),
                "Rename one of the folders, or name the file itself.",
            ));
        }
        keys.push((key, (value != NULL_PARTITION).then(|| decoded(value))));
    }
    Ok(keys)
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

/// The value of one folder name, in all rows of a file.
#[derive(Clone, Debug)]
pub(super) struct Constant(pub(super) Option<String>);

impl Constant {
    /// The type of a key with these values: numbers if every one gives its own text back, else text. `007` and `7` are two
    /// values, and so are integers that f64 cannot tell apart.
    pub(super) fn type_of<'v>(values: impl Iterator<Item = &'v Self> + Clone) -> DataType {
        let mut there = values.filter_map(|value| value.0.as_deref()).peekable();
        let numbers = there.peek().is_some() && there.all(|value| canonical_number(value).is_some());
        if numbers { DataType::Float64 } else { DataType::Utf8 }
    }

    /// Whether it can be read as a value of this type.
    pub(super) fn is(&self, data_type: &DataType) -> bool {
        *data_type == DataType::Utf8 || self.0.as_deref().is_none_or(|text| canonical_number(text).is_some())
    }

    /// So many rows of it, as texts or numbers.
    pub(super) fn rows(&self, rows: usize, data_type: &DataType) -> Result<ArrayRef> {
        let text: ArrayRef = Arc::new(StringArray::from(vec![self.0.as_deref(); rows]));
        cast(&text, data_type)
            .map_err(|cause| Error::internal(format!("a folder name could not be read as a number: {cause}")))
    }
}

/// The number that a text is, if it is written as the program would write it.
fn canonical_number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let is_exact = number.fract() != 0.0 || number.abs() < 9_007_199_254_740_992.0;
    (number.is_finite() && is_exact && text != "-0" && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_number_where_that_gives_its_text_back() {
        let of = |values: &[Option<&str>]| {
            let values: Vec<Constant> = values.iter().map(|value| Constant(value.map(str::to_owned))).collect();
            Constant::type_of(values.iter())
        };
        for numbers in [&[Some("7"), Some("-3"), Some("0")][..], &[Some("0.5"), None, Some("9007199254740991")]] {
            assert_eq!(of(numbers), DataType::Float64, "{numbers:?}");
        }
        let texts = [
            "007",
            "7.0",
            "1.50",
            "1e5",
            "+1",
            "-0",
            "nan",
            "inf",
            "9007199254740992",
            "9007199254740993",
            "",
            " 7",
            ".5",
        ];
        for text in texts {
            assert_eq!(of(&[Some("7"), Some(text)]), DataType::Utf8, "{text}");
        }
        assert_eq!(of(&[None]), DataType::Utf8);
    }

    #[test]
    fn what_decodes_to_no_text_stands_as_it_is() {
        assert_eq!(decoded("a%20%C3%A9"), "a é");
        assert_eq!(decoded("%E4%41%"), "%E4%41%");
    }
}
