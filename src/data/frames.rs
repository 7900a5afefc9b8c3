//! Which columns are the index of a data frame.

use serde::Deserialize;
use serde_json::Value;

/// The key of the entry that pandas leaves beside a schema.
pub(super) const PANDAS: &str = "pandas";

/// Columns that hold the index of a data frame: those that the entry of pandas names
/// (<https://pandas.pydata.org/docs/development/developer.html>), and those called as it calls an index without a name.
pub(super) fn index_of_frame<'c>(entry: Option<&str>, columns: impl Iterator<Item = &'c str>) -> Vec<String> {
    let entry: Option<Pandas> = entry.and_then(|entry| serde_json::from_str(entry).ok());
    // An index that is a range is an object, and no column.
    let named = entry.iter().flat_map(|entry| &entry.index_columns).filter_map(Value::as_str).map(str::to_owned);
    named.chain(columns.filter(|name| is_unnamed_index(name)).map(str::to_owned)).collect()
}

/// What counts of the entry of pandas, which says more of every column.
#[derive(Deserialize)]
struct Pandas {
    index_columns: Vec<Value>,
}

/// `__index_level_0__` and so on.
fn is_unnamed_index(name: &str) -> bool {
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    level.is_some_and(|level| !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_without_a_name_has_a_number() {
        let is = ["__index_level_0__", "__index_level_12__", "__index_level___", "__index_level_x__", "index_level_0"];
        assert_eq!(is.map(is_unnamed_index), [true, true, false, false, false]);
    }
}
