//! What a picture needs of the rows: counts in bins, and a few rows as points. It comes from one pass, in memory that does
//! not grow with the rows, and neither threads nor the cut of the rows into pieces change anything in it.

mod apart;
mod columns;
mod loss;
mod margins;
mod own;

use std::sync::Arc;

pub use apart::Apart;
pub use columns::{ColumnProfile, Cut};
pub use loss::{Loss, LossBins, Minimum};
pub use margins::{Counts, Margins};
pub use own::Own;

use crate::data::{Piece, hash};
use crate::logistic::sigmoid;
use crate::model::Model;
use crate::vectors::in_vectors;
use margins::add;

/// Rows that are kept as points, about.
const POINTS: usize = 1200;

/// Bins of the probability of the positive class, of equal width.
const PROBABILITIES: usize = 50;

/// What is kept of the rows of a table.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Which classes are told apart.
    pub apart: Arc<Apart>,
    /// How many were seen.
    pub rows: u64,
    /// Of two classes, whose one margin is a number over which rows lie.
    pub two: Option<TwoClasses>,
    /// Of several classes, by the probability of the class that it was.
    pub own: Vec<Own>,
    /// The columns that are looked at, the most important first.
    pub columns: Vec<ColumnProfile>,
    /// Rows chosen by the hash of their place, with the values of these columns.
    pub points: Vec<Point>,
    /// Rows whose hash is below are points.
    below: u64,
}

/// Rows of two classes.
#[derive(Clone, Debug)]
pub struct TwoClasses {
    /// By margin.
    pub margins: Margins,
    /// By probability, in bins of equal width.
    pub probabilities: Vec<Counts>,
    /// Of a model of one number: the rows as the loss sees them.
    pub loss: Option<LossBins>,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its values, in the order of [`Profile::columns`]; of categories the level's place.
    pub values: Vec<f64>,
    /// The slot of its class.
    pub slot: usize,
}

/// Calls `then` with these rows of the values of a piece; where they are all of it, without a copy.
fn chosen<T>(values: &[f64], places: &[usize], then: impl FnOnce(&[f64]) -> T) -> T {
    if places.len() == values.len() {
        return then(values);
    }
    then(&places.iter().map(|&row| values[row]).collect::<Vec<f64>>())
}

impl TwoClasses {
    fn new(model: &Model) -> Self {
        let loss = LossBins::new(model);
        Self { margins: Margins::new(), probabilities: vec![[0; 2]; PROBABILITIES], loss }
    }

    fn add(&mut self, piece: &Piece, places: &[usize], classes: &[u32], margins: &[f64]) {
        self.margins.add(margins, classes);
        let mut bins = vec![0.0; margins.len()];
        in_vectors(
            #[inline(always)]
            || bins.iter_mut().zip(margins).for_each(|(bin, z)| *bin = sigmoid(*z) * PROBABILITIES as f64),
        );
        for (bin, &class) in bins.into_iter().zip(classes) {
            self.probabilities[(bin as i32 as usize).min(PROBABILITIES - 1)][class as usize] += 1;
        }
        if let Some(loss) = &mut self.loss {
            for (&row, &class) in places.iter().zip(classes) {
                let weight = piece.weights.as_ref().map_or(1.0, |weights| weights[row]);
                loss.add(piece.features[0][row], class as usize, weight);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.margins.merge(other.margins);
        self.probabilities.iter_mut().zip(other.probabilities).for_each(|(mine, other)| add(mine, other));
        if let (Some(mine), Some(other)) = (&mut self.loss, &other.loss) {
            mine.merge(other);
        }
    }

    /// Rows that were seen, by class.
    pub fn rows(&self) -> Counts {
        self.probabilities.iter().fold([0; 2], |mut sum, counts| {
            add(&mut sum, *counts);
            sum
        })
    }
}

impl Profile {
    /// For rows of `model`, of which a table has `rows`.
    pub fn new(model: &Model, rows: usize) -> Self {
        // Rows lie over the one margin of two classes; several margins are no line.
        let is_binary = model.softmax().is_none();
        let apart = Apart::of(model);
        let share = POINTS as f64 / rows.max(1) as f64;
        Self {
            rows: 0,
            two: is_binary.then(|| TwoClasses::new(model)),
            own: if is_binary { Vec::new() } else { Own::bins() },
            columns: ColumnProfile::of(model, apart.slots()),
            apart: Arc::new(apart),
            points: Vec::new(),
            below: if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX },
        }
    }

    /// Takes in rows of a piece: their places in it, the places of their classes, `[rows]` each, and the margins of all
    /// rows of the piece, `[margins][rows]`, which are finite in these.
    pub fn add(&mut self, piece: &Piece, places: &[usize], classes: &[u32], margins: &[Vec<f64>]) {
        self.rows += places.len() as u64;
        if let Some(two) = &mut self.two {
            chosen(&margins[0], places, |margins| two.add(piece, places, classes, margins));
        }
        if !self.own.is_empty() {
            for (&row, &class) in places.iter().zip(classes) {
                Own::add(&mut self.own, class as usize, margins.iter().map(|margins| margins[row]));
            }
        }
        let slots: Vec<usize> = classes.iter().map(|&class| self.apart.slot(class as usize)).collect();
        for column in &mut self.columns {
            chosen(&piece.features[column.column], places, |values| column.add(values, &slots));
        }
        for (&row, &slot) in places.iter().zip(&slots) {
            if hash((piece.first_row + row) as u64) < self.below {
                let values = self.columns.iter().map(|column| piece.features[column.column][row]).collect();
                self.points.push(Point { values, slot });
            }
        }
    }

    /// Takes in what another saw of the rows that follow.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        if let (Some(mine), Some(other)) = (&mut self.two, other.two) {
            mine.merge(other);
        }
        self.own.iter_mut().zip(other.own).for_each(|(mine, other)| mine.merge(other));
        self.columns.iter_mut().zip(&other.columns).for_each(|(mine, other)| mine.merge(other));
        self.points.extend(other.points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::UNSEEN_LEVEL;

    /// What ranges saw comes together: nothing of a number, a category or a point is lost.
    #[test]
    fn what_two_ranges_saw_is_what_one_would_have_seen() {
        let cuts = [Cut::Bins { low: 0.0, width: 1.0, by_product: true }, Cut::Levels(Arc::new(vec![0, 1]), 0)];
        let columns = cuts.into_iter().enumerate();
        let two = TwoClasses { margins: Margins::new(), probabilities: vec![[0; 2]; PROBABILITIES], loss: None };
        let blank = Profile {
            apart: Arc::new(Apart { classes: vec![0, 1], others: 0 }),
            rows: 0,
            two: Some(two),
            own: Vec::new(),
            columns: columns.map(|(column, cut)| ColumnProfile::new(column, 1.0, cut, 2)).collect(),
            points: Vec::new(),
            below: u64::MAX,
        };
        let (numbers, levels) = ([-1.0, 2.5, 2.0, 1e9, 1e10, 7.0], [0.0, 1.0, UNSEEN_LEVEL, 0.0, 1.0, 1.0]);
        let (classes, margins) = ([0, 1, 1, 0, 1, 0], [-3.0, 0.5, 0.25, -0.01, 9.0, 0.0]);
        let mut whole = blank.clone();
        for rows in [0..4, 4..6] {
            let features = vec![numbers[rows.clone()].to_vec(), levels[rows.clone()].to_vec()];
            let piece = Piece { first_row: rows.start, features, rows: rows.len(), ..Piece::default() };
            let mut of_range = blank.clone();
            let places: Vec<usize> = (0..rows.len()).collect();
            of_range.add(&piece, &places, &classes[rows.clone()], &[margins[rows].to_vec()]);
            whole.merge(of_range);
        }
        let [number, category] = &whole.columns[..] else { panic!("two columns") };
        assert_eq!(
            (number.rows()[2], number.rows()[7], number.beyond()),
            ([0, 2].as_slice(), [1, 0].as_slice(), [1, 2])
        );
        assert_eq!(category.rows(), [[2, 0], [1, 2]]);
        let point = |row: usize| Point { values: vec![numbers[row], levels[row]], slot: classes[row] as usize };
        assert_eq!(whole.points, (0..6).map(point).collect::<Vec<_>>());
        let two = whole.two.expect("two classes");
        assert_eq!((whole.rows, two.rows(), two.margins.bins().map(|bin| bin.2[1]).sum::<u64>()), (6, [3, 3], 3));
    }
}
