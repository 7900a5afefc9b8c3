//! Whether the likelihood of a softmax has a maximum, by linear programming.
//!
//! Konis (2007), "Linear programming algorithms for detecting separated data in binary logistic regression models": with
//! `a_i` the row i of the design matrix, intercept included, of one sign for one class and of the other for the other,
//! the classes are separated exactly if some `v` has `a_i.v >= 0` for all rows and more for one, so exactly if the
//! largest `sum_i a_i.v` over such v of a box is not 0. Of several classes there is an `a` for each row and each class
//! but its own: the design row in the block of its own class, and with the other sign in that of the other, where the
//! first class has no block (Albert and Anderson 1984, "On the existence of maximum likelihood estimates in logistic
//! regression models").
//!
//! The cone of these v is the same in any basis of the columns, so they are made orthonormal first; and the lengths of
//! the `a_i` do not matter, so they are 1.
//!
//! What is solved is the dual programme, which has a row for each parameter and not for each row of the table: the
//! least `|b + sum_i m_i a_i|_1` over `m >= 0`, with b the sum of the `a_i`. Where it is 0 the `m` prove that there is no
//! such v, whoever found them (Stiemke 1915); where it is not, the programme itself gives the v that proves it.
//! So no verdict rests on the solver: a wrong one would have no proof.

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

/// A value below this is 0, and one above [`SOME`] is not.
const NONE: f64 = 1e-7;
const SOME: f64 = 1e-3;

/// A column of which no more than this is left beside those before it depends on them.
const DEPENDENT: f64 = 1e-8;

/// Entries below this of a vector of length 1 are 0.
const ROUNDING: f64 = 1e-12;

/// Whether classes are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The maximum exists.
    Overlap,
    /// It does not, and some rows say nothing about it.
    QuasiComplete,
    /// It does not, and all rows can be told apart.
    Complete,
    /// The value lies between what is 0 and what is not, or the proof is not one.
    Unclear,
}

impl Verdict {
    pub(crate) fn is_separated(self) -> bool {
        matches!(self, Self::QuasiComplete | Self::Complete)
    }
}

/// The rows of a table, as the programme sees them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'t> {
    pub(crate) columns: &'t [&'t [f64]],
    pub(crate) label: &'t [usize],
    pub(crate) classes: usize,
    /// Rows of weight 0 are none, and other weights change nothing.
    pub(crate) weights: Option<&'t [f64]>,
}

impl Rows<'_> {
    /// The verdict, with an intercept.
    pub(crate) fn verdict(&self) -> Verdict {
        let vectors = self.vectors();
        let target = sum(&vectors);
        let Some(value) = least(&vectors, &target, false) else { return Verdict::Unclear };
        if value < NONE {
            return Verdict::Overlap;
        }
        if value < SOME || !has_direction(&vectors, &target) {
            return Verdict::Unclear;
        }
        // Completely if some v has 1 or more for all rows: if 0 is no mean of the vectors.
        match least(&vectors, &vec![0.0; target.len()], true) {
            Some(value) if value < NONE => Verdict::QuasiComplete,
            Some(_) => Verdict::Complete,
            None => Verdict::Unclear,
        }
    }

    /// Whether one of the columns, on its own with an intercept, separates the classes.
    pub(crate) fn is_separated_by_one(&self) -> bool {
        let alone = |column: &&[f64]| Rows { columns: &[column], ..*self }.verdict().is_separated();
        self.columns.iter().any(alone)
    }

    /// The vectors `a`, `[pairs of a row and a class][parameters]`, of length 1.
    fn vectors(&self) -> Vec<Vec<f64>> {
        let rows: Vec<usize> =
            (0..self.label.len()).filter(|&row| self.weights.is_none_or(|weights| weights[row] > 0.0)).collect();
        let columns: Vec<Vec<f64>> =
            self.columns.iter().map(|column| rows.iter().map(|&row| column[row]).collect()).collect();
        let basis = basis(&columns, rows.len());
        let width = basis.len();
        let mut vectors = Vec::new();
        for (place, &row) in rows.iter().enumerate() {
            let own = self.label[row];
            for other in (0..self.classes).filter(|class| *class != own) {
                let mut vector = vec![0.0; width * (self.classes - 1)];
                for (class, sign) in [(own, 1.0), (other, -1.0)] {
                    if class > 0 {
                        for (j, column) in basis.iter().enumerate() {
                            vector[(class - 1) * width + j] = sign * column[place];
                        }
                    }
                }
                let length = norm(&vector);
                for x in &mut vector {
                    *x /= length;
                    // Nothing but rounding, and too small beside the others for a simplex.
                    if x.abs() < ROUNDING {
                        *x = 0.0;
                    }
                }
                vectors.push(vector);
            }
        }
        vectors
    }
}

/// An orthonormal basis of what the intercept and the columns span.
fn basis(columns: &[Vec<f64>], rows: usize) -> Vec<Vec<f64>> {
    let mut basis = vec![vec![1.0 / (rows as f64).sqrt(); rows]];
    for column in columns {
        let largest = column.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let mean = column.iter().map(|x| x / largest).sum::<f64>() / rows as f64;
        let mut left: Vec<f64> = column.iter().map(|x| x / largest - mean).collect();
        let before = norm(&left);
        // What is left of a constant is rounding.
        if largest == 0.0 || before <= 1e-13 * (rows as f64).sqrt() {
            continue;
        }
        for _ in 0..2 {
            for direction in &basis {
                let along: f64 = direction.iter().zip(&left).map(|(a, b)| a * b).sum();
                left.iter_mut().zip(direction).for_each(|(x, d)| *x -= along * d);
            }
        }
        let after = norm(&left);
        if after > DEPENDENT * before {
            basis.push(left.iter().map(|x| x / after).collect());
        }
    }
    basis
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn sum(vectors: &[Vec<f64>]) -> Vec<f64> {
    (0..vectors[0].len()).map(|j| vectors.iter().map(|vector| vector[j]).sum()).collect()
}

/// The least `|target + sum_i m_i a_i|_1` over `m >= 0`, of sum 1 if they are to be `shares`, computed from the m that
/// were found.
fn least(vectors: &[Vec<f64>], target: &[f64], shares: bool) -> Option<f64> {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let multipliers: Vec<Variable> = vectors.iter().map(|_| problem.add_var(0.0, (0.0, f64::INFINITY))).collect();
    for (j, target) in target.iter().enumerate() {
        let mut terms: Vec<(Variable, f64)> =
            multipliers.iter().zip(vectors).map(|(m, vector)| (*m, vector[j])).filter(|term| term.1 != 0.0).collect();
        for sign in [1.0, -1.0] {
            terms.push((problem.add_var(1.0, (0.0, f64::INFINITY)), sign));
        }
        problem.add_constraint(terms, ComparisonOp::Eq, -target);
    }
    if shares {
        problem.add_constraint(multipliers.iter().map(|m| (*m, 1.0)).collect::<Vec<_>>(), ComparisonOp::Eq, 1.0);
    }
    let solution = problem.solve().ok()?.into_solution().ok()?;
    let left = |j: usize| {
        let parts = multipliers.iter().zip(vectors).map(|(m, vector)| solution.var_value(*m).max(0.0) * vector[j]);
        (target[j] + parts.sum::<f64>()).abs()
    };
    Some((0..target.len()).map(left).sum())
}

/// Whether the programme itself finds a v of the box with `a_i.v >= 0` for all i, and more for their sum.
fn has_direction(vectors: &[Vec<f64>], target: &[f64]) -> bool {
    let mut problem = Problem::new(OptimizationDirection::Maximize);
    let direction: Vec<Variable> = target.iter().map(|b| problem.add_var(*b, (-1.0, 1.0))).collect();
    for vector in vectors {
        let terms: Vec<(Variable, f64)> = direction.iter().copied().zip(vector.iter().copied()).collect();
        problem.add_constraint(terms, ComparisonOp::Ge, 0.0);
    }
    let Some(solution) = problem.solve().ok().and_then(|outcome| outcome.into_solution().ok()) else { return false };
    let along =
        |vector: &Vec<f64>| -> f64 { vector.iter().zip(&direction).map(|(a, v)| a * solution.var_value(*v)).sum() };
    vectors.iter().all(|vector| along(vector) >= -1e-7) && vectors.iter().map(along).sum::<f64>() > SOME
}
