//! The same of several classes: as many of them apart as eyes can tell apart, the rest together.

use std::sync::Arc;

use super::{BINS, COLUMNS, POINTS, REACH};
use crate::data::{Piece, hash};
use crate::model::{FeatureInfo, Model, ModelColumn};

/// Classes that pictures tell apart at most.
const APART: usize = 10;

/// Levels of a category that are looked at, those with most rows.
const LEVELS: usize = 14;

/// Bins of the probability that a row's own class had.
const OWN: usize = 50;

/// Losses are summed as integers, in parts of this size: then their order is of no account.
const GRAIN: f64 = 1e-6;

/// Which classes a picture tells apart: each of them has a slot, in the order of the label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Their places among the model's classes.
    pub classes: Vec<usize>,
    /// Classes that share the slot behind the last.
    pub others: usize,
}

impl Apart {
    /// All classes where they are few, else those with most rows in the training.
    pub fn of(model: &Model) -> Self {
        let count = model.label.classes.len();
        let classes = if count <= APART { (0..count).collect() } else { Self::largest(model, APART - 1) };
        Self { others: count - classes.len(), classes }
    }

    /// The places of the classes with most rows in the training, in the order of the label.
    pub fn largest(model: &Model, most: usize) -> Vec<usize> {
        let rows = |class: usize| model.training.class_rows.get(class).copied().unwrap_or(0);
        let mut classes: Vec<usize> = (0..model.label.classes.len()).collect();
        // A stable sort: of equal ones the first.
        classes.sort_by_key(|&class| std::cmp::Reverse(rows(class)));
        classes.truncate(most);
        classes.sort_unstable();
        classes
    }

    /// Slots, that of the others included if there are some.
    pub fn slots(&self) -> usize {
        self.classes.len() + usize::from(self.others > 0)
    }

    /// The slot of a class.
    pub fn slot(&self, class: usize) -> usize {
        self.classes.binary_search(&class).unwrap_or(self.classes.len())
    }
}

/// What is kept of the rows of a table.
#[derive(Clone, Debug)]
pub struct ClassSketch {
    /// Which classes are told apart.
    pub apart: Arc<Apart>,
    /// By the probability of the class that it was, in bins of equal width.
    pub own: Vec<Own>,
    /// The columns that are looked at, the most important first.
    pub columns: Vec<ColumnSketch>,
    /// Rows chosen by the hash of their place.
    pub points: Vec<Point>,
    below: u64,
}

/// Rows whose own class had about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// How many.
    pub rows: u64,
    loss: u128,
}

impl Own {
    /// The sum of their losses.
    pub fn loss(self) -> f64 {
        self.loss as f64 * GRAIN
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its values, in the order of [`ClassSketch::columns`]; of categories the level's place.
    pub values: Vec<f64>,
    /// The slot of its class.
    pub slot: usize,
}

/// Rows by the values of a column.
#[derive(Clone, Debug)]
pub struct ColumnSketch {
    /// Its place in [`Model::columns`].
    pub column: usize,
    /// How far it moves the margins of the classes apart, a standard deviation of it.
    pub weight: f64,
    /// The rows, by class `[bins or levels][slots]`.
    pub counts: Vec<u64>,
    /// How they are put there.
    pub cut: Cut,
}

/// How the values of a column are told apart.
#[derive(Clone, Debug)]
pub enum Cut {
    /// A number, in bins of `width` from `low` on.
    Bins {
        /// Where the first bin begins.
        low: f64,
        /// The width of a bin.
        width: f64,
        /// The rows on either side of the bins.
        beyond: [u64; 2],
    },
    /// A category: the places of the levels that are looked at, rising, and how many are not.
    Levels(Arc<Vec<usize>>, usize),
}

/// The mean square of what is left of numbers about their mean.
fn variance(numbers: impl Iterator<Item = f64> + Clone, count: usize) -> f64 {
    let mean = numbers.clone().sum::<f64>() / count as f64;
    numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64
}

/// How far a category moves margins apart: coefficients about the mean of their level's classes, then about the mean of
/// the rows.
fn spread(levels: &[FeatureInfo], rows: &[u64], classes: usize) -> f64 {
    let total = rows.iter().sum::<u64>().max(1) as f64;
    let share = |level: usize| rows[level + 1] as f64 / total;
    let of_class = |class: usize| {
        let about = |feature: &FeatureInfo| {
            feature.coefficients[class] - feature.coefficients.iter().sum::<f64>() / classes as f64
        };
        let mean: f64 = levels.iter().enumerate().map(|(level, feature)| share(level) * about(feature)).sum();
        let squares = levels.iter().enumerate().map(|(level, feature)| share(level) * (about(feature) - mean).powi(2));
        squares.sum::<f64>() + rows[0] as f64 / total * mean * mean
    };
    ((0..classes).map(of_class).sum::<f64>() / classes as f64).sqrt()
}

impl ClassSketch {
    /// For rows of `model`, of which a table has `rows`.
    pub fn new(model: &Model, rows: usize) -> Self {
        let apart = Apart::of(model);
        let classes = model.label.classes.len();
        let of_column = |(column, of_model): (usize, ModelColumn<'_>)| {
            let (weight, bins, cut) = match of_model {
                ModelColumn::Feature(FeatureInfo { mean, scale, coefficients, .. }) => {
                    let (low, width) = (mean - REACH * scale, 2.0 * REACH * scale / BINS as f64);
                    if !(width > 0.0 && low.is_finite()) {
                        return None;
                    }
                    let weight = scale * variance(coefficients.iter().copied(), classes).sqrt();
                    (weight, BINS, Cut::Bins { low, width, beyond: [0; 2] })
                }
                ModelColumn::Category(category, levels) => {
                    let mut shown: Vec<usize> = (0..category.levels.len()).collect();
                    shown.sort_by_key(|&level| std::cmp::Reverse(category.rows[level]));
                    shown.truncate(LEVELS);
                    shown.sort_unstable();
                    let weight = spread(levels, &category.rows, classes);
                    let more = category.levels.len() - shown.len();
                    (weight, shown.len(), Cut::Levels(Arc::new(shown), more))
                }
            };
            let counts = vec![0; bins * apart.slots()];
            weight.is_finite().then_some(ColumnSketch { column, weight, counts, cut })
        };
        let mut columns: Vec<ColumnSketch> = model.columns().enumerate().filter_map(of_column).collect();
        // A stable sort: of equal weights the first column comes first.
        columns.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        columns.truncate(COLUMNS);
        let share = POINTS as f64 / rows.max(1) as f64;
        Self {
            apart: Arc::new(apart),
            own: vec![Own::default(); OWN],
            columns,
            points: Vec::new(),
            below: if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX },
        }
    }

    /// One for the same rows that has seen none.
    #[must_use]
    pub fn empty(&self) -> Self {
        let mut empty = Self { points: Vec::new(), ..self.clone() };
        empty.own.fill(Own::default());
        for column in &mut empty.columns {
            column.counts.fill(0);
            if let Cut::Bins { beyond, .. } = &mut column.cut {
                *beyond = [0; 2];
            }
        }
        empty
    }

    /// Takes in a row of a piece with the place of its class, and its margins, which are finite.
    pub fn add(&mut self, piece: &Piece, row: usize, class: usize, margins: impl Iterator<Item = f64> + Clone) {
        let slot = self.apart.slot(class);
        let loss = loss(class, margins);
        let own = &mut self.own[(((-loss).exp() * OWN as f64) as usize).min(OWN - 1)];
        own.rows += 1;
        own.loss += (loss / GRAIN).round() as u128;
        let slots = self.apart.slots();
        for column in &mut self.columns {
            let x = piece.features[column.column][row];
            let place = match &mut column.cut {
                Cut::Bins { low, width, beyond } => {
                    let place = (x - *low) / *width;
                    let inside = (0.0..BINS as f64).contains(&place);
                    beyond[0] += u64::from(place < 0.0);
                    beyond[1] += u64::from(!inside && place > 0.0);
                    inside.then_some(place as usize)
                }
                // A level that the model does not know has a negative place.
                Cut::Levels(levels, _) if x >= 0.0 => levels.binary_search(&(x as usize)).ok(),
                Cut::Levels(..) => None,
            };
            if let Some(place) = place {
                column.counts[place * slots + slot] += 1;
            }
        }
        if hash((piece.first_row + row) as u64) < self.below {
            let values = self.columns.iter().map(|column| piece.features[column.column][row]).collect();
            self.points.push(Point { values, slot });
        }
    }

    /// Takes in what another saw of the rows that follow.
    pub fn merge(&mut self, other: Self) {
        for (mine, other) in self.own.iter_mut().zip(other.own) {
            mine.rows += other.rows;
            mine.loss += other.loss;
        }
        for (mine, other) in self.columns.iter_mut().zip(other.columns) {
            mine.counts.iter_mut().zip(other.counts).for_each(|(mine, other)| *mine += other);
            if let (Cut::Bins { beyond, .. }, Cut::Bins { beyond: others, .. }) = (&mut mine.cut, other.cut) {
                beyond.iter_mut().zip(others).for_each(|(mine, other)| *mine += other);
            }
        }
        self.points.extend(other.points);
    }

    /// Rows that were seen.
    pub fn rows(&self) -> u64 {
        self.own.iter().map(|own| own.rows).sum()
    }
}

/// `-ln` of the softmax of a class: `(max z - z) + ln(1 + the rest)`.
fn loss(class: usize, margins: impl Iterator<Item = f64> + Clone) -> f64 {
    let (mut top, mut leader, mut own) = (f64::NEG_INFINITY, 0, 0.0);
    for (place, z) in margins.clone().enumerate() {
        if z > top {
            (top, leader) = (z, place);
        }
        if place == class {
            own = z;
        }
    }
    let rest: f64 = margins.enumerate().filter(|(place, _)| *place != leader).map(|(_, z)| (z - top).exp()).sum();
    (top - own) + rest.ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_softmax() {
        let of = |class: usize, margins: [f64; 3]| loss(class, margins.into_iter());
        assert!((of(1, [0.0; 3]) - 3.0_f64.ln()).abs() <= 1e-15);
        assert!((of(0, [1000.0, 999.0, -1000.0]) - (1.0 + (-1.0_f64).exp()).ln()).abs() <= 1e-15);
        assert!((of(2, [1000.0, 0.0, -1000.0]) - 2000.0).abs() <= 1e-9);
        assert!((of(1, [0.0, 3.0, 2.0]) - (1.0 + (-1.0_f64).exp() + (-3.0_f64).exp()).ln()).abs() <= 1e-15);
        // 1 - p would be 0 as a difference.
        assert!((of(0, [40.0, 0.0, -50.0]) / (-40.0_f64).exp() - 1.0).abs() <= 1e-12);
    }

    #[test]
    fn many_classes_share_a_slot() {
        let apart = Apart { classes: vec![1, 4, 5], others: 3 };
        assert_eq!([0, 1, 2, 3, 4, 5].map(|class| apart.slot(class)), [3, 0, 3, 3, 1, 2]);
        assert_eq!(apart.slots(), 4);
        assert_eq!(Apart { classes: vec![0, 1], others: 0 }.slots(), 2);
    }
}
