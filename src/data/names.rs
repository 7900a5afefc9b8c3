//! Columns by the names and patterns of the user, and what is said where there are none.

use glob::Pattern;

use super::table::Table;
use crate::error::{Error, Result};
use crate::wording::{entry, nearest, plain};

/// The columns that a name or a pattern means, in the table's order; `None` if there are none. A name that stands
/// for two columns is an error.
pub(super) fn matching(table: &Table, name: &str) -> Result<Option<Vec<usize>>> {
    if let Some(column) = table.find(name)? {
        return Ok(Some(vec![column]));
    }
    // A struct or a list is all that lies in it.
    let (of_struct, of_list) = (format!("{name}."), format!("{name}["));
    let parts: Vec<usize> = (0..table.fields.len())
        .filter(|&column| [&of_struct, &of_list].iter().any(|start| table.fields[column].name.starts_with(*start)))
        .collect();
    if !parts.is_empty() {
        return Ok(Some(parts));
    }
    let Some(pattern) = Pattern::new(name).ok().filter(|_| name.contains(['*', '?'])) else { return Ok(None) };
    let found: Vec<usize> =
        (0..table.fields.len()).filter(|&column| pattern.matches(&table.fields[column].name)).collect();
    Ok((!found.is_empty()).then_some(found))
}

/// What a feature is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureName {
    /// The column that it is made of.
    pub column: String,
    /// Its own name: that of the column, `city=Bonn` of a level, `age is missing` of an indicator.
    pub own: String,
}

impl FeatureName {
    /// A feature that is its column.
    pub(super) fn of_column(name: &str) -> Self {
        Self { column: name.into(), own: name.into() }
    }
}

/// The places of the features that a name or a pattern means: one that has it, all of a column, or those that fit.
pub fn matching_features(names: &[FeatureName], name: &str) -> Vec<usize> {
    let those = |means: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let fits = |feature: &FeatureName| means(&feature.own) || means(&feature.column);
        (0..names.len()).filter(|&place| fits(&names[place])).collect()
    };
    let exactly = those(&|other| other == name);
    let pattern = Pattern::new(name).ok().filter(|_| exactly.is_empty() && name.contains(['*', '?']));
    pattern.map_or(exactly, |pattern| those(&|other| pattern.matches(other)))
}

/// Names that are looked at for a slip.
const MOST_SLIPS: usize = 3;

impl Table {
    /// The error for names that are no columns, with those that may be meant.
    pub(super) fn no_column(&self, fact: impl Into<String>, names: &[&str]) -> Error {
        let known = || self.fields.iter().map(|field| field.name.as_str());
        // Of many no one is a slip.
        let slips = if names.len() > MOST_SLIPS { &[] } else { names };
        let meant: Vec<String> = slips
            .iter()
            .filter_map(|name| {
                let near = plain(&entry(nearest(name, known())?));
                Some(if names.len() == 1 { near } else { format!("{near} for {}", plain(&entry(name))) })
            })
            .collect();
        let question = if meant.is_empty() { String::new() } else { format!("Did you mean {}? ", meant.join(", ")) };
        Error::data(fact, format!("{question}The columns are: {}", self.names()))
    }
}
