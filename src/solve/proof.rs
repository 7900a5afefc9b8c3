//! The proof that comes free with a run: that the likelihood has a maximum.
//!
//! Write delta for the distance to the optimum in standard errors at any point, and `SE_k` for the standard error of the
//! margin of row k there. If `delta max_k SE_k < 1`, the maximum exists. For take a direction h along which the Hessian is 1
//! in units of standard errors: the loss falls by `delta` at most at first, its curvature there is 1 and changes by a factor
//! of `exp(rho t)` at most after a way t, `rho = max_k |x_k.h| <= max_k SE_k`, since the third derivative of a row's loss is
//! at most its second. So its slope is at least `-delta + (1 - exp(-rho t)) / rho`, which becomes positive: the loss rises in the
//! end along every ray, and a convex function that does so has a minimum. With several classes rho is the largest
//! difference of two margins of a row. Weights and offsets may be anything.
//!
//! A small distance alone proves nothing: where the data are separated, the standard error grows as fast as the way that is
//! left, and the product stays at 1 or above.

use crate::matrix::Factor;

/// A level of a category among the parameters of a margin. Its column has the value `step - centre` in the level's rows
/// and `-centre` in all others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The category: a row has one level of it.
    pub category: usize,
    /// What the level's rows have more than the others.
    pub step: f64,
    /// What all rows have less than none.
    pub centre: f64,
}

/// How far the parameters reach into the margins of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// The largest absolute value of each parameter's column, for all margins, `[dimension]`.
    pub parameters: Vec<f64>,
    /// Which parameters of a margin are levels, `[dimension / margins]`; none if it is shorter.
    pub levels: Vec<Option<Level>>,
    /// Whether the last parameter of each margin is an intercept.
    pub has_intercept: bool,
    /// Of which parameters of a margin the terms are rounded, `[dimension / margins]`; of all if it is shorter.
    pub rounded: Vec<bool>,
}

/// What `delta max SE` may be at most for a proof: a tenth, so that rounding has a factor of ten.
pub(super) const PROVED: f64 = 0.1;

/// From here on it is a doubt.
pub(super) const DOUBTFUL: f64 = 0.5;

/// At least the largest standard error of a margin of any row, or with several margins of a difference of two of them,
/// with the inverse of `rows` times the factored matrix as the covariance; `inverse_diagonal` is that of the matrix.
pub fn largest_error(factor: &Factor, inverse_diagonal: &[f64], rows: f64, reach: &Reach, margins: usize) -> f64 {
    let variances = inverse_diagonal;
    let size = variances.len() / margins.max(1);
    let mut of_margins: Vec<f64> = (0..margins)
        .map(|margin| {
            let first = margin * size;
            // What all rows have, whatever their levels: the intercept, less the centres of the levels.
            let mut constant = vec![0.0; variances.len()];
            if reach.has_intercept {
                constant[first + size - 1] = 1.0;
            }
            let numbers = size - usize::from(reach.has_intercept);
            let (mut error, mut categories) = (0.0, Vec::<f64>::new());
            for j in 0..numbers {
                let own = (variances[first + j] / rows).sqrt();
                match reach.levels.get(j).copied().flatten() {
                    None => error += own * reach.parameters[first + j],
                    Some(Level { category, step, centre }) => {
                        constant[first + j] = -centre;
                        if categories.len() <= category {
                            categories.resize(category + 1, 0.0);
                        }
                        // So that NaN stays.
                        let level = own * step;
                        categories[category] = if level <= categories[category] { categories[category] } else { level };
                    }
                }
            }
            let solved = factor.solve(&constant);
            let of_constant: f64 = constant.iter().zip(solved).map(|(a, b)| a * b).sum();
            error + (of_constant.max(0.0) / rows).sqrt() + categories.iter().sum::<f64>()
        })
        .collect();
    of_margins.sort_by(|a, b| b.total_cmp(a));
    of_margins.iter().take(2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Symmetric;

    /// Rows of a number and a category of three levels, all centred: the bound against every row's own standard error.
    #[test]
    fn no_row_has_a_larger_error_than_the_bound() {
        let rows = 300;
        let number = |row: usize| ((row as f64 + 0.5) * 12.9898).sin();
        let level = |row: usize| row * 7 % 11 % 3;
        let share = |of: usize| (0..rows).filter(|&row| level(row) == of).count() as f64 / rows as f64;
        let scale = |of: usize| (share(of) * (1.0 - share(of))).sqrt();
        let is = |flag: bool| f64::from(u8::from(flag));
        let x = |row: usize| {
            let of = |l: usize| (is(level(row) == l) - share(l)) / scale(l);
            [number(row), of(1), of(2), 1.0]
        };
        let entry = |i: usize, j: usize| (0..rows).map(|row| x(row)[i] * x(row)[j] * 0.2).sum::<f64>() / rows as f64;
        let hessian = Symmetric::from_lower(4, entry);
        let factor = hessian.factor().expect("definite");
        let level = |of: usize| Some(Level { category: 0, step: 1.0 / scale(of), centre: share(of) / scale(of) });
        let reach = Reach {
            parameters: vec![1.0; 4],
            levels: vec![None, level(1), level(2), None],
            has_intercept: true,
            rounded: Vec::new(),
        };
        let bound = largest_error(&factor, &factor.inverse_diagonal(), rows as f64, &reach, 1);
        let error = |row: usize| {
            let x = x(row);
            (factor.solve(&x).iter().zip(x).map(|(a, b)| a * b).sum::<f64>() / rows as f64).sqrt()
        };
        let most = (0..rows).map(error).fold(0.0, f64::max);
        assert!(most <= bound && bound <= 4.0 * most, "{most} {bound}");
        // As if the levels were numbers, all of which a row could have: a bound too, and no smaller.
        let parameters = (0..4).map(|j| (0..rows).map(|row| x(row)[j].abs()).fold(0.0, f64::max)).collect();
        let plain = Reach { parameters, levels: Vec::new(), has_intercept: true, rounded: Vec::new() };
        assert!(most <= largest_error(&factor, &factor.inverse_diagonal(), rows as f64, &plain, 1));
        // Two margins: the sum of both.
        let two = Symmetric::from_lower(8, |i, j| if i / 4 == j / 4 { hessian.get(i % 4, j % 4) } else { 0.0 });
        let reach = Reach { parameters: reach.parameters.repeat(2), ..reach };
        let factor = two.factor().expect("definite");
        let of_two = largest_error(&factor, &factor.inverse_diagonal(), rows as f64, &reach, 2);
        assert!((of_two - 2.0 * bound).abs() <= 1e-12 * bound);
    }
}
