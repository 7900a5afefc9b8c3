//! How sure the coefficients are: standard errors, tests, limits, and the likelihood.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::erf::erfc;

use crate::matrix::Symmetric;
use crate::model::number;

/// What is inferred of one coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// Standard error.
    #[serde(deserialize_with = "number")]
    pub standard_error: f64,
    /// Coefficient over standard error.
    #[serde(deserialize_with = "number")]
    pub z: f64,
    /// Two-sided probability of such a z if the coefficient were 0 (normal approximation).
    #[serde(deserialize_with = "number")]
    pub p: f64,
    /// Lower confidence limit.
    #[serde(deserialize_with = "number")]
    pub low: f64,
    /// Upper confidence limit.
    #[serde(deserialize_with = "number")]
    pub high: f64,
    /// `exp(coefficient)`: the factor on the odds for one unit of the column.
    #[serde(deserialize_with = "number")]
    pub odds_ratio: f64,
    /// Its lower confidence limit.
    #[serde(deserialize_with = "number")]
    pub odds_low: f64,
    /// Its upper confidence limit.
    #[serde(deserialize_with = "number")]
    pub odds_high: f64,
}

impl Inference {
    /// From a coefficient, its standard error and a confidence in 0..1.
    pub fn new(coefficient: f64, standard_error: f64, confidence: f64) -> Self {
        let quantile = Normal::standard().inverse_cdf(0.5 + 0.5 * confidence);
        let z = coefficient / standard_error;
        let (low, high) = (coefficient - quantile * standard_error, coefficient + quantile * standard_error);
        Self {
            standard_error,
            z,
            p: erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2),
            low,
            high,
            odds_ratio: coefficient.exp(),
            odds_low: low.exp(),
            odds_high: high.exp(),
        }
    }
}

/// What the standard errors are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferenceInfo {
    /// `maximum likelihood`: the inverse of the information. `penalised`: the inverse of the penalised curvature; the
    /// coefficients are shrunk, so these are no frequentist standard errors. `robust (HC0)`: the sandwich; with factors of
    /// the classes, which are factors of the rows' gradients, `robust (HC0, weights of classes)`. `robust (sampling
    /// weights)`: the sandwich with the weights as factors of the rows' gradients, and `n / (n - 1)` for n rows.
    pub kind: Cow<'static, str>,
    /// Probability that an interval covers.
    #[serde(deserialize_with = "number")]
    pub confidence: f64,
    /// A share of themselves that standard errors are off by, at most; 0 in models that do not say.
    #[serde(default, deserialize_with = "number")]
    pub relative_error: f64,
}

/// The likelihood of a model and what is made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// `-n loss`.
    #[serde(deserialize_with = "number")]
    pub log_likelihood: f64,
    /// Twice the distance to a saturated model: `2 n loss`.
    #[serde(deserialize_with = "number")]
    pub residual_deviance: f64,
    /// The same for the model without features.
    #[serde(deserialize_with = "number")]
    pub null_deviance: f64,
    /// `2 k - 2 log_likelihood` with k fitted coefficients; not a number of a pseudo-likelihood.
    #[serde(deserialize_with = "number")]
    pub aic: f64,
    /// `McFadden`'s R^2: `1 - log_likelihood / null log_likelihood`.
    #[serde(deserialize_with = "number")]
    pub mcfadden_r2: f64,
    /// What it is of, if not of the rows by their weights: `without the weights of the classes`, `pseudo-likelihood, weights
    /// scaled to a mean of 1`, or both.
    #[serde(default, rename = "likelihood_kind", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'static, str>>,
}

impl Likelihood {
    /// From the mean loss of so many rows of each class, or their weights, with `fitted` coefficients.
    /// `null_loss` is the mean loss of the model without features where there are offsets; else it is known.
    /// `digits` is how many digits of the loss hold: the rest are rounded away.
    pub fn new(
        loss: f64,
        classes: &[f64],
        intercept: bool,
        null_loss: Option<f64>,
        fitted: usize,
        digits: Option<usize>,
    ) -> Self {
        let n: f64 = classes.iter().sum();
        let null = if let Some(loss) = null_loss {
            n * loss
        } else if intercept {
            -classes.iter().map(|class| class * (class / n).ln()).sum::<f64>()
        } else {
            n * (classes.len() as f64).ln()
        };
        let total = n * loss;
        let total = digits.map_or(total, |digits| rounded(total, digits));
        Self {
            log_likelihood: -total,
            residual_deviance: 2.0 * total,
            null_deviance: 2.0 * null,
            aic: 2.0 * fitted as f64 + 2.0 * total,
            mcfadden_r2: 1.0 - total / null,
            kind: None,
        }
    }
}

/// `x` to so many significant digits.
fn rounded(x: f64, digits: usize) -> f64 {
    format!("{x:.*e}", digits.saturating_sub(1)).parse().unwrap_or(x)
}

/// The covariance of the estimates in the solver's coordinates, from the inverse of the Hessian of a mean over `n` rows:
/// `H^-1 / n`, or with the scatter `B` of the rows' gradients White's sandwich `H^-1 B H^-1 / n` (HC0).
///
/// # Reference
/// White (1982), "Maximum likelihood estimation of misspecified models", Econometrica 50(1), 1-25.
pub fn covariance(inverse: Symmetric, scatter: Option<&Symmetric>, n: f64) -> Symmetric {
    let mut covariance = match scatter {
        None => inverse,
        Some(scatter) => inverse.congruence(scatter),
    };
    covariance.scale(1.0 / n);
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_p_are_those_of_the_normal_distribution() {
        // Abramowitz and Stegun, table 26.1: P(|Z| > 1.96) = 0.0499958, 97.5 % quantile 1.959964.
        let inference = Inference::new(1.96, 1.0, 0.95);
        assert!((inference.p - 0.049_995_8).abs() <= 1e-7);
        assert!((inference.high - (1.96 + 1.959_964)).abs() <= 1e-6);
        assert!((inference.odds_ratio - 1.96_f64.exp()).abs() <= 1e-12);
    }

    #[test]
    fn small_probabilities_keep_their_digits() {
        // mpmath 1.3, erfc(z / sqrt 2) in 40 digits; the halves of those of 17 and 30 are 10^-64.38658 and 10^-197.30921 in
        // Abramowitz and Stegun, table 26.2.
        for (z, expected) in [
            (0.5, 0.617_075_077_451_973_8),
            (5.0, 5.733_031_437_583_878e-7),
            (17.0, 8.211_992_404_197_813e-65),
            (30.0, 9.813_427_854_296_375e-198),
        ] {
            for coefficient in [z, -z] {
                let p = Inference::new(2.0 * coefficient, 2.0, 0.95).p;
                assert!((p / expected - 1.0).abs() <= 1e-9, "at {z}: {p:e} instead of {expected:e}");
            }
        }
    }

    #[test]
    fn limits_of_the_odds_are_those_of_the_coefficient() {
        // 99.5 % quantile 2.575829 (Abramowitz and Stegun, table 26.5), so the limits are 0.4 -+ 0.5 x 2.575829.
        let inference = Inference::new(0.4, 0.5, 0.99);
        for (found, exponent) in [
            (inference.odds_ratio, 0.4),
            (inference.odds_low, 0.4 - 1.287_914_5),
            (inference.odds_high, 0.4 + 1.287_914_5),
        ] {
            assert!((found / f64::exp(exponent) - 1.0).abs() <= 1e-6, "{found} instead of exp({exponent})");
        }
    }

    /// Without an intercept the model without features gives every class the same probability: `2 n ln K`.
    #[test]
    fn without_an_intercept_the_null_model_knows_nothing_of_the_classes() {
        for (classes, deviance) in
            [(vec![90.0, 10.0], 200.0 * 2.0_f64.ln()), (vec![5.0, 2.0, 3.0], 20.0 * 3.0_f64.ln())]
        {
            let likelihood = Likelihood::new(0.25, &classes, false, None, 1, None);
            let n: f64 = classes.iter().sum();
            assert!((likelihood.null_deviance / deviance - 1.0).abs() <= 1e-14, "{likelihood:?}");
            assert!((likelihood.mcfadden_r2 - (1.0 - 0.5 * n / deviance)).abs() <= 1e-14, "{likelihood:?}");
        }
    }

    #[test]
    fn the_likelihood_of_spector() {
        // Greene, Econometric Analysis, 8th ed., table 17.1: log-likelihood -12.890, null -20.592.
        let likelihood = Likelihood::new(12.889_634_2 / 32.0, &[21.0, 11.0], true, None, 4, None);
        assert!((likelihood.null_deviance / 2.0 - 20.5917).abs() <= 1e-4);
        assert!((likelihood.aic - (8.0 + 25.779_268)).abs() <= 1e-5);
        assert!((likelihood.mcfadden_r2 - 0.374).abs() <= 1e-3);
    }
}
