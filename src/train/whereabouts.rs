//! Where a run stands, on the original scale of the columns: from there another device goes on, or a later run.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::data::Encoded;
use crate::engine::journal::Journal;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::solve::{History, Iteration};
use crate::standardize::Coordinates;
use crate::train::job::Job;
use crate::wording::{listed, plain};

/// A point.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Standing {
    /// Coefficients `[margins][columns]`.
    weights: Vec<Vec<f64>>,
    /// Intercepts `[margins]`.
    intercepts: Vec<f64>,
    /// Columns that others explain, where a run has looked for them.
    aliased: Option<Vec<usize>>,
}

impl Standing {
    /// The coefficients of a model, by the names of the features; those that it does not know are 0.
    ///
    /// # Errors
    /// Of kind `Data` if it tells other classes apart.
    pub(super) fn of_model(model: &Model, encoded: &Encoded) -> Result<Self> {
        let classes = |labels: &[String]| listed(&labels.iter().map(String::as_str).collect::<Vec<_>>());
        let own: Vec<String> = encoded.label.classes.iter().map(|class| plain(&class.to_string())).collect();
        let others: Vec<String> = model.label.classes.iter().map(|class| plain(&class.to_string())).collect();
        if own != others {
            return Err(Error::data(
                format!(
                    "the model that the run is to begin with tells {} apart, and the label has {}",
                    classes(&others),
                    classes(&own)
                ),
                "Name a model of the same label, or leave ⟦init⟧ out.",
            ));
        }
        // A softmax has coefficients of every class, and margins are against the first one.
        let against_first = |of_classes: &[f64]| match of_classes {
            [first, others @ ..] if of_classes.len() == own.len() => others.iter().map(|x| x - first).collect(),
            _ => of_classes.to_vec(),
        };
        let known: HashMap<&str, Vec<f64>> = model
            .features
            .iter()
            .map(|feature| (feature.name.as_str(), against_first(&feature.coefficients)))
            .collect();
        let intercepts: Vec<f64> = against_first(&model.intercepts);
        let of_margin = |margin: usize| {
            let weight = |name: &str| known.get(name).and_then(|own| own.get(margin)).copied().unwrap_or(0.0);
            encoded.features.iter().map(|feature| weight(&feature.name)).collect()
        };
        Ok(Self { weights: (0..intercepts.len()).map(of_margin).collect(), intercepts, aliased: None })
    }

    /// The parameters of the solver that others explain, if that is known.
    pub(super) fn dropped(&self, coordinates: &Coordinates) -> Option<Vec<usize>> {
        let aliased = self.aliased.as_ref()?;
        let active = coordinates.active().iter().enumerate();
        Some(active.filter(|(_, column)| aliased.contains(column)).map(|(place, _)| place).collect())
    }

    /// The columns that others explain, as far as that is known.
    pub(super) fn aliased(&self) -> Vec<usize> {
        self.aliased.clone().unwrap_or_default()
    }

    /// The point in the solver's coordinates.
    pub(super) fn in_solver(&self, coordinates: &Coordinates) -> Vec<f64> {
        let margins = self.weights.iter().zip(&self.intercepts);
        margins.flat_map(|(weights, intercept)| coordinates.standardized(weights, *intercept)).collect()
    }
}

/// Where a run begins and where it has come to.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    start: Option<Standing>,
    reached: RefCell<Option<Standing>>,
}

impl Whereabouts {
    /// Where the run begins, if not where every other does.
    pub(super) fn start(&self) -> Option<&Standing> {
        self.start.as_ref()
    }

    /// A history that takes note of every iteration too, in these coordinates, which are without the columns `aliased`.
    pub(super) fn told<'h>(
        &'h self,
        coordinates: &'h Coordinates,
        aliased: &'h [usize],
        history: &'h mut History<'_>,
    ) -> impl FnMut(&Iteration<'_>) + 'h {
        |iteration| {
            self.reach(coordinates, aliased, iteration);
            history(iteration);
        }
    }

    /// Takes note of an iteration in these coordinates, which are without the columns `aliased`.
    fn reach(&self, coordinates: &Coordinates, aliased: &[usize], iteration: &Iteration<'_>) {
        if !iteration.value.is_finite() {
            return;
        }
        let margins = iteration.point.chunks(coordinates.dimension().max(1));
        let (weights, intercepts) = margins.map(|margin| coordinates.to_original(margin)).unzip();
        *self.reached.borrow_mut() = Some(Standing { weights, intercepts, aliased: Some(aliased.to_vec()) });
    }

    /// Where the run has come to.
    pub(super) fn reached(self) -> Option<Standing> {
        self.reached.into_inner().or(self.start)
    }
}

/// What a run leaves behind for another one that goes on.
#[derive(Default)]
pub(super) struct Trail {
    /// What the engine answered.
    pub(super) journal: Journal,
    /// Where the run begins or has come to, if not where every other one begins.
    pub(super) standing: Option<Standing>,
}

impl Trail {
    /// Where a run begins that goes on, or that begins with a model.
    pub(super) fn begin(&self, job: &Job, encoded: &Encoded) -> Result<Whereabouts> {
        let start = match (&self.standing, &job.start) {
            (None, Some(model)) => Some(Standing::of_model(model, encoded)?),
            (standing, _) => standing.clone(),
        };
        Ok(Whereabouts { start, ..Whereabouts::default() })
    }
}
