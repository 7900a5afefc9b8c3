//! The logistic model, a row at a time, in f64: twins of the functions in `shaders/prelude.wgsl`.
//!
//! Notation: margin `z = w.x + b`, label `t` in {0, 1}, `s = 2t - 1`, `L = sigmoid(z)` the
//! probability that `t = 1`. See Bishop, *Pattern Recognition and Machine Learning*, section 4.3.2.

/// `sigmoid(z) = 1 / (1 + exp(-z))`, by the branch whose exponential cannot overflow.
pub fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// `softplus(z) = ln(1 + exp(z)) = max(z, 0) + ln_1p(exp(-|z|))`.
pub fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// What one row adds to the sums of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Cross-entropy `softplus(z) - t z = softplus(-s z)`.
    pub loss: f64,
    /// Residual `L - t = -s sigmoid(-s z)`, without the cancellation of the difference.
    pub residual: f64,
    /// `S = L (1 - L) = e / (1 + e)^2` with `e = exp(-|z|)`, never as a difference.
    pub curvature: f64,
}

/// The terms of a row with margin `z` and label `t` (0 or 1), from one exponential.
#[inline]
pub fn terms(z: f64, t: f64) -> Terms {
    let s = 2.0 * t - 1.0;
    let against = -s * z; // positive where the row is on the wrong side
    let e = (-z.abs()).exp();
    let whole = 1.0 / (1.0 + e);
    let sigmoid_against = if against >= 0.0 { whole } else { e * whole };
    Terms { loss: against.max(0.0) + e.ln_1p(), residual: -s * sigmoid_against, curvature: e * whole * whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_agree_with_their_definitions() {
        for t in [0.0, 1.0] {
            for i in -400..=400 {
                let z = f64::from(i) * 0.05;
                let row = terms(z, t);
                assert!((row.loss - (softplus(z) - t * z)).abs() <= 1e-14 * (1.0 + z.abs()));
                assert!((row.residual - (sigmoid(z) - t)).abs() <= 2e-16);
                assert!((row.curvature - sigmoid(z) * (1.0 - sigmoid(z))).abs() <= 2e-16);
            }
        }
    }

    #[test]
    fn large_margins_stay_finite_and_exact() {
        assert!((terms(1000.0, 0.0).loss - 1000.0).abs() == 0.0);
        assert!(terms(1000.0, 1.0).loss == 0.0);
        assert!((terms(-1000.0, 1.0).residual + 1.0).abs() == 0.0);
        // 1 - sigmoid(40) would be 0 as a difference.
        assert!((terms(40.0, 1.0).residual / -(-40.0_f64).exp() - 1.0).abs() <= 1e-15);
    }
}
