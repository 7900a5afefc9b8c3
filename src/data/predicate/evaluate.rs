//! A condition that fits a table, and the rows of a batch that it selects.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{and_kleene, cast, is_null, not, or_kleene, prep_null_mask_filter};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::compare::{ArrowResult, Test};
use crate::error::{Error, Result};

/// A condition that fits a table.
#[derive(Clone, Debug)]
pub(in crate::data) struct Bound {
    /// Names and types of its columns; of a dictionary the type of the values.
    pub(super) columns: Vec<(String, DataType)>,
    pub(super) root: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    /// A test of the column with this index.
    Leaf(usize, Test),
    IsNull(usize),
}

impl Bound {
    /// Which rows of a batch are selected, without nulls: unknown is not selected. The batch has the columns of the
    /// predicate by their names, with the types that it was bound to; only text may be of another type of text.
    pub(in crate::data) fn select(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self
            .columns
            .iter()
            .map(|(name, data_type)| {
                let array = batch
                    .column_by_name(name)
                    .ok_or_else(|| Error::internal(format!("⟦where⟧ needs `{name}`, which was not read")))?;
                fitting(array, data_type)?.ok_or_else(|| {
                    Error::internal(format!("⟦where⟧ expects `{name}` as {data_type}, it is {}", array.data_type()))
                })
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let selected = self.root.evaluate(&columns, batch.num_rows()).map_err(|cause| broken(&cause))?;
        Ok(if selected.nulls().is_some() { prep_null_mask_filter(&selected) } else { selected })
    }
}

pub(super) fn broken(cause: &ArrowError) -> Error {
    Error::internal(format!("⟦where⟧ could not be evaluated: {cause}"))
}

/// `array` as the tests for `data_type` take it; `None` if they do not.
pub(super) fn fitting(array: &ArrayRef, data_type: &DataType) -> Result<Option<ArrayRef>> {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    Ok(match array.data_type() {
        // The kernels compare the texts of a dictionary where they are.
        _ if is_text(data_type) => is_text(values).then(|| Arc::clone(array)),
        DataType::Dictionary(..) if values == data_type => {
            Some(cast(array, data_type).map_err(|cause| broken(&cause))?)
        }
        other => (other == data_type).then(|| Arc::clone(array)),
    })
}

impl Node {
    fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> ArrowResult {
        let series = |parts: &[Self], join: fn(&BooleanArray, &BooleanArray) -> ArrowResult, of_none: bool| {
            let mut joined: Option<BooleanArray> = None;
            for part in parts {
                let next = part.evaluate(columns, rows)?;
                joined = Some(match joined {
                    None => next,
                    Some(before) => join(&before, &next)?,
                });
            }
            Ok(joined.unwrap_or_else(|| BooleanArray::from(vec![of_none; rows])))
        };
        match self {
            Self::Any(parts) => series(parts, or_kleene, false),
            Self::All(parts) => series(parts, and_kleene, true),
            Self::Not(inner) => not(&inner.evaluate(columns, rows)?),
            Self::Leaf(column, test) => test.apply(&columns[*column]),
            Self::IsNull(column) => is_null(&columns[*column]),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, StringViewArray, UInt64Array};

    use super::super::second_opinion::{Random, expression, naive_and, random_rows};
    use super::super::testing::{assert_selects, batch, bind, column, selected};
    use super::*;

    type Answer = fn(Option<bool>, Option<bool>, Option<bool>) -> Option<bool>;

    #[test]
    fn random_expressions_select_what_a_row_wise_evaluator_selects() {
        let mut random = Random(1);
        let (mut chosen, mut unknown, mut total) = (0, 0, 0);
        for _ in 0..3_000 {
            let (batch, rows) = random_rows(1 + random.below(20), &mut random);
            let naive = expression(random.below(4), &mut random);
            let text = naive.text(&mut random);
            let found = selected(&text, &batch);
            for (row, (cells, found)) in rows.iter().zip(found).enumerate() {
                let answer = naive.answer(cells);
                assert_eq!(found, answer == Some(true), "{text}: row {row}, {cells:?}, {}", batch.schema());
                chosen += usize::from(found);
                unknown += usize::from(answer.is_none());
                total += 1;
            }
        }
        assert!(chosen * 5 > total && chosen * 5 < total * 4, "{chosen} of {total}");
        assert!(unknown * 20 > total, "{unknown} of {total}");
    }

    #[test]
    fn logic_has_three_values_and_the_usual_precedence() {
        let values = [None, Some(false), Some(true)];
        let nth = |of: usize| -> BooleanArray { (0..27).map(|row| values[row / of % 3]).collect() };
        let batch = batch([("a", 9), ("b", 3), ("c", 1)].map(|(name, of)| (name, Arc::new(nth(of)) as ArrayRef)));
        let expressions: &[(&str, Answer)] = &[
            ("a", |a, _, _| a),
            ("not a", |a, _, _| a.map(|a| !a)),
            ("not not a", |a, _, _| a),
            ("a != true", |a, _, _| a.map(|a| !a)),
            ("not a is null", |a, _, _| Some(a.is_some())),
            ("a and b", |a, b, _| naive_and(a, b)),
            ("not (a and b)", |a, b, _| naive_and(a, b).map(|x| !x)),
            ("not a and b", |a, b, _| naive_and(a.map(|a| !a), b)),
            ("a or b and c", |a, b, c| if a == Some(true) { a } else { naive_and(b, c) }),
            ("a and b or c", |a, b, c| if c == Some(true) { c } else { naive_and(a, b) }),
            ("(a or b) and c", |a, b, c| naive_and([a, b].contains(&Some(true)).then_some(true), c)),
            ("a in (true, false)", |a, _, _| a.map(|_| true)),
            ("a not in (true, false) or a is null", |a, _, _| a.is_none().then_some(true)),
        ];
        for (text, answer) in expressions {
            let expected: Vec<u8> = (0..27)
                .map(|row| u8::from(answer(values[row / 9], values[row / 3 % 3], values[row % 3]) == Some(true)))
                .collect();
            assert_selects(&batch, text, &expected);
        }
    }

    #[test]
    fn a_batch_that_was_not_bound_is_noticed() {
        let bound = bind("x = 1", &column(Int64Array::from(vec![1]))).expect("a number");
        let error = bound.select(&column(UInt64Array::from(vec![1]))).expect_err("another type");
        assert_eq!(error.fact, "⟦where⟧ expects `x` as Int64, it is UInt64");
        let other = batch([("y", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        assert_eq!(bound.select(&other).expect_err("no x").fact, "⟦where⟧ needs `x`, which was not read");
        let bound = bind("x = 'a'", &column(StringArray::from(vec!["a"]))).expect("a text");
        let mask = bound.select(&column(StringViewArray::from(vec!["b", "a"]))).expect("text of another type");
        assert_eq!(mask, BooleanArray::from(vec![false, true]));
    }
}
