//! Factors, solutions and inverses of large dense matrices, block by block.
//!
//! A block of columns is brought up to date by products of blocks (`matrixmultiply`, by way of nalgebra), on all cores.
//! Blocks and the order in which they are added depend on the size of the matrix alone, so no number of threads changes a
//! bit.
//!
//! # Reference
//! Golub and Van Loan, *Matrix Computations*, 4th edition, sections 3.1.8 and 4.2.9.

use std::ops::Range;

use nalgebra::{Cholesky, DMatrix, DMatrixView, DMatrixViewMut, Dyn};
use rayon::prelude::*;

/// Columns of a block. A smaller matrix is one.
const BLOCK: usize = 128;

/// Columns of a block of a triangular solution within one of those.
const INNER: usize = 32;

/// Rows that one job solves for.
const ROWS: usize = 256;

/// Blocks of columns that a product with itself has at least, of [`LEAST_WIDTH`] columns or a multiple.
const OUTER: usize = 8;

/// Columns that fill a kernel of the product.
const LEAST_WIDTH: usize = 8;

/// Rows or columns that are too few for views with strides.
const FEW: usize = 8;

/// The Cholesky factor of a matrix whose lower triangle is given; `None` if it is not positive definite.
pub(super) fn cholesky(mut matrix: DMatrix<f64>) -> Option<Cholesky<f64, Dyn>> {
    let n = matrix.nrows();
    if n <= BLOCK {
        return matrix.cholesky();
    }
    for first in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - first);
        let (done, after) = matrix.as_mut_slice().split_at_mut((first + width) * n);
        let block = &mut done[first * n..];
        let own = DMatrix::from_fn(width, width, |i, j| block[j * n + first + i]).cholesky()?.unpack();
        let below = first + width;
        let rows: Vec<usize> = (below..n).step_by(ROWS).collect();
        let solved: Vec<DMatrix<f64>> = rows
            .par_iter()
            .map(|&row| {
                let mut part = DMatrix::from_fn(ROWS.min(n - row), width, |i, j| block[j * n + row + i]);
                solve_transposed(&own, &mut part);
                part
            })
            .collect();
        for j in 0..width {
            let column = &mut block[j * n..(j + 1) * n];
            column[first..below].copy_from_slice(own.column(j).as_slice());
            for (&row, part) in rows.iter().zip(&solved) {
                column[row..row + part.nrows()].copy_from_slice(part.column(j).as_slice());
            }
        }
        let block = &*block;
        after.par_chunks_mut(BLOCK * n).enumerate().for_each(|(index, columns)| {
            let (row, others) = (below + index * BLOCK, columns.len() / n);
            let left = view(block, n, row..n, width);
            let right = view(block, n, row..row + others, width).transpose();
            view_mut(columns, n, row..n, others).gemm(-1.0, &left, &right, 1.0);
        });
    }
    Some(Cholesky::pack_dirty(matrix))
}

/// The inverse of the matrix that was factored.
pub(super) fn inverse(factor: &Cholesky<f64, Dyn>) -> DMatrix<f64> {
    let lower = factor.l_dirty();
    let n = lower.nrows();
    if n <= BLOCK {
        return factor.inverse();
    }
    let mut inverse = DMatrix::zeros(n, n);
    inverse.as_mut_slice().par_chunks_mut(BLOCK * n).enumerate().for_each(|(index, columns)| {
        let first = index * BLOCK;
        solve_unit_columns(lower, first, columns);
        back_up_to(lower, first, columns);
    });
    inverse.fill_upper_triangle_with_lower_triangle();
    inverse
}

/// The diagonal of the inverse of the matrix that was factored: `M^-1 = L^-T L^-1`, so the squared length of each column
/// of `L^-1`.
pub(super) fn inverse_diagonal(factor: &Cholesky<f64, Dyn>) -> Vec<f64> {
    let lower = factor.l_dirty();
    let n = lower.nrows();
    let blocks: Vec<usize> = (0..n).step_by(BLOCK).collect();
    let of_block = |&first: &usize| {
        let mut columns = vec![0.0; BLOCK.min(n - first) * n];
        solve_unit_columns(lower, first, &mut columns);
        columns.chunks(n).map(|column| column.iter().map(|x| x * x).sum::<f64>()).collect::<Vec<f64>>()
    };
    blocks.par_iter().flat_map(of_block).collect()
}

/// Columns of `L^-1` from `first` on, in `columns` `[few][n]`, which are 0.
fn solve_unit_columns(lower: &DMatrix<f64>, first: usize, columns: &mut [f64]) {
    let n = lower.nrows();
    let width = columns.len() / n;
    for j in 0..width {
        columns[j * n + first + j] = 1.0;
    }
    for row in (first..n).step_by(BLOCK) {
        let rows = BLOCK.min(n - row);
        let mut part = view(columns, n, row..row + rows, width).into_owned();
        if row > first {
            let left = lower.view((row, first), (rows, row - first));
            part.gemm(-1.0, &left, &view(columns, n, first..row, width), 1.0);
        }
        let _ = lower.view((row, row), (rows, rows)).solve_lower_triangular_mut(&mut part);
        view_mut(columns, n, row..row + rows, width).copy_from(&part);
    }
}

/// Solves `L'X = B` for the rows from `first` on, B in `columns` `[few][n]`.
fn back_up_to(lower: &DMatrix<f64>, first: usize, columns: &mut [f64]) {
    let n = lower.nrows();
    let width = columns.len() / n;
    for row in (first..n).step_by(BLOCK).rev() {
        let rows = BLOCK.min(n - row);
        let mut part = view(columns, n, row..row + rows, width).into_owned();
        if row + rows < n {
            let below = lower.view((row + rows, row), (n - row - rows, rows)).transpose();
            part.gemm(-1.0, &below, &view(columns, n, row + rows..n, width), 1.0);
        }
        let _ = lower.view((row, row), (rows, rows)).tr_solve_lower_triangular_mut(&mut part);
        view_mut(columns, n, row..row + rows, width).copy_from(&part);
    }
}

/// Adds `A'A` to the lower triangle of `sum` `[n x n]`, for the columns of `A` `[n][rows]`.
pub(super) fn add_square(sum: &mut DMatrix<f64>, a: &[f64]) {
    let n = sum.nrows();
    let rows = a.len() / n.max(1);
    if rows == 0 {
        return;
    }
    sum.as_mut_slice().par_chunks_mut(BLOCK * n).enumerate().for_each(|(index, columns)| {
        let (first, others) = (index * BLOCK, columns.len() / n);
        let right = view(&a[first * rows..], rows, 0..rows, others);
        let mut sum = view_mut(columns, n, first..n, others);
        // nalgebra leaves `matrixmultiply` aside for few rows or columns, and what it does then takes no strides.
        if rows.min(others).min(n - first) <= FEW {
            let left = view(&a[first * rows..], rows, 0..rows, n - first).transpose();
            sum.gemm(1.0, &left, &right, 1.0);
        } else {
            let left = DMatrixView::from_slice_with_strides(&a[first * rows..], n - first, rows, rows, 1);
            sum.gemm(1.0, &left, &right, 1.0);
        }
    });
}

/// Adds `A A'` to the lower triangle of `sum` `[n x n]`, for the columns of `A` `[columns][n]`.
pub(super) fn add_outer(sum: &mut DMatrix<f64>, a: &[f64]) {
    let n = sum.nrows();
    if a.is_empty() {
        return;
    }
    let count = a.len() / n;
    // Narrow blocks, so that few rows keep all cores busy too.
    let width = n.div_ceil(OUTER).next_multiple_of(LEAST_WIDTH).min(BLOCK);
    sum.as_mut_slice().par_chunks_mut(width * n).enumerate().for_each(|(index, columns)| {
        let (first, others) = (index * width, columns.len() / n);
        let left = view(a, n, first..n, count);
        let right = view(a, n, first..first + others, count).transpose();
        view_mut(columns, n, first..n, others).gemm(1.0, &left, &right, 1.0);
    });
}

/// `AB`.
pub(super) fn product(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    let (rows, columns) = (a.nrows(), b.ncols());
    let mut product = DMatrix::zeros(rows, columns);
    product.as_mut_slice().par_chunks_mut(BLOCK * rows.max(1)).enumerate().for_each(|(index, block)| {
        let others = block.len() / rows;
        view_mut(block, rows, 0..rows, others).gemm(1.0, a, &b.columns(index * BLOCK, others), 0.0);
    });
    product
}

/// Rows and the first columns of columns `[columns][n]`.
fn view(columns: &[f64], n: usize, rows: Range<usize>, width: usize) -> DMatrixView<'_, f64, Dyn, Dyn> {
    DMatrixView::from_slice_with_strides(&columns[rows.start..], rows.len(), width, 1, n)
}

fn view_mut(columns: &mut [f64], n: usize, rows: Range<usize>, width: usize) -> DMatrixViewMut<'_, f64, Dyn, Dyn> {
    DMatrixViewMut::from_slice_with_strides_mut(&mut columns[rows.start..], rows.len(), width, 1, n)
}

/// Solves `X L' = B` for a few rows: B is `part`, and X afterwards.
fn solve_transposed(lower: &DMatrix<f64>, part: &mut DMatrix<f64>) {
    let (rows, width) = part.shape();
    let data = part.as_mut_slice();
    for first in (0..width).step_by(INNER) {
        let inner = INNER.min(width - first);
        let (before, own) = data.split_at_mut(first * rows);
        if first > 0 {
            let right = lower.view((first, 0), (inner, first)).transpose();
            view_mut(own, rows, 0..rows, inner).gemm(-1.0, &view(before, rows, 0..rows, first), &right, 1.0);
        }
        for j in 0..inner {
            let (solved, rest) = own.split_at_mut(j * rows);
            let column = &mut rest[..rows];
            for (k, other) in solved.chunks_exact(rows).enumerate() {
                let share = lower[(first + j, first + k)];
                column.iter_mut().zip(other).for_each(|(x, y)| *x -= share * y);
            }
            let pivot = lower[(first + j, first + j)];
            for x in column {
                *x /= pivot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `B B' + I` with entries of a fixed pattern.
    fn definite(n: usize) -> DMatrix<f64> {
        let b = DMatrix::from_fn(n, n + 3, |i, j| ((i * 31 + j * 17) % 23) as f64 / 23.0 - 0.5);
        &b * b.transpose() + DMatrix::identity(n, n)
    }

    fn largest(matrix: &DMatrix<f64>) -> f64 {
        matrix.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
    }

    /// Sizes at the edges of blocks, and beyond.
    #[test]
    fn blocks_are_the_matrix() {
        for n in [1, 127, 128, 129, 160, 257, 500] {
            let matrix = definite(n);
            let factor = cholesky(matrix.clone()).expect("definite");
            let lower = factor.l();
            assert!(largest(&(&lower * lower.transpose() - &matrix)) <= 1e-12 * largest(&matrix), "{n}");
            let inverse = inverse(&factor);
            assert!(largest(&(&matrix * &inverse - DMatrix::identity(n, n))) <= 1e-11, "{n}");
            let diagonal = inverse_diagonal(&factor);
            assert!((0..n).all(|i| (diagonal[i] / inverse[(i, i)] - 1.0).abs() <= 1e-11), "{n}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_definite_has_no_factor() {
        for (n, bad) in [(100, 99), (300, 0), (300, 128), (300, 299)] {
            let mut matrix = definite(n);
            matrix[(bad, bad)] -= 1.0 + largest(&matrix);
            assert!(cholesky(matrix).is_none(), "{n} {bad}");
        }
    }

    #[test]
    fn products_are_added_to_the_lower_triangle() {
        for (rows, n) in [(70, 300), (2, 257), (70, 258), (6, 5), (1, 1)] {
            let a = DMatrix::from_fn(rows, n, |i, j| ((i * 7 + j * 3) % 11) as f64 - 5.0);
            let mut sum = DMatrix::from_element(n, n, 2.0);
            add_square(&mut sum, a.as_slice());
            let expected = a.transpose() * &a;
            let apart = |i: usize, j: usize| (sum[(i, j)] - expected[(i, j)] - 2.0).abs();
            assert!((0..n).all(|j| (j..n).all(|i| apart(i, j) <= 1e-9)), "{rows} {n}");
        }
    }

    #[test]
    fn outer_products_are_added_to_the_lower_triangle() {
        for (n, count) in [(300, 70), (257, 2), (2, 257), (200, 1024), (5, 6), (1, 1), (1300, 3), (0, 0)] {
            let a = DMatrix::from_fn(n, count, |i, j| ((i * 7 + j * 3) % 11) as f64 - 5.0);
            let mut sum = DMatrix::from_element(n, n, 2.0);
            add_outer(&mut sum, a.as_slice());
            let expected = &a * a.transpose();
            let apart = |i: usize, j: usize| (sum[(i, j)] - expected[(i, j)] - 2.0).abs();
            assert!((0..n).all(|j| (j..n).all(|i| apart(i, j) <= 1e-9)), "{n} {count}");
        }
    }

    #[test]
    fn a_product_is_that_of_its_definition() {
        let a = DMatrix::from_fn(150, 300, |i, j| ((i * 7 + j * 3) % 11) as f64 - 5.0);
        let b = DMatrix::from_fn(300, 260, |i, j| ((i * 5 + j * 2) % 7) as f64 - 3.0);
        assert!(product(&a, &b) == &a * &b);
        assert!(product(&DMatrix::zeros(0, 3), &DMatrix::zeros(3, 2)) == DMatrix::zeros(0, 2));
    }

    /// The same bits with one thread and with several.
    #[test]
    fn threads_change_no_bit() {
        let matrix = definite(700);
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let factor = cholesky(matrix.clone()).expect("definite");
                (factor.l(), inverse(&factor), inverse_diagonal(&factor))
            })
        };
        assert!(of(1) == of(3));
    }
}
