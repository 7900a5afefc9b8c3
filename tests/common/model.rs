//! Models: labels that follow one, one trained on them, what it says.

use serde_json::Value;

use super::process::{Place, number};
use super::random::Random;

impl Random {
    /// A label that is true with the odds `exp(margin)`.
    pub(crate) fn label(&mut self, margin: f64) -> bool {
        self.unit() < 1.0 / (1.0 + (-margin).exp())
    }
}

impl Place {
    /// The model of `train` with these arguments, on the CPU.
    pub(crate) fn model(&self, arguments: &str) -> Value {
        self.done(&format!("train {arguments} --device cpu --json")).json()
    }
}

/// The coefficients of a model, in the order of its features.
pub(crate) fn coefficients(model: &Value) -> Vec<f64> {
    let features = model["features"].as_array().expect("a list of features");
    features.iter().map(|feature| number(feature, "/coefficient")).collect()
}
