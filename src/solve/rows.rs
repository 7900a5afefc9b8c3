//! Rows of a table in double precision, as questions about the data ask for them: whether the likelihood has a maximum,
//! and which columns are redundant.
//!
//! Both questions are asked of a few rows first. Rows prove by themselves that a maximum exists, or that columns are
//! independent; only the opposite needs all rows, in a pass that confirms it or brings the rows that contradict.

use std::collections::HashSet;

use crate::error::Result;

/// Neighbouring rows, complete.
#[derive(Clone, Copy, Debug)]
pub struct RowBlock<'a> {
    /// Position in the table of the first row.
    pub first_row: usize,
    /// `[columns][rows]`, without the 1 of the intercept.
    pub columns: &'a [Vec<f64>],
    /// The code of the class, `[rows]`.
    pub classes: &'a [f64],
    /// Row weights, `[rows]`, if there are any: what has weight 0 is no row.
    pub weights: Option<&'a [f64]>,
    /// Offsets, `[margins][rows]`, if there are any.
    pub offsets: Option<&'a [Vec<f64>]>,
}

impl RowBlock<'_> {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Whether a row of the block counts.
    pub fn counts(&self, row: usize) -> bool {
        self.weights.is_none_or(|weights| weights[row] > 0.0)
    }

    /// The code of the class of a row.
    pub fn class(&self, row: usize) -> usize {
        self.classes[row] as usize
    }
}

/// The rows of a table, each column brought to a scale on which its values are of order 1.
pub trait Rows {
    /// Rows of the table, those of weight 0 included.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of classes, K: K - 1 margins.
    fn classes(&self) -> usize;

    /// Whether every margin has an intercept, whose parameter comes last.
    fn has_intercept(&self) -> bool;

    /// The largest absolute value of each column, `[columns]`.
    fn reach(&self) -> &[f64];

    /// Goes through all rows: `work` gets each block beside what `start` made for its range of rows. Gives what became of
    /// the ranges, in their order, which depends on the table alone.
    fn fold<T: Send>(
        &mut self,
        start: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, &RowBlock<'_>) + Sync,
    ) -> Result<Vec<T>>;
}

/// Some rows of a table.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Positions in the table, ascending.
    pub positions: Vec<usize>,
    /// `[columns][rows]`.
    pub columns: Vec<Vec<f64>>,
    /// `[rows]`.
    pub classes: Vec<f64>,
}

impl Sample {
    /// The rows of `table` at `positions`, which are sorted here; those of weight 0 are left out.
    pub fn fetch(table: &mut impl Rows, mut positions: Vec<usize>) -> Result<Self> {
        positions.sort_unstable();
        positions.dedup();
        let columns = table.reach().len();
        let empty = || Self { columns: vec![Vec::new(); columns], ..Self::default() };
        let parts = table.fold(empty, |part, block| {
            let from = positions.partition_point(|&row| row < block.first_row);
            let to = positions.partition_point(|&row| row < block.first_row + block.len());
            for &position in &positions[from..to] {
                let row = position - block.first_row;
                if block.counts(row) {
                    part.positions.push(position);
                    part.classes.push(block.classes[row]);
                    part.columns.iter_mut().zip(block.columns).for_each(|(to, from)| to.push(from[row]));
                }
            }
        })?;
        let mut sample = empty();
        for part in parts {
            sample.positions.extend(part.positions);
            sample.classes.extend(part.classes);
            sample.columns.iter_mut().zip(part.columns).for_each(|(to, from)| to.extend(from));
        }
        Ok(sample)
    }

    /// The rows as one block.
    pub fn block(&self) -> RowBlock<'_> {
        RowBlock { first_row: 0, columns: &self.columns, classes: &self.classes, weights: None, offsets: None }
    }
}

/// `count` positions of `rows`, evenly spaced; all of them if there are no more.
pub(super) fn evenly(rows: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(rows);
    (0..count)
        .map(move |k| if count == 1 { 0 } else { (k as u128 * (rows - 1) as u128 / (count - 1) as u128) as usize })
}

/// A row that stands out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    /// Its position in the table.
    pub(super) position: usize,
    /// How much it stands out.
    pub(super) score: f64,
    /// What was seen there: rows that look alike have the same.
    pub(super) value: f64,
}

/// The rows with the highest scores, of those that look alike one.
#[derive(Clone, Debug)]
pub(super) struct Highest {
    most: usize,
    rows: Vec<Outstanding>,
}

impl Highest {
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Outstanding) {
        self.rows.push(row);
        if self.rows.len() >= 4 * self.most + 64 {
            self.prune();
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    fn prune(&mut self) {
        self.rows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.position.cmp(&b.position)));
        let mut seen = HashSet::new();
        // To 40 bits: what differs by rounding alone looks alike.
        self.rows.retain(|row| seen.insert(row.value.to_bits().wrapping_add(1 << 11) >> 12));
        self.rows.truncate(self.most);
    }

    /// The positions, the highest score first.
    pub(super) fn positions(mut self) -> Vec<usize> {
        self.prune();
        self.rows.iter().map(|row| row.position).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Repeatable numbers in 1/2..1 with a random sign: a mixture of vectors by them is 0 only where each is.
pub(super) fn mixing() -> impl FnMut() -> f64 {
    let mut state = 0x5851_f42d_4c95_7f2d_u64;
    move || {
        // Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators": splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        let size = 0.5 + 0.5 * ((x >> 11) as f64 / (1_u64 << 53) as f64);
        if x & 1 == 0 { size } else { -size }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table in memory.
    pub(in crate::solve) struct Table {
        pub(in crate::solve) sample: Sample,
        pub(in crate::solve) classes: usize,
        pub(in crate::solve) intercept: bool,
        pub(in crate::solve) weights: Option<Vec<f64>>,
        pub(in crate::solve) passes: usize,
        reach: Vec<f64>,
    }

    impl Table {
        pub(in crate::solve) fn new(columns: Vec<Vec<f64>>, classes: &[usize]) -> Self {
            let reach = columns.iter().map(|c| c.iter().fold(0.0, |most: f64, x| most.max(x.abs()))).collect();
            Self {
                sample: Sample {
                    positions: (0..classes.len()).collect(),
                    columns,
                    classes: classes.iter().map(|&class| class as f64).collect(),
                },
                classes: classes.iter().max().map_or(2, |most| (most + 1).max(2)),
                intercept: true,
                weights: None,
                passes: 0,
                reach,
            }
        }
    }

    impl Rows for Table {
        fn len(&self) -> usize {
            self.sample.classes.len()
        }

        fn classes(&self) -> usize {
            self.classes
        }

        fn has_intercept(&self) -> bool {
            self.intercept
        }

        fn reach(&self) -> &[f64] {
            &self.reach
        }

        fn fold<T: Send>(
            &mut self,
            start: impl Fn() -> T + Sync,
            work: impl Fn(&mut T, &RowBlock<'_>) + Sync,
        ) -> Result<Vec<T>> {
            self.passes += 1;
            let mut states = Vec::new();
            for first_row in (0..self.len()).step_by(700) {
                let rows = first_row..(first_row + 700).min(self.len());
                let columns: Vec<Vec<f64>> = self.sample.columns.iter().map(|c| c[rows.clone()].to_vec()).collect();
                let mut state = start();
                work(
                    &mut state,
                    &RowBlock {
                        first_row,
                        columns: &columns,
                        classes: &self.sample.classes[rows.clone()],
                        weights: self.weights.as_ref().map(|weights| &weights[rows.clone()]),
                        offsets: None,
                    },
                );
                states.push(state);
            }
            Ok(states)
        }
    }

    #[test]
    fn rows_are_fetched_by_their_positions() {
        let values: Vec<f64> = (0..2_000).map(f64::from).collect();
        let classes: Vec<usize> = (0..2_000).map(|row| row % 3).collect();
        let mut table = Table::new(vec![values.clone(), values.iter().map(|x| -x).collect()], &classes);
        table.weights = Some((0..2_000).map(|row| f64::from(row % 5)).collect());
        let sample = Sample::fetch(&mut table, vec![1_999, 3, 700, 699, 3]).expect("nothing fails");
        // 700 has weight 0.
        assert_eq!(sample.positions, [3, 699, 1_999]);
        assert_eq!(sample.columns, [[3.0, 699.0, 1_999.0], [-3.0, -699.0, -1_999.0]]);
        assert_eq!(sample.classes, [0.0, 0.0, 1.0]);
        assert_eq!(evenly(10, 4).collect::<Vec<_>>(), [0, 3, 6, 9]);
        assert_eq!(evenly(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn of_rows_that_look_alike_one_is_kept() {
        let mut highest = Highest::new(3);
        for position in 0..1_000 {
            let value = (position % 10) as f64 / 3.0;
            highest.push(Outstanding { position, score: value, value: value * (1.0 + 1e-16) });
        }
        assert_eq!(highest.positions(), [9, 8, 7]);
    }
}
