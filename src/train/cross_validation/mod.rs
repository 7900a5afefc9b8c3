//! Cross-validation along a path: the models of folds, and how well each tells the rows that it does not know.
//!
//! # Reference
//! Friedman, Hastie and Tibshirani, *Regularization Paths for Generalized Linear Models via Coordinate Descent* (2010), section 5.

mod curves;
mod recording;
mod training;

use crate::data::{Fold, FoldSpec, Folds};
use crate::engine::Engine;
use crate::engine::part::PartOfRows;
use crate::engine::work::{CellMoments, CellSums};
use crate::error::Result;
use crate::model::{CrossValidation, CvCurve, FoldInfo};
use crate::monitor::Monitor;
use crate::objective::{Need, Objective};
use crate::penalty::{PenaltyScale, Term};
use crate::problem::Problem;
use crate::solve::elastic_net::{FoldModels, FoldProblem, FoldRows, PathOutcome, PathProblem, Strengths, path};
use crate::solve::{Settings, Start};
use crate::standardize::Coordinates;
use crate::train::job::{PathJob, SelectedStrength};
use curves::{Curve, Curves};
use training::{Training, corrections};

pub(super) use recording::{HESSIANS_BYTES, Recording, bytes_of_hessians};

/// Between two strengths whose models are visited lie so many that are not.
const STRIDE: usize = 8;

/// Visits of them before they lead to those between.
const VISITS: usize = 2;

/// Rounds after which models that are not near enough are left as they are.
const ROUNDS: usize = 5;

/// What cross-validation found along a path.
pub(super) struct Validated {
    /// What the folds are called, and the weight of the rows that each holds back.
    pub(super) folds: Vec<(String, f64)>,
    /// By strength; that of the metric first.
    pub(super) curves: Vec<Curve>,
    /// The place of the best strength.
    pub(super) minimum: usize,
    /// The place of the largest strength that is within a standard error of it.
    pub(super) one_standard_error: usize,
    /// In how many folds each parameter is selected, at the best strength and at the other one.
    pub(super) selected: [Vec<usize>; 2],
    /// What is left to gain of the mean loss of each model that was visited, `[places][folds]`.
    pub(super) gaps: Vec<Vec<Option<f64>>>,
}

/// What cross-validation needs beside the rows.
#[derive(Clone, Copy)]
pub(super) struct Setting<'s> {
    pub(super) folds: &'s Folds,
    pub(super) coordinates: &'s Coordinates,
    pub(super) settings: &'s Settings,
    pub(super) path_job: &'s PathJob,
    pub(super) penalty_scale: PenaltyScale,
    pub(super) gap_tolerance: f64,
    /// The terms of all rows for strengths of L1 and L2.
    pub(super) terms: &'s dyn Fn([f64; 2]) -> Vec<Term>,
    pub(super) has_all_rows: bool,
    pub(super) monitor: &'s dyn Monitor,
}

/// The models of folds along a path, in the solver's coordinates.
struct Fitted {
    /// `[places][folds]`.
    points: Vec<Vec<Vec<f64>>>,
    /// What is left to gain of the mean loss where that is known, `[places][folds]`.
    gaps: Vec<Vec<Option<f64>>>,
}

/// Cross-validates a path that was walked on `recording`; `sample` is the sample that led it, in the same cells.
///
/// # Errors
/// Those of the engine; of kind `Data` if a metric has no meaning for a fold.
pub(super) fn cross_validate(
    recording: Recording<'_>,
    sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    setting: Setting<'_>,
) -> Result<Validated> {
    setting.monitor.begin("cross-validation", None);
    let mut recording = recording;
    let weights = recording.engine().cell_weights()?;
    let scales = scales_of_folds(recording.engine(), setting)?;
    let is_in_order = setting.folds.folds.len() < setting.folds.cells.rows().len();
    let found = if walked.stations.is_empty() || is_in_order {
        let fitted = one_by_one(recording.engine(), sample, walked, &scales, setting)?;
        let mut curves = Curves::new(recording.engine(), &weights, walked.points.len(), setting)?;
        let folds = setting.folds.folds.len();
        let all: Vec<(usize, usize)> =
            (0..walked.points.len()).flat_map(|place| (0..folds).map(move |fold| (fold, place))).collect();
        curves.measure(recording.engine(), &all, |fold, place| &fitted.points[place][fold])?;
        (fitted, curves.finish())
    } else {
        from_walked(&mut recording, sample, walked, &scales, &weights, setting)?
    };
    setting.monitor.end();
    let (fitted, curves) = found;
    let [minimum, one_standard_error] = curves[0].best();
    let selected = [minimum, one_standard_error].map(|place| {
        let count = |j: usize| fitted.points[place].iter().filter(|point| point[j] != 0.0).count();
        (0..fitted.points[place][0].len()).map(count).collect()
    });
    let name = |fold: &Fold| (fold.name.clone(), weights[fold.held_back]);
    Ok(Validated {
        folds: setting.folds.folds.iter().map(name).collect(),
        curves,
        minimum,
        one_standard_error,
        selected,
        gaps: fitted.gaps,
    })
}

/// The standard deviation of each active column among the training rows of each fold, as a share of that among all rows,
/// `[folds][columns]`.
fn scales_of_folds(engine: &mut dyn Engine, Setting { folds, coordinates, .. }: Setting<'_>) -> Result<Vec<Vec<f64>>> {
    let cells = engine.moments_of_cells()?;
    let deviations = |cells: &[&CellMoments]| -> Vec<f64> {
        let weight: f64 = cells.iter().map(|cell| cell.weight).sum();
        let mean =
            |of: fn(&CellMoments) -> &Vec<f64>, j: usize| cells.iter().map(|cell| of(cell)[j]).sum::<f64>() / weight;
        let deviation = |&j: &usize| {
            let [first, second] = [mean(|cell| &cell.sums, j), mean(|cell| &cell.squares, j)];
            let variance = second - first * first;
            // What rounding leaves of a constant column.
            if variance > 1e-14 * second { variance.sqrt() } else { 0.0 }
        };
        coordinates.active().iter().map(deviation).collect()
    };
    let of_all = deviations(&cells.iter().collect::<Vec<_>>());
    let of_fold = |fold: &Fold| {
        let own = deviations(&fold.trained_on.iter().map(|&cell| &cells[cell]).collect::<Vec<_>>());
        own.iter().zip(&of_all).map(|(own, all)| if *all > 0.0 { own / all } else { 1.0 }).collect()
    };
    Ok(folds.folds.iter().map(of_fold).collect())
}

/// The terms of a fold: the penalty is on the scale of its training rows, and a column that is constant among them stays 0.
fn terms_of_fold(scales: &[f64], strengths: [f64; 2], Setting { terms, penalty_scale, .. }: Setting<'_>) -> Vec<Term> {
    let mut terms = terms(strengths);
    for (term, &scale) in terms.iter_mut().zip(scales) {
        if scale == 0.0 {
            *term = Term { l1: f64::INFINITY, l2: 0.0, ..*term };
        } else if penalty_scale == PenaltyScale::Standardized {
            (term.l1, term.l2) = (term.l1 * scale, term.l2 * scale * scale);
        }
    }
    terms
}

/// Walks the path of each fold by itself.
fn one_by_one(
    engine: &mut dyn Engine,
    mut sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    scales: &[Vec<f64>],
    setting: Setting<'_>,
) -> Result<Fitted> {
    let Setting { folds, coordinates, settings, path_job, gap_tolerance, has_all_rows, monitor, .. } = setting;
    let strengths = Strengths::Given(walked.points.iter().map(|point| point.strength).collect());
    let mut fitted =
        Fitted { points: vec![Vec::new(); walked.points.len()], gaps: vec![Vec::new(); walked.points.len()] };
    for (place, fold) in folds.folds.iter().enumerate() {
        monitor.say(&format!("fold {} of {}", place + 1, folds.folds.len()));
        let mut part = PartOfRows::new(&mut *engine, fold.trained_on.clone())?;
        let mut problem = Problem::of_loss(&mut part, coordinates.clone());
        let mut of_sample = match &mut sample {
            Some(sample) => Some(PartOfRows::new(&mut **sample, fold.trained_on.clone())?),
            None => None,
        };
        let mut sampled = of_sample.as_mut().map(|sample| Problem::of_loss(sample, coordinates.clone()));
        let terms = |strengths| terms_of_fold(&scales[place], strengths, setting);
        let path_problem = PathProblem {
            terms: &terms,
            strengths: &strengths,
            alpha: path_job.alpha,
            gap_tolerance,
            ends_early: false,
            has_all_rows,
        };
        // Where there are too many parameters for a Hessian of all rows, there is none at the start.
        let point = vec![0.0; coordinates.dimension()];
        let need = if settings.approximate { Need::Gradient } else { Need::Hessian };
        let start = Start { evaluation: problem.move_to(&point, need)?, point };
        let sampled = sampled.as_mut().map(|sampled| sampled as &mut dyn Objective);
        let found = path(&mut problem, sampled, start, &path_problem, settings, monitor)?;
        for (at, point) in found.points.into_iter().enumerate() {
            fitted.points[at].push(point.parameters);
            fitted.gaps[at].push(Some(point.gap));
        }
    }
    Ok(fitted)
}

/// The models of folds from those of all rows, which were visited with the gradients of their cells.
fn from_walked(
    recording: &mut Recording<'_>,
    sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    scales: &[Vec<f64>],
    weights: &[f64],
    setting: Setting<'_>,
) -> Result<(Fitted, Vec<Curve>)> {
    let Setting { folds, coordinates, path_job, gap_tolerance, .. } = setting;
    let (places, count) = (walked.points.len(), folds.folds.len());
    let points: Vec<Vec<f64>> = walked.points.iter().map(|point| coordinates.to_device(&point.parameters)).collect();
    let sums = recording.sums(&points)?;
    let mut sample = match sample {
        Some(engine) => Some(Training { weights: engine.cell_weights()?, engine, coordinates, folds: &folds.folds }),
        None => None,
    };
    let corrections = corrections(recording, sample.as_mut(), &walked.stations, weights, setting)?;
    let sample = sample.as_mut().map(|sample| sample as &mut dyn FoldRows);
    recording.forget();
    let engine = recording.engine();
    let mut training = Training { engine, coordinates, folds: &folds.folds, weights: weights.to_vec() };
    let of_folds = |cells: &Vec<CellSums>| (0..count).map(|fold| training.gradient(cells, fold)).collect();
    let gradients = sums.iter().map(of_folds).collect();
    let terms = |fold: usize, strengths| terms_of_fold(&scales[fold], strengths, setting);
    let gap = gap_tolerance * walked.null;
    let problem = FoldProblem { terms: &terms, alpha: path_job.alpha, folds: count, gap, gradients, corrections };
    let mut models = FoldModels::predict(&problem, walked, sample)?;
    let curves = visit_folds(&mut models, &mut training, places, setting)?;
    let fitted = Fitted {
        points: (0..places).map(|place| (0..count).map(|fold| models.point(fold, place).to_vec()).collect()).collect(),
        gaps: (0..places).map(|place| (0..count).map(|fold| models.gap(fold, place)).collect()).collect(),
    };
    Ok((fitted, curves))
}

/// Visits the models of folds at marks, and then around the strengths that their curve chooses, until they are near enough.
fn visit_folds(
    models: &mut FoldModels<'_>,
    training: &mut Training<'_>,
    places: usize,
    setting: Setting<'_>,
) -> Result<Vec<Curve>> {
    let Setting { folds, path_job, monitor, .. } = setting;
    let count = folds.folds.len();
    let stride = if path_job.visits_all_folds { 1 } else { STRIDE };
    let marks: Vec<usize> = (0..places).filter(|place| place % stride == 0 || place + 1 == places).collect();
    let of_all_folds = |places: &[usize]| -> Vec<(usize, usize)> {
        places.iter().flat_map(|&place| (0..count).map(move |fold| (fold, place))).collect()
    };
    for _ in 0..VISITS {
        models.visit(training, &of_all_folds(&marks))?;
    }
    models.follow()?;
    let mut curves = Curves::new(training.engine, &training.weights, places, setting)?;
    let all: Vec<usize> = (0..places).collect();
    curves.measure(training.engine, &of_all_folds(&all), |fold, place| models.point(fold, place))?;
    for round in 0..ROUNDS {
        monitor.check()?;
        monitor.say(&format!("round {} of models of folds", round + 1));
        let [minimum, one_standard_error] = curves.curve().best();
        let around = |place: usize, by: usize| place.saturating_sub(by)..(place + by + 1).min(places);
        let mut wanted: Vec<usize> = around(minimum, 2).chain(around(one_standard_error, 1)).collect();
        wanted.extend(&marks);
        wanted.sort_unstable();
        wanted.dedup();
        let wanted = of_all_folds(&wanted);
        if wanted.iter().all(|&(fold, place)| models.is_near(fold, place)) {
            break;
        }
        let changed = models.visit(training, &wanted)?;
        curves.measure(training.engine, &changed, |fold, place| models.point(fold, place))?;
    }
    Ok(curves.finish())
}

impl Validated {
    /// The place on the path that was asked for; `None` for one that cross-validation does not decide.
    pub(super) fn place(&self, selected: SelectedStrength) -> Option<usize> {
        match selected {
            SelectedStrength::Minimum => Some(self.minimum),
            SelectedStrength::OneStandardError => Some(self.one_standard_error),
            SelectedStrength::Last | SelectedStrength::At(_) => None,
        }
    }

    /// A warning if models of folds that were visited, or should have been, are not as near as was asked for, by the null loss.
    pub(super) fn left(&self, null: f64, gap_tolerance: f64) -> Option<String> {
        let chosen = [self.minimum, self.one_standard_error];
        let is_looked_at = |place: usize, gap: &Option<f64>| gap.is_some() || chosen.contains(&place);
        let looked_at: Vec<f64> = (0..self.gaps.len())
            .flat_map(|place| self.gaps[place].iter().filter(move |gap| is_looked_at(place, gap)))
            .map(|gap| gap.map_or(f64::INFINITY, |gap| gap / null))
            .collect();
        let left: Vec<f64> = looked_at.iter().copied().filter(|gap| gap.is_nan() || *gap > gap_tolerance).collect();
        let worst = left.iter().copied().filter(|gap| gap.is_finite()).fold(0.0, f64::max);
        (!left.is_empty()).then(|| {
            format!(
                "{} of {} models of folds that were looked at are not within ⟦gap-tolerance⟧: up to {worst:.1e} of the null deviance \
                 is left to gain",
                left.len(),
                looked_at.len()
            )
        })
    }

    /// The same by strengths and features, for a model.
    pub(super) fn info(
        &self,
        folds: &FoldSpec,
        outcome: &PathOutcome,
        coordinates: &Coordinates,
        gap_tolerance: f64,
    ) -> CrossValidation {
        let Self { folds: of_folds, curves, minimum, one_standard_error, selected, gaps } = self;
        let strength = |place: usize| outcome.points[place].strength;
        let of_features = |counts: &Vec<usize>| -> Vec<(usize, usize)> {
            let features = coordinates.active().iter().copied().zip(counts.iter().copied());
            features.filter(|(_, count)| *count > 0).collect()
        };
        let curve = |curve: &Curve| CvCurve {
            metric: curve.metric.name().into(),
            mean: curve.means.clone(),
            se: curve.errors.clone(),
            by_fold: (0..of_folds.len()).map(|fold| curve.by_fold.iter().map(|of| of[fold]).collect()).collect(),
        };
        let visited: Vec<f64> = gaps.iter().flatten().flatten().map(|gap| gap / outcome.null).collect();
        CrossValidation {
            dealt: folds.dealing.describe(),
            seed: folds.seed,
            folds: of_folds.iter().map(|(name, weight)| FoldInfo { name: name.clone(), weight: *weight }).collect(),
            curves: curves.iter().map(curve).collect(),
            lambda_min: strength(*minimum),
            lambda_1se: strength(*one_standard_error),
            selected_at_min: of_features(&selected[0]),
            selected_at_1se: of_features(&selected[1]),
            models: gaps.iter().map(Vec::len).sum(),
            visited: visited.len(),
            verified: visited.iter().filter(|gap| **gap <= gap_tolerance).count(),
            gap: visited.iter().copied().fold(0.0, f64::max),
        }
    }
}
