//! Sums of products of columns with columns, in f64.

use nalgebra::DMatrix;

use crate::fold::Monoid;
use crate::matrix::{Symmetric, dense};

/// `sum_k f_k x_k x_k'` over rows k with columns x `[columns x columns]`, and what its additions have rounded away, so that
/// the order in which rows are added changes nothing that shows.
#[derive(Clone, Debug)]
pub struct Products {
    sum: DMatrix<f64>,
    lost: DMatrix<f64>,
}

impl Products {
    /// No rows yet.
    pub fn zero(columns: usize) -> Self {
        Self { sum: DMatrix::zeros(columns, columns), lost: DMatrix::zeros(columns, columns) }
    }

    /// Memory that it takes.
    pub const fn bytes(columns: usize) -> usize {
        2 * size_of::<f64>() * columns * columns
    }

    /// Adds a few rows: the columns `[columns][rows]`, and the factor of each row.
    pub fn add(&mut self, columns: &[&[f64]], factors: &[f64]) {
        let x = DMatrix::from_fn(columns.len(), factors.len(), |column, row| columns[column][row]);
        let weighed = DMatrix::from_fn(factors.len(), columns.len(), |row, column| factors[row] * columns[column][row]);
        self.add_sum(&(x * weighed));
    }

    /// Adds the rows of another one.
    pub fn merge(&mut self, other: &Self) {
        self.add_sum(&other.sum);
        self.lost += &other.lost;
    }

    /// Knuth's two-sum, entry by entry.
    fn add_sum(&mut self, terms: &DMatrix<f64>) {
        for ((sum, lost), term) in self.sum.iter_mut().zip(self.lost.iter_mut()).zip(terms.iter()) {
            let total = *sum + term;
            let added = total - *sum;
            *lost += (*sum - (total - added)) + (term - added);
            *sum = total;
        }
    }

    fn get(&self, i: usize, j: usize) -> f64 {
        self.sum[(i, j)] + self.lost[(i, j)]
    }

    /// The matrix of blocks, of which `block(a, b)` for `b <= a` is the one in row a and column b, `[margins][margins]`, all
    /// multiplied by `factor`.
    pub fn joined<'p>(margins: usize, factor: f64, block: impl Fn(usize, usize) -> &'p Self) -> Symmetric {
        let size = if margins == 0 { 0 } else { block(0, 0).sum.nrows() };
        Symmetric::from_lower(margins * size, |i, j| factor * block(i / size, j / size).get(i % size, j % size))
    }
}

/// `X'FX` `[columns x columns]` of many columns, panel by panel of weighted rows.
#[derive(Clone, Debug)]
pub struct Squares(DMatrix<f64>);

impl Monoid for Squares {
    fn join(&mut self, following: Self) {
        self.0 += following.0;
    }
}

impl Squares {
    /// No rows yet.
    pub fn zero(columns: usize) -> Self {
        Self(DMatrix::zeros(columns, columns))
    }

    /// Adds a panel of rows: the columns of `F^1/2 X` `[columns][rows]`. On all cores.
    pub fn add(&mut self, panel: &[f64]) {
        dense::add_square(&mut self.0, panel);
    }

    /// The matrix, divided by `n`.
    pub fn divided_by(mut self, n: f64) -> Symmetric {
        self.0 /= n;
        self.0.fill_upper_triangle_with_lower_triangle();
        Symmetric::dense(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_counted_once() {
        let rows = 600;
        let column = |seed: usize| (0..rows).map(|row| ((row * seed) % 11) as f64 - 3.0).collect::<Vec<f64>>();
        let (a, b) = (column(3), column(7));
        let factors: Vec<f64> = (0..rows).map(|row| (row % 5) as f64 - 1.0).collect();
        let mut products = Products::zero(2);
        products.add(&[&a[..400], &b[..400]], &factors[..400]);
        let mut rest = Products::zero(2);
        rest.add(&[&a[400..], &b[400..]], &factors[400..]);
        products.merge(&rest);
        // Nothing is lost to rows that are far larger and go again.
        for large in [1e16, -1e16] {
            products.add(&[&[1.0], &[1.0]], &[large]);
        }
        let found = Products::joined(1, 0.5, |_, _| &products);
        let expected = |x: &[f64], y: &[f64]| 0.5 * (0..rows).map(|k| factors[k] * x[k] * y[k]).sum::<f64>();
        for (i, j, expected) in [(0, 0, expected(&a, &a)), (0, 1, expected(&a, &b)), (1, 1, expected(&b, &b))] {
            assert!((found.get(i, j) - expected).abs() <= 1e-9, "{i} {j}: {} {expected}", found.get(i, j));
        }
    }
}
