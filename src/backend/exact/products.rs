//! The Hessian over the file itself, in f64: for standard errors with the digits that the data have.

use crate::backend::exact::{Sum, margins_of};
use crate::data::{Block, Label, Plan, Table, fold_rows};
use crate::error::Result;
use crate::logistic::terms;
use crate::matrix::{Products, Symmetric};
use crate::monitor::Monitor;
use crate::softmax;
use crate::standardize::ColumnScale;

/// Products of the columns with each other at a point, in f64 over the values of the file.
#[derive(Clone, Debug)]
pub struct ExactProducts {
    /// The Hessian of the mean loss, by the parameters as in [`Exact::gradient`].
    pub hessian: Symmetric,
    /// The scatter of the rows' gradients, if it was asked for: the middle of White's sandwich.
    pub scatter: Option<Symmetric>,
}

/// One pass over the file of `table` for the Hessian at `parameters`, and the scatter if `with_scatter`; all else as
/// [`evaluate_file`].
///
/// # Cost
/// `(margins (features + 1))^2` multiplications a row, and as many numbers in memory for each range of rows.
///
/// # Panics
/// If `parameters` and `scales` are not as many as the plan's features and the label's classes ask for.
#[expect(clippy::too_many_arguments, reason = "those of the evaluation, and what is wanted beside it")]
pub fn products_file(
    table: &Table,
    plan: &Plan,
    label: &Label,
    scales: &[ColumnScale],
    parameters: &[f64],
    with_scatter: bool,
    monitor: &dyn Monitor,
) -> Result<ExactProducts> {
    let (features, margins) = (plan.features(), label.classes.len() - 1);
    assert_eq!((parameters.len(), scales.len()), (margins * (features + 1), features), "parameters and scales");
    monitor.begin("exact Hessian", Some(table.rows as u64));
    let pairs = margins * (margins + 1) / 2;
    let zero = || {
        let products = vec![Products::zero(features + 1); if with_scatter { 2 * pairs } else { pairs }];
        (Sum::default(), products)
    };
    let ranges = fold_rows(table, plan, label, monitor, zero, |(weight, products), block| {
        let rows = margins_of(block, scales, parameters);
        let weights = block.weights;
        let n = block.labels.len();
        for row in 0..n {
            weight.add(weights.map_or(1.0, |weights| weights[row]));
        }
        let ones = vec![1.0; n];
        let zeros = vec![0.0; n];
        let columns: Vec<&[f64]> = block
            .features
            .iter()
            .zip(scales)
            .map(|(column, place)| if place.scale > 0.0 { column.as_slice() } else { &zeros })
            .chain([ones.as_slice()])
            .collect();
        let [curvatures, residuals] = factors(rows, block);
        let mut products = products.iter_mut();
        for (pair, products) in products.by_ref().take(pairs).enumerate() {
            products.add(&columns, &curvatures[pair]);
        }
        // With weights as if a row of weight 2 were there twice.
        for ((a, b), products) in pairs_of(margins).zip(products) {
            let squares: Vec<f64> = (0..n)
                .map(|row| {
                    let weight = weights.map_or(1.0, |weights| weights[row]);
                    if weight > 0.0 { weight * residuals[a][row] * residuals[b][row] } else { 0.0 }
                })
                .collect();
            products.add(&columns, &squares);
        }
    })?;
    monitor.end();
    let (mut weight, mut products) = zero();
    for (of_range, more) in &ranges {
        weight.merge(*of_range);
        products.iter_mut().zip(more).for_each(|(sum, more)| sum.merge(more));
    }
    let place = |a: usize, b: usize| a * (a + 1) / 2 + b;
    let joined = |products: &[Products]| Products::joined(margins, 1.0 / weight.value(), |a, b| &products[place(a, b)]);
    Ok(ExactProducts { hessian: joined(&products[..pairs]), scatter: with_scatter.then(|| joined(&products[pairs..])) })
}

/// Pairs of margins, `(a, b)` with `b <= a`.
fn pairs_of(margins: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..margins).flat_map(|a| (0..=a).map(move |b| (a, b)))
}

/// What the products of two margins have for each row, `[pairs][rows]`, weights included, and the residuals without
/// weights, `[margins][rows]`.
fn factors(mut margins: Vec<Vec<f64>>, block: &Block<'_>) -> [Vec<Vec<f64>>; 2] {
    let n = block.labels.len();
    let weighed = |row: usize, x: f64| match block.weights {
        None => x,
        Some(weights) if weights[row] > 0.0 => weights[row] * x,
        Some(_) => 0.0,
    };
    if let [margins] = margins.as_mut_slice() {
        let rows: Vec<_> = margins.iter().zip(block.labels).map(|(z, t)| terms(*z, *t)).collect();
        let curvatures = rows.iter().enumerate().map(|(row, terms)| weighed(row, terms.curvature)).collect();
        return [vec![curvatures], vec![rows.iter().map(|terms| terms.residual).collect()]];
    }
    let pairs: Vec<(usize, usize)> = pairs_of(margins.len()).collect();
    let mut factors = vec![vec![0.0; n]; pairs.len()];
    let mut residuals = vec![vec![0.0; n]; margins.len()];
    let (mut rows, mut probabilities) = (softmax::Rows::default(), Vec::new());
    for first in (0..n).step_by(softmax::MOST_ROWS) {
        let here = first..(first + softmax::MOST_ROWS).min(n);
        let count = here.len();
        let labels: Vec<f32> = block.labels[here.clone()].iter().map(|t| *t as f32).collect();
        probabilities.clear();
        for margin in &margins {
            probabilities.extend(&margin[here.clone()]);
        }
        rows.take(&labels, &mut probabilities);
        let of = |margin: usize| &probabilities[margin * count..][..count];
        for (margin, residuals) in residuals.iter_mut().enumerate() {
            rows.residuals(margin + 1, of(margin), &labels, &mut residuals[here.clone()]);
        }
        for ((a, b), factors) in pairs.iter().zip(&mut factors) {
            let factors = &mut factors[here.clone()];
            if a == b {
                rows.curvatures(a + 1, of(*a), factors);
            } else {
                let products = of(*a).iter().zip(of(*b));
                factors.iter_mut().zip(products).for_each(|(factor, (a, b))| *factor = -a * b);
            }
            factors.iter_mut().enumerate().for_each(|(row, factor)| *factor = weighed(first + row, *factor));
        }
    }
    [factors, residuals]
}
