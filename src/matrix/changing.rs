//! The Cholesky factor of some rows and columns of a matrix, of which a few join and leave at a time.
//!
//! # Reference
//! Golub and Van Loan, *Matrix Computations*, 4th edition, section 6.5.4: a row that leaves is made up for by rotations.

use crate::matrix::Factor;

/// The factor `L` of the rows and columns of a matrix that are its members, in the order in which they joined.
#[derive(Clone, Debug, Default)]
pub struct ChangingFactor {
    members: Vec<usize>,
    /// The rows of `L`, `[place + 1]` each.
    rows: Vec<Vec<f64>>,
}

impl ChangingFactor {
    /// That of `members` at once, by the factor of their matrix; `None` if that is not kept whole.
    pub fn of(members: Vec<usize>, factor: &Factor) -> Option<Self> {
        Some(Self { members, rows: factor.lower()? })
    }

    /// The members, in their order.
    pub fn members(&self) -> &[usize] {
        &self.members
    }

    /// Takes a member in, with its entries beside the members, `[members]`, and its own. What the members leave of that, if it is
    /// `least` of it or less: then nothing changes.
    pub fn join(&mut self, member: usize, beside: &[f64], own: f64, least: f64) -> Result<(), f64> {
        let mut row = Vec::with_capacity(beside.len() + 1);
        for (entry, above) in beside.iter().zip(&self.rows) {
            let (before, diagonal) = above.split_at(row.len());
            row.push((entry - product(before, &row)) / diagonal[0]);
        }
        let left = own - product(&row, &row);
        if left.is_nan() || left <= least * own {
            return Err(left);
        }
        row.push(left.sqrt());
        self.members.push(member);
        self.rows.push(row);
        Ok(())
    }

    /// Lets the member at a place go.
    pub fn leave(&mut self, place: usize) {
        self.members.remove(place);
        self.rows.remove(place);
        let mut rotations: Vec<(f64, f64)> = Vec::with_capacity(self.rows.len() - place);
        for row in &mut self.rows[place..] {
            for (at, (c, s)) in rotations.iter().enumerate() {
                let (a, b) = (row[place + at], row[place + at + 1]);
                row[place + at] = c * a + s * b;
                row[place + at + 1] = c * b - s * a;
            }
            let last = row.len() - 2;
            let (a, b) = (row[last], row[last + 1]);
            let length = a.hypot(b);
            rotations.push((a / length, b / length));
            row[last] = length;
            row.pop();
        }
    }

    /// Solves for a right-hand side of the members, in their order.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = Vec::with_capacity(b.len());
        for (b, row) in b.iter().zip(&self.rows) {
            let (before, diagonal) = row.split_at(x.len());
            x.push((b - product(before, &x)) / diagonal[0]);
        }
        for (place, row) in self.rows.iter().enumerate().rev() {
            let (before, diagonal) = row.split_at(place);
            x[place] /= diagonal[0];
            let own = x[place];
            x[..place].iter_mut().zip(before).for_each(|(x, entry)| *x -= own * entry);
        }
        x
    }
}

/// The inner product, in eight sums so that it is made of vectors.
fn product(a: &[f64], b: &[f64]) -> f64 {
    let (a_eights, b_eights) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_eights.remainder().iter().zip(b_eights.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (a, b) in a_eights.zip(b_eights) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Symmetric;

    /// Members join and leave in any order: it solves as a factor of the same members from the beginning does.
    #[test]
    fn it_solves_whoever_joined_and_left() {
        let n = 40;
        let matrix = Symmetric::from_lower(n, |i, j| if i == j { 3.0 } else { ((i * 7 + j * 3) as f64).sin() / 8.0 });
        let mut factor = ChangingFactor::default();
        let mut state = 1_u64;
        for round in 0..200 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let j = (state >> 33) as usize % n;
            if let Some(place) = factor.members().iter().position(|member| *member == j) {
                factor.leave(place);
            } else {
                let beside: Vec<f64> = factor.members().iter().map(|&i| matrix.get(i, j)).collect();
                factor.join(j, &beside, matrix.get(j, j), 1e-12).expect("definite");
            }
            let b: Vec<f64> = factor.members().iter().map(|&i| (i as f64).cos()).collect();
            let x = factor.solve(&b);
            let own = matrix.restricted(factor.members());
            for (product, b) in own.times(&x).iter().zip(&b) {
                assert!((product - b).abs() <= 1e-13, "round {round}");
            }
            if round % 50 == 49 {
                let at_once =
                    ChangingFactor::of(factor.members().to_vec(), &own.factor().expect("definite")).expect("whole");
                assert!(at_once.solve(&b).iter().zip(&x).all(|(a, b)| (a - b).abs() <= 1e-13));
            }
        }
        // What others explain does not join.
        let mut factor = ChangingFactor::default();
        factor.join(0, &[], 1.0, 1e-12).expect("definite");
        assert!(factor.join(1, &[2.0], 4.0, 1e-12).is_err() && factor.members() == [0]);
    }
}
