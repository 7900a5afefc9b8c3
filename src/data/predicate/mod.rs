//! `--where EXPR`: which rows take part. For example
//! `age >= 18 and country in ('DE', 'AT') and not (churned or income is null)`.
//!
//! ```text
//! any     = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" any ")" | column | column OP value | value OP column
//!         | column ["not"] "in" "(" value { "," value } ")"
//!         | column ["not"] "between" value "and" value
//!         | column "is" ["not"] "null"
//! OP      = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
//! column  = a letter or "_", then letters, digits, "_", "." | "anything" | `anything`
//! value   = a number | 'text' | true | false
//! ```
//!
//! Keywords count in any case, and a quote within quotes is doubled. A date or a timestamp is text: `'2024-01-31'`,
//! `'2024-01-31 12:00:00.5'`, with `Z` or an offset for columns of instants, where UTC is meant without one.
//!
//! Logic has three values, as in SQL: a comparison with a null is unknown, and what is unknown in the end is not
//! selected. A comparison with NaN is unknown too, so that a NaN is neither equal to a number nor different from it;
//! but it is no null, and `is null` is false for it.
//!
//! Integers, decimals, dates and timestamps are compared exactly, whatever the digits of the literal. For a column of
//! floats the literal is rounded to the column's type, as the column's own values were: `x = 0.1` finds 0.1 in a
//! column of 32 bits. -0 equals 0. Texts are compared byte by byte.
//!
//! On its way it is
//!
//! ```text
//! text --token--> words with their places --parse--> Predicate (expr, with numbers and moments as they are written)
//!      --bind, to the types of a table--> Bound: every literal a value of its column's type (compare)
//!      --evaluate--> rows of a batch        --prune--> partitions that need not be read
//! ```
//!
//! Up to `bind` an error has a place in the text and a caret under it; behind it, it is a fault of this program.

mod bind;
mod compare;
mod evaluate;
mod expr;
mod moment;
mod number;
mod parse;
mod prune;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
mod testing;
mod token;

use arrow::datatypes::DataType;

pub(super) use self::evaluate::Bound;
use self::expr::Expr;
pub(super) use self::prune::Known;
pub use self::token::name_in_text;
use crate::error::Result;

/// A condition on the columns of a table, parsed and not yet checked against a table.
#[derive(Clone, Debug)]
pub struct Predicate {
    text: String,
    root: Expr,
}

/// `fact` with the text in a line of its own and a caret under its character `at`.
fn placed(text: &str, at: usize, fact: &str) -> String {
    // In one line, so that the caret stands under its character.
    let line: String = text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).collect();
    format!("⟦where⟧: {fact}:\n    {line}\n    {:at$}^", "")
}

impl Predicate {
    /// Parses an expression; what is wrong with it is a usage error with a caret under the place.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The columns that it needs, each once, in the order in which they first appear.
    pub fn columns(&self) -> Vec<&str> {
        fn collect<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
            match expr {
                Expr::Any(parts) | Expr::All(parts) => parts.iter().for_each(|part| collect(part, names)),
                Expr::Not(inner) => collect(inner, names),
                Expr::Flag(column) | Expr::Compare(column, ..) | Expr::In(column, _) | Expr::IsNull(column) => {
                    if !names.contains(&column.name.as_str()) {
                        names.push(&column.name);
                    }
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.root, &mut names);
        names
    }

    /// Checks it against a table: `types` gives the type of a column, `names` are all columns, for messages.
    ///
    /// A column that is not there or has no comparable type is a data error, a value that does not fit a usage error.
    pub(super) fn bind(&self, types: impl Fn(&str) -> Option<DataType>, names: &[&str]) -> Result<Bound> {
        bind::bind(&self.text, &self.root, &types, names)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, NullArray, StringArray};

    use super::Predicate;
    use super::testing::{assert_selects, batch, column};

    #[test]
    fn names_and_texts_are_taken_as_they_stand() {
        let array = || Arc::new(StringArray::from(vec![Some("it's"), Some("\"x\""), Some(""), None])) as ArrayRef;
        let batch = batch(["a\"b", "c`d", "not", "ümlaut.x_1", " "].map(|name| (name, array())));
        for name in ["\"a\"\"b\"", "`a\"b`", "`c``d`", "\"not\"", "ümlaut.x_1", "\" \""] {
            assert_selects(&batch, &format!("{name} = 'it''s'"), &[1, 0, 0, 0]);
            assert_selects(&batch, &format!("''<{name}"), &[1, 1, 0, 0]);
            assert_selects(&batch, &format!("{name} IN('', '\"x\"')AND(NOT {name} IS NULL)"), &[0, 1, 1, 0]);
        }
        let predicate =
            Predicate::parse("b = 1 or `c d` in (1) and not (b or \"A\" is null) and 1 < a").expect("valid");
        assert_eq!(predicate.columns(), ["b", "c d", "A", "a"]);
        let nothing = column(NullArray::new(2));
        assert_selects(&nothing, "x is null", &[1, 1]);
    }
}
