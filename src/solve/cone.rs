//! Whether a cone `{v: a_i.v >= 0}` has more in it than what all `a_i` leave at 0, and if so a direction of it.

use crate::matrix::{Basis, product, products_with};

/// Lengths below this share of the first say that a column adds nothing.
const RANK: f64 = 1e-9;

/// What is found of a cone.
#[derive(Clone, Debug)]
pub(super) enum Cone {
    /// A direction `[columns]`: no pair falls along it, and one rises.
    Direction(Vec<f64>),
    /// There is none: a sum of all pairs with positive factors is 0 (Stiemke). A random vector `[columns]` that leaves all
    /// of them at 0, if there is one.
    Overlap(Option<Vec<f64>>),
    /// The arithmetic did not decide.
    Unclear,
}

/// Looks for a direction along which no pair falls and one rises, where `columns` `[columns][pairs]` holds the pairs.
///
/// The sum of all pairs is projected onto the cone: the projection is 0 if and only if the cone is degenerate. Columns are
/// made orthonormal first, so neither their scales nor their collinearity matter, and the projection is Lawson and
/// Hanson's active set method, whose faces are projected on afresh at each step.
///
/// # References
/// Lawson and Hanson, *Solving Least Squares Problems*, chapter 23. Stiemke (1915), "Über positive Lösungen homogener
/// linearer Gleichungen", Math. Ann. 76, 340-342.
pub(super) fn look(columns: &[Vec<f64>], mut random: impl FnMut() -> f64) -> Cone {
    let count = columns.len();
    let sizes: Vec<f64> = columns.iter().map(|column| largest(column)).collect();
    let most = sizes.iter().fold(0.0, |most: f64, size| most.max(*size));
    let scale = |size: f64| if size > RANK * most { size } else { 1.0 };
    let scaled = columns.iter().zip(&sizes).map(|(c, &size)| c.iter().map(|x| x / scale(size)).collect()).collect();
    let basis = Basis::longest_first(scaled, RANK);
    let to_columns = |mut v: Vec<f64>| {
        v.iter_mut().zip(&sizes).for_each(|(v, &size)| *v /= scale(size));
        v
    };
    let rank = basis.rank();
    let mut null = || {
        (!basis.explained.is_empty()).then(|| {
            let mut null = vec![0.0; count];
            for &column in &basis.explained {
                basis.add_null(column, random(), &mut null);
            }
            null
        })
    };
    let pairs = columns.first().map_or(0, Vec::len);
    let rows: Vec<Vec<f64>> = (0..pairs)
        .filter_map(|pair| {
            let row: Vec<f64> = basis.vectors.iter().map(|vector| vector[pair]).collect();
            let length = product(&row, &row).sqrt();
            (length > RANK).then(|| row.iter().map(|x| x / length).collect())
        })
        .collect();
    if rank == 0 || rows.is_empty() {
        return Cone::Overlap(null().map(to_columns));
    }
    match project(&rows) {
        Projection::Zero => Cone::Overlap(null().map(to_columns)),
        Projection::Unclear => Cone::Unclear,
        Projection::Onto(direction) => {
            let mut v = vec![0.0; count];
            for (coefficient, &column) in basis.coefficients(&direction).iter().zip(&basis.kept) {
                v[column] = *coefficient;
            }
            Cone::Direction(to_columns(v))
        }
    }
}

fn largest(column: &[f64]) -> f64 {
    column.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// The projection of the sum of all rows onto `{r: row.r >= 0}`.
enum Projection {
    Zero,
    /// Of length 1.
    Onto(Vec<f64>),
    Unclear,
}

/// The rows whose constraints hold with equality, and an orthonormal basis of them.
struct Face {
    rows: Vec<usize>,
    vectors: Vec<Vec<f64>>,
    /// What each row has of the vectors, `[rows][vectors up to its own]`.
    shares: Vec<Vec<f64>>,
}

impl Face {
    fn new() -> Self {
        Self { rows: Vec::new(), vectors: Vec::new(), shares: Vec::new() }
    }

    /// Adds a row; `false` if the others explain it.
    fn add(&mut self, index: usize, row: &[f64]) -> bool {
        let mut vector = row.to_vec();
        let mut shares = vec![0.0; self.vectors.len()];
        for _ in 0..2 {
            for (share, other) in shares.iter_mut().zip(&self.vectors) {
                let part = product(&vector, other);
                vector.iter_mut().zip(other).for_each(|(x, v)| *x -= part * v);
                *share += part;
            }
        }
        let length = product(&vector, &vector).sqrt();
        if length <= 1e-12 {
            return false;
        }
        for x in &mut vector {
            *x /= length;
        }
        shares.push(length);
        self.rows.push(index);
        self.vectors.push(vector);
        self.shares.push(shares);
        true
    }

    /// What is left of `b` beside the rows.
    fn left_of(&self, b: &[f64]) -> Vec<f64> {
        let mut left = b.to_vec();
        for _ in 0..2 {
            for vector in &self.vectors {
                let part = product(&left, vector);
                left.iter_mut().zip(vector).for_each(|(x, v)| *x -= part * v);
            }
        }
        left
    }

    /// The factors of the rows whose sum is the part of `b` along them, with the sign turned.
    fn multipliers(&self, b: &[f64]) -> Vec<f64> {
        let mut factors: Vec<f64> = self.vectors.iter().map(|vector| -product(vector, b)).collect();
        for i in (0..factors.len()).rev() {
            factors[i] /= self.shares[i][i];
            let factor = factors[i];
            for (before, share) in factors[..i].iter_mut().zip(&self.shares[i]) {
                *before -= factor * share;
            }
        }
        factors
    }
}

fn project(rows: &[Vec<f64>]) -> Projection {
    let size = rows[0].len();
    let mut b = vec![0.0; size];
    for row in rows {
        b.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let enough = 1e-8 * product(&b, &b).sqrt().max(1.0);
    let mut face = Face::new();
    let mut multipliers: Vec<f64> = Vec::new();
    for _ in 0..20 * rows.len() + 100 {
        let left = face.left_of(&b);
        let length = product(&left, &left).sqrt();
        if length <= enough {
            return Projection::Zero;
        }
        let slopes = products_with(rows, &left);
        let open = (0..rows.len()).filter(|row| !face.rows.contains(row));
        let Some(worst) = open.min_by(|&a, &b| slopes[a].total_cmp(&slopes[b])) else {
            return Projection::Onto(left.iter().map(|x| x / length).collect());
        };
        if slopes[worst] >= -1e-10 * length {
            return Projection::Onto(left.iter().map(|x| x / length).collect());
        }
        if !face.add(worst, &rows[worst]) {
            return Projection::Unclear;
        }
        multipliers.push(0.0);
        // No multiplier may stay below 0: rows leave on the way to where all of them hold.
        loop {
            let new = face.multipliers(&b);
            if new.iter().all(|factor| *factor > 0.0) {
                multipliers = new;
                break;
            }
            let ratio = |(old, new): (&f64, &f64)| if *new <= 0.0 && old > new { old / (old - new) } else { 1.0 };
            let step = multipliers.iter().zip(&new).map(ratio).fold(1.0, f64::min);
            let scale = multipliers.iter().fold(1.0, |most: f64, factor| most.max(*factor));
            let lowest = (0..new.len()).min_by(|&a, &b| new[a].total_cmp(&new[b])).expect("one at least");
            for (old, new) in multipliers.iter_mut().zip(&new) {
                *old += step * (new - *old);
                if *new <= 0.0 && *old <= 1e-13 * scale {
                    *old = 0.0;
                }
            }
            if multipliers.iter().all(|factor| *factor > 0.0) {
                multipliers[lowest] = 0.0;
            }
            let kept: Vec<(usize, f64)> =
                face.rows.iter().copied().zip(multipliers).filter(|(_, factor)| *factor > 0.0).collect();
            face = Face::new();
            multipliers = Vec::new();
            for (row, factor) in kept {
                if face.add(row, &rows[row]) {
                    multipliers.push(factor);
                }
            }
            if face.rows.is_empty() {
                break;
            }
        }
    }
    Projection::Unclear
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::rows::mixing;

    fn is_direction(columns: &[Vec<f64>], v: &[f64]) -> bool {
        let along: Vec<f64> =
            (0..columns[0].len()).map(|pair| columns.iter().zip(v).map(|(c, v)| c[pair] * v).sum()).collect();
        let most = along.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        most > 0.0 && along.iter().all(|x| *x >= -1e-9 * most)
    }

    /// Pairs of a threshold on one column: `s (x, 1)`.
    fn pairs(rows: &[(f64, bool)]) -> Vec<Vec<f64>> {
        let sign = |is: bool| if is { 1.0 } else { -1.0 };
        vec![rows.iter().map(|(x, t)| sign(*t) * x).collect(), rows.iter().map(|(_, t)| sign(*t)).collect()]
    }

    #[test]
    fn a_threshold_is_found_and_an_overlap_is_one() {
        let apart = pairs(&[(-2.0, false), (-1.0, false), (0.5, true), (3.0, true)]);
        let Cone::Direction(v) = look(&apart, mixing()) else { panic!("a threshold") };
        assert!(is_direction(&apart, &v), "{v:?}");
        let tied = pairs(&[(-2.0, false), (0.5, false), (0.5, true), (3.0, true)]);
        let Cone::Direction(v) = look(&tied, mixing()) else { panic!("a tie lets the others rise") };
        assert!(is_direction(&tied, &v), "{v:?}");
        let overlap = pairs(&[(-2.0, false), (0.6, false), (0.5, true), (3.0, true)]);
        assert!(matches!(look(&overlap, mixing()), Cone::Overlap(None)));
    }

    #[test]
    fn what_no_pair_moves_is_told() {
        let mut overlap = pairs(&[(-2.0, false), (0.6, false), (0.5, true), (3.0, true)]);
        overlap.push(overlap[0].iter().zip(&overlap[1]).map(|(x, one)| 1e6 * (2.0 * x - one)).collect());
        let Cone::Overlap(Some(null)) = look(&overlap, mixing()) else { panic!("three columns of rank two") };
        let left = |pair: usize| overlap.iter().zip(&null).map(|(c, v)| c[pair] * v).sum::<f64>();
        assert!((0..4).all(|pair| left(pair).abs() <= 1e-9) && null.iter().any(|v| v.abs() > 1e-7), "{null:?}");
    }

    #[test]
    fn noise_beside_large_columns_separates_nothing() {
        let overlap = pairs(&[(-2.0, false), (0.6, false), (0.5, true), (3.0, true)]);
        let times = |factor: f64| overlap.iter().map(move |c| c.iter().map(|x| factor * x).collect::<Vec<f64>>());
        let of_size = |size: f64| vec![size, 0.5 * size, size, 0.7 * size];
        // What rounding leaves of a column of 1e3 that was to be 0, the same sign in each pair.
        let with_noise: Vec<_> = times(1e3).chain([of_size(1e-9)]).collect();
        assert!(matches!(look(&with_noise, mixing()), Cone::Overlap(Some(_))));
        // A column of the same size beside small ones says something.
        let with_column: Vec<_> = times(1e-3).chain([of_size(1e-9)]).collect();
        assert!(matches!(look(&with_column, mixing()), Cone::Direction(_)));
    }

    /// Planes through random points: with all points on their right side, and with one that undoes the others.
    #[test]
    fn planes_in_many_columns() {
        let mut random = mixing();
        for size in [3, 8, 20] {
            let plane: Vec<f64> = (0..size).map(|_| random()).collect();
            let mut columns = vec![Vec::new(); size];
            for _ in 0..20 * size {
                let row: Vec<f64> = (0..size).map(|_| 4.0 * random()).collect();
                let side = row.iter().zip(&plane).map(|(x, p)| x * p).sum::<f64>();
                let sign = if side > 0.0 { 1.0 } else { -1.0 };
                columns.iter_mut().zip(row).for_each(|(column, x)| column.push(sign * x));
            }
            let Cone::Direction(v) = look(&columns, mixing()) else { panic!("{size} columns") };
            assert!(is_direction(&columns, &v), "{v:?}");
            // A pair that undoes all the others together.
            for column in &mut columns {
                column.push(-column.iter().sum::<f64>());
            }
            assert!(matches!(look(&columns, mixing()), Cone::Overlap(None)), "{size} columns");
        }
    }
}
