//! Orthonormal bases of columns, by modified Gram-Schmidt.
//!
//! Each column is orthogonalised twice, which leaves the basis orthonormal to the last digits whatever the columns are.
//!
//! # Reference
//! Björck, *Numerical Methods for Least Squares Problems*, section 2.4.

use rayon::prelude::*;

use crate::vectors::in_vectors;

/// An orthonormal basis of some columns `[columns][rows]`.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The basis, `[rank][rows]`.
    pub vectors: Vec<Vec<f64>>,
    /// The column that each of its vectors was made of, `[rank]`.
    pub kept: Vec<usize>,
    /// The columns that those before them explain, in the order in which they were met.
    pub explained: Vec<usize>,
    /// What each column has of each vector, `[columns][rank or fewer]`.
    shares: Vec<Vec<f64>>,
}

impl Basis {
    /// The basis in the order of `columns`. A column is explained when no more than `limits[column]` is left of its length.
    pub fn in_order(columns: Vec<Vec<f64>>, limits: &[f64]) -> Self {
        let mut basis = Self::empty(columns.len());
        let mut rest = columns;
        for column in 0..rest.len() {
            let (vector, length) = basis.left_of(column, &mut rest);
            if length > limits[column] {
                basis.take(column, vector, length, &mut rest[column + 1..], column + 1);
            } else {
                basis.explained.push(column);
            }
        }
        basis
    }

    /// The basis with the longest remainder first, until that is no longer than `share` of the first.
    pub fn longest_first(columns: Vec<Vec<f64>>, share: f64) -> Self {
        let mut basis = Self::empty(columns.len());
        let mut rest = columns;
        let mut open: Vec<usize> = (0..rest.len()).collect();
        let mut first = 0.0;
        while !open.is_empty() {
            let length = |&column: &usize| length(&rest[column]);
            let lengths: Vec<f64> = open.par_iter().map(length).collect();
            let place = (0..open.len()).max_by(|&a, &b| lengths[a].total_cmp(&lengths[b])).expect("not empty");
            let column = open[place];
            let (vector, length) = basis.left_of(column, &mut rest);
            if basis.kept.is_empty() {
                first = length;
            }
            if length <= share * first || length == 0.0 {
                break;
            }
            open.remove(place);
            basis.take(column, vector, length, &mut rest, 0);
        }
        basis.explained = open;
        basis
    }

    fn empty(columns: usize) -> Self {
        Self { vectors: Vec::new(), kept: Vec::new(), explained: Vec::new(), shares: vec![Vec::new(); columns] }
    }

    /// What the basis leaves of a column, orthogonalised once more, and its length.
    fn left_of(&mut self, column: usize, rest: &mut [Vec<f64>]) -> (Vec<f64>, f64) {
        let mut vector = std::mem::take(&mut rest[column]);
        for (share, other) in self.shares[column].iter_mut().zip(&self.vectors) {
            *share += without(&mut vector, other);
        }
        let length = length(&vector);
        (vector, length)
    }

    /// Takes a column into the basis, and its part out of `others`, which begin at the column `first`.
    fn take(&mut self, column: usize, mut vector: Vec<f64>, length: f64, others: &mut [Vec<f64>], first: usize) {
        for x in &mut vector {
            *x /= length;
        }
        self.shares[column].push(length);
        let shares = &mut self.shares[first..first + others.len()];
        others.par_iter_mut().zip(shares).filter(|(other, _)| !other.is_empty()).for_each(|(other, share)| {
            share.push(without(other, &vector));
        });
        self.vectors.push(vector);
        self.kept.push(column);
    }

    /// The number of vectors.
    pub fn rank(&self) -> usize {
        self.vectors.len()
    }

    /// The coefficients of the kept columns whose sum is `sum_i shares[i] vectors[i]`, `[shares]`.
    pub fn coefficients(&self, shares: &[f64]) -> Vec<f64> {
        let mut coefficients = shares.to_vec();
        for i in (0..coefficients.len()).rev() {
            let of_i = &self.shares[self.kept[i]];
            coefficients[i] /= of_i[i];
            let coefficient = coefficients[i];
            for (before, share) in coefficients[..i].iter_mut().zip(of_i) {
                *before -= coefficient * share;
            }
        }
        coefficients
    }

    /// A combination of the columns that is 0, with `weight` of the explained `column` in it, added to `sum` `[columns]`.
    pub fn add_null(&self, column: usize, weight: f64, sum: &mut [f64]) {
        sum[column] += weight;
        for (coefficient, kept) in self.coefficients(&self.shares[column]).iter().zip(&self.kept) {
            sum[*kept] -= weight * coefficient;
        }
    }
}

/// The inner products of all `rows` with `v`.
pub fn products_with(rows: &[Vec<f64>], v: &[f64]) -> Vec<f64> {
    rows.par_iter().with_min_len(256).map(|row| product(row, v)).collect()
}

/// The inner product, in eight sums.
pub fn product(a: &[f64], b: &[f64]) -> f64 {
    in_vectors(
        #[inline(always)]
        || {
            let mut sums = [0.0; 8];
            let (a, a_rest) = a.as_chunks::<8>();
            let (b, b_rest) = b.as_chunks::<8>();
            for (a, b) in a.iter().zip(b) {
                for lane in 0..8 {
                    sums[lane] += a[lane] * b[lane];
                }
            }
            for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
                *sum += a * b;
            }
            let [a, b, c, d, e, f, g, h] = sums;
            ((a + b) + (c + d)) + ((e + f) + (g + h))
        },
    )
}

/// Takes the part along `vector`, which has length 1, out of `column`; gives how much that was.
fn without(column: &mut [f64], vector: &[f64]) -> f64 {
    let share = product(column, vector);
    in_vectors(
        #[inline(always)]
        || {
            for (x, v) in column.iter_mut().zip(vector) {
                *x -= share * v;
            }
        },
    );
    share
}

fn length(vector: &[f64]) -> f64 {
    product(vector, vector).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Vec<f64>> {
        let column = |seed: usize| (0..50).map(|row| ((row * (2 * seed + 3) + seed) as f64 * 1.7).sin()).collect();
        let mut columns: Vec<Vec<f64>> = (0..4).map(column).collect();
        columns.insert(2, columns[0].iter().zip(&columns[1]).map(|(a, b)| 3.0 * a - b).collect());
        columns
    }

    fn is_orthonormal(basis: &Basis) -> bool {
        let entry = |i: usize, j: usize| product(&basis.vectors[i], &basis.vectors[j]) - f64::from(u8::from(i == j));
        (0..basis.rank()).all(|i| (0..basis.rank()).all(|j| entry(i, j).abs() <= 1e-14))
    }

    #[test]
    fn an_explained_column_is_found_in_its_order() {
        let basis = Basis::in_order(columns(), &[1e-9; 5]);
        assert!(is_orthonormal(&basis));
        assert_eq!((basis.kept.as_slice(), basis.explained.as_slice()), ([0, 1, 3, 4].as_slice(), [2].as_slice()));
        let mut null = [0.0; 5];
        basis.add_null(2, 2.0, &mut null);
        for (found, expected) in null.iter().zip([-6.0, 2.0, 2.0, 0.0, 0.0]) {
            assert!((found - expected).abs() <= 1e-13, "{null:?}");
        }
    }

    #[test]
    fn the_longest_remainder_comes_first() {
        let mut scaled = columns();
        scaled[3].iter_mut().for_each(|x| *x *= 100.0);
        let basis = Basis::longest_first(scaled.clone(), 1e-9);
        assert!(is_orthonormal(&basis));
        assert_eq!((basis.rank(), basis.kept[0], basis.explained.len()), (4, 3, 1));
        let mut null = [0.0; 5];
        basis.add_null(basis.explained[0], 1.0, &mut null);
        let left = |row: usize| null.iter().zip(&scaled).map(|(c, column)| c * column[row]).sum::<f64>();
        assert!((0..50).all(|row| left(row).abs() <= 1e-12), "{null:?}");
        // Coefficients of a sum of the basis.
        let shares = [1.0, -2.0, 0.5, 3.0];
        let coefficients = basis.coefficients(&shares);
        for row in 0..50 {
            let of_columns: f64 = coefficients.iter().zip(&basis.kept).map(|(c, &j)| c * scaled[j][row]).sum();
            let of_vectors: f64 = shares.iter().zip(&basis.vectors).map(|(s, v)| s * v[row]).sum();
            assert!((of_columns - of_vectors).abs() <= 1e-12);
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "sums of small integers are exact in any order")]
    fn an_inner_product_takes_every_row() {
        for rows in [0, 1, 7, 8, 9, 127, 128] {
            let x: Vec<f64> = (0..rows).map(f64::from).collect();
            let r: Vec<f64> = (0..rows).map(|row| f64::from(row % 5) - 1.0).collect();
            assert_eq!(product(&x, &r), x.iter().zip(&r).map(|(x, r)| x * r).sum::<f64>());
        }
    }

    #[test]
    fn nothing_has_no_basis() {
        assert_eq!(Basis::longest_first(vec![vec![0.0; 3]; 2], 1e-9).rank(), 0);
        assert_eq!(Basis::in_order(vec![vec![0.0; 3]; 2], &[0.0; 2]).explained, [0, 1]);
    }
}
