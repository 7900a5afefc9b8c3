//! The logistic model, a row at a time, in f64: twins of the functions in `shaders/prelude.wgsl`.
//!
//! Notation: margin `z = w.x + b`, label `t` in {0, 1}, `s = 2t - 1`, `L = sigmoid(z)` the
//! probability that `t = 1`. See Bishop, *Pattern Recognition and Machine Learning*, section 4.3.2.

#![expect(clippy::inline_always, reason = "a call in a loop over rows would keep it out of vector registers")]

/// `sigmoid(z) = 1 / (1 + exp(-z))`, where the exponential cannot overflow; 0 for `z < -708`. Without branches or
/// calls, as [`terms`].
#[inline(always)]
pub fn sigmoid(z: f64) -> f64 {
    let e = exp_of_negative(-z.abs());
    (if z >= 0.0 { 1.0 } else { e }) / (1.0 + e)
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

/// The terms of a row with margin `z` and label `t` (0 or 1), from one exponential. Without branches or calls, so that
/// a loop over rows runs in vector registers.
#[inline(always)]
pub fn terms(z: f64, t: f64) -> Terms {
    let row = odds(z, t);
    Terms { loss: row.excess + ln_1p_of_unit(row.e), residual: row.residual, curvature: row.curvature }
}

/// What a row is made of before its logarithm is taken: the loss is `excess + ln(1 + e)`.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// `exp(-|z|)`, in 0..1.
    pub e: f64,
    /// `max(-s z, 0)`: how far the row is on the wrong side.
    pub excess: f64,
    /// As in [`Terms`].
    pub residual: f64,
    /// As in [`Terms`].
    pub curvature: f64,
}

/// [`terms`] without the logarithm, which several rows can share: `sum ln(1 + e_k) = ln prod (1 + e_k)`.
#[inline(always)]
pub fn odds(z: f64, t: f64) -> Odds {
    let s = 2.0 * t - 1.0;
    let against = -s * z; // positive where the row is on the wrong side
    let e = exp_of_negative(-z.abs());
    let whole = 1.0 / (1.0 + e);
    let sigmoid_against = if against >= 0.0 { whole } else { e * whole };
    let excess = if against > 0.0 { against } else { 0.0 };
    Odds { e, excess, residual: -s * sigmoid_against, curvature: e * whole * whole }
}

/// `exp(x)` for `x <= 0`, to about one unit in the last place; 0 below -708. `x = k ln 2 + r` with ln 2 in two parts
/// (Cody and Waite), the Taylor series of `exp(r)` for `|r| <= ln 2 / 2`, and `2^k` by its bits.
#[inline(always)]
pub(crate) fn exp_of_negative(x: f64) -> f64 {
    /// Added and taken away, it rounds to an integer, which stands in the low bits in between.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    /// `1 / i!`, the highest first.
    const SERIES: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
    ];
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut tail = SERIES[0];
    let mut i = 1;
    while i < SERIES.len() {
        tail = tail * r + SERIES[i];
        i += 1;
    }
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    let value = power * (1.0 + (r + r * r * tail));
    // NaN stays NaN: the comparison is false.
    if x < -708.0 { 0.0 } else { value }
}

/// `ln(1 + e)` for `e` in 0..1, to about two units in the last place, and with the relative precision of a tiny `e`:
/// `2 artanh(w)` with `w = e / (2 + e)` in 0..1/3, whose series to `w^35` leaves less than 1e-17 of it.
#[inline(always)]
pub fn ln_1p_of_unit(e: f64) -> f64 {
    /// `1 / (2 i + 1)`, the highest first.
    const SERIES: [f64; 18] = [
        1.0 / 35.0,
        1.0 / 33.0,
        1.0 / 31.0,
        1.0 / 29.0,
        1.0 / 27.0,
        1.0 / 25.0,
        1.0 / 23.0,
        1.0 / 21.0,
        1.0 / 19.0,
        1.0 / 17.0,
        1.0 / 15.0,
        1.0 / 13.0,
        1.0 / 11.0,
        1.0 / 9.0,
        1.0 / 7.0,
        1.0 / 5.0,
        1.0 / 3.0,
        1.0,
    ];
    let w = e / (2.0 + e);
    let v = w * w;
    let mut series = SERIES[0];
    let mut i = 1;
    while i < SERIES.len() {
        series = series * v + SERIES[i];
        i += 1;
    }
    2.0 * w * series
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

    /// Against the standard library, in units of the last place.
    #[test]
    fn vector_functions_agree_with_the_standard_library() {
        let mut worst = (0.0_f64, 0.0_f64);
        for i in 0..=700_000 {
            let x = -f64::from(i) * 1e-3;
            let (found, expected) = (exp_of_negative(x), x.exp());
            worst.0 = worst.0.max((found - expected).abs() / expected);
            worst.1 = worst.1.max((ln_1p_of_unit(expected) - expected.ln_1p()).abs() / expected.ln_1p());
        }
        assert!(worst.0 <= 3e-16 && worst.1 <= 5e-16, "{worst:?}");
        assert!((exp_of_negative(0.0) - 1.0).abs() == 0.0 && exp_of_negative(-1e300).abs() == 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan());
        assert!(exp_of_negative(f64::NEG_INFINITY).abs() == 0.0);
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
