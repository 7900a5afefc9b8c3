//! An independent Newton solver to judge the program's coefficients by.

/// How the reference solver fits.
#[derive(Clone, Copy)]
pub(crate) struct Reference {
    pub(crate) intercept: bool,
    /// Strength of the penalty `(l2 / 2) sum (w_j s_j)^2` with `standardized`, else `(l2 / 2) sum w_j^2`.
    pub(crate) l2: f64,
    pub(crate) standardized: bool,
}

/// What the reference solver found.
pub(crate) struct Fit {
    pub(crate) intercept: f64,
    pub(crate) coefficients: Vec<f64>,
    /// Of the coefficients, from the Hessian with the penalty.
    pub(crate) standard_errors: Vec<f64>,
    /// Of the intercept; 0 without one.
    pub(crate) intercept_standard_error: f64,
}

impl Reference {
    /// Maximum likelihood with an intercept.
    pub(crate) const PLAIN: Self = Self { intercept: true, l2: 0.0, standardized: true };

    /// Newton's method on the mean loss in plain f64, on columns as they are: for tame data.
    pub(crate) fn fit(self, columns: &[Vec<f64>], labels: &[bool]) -> Fit {
        let (rows, features) = (labels.len(), columns.len());
        assert!(columns.iter().all(|column| column.len() == rows));
        let n = rows as f64;
        let penalty: Vec<f64> = columns
            .iter()
            .map(|column| {
                let mean = column.iter().sum::<f64>() / n;
                let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                if self.standardized { self.l2 * variance } else { self.l2 }
            })
            .collect();
        let size = features + usize::from(self.intercept);
        let cell = |row: usize, j: usize| if j < features { columns[j][row] } else { 1.0 };
        let mut q = vec![0.0; size];
        let mut hessian = vec![vec![0.0; size]; size];
        for iteration in 0.. {
            assert!(iteration < 100, "the reference does not converge");
            let mut gradient = vec![0.0; size];
            hessian.iter_mut().flatten().for_each(|h| *h = 0.0);
            for (row, &label) in labels.iter().enumerate() {
                let z: f64 = (0..size).map(|j| cell(row, j) * q[j]).sum();
                let probability = 1.0 / (1.0 + (-z).exp());
                for i in 0..size {
                    gradient[i] += (probability - f64::from(u8::from(label))) * cell(row, i) / n;
                    for (j, h) in hessian[i].iter_mut().enumerate() {
                        *h += probability * (1.0 - probability) * cell(row, i) * cell(row, j) / n;
                    }
                }
            }
            for (j, l2) in penalty.iter().enumerate() {
                gradient[j] += l2 * q[j];
                hessian[j][j] += l2;
            }
            let step = solve(&hessian, &gradient);
            q.iter_mut().zip(&step).for_each(|(q, step)| *q -= step);
            // Newton doubles the digits: a step of this size leaves none to gain.
            if step.iter().zip(&q).all(|(step, q)| step.abs() <= 1e-12 * (1.0 + q.abs())) {
                break;
            }
        }
        let mut standard_errors: Vec<f64> = (0..size)
            .map(|j| {
                let unit: Vec<f64> = (0..size).map(|i| f64::from(u8::from(i == j))).collect();
                (solve(&hessian, &unit)[j] / n).sqrt()
            })
            .collect();
        // What comes after the coefficients belongs to the intercept, if there is one.
        let after = |values: &mut Vec<f64>| values.split_off(features).first().copied().unwrap_or(0.0);
        let (intercept, intercept_standard_error) = (after(&mut q), after(&mut standard_errors));
        Fit { intercept, coefficients: q, standard_errors, intercept_standard_error }
    }
}

/// Solves `matrix x = right` by elimination with pivots.
fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let size = right.len();
    let mut rows: Vec<Vec<f64>> =
        matrix.iter().zip(right).map(|(row, b)| row.iter().copied().chain([*b]).collect()).collect();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))
            .expect("a row is left");
        rows.swap(column, pivot);
        let pivot = rows[column].clone();
        for row in &mut rows[column + 1..] {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
    }
    let mut x = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| rows[i][j] * x[j]).sum();
        x[i] = (rows[i][size] - known) / rows[i][i];
    }
    x
}
