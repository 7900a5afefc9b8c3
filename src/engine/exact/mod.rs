//! The exact pass: loss and gradient in f64 over the values of the file itself, none of them narrowed to f32, with
//! sums that lose nothing. It is what `evaluate` of either engine approximates.
//!
//! Standardised coordinates throughout (see [`standardize`](crate::standardize)): `z = sum w~_j (x_j - m_j) / s_j + b~`.
//! The large part of a column with a large mean is gone before anything is multiplied, so nothing cancels.

mod products;
mod terms;

pub use products::{ExactProducts, Scatter, products_file};

use crate::data::{Block, Label, Plan, Table, fold_rows};
use crate::error::Result;
use crate::matrix::product;
use crate::monitor::Monitor;
use crate::standardize::ColumnScale;
use crate::sum::Sum;
use terms::{Terms, margins_of, terms_of, weighed};

/// Loss and gradient at a point, as exact as f64 has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    /// Mean cross-entropy, weighted by the row weights as the file has them.
    pub loss: f64,
    /// By the standardised weights of all features of the plan and the standardised intercept, `[features + 1]` for each
    /// margin, the intercept last: `1/N sum w_k r_k (x_kj - m_j) / s_j` and `1/N sum w_k r_k`, N the sum of the row weights. 0 for a
    /// constant column.
    pub gradient: Vec<f64>,
}

/// One pass over the file of `table`: mean loss and gradient of the unpenalised model with the standardised `parameters`:
/// for each margin, one after the other, the weights `w~_j = w_j s_j` `[features]` and the intercept `b~ = b + sum w_j m_j`.
/// Of a softmax there is one for each class but the first.
///
/// `scales` `[features]` says where the columns lie: of each only `mean` and `scale` are used, and a column with
/// scale 0 adds nothing. A model without an intercept still has its `b~`, of which its constant columns are a part.
///
/// The same bits every time, whatever the threads. The sums' rounding is far below that of their terms.
///
/// # Panics
/// If `parameters` and `scales` are not as many as the plan's features and the label's classes ask for.
pub fn evaluate_file(
    table: &Table,
    plan: &Plan,
    label: &Label,
    scales: &[ColumnScale],
    parameters: &[f64],
    monitor: &dyn Monitor,
) -> Result<Exact> {
    let features = plan.features();
    let expected = (label.classes.len() - 1) * (features + 1);
    assert_eq!((parameters.len(), scales.len()), (expected, features), "parameters and scales of the plan's features");
    monitor.begin("exact pass", Some(table.rows as u64));
    let zero = || Sums::zero(parameters.len());
    let ranges = fold_rows(table, plan, label, monitor, zero, |sums: &mut Sums, block| {
        sums.take(block, scales, parameters);
    })?;
    monitor.end();
    let mut sums = zero();
    for range in &ranges {
        sums.weight.merge(range.weight);
        sums.loss.merge(range.loss);
        for (sum, more) in sums.gradient.iter_mut().zip(&range.gradient) {
            sum.merge(*more);
        }
    }
    let n = sums.weight.value();
    Ok(Exact { loss: sums.loss.value() / n, gradient: sums.gradient.iter().map(|sum| sum.value() / n).collect() })
}

/// Sums over the rows of a range.
struct Sums {
    /// Of the row weights: the rows where they have none.
    weight: Sum,
    loss: Sum,
    /// `[margins][features + 1]`, the intercept last.
    gradient: Vec<Sum>,
}

impl Sums {
    fn zero(parameters: usize) -> Self {
        Self { weight: Sum::default(), loss: Sum::default(), gradient: vec![Sum::default(); parameters] }
    }

    /// Adds the rows of a block, whose features are standardised on the way.
    fn take(&mut self, block: &mut Block<'_>, scales: &[ColumnScale], parameters: &[f64]) {
        let margins = margins_of(block, scales, parameters);
        let Terms { losses, mut residuals, .. } = terms_of(margins, block.labels, &[]);
        for (row, loss) in losses.iter().enumerate() {
            self.weight.add(block.weights.map_or(1.0, |weights| weights[row]));
            self.loss.add(weighed(block, row, *loss));
        }
        for (residuals, sums) in residuals.iter_mut().zip(self.gradient.chunks_mut(scales.len() + 1)) {
            for (row, residual) in residuals.iter_mut().enumerate() {
                *residual = weighed(block, row, *residual);
                sums[scales.len()].add(*residual);
            }
            for ((sum, column), place) in sums.iter_mut().zip(&*block.features).zip(scales) {
                if place.scale > 0.0 {
                    for (x, r) in column.chunks(PLAIN_ROWS).zip(residuals.chunks(PLAIN_ROWS)) {
                        sum.add(product(x, r));
                    }
                }
            }
        }
    }
}

/// Rows whose products are added plainly, 16 in each of eight accumulators: their rounding is that of a few terms.
const PLAIN_ROWS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logistic::terms;

    /// A column with mean 1e12 and its twin with mean 0 lead to the same sums, a constant one to none.
    #[test]
    fn nothing_cancels_and_constants_add_nothing() {
        let place = |mean, scale| ColumnScale { mean, scale, device_mean: 0.0, device_scale: 1.0, reach: 1.0 };
        let values: Vec<f64> = (0..1_000).map(|row| f64::from(row * 37 % 101) - 50.0).collect();
        let labels: Vec<f64> = (0..1_000).map(|row| f64::from(u8::from(row * 7 % 11 < 4))).collect();
        let sums = |offset: f64| {
            let mut features = vec![values.iter().map(|x| x + offset).collect(), vec![4.0; 1_000]];
            let mut sums = Sums::zero(3);
            let mut block =
                Block { first_row: 0, features: &mut features, labels: &labels, weights: None, offsets: None };
            sums.take(&mut block, &[place(offset, 29.0), place(4.0, 0.0)], &[1.5, 9.0, -0.25]);
            (sums.loss.value(), sums.gradient.iter().map(|sum| sum.value()).collect::<Vec<_>>())
        };
        let (loss, gradient) = sums(0.0);
        assert_eq!((loss, gradient.clone()), sums(1e12));
        assert!(loss > 0.0 && gradient[0] != 0.0 && gradient[1] == 0.0 && gradient[2] != 0.0);
        // The control: the same sums the plain way.
        let (mut plain_loss, mut plain) = (0.0, [0.0; 3]);
        for (x, t) in values.iter().zip(&labels) {
            let row = terms(1.5 * (x / 29.0) - 0.25, *t);
            plain_loss += row.loss;
            plain[0] += row.residual * (x / 29.0);
            plain[2] += row.residual;
        }
        assert!((loss - plain_loss).abs() <= 1e-13 * loss, "{loss} {plain_loss}");
        for (sum, plain) in gradient.iter().zip(plain) {
            assert!((sum - plain).abs() <= 1e-11, "{gradient:?} {plain:?}");
        }
    }

    /// A row of weight 2 is the row twice, one of weight 0 is none whatever its margin, and an offset is a feature of
    /// weight 1; an offset left out or a weight of another row is not the same.
    #[test]
    fn weights_repeat_rows_and_offsets_are_margins() {
        const ROWS: usize = 600;
        let place = |scale| ColumnScale { mean: 0.0, scale, device_mean: 0.0, device_scale: 1.0, reach: 1.0 };
        let x: Vec<f64> = (0..ROWS).map(|row| (row * 37 % 101) as f64 / 50.0 - 1.0).collect();
        let labels: Vec<f64> = (0..ROWS).map(|row| f64::from(u8::from(row * 7 % 11 < 4))).collect();
        let weights: Vec<f64> = (0..ROWS).map(|row| (row * 5 % 4) as f64).collect();
        let offsets: Vec<f64> =
            (0..ROWS).map(|row| if weights[row] > 0.0 { (row * 13 % 17) as f64 / 4.0 - 2.0 } else { 1e300 }).collect();
        let sums = |x: &[f64], labels: &[f64], weights: Option<&[f64]>, offsets: Option<&[f64]>, column: &[f64]| {
            let mut sums = Sums::zero(3);
            let mut features = [x.to_vec(), column.to_vec()];
            let offsets: Option<Vec<Vec<f64>>> = offsets.map(|offsets| vec![offsets.to_vec()]);
            let offsets = offsets.as_deref();
            sums.take(
                &mut Block { first_row: 0, features: &mut features, labels, weights, offsets },
                &[place(1.0), place(if column.is_empty() { 0.0 } else { 1.0 })],
                &[1.5, 1.0, -0.25],
            );
            [sums.weight, sums.loss, sums.gradient[0], sums.gradient[2]].map(Sum::value)
        };
        let repeat = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&weights).flat_map(|(&value, &w)| vec![value; w as usize]).collect()
        };
        let expected = sums(&repeat(&x), &repeat(&labels), None, None, &repeat(&offsets));
        let agrees = |found: [f64; 4]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-13 * b.abs());
        assert!(agrees(sums(&x, &labels, Some(&weights), Some(&offsets), &[])), "{expected:?}");
        let mut swapped = weights.clone();
        swapped.swap(4, 5);
        assert!(!agrees(sums(&x, &labels, Some(&swapped), Some(&offsets), &[])));
        let mut dropped = offsets.clone();
        dropped[5] = 0.0;
        assert!(weights[5] > 0.0 && !agrees(sums(&x, &labels, Some(&weights), Some(&dropped), &[])));
    }
}
