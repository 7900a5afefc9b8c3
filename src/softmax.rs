//! The softmax model, some rows at a time, in f64.
//!
//! Notation: classes 0 to K - 1, of which 0 is the reference with margin `z_0 = 0`; margins `z_m = w_m.x + b_m` of the
//! others, label `t`, probabilities `p_k = exp(z_k) / sum_l exp(z_l)`. See Bishop, *Pattern Recognition and Machine
//! Learning*, section 4.3.4.
//!
//! Exponentials are taken relative to the *leader*, the class with the largest margin, so none overflows. With `rest` the
//! sum of those of all other classes, `1 - p = rest / (1 + rest)` of the leader is no difference; the others have `p <= 1/2`,
//! so theirs does not cancel.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::logistic::{exp_of_negative, ln_1p_of_unit};

/// Rows at once at most.
pub const MOST_ROWS: usize = 256;

/// What rows have beside a probability for each class, where [`Rows::take`] left them. Arrays of one struct, which the
/// compiler knows to be apart: else it would not use vector registers.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The class with the largest margin; the first of several.
    leaders: [f64; MOST_ROWS],
    /// The largest margin; later of use to what is summed over the classes.
    tops: [f64; MOST_ROWS],
    /// The margin of the label's class, then the loss `ln sum_k exp(z_k) - z_t`.
    losses: [f64; MOST_ROWS],
    /// `sum exp(z_k - z_leader)` over the classes but the leader, then `1 - p` of the leader.
    rests: [f64; MOST_ROWS],
    /// Probabilities of the reference.
    references: [f64; MOST_ROWS],
    /// What is summed over the classes.
    means: [f64; MOST_ROWS],
}

impl Default for Rows {
    fn default() -> Self {
        let [leaders, tops, losses, rests, references, means] = [[0.0; MOST_ROWS]; 6];
        Self { leaders, tops, losses, rests, references, means }
    }
}

impl Rows {
    /// Takes rows: their margins `[margins][rows]` become the probabilities of these classes.
    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "codes of classes")]
    pub fn take(&mut self, labels: &[f32], margins: &mut [f64]) {
        let n = labels.len();
        let (leaders, tops) = (&mut self.leaders[..n], &mut self.tops[..n]);
        let (losses, rests, references) = (&mut self.losses[..n], &mut self.rests[..n], &mut self.references[..n]);
        leaders.fill(0.0);
        tops.fill(0.0);
        losses.fill(0.0);
        for (class, z) in (1_u32..).zip(margins.chunks_exact(n)) {
            let class = f64::from(class);
            for i in 0..n {
                let leads = z[i] > tops[i];
                leaders[i] = if leads { class } else { leaders[i] };
                tops[i] = if leads { z[i] } else { tops[i] };
                losses[i] = if f64::from(labels[i]) == class { z[i] } else { losses[i] };
            }
        }
        for i in 0..n {
            references[i] = exp_of_negative(-tops[i]);
            rests[i] = if leaders[i] == 0.0 { 0.0 } else { references[i] };
        }
        for (class, z) in (1_u32..).zip(margins.chunks_exact_mut(n)) {
            let class = f64::from(class);
            for i in 0..n {
                z[i] = exp_of_negative(z[i] - tops[i]);
                // The leader's is 1; what is no number stays none.
                rests[i] += if leaders[i] == class { 0.0 } else { z[i] };
            }
        }
        for i in 0..n {
            losses[i] = (tops[i] - losses[i]) + ln_1p(rests[i]);
            let whole = 1.0 / (1.0 + rests[i]);
            tops[i] = whole;
            rests[i] *= whole;
            references[i] *= whole;
        }
        for p in margins.chunks_exact_mut(n) {
            for i in 0..n {
                p[i] *= tops[i];
            }
        }
    }

    /// The losses of the rows.
    #[inline(always)]
    pub fn losses(&self, losses: &mut [f64]) {
        losses.copy_from_slice(&self.losses[..losses.len()]);
    }

    /// Residuals `p - [t = class]` of a class with probabilities `p`.
    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "codes of classes")]
    pub fn residuals(&self, class: usize, p: &[f64], labels: &[f32], residuals: &mut [f64]) {
        let (n, class) = (p.len(), class as f64);
        let (labels, residuals) = (&labels[..n], &mut residuals[..n]);
        let (leaders, rests) = (&self.leaders[..n], &self.rests[..n]);
        for i in 0..n {
            let short = if leaders[i] == class { rests[i] } else { 1.0 - p[i] };
            residuals[i] = if f64::from(labels[i]) == class { -short } else { p[i] };
        }
    }

    /// `p (1 - p)` of a class with probabilities `p`.
    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "codes of classes")]
    pub fn curvatures(&self, class: usize, p: &[f64], curvatures: &mut [f64]) {
        let (n, class) = (p.len(), class as f64);
        let curvatures = &mut curvatures[..n];
        let (leaders, rests) = (&self.leaders[..n], &self.rests[..n]);
        for i in 0..n {
            curvatures[i] = p[i] * if leaders[i] == class { rests[i] } else { 1.0 - p[i] };
        }
    }

    /// The second derivative of the losses along a direction with direction margins `u`, `[margins][rows]`: the variance
    /// of `u_k`, `u_0 = 0`, under the probabilities `p`, `[margins][rows]`. Relative to the leader's u, so that nothing
    /// cancels where it has nearly all of the probability.
    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "codes of classes")]
    pub fn curvatures_along(&mut self, p: &[f64], u: &[f64], curvatures: &mut [f64]) {
        let n = curvatures.len();
        let (leaders, references) = (&self.leaders[..n], &self.references[..n]);
        let (of_leaders, means) = (&mut self.tops[..n], &mut self.means[..n]);
        of_leaders.fill(0.0);
        for (class, u) in (1_u32..).zip(u.chunks_exact(n)) {
            let class = f64::from(class);
            for i in 0..n {
                of_leaders[i] = if leaders[i] == class { u[i] } else { of_leaders[i] };
            }
        }
        for i in 0..n {
            means[i] = -references[i] * of_leaders[i];
        }
        for (p, u) in p.chunks_exact(n).zip(u.chunks_exact(n)) {
            for i in 0..n {
                means[i] += p[i] * (u[i] - of_leaders[i]);
            }
        }
        for i in 0..n {
            let apart = of_leaders[i] + means[i];
            curvatures[i] = references[i] * apart * apart;
        }
        for (p, u) in p.chunks_exact(n).zip(u.chunks_exact(n)) {
            for i in 0..n {
                let apart = (u[i] - of_leaders[i]) - means[i];
                curvatures[i] += p[i] * apart * apart;
            }
        }
    }
}

/// `ln(1 + s)` for `s >= 0`, with the relative precision of a tiny `s`: `j ln 2 + ln(1 + e)` with `1 + s = 2^j (1 + e)`,
/// where `e = (s - (2^j - 1)) / 2^j` is exact.
#[inline(always)]
fn ln_1p(s: f64) -> f64 {
    /// 2^52: in its low bits an integer stands as it is.
    const SHIFT: f64 = 4_503_599_627_370_496.0;
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    let bits = (1.0 + s).to_bits();
    let j = (f64::from_bits((bits >> 52) | SHIFT.to_bits()) - SHIFT) - 1023.0;
    let power = f64::from_bits(bits & EXPONENT);
    let e = (s - (power - 1.0)) / power;
    j * std::f64::consts::LN_2 + ln_1p_of_unit(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_agrees_with_the_standard_library() {
        let mut worst = 0.0_f64;
        for i in 0..400_000 {
            let s = (f64::from(i) * 1e-4 - 30.0).exp();
            worst = worst.max((ln_1p(s) / s.ln_1p() - 1.0).abs());
        }
        assert!(worst <= 6e-16, "{worst:e}");
        for j in 1..40 {
            let edge = f64::from(j).exp2() - 1.0;
            for s in [edge.next_down(), edge, edge.next_up()] {
                assert!((ln_1p(s) / s.ln_1p() - 1.0).abs() <= 6e-16, "{s}");
            }
        }
        assert!(ln_1p(0.0) == 0.0 && (ln_1p(1e-300) / 1e-300 - 1.0).abs() <= 1e-15 && ln_1p(f64::NAN).is_nan());
    }

    /// Loss, residuals, curvatures of one row of three classes.
    fn row(margins: [f64; 2], label: f32) -> (f64, [f64; 2], [f64; 2]) {
        let mut rows = Rows::default();
        let mut p = margins;
        rows.take(&[label], &mut p);
        let (mut loss, mut residuals, mut curvatures) = ([0.0], [0.0; 2], [0.0; 2]);
        rows.losses(&mut loss);
        for m in 0..2 {
            rows.residuals(m + 1, &p[m..=m], &[label], &mut residuals[m..=m]);
            rows.curvatures(m + 1, &p[m..=m], &mut curvatures[m..=m]);
        }
        (loss[0], residuals, curvatures)
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "numbers that f64 holds exactly")]
    fn large_margins_stay_finite_and_exact() {
        assert_eq!(row([1000.0, -1000.0], 0.0), (1000.0, [1.0, 0.0], [0.0, 0.0]));
        assert_eq!(row([1000.0, -1000.0], 1.0), (0.0, [0.0, 0.0], [0.0, 0.0]));
        assert_eq!(row([1000.0, -1000.0], 2.0), (2000.0, [1.0, -1.0], [0.0, 0.0]));
        assert_eq!(row([-1000.0, -1000.0], 0.0).0, 0.0);
        // 1 - p would be 0 as a difference, and ln(1 + exp(-40)) too.
        let (loss, residuals, curvatures) = row([40.0, -3.0], 1.0);
        let rest = (-40.0_f64).exp() + (-43.0_f64).exp();
        for found in [loss, -residuals[0], curvatures[0]] {
            assert!((found / rest - 1.0).abs() <= 1e-15, "{found} {rest}");
        }
        assert!(row([f64::NAN, 1.0], 2.0).0.is_nan());
    }

    /// Where one class has all but 1e-40 of the probability, the curvature along a direction is still its own.
    #[test]
    fn the_curvature_of_a_certain_row_does_not_cancel() {
        for margins in [[92.0, 0.5], [-92.0, -93.0], [1.0, 93.0]] {
            let mut rows = Rows::default();
            let mut p = margins;
            rows.take(&[0.0], &mut p);
            let u = [0.3, -1.7];
            let mut found = [0.0];
            rows.curvatures_along(&p, &u, &mut found);
            let z = [0.0, margins[0], margins[1]];
            let u = [0.0, u[0], u[1]];
            let leader = (0..3).max_by(|&a, &b| z[a].total_cmp(&z[b])).expect("three");
            let expected: f64 = (0..3).map(|k| (z[k] - z[leader]).exp() * (u[k] - u[leader]).powi(2)).sum();
            assert!((found[0] / expected - 1.0).abs() <= 1e-14, "{margins:?}: {} {expected}", found[0]);
        }
    }
}
