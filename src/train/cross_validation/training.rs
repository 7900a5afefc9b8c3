//! The rows that folds train on: losses, gradients and Hessians by sums of cells.

use crate::data::Fold;
use crate::engine::Engine;
use crate::engine::part::mean;
use crate::engine::work::{CellSums, Work, total};
use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Evaluation;
use crate::solve::elastic_net::{FoldRows, PathStation};
use crate::train::cross_validation::Setting;
use crate::train::cross_validation::recording::Recording;
use crate::train::parametrisation::Parametrisation;

/// The training rows of folds.
pub(super) struct Training<'t> {
    pub(super) engine: &'t mut dyn Engine,
    pub(super) parametrisation: Parametrisation<'t>,
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
        self.parametrisation.gradient(&sums.iter().map(|sum| sum / weight).collect::<Vec<_>>())
    }
}

impl FoldRows for Training<'_> {
    fn evaluate(&mut self, points: &[(usize, Vec<f64>)]) -> Result<Vec<Evaluation>> {
        let on_device: Vec<Vec<f64>> = points.iter().map(|(_, point)| self.parametrisation.to_device(point)).collect();
        let work: Vec<Work<'_>> = points
            .iter()
            .zip(&on_device)
            .map(|((fold, _), point)| Work { cells: Some(&self.folds[*fold].trained_on), ..Work::at(point) })
            .collect();
        let found = self.engine.run(&work)?;
        let evaluation = |((fold, _), cells): (&(usize, Vec<f64>), &Vec<CellSums>)| {
            Ok(self.parametrisation.evaluation(&mean(cells, self.weight(*fold))?))
        };
        points.iter().zip(&found).map(evaluation).collect()
    }
}

/// The Hessian of the training rows of a fold by the sums of cells, of the parameters of the fit.
fn hessian_of_fold(fold: &Fold, cells: &[CellSums], weights: &[f64], fit: Parametrisation<'_>) -> Option<Symmetric> {
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
    Some(fit.hessian(&own))
}

/// What is known of the Hessians of folds at stations, `[stations][folds]`.
#[derive(Default)]
pub(super) struct Hessians {
    /// Of the training rows; none at a station where those of cells are not kept.
    pub(super) own: Vec<Vec<Symmetric>>,
    /// What they are beside those of the sample; that of all rows where there are none.
    pub(super) corrections: Vec<Vec<Symmetric>>,
}

/// The Hessians of folds at the stations of a path, which are forgotten there.
pub(super) fn hessians(
    recording: &mut Recording<'_>,
    mut sample: Option<&mut Training<'_>>,
    stations: &[PathStation],
    weights: &[f64],
    Setting { folds, parametrisation, .. }: Setting<'_>,
) -> Result<Hessians> {
    let mut found = Hessians::default();
    for station in stations {
        let on_device = parametrisation.to_device(&station.point);
        let cells = recording.take_hessians(&on_device);
        let of_fold = |fold: &Fold| hessian_of_fold(fold, cells.as_ref()?, weights, parametrisation);
        let Some(own) = folds.folds.iter().map(of_fold).collect::<Option<Vec<Symmetric>>>() else {
            found.own.push(Vec::new());
            found.corrections.push(vec![station.correction.clone(); folds.folds.len()]);
            continue;
        };
        let mut corrections = own.clone();
        if let Some(sample) = &mut sample {
            let cells = sample.engine.run(&[Work { takes_hessian: true, ..Work::at(&on_device) }])?;
            for (fold, correction) in folds.folds.iter().zip(&mut corrections) {
                if let Some(mut of_sample) = hessian_of_fold(fold, &cells[0], &sample.weights, parametrisation) {
                    of_sample.scale(-1.0);
                    correction.add(&of_sample);
                }
            }
        }
        found.own.push(own);
        found.corrections.push(corrections);
    }
    Ok(found)
}
