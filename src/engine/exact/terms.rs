//! Margins of rows as the file has them, and what these rows add to sums, for any number of margins.

use crate::data::Block;
use crate::softmax::{MOST_ROWS, Rows};
use crate::standardize::ColumnScale;

/// Standardises the features of a block, and gives its margins, offsets included, `[margins][rows]`.
pub(super) fn margins_of(block: &mut Block<'_>, scales: &[ColumnScale], parameters: &[f64]) -> Vec<Vec<f64>> {
    let size = scales.len() + 1;
    let start = |(margin, parameters): (usize, &[f64])| match block.offsets {
        None => vec![parameters[size - 1]; block.labels.len()],
        Some(offsets) => offsets[margin].iter().map(|offset| parameters[size - 1] + offset).collect(),
    };
    let mut rows: Vec<Vec<f64>> = parameters.chunks(size).enumerate().map(start).collect();
    for (j, (column, place)) in block.features.iter_mut().zip(scales).enumerate() {
        if place.scale > 0.0 {
            for x in &mut *column {
                *x = (*x - place.mean) / place.scale;
            }
            for (margin, parameters) in rows.iter_mut().zip(parameters.chunks(size)) {
                for (z, x) in margin.iter_mut().zip(&*column) {
                    *z += parameters[j] * *x;
                }
            }
        }
    }
    rows
}

/// What rows add to sums, without their weights.
pub(super) struct Terms {
    /// `[rows]`.
    pub(super) losses: Vec<f64>,
    /// `[margins][rows]`.
    pub(super) residuals: Vec<Vec<f64>>,
    /// What the products of two margins have in the Hessian, `[pairs][rows]`.
    pub(super) curvatures: Vec<Vec<f64>>,
}

/// The terms of rows with these margins `[margins][rows]`, with the curvatures of pairs of margins.
pub(super) fn terms_of(margins: Vec<Vec<f64>>, labels: &[f64], pairs: &[(usize, usize)]) -> Terms {
    let mut losses = vec![0.0; labels.len()];
    let mut curvatures = vec![vec![0.0; labels.len()]; pairs.len()];
    // Residuals take the place of the margins that they are made of.
    let mut residuals = margins;
    let (mut rows, mut probabilities) = (Rows::default(), Vec::new());
    for first in (0..labels.len()).step_by(MOST_ROWS) {
        let here = first..(first + MOST_ROWS).min(labels.len());
        let count = here.len();
        let labels: Vec<f32> = labels[here.clone()].iter().map(|t| *t as f32).collect();
        probabilities.clear();
        for margin in &residuals {
            probabilities.extend(&margin[here.clone()]);
        }
        rows.take(&labels, &mut probabilities);
        rows.losses(&mut losses[here.clone()]);
        let of = |margin: usize| &probabilities[margin * count..][..count];
        for (margin, residuals) in residuals.iter_mut().enumerate() {
            rows.residuals(margin + 1, of(margin), &labels, &mut residuals[here.clone()]);
        }
        for (&(a, b), curvatures) in pairs.iter().zip(&mut curvatures) {
            let curvatures = &mut curvatures[here.clone()];
            if a == b {
                rows.curvatures(a + 1, of(a), curvatures);
            } else {
                for ((curvature, p), q) in curvatures.iter_mut().zip(of(a)).zip(of(b)) {
                    *curvature = -p * q;
                }
            }
        }
    }
    Terms { losses, residuals, curvatures }
}

/// A term of a row by its weight; exactly nothing of a row of weight 0, whatever its margins.
pub(super) fn weighed(block: &Block<'_>, row: usize, term: f64) -> f64 {
    match block.weights {
        None => term,
        Some(weights) if weights[row] > 0.0 => weights[row] * term,
        Some(_) => 0.0,
    }
}
