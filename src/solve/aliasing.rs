//! Columns that others explain completely.
//!
//! A Gram matrix of f32 sums raises a suspicion and no more. Rows in double precision decide: columns that are independent
//! in a few rows are independent, and what a few rows leave of nothing is held against all of them.

use crate::error::Result;
use crate::matrix::{Basis, Pivots, Symmetric};
use crate::solve::rows::{Highest, Outstanding, Rows, Sample, evenly, mixing};

/// A pivot below this share of its diagonal is a suspicion: sums in f32 cannot tell an exact sum of columns from one
/// with an inflation factor of 1e8, both leave about 1e-8.
const SUSPICIOUS: f64 = 1e-5;

/// The error of a pivot of f32 sums, as a share of the square of the sizes that it is the difference of. Entries were off
/// by up to 7e-7 where columns have few values, since the rounding of those is biased.
const GRAM_ERROR: f64 = 4e-6;

/// What is left of an aliased column, as a share of its own spread. A copy in f32 does not hold less.
const ALIASED: f64 = 1e-6;

/// Rounds until all rows that contradict are known.
const ROUNDS: usize = 50;

/// Whether some column may be explained by those before it, as far as a Gram matrix of f32 sums can tell: a pivot of its
/// Cholesky factor lies within its own error. Parameters from `columns` on are not looked at.
pub fn suspicious(gram: &Symmetric, columns: usize) -> bool {
    let mut pivots = Pivots::new(|i, j| gram.get(i, j));
    for column in 0..columns {
        let remainder = pivots.of(column);
        let shares = pivots.shares(&remainder);
        let others =
            pivots.kept().iter().zip(shares).map(|(&other, share)| share.abs() * gram.get(other, other).sqrt());
        let size = remainder.own.sqrt() + others.sum::<f64>();
        let least = (SUSPICIOUS * remainder.own).max(GRAM_ERROR * size * size);
        if remainder.left.is_nan() || remainder.left <= least {
            return true;
        }
        pivots.keep(remainder);
    }
    false
}

/// The columns that the columns before them explain, ascending, as R's `glm` drops them: what the others leave of them is
/// at most a millionth of their own spread. Columns have a spread of `spread`, and the intercept comes before all of them.
///
/// # Cost
/// A pass to fetch rows; another for each round in which some column seems redundant, mostly one.
pub fn aliased(rows: &mut impl Rows, spread: &[f64]) -> Result<Vec<usize>> {
    let columns = spread.len();
    let has_intercept = rows.has_intercept();
    let count = 2 * (columns + 1) + 32;
    let mut sample = Sample::fetch(rows, evenly(rows.len(), count).collect())?;
    let mut mixing = mixing();
    for _ in 0..ROUNDS {
        let n = sample.positions.len() as f64;
        let intercept = has_intercept.then(|| vec![1.0; sample.positions.len()]);
        let first = usize::from(has_intercept);
        let all: Vec<Vec<f64>> = intercept.into_iter().chain(sample.columns.iter().cloned()).collect();
        let limit = |(column, spread): (&Vec<f64>, &f64)| {
            let mean = if has_intercept { column.iter().sum::<f64>() / n } else { 0.0 };
            let own = (column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
            ALIASED * n.sqrt() * own.max(1e-3 * spread)
        };
        let of_columns = sample.columns.iter().zip(spread).map(limit);
        let limits: Vec<f64> = has_intercept.then_some(0.0).into_iter().chain(of_columns).collect();
        let basis = Basis::in_order(all, &limits);
        let dropped: Vec<usize> = basis.explained.iter().map(|column| column - first).collect();
        if dropped.is_empty() || sample.positions.len() == rows.len() {
            return Ok(dropped);
        }
        // All candidates in one pass: a mixture of them is 0 where each is.
        let mut mixture = vec![0.0; columns + first];
        for &column in &basis.explained {
            basis.add_null(column, mixing() / spread[column - first], &mut mixture);
        }
        let (constant, mixture) = if has_intercept { (mixture[0], &mixture[1..]) } else { (0.0, &mixture[..]) };
        let start = || (Highest::new(count), 0.0, 0.0);
        let parts = rows.fold(start, |(highest, squares, weight): &mut (Highest, f64, f64), block| {
            let mut left = vec![constant; block.len()];
            for (column, c) in block.columns.iter().zip(mixture).filter(|(_, c)| **c != 0.0) {
                left.iter_mut().zip(column).for_each(|(left, x)| *left += c * x);
            }
            for (row, left) in left.iter().enumerate().filter(|(row, _)| block.counts(*row)) {
                highest.push(Outstanding { position: block.first_row + row, score: left.abs(), value: *left });
                *squares += left * left;
                *weight += 1.0;
            }
        })?;
        let (mut highest, mut squares, mut weight) = start();
        for part in parts {
            highest.append(part.0);
            squares += part.1;
            weight += part.2;
        }
        if squares <= ALIASED * ALIASED * weight {
            return Ok(dropped);
        }
        let before = sample.positions.len();
        let positions = highest.positions().into_iter().chain(sample.positions.iter().copied()).collect();
        sample = Sample::fetch(rows, positions)?;
        if sample.positions.len() == before {
            return Ok(dropped);
        }
    }
    Err(crate::error::Error::internal("the search for redundant columns did not end"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::rows::tests::Table;

    const ROWS: usize = 20_000;

    fn values(seed: f64) -> Vec<f64> {
        (0..ROWS).map(|row| ((row as f64 + 0.5) * seed).sin() * std::f64::consts::SQRT_2).collect()
    }

    fn found(columns: Vec<Vec<f64>>, intercept: bool) -> (Vec<usize>, usize) {
        let spread: Vec<f64> =
            columns.iter().map(|c| (c.iter().map(|x| x * x).sum::<f64>() / ROWS as f64).sqrt()).collect();
        let mut table = Table::new(columns, &[0, 1].repeat(ROWS / 2));
        table.intercept = intercept;
        (aliased(&mut table, &spread).expect("nothing fails"), table.passes)
    }

    #[test]
    fn what_others_explain_goes_and_what_is_near_stays() {
        let (a, b) = (values(12.9898), values(78.233));
        let noise = values(37.719);
        for (distance, is_dropped) in [(0.0, true), (1e-7, true), (1e-5, false), (1e-4, false)] {
            let sum = (0..ROWS).map(|row| 3.0 * a[row] - b[row] + distance * noise[row]).collect();
            let (dropped, passes) = found(vec![a.clone(), b.clone(), sum], true);
            assert_eq!(!dropped.is_empty(), is_dropped, "{distance}: {dropped:?}");
            assert!(passes <= 2, "{passes} passes");
        }
    }

    #[test]
    fn a_row_that_the_sample_missed_speaks() {
        let a = values(12.9898);
        // A copy but for one row, and a column that nothing but one row has.
        let mut copy = a.clone();
        copy[12_345] += 1.0;
        let mut rare = vec![0.0; ROWS];
        rare[777] = 1.0;
        assert_eq!(found(vec![a.clone(), copy, rare.clone()], true).0, Vec::<usize>::new());
        let both = rare.iter().zip(&a).map(|(rare, a)| rare + a).collect();
        assert_eq!(found(vec![a, rare, both], true).0, [2]);
    }

    #[test]
    fn a_full_set_of_dummies_is_one_too_many_beside_an_intercept() {
        let dummy =
            |level: usize| (0..ROWS).map(|row| f64::from(u8::from((row * 7 + row / 13) % 3 == level))).collect();
        let columns: Vec<Vec<f64>> = (0..3).map(dummy).collect();
        assert_eq!(found(columns.clone(), true).0, [2]);
        assert_eq!(found(columns, false).0, Vec::<usize>::new());
    }

    #[test]
    fn a_pivot_within_its_error_is_a_suspicion() {
        let gram = |last: f64| {
            Symmetric::from_lower(3, |i, j| {
                if i == j {
                    1.0
                } else if i == 2 && j == 1 {
                    last
                } else {
                    0.1
                }
            })
        };
        assert!(!suspicious(&gram(0.2), 3) && suspicious(&gram(1.0), 3) && suspicious(&gram(f64::NAN), 3));
        assert!(!suspicious(&gram(1.0), 2), "only columns are looked at");
    }
}
