//! A path of elastic nets in a model: what there is at each strength.

use serde::{Deserialize, Serialize};

use super::numbers;
use crate::error::{Error, Result};
use crate::model::Model;

/// Models of two classes with elastic nets of descending strengths. The model itself is one of them, or one between two.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PathInfo {
    /// The share of L1 in each strength.
    pub alpha: f64,
    /// The strengths, descending: `alpha lambda` of L1 and `(1 - alpha) lambda` of L2.
    pub lambdas: Vec<f64>,
    /// The strength of the model itself.
    pub selected: f64,
    /// The mean loss of the null model, which has what is not penalised.
    pub null_loss: f64,
    /// The share of the null deviance that each explains, `[lambdas]`.
    #[serde(deserialize_with = "numbers")]
    pub explained: Vec<f64>,
    /// Features that are selected, `[lambdas]`: their coefficients are not 0.
    pub columns: Vec<usize>,
    /// What is left to gain at most, a share of the null deviance, `[lambdas]`: to second order, by the curvature of the path.
    #[serde(deserialize_with = "numbers")]
    pub gaps: Vec<f64>,
    /// Intercepts on the original scale, `[lambdas]`.
    #[serde(deserialize_with = "numbers")]
    pub intercepts: Vec<f64>,
    /// Coefficients on the original scale that are not 0, by the place of their feature, `[lambdas][columns]`.
    pub coefficients: Vec<Vec<(usize, f64)>>,
}

/// A share of a strength within which another one is the same.
const SAME: f64 = 1e-9;

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * b
}

impl PathInfo {
    /// The intercept and the coefficients of all `features` at a strength: between two of the path on the line that joins them, as
    /// glmnet does; above the first one those of the first. `None` below the last one.
    pub fn at(&self, lambda: f64, features: usize) -> Option<(f64, Vec<f64>)> {
        let after = self.lambdas.iter().position(|other| *other <= lambda || is_same(*other, lambda))?;
        let of = |place: usize| {
            let mut all = vec![0.0; features];
            for &(feature, value) in &self.coefficients[place] {
                all[feature] = value;
            }
            (self.intercepts[place], all)
        };
        let (mut intercept, mut coefficients) = of(after);
        if after > 0 && !is_same(self.lambdas[after], lambda) {
            let (high, low) = (self.lambdas[after - 1], self.lambdas[after]);
            let share = (lambda - low) / (high - low);
            let (other, of_other) = of(after - 1);
            intercept += share * (other - intercept);
            coefficients.iter_mut().zip(of_other).for_each(|(x, other)| *x += share * (other - *x));
        }
        Some((intercept, coefficients))
    }

    /// What is wrong with it, in a model of so many features.
    pub(super) fn fault(&self, features: usize) -> Option<String> {
        let count = self.lambdas.len();
        let lengths = [self.explained.len(), self.columns.len(), self.gaps.len(), self.intercepts.len()];
        if count == 0 || lengths.iter().chain([&self.coefficients.len()]).any(|length| *length != count) {
            return Some(format!("its path has {count} strengths, and not as much of everything else"));
        }
        if self.lambdas.windows(2).any(|pair| !matches!(pair, [a, b] if a > b && *b > 0.0)) {
            return Some("the strengths of its path do not descend".into());
        }
        let place = self.coefficients.iter().flatten().map(|(feature, _)| *feature).find(|place| *place >= features);
        place.map(|place| format!("its path has a coefficient of feature {place}, and there are {features}"))
    }
}

impl Model {
    /// The model at another strength of its path, whose loss and gap are known if it is one of those of the path.
    ///
    /// # Errors
    /// Of kind `Usage` if the model has no path, or the strength is below those of the path.
    pub fn at_lambda(&self, lambda: f64) -> Result<Self> {
        let Some(path) = &self.path else {
            return Err(Error::usage(
                "the model has no path: it was trained at one strength of the penalty",
                "Leave ⟦lambda⟧ out, or train with ⟦path⟧.",
            ));
        };
        let (first, last) = (path.lambdas[0], path.lambdas[path.lambdas.len() - 1]);
        let found = (lambda > 0.0 && lambda.is_finite()).then(|| path.at(lambda, self.features.len())).flatten();
        let Some((intercept, coefficients)) = found else {
            return Err(Error::usage(
                format!(
                    "⟦lambda {lambda:?}⟧ is not on the path of the model, which goes from {first:?} down to {last:?}"
                ),
                "Give a strength between them, or train a path that goes farther.",
            ));
        };
        let at = path.lambdas.iter().position(|other| is_same(*other, lambda));
        let mut model = self.clone();
        let training = &mut model.training;
        (training.l1, training.l2) = (path.alpha * lambda, (1.0 - path.alpha) * lambda);
        training.loss = at.map_or(f64::NAN, |at| path.null_loss * (1.0 - path.explained[at]));
        training.gap = at.map(|at| path.gaps[at]);
        training.delta = None;
        model.intercepts = vec![intercept];
        for (feature, coefficient) in model.features.iter_mut().zip(coefficients) {
            feature.coefficients = vec![coefficient];
        }
        Ok(model)
    }
}
