//! Tables drawn by chance from a seed: what they hold is known here, so that the program can be asked about the file
//! while an oracle looks at the columns themselves. Shares no code with `src`.

pub(crate) mod dependent;
pub(crate) mod separable;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use gpu_logreg::data::Spec;

use crate::common::data::write_parquet;
use crate::common::random::Random;

/// Columns of numbers and of texts, with a label.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// By name, in the order in which the program is asked for them.
    pub(crate) numbers: Vec<(String, Vec<f64>)>,
    /// Likewise, after the numbers: a category each.
    pub(crate) texts: Vec<(String, Vec<String>)>,
    /// The class of each row, from 0.
    pub(crate) label: Vec<usize>,
    pub(crate) classes: usize,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) offsets: Option<Vec<f64>>,
    /// Whether columns of whole numbers are written as integers.
    pub(crate) integers: bool,
}

/// The texts of three classes, in their order.
const CLASSES: [&str; 3] = ["a", "b", "c"];

impl Table {
    pub(crate) fn rows(&self) -> usize {
        self.label.len()
    }

    /// The design matrix without the intercept, by names as the program has them: numbers, then of each text all levels
    /// but the first, `text=level`.
    pub(crate) fn design(&self) -> Vec<(String, Vec<f64>)> {
        let levels = self.texts.iter().flat_map(|(name, values)| {
            let of_level = move |level: String| {
                let column: Vec<f64> = values.iter().map(|value| f64::from(u8::from(*value == level))).collect();
                (format!("{name}={level}"), column)
            };
            levels(values).into_iter().skip(1).map(of_level)
        });
        self.numbers.iter().cloned().chain(levels).collect()
    }

    /// A column for every level, the first too: as [`Table::design`] otherwise.
    pub(crate) fn columns(&self) -> Vec<Vec<f64>> {
        let references = self.texts.iter().map(|(_, values)| {
            let first = values.iter().min().expect("a row");
            values.iter().map(|value| f64::from(u8::from(value == first))).collect()
        });
        self.design().into_iter().map(|column| column.1).chain(references).collect()
    }

    /// The names of [`Table::columns`].
    pub(crate) fn names(&self) -> Vec<String> {
        let references = self.texts.iter().map(|(name, values)| {
            let first = values.iter().min().expect("a row");
            format!("{name}={first}")
        });
        self.design().into_iter().map(|column| column.0).chain(references).collect()
    }

    /// What the program is to be asked for.
    pub(crate) fn spec(&self) -> Spec {
        Spec {
            label: Some("y".into()),
            features: Some(
                self.numbers
                    .iter()
                    .map(|column| &column.0)
                    .chain(self.texts.iter().map(|column| &column.0))
                    .cloned()
                    .collect(),
            ),
            weight: self.weights.as_ref().map(|_| "weight".into()),
            offsets: self.offsets.iter().map(|_| "offset".into()).collect(),
            ..Spec::default()
        }
    }

    /// Writes the table as a Parquet file.
    pub(crate) fn write(&self, path: &Path) {
        let number = |values: &Vec<f64>| -> ArrayRef {
            if self.integers && values.iter().all(|x| x.fract() == 0.0 && x.abs() < 1e9) {
                return Arc::new(values.iter().map(|x| Some(*x as i64)).collect::<Int64Array>());
            }
            Arc::new(Float64Array::from(values.clone()))
        };
        let label: ArrayRef = if self.classes == 2 {
            Arc::new(self.label.iter().map(|class| Some(*class == 1)).collect::<BooleanArray>())
        } else {
            Arc::new(self.label.iter().map(|class| Some(CLASSES[*class])).collect::<StringArray>())
        };
        let mut columns = vec![("y", label)];
        columns.extend(self.numbers.iter().map(|(name, values)| (name.as_str(), number(values))));
        for (name, values) in &self.texts {
            columns.push((name, Arc::new(values.iter().map(Some).collect::<StringArray>())));
        }
        for (name, values) in [("weight", &self.weights), ("offset", &self.offsets)] {
            if let Some(values) = values {
                columns.push((name, Arc::new(Float64Array::from(values.clone()))));
            }
        }
        write_parquet(path, &columns, usize::MAX);
    }
}

/// The levels of a text, sorted by their bytes.
pub(crate) fn levels(values: &[String]) -> Vec<String> {
    let mut levels = values.to_vec();
    levels.sort_unstable();
    levels.dedup();
    levels
}

impl Random {
    /// A whole number from 0 to below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.unit() * end as f64) as usize).min(end - 1)
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// So many different numbers below `end`, or all of them.
    pub(crate) fn some_of(&mut self, count: usize, end: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..end).collect();
        (0..count.min(end)).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    /// Box and Muller (1958), "A note on the generation of random normal deviates".
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Added to the margins of the classes, the largest of which is then drawn as in a softmax.
    pub(crate) fn gumbel(&mut self) -> f64 {
        -(-(1.0 - self.unit()).ln()).ln()
    }
}

/// Mean and standard deviation (divisor n).
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// A column in units of its standard deviation, about its mean.
pub(crate) fn standardized(values: &[f64]) -> Vec<f64> {
    let (mean, deviation) = moments(values);
    values.iter().map(|x| (x - mean) / if deviation > 0.0 { deviation } else { 1.0 }).collect()
}

#[expect(clippy::float_cmp, reason = "a column is constant if its numbers are the same, and not if they are close")]
pub(crate) fn is_constant(values: &[f64]) -> bool {
    values.iter().all(|x| *x == values[0])
}
