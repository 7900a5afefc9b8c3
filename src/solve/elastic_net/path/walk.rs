//! What is known along a path.

use crate::error::Result;
use crate::objective::Objective;
use crate::penalty::Term;
use crate::solve::Settings;
use crate::solve::elastic_net::path::PathProblem;
use crate::solve::elastic_net::path::null::{Null, held, largest_strength, may_leave};
use crate::solve::elastic_net::path::stations::{Models, Station, Stations};
use crate::solve::elastic_net::surrogate::Predicted;

/// A strength of the path.
pub(super) struct Place {
    pub(super) strength: f64,
    pub(super) terms: Vec<Term>,
    /// Where the minimum is by the model, once that was asked.
    pub(super) predicted: Option<Predicted>,
    /// The best point that was visited, and another one.
    pub(super) best: Option<Visited>,
    pub(super) other: Option<Visited>,
    /// Whether the sample has misled here.
    pub(super) has_misled: bool,
    /// Visits since the gap was halved.
    pub(super) idle: u32,
}

#[derive(Clone)]
pub(super) struct Visited {
    pub(super) point: Vec<f64>,
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
    pub(super) gap: f64,
    /// Where the quadratic model says that the minimum is.
    pub(super) target: Vec<f64>,
}

pub(super) struct Walk<'o> {
    pub(super) objective: &'o mut dyn Objective,
    pub(super) problem: &'o PathProblem<'o>,
    pub(super) settings: &'o Settings,
    pub(super) models: Models<'o>,
    pub(super) stations: Stations,
    pub(super) places: Vec<Place>,
    pub(super) null: f64,
    pub(super) rounds: u64,
}

impl<'o> Walk<'o> {
    pub(super) fn new(
        objective: &'o mut dyn Objective,
        sample: Option<&'o mut dyn Objective>,
        problem: &'o PathProblem<'o>,
        settings: &'o Settings,
        strengths: &[f64],
        null: Null,
    ) -> Result<Self> {
        let mut models = Models::new(sample, &settings.reach.parameters);
        let Null { point, evaluation, gap } = null;
        let anchor = models.sampled.anchor(&point, evaluation.value, &evaluation.gradient)?;
        let knot = match &evaluation.hessian {
            Some(hessian) if !problem.has_all_rows => models.sampled.knot(&point, hessian)?,
            _ => None,
        };
        let largest = largest_strength(problem, &evaluation.gradient);
        let place = |strength: f64| {
            let terms = (problem.terms)([strength * problem.alpha, strength * (1.0 - problem.alpha)]);
            // Nothing leaves 0 there.
            let rests = |(g, term): (&f64, &Term)| {
                term.l1 >= g.abs() * (1.0 - 1e-12) || held(*term) == *term || !may_leave(*g, term)
            };
            let is_null = evaluation.gradient.iter().zip(&terms).all(rests);
            let best = is_null.then(|| Visited {
                point: point.clone(),
                loss: evaluation.value,
                gradient: evaluation.gradient.clone(),
                gap,
                target: point.clone(),
            });
            Place { strength, terms, predicted: None, best, other: None, has_misled: false, idle: 0 }
        };
        let places: Vec<Place> = strengths.iter().map(|&strength| place(strength)).collect();
        let last_null = places.iter().take_while(|place| place.best.is_some()).last();
        let strength = last_null.map_or(largest, |place| place.strength);
        let stations = Stations::new(Station { strength, anchor, solution: point, knot });
        let null = evaluation.value;
        Ok(Self { objective, problem, settings, models, stations, places, null, rounds: 0 })
    }

    /// What may be left to gain.
    pub(super) fn tolerance(&self) -> f64 {
        self.problem.gap_tolerance * self.null
    }

    pub(super) fn enough(&self) -> f64 {
        1e-2 * self.tolerance()
    }

    /// The first place where the model is another one than without the penalised columns.
    pub(super) fn first(&self) -> usize {
        self.places.iter().take_while(|place| place.best.is_some()).count()
    }
}

impl Place {
    /// The loss there, as far as it is known.
    pub(super) fn loss(&self) -> Option<f64> {
        let visited = self.best.as_ref().map(|best| best.loss);
        visited.or_else(|| self.predicted.as_ref().map(|predicted| predicted.loss))
    }
}
