//! The generative model: every class is a Gaussian with a mean of its own and a covariance that all share.
//!
//! With priors `pi_k`, means `mu_k` and covariance `Sigma` the probability of a class, given x, is a softmax of linear
//! functions of x, `w_k = Sigma^-1 mu_k` and `b_k = ln pi_k - mu_k' Sigma^-1 mu_k / 2`; for two classes it is logistic in
//! their difference. Maximum likelihood has a closed form: `pi_k = N_k / N`, the means of the classes, and
//! `Sigma = sum_k pi_k S_k` with the covariance `S_k` of each class. See Bishop, *Pattern Recognition and Machine
//! Learning*, section 4.2.

use crate::matrix::{Pivots, Symmetric};

/// Where the rows of each class lie, by their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMoments {
    /// Sum of the row weights of each class, `[classes]`.
    pub weights: Vec<f64>,
    /// Means of the features in each class, `[classes][features]`; 0 in a class without weight.
    pub means: Vec<Vec<f64>>,
    /// Scatter of the rows about the mean of their class, divided by the weight of all rows, `[features x features]`.
    pub within: Symmetric,
}

impl ClassMoments {
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

/// The posterior of the Gaussian classes: a linear function for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// `Sigma^-1 mu_k`, `[classes][features]`.
    pub weights: Vec<Vec<f64>>,
    /// `ln pi_k - mu_k' Sigma^-1 mu_k / 2`, `[classes]`.
    pub intercepts: Vec<f64>,
}

impl Posterior {
    /// From the moments, which are the estimates; `None` if the covariance is not positive definite.
    pub fn of(moments: &ClassMoments) -> Option<Self> {
        let factor = moments.within.factor()?;
        let weights: Vec<Vec<f64>> = moments.means.iter().map(|mean| factor.solve(mean)).collect();
        let constants = moments.priors().into_iter().zip(&moments.means).zip(&weights);
        let intercepts = constants.map(|((prior, mean), w)| prior.ln() - 0.5 * dot(mean, w)).collect();
        Some(Self { weights, intercepts })
    }

    /// As parameters of the margins against the first class: for each of the others the weights and the intercept, one
    /// after the other.
    pub fn against_first(&self) -> Vec<f64> {
        let (first, intercept) = (&self.weights[0], self.intercepts[0]);
        let of_class = |(weights, own): (&Vec<f64>, &f64)| {
            let mut parameters: Vec<f64> = weights.iter().zip(first).map(|(w, first)| w - first).collect();
            parameters.push(own - intercept);
            parameters
        };
        self.weights.iter().zip(&self.intercepts).skip(1).flat_map(of_class).collect()
    }
}

impl ClassMoments {
    /// Features that leave nothing of their own within the classes, beyond `share` of their spread over all rows: they are
    /// the same in all rows of a class, or the features before them explain them there.
    pub fn explained(&self, share: f64) -> Vec<usize> {
        let features = self.within.size();
        let all = self.gram();
        let mut pivots = Pivots::new(|i, j| self.within.get(i, j));
        let mut explained = Vec::new();
        for i in 0..features {
            let remainder = pivots.of(i);
            let spread = all.get(i, i) - all.get(features, i).powi(2);
            if remainder.left > share * remainder.own && remainder.own > share * spread {
                pivots.keep(remainder);
            } else {
                explained.push(i);
            }
        }
        explained
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes in one dimension: pi = 1/4 and 3/4, means 0 and 2, variance 4.
    #[test]
    fn the_posterior_of_two_classes_is_logistic() {
        let within = Symmetric::from_lower(1, |_, _| 4.0);
        let moments = ClassMoments { weights: vec![1.0, 3.0], means: vec![vec![0.0], vec![2.0]], within };
        let found = Posterior::of(&moments).expect("definite").against_first();
        // w = (2 - 0) / 4, b = ln 3 - (4 - 0) / 8.
        assert!((found[0] - 0.5).abs() <= 1e-15 && (found[1] - (3.0_f64.ln() - 0.5)).abs() <= 1e-15, "{found:?}");
        // Mean 1.5, second moment 4 + 3/4 * 4.
        let gram = moments.gram();
        let entries = [gram.get(0, 0), gram.get(1, 0), gram.get(1, 1)];
        assert!(entries.iter().zip([7.0, 1.5, 1.0]).all(|(found, expected)| (found - expected).abs() <= 1e-15));
        assert!(moments.explained(1e-12).is_empty());
    }

    #[test]
    fn what_has_no_spread_within_a_class_is_found() {
        // The second feature is constant in each class, the fourth twice the first.
        let within = Symmetric::from_lower(4, |i, j| {
            [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 2.0, 0.0], [2.0, 0.0, 1.0, 4.0]][i][j]
        });
        let means = vec![vec![0.0; 4], vec![1.0, 1.0, 0.0, 2.0]];
        assert_eq!(ClassMoments { weights: vec![1.0, 1.0], means, within }.explained(1e-12), [1, 3]);
    }
}
