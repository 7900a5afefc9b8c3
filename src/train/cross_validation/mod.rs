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
use crate::solve::elastic_net::{
    FoldModels, FoldProblem, FoldRows, PathOutcome, PathPoint, PathProblem, Strengths, path,
};
use crate::solve::{Settings, Start};
use crate::standardize::Coordinates;
use crate::train::job::{PathJob, SelectedStrength};
use crate::train::parametrisation::Parametrisation;
use curves::{Curve, Curves};
use training::{Hessians, Training, hessians};

pub(super) use recording::{HESSIANS_BYTES, Recording, bytes_of_hessians};

/// Every so many strengths, and where they are so far apart at least, models are visited.
const STRIDE: usize = 8;
const FAR: f64 = 2.2;

/// Visits of them before they lead to those between.
const VISITS: usize = 2;

/// Where predictions at marks change the mean by so many of its standard errors, all between them are visited.
const POOR: f64 = 0.1;

/// A fold with a smaller share of the rows to train on walks its path by itself.
const LEAST_SHARE: f64 = 0.7;

/// So does one with a model whose gap is so many times the tolerance after all; or within it, where all are to be verified.
const STRAGGLING: f64 = 100.0;

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
    /// In how many folds each parameter of a margin, or of any class, is selected, at the best strength and at the other one.
    pub(super) selected: [Vec<usize>; 2],
    /// What is left to gain of the mean loss of each model that was visited, `[places][folds]`.
    pub(super) gaps: Vec<Vec<Option<f64>>>,
}

/// What cross-validation needs beside the rows.
#[derive(Clone, Copy)]
pub(super) struct Setting<'s> {
    pub(super) folds: &'s Folds,
    pub(super) parametrisation: Parametrisation<'s>,
    pub(super) settings: &'s Settings,
    pub(super) path_job: &'s PathJob,
    pub(super) penalty_scale: PenaltyScale,
    pub(super) gap_tolerance: f64,
    /// The terms of all rows for strengths of L1 and L2.
    pub(super) terms: &'s dyn Fn([f64; 2]) -> Vec<Term>,
    pub(super) has_all_rows: bool,
    pub(super) monitor: &'s dyn Monitor,
}

/// The models of folds along a path, by the parameters of the fit.
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
    mut sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    setting: Setting<'_>,
) -> Result<Validated> {
    setting.monitor.begin("cross-validation", None);
    let mut recording = recording;
    let weights = recording.engine().cell_weights()?;
    let scales = scales_of_folds(recording.engine(), setting)?;
    let (places, count) = (walked.points.len(), setting.folds.folds.len());
    let mut fitted = Fitted { points: vec![vec![Vec::new(); count]; places], gaps: vec![vec![None; count]; places] };
    let mut curves = Curves::new(recording.engine(), &weights, places, setting)?;
    let of_places = |fold: usize| (0..places).map(move |place| (fold, place));
    // Folds that leave out little are near the model of all rows.
    let whole: f64 = weights.iter().sum();
    let share = |fold: &Fold| fold.trained_on.iter().map(|&cell| weights[cell]).sum::<f64>() / whole;
    let is_alone = |fold: &usize| walked.stations.is_empty() || share(&setting.folds.folds[*fold]) < LEAST_SHARE;
    let alone: Vec<usize> = (0..count).filter(is_alone).collect();
    let of_fold = sample.as_mut().map(|sample| &mut **sample as &mut dyn Engine);
    walk_folds(recording.engine(), of_fold, walked, (&alone, &scales), setting, &mut fitted)?;
    let all: Vec<(usize, usize)> = alone.iter().copied().flat_map(of_places).collect();
    curves.measure(recording.engine(), &all, |fold, place| &fitted.points[place][fold])?;
    if alone.len() < count {
        let of_folds = sample.as_mut().map(|sample| &mut **sample as &mut dyn Engine);
        from_walked(&mut recording, of_folds, walked, (&alone, &scales), &mut curves, &mut fitted, setting)?;
        let times = if setting.path_job.visits_all_folds { 1.0 } else { STRAGGLING };
        let enough = times * setting.gap_tolerance * walked.null;
        let is_left =
            |fold: &usize| fitted.gaps.iter().any(|gaps| gaps[*fold].is_some_and(|gap| gap.is_nan() || gap > enough));
        let left: Vec<usize> = (0..count).filter(|fold| !alone.contains(fold) && is_left(fold)).collect();
        walk_folds(recording.engine(), sample, walked, (&left, &scales), setting, &mut fitted)?;
        let again: Vec<(usize, usize)> = left.iter().copied().flat_map(of_places).collect();
        curves.measure(recording.engine(), &again, |fold, place| &fitted.points[place][fold])?;
    }
    setting.monitor.end();
    let curves = curves.finish();
    let [minimum, one_standard_error] = curves[0].best();
    let size = setting.parametrisation.coordinates.dimension();
    let selected = [minimum, one_standard_error].map(|place| {
        let is_selected = |point: &[f64], j: usize| point.iter().skip(j).step_by(size).any(|x| *x != 0.0);
        let count = |j: usize| fitted.points[place].iter().filter(|point| is_selected(point, j)).count();
        (0..size).map(count).collect()
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
fn scales_of_folds(
    engine: &mut dyn Engine,
    Setting { folds, parametrisation, .. }: Setting<'_>,
) -> Result<Vec<Vec<f64>>> {
    let coordinates = parametrisation.coordinates;
    let cells = engine.moments_of_cells()?;
    let deviations = |cells: &[&CellMoments]| -> Vec<f64> {
        let weight: f64 = cells.iter().map(|cell| cell.weight).sum();
        let mean =
            |of: fn(&CellMoments) -> &Vec<f64>, j: usize| cells.iter().map(|cell| of(cell)[j]).sum::<f64>() / weight;
        let deviation = |&j: &usize| {
            let [first, second] = [mean(|cell| &cell.sums, j), mean(|cell| &cell.squares, j)];
            let variance = second - first * first;
            let column = &coordinates.columns()[j];
            // What rounding leaves of a constant column, which without an intercept is one in units of its value.
            if variance > 1e-14 * second {
                variance.sqrt()
            } else if coordinates.has_intercept() {
                0.0
            } else {
                (first + column.device_mean / column.device_scale).abs()
            }
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
fn terms_of_fold(scales: &[f64], strengths: [f64; 2], setting: Setting<'_>) -> Vec<Term> {
    let Setting { terms, penalty_scale, parametrisation, .. } = setting;
    let mut terms = terms(strengths);
    let of_margins = terms.chunks_mut(parametrisation.coordinates.dimension());
    for (term, &scale) in of_margins.flat_map(|of_margin| of_margin.iter_mut().zip(scales)) {
        if scale == 0.0 {
            *term = Term { l1: f64::INFINITY, l2: 0.0, ..*term };
        } else if penalty_scale == PenaltyScale::Standardized {
            (term.l1, term.l2) = (term.l1 * scale, term.l2 * scale * scale);
        }
    }
    terms
}

/// Walks the path of a fold by itself, at the strengths of that of all rows.
fn walk_fold(
    engine: &mut dyn Engine,
    sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    (place, scales): (usize, &[f64]),
    setting: Setting<'_>,
) -> Result<Vec<PathPoint>> {
    let Setting { folds, parametrisation, settings, path_job, gap_tolerance, has_all_rows, monitor, .. } = setting;
    monitor.say(&format!("fold {} of {}", place + 1, folds.folds.len()));
    let trained_on = &folds.folds[place].trained_on;
    let strengths = Strengths::Given(walked.points.iter().map(|point| point.strength).collect());
    let mut part = PartOfRows::new(engine, trained_on.clone())?;
    let mut loss = parametrisation.loss(&mut part);
    let mut of_sample = match sample {
        Some(sample) => Some(PartOfRows::new(sample, trained_on.clone())?),
        None => None,
    };
    let mut sampled = of_sample.as_mut().map(|sample| parametrisation.loss(sample));
    let terms = |strengths| terms_of_fold(scales, strengths, setting);
    let path_problem = PathProblem {
        terms: &terms,
        strengths: &strengths,
        alpha: path_job.alpha,
        gap_tolerance,
        ends_early: false,
        has_all_rows,
        margin: None,
    };
    // Where there are too many parameters for a Hessian of all rows, there is none at the start.
    let point = vec![0.0; loss.dimension()];
    let need = if settings.approximate { Need::Gradient } else { Need::Hessian };
    let start = Start { evaluation: loss.move_to(&point, need)?, point };
    let sampled = sampled.as_mut().map(|sampled| &mut **sampled as &mut dyn Objective);
    Ok(path(&mut *loss, sampled, start, &path_problem, settings, monitor)?.points)
}

/// Walks the paths of some folds, which end there: so many at all places.
fn walk_folds(
    engine: &mut dyn Engine,
    mut sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    (folds, scales): (&[usize], &[Vec<f64>]),
    setting: Setting<'_>,
    fitted: &mut Fitted,
) -> Result<()> {
    for &fold in folds {
        let of_sample = sample.as_mut().map(|sample| &mut **sample as &mut dyn Engine);
        let points = walk_fold(&mut *engine, of_sample, walked, (fold, &scales[fold]), setting)?;
        for (place, PathPoint { parameters, gap, .. }) in points.into_iter().enumerate() {
            (fitted.points[place][fold], fitted.gaps[place][fold]) = (parameters, Some(gap));
        }
    }
    Ok(())
}

/// The models of folds from those of all rows, which were visited with the gradients of their cells. The folds that are `alone` are
/// known already.
fn from_walked(
    recording: &mut Recording<'_>,
    sample: Option<&mut dyn Engine>,
    walked: &PathOutcome,
    (alone, scales): (&[usize], &[Vec<f64>]),
    curves: &mut Curves<'_>,
    fitted: &mut Fitted,
    setting: Setting<'_>,
) -> Result<()> {
    let Setting { folds, parametrisation, path_job, gap_tolerance, .. } = setting;
    let count = folds.folds.len();
    let points: Vec<Vec<f64>> =
        walked.points.iter().map(|point| parametrisation.to_device(&point.parameters)).collect();
    let sums = recording.sums(&points)?;
    let weights = recording.engine().cell_weights()?;
    let mut sample = match sample {
        Some(engine) => {
            Some(Training { weights: engine.cell_weights()?, engine, parametrisation, folds: &folds.folds })
        }
        None => None,
    };
    let Hessians { own, corrections } = hessians(recording, sample.as_mut(), &walked.stations, &weights, setting)?;
    let sample = sample.as_mut().map(|sample| sample as &mut dyn FoldRows);
    recording.forget();
    let mut training = Training { engine: recording.engine(), parametrisation, folds: &folds.folds, weights };
    let of_folds = |cells: &Vec<CellSums>| (0..count).map(|fold| training.gradient(cells, fold)).collect();
    let gradients = sums.iter().map(of_folds).collect();
    let terms = |fold: usize, strengths| terms_of_fold(&scales[fold], strengths, setting);
    let gap = gap_tolerance * walked.null;
    let alpha = path_job.alpha;
    let problem = FoldProblem { terms: &terms, alpha, folds: count, gap, gradients, hessians: own, corrections };
    let mut models = FoldModels::predict(&problem, walked, sample, |fold| alone.contains(&fold))?;
    for &fold in alone {
        for place in 0..walked.points.len() {
            let gap = fitted.gaps[place][fold].unwrap_or(f64::INFINITY);
            models.put(fold, place, fitted.points[place][fold].clone(), gap);
        }
    }
    let strengths: Vec<f64> = walked.points.iter().map(|point| point.strength).collect();
    visit_folds(&mut models, &mut training, curves, &strengths, setting)?;
    for place in 0..walked.points.len() {
        for fold in 0..count {
            fitted.points[place][fold] = models.point(fold, place).to_vec();
            fitted.gaps[place][fold] = models.gap(fold, place);
        }
    }
    Ok(())
}

/// Places of strengths that are not far apart, the first and the last one among them.
fn marks_of(strengths: &[f64]) -> Vec<usize> {
    let mut marks: Vec<usize> = vec![0];
    for place in 1..strengths.len() {
        let before = marks[marks.len() - 1];
        // The last one before a leap is a mark too.
        let is_far = strengths[before] / strengths[place] > FAR;
        if is_far && place - before > 1 {
            marks.push(place - 1);
        }
        if is_far || place - before == STRIDE || place + 1 == strengths.len() {
            marks.push(place);
        }
    }
    marks
}

/// Visits the models of folds at marks, and then around the strengths that their curve chooses, until they are near enough.
fn visit_folds(
    models: &mut FoldModels<'_>,
    training: &mut Training<'_>,
    curves: &mut Curves<'_>,
    strengths: &[f64],
    setting: Setting<'_>,
) -> Result<()> {
    let Setting { folds, path_job, monitor, .. } = setting;
    let (places, count) = (strengths.len(), folds.folds.len());
    let mut marks: Vec<usize> = if path_job.visits_all_folds { (0..places).collect() } else { marks_of(strengths) };
    let of_all_folds = |places: &[usize]| -> Vec<(usize, usize)> {
        places.iter().flat_map(|&place| (0..count).map(move |fold| (fold, place))).collect()
    };
    curves.measure(training.engine, &of_all_folds(&marks), |fold, place| models.point(fold, place))?;
    let predicted = curves.curve();
    for _ in 0..VISITS {
        let changed = models.visit(training, &of_all_folds(&marks))?;
        curves.measure(training.engine, &changed, |fold, place| models.point(fold, place))?;
    }
    // Where predictions were far off at marks they are so between them.
    let off = curves.curve().off(&predicted);
    let is_poor = |pair: &&[usize]| pair.iter().any(|&mark| off[mark].is_nan() || off[mark] > POOR);
    let between: Vec<usize> = marks.windows(2).filter(is_poor).flat_map(|pair| pair[0] + 1..pair[1]).collect();
    let unsure = models.unsure();
    for _ in 0..VISITS {
        let changed = models.visit(training, &[of_all_folds(&between), unsure.clone()].concat())?;
        curves.measure(training.engine, &changed, |fold, place| models.point(fold, place))?;
    }
    marks.extend(between);
    models.follow()?;
    let others: Vec<usize> = (0..places).filter(|place| !marks.contains(place)).collect();
    curves.measure(training.engine, &of_all_folds(&others), |fold, place| models.point(fold, place))?;
    for round in 0..ROUNDS {
        monitor.check()?;
        monitor.say(&format!("round {} of models of folds", round + 1));
        let [minimum, one_standard_error] = curves.curve().best();
        let around = |place: usize, by: usize| place.saturating_sub(by)..(place + by + 1).min(places);
        let mut wanted: Vec<usize> = around(minimum, 2).chain(around(one_standard_error, 1)).collect();
        wanted.extend(&marks);
        wanted.sort_unstable();
        wanted.dedup();
        let wanted = [of_all_folds(&wanted), unsure.clone()].concat();
        if wanted.iter().all(|&(fold, place)| models.is_near(fold, place)) {
            break;
        }
        let changed = models.visit(training, &wanted)?;
        curves.measure(training.engine, &changed, |fold, place| models.point(fold, place))?;
    }
    Ok(())
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
        let seen = if worst > 0.0 {
            format!("up to {worst:.1e} of the null deviance is left to gain")
        } else {
            "nobody has seen what is left to gain".into()
        };
        (!left.is_empty()).then(|| {
            format!(
                "{} of {} models of folds that decide are not known to be within ⟦gap-tolerance⟧: {seen}",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_near_each_other() {
        let grid = |count: usize| -> Vec<f64> { (0..count).map(|place| 1e-4_f64.powf(place as f64 / 99.0)).collect() };
        assert_eq!(marks_of(&grid(20)), [0, 8, 16, 19]);
        assert_eq!(marks_of(&grid(1)), [0]);
        let leaps = [0.4, 0.38, 0.29, 0.07, 0.033, 0.02, 0.0015, 0.0013, 0.0006];
        let marks = marks_of(&leaps);
        assert_eq!(marks, [0, 2, 3, 4, 5, 6, 7, 8]);
        let steep: Vec<f64> = (0..9).map(|place| 0.1_f64.powi(place)).collect();
        assert_eq!(marks_of(&steep), (0..9).collect::<Vec<_>>());
    }
}
