//! A path of elastic nets in a model: what there is at each strength.

use serde::{Deserialize, Serialize};

use super::{numbers, version1};
use crate::error::{Error, Result};
use crate::model::Model;

/// Models with elastic nets of descending strengths. The model itself is one of them, or one between two.
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
    /// Features that are selected, `[lambdas]`: not all of their coefficients are 0.
    pub columns: Vec<usize>,
    /// What is left to gain at most, a share of the null deviance, `[lambdas]`: to second order, by the curvature of the path.
    #[serde(deserialize_with = "numbers")]
    pub gaps: Vec<f64>,
    /// Intercepts on the original scale, `[lambdas][margins]`.
    #[serde(with = "version1::of_margins")]
    pub intercepts: Vec<Vec<f64>>,
    /// Coefficients on the original scale of the features that are selected, by the place of the feature,
    /// `[lambdas][columns][margins]`.
    #[serde(with = "version1::of_features")]
    pub coefficients: Vec<Vec<(usize, Vec<f64>)>>,
    /// The features on the edge, as in [`Training::on_edge`], `[lambdas][features]`; empty if there are none anywhere.
    ///
    /// [`Training::on_edge`]: crate::model::Training::on_edge
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_edge: Vec<Vec<String>>,
    /// What cross-validation found, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<CrossValidation>,
}

/// How well models along a path tell rows that they do not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CrossValidation {
    /// How rows were dealt to folds, in words.
    pub dealt: String,
    /// The seed of chance.
    pub seed: u64,
    /// The folds.
    pub folds: Vec<FoldInfo>,
    /// By strength; the first one is that of the metric that decides.
    pub curves: Vec<CvCurve>,
    /// The strength with the best mean; of several the largest.
    pub lambda_min: f64,
    /// The largest strength whose mean is within a standard error of the best one.
    pub lambda_1se: f64,
    /// Features that folds select there, by their place, each with the number of folds that do.
    pub selected_at_min: Vec<(usize, usize)>,
    /// The same at the other strength.
    pub selected_at_1se: Vec<(usize, usize)>,
    /// Models of folds.
    pub models: usize,
    /// Models whose gap was seen on their training rows.
    pub visited: usize,
    /// Models among them that are within the tolerance.
    pub verified: usize,
    /// The largest gap that was seen, a share of the null deviance.
    #[serde(deserialize_with = "super::number")]
    pub gap: f64,
}

/// A fold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoldInfo {
    /// Its number, or the value of the column of folds.
    pub name: String,
    /// The weight of the rows that it holds back.
    pub weight: f64,
}

/// A measure along a path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CvCurve {
    /// Its name.
    pub metric: String,
    /// Means over the folds by the weights of their rows, `[lambdas]`.
    #[serde(deserialize_with = "numbers")]
    pub mean: Vec<f64>,
    /// Their standard errors, `[lambdas]`.
    #[serde(deserialize_with = "numbers")]
    pub se: Vec<f64>,
    /// Of each fold, `[folds][lambdas]`.
    #[serde(deserialize_with = "lists")]
    pub by_fold: Vec<Vec<f64>>,
}

fn lists<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Vec<f64>>, D::Error> {
    let lists: Vec<Vec<Option<f64>>> = Deserialize::deserialize(deserializer)?;
    Ok(lists.into_iter().map(|list| list.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect()).collect())
}

/// A share of a strength within which another one is the same.
const SAME: f64 = 1e-9;

fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * b
}

impl PathInfo {
    /// The intercepts `[margins]` and the coefficients `[features][margins]` at a strength: between two of the path on the line that joins them, as
    /// glmnet does; above the first one those of the first. `None` below the last one.
    pub fn at(&self, lambda: f64, features: usize) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let after = self.lambdas.iter().position(|other| *other <= lambda || is_same(*other, lambda))?;
        let of = |place: usize| {
            let intercepts = self.intercepts[place].clone();
            let mut all = vec![vec![0.0; intercepts.len()]; features];
            for (feature, values) in &self.coefficients[place] {
                all[*feature].clone_from(values);
            }
            (intercepts, all)
        };
        let (mut intercepts, mut coefficients) = of(after);
        if after > 0 && !is_same(self.lambdas[after], lambda) {
            let (high, low) = (self.lambdas[after - 1], self.lambdas[after]);
            let share = (lambda - low) / (high - low);
            let (others, of_others) = of(after - 1);
            let go = |here: &mut Vec<f64>, there: Vec<f64>| {
                here.iter_mut().zip(there).for_each(|(x, other)| *x += share * (other - *x));
            };
            go(&mut intercepts, others);
            coefficients.iter_mut().zip(of_others).for_each(|(here, there)| go(here, there));
        }
        Some((intercepts, coefficients))
    }

    /// What is wrong with it, in a model of so many features and margins.
    pub(super) fn fault(&self, features: usize, margins: usize) -> Option<String> {
        let count = self.lambdas.len();
        let lengths = [self.explained.len(), self.columns.len(), self.gaps.len(), self.intercepts.len()];
        if count == 0 || lengths.iter().chain([&self.coefficients.len()]).any(|length| *length != count) {
            return Some(format!("its path has {count} strengths, and not as much of everything else"));
        }
        if !self.on_edge.is_empty() && self.on_edge.len() != count {
            return Some(format!("its path tells what is on the edge at {} of {count} strengths", self.on_edge.len()));
        }
        if self.lambdas.windows(2).any(|pair| !matches!(pair, [a, b] if a > b && *b > 0.0)) {
            return Some("the strengths of its path do not descend".into());
        }
        if let Some(cv) = &self.cv {
            let is_short = |curve: &CvCurve| {
                let lists = curve.by_fold.iter().chain([&curve.mean, &curve.se]);
                curve.by_fold.len() != cv.folds.len() || lists.into_iter().any(|list| list.len() != count)
            };
            let places = cv.selected_at_min.iter().chain(&cv.selected_at_1se);
            if cv.curves.is_empty() || cv.curves.iter().any(is_short) || places.into_iter().any(|(j, _)| *j >= features)
            {
                return Some(format!("its cross-validation is not one of {count} strengths"));
            }
        }
        let of_margins = self.coefficients.iter().flatten().map(|(_, values)| values).chain(&self.intercepts);
        if of_margins.into_iter().any(|values| values.len() != margins) {
            return Some(format!("its path does not have the coefficients of {margins} margins at each strength"));
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
        let Some((intercepts, coefficients)) = found else {
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
        training.on_edge = at.and_then(|at| path.on_edge.get(at).cloned()).unwrap_or_default();
        training.delta = None;
        model.intercepts = intercepts;
        for (feature, coefficients) in model.features.iter_mut().zip(coefficients) {
            feature.coefficients = coefficients;
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strengths of 2e-4 and 1e-4, and one feature of two that is selected at the second.
    fn path(place: usize) -> PathInfo {
        PathInfo {
            alpha: 1.0,
            lambdas: vec![2e-4, 1e-4],
            selected: 1e-4,
            null_loss: 0.5,
            explained: vec![0.0, 0.1],
            columns: vec![0, 1],
            gaps: vec![0.0, 0.0],
            intercepts: vec![vec![1.0], vec![3.0]],
            coefficients: vec![vec![], vec![(place, vec![4.0])]],
            on_edge: Vec::new(),
            cv: None,
        }
    }

    /// However weak they are, strengths between two of a path lie between their models.
    #[test]
    fn weak_strengths_are_told_apart() {
        for (lambda, intercept, coefficient) in
            [(1e-4, 3.0, 4.0), (1.05e-4, 2.9, 3.8), (1.5e-4, 2.0, 2.0), (1.95e-4, 1.1, 0.2), (2e-4, 1.0, 0.0)]
        {
            let (intercepts, coefficients) = path(0).at(lambda, 2).expect("it is on the path");
            assert!((intercepts[0] - intercept).abs() <= 1e-12, "{intercepts:?} at {lambda}");
            assert!((coefficients[0][0] - coefficient).abs() <= 1e-12, "{coefficients:?} at {lambda}");
            assert_eq!(coefficients[1], [0.0], "at {lambda}");
        }
        assert!(path(0).at(0.95e-4, 2).is_none());
    }

    #[test]
    fn coefficients_are_those_of_features() {
        assert_eq!(path(1).fault(2, 1), None);
        assert!(path(2).fault(2, 1).is_some_and(|fault| fault.contains("feature 2")));
    }
}
