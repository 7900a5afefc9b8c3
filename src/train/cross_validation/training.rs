//! The rows that folds train on: losses, gradients and Hessians by sums of cells.

use crate::data::Fold;
use crate::engine::Engine;
use crate::engine::part::mean;
use crate::engine::work::{CellSums, Work, total};
use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Evaluation;
use crate::solve::elastic_net::{FoldRows, PathStation};
use crate::standardize::Coordinates;
use crate::train::cross_validation::Setting;
use crate::train::cross_validation::recording::Recording;

/// The training rows of folds.
pub(super) struct Training<'t> {
    pub(super) engine: &'t mut dyn Engine,
    pub(super) coordinates: &'t Coordinates,
    pub(super) folds: &'t [Fold],
    /// Of each cell.
    pub(super) weights: Vec<f64>,
}

impl Training<'_> {
    pub(super) fn weight(&self, fold: usize) -> f64 {
        self.folds[fold].trained_on.iter().map(|&cell| self.weights[cell]).sum()
    }

    /// The mean gradient of a fold by sums of all cells.
    pub(super) fn gradient(&self, cells: &[CellSums], fold: usize) -> Vec<f64> {
        let of_fold: Vec<CellSums> = self.folds[fold].trained_on.iter().map(|&cell| cells[cell].clone()).collect();
        let weight = self.weight(fold);
        let sums = total(&of_fold).map_or_else(Vec::new, |sums| sums.gradient);
        self.coordinates.gradient(&sums.iter().map(|sum| sum / weight).collect::<Vec<_>>())
    }
}

impl FoldRows for Training<'_> {
    fn evaluate(&mut self, points: &[(usize, Vec<f64>)]) -> Result<Vec<Evaluation>> {
        let on_device: Vec<Vec<f64>> = points.iter().map(|(_, point)| self.coordinates.to_device(point)).collect();
        let work: Vec<Work<'_>> = points
            .iter()
            .zip(&on_device)
            .map(|((fold, _), point)| Work { cells: Some(&self.folds[*fold].trained_on), ..Work::at(point) })
            .collect();
        let found = self.engine.run(&work)?;
        let evaluation = |((fold, _), cells): (&(usize, Vec<f64>), &Vec<CellSums>)| {
            Ok(self.coordinates.evaluation(&mean(cells, self.weight(*fold))?))
        };
        points.iter().zip(&found).map(evaluation).collect()
    }
}

/// The Hessian of the training rows of a fold by the sums of cells, in the solver's coordinates.
pub(super) fn hessian_of_fold(
    fold: &Fold,
    cells: &[CellSums],
    weights: &[f64],
    coordinates: &Coordinates,
) -> Option<Symmetric> {
    let mut own: Option<Symmetric> = None;
    for &cell in &fold.trained_on {
        let hessian = cells[cell].hessian.as_ref()?;
        match &mut own {
            Some(own) => own.add(hessian),
            None => own = Some(hessian.clone()),
        }
    }
    let mut own = own?;
    own.scale(1.0 / fold.trained_on.iter().map(|&cell| weights[cell]).sum::<f64>());
    Some(coordinates.hessian(&own))
}

/// What the Hessian of the training rows of each fold has at each station beside that of those of the sample, `[stations][folds]`; that
/// of all rows where those of cells are not kept.
pub(super) fn corrections(
    recording: &Recording<'_>,
    mut sample: Option<&mut Training<'_>>,
    stations: &[PathStation],
    weights: &[f64],
    Setting { folds, coordinates, .. }: Setting<'_>,
) -> Result<Vec<Vec<Symmetric>>> {
    let mut corrections = Vec::with_capacity(stations.len());
    for station in stations {
        let on_device = coordinates.to_device(&station.point);
        let known = recording.hessians(&on_device);
        let of_sample = match (&mut sample, known) {
            (Some(sample), Some(_)) => {
                let found = sample.engine.run(&[Work { takes_hessian: true, ..Work::at(&on_device) }])?;
                found.into_iter().next().map(|cells| (cells, sample.weights.clone()))
            }
            _ => None,
        };
        let of_fold = |fold: &Fold| {
            let own = known.and_then(|cells| hessian_of_fold(fold, cells, weights, coordinates));
            let Some(mut own) = own else { return station.correction.clone() };
            if let Some((cells, weights)) = &of_sample
                && let Some(mut of_sample) = hessian_of_fold(fold, cells, weights, coordinates)
            {
                of_sample.scale(-1.0);
                own.add(&of_sample);
            }
            own
        };
        corrections.push(folds.folds.iter().map(of_fold).collect());
    }
    Ok(corrections)
}
