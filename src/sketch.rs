//! What a picture needs of the rows: counts in bins, and a few rows as points. It comes from one pass, in memory that does
//! not grow with the rows, and neither threads nor the cut of the rows into pieces change anything in it.

mod loss;

pub use loss::{Loss, LossBins, Minimum};
pub mod classes;

use crate::data::{Piece, hash};
use crate::logistic::sigmoid;
use crate::model::{FeatureInfo, Model, ModelColumn};
use crate::vectors::in_vectors;

/// Columns that are looked at, those that move the log odds most.
pub const COLUMNS: usize = 6;

/// Rows that are kept as points, about.
const POINTS: usize = 1200;

/// Bins of a number, over this many standard deviations on either side of its mean.
const BINS: usize = 480;
const REACH: f64 = 4.0;

/// Rows whose bins are found side by side.
const SIDE: usize = 512;

/// Rows of the negative class and of the positive one.
pub type Counts = [u64; 2];

/// What is kept of the rows of a table.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// By margin.
    pub margins: Margins,
    /// By probability, in [`Sketch::PROBABILITIES`] bins of equal width.
    pub probabilities: Vec<Counts>,
    /// The columns that are looked at, the most important first.
    pub columns: Vec<ColumnSketch>,
    /// Rows chosen by the hash of their place, with the values of these columns.
    pub points: Vec<Point>,
    /// Of a model of one number: the rows as the loss sees them.
    pub loss: Option<LossBins>,
    /// Rows whose hash is below are points.
    below: u64,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its values, in the order of [`Sketch::columns`]; of categories the level's place.
    pub values: Vec<f64>,
    /// Whether it is of the positive class.
    pub is_positive: bool,
}

/// Rows by the values of a column.
#[derive(Clone, Debug)]
pub struct ColumnSketch {
    /// Its place in [`Model::columns`].
    pub column: usize,
    /// The standard deviation of what it adds to the log odds.
    pub weight: f64,
    /// The rows.
    pub rows: ColumnRows,
}

/// Rows by the values of a column.
#[derive(Clone, Debug)]
pub enum ColumnRows {
    /// Of a number: in bins of `width` from `low` on.
    Bins {
        /// Where the first bin begins.
        low: f64,
        /// The width of a bin.
        width: f64,
        /// The rows of each bin.
        counts: Vec<Counts>,
        /// The rows on either side of the bins.
        beyond: [u64; 2],
    },
    /// Of a category: of each level.
    Levels(Vec<Counts>),
}

/// Rows by their margins: bins around 0, as narrow as the margins allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Margins {
    /// The width of a bin is 2 to this power.
    power: i32,
    counts: Vec<Counts>,
}

impl ColumnRows {
    /// Takes in values with their classes.
    fn add(&mut self, values: &[f64], classes: &[u32]) {
        match self {
            Self::Bins { low, width, counts, beyond } => {
                // The bins between what lies beyond them on either side, so that no row needs a branch.
                let mut rows = [[0_u32; 2]; BINS + 2];
                let (low, per_width) = (*low, width.recip());
                for (values, classes) in values.chunks(SIDE).zip(classes.chunks(SIDE)) {
                    let mut places = [0_i32; SIDE];
                    in_vectors(
                        #[inline(always)]
                        || {
                            for (place, x) in places.iter_mut().zip(values) {
                                *place = ((x - low) * per_width + 1.0).clamp(0.0, (BINS + 1) as f64) as i32;
                            }
                        },
                    );
                    for (place, class) in places.iter().zip(classes) {
                        rows[*place as usize][*class as usize] += 1;
                    }
                }
                for (bin, more) in counts.iter_mut().zip(&rows[1..]) {
                    add(bin, more.map(u64::from));
                }
                let [before, after] = [rows[0], rows[BINS + 1]];
                add(beyond, [before, after].map(|[negatives, positives]| u64::from(negatives) + u64::from(positives)));
            }
            // A level that the model does not know has a negative place.
            Self::Levels(levels) => {
                for (place, class) in values.iter().zip(classes).filter(|(place, _)| **place >= 0.0) {
                    if let Some(level) = levels.get_mut(*place as usize) {
                        level[*class as usize] += 1;
                    }
                }
            }
        }
    }
}

impl Margins {
    const HALF: usize = 256;
    /// Bins are of 1/8 at most, which reaches to 32, where probabilities are 1e-14; what lies beyond counts as if it
    /// lay there.
    const WIDEST: i32 = -3;

    fn new() -> Self {
        Self { power: -12, counts: vec![[0; 2]; 2 * Self::HALF] }
    }

    /// The width of a bin.
    pub fn width(&self) -> f64 {
        f64::from(self.power).exp2()
    }

    /// The bins `(from, to, rows)`.
    pub fn bins(&self) -> impl DoubleEndedIterator<Item = (f64, f64, Counts)> + ExactSizeIterator + '_ {
        let edge = |index: usize| (index as f64 - Self::HALF as f64) * self.width();
        self.counts.iter().enumerate().map(move |(index, counts)| (edge(index), edge(index + 1), *counts))
    }

    fn widen(&mut self, power: i32) {
        while self.power < power {
            let mut wider = vec![[0; 2]; 2 * Self::HALF];
            for (index, counts) in self.counts.iter().enumerate() {
                add(&mut wider[index.midpoint(Self::HALF)], *counts);
            }
            self.counts = wider;
            self.power += 1;
        }
    }

    fn add(&mut self, margins: &[f64], classes: &[u32]) {
        let farthest = margins.iter().fold(0.0, |farthest: f64, margin| farthest.max(margin.abs()));
        while self.power < Self::WIDEST && farthest >= Self::HALF as f64 * self.width() {
            self.widen(self.power + 1);
        }
        // A power of two: what a division would give, to the last bit.
        let per_width = self.width().recip();
        for (margin, &class) in margins.iter().zip(classes) {
            let place = (margin * per_width).clamp(-(Self::HALF as f64), Self::HALF as f64 - 0.5);
            // The floor, without a call of it.
            let floor = place as isize - isize::from(place < (place as isize) as f64);
            self.counts[(floor + Self::HALF as isize) as usize][class as usize] += 1;
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.widen(other.power);
        other.widen(self.power);
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, other)| add(mine, other));
    }
}

fn add(counts: &mut Counts, more: Counts) {
    counts[0] += more[0];
    counts[1] += more[1];
}

/// The standard deviation of what a category adds to the log odds, from the rows of its levels.
fn spread(levels: &[FeatureInfo], rows: &[u64]) -> f64 {
    let total: u64 = rows.iter().sum();
    let share = |rows: u64| rows as f64 / total.max(1) as f64;
    let with_shares = || levels.iter().zip(&rows[1..]).map(|(level, rows)| (level.coefficients[0], share(*rows)));
    let mean: f64 = with_shares().map(|(w, share)| share * w).sum();
    let squares: f64 = with_shares().map(|(w, share)| share * (w - mean).powi(2)).sum();
    (squares + share(rows[0]) * mean * mean).sqrt()
}

impl Sketch {
    /// Bins of probabilities.
    pub const PROBABILITIES: usize = 50;

    /// For rows of `model`, of which a table has `rows`.
    pub fn new(model: &Model, rows: usize) -> Self {
        let mut columns: Vec<ColumnSketch> = model
            .columns()
            .enumerate()
            .filter_map(|(column, of_model)| {
                let (weight, rows) = match of_model {
                    ModelColumn::Feature(FeatureInfo { mean, scale, coefficients, .. }) => {
                        let (low, width) = (mean - REACH * scale, 2.0 * REACH * scale / BINS as f64);
                        let bins = ColumnRows::Bins { low, width, counts: vec![[0; 2]; BINS], beyond: [0; 2] };
                        ((coefficients[0] * scale).abs(), bins)
                    }
                    ModelColumn::Category(category, levels) => {
                        (spread(levels, &category.rows), ColumnRows::Levels(vec![[0; 2]; category.levels.len()]))
                    }
                };
                let has_extent = match &rows {
                    ColumnRows::Bins { low, width, .. } => *width > 0.0 && low.is_finite(),
                    ColumnRows::Levels(_) => true,
                };
                (weight.is_finite() && has_extent).then_some(ColumnSketch { column, weight, rows })
            })
            .collect();
        // A stable sort: of equal weights the first column comes first.
        columns.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        columns.truncate(COLUMNS);
        let share = POINTS as f64 / rows.max(1) as f64;
        Self {
            margins: Margins::new(),
            probabilities: vec![[0; 2]; Self::PROBABILITIES],
            columns,
            points: Vec::new(),
            loss: LossBins::new(model),
            below: if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX },
        }
    }

    /// One for the same rows that has seen none.
    #[must_use]
    pub fn empty(&self) -> Self {
        let columns = self.columns.iter().map(|column| {
            let rows = match &column.rows {
                ColumnRows::Bins { low, width, counts, .. } => {
                    ColumnRows::Bins { low: *low, width: *width, counts: vec![[0; 2]; counts.len()], beyond: [0; 2] }
                }
                ColumnRows::Levels(levels) => ColumnRows::Levels(vec![[0; 2]; levels.len()]),
            };
            ColumnSketch { column: column.column, weight: column.weight, rows }
        });
        Self {
            margins: Margins::new(),
            probabilities: vec![[0; 2]; Self::PROBABILITIES],
            columns: columns.collect(),
            points: Vec::new(),
            loss: self.loss.as_ref().map(LossBins::empty),
            below: self.below,
        }
    }

    /// Takes in rows of a piece: their places in it, their classes, 0 or 1, and their margins, which are finite,
    /// `[rows]` each.
    pub fn add(&mut self, piece: &Piece, places: &[usize], classes: &[u32], margins: &[f64]) {
        self.margins.add(margins, classes);
        let mut bins = vec![0.0; margins.len()];
        in_vectors(
            #[inline(always)]
            || bins.iter_mut().zip(margins).for_each(|(bin, z)| *bin = sigmoid(*z) * Self::PROBABILITIES as f64),
        );
        for (bin, &class) in bins.into_iter().zip(classes) {
            self.probabilities[(bin as i32 as usize).min(Self::PROBABILITIES - 1)][class as usize] += 1;
        }
        for column in &mut self.columns {
            let values = &piece.features[column.column];
            if places.len() == piece.rows {
                column.rows.add(values, classes);
            } else {
                let values: Vec<f64> = places.iter().map(|&row| values[row]).collect();
                column.rows.add(&values, classes);
            }
        }
        if let Some(loss) = &mut self.loss {
            for (&row, &class) in places.iter().zip(classes) {
                let weight = piece.weights.as_ref().map_or(1.0, |weights| weights[row]);
                loss.add(piece.features[0][row], class as usize, weight);
            }
        }
        for (&row, &class) in places.iter().zip(classes) {
            if hash((piece.first_row + row) as u64) < self.below {
                let values = self.columns.iter().map(|column| piece.features[column.column][row]).collect();
                self.points.push(Point { values, is_positive: class == 1 });
            }
        }
    }

    /// Takes in what another saw of the rows that follow.
    pub fn merge(&mut self, other: Self) {
        self.margins.merge(other.margins);
        self.probabilities.iter_mut().zip(other.probabilities).for_each(|(mine, other)| add(mine, other));
        for (mine, other) in self.columns.iter_mut().zip(other.columns) {
            match (&mut mine.rows, other.rows) {
                (
                    ColumnRows::Bins { counts, beyond, .. },
                    ColumnRows::Bins { counts: others, beyond: others_beyond, .. },
                ) => {
                    counts.iter_mut().zip(others).for_each(|(mine, other)| add(mine, other));
                    add(beyond, others_beyond);
                }
                (ColumnRows::Levels(mine), ColumnRows::Levels(others)) => {
                    mine.iter_mut().zip(others).for_each(|(mine, other)| add(mine, other));
                }
                _ => unreachable!("both are of the same columns"),
            }
        }
        if let (Some(mine), Some(other)) = (&mut self.loss, &other.loss) {
            mine.merge(other);
        }
        self.points.extend(other.points);
    }

    /// Rows that were seen, by class.
    pub fn rows(&self) -> Counts {
        self.probabilities.iter().fold([0; 2], |mut sum, counts| {
            add(&mut sum, *counts);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::UNSEEN_LEVEL;

    #[test]
    fn margins_fit_whatever_their_size_and_order() {
        let rows = [1e-4, -1e-3, 0.7, -0.7, 3.0, 31.9, -31.9, 1e9, -1e9, 0.0];
        let mut whole = Margins::new();
        whole.add(&rows, &[0; 10]);
        let mut parts = Margins::new();
        for z in rows.iter().rev() {
            let mut part = Margins::new();
            part.add(&[*z], &[0]);
            parts.merge(part);
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.bins().map(|(.., counts)| counts[0]).sum::<u64>(), rows.len() as u64);
        for z in rows.iter().filter(|z| z.abs() < 32.0) {
            assert!(whole.bins().any(|(from, to, counts)| from <= *z && *z < to && counts[0] > 0), "{z}");
        }
        let mut small = Margins::new();
        for z in [0.01, -0.02] {
            small.add(&[z], &[1]);
        }
        assert!(small.width() < 1e-3);
    }

    #[test]
    fn values_are_counted_where_they_lie() {
        // Whole numbers from -10 on, those from 470 on beyond the bins.
        let blank = || ColumnRows::Bins { low: -10.0, width: 1.0, counts: vec![[0; 2]; BINS], beyond: [0; 2] };
        let numbers = [-1e300, -10.5, -10.0, -9.5, 0.0, 0.25, 469.0, 469.999, 470.0, 471.0, 1e300, 1e308];
        let mut bins = blank();
        bins.add(&numbers, &numbers.map(|x| u32::from(x > 0.0)));
        // A second piece adds to the first.
        bins.add(&[0.5], &[1]);
        let ColumnRows::Bins { counts, beyond, .. } = bins else { panic!("a number") };
        let mut expected = vec![[0; 2]; BINS];
        for (bin, of_bin) in [(0, [2, 0]), (10, [1, 2]), (479, [0, 2])] {
            expected[bin] = of_bin;
        }
        assert_eq!((counts, beyond), (expected, [2, 4]));
        // Of a category: the places of levels, and what the model does not know.
        let mut levels = ColumnRows::Levels(vec![[0; 2]; 3]);
        levels.add(&[0.0, 2.0, -1.0, 2.0, -1.0], &[1, 0, 0, 1, 1]);
        let ColumnRows::Levels(levels) = levels else { panic!("a category") };
        assert_eq!(levels, [[0, 1], [0, 0], [1, 1]]);
    }

    /// What ranges saw comes together: nothing of a number, a category or a point is lost.
    #[test]
    fn what_two_ranges_saw_is_what_one_would_have_seen() {
        let bins = ColumnRows::Bins { low: 0.0, width: 1.0, counts: vec![[0; 2]; BINS], beyond: [0; 2] };
        let levels = ColumnRows::Levels(vec![[0; 2]; 2]);
        let columns = [bins, levels].into_iter().enumerate();
        let blank = Sketch {
            margins: Margins::new(),
            probabilities: vec![[0; 2]; Sketch::PROBABILITIES],
            columns: columns.map(|(column, rows)| ColumnSketch { column, weight: 1.0, rows }).collect(),
            points: Vec::new(),
            loss: None,
            below: u64::MAX,
        };
        let (numbers, levels) = ([-1.0, 2.5, 2.0, 1e9, 1e10, 7.0], [0.0, 1.0, UNSEEN_LEVEL, 0.0, 1.0, 1.0]);
        let (classes, margins) = ([0, 1, 1, 0, 1, 0], [-3.0, 0.5, 0.25, -0.01, 9.0, 0.0]);
        let mut whole = blank.empty();
        for rows in [0..4, 4..6] {
            let features = vec![numbers[rows.clone()].to_vec(), levels[rows.clone()].to_vec()];
            let piece = Piece { first_row: rows.start, features, rows: rows.len(), ..Piece::default() };
            let mut of_range = blank.empty();
            let places: Vec<usize> = (0..rows.len()).collect();
            of_range.add(&piece, &places, &classes[rows.clone()], &margins[rows]);
            whole.merge(of_range);
        }
        let ColumnRows::Bins { counts, beyond, .. } = &whole.columns[0].rows else { panic!("a number") };
        assert_eq!((counts[2], counts[7], *beyond), ([0, 2], [1, 0], [1, 2]));
        let ColumnRows::Levels(found) = &whole.columns[1].rows else { panic!("a category") };
        assert_eq!(found, &[[2, 0], [1, 2]]);
        let point = |row: usize| Point { values: vec![numbers[row], levels[row]], is_positive: classes[row] == 1 };
        assert_eq!(whole.points, (0..6).map(point).collect::<Vec<_>>());
        assert_eq!((whole.rows(), whole.margins.bins().map(|bin| bin.2[1]).sum::<u64>()), ([3, 3], 3));
    }
}
