//! Several problems that share a pass over the features: points of a path, folds, one class against the rest.

use crate::fold::{Fold, Monoid, add_entries};
use crate::logistic::{sigmoid, terms};
use crate::matrix::Symmetric;

/// Margins that a pass takes at a price that is counted as one.
pub const MARGINS_OF_A_PASS: usize = 8;

/// An evaluation that shares a pass with others.
#[derive(Clone, Copy, Debug)]
pub struct Work<'w> {
    /// Where: parameters as those of [`Objective`](crate::objective::Objective), which a GPU rounds to f32.
    pub point: &'w [f64],
    /// The cells whose rows it takes, in ascending order; all of them for `None`. Others cost it nothing.
    pub cells: Option<&'w [usize]>,
    /// Whether the Hessian is wanted too: of all parameters that [`Work::columns`] names.
    pub takes_hessian: bool,
    /// The parameters of each margin whose Hessian is wanted (a working set), ascending; all of them for `None`. The gradient
    /// has all parameters in any case.
    pub columns: Option<&'w [usize]>,
}

impl<'w> Work<'w> {
    /// Loss and gradient at a point, of all rows.
    pub fn at(point: &'w [f64]) -> Self {
        Self { point, cells: None, takes_hessian: false, columns: None }
    }

    /// # Panics
    /// If cells or columns are not in ascending order, or are not among those that there are.
    pub(super) fn assert_fits(&self, cells: usize, parameters_of_margin: usize) {
        for (list, count, what) in [(self.cells, cells, "cells"), (self.columns, parameters_of_margin, "columns")] {
            let list = list.unwrap_or_default();
            assert!(
                list.is_sorted_by(|a, b| a < b) && list.last().is_none_or(|last| *last < count),
                "{what}: {list:?}"
            );
        }
    }

    /// Whether it takes the rows of a cell.
    pub fn takes(&self, cell: usize) -> bool {
        self.cells.is_none_or(|cells| cells.binary_search(&cell).is_ok())
    }
}

/// Sums over the rows of a cell, by their weights: no means, so that those of several cells add up.
#[derive(Clone, Debug)]
pub struct CellSums {
    /// The cell.
    pub cell: usize,
    /// Of the losses.
    pub loss: f64,
    /// Of the gradients, `[parameters]`.
    pub gradient: Vec<f64>,
    /// Of the Hessians, if that was wanted.
    pub hessian: Option<Symmetric>,
}

impl Monoid for CellSums {
    fn join(&mut self, following: Self) {
        self.loss += following.loss;
        add_entries(&mut self.gradient, &following.gradient);
        if let (Some(sum), Some(following)) = (&mut self.hessian, &following.hessian) {
            sum.add(following);
        }
    }
}

/// Where the columns of a cell lie, by the row weights.
#[derive(Clone, Debug, PartialEq)]
pub struct CellMoments {
    /// Of all its rows.
    pub weight: f64,
    /// Sums of the columns, x extended by 1, `[features + 1]`.
    pub sums: Vec<f64>,
    /// Sums of their squares, `[features + 1]`.
    pub squares: Vec<f64>,
}

/// How well a point tells rows: sums by the row weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOut {
    /// Of the cross-entropies.
    pub loss: f64,
    /// Of the squares of what probabilities are off by, `(L - t)^2`; of several classes those of all of them.
    pub brier: f64,
    /// Of the rows whose class is not the most probable one; of those that are as probable the first one is taken.
    pub errors: f64,
    /// The margins themselves, `[rows]`, where they were asked for.
    pub margins: Vec<f64>,
}

impl HeldOut {
    /// Adds rows of several classes with margins `[margins][rows]` against the first one.
    pub(super) fn add_of_classes(&mut self, margins: &[f64], labels: &[f32], row_weights: Option<&[f32]>) {
        let rows = labels.len();
        for (row, &label) in labels.iter().enumerate() {
            let weight = row_weights.map_or(1.0, |weights| f64::from(weights[row]));
            if weight <= 0.0 {
                continue;
            }
            let of_row = || std::iter::once(0.0).chain(margins.iter().skip(row).step_by(rows).copied());
            let (mut likeliest, mut top) = (0, 0.0);
            for (class, z) in of_row().enumerate() {
                if z > top {
                    (likeliest, top) = (class, z);
                }
            }
            let sum: f64 = of_row().map(|z| (z - top).exp()).sum();
            let (mut own, mut brier) = (f64::NAN, 0.0);
            for (class, z) in of_row().enumerate() {
                let is_own = f32::from(class as u16).total_cmp(&label).is_eq();
                if is_own {
                    own = z;
                }
                brier += ((z - top).exp() / sum - f64::from(u8::from(is_own))).powi(2);
            }
            self.loss += weight * (sum.ln() + top - own);
            self.brier += weight * brier;
            self.errors += if f32::from(likeliest as u16).total_cmp(&label).is_eq() { 0.0 } else { weight };
        }
    }

    /// Adds rows of two classes with these margins.
    #[inline]
    pub(super) fn add(&mut self, margins: &[f64], labels: &[f32], row_weights: Option<&[f32]>) {
        let (mut loss, mut brier, mut errors) = (0.0, 0.0, 0.0);
        for (row, (&z, &label)) in margins.iter().zip(labels).enumerate() {
            let weight = row_weights.map_or(1.0, |weights| f64::from(weights[row]));
            if weight > 0.0 {
                let t = f64::from(label);
                loss += weight * terms(z, t).loss;
                brier += weight * (sigmoid(z) - t).powi(2);
                errors += if (z > 0.0) == (t > 0.5) { 0.0 } else { weight };
            }
        }
        self.loss += loss;
        self.brier += brier;
        self.errors += errors;
    }
}

impl Monoid for HeldOut {
    fn join(&mut self, following: Self) {
        self.loss += following.loss;
        self.brier += following.brier;
        self.errors += following.errors;
    }
}

/// The sums of several cells, in one tree by their position; `None` of none. The cell is that of the first.
pub fn total(cells: &[CellSums]) -> Option<CellSums> {
    let mut sums = Fold::default();
    for cell in cells {
        sums.push(cell.clone());
    }
    sums.finish()
}
