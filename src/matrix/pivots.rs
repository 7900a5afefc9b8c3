//! A Cholesky factor that is made column by column, where the caller decides which columns are kept.

/// The factor `LL'` of the columns kept so far of a matrix with entries `entry(i, j)`, `j <= i`.
pub struct Pivots<F> {
    entry: F,
    kept: Vec<usize>,
    /// Rows of L.
    lower: Vec<Vec<f64>>,
}

/// What the columns kept so far leave of another one.
pub struct Remainder {
    column: usize,
    /// Its entry on the diagonal.
    pub own: f64,
    /// Its pivot: what is left of that.
    pub left: f64,
    /// Its row of L, up to the diagonal.
    row: Vec<f64>,
}

impl<F: Fn(usize, usize) -> f64> Pivots<F> {
    /// No columns yet.
    pub fn new(entry: F) -> Self {
        Self { entry, kept: Vec::new(), lower: Vec::new() }
    }

    /// The columns that were kept.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// What is left of a column, which comes after those that were kept.
    pub fn of(&self, column: usize) -> Remainder {
        let mut row: Vec<f64> = Vec::with_capacity(self.kept.len() + 1);
        for (before, &other) in self.lower.iter().zip(&self.kept) {
            let explained = dot(before, &row);
            row.push(((self.entry)(column, other) - explained) / before[row.len()]);
        }
        let own = (self.entry)(column, column);
        Remainder { column, own, left: own - dot(&row, &row), row }
    }

    /// Keeps a column.
    pub fn keep(&mut self, Remainder { column, left, mut row, .. }: Remainder) {
        row.push(left.sqrt());
        self.kept.push(column);
        self.lower.push(row);
    }

    /// The combination of the columns kept so far that comes nearest to another one, `[kept]`.
    pub fn shares(&self, remainder: &Remainder) -> Vec<f64> {
        let mut shares = remainder.row.clone();
        for i in (0..shares.len()).rev() {
            for k in i + 1..shares.len() {
                shares[i] -= self.lower[k][i] * shares[k];
            }
            shares[i] /= self.lower[i][i];
        }
        shares
    }
}

/// Of as many as there are of both.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns (1, 1, 0), (0, 2, 1), their sum, and (0, 0, 3).
    #[test]
    fn what_others_explain_leaves_nothing() {
        let columns = [[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 3.0, 1.0], [0.0, 0.0, 3.0]];
        let mut pivots = Pivots::new(|i: usize, j: usize| dot(&columns[i], &columns[j]));
        let mut left = Vec::new();
        for column in 0..4 {
            let remainder = pivots.of(column);
            left.push(remainder.left);
            if column == 2 {
                let shares = pivots.shares(&remainder);
                assert!(shares.iter().all(|share| (share - 1.0).abs() <= 1e-14), "{shares:?}");
            } else {
                pivots.keep(remainder);
            }
        }
        // 5 - 2^2 / 2, and the square of the last column's distance 6 / sqrt(6) from the plane of the first two.
        for (found, expected) in left.iter().zip([2.0, 3.0, 0.0, 6.0]) {
            assert!((found - expected).abs() <= 1e-14, "{left:?}");
        }
        assert_eq!(pivots.kept(), [0, 1, 3]);
    }
}
