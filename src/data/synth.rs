//! Seeded data of any size in constant memory, from a logistic model or a softmax that is known.
//!
//! Features are standard normal with pairwise correlation `R` (one common factor), the true weights are
//! normal, and the label is drawn from the model's probabilities. Each row group has a random stream of its
//! own, so a row's values depend on the seed and its position alone.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::MOST_CLASSES;
use crate::error::{Error, Result};
use crate::logistic::sigmoid;
use crate::monitor::Monitor;

/// Rows of a row group.
pub const ROW_GROUP_ROWS: usize = 250_000;

/// What to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The number of rows.
    pub rows: usize,
    /// The number of features, called `x1`, `x2`, ...; the label is the boolean `y`.
    pub features: usize,
    /// Classes; with more than two the label is a text, `c1`, `c2`, ...
    pub classes: usize,
    /// Pairwise correlation of the features, in 0..1.
    pub correlation: f64,
    /// Share of positive labels, in 0..1.
    pub positives: f64,
    /// The label is decided by the sign of the margin, so that no finite maximum of the likelihood exists.
    pub separable: bool,
    /// Share of null cells in the features, in 0..1.
    pub nulls: f64,
    /// The seed.
    pub seed: u64,
}

/// The model that the labels were drawn from: the margin of the positive class, or of every class but the first.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Truth {
    /// Of two classes.
    Margin(Margin),
    /// Of several, against the first.
    Softmax {
        /// Of the second class, the third, ...
        margins: Vec<Margin>,
    },
}

/// A linear function of the features.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Margin {
    /// The intercept.
    pub intercept: f64,
    /// The coefficients of `x1`, `x2`, ...
    pub coefficients: Vec<f64>,
}

impl Truth {
    /// The margins.
    pub fn margins(&self) -> &[Margin] {
        match self {
            Self::Margin(margin) => std::slice::from_ref(margin),
            Self::Softmax { margins } => margins,
        }
    }
}

impl Default for Recipe {
    /// A million rows of 28 independent features, half of them positive.
    fn default() -> Self {
        Self {
            rows: 1_000_000,
            features: 28,
            classes: 2,
            correlation: 0.0,
            positives: 0.5,
            separable: false,
            nulls: 0.0,
            seed: 0,
        }
    }
}

impl Recipe {
    /// Checks the ranges.
    pub fn check(&self) -> Result<()> {
        let fail = |fact: String, way_out: &str| Err(Error::usage(fact, way_out));
        if self.rows == 0 || self.features == 0 {
            return fail(
                format!("{} rows x {} features hold no data", self.rows, self.features),
                "Ask for at least one of each.",
            );
        }
        if !(0.0..1.0).contains(&self.correlation) {
            return fail(
                format!("⟦correlation {}⟧ is out of range", self.correlation),
                "Give a number from 0 up to, not including, 1.",
            );
        }
        if !(self.positives > 0.0 && self.positives < 1.0) {
            return fail(
                format!("⟦imbalance {}⟧ is out of range", self.positives),
                "Give the share of positive labels, between 0 and 1.",
            );
        }
        if !(2..=MOST_CLASSES).contains(&self.classes) {
            return fail(format!("⟦classes {}⟧ is out of range", self.classes), "Give a number from 2 to 1000.");
        }
        if self.classes > 2 && (self.positives - Self::default().positives).abs() > 0.0 {
            return fail(
                "⟦imbalance⟧ is the share of the positive class, and several classes have none".into(),
                "Leave it out.",
            );
        }
        if !(0.0..1.0).contains(&self.nulls) {
            return fail(
                format!("⟦nulls {}⟧ is out of range", self.nulls),
                "Give the share of null cells, from 0 up to, not including, 1.",
            );
        }
        Ok(())
    }

    /// The true model: normal weights that give each margin a standard deviation of 2, and the intercept that
    /// gives the share of positives; 0 with several classes.
    pub fn truth(&self) -> Truth {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        if self.classes == 2 {
            return Truth::Margin(self.margin(intercept_for(self.positives), &mut random));
        }
        Truth::Softmax { margins: (1..self.classes).map(|_| self.margin(0.0, &mut random)).collect() }
    }

    fn margin(&self, intercept: f64, random: &mut ChaCha8Rng) -> Margin {
        let weights: Vec<f64> = (0..self.features).map(|_| StandardNormal.sample(random)).collect();
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        let sum: f64 = weights.iter().sum();
        let deviation = ((1.0 - self.correlation) * squares + self.correlation * sum * sum).sqrt();
        let factor = MARGIN_DEVIATION / deviation;
        Margin { intercept, coefficients: weights.iter().map(|w| w * factor).collect() }
    }
}

const MARGIN_DEVIATION: f64 = 2.0;

/// The intercept at which the mean of `sigmoid(b + 2 e)`, e standard normal, is `share`: bisection over the
/// trapezoidal rule.
fn intercept_for(share: f64) -> f64 {
    let mean = |b: f64| {
        let (mut sum, mut weights) = (0.0, 0.0);
        for i in -800..=800 {
            let e = f64::from(i) * 0.01;
            let weight = (-0.5 * e * e).exp();
            sum += weight * sigmoid(b + MARGIN_DEVIATION * e);
            weights += weight;
        }
        sum / weights
    };
    let (mut low, mut high) = (-60.0, 60.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if mean(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Writes the data as Parquet to `out`, which will be called `path`, and gives the true model.
pub fn write(recipe: &Recipe, out: impl Write + Send, path: &Path, monitor: &dyn Monitor) -> Result<Truth> {
    recipe.check()?;
    let truth = recipe.truth();
    let nullable = recipe.nulls > 0.0;
    let mut fields: Vec<Field> =
        (1..=recipe.features).map(|j| Field::new(format!("x{j}"), DataType::Float32, nullable)).collect();
    fields.push(Field::new("y", if recipe.classes == 2 { DataType::Boolean } else { DataType::Utf8 }, false));
    let schema = Arc::new(Schema::new(fields));
    // Random floats neither repeat nor compress; Snappy is what most files have all the same.
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let mut writer =
        ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(|cause| Error::output(path, cause))?;
    monitor.begin("writing", Some(recipe.rows as u64));
    for group in 0..recipe.rows.div_ceil(ROW_GROUP_ROWS) {
        let rows = ROW_GROUP_ROWS.min(recipe.rows - group * ROW_GROUP_ROWS);
        let columns = row_group(recipe, &truth, group, rows);
        monitor.check()?;
        let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|cause| Error::output(path, cause))?;
        writer.write(&batch).map_err(|cause| Error::output(path, cause))?;
        writer.flush().map_err(|cause| Error::output(path, cause))?;
        monitor.advance(rows as u64);
    }
    writer.close().map_err(|cause| Error::output(path, cause))?;
    monitor.end();
    Ok(truth)
}

/// The columns of a row group, label last. Stream 0 of a group has the common factor and the labels,
/// stream j the feature j.
fn row_group(recipe: &Recipe, truth: &Truth, group: usize, rows: usize) -> Vec<ArrayRef> {
    let random = |stream: usize| {
        let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
        // Streams 0 and up of the seed itself are for the truth.
        random.set_stream(1 + (group * (recipe.features + 1) + stream) as u64);
        random
    };
    let mut common_random = random(0);
    let common: Vec<f64> = (0..rows).map(|_| StandardNormal.sample(&mut common_random)).collect();
    let (own, shared) = ((1.0 - recipe.correlation).sqrt(), recipe.correlation.sqrt());
    let features: Vec<Vec<f32>> = (0..recipe.features)
        .into_par_iter()
        .map(|j| {
            let mut random = random(j + 1);
            common
                .iter()
                .map(|common| {
                    let e: f64 = StandardNormal.sample(&mut random);
                    (own * e + shared * common) as f32
                })
                .collect()
        })
        .collect();
    // The label follows the values as they are stored.
    let margins: Vec<Vec<f64>> = truth
        .margins()
        .iter()
        .map(|Margin { intercept, coefficients }| {
            let mut margins = vec![*intercept; rows];
            for (column, weight) in features.iter().zip(coefficients) {
                for (margin, x) in margins.iter_mut().zip(column) {
                    *margin += weight * f64::from(*x);
                }
            }
            margins
        })
        .collect();
    let mut draw = || common_random.random::<f64>();
    let labels: ArrayRef = if let Truth::Margin(_) = truth {
        let label = |&z: &f64| {
            let draw = draw();
            Some(if recipe.separable { z > 0.0 } else { draw < sigmoid(z) })
        };
        Arc::new(margins[0].iter().map(label).collect::<BooleanArray>())
    } else {
        let names: Vec<String> = (1..=recipe.classes).map(|class| format!("c{class}")).collect();
        let label = |row: usize| Some(names[class_of(&margins, row, draw(), recipe.separable)].as_str());
        Arc::new((0..rows).map(label).collect::<StringArray>())
    };
    let mut columns: Vec<ArrayRef> = features
        .into_iter()
        .map(|column| {
            if recipe.nulls == 0.0 {
                return Arc::new(Float32Array::from(column)) as ArrayRef;
            }
            let keep = |x: f32, random: &mut ChaCha8Rng| (random.random::<f64>() >= recipe.nulls).then_some(x);
            Arc::new(column.into_iter().map(|x| keep(x, &mut common_random)).collect::<Float32Array>()) as ArrayRef
        })
        .collect();
    columns.push(labels);
    columns
}

/// The class of a row by a number in 0..1, or the likeliest one.
fn class_of(margins: &[Vec<f64>], row: usize, draw: f64, likeliest: bool) -> usize {
    let z = |class: usize| if class == 0 { 0.0 } else { margins[class - 1][row] };
    let classes = 0..=margins.len();
    let top = classes.clone().fold(0, |top, class| if z(class) > z(top) { class } else { top });
    if likeliest {
        return top;
    }
    let odds = |class: usize| (z(class) - z(top)).exp();
    let mut left = draw * classes.clone().map(odds).sum::<f64>();
    let found = classes.clone().find(|&class| {
        left -= odds(class);
        left < 0.0
    });
    found.unwrap_or(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intercept_gives_the_share() {
        // At share 1/2 the integrand is odd around 0.
        assert!(intercept_for(0.5).abs() <= 1e-12);
        assert!((intercept_for(0.1) + intercept_for(0.9)).abs() <= 1e-9);
        assert!(intercept_for(0.01) < intercept_for(0.1));
    }
}
