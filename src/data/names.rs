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
