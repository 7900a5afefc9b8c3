//! How well models tell the rows that their folds hold back, strength by strength.

use crate::data::{Fold, Folds};
use crate::engine::Engine;
use crate::engine::work::HeldOut;
use crate::error::{Error, Result};
use crate::metrics::auc;
use crate::train::cross_validation::Setting;
use crate::train::job::{Metric, PathJob};
use crate::train::parametrisation::Parametrisation;

/// Bytes of margins that wait to be ranked at most.
const MARGINS_BYTES: usize = 256 << 20;

/// A measure along a path.
pub(in crate::train) struct Curve {
    pub(super) metric: Metric,
    /// `[places][folds]`.
    pub(super) by_fold: Vec<Vec<f64>>,
    /// Of the rows that each fold holds back.
    weights: Vec<f64>,
    /// Means over the folds by the weights of their rows, `[places]`.
    pub(super) means: Vec<f64>,
    /// Their standard errors, `[places]`.
    pub(super) errors: Vec<f64>,
}

impl Curve {
    pub(super) fn new(metric: Metric, by_fold: Vec<Vec<f64>>, weights: &[f64]) -> Self {
        let all: f64 = weights.iter().sum();
        let mean = |values: &Vec<f64>| values.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / all;
        let means: Vec<f64> = by_fold.iter().map(mean).collect();
        let error = |(values, mean): (&Vec<f64>, &f64)| {
            let squares: f64 = values.iter().zip(weights).map(|(x, w)| w * (x - mean).powi(2)).sum();
            (squares / all / (weights.len() as f64 - 1.0)).sqrt()
        };
        let errors = by_fold.iter().zip(&means).map(error).collect();
        Self { metric, by_fold, weights: weights.to_vec(), means, errors }
    }

    /// What the values of folds are off by from those of another curve, in standard errors of the mean, `[places]`; NaN where one of
    /// them has none.
    pub(super) fn off(&self, other: &Self) -> Vec<f64> {
        let all: f64 = self.weights.iter().sum();
        let of_place = |place: usize| {
            let [own, others] = [&self.by_fold[place], &other.by_fold[place]];
            let off = own.iter().zip(others).zip(&self.weights).map(|((a, b), w)| w * (a - b).abs()).sum::<f64>();
            off / all / self.errors[place].max(f64::MIN_POSITIVE)
        };
        (0..self.by_fold.len()).map(of_place).collect()
    }

    /// The place of the best value, and the first one that is no worse than a standard error from it.
    pub(super) fn best(&self) -> [usize; 2] {
        let sign = if self.metric == Metric::Auc { -1.0 } else { 1.0 };
        let cost: Vec<f64> = self.means.iter().map(|mean| sign * mean).collect();
        let minimum = (0..cost.len()).min_by(|&a, &b| cost[a].total_cmp(&cost[b]).then(a.cmp(&b))).unwrap_or(0);
        let enough = cost[minimum] + self.errors[minimum];
        [minimum, (0..=minimum).find(|&place| cost[place] <= enough).unwrap_or(minimum)]
    }
}

/// Curves in the making.
pub(super) struct Curves<'c> {
    parametrisation: Parametrisation<'c>,
    folds: &'c [Fold],
    metric: Metric,
    /// Of the rows that each fold holds back.
    weights: Vec<f64>,
    /// Of each metric, `[metrics][places][folds]`.
    values: Vec<Vec<Vec<f64>>>,
    /// Labels and row weights of each cell, if scores are ranked.
    outcomes: Vec<[Vec<f64>; 2]>,
}

/// Metrics that are sums over rows.
const SUMS: [Metric; 3] = [Metric::Deviance, Metric::Error, Metric::Brier];

impl<'c> Curves<'c> {
    pub(super) fn new(engine: &mut dyn Engine, weights: &[f64], places: usize, setting: Setting<'c>) -> Result<Self> {
        let Setting { parametrisation, folds: Folds { folds, .. }, path_job: PathJob { metric, .. }, .. } = setting;
        let outcomes = if *metric == Metric::Auc { engine.outcomes_of_cells()? } else { Vec::new() };
        for fold in folds.iter().filter(|_| *metric == Metric::Auc) {
            let [labels, _] = &outcomes[fold.held_back];
            if labels.iter().all(|t| *t > 0.5) || labels.iter().all(|t| *t < 0.5) {
                return Err(Error::data(
                    format!("fold {} has rows of one class alone: they have no area under a curve", fold.name),
                    "Deal the rows in another way, or say ⟦cv-metric deviance⟧.",
                ));
            }
        }
        let metrics = SUMS.len() + usize::from(*metric == Metric::Auc);
        Ok(Self {
            parametrisation,
            folds,
            metric: *metric,
            weights: folds.iter().map(|fold| weights[fold.held_back]).collect(),
            values: vec![vec![vec![f64::NAN; folds.len()]; places]; metrics],
            outcomes,
        })
    }

    /// Measures models, `(fold, place)` each, on the rows that their folds hold back.
    pub(super) fn measure<'m>(
        &mut self,
        engine: &mut dyn Engine,
        of: &[(usize, usize)],
        point: impl Fn(usize, usize) -> &'m [f64],
    ) -> Result<()> {
        let ranks = !self.outcomes.is_empty();
        let largest = self.outcomes.iter().map(|[labels, _]| labels.len()).max().unwrap_or(0);
        // Some strengths at a time where margins are kept.
        let at_a_time = if ranks { (MARGINS_BYTES / 8 / self.folds.len() / largest.max(1)).max(1) } else { usize::MAX };
        let mut left: Vec<Vec<usize>> = vec![Vec::new(); self.folds.len()];
        for &(fold, place) in of {
            left[fold].push(place);
        }
        while left.iter().any(|places| !places.is_empty()) {
            let cells = self.folds.iter().map(|fold| fold.held_back).max().map_or(0, |last| last + 1);
            let mut points: Vec<Vec<Vec<f64>>> = vec![Vec::new(); cells];
            let mut now = Vec::with_capacity(left.len());
            for (fold, places) in left.iter_mut().enumerate() {
                let some: Vec<usize> = places.drain(..places.len().min(at_a_time)).collect();
                let on_device = some.iter().map(|&place| self.parametrisation.to_device(point(fold, place)));
                points[self.folds[fold].held_back] = on_device.collect();
                now.push(some);
            }
            let found = engine.held_out(&points, ranks)?;
            for (fold, places) in now.into_iter().enumerate() {
                let cell = self.folds[fold].held_back;
                for (&place, held_out) in places.iter().zip(&found[cell]) {
                    self.take(fold, place, held_out);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, fold: usize, place: usize, held_out: &HeldOut) {
        let weight = self.weights[fold];
        let values = [2.0 * held_out.loss / weight, held_out.errors / weight, held_out.brier / weight];
        for (curve, value) in self.values.iter_mut().zip(values) {
            curve[place][fold] = value;
        }
        if let Some([labels, weights]) = self.outcomes.get(self.folds[fold].held_back) {
            self.values[SUMS.len()][place][fold] = auc(labels, &held_out.margins, weights).unwrap_or(f64::NAN);
        }
    }

    fn metrics(&self) -> Vec<Metric> {
        SUMS.into_iter().chain((self.metric == Metric::Auc).then_some(Metric::Auc)).collect()
    }

    /// That of the metric.
    pub(super) fn curve(&self) -> Curve {
        let at = self.metrics().iter().position(|metric| *metric == self.metric).unwrap_or(0);
        Curve::new(self.metric, self.values[at].clone(), &self.weights)
    }

    /// All of them, that of the metric first.
    pub(super) fn finish(self) -> Vec<Curve> {
        let metrics = self.metrics();
        let curves = metrics.into_iter().zip(self.values);
        let mut curves: Vec<Curve> = curves.map(|(metric, values)| Curve::new(metric, values, &self.weights)).collect();
        curves.sort_by_key(|curve| curve.metric != self.metric);
        curves
    }
}
