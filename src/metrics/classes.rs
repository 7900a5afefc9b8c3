//! K classes.

use serde::Serialize;

use super::calibration::{Calibration, Cells};
use super::ranking::{Limit, Ranking};
use super::sum::Sum;
use super::walk::{Bounded, CurvePoint};
use super::{BATCH, Scale, base_log_loss, check_total, check_weights, different, skill};
use crate::error::{Error, Result};
use crate::logistic::sigmoid;

/// How good the probabilities of K classes are.
#[derive(Clone, Debug, Serialize)]
pub struct ClassMetrics {
    /// Rows, those of weight 0 included.
    pub rows: u64,
    /// Sum of the weights: what counts as one row elsewhere counts by its weight here and below.
    pub weights: f64,
    /// Mean of `-ln` of the probability of the class that it was, in nats. Infinite if that was 0 in any row.
    pub log_loss: f64,
    /// The same if every row had the shares of the classes as its probabilities.
    pub base_log_loss: f64,
    /// `1 - log_loss / base_log_loss`, `McFadden`'s; `None` if all rows are of one class.
    pub skill: Option<f64>,
    /// Mean of `sum over k of (probability - [label = k])^2` (Brier, 1950): from 0 to 2.
    pub brier: f64,
    /// Share of the rows in whose class the probability is highest (of equal ones, the first).
    pub accuracy: f64,
    /// Mean over the classes of `auc`; `None` if a class has none.
    pub macro_auc: Option<Bounded>,
    /// Mean over the classes of `average_precision`; likewise.
    pub macro_average_precision: Option<Bounded>,
    /// Weights, `[label][class of the highest probability]`.
    pub confusion: Vec<Vec<f64>>,
    /// Each class against the rest, `[K]`.
    pub classes: Vec<ClassFigures>,
}

/// One class against the rest.
#[derive(Clone, Debug, Serialize)]
pub struct ClassFigures {
    /// Weight of its rows.
    pub weight: f64,
    /// Their share.
    pub prevalence: f64,
    /// Area under the ROC curve of its probability. `None` if all rows are of it, or none.
    pub auc: Option<Bounded>,
    /// Sum over the thresholds of precision times growth of recall; `None` likewise.
    pub average_precision: Option<Bounded>,
    /// Predicted against observed.
    pub calibration: Calibration,
    /// Points of the ROC and precision-recall curves, at most 100 and none where `auc` is `None`; for pictures alone.
    #[serde(skip)]
    pub curve: Vec<CurvePoint>,
}

/// Points of the curves of a class.
const POINTS: usize = 100;

#[derive(Clone, Debug)]
struct Class {
    cells: Cells,
    ranking: Ranking,
}

/// Takes rows, and is merged with others of its kind.
#[derive(Clone, Debug)]
pub struct ClassAccumulator {
    scale: Scale,
    rows: u64,
    loss: Sum,
    brier: Sum,
    /// Weights, `[label][class of the highest probability]`.
    confusion: Vec<Sum>,
    classes: Vec<Class>,
}

impl ClassAccumulator {
    /// For `classes` margins a row, of which only the differences count. Fewer than two classes are an error of usage.
    pub fn new(classes: usize, limit: &Limit) -> Result<Self> {
        Self::on(Scale::Margin, classes, limit)
    }

    /// For `classes` probabilities a row.
    pub fn of_probabilities(classes: usize, limit: &Limit) -> Result<Self> {
        Self::on(Scale::Probability, classes, limit)
    }

    fn on(scale: Scale, classes: usize, limit: &Limit) -> Result<Self> {
        if classes < 2 {
            return Err(Error::usage(
                format!("{classes} classes cannot be told apart"),
                "Choose a label with two classes or more.",
            ));
        }
        let class = || Class { cells: Cells::new(Cells::DEFAULT), ranking: Ranking::new(limit.clone(), classes) };
        Ok(Self {
            scale,
            rows: 0,
            loss: Sum::default(),
            brier: Sum::default(),
            confusion: vec![Sum::default(); classes * classes],
            classes: (0..classes).map(|_| class()).collect(),
        })
    }

    /// With this many bins of calibration a class, at least 1, instead of 10. Before the first row.
    #[must_use]
    pub fn calibration_bins(mut self, bins: usize) -> Self {
        self.classes.iter_mut().for_each(|class| class.cells = Cells::new(bins));
        self
    }

    /// Adds a row: its label, below K, its margins or probabilities `[K]`, and its weight.
    pub fn add(&mut self, label: u32, scores: &[f64], weight: f64) -> Result<()> {
        self.add_batch(&[label], scores, Some(&[weight]))
    }

    /// Adds rows: labels `[rows]`, scores `[rows][K]` row by row, weights `[rows]`; without them they are 1. Rows of
    /// weight 0 are counted, and that is all.
    ///
    /// A label of K or more, a margin that is not finite, probabilities that are none or whose sum is not 1 (to 1e-6),
    /// a negative or infinite weight are errors of the data; nothing is added then.
    pub fn add_batch(&mut self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        self.check(labels, scores, weights)?;
        self.rows += labels.len() as u64;
        let k = self.classes.len();
        for first in (0..labels.len()).step_by(BATCH) {
            let batch = first..labels.len().min(first + BATCH);
            let scores = &scores[first * k..batch.end * k];
            self.take(&labels[batch.clone()], scores, weights.map(|weights| &weights[batch]));
        }
        Ok(())
    }

    fn check(&self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        let (rows, k) = (labels.len(), self.classes.len());
        if scores.len() != rows * k {
            return Err(Error::internal(format!("{} scores for {rows} labels and {k} classes", scores.len())));
        }
        let together = |row: usize| format!("(row {row} of {rows} handed over together)");
        if let Some(row) = labels.iter().position(|&label| label as usize >= k) {
            return Err(Error::data(
                format!("the label of a row is {}, of {k} classes {}", labels[row], together(row)),
                format!("Labels must be 0 to {}; map the classes to them, or remove the row.", k - 1),
            ));
        }
        for (row, scores) in scores.chunks_exact(k).enumerate() {
            match self.scale {
                Scale::Margin if !scores.iter().all(|margin| margin.is_finite()) => {
                    return Err(Error::data(
                        format!("the margins of a row are {scores:?} {}", together(row)),
                        "Margins must be finite; look for features that are missing or infinite in this row.",
                    ));
                }
                Scale::Probability
                    if !scores.iter().all(|probability| (0.0..=1.0).contains(probability))
                        || (scores.iter().sum::<f64>() - 1.0).abs() > 1e-6 =>
                {
                    return Err(Error::data(
                        format!("the probabilities of a row are {scores:?} {}", together(row)),
                        "They must lie in 0..=1 and have the sum 1; if these are margins, hand them over as such.",
                    ));
                }
                _ => {}
            }
        }
        check_weights(weights, rows)
    }

    /// Rows without faults, a batch at most.
    #[expect(clippy::float_cmp, reason = "only a weight of exactly 1 can be left out")]
    fn take(&mut self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) {
        let k = self.classes.len();
        let rows = weights.map_or(labels.len(), |weights| weights.iter().filter(|&&weight| weight > 0.0).count());
        let weighted = weights.is_some_and(|weights| weights.iter().any(|&weight| weight != 0.0 && weight != 1.0));
        self.classes.iter_mut().for_each(|class| class.ranking.make_room(rows, weighted));
        let mut row_of = Row::new(k);
        for (row, (&label, scores)) in labels.iter().zip(scores.chunks_exact(k)).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            // An infinite loss times 0 would be no number.
            if weight == 0.0 {
                continue;
            }
            let label = label as usize;
            match self.scale {
                Scale::Margin => row_of.set_margins(scores, label),
                Scale::Probability => row_of.set_probabilities(scores, label),
            }
            self.loss.add(weight * row_of.loss);
            self.brier.add(weight * row_of.brier);
            self.confusion[label * k + row_of.predicted].add(weight);
            let values = row_of.probabilities.iter().zip(&row_of.scores);
            for (i, (class, (&probability, &score))) in self.classes.iter_mut().zip(values).enumerate() {
                class.cells.add(probability, usize::from(i == label), weight);
                class.ranking.push(score, usize::from(i == label), weight);
            }
        }
    }

    /// Takes in the rows of another accumulator with the same settings; it is a fault of the program if they differ.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.scale != other.scale {
            return Err(different("scores"));
        }
        if self.classes.len() != other.classes.len() {
            return Err(different("numbers of classes"));
        }
        if self.classes[0].cells.len() != other.classes[0].cells.len() {
            return Err(different("bins of calibration"));
        }
        self.rows += other.rows;
        self.loss.merge(other.loss);
        self.brier.merge(other.brier);
        self.confusion.iter_mut().zip(other.confusion).for_each(|(mine, other)| mine.merge(other));
        for (mine, other) in self.classes.iter_mut().zip(other.classes) {
            mine.cells.merge(&other.cells);
            mine.ranking.merge(other.ranking);
        }
        Ok(())
    }

    /// The figures. Without rows, or if all have weight 0, an error of the data.
    pub fn finish(self) -> Result<ClassMetrics> {
        let k = self.classes.len();
        let total = |cells: &mut dyn Iterator<Item = Sum>| {
            let mut total = Sum::default();
            cells.for_each(|cell| total.merge(cell));
            total.value()
        };
        let weights = total(&mut self.confusion.iter().copied());
        check_total(weights, self.rows)?;
        let right = total(&mut self.confusion.iter().step_by(k + 1).copied());
        let by_class: Vec<f64> = self.confusion.chunks_exact(k).map(|row| total(&mut row.iter().copied())).collect();
        let log_loss = self.loss.value() / weights;
        let base_log_loss = base_log_loss(by_class.iter().map(|class| class / weights));
        let probability = match self.scale {
            Scale::Margin => sigmoid,
            Scale::Probability => std::convert::identity,
        };
        let figures = self.classes.into_iter().enumerate().map(|(i, class)| {
            let rest = by_class.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, weight)| weight).sum();
            let ranked = class.ranking.finish([rest, by_class[i]], probability, POINTS);
            ClassFigures {
                weight: by_class[i],
                prevalence: by_class[i] / weights,
                auc: ranked.as_ref().map(|ranked| ranked.auc),
                average_precision: ranked.as_ref().map(|ranked| ranked.average_precision),
                calibration: class.cells.finish(),
                curve: ranked.map_or_else(Vec::new, |ranked| ranked.curve),
            }
        });
        let classes: Vec<ClassFigures> = figures.collect();
        let mean = |figure: fn(&ClassFigures) -> Option<Bounded>| {
            let part = |part: fn(Bounded) -> f64| -> Option<f64> {
                classes.iter().map(|class| figure(class).map(part)).sum::<Option<f64>>().map(|sum| sum / k as f64)
            };
            let both = part(|figure| figure.value).zip(part(|figure| figure.error_bound));
            both.map(|(value, error_bound)| Bounded { value, error_bound })
        };
        Ok(ClassMetrics {
            rows: self.rows,
            weights,
            log_loss,
            base_log_loss,
            skill: skill(log_loss, base_log_loss),
            brier: self.brier.value() / weights,
            accuracy: right / weights,
            macro_auc: mean(|class| class.auc),
            macro_average_precision: mean(|class| class.average_precision),
            confusion: self.confusion.chunks_exact(k).map(|row| row.iter().map(|&sum| sum.value()).collect()).collect(),
            classes,
        })
    }
}

/// What is made of one row.
struct Row {
    probabilities: Vec<f64>,
    /// What the classes are ranked by: the probabilities, or their log-odds if margins are given.
    scores: Vec<f64>,
    loss: f64,
    brier: f64,
    /// The class of the highest probability.
    predicted: usize,
}

impl Row {
    fn new(classes: usize) -> Self {
        Self { probabilities: vec![0.0; classes], scores: vec![0.0; classes], loss: 0.0, brier: 0.0, predicted: 0 }
    }

    fn set_probabilities(&mut self, probabilities: &[f64], label: usize) {
        self.predicted = highest(probabilities, None);
        self.probabilities.copy_from_slice(probabilities);
        self.scores.copy_from_slice(probabilities);
        // Of 1 it would be -0.
        self.loss = -probabilities[label].ln() + 0.0;
        let deviation = |(i, p): (usize, &f64)| (p - f64::from(u8::from(i == label))).powi(2);
        self.brier = probabilities.iter().enumerate().map(deviation).sum();
    }

    /// With `e_k = exp(z_k - max z)`: probabilities `e_k / sum e`, log-odds `ln(e_k / sum of the others)`. The sum of
    /// the others is never a difference of nearly equal numbers.
    fn set_margins(&mut self, margins: &[f64], label: usize) {
        let top = highest(margins, None);
        let second = highest(margins, Some(top));
        let others = |of: f64| -> f64 {
            let others = margins.iter().enumerate().filter(|&(i, _)| i != top);
            others.map(|(_, margin)| (margin - of).exp()).sum()
        };
        let rest = others(margins[top]);
        let whole = 1.0 + rest;
        self.predicted = top;
        self.brier = 0.0;
        for (i, &margin) in margins.iter().enumerate() {
            let below = margin - margins[top];
            let e = below.exp();
            // In units of the second, so that a sum far below the first does not vanish.
            let (odds, against) = if i == top {
                (margin - margins[second] - others(margins[second]).ln(), rest)
            } else {
                let against = whole - e;
                (below - against.ln(), against)
            };
            self.scores[i] = odds;
            self.probabilities[i] = e / whole;
            self.brier += (if i == label { against } else { e } / whole).powi(2);
        }
        self.loss = margins[top] - margins[label] + rest.ln_1p();
    }
}

/// The first of the highest but for `without`.
fn highest(scores: &[f64], without: Option<usize>) -> usize {
    let mut found = usize::from(without == Some(0));
    for (i, score) in scores.iter().enumerate() {
        if Some(i) != without && *score > scores[found] {
            found = i;
        }
    }
    found
}
