//! Columns that others explain completely.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Objective;
use crate::solve::dot;

/// A pivot below this share of its diagonal is a suspicion: sums in f32 cannot tell an exact sum of columns from one
/// with an inflation factor of 1e8, both leave about 1e-8.
const SUSPICIOUS: f64 = 1e-5;

/// What is left of an aliased column, as a share of its own square, after the others have explained it.
const ALIASED: f64 = 1e-12;

/// The columns (indices of parameters below `columns`) that the columns before them explain, as R's `glm` drops them.
///
/// `hessian` is that of the point where the objective stands, with all rows alike there, so that it is a multiple
/// of the Gram matrix; of several margins that of the first, whose parameters come first. Each suspicion costs one pass along the candidate null vector c, which decides: aliased when
/// the sum of `(Xc)^2` is at most 1e-12 of the column's own.
pub fn aliased(objective: &mut dyn Objective, hessian: &Symmetric, columns: usize) -> Result<Vec<usize>> {
    let n = hessian.size();
    let mut kept: Vec<usize> = Vec::with_capacity(n);
    // Rows of the Cholesky factor, over the kept columns.
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut aliased = Vec::new();
    for j in 0..columns {
        let mut row: Vec<f64> = Vec::with_capacity(kept.len() + 1);
        for (i, &column) in kept.iter().enumerate() {
            let explained = dot(&lower[i][..i], &row);
            row.push((hessian.get(j, column) - explained) / lower[i][i]);
        }
        let own = hessian.get(j, j);
        let mut pivot = own - dot(&row, &row);
        if pivot.is_nan() || pivot < SUSPICIOUS * own {
            let mut candidate = vec![0.0; objective.dimension()];
            candidate[j] = 1.0;
            for (&column, share) in kept.iter().zip(back_substituted(&lower, &row)) {
                candidate[column] = -share;
            }
            // At step 0 the curvature is the mean of S u^2, with the same S in every row.
            let left = objective.line(&mut candidate, 0.0)?.first().curvature;
            if left <= ALIASED * own {
                aliased.push(j);
                continue;
            }
            pivot = left;
        }
        row.push(pivot.sqrt());
        lower.push(row);
        kept.push(j);
    }
    Ok(aliased)
}

/// Solves `L'c = b`.
fn back_substituted(lower: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut c = b.to_vec();
    for i in (0..c.len()).rev() {
        for k in i + 1..c.len() {
            c[i] -= lower[k][i] * c[k];
        }
        c[i] /= lower[i][i];
    }
    c
}
