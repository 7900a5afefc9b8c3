//! The coefficients of a model by their names.

use crate::data::Class;
use crate::model::Model;
use crate::model::inference::Inference;

/// What the intercept is called among the coefficients.
pub const INTERCEPT: &str = "(intercept)";

/// A coefficient of a model, on the original scale of its column.
#[derive(Clone, Copy, Debug)]
pub struct Coefficient<'m> {
    /// The name of the feature, or [`INTERCEPT`].
    pub name: &'m str,
    /// The class whose margin it is in: the positive one of two.
    pub class: &'m Class,
    /// Its value.
    pub value: f64,
    /// What is inferred of it, if that was asked for and it was estimated.
    pub inference: Option<&'m Inference>,
}

impl Coefficient<'_> {
    /// Its standard error, if that was asked for and it was estimated.
    pub fn standard_error(&self) -> Option<f64> {
        self.inference.map(|inference| inference.standard_error)
    }
}

impl Model {
    /// The coefficients by their names, margin by margin: the intercept if there is one, then the features.
    pub fn coefficients(&self) -> impl Iterator<Item = Coefficient<'_>> {
        (0..self.intercepts.len()).flat_map(move |margin| {
            let class = match &self.label.positive {
                Some(positive) => positive,
                None => &self.label.classes[margin],
            };
            let intercept = self.training.fit_intercept.then(|| Coefficient {
                name: INTERCEPT,
                class,
                value: self.intercepts[margin],
                inference: self.inferred_intercept(margin),
            });
            let features = self.features.iter().map(move |feature| Coefficient {
                name: &feature.name,
                class,
                value: feature.coefficients[margin],
                inference: feature.inferred(margin),
            });
            intercept.into_iter().chain(features)
        })
    }

    /// The coefficient of this name, `(intercept)` for the intercept; of several classes in the margin of the first that has
    /// one.
    pub fn coefficient(&self, name: &str) -> Option<Coefficient<'_>> {
        self.coefficients().find(|coefficient| coefficient.name == name)
    }
}
