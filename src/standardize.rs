//! The scaling of a problem: the solver works in exactly standardised coordinates, the device
//! in the coordinates in which its columns were narrowed.
//!
//! With exact moments `m, s` of a column and the device's `m^, s^` (from a sample of rows), a model
//! `z = w.x + b` reads in the three coordinates
//!
//! ```text
//! original       z = sum w_j x_j + b
//! standardised   z = sum w~_j (x_j - m_j) / s_j + b~       w~_j = w_j s_j
//! device         z = sum w^_j (x_j - m^_j) / s^_j + b^     w^_j = w_j s^_j
//! ```
//!
//! so `w^_j = w~_j s^_j / s_j` and `b^ = b~ + sum w~_j (m^_j - m_j) / s_j`. Without an intercept
//! `b = 0` ties `b~ = sum w~_j m_j / s_j`. The map is linear; gradients go back by its transpose.
//! All of it is f64 on the host, before anything is rounded. A softmax has such parameters for each of its margins, one
//! after the other, and the map is the same for each.

use std::sync::Arc;

use crate::lda::ClassMoments;
use crate::matrix::{Pattern, Symmetric};
use crate::objective::{Diagonal, Evaluation};

/// Where one column lies, exactly and on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnScale {
    /// Exact mean `m`.
    pub mean: f64,
    /// Exact standard deviation `s` (divisor N); 0 for a constant column.
    pub scale: f64,
    /// What the device's values were centred with, `m^`.
    pub device_mean: f64,
    /// What the device's values were divided by, `s^`.
    pub device_scale: f64,
    /// The largest absolute deviation from the mean.
    pub reach: f64,
}

/// The linear map between the solver's, the device's and the original coordinates.
#[derive(Clone, Debug)]
pub struct Coordinates {
    columns: Vec<ColumnScale>,
    /// Indices of the columns that the solver sees, ascending.
    active: Vec<usize>,
    intercept: bool,
}

impl Coordinates {
    /// Coordinates for `columns`. With an intercept a constant column is dropped (its coefficient is
    /// 0); without one it is an ordinary column, in units of its value.
    pub fn new(mut columns: Vec<ColumnScale>, intercept: bool) -> Self {
        let mut active = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter_mut().enumerate() {
            if column.scale == 0.0 && !intercept && column.mean != 0.0 {
                column.scale = column.mean.abs();
            }
            if column.scale > 0.0 {
                active.push(index);
            }
        }
        Self { columns, active, intercept }
    }

    /// Leaves a column of 0s and 1s uncentred, so that two of them that share no row have nothing in common.
    pub fn leave_uncentred(&mut self, index: usize) {
        let column = &mut self.columns[index];
        (column.mean, column.reach) = (0.0, 1.0);
    }

    /// These coordinates for a device whose columns are standardised exactly: the pass over the file is one.
    #[must_use]
    pub fn exact(&self) -> Self {
        let exact = |column: &ColumnScale| ColumnScale {
            device_mean: column.mean,
            device_scale: if column.scale > 0.0 { column.scale } else { 1.0 },
            ..*column
        };
        Self { columns: self.columns.iter().map(exact).collect(), ..self.clone() }
    }

    /// Parameters of the solver for a margin: one for each active column, and the intercept last if there is one.
    pub fn dimension(&self) -> usize {
        self.active.len() + usize::from(self.intercept)
    }

    /// The coordinates without the solver's parameters `dropped`; their coefficients are 0.
    #[must_use]
    pub fn without(&self, dropped: &[usize]) -> Self {
        let active =
            self.active.iter().enumerate().filter(|(index, _)| !dropped.contains(index)).map(|(_, &j)| j).collect();
        Self { active, ..self.clone() }
    }

    /// The coordinates of a table with the columns of the active ones at these places alone, all of them active.
    #[must_use]
    pub fn of_places(&self, places: &[usize]) -> Self {
        let columns = places.iter().map(|&place| self.columns[self.active[place]]).collect();
        Self { columns, active: (0..places.len()).collect(), intercept: self.intercept }
    }

    /// Whether the model has an intercept.
    pub fn has_intercept(&self) -> bool {
        self.intercept
    }

    /// Indices of the columns that the solver sees, ascending.
    pub fn active(&self) -> &[usize] {
        &self.active
    }

    /// How far each of the solver's parameters reaches into a margin `[dimension]`.
    pub fn reach(&self) -> Vec<f64> {
        let mut reach: Vec<f64> = self
            .active
            .iter()
            .map(|&j| {
                let column = &self.columns[j];
                let offset = if self.intercept { 0.0 } else { column.mean.abs() };
                (column.reach + offset) / column.scale
            })
            .collect();
        if self.intercept {
            reach.push(1.0);
        }
        reach
    }

    /// Exact scales of the active columns, in their order.
    pub fn active_scales(&self) -> Vec<f64> {
        self.active.iter().map(|&j| self.columns[j].scale).collect()
    }

    /// Applies a map of one margin to the parameters of each, `size` of them.
    fn by_margin(parameters: &[f64], size: usize, map: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        parameters.chunks(size.max(1)).flat_map(map).collect()
    }

    /// Solver's parameters or direction `[margins][dimension]` to the device's `[margins][columns + 1]`, intercept last.
    pub fn to_device(&self, solver: &[f64]) -> Vec<f64> {
        Self::by_margin(solver, self.dimension(), |solver| self.margin_to_device(solver))
    }

    fn margin_to_device(&self, solver: &[f64]) -> Vec<f64> {
        let mut device = vec![0.0; self.columns.len() + 1];
        let mut intercept = if self.intercept { solver[self.active.len()] } else { 0.0 };
        for (&weight, &j) in solver.iter().zip(&self.active) {
            let column = &self.columns[j];
            device[j] = weight * (column.device_scale / column.scale);
            intercept += weight * self.intercept_pull(column);
        }
        device[self.columns.len()] = intercept;
        device
    }

    /// A direction that the device rounded, back to the solver's coordinates. Exact up to f64 with an
    /// intercept; without one the tie of the intercept to the weights leaves its rounding out.
    pub fn back_from_device(&self, device: &[f64]) -> Vec<f64> {
        Self::by_margin(device, self.columns.len() + 1, |device| self.margin_from_device(device))
    }

    fn margin_from_device(&self, device: &[f64]) -> Vec<f64> {
        let mut solver: Vec<f64> =
            self.active.iter().map(|&j| device[j] * (self.columns[j].scale / self.columns[j].device_scale)).collect();
        if self.intercept {
            let pull: f64 =
                solver.iter().zip(&self.active).map(|(w, &j)| w * self.intercept_pull(&self.columns[j])).sum();
            solver.push(device[self.columns.len()] - pull);
        }
        solver
    }

    /// The linear map from the solver's parameters of a margin to one coefficient on the original scale, that of the active
    /// column `index` or of the intercept for `None`: its entries, place and value.
    pub fn coefficient_map(&self, index: Option<usize>) -> Vec<(usize, f64)> {
        match index {
            Some(index) => vec![(index, 1.0 / self.columns[self.active[index]].scale)],
            None if self.intercept => {
                let of_column = |(place, &j): (usize, &usize)| (place, -self.columns[j].mean / self.columns[j].scale);
                let own = (self.active.len(), 1.0);
                self.active.iter().enumerate().map(of_column).chain([own]).collect()
            }
            None => Vec::new(),
        }
    }

    /// The device's gradient `[margins][columns + 1]` to the solver's `[margins][dimension]`: the transposed map.
    pub fn gradient(&self, device: &[f64]) -> Vec<f64> {
        Self::by_margin(device, self.columns.len() + 1, |device| self.margin_gradient(device))
    }

    fn margin_gradient(&self, device: &[f64]) -> Vec<f64> {
        let intercept = device[self.columns.len()];
        let mut solver: Vec<f64> = self
            .active
            .iter()
            .map(|&j| {
                let column = &self.columns[j];
                device[j] * (column.device_scale / column.scale) + intercept * self.intercept_pull(column)
            })
            .collect();
        if self.intercept {
            solver.push(intercept);
        }
        solver
    }

    /// An evaluation of the device in the solver's coordinates.
    pub fn evaluation(&self, device: &Evaluation) -> Evaluation {
        Evaluation {
            value: device.value,
            gradient: self.gradient(&device.gradient),
            diagonal: device.diagonal.as_ref().map(|diagonal| self.diagonal(diagonal)),
            hessian: device.hessian.as_ref().map(|hessian| self.hessian(hessian)),
        }
    }

    /// The linear map `T` from the solver's parameters to the device's `[parameters]`.
    fn map(&self, parameters: usize) -> Vec<Share> {
        let size = self.columns.len() + 1;
        let of_margin = |margin: usize| {
            let (first, last) = (margin * size, (margin + 1) * size - 1);
            let share = move |&j: &usize| {
                let column = &self.columns[j];
                let (ratio, pull) = (column.device_scale / column.scale, self.intercept_pull(column));
                Share { index: first + j, ratio, last, pull }
            };
            let intercept = self.intercept.then_some(Share { index: last, ratio: 0.0, last, pull: 1.0 });
            self.active.iter().map(share).chain(intercept)
        };
        (0..parameters / size).flat_map(of_margin).collect()
    }

    /// The diagonal of `T'HT`.
    fn diagonal(&self, device: &Diagonal) -> Diagonal {
        let map = self.map(device.own.len());
        let row = |s: &Share| s.ratio * device.with_intercept[s.index] + s.pull * device.own[s.last];
        let own = |s: &Share| {
            s.ratio * s.ratio * device.own[s.index]
                + 2.0 * s.ratio * s.pull * device.with_intercept[s.index]
                + s.pull * s.pull * device.own[s.last]
        };
        Diagonal { own: map.iter().map(own).collect(), with_intercept: map.iter().map(row).collect() }
    }

    /// The device's Hessian to the solver's: `T'HT`.
    pub fn hessian(&self, device: &Symmetric) -> Symmetric {
        let map = self.map(device.size());
        let parts = |i: usize| [(map[i].index, map[i].ratio), (map[i].last, map[i].pull)];
        let Some(pattern) = device.pattern() else { return device.combined(map.len(), parts) };
        let entry = |a: usize, b: usize| {
            let products = parts(a).map(|(i, of_a)| parts(b).map(|(j, of_b)| of_a * of_b * device.get(i, j)));
            products.as_flattened().iter().sum()
        };
        // Loose columns are not centred, so they stay loose.
        let groups: Vec<Option<usize>> = map.iter().map(|share| pattern.group(share.index)).collect();
        Symmetric::of_pattern(Arc::new(Pattern::new(&groups, self.intercept)), entry)
    }

    /// Where the classes lie, of the active columns in the solver's coordinates; without an intercept, uncentred.
    pub fn moments(&self, device: &ClassMoments) -> ClassMoments {
        let map = self.map(self.columns.len() + 1);
        let active = &map[..self.active.len()];
        let mean = |mean: &Vec<f64>| active.iter().map(|s| s.ratio * mean[s.index] + s.pull).collect();
        let entry = |a: usize, b: usize| {
            active[a].ratio * active[b].ratio * device.within.get(active[a].index, active[b].index)
        };
        ClassMoments {
            weights: device.weights.clone(),
            means: device.means.iter().map(mean).collect(),
            within: Symmetric::from_lower(active.len(), entry),
        }
    }

    /// Where the columns lie, as these coordinates see it.
    pub fn columns(&self) -> &[ColumnScale] {
        &self.columns
    }

    /// Solver's parameters to weights `[columns]` and intercept on the original scale.
    pub fn to_original(&self, solver: &[f64]) -> (Vec<f64>, f64) {
        let mut weights = vec![0.0; self.columns.len()];
        let mut intercept = if self.intercept { solver[self.active.len()] } else { 0.0 };
        for (&weight, &j) in solver.iter().zip(&self.active) {
            weights[j] = weight / self.columns[j].scale;
            if self.intercept {
                intercept -= weight * (self.columns[j].mean / self.columns[j].scale);
            }
        }
        (weights, intercept)
    }

    /// Weights and intercept on the original scale to the solver's parameters.
    pub fn standardized(&self, weights: &[f64], intercept: f64) -> Vec<f64> {
        let mut solver: Vec<f64> = self.active.iter().map(|&j| weights[j] * self.columns[j].scale).collect();
        if self.intercept {
            let shift: f64 = self.active.iter().map(|&j| weights[j] * self.columns[j].mean).sum();
            solver.push(intercept + shift);
        }
        solver
    }

    /// What a unit of the solver's weight adds to the device's intercept.
    fn intercept_pull(&self, column: &ColumnScale) -> f64 {
        if self.intercept {
            (column.device_mean - column.mean) / column.scale
        } else {
            column.device_mean / column.scale
        }
    }
}

/// A parameter of the solver, in the device's: `ratio` of one of them, and `pull` of the intercept of its margin.
struct Share {
    index: usize,
    ratio: f64,
    last: usize,
    pull: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<ColumnScale> {
        vec![
            ColumnScale { mean: 10.0, scale: 2.0, device_mean: 9.5, device_scale: 2.5, reach: 5.0 },
            ColumnScale { mean: 4.0, scale: 0.0, device_mean: 4.0, device_scale: 1.0, reach: 0.0 },
            ColumnScale { mean: -3e5, scale: 1e-3, device_mean: -3e5, device_scale: 2e-3, reach: 4e-3 },
        ]
    }

    /// The margin of one row must be the same in all three coordinates.
    #[test]
    fn margins_agree_in_all_coordinates() {
        let row = [13.0, 4.0, -3e5 + 2e-3];
        for intercept in [true, false] {
            let coordinates = Coordinates::new(columns(), intercept);
            let solver: Vec<f64> = (0..coordinates.dimension()).map(|i| 0.3 - 0.7 * i as f64).collect();
            let (weights, bias) = coordinates.to_original(&solver);
            let original: f64 = bias + weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
            let device = coordinates.to_device(&solver);
            let on_device: f64 = device[3]
                + columns()
                    .iter()
                    .zip(row)
                    .zip(&device)
                    .map(|((c, x), w)| w * (x - c.device_mean) / c.device_scale)
                    .sum::<f64>();
            let tolerance = 1e-15 * weights.iter().zip(row).map(|(w, x)| (w * x).abs()).sum::<f64>();
            assert!((original - on_device).abs() <= tolerance, "{original} {on_device}");
            let back = coordinates.standardized(&weights, bias);
            assert_eq!(back.len(), solver.len());
            for (a, b) in back.iter().zip(&solver) {
                assert!((a - b).abs() <= tolerance, "{a} {b}");
            }
        }
    }

    #[test]
    fn constant_columns_are_dropped_only_beside_an_intercept() {
        assert_eq!(Coordinates::new(columns(), true).active(), [0, 2]);
        assert_eq!(Coordinates::new(columns(), false).active(), [0, 1, 2]);
    }

    /// `<g~, p~> = <g^, T p~>` for the transposed map, and a direction survives the way there and back.
    #[test]
    fn the_gradient_map_is_the_transpose() {
        for intercept in [true, false] {
            let coordinates = Coordinates::new(columns(), intercept);
            let direction: Vec<f64> = (0..coordinates.dimension()).map(|i| 1.0 + i as f64).collect();
            let gradient = [0.5, -2.0, 0.25, 3.0];
            let there: f64 = coordinates.to_device(&direction).iter().zip(gradient).map(|(p, g)| p * g).sum();
            let here: f64 = coordinates.gradient(&gradient).iter().zip(&direction).map(|(g, p)| g * p).sum();
            assert!((there - here).abs() <= 1e-12 * there.abs(), "{there} {here}");
            let back = coordinates.back_from_device(&coordinates.to_device(&direction));
            assert_eq!(back.len(), direction.len());
            for (a, b) in back.iter().zip(&direction) {
                assert!((a - b).abs() <= 1e-9, "{a} {b}");
            }
        }
    }
}
