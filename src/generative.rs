//! The generative model: every class is a Gaussian with a mean of its own and a covariance that all share.
//!
//! With priors `pi_k`, means `mu_k` and covariance `Sigma` the probability of a class, given x, is a softmax of linear
//! functions of x, `w_k = Sigma^-1 mu_k` and `b_k = ln pi_k - mu_k' Sigma^-1 mu_k / 2`; for two classes it is logistic in
//! their difference. Maximum likelihood has a closed form: `pi_k = N_k / N`, the means of the classes, and
//! `Sigma = sum_k pi_k S_k` with the covariance `S_k` of each class. See Bishop, *Pattern Recognition and Machine
//! Learning*, section 4.2.

use crate::matrix::Symmetric;

/// Where the rows of each class lie, by their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Sum of the row weights of each class, `[classes]`.
    pub weights: Vec<f64>,
    /// Means of the features in each class, `[classes][features]`; 0 in a class without weight.
    pub means: Vec<Vec<f64>>,
    /// Scatter of the rows about the mean of their class, divided by the weight of all rows, `[features x features]`.
    pub within: Symmetric,
}

impl Moments {
    /// The share of each class, `[classes]`.
    pub fn priors(&self) -> Vec<f64> {
        let total: f64 = self.weights.iter().sum();
        self.weights.iter().map(|weight| if total > 0.0 { weight / total } else { 0.0 }).collect()
    }

    /// The mean of `x x'` over all rows, x extended by 1, `[features + 1 x features + 1]`.
    pub fn gram(&self) -> Symmetric {
        let features = self.within.size();
        let priors = self.priors();
        let extended = |class: usize, j: usize| if j < features { self.means[class][j] } else { 1.0 };
        Symmetric::from_lower(features + 1, |i, j| {
            let between: f64 =
                priors.iter().enumerate().map(|(k, prior)| prior * extended(k, i) * extended(k, j)).sum();
            if i < features { self.within.get(i, j) + between } else { between }
        })
    }
}
