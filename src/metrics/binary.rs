//! Two classes.

use serde::Serialize;

use super::calibration::{Calibration, Cells};
use super::ranking::{Limit, Ranking};
use super::sum::Sum;
use super::walk::{Bounded, CurvePoint, LiftRow};
use super::{BATCH, POINTS, Scale, base_log_loss, check_total, check_weights, different, ratio, skill};
use crate::error::{Error, Result};
use crate::logistic::{sigmoid, terms};
use crate::vectors::in_vectors;

/// How good the probabilities of the positive class are.
#[derive(Clone, Debug, Serialize)]
pub struct Metrics {
    /// Rows, those of weight 0 included.
    pub rows: u64,
    /// Sum of the weights: what counts as one row elsewhere counts by its weight here and below.
    pub weights: f64,
    /// Sum of the weights of the positive rows.
    pub positives: f64,
    /// Share of the positives.
    pub prevalence: f64,
    /// Mean of `-ln` of the probability of what happened, in nats. Infinite if that was 0 in any row.
    pub log_loss: f64,
    /// The same if every row had the prevalence as its probability.
    pub base_log_loss: f64,
    /// `1 - log_loss / base_log_loss`, `McFadden`'s; `None` if all rows are of one class.
    pub skill: Option<f64>,
    /// Mean of `(probability - label)^2` (Brier, 1950).
    pub brier: f64,
    /// Share of the rows on the right side of the threshold.
    pub accuracy: f64,
    /// Area under the ROC curve: how often a positive row has the higher score of the two, ties half. `None` if all
    /// rows are of one class.
    pub auc: Option<Bounded>,
    /// Sum over the thresholds of precision times growth of recall. `None` if all rows are of one class.
    pub average_precision: Option<Bounded>,
    /// What the threshold makes of the rows.
    pub confusion: Confusion,
    /// Predicted against observed.
    pub calibration: Calibration,
    /// Deciles by score; empty if all rows are of one class.
    pub lift: Vec<LiftRow>,
    /// Both curves, the ends exact; empty if all rows are of one class.
    pub curve: Vec<CurvePoint>,
}

/// Sums of weights on either side of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// Rows of at least this probability count as positive.
    pub threshold: f64,
    /// Positive, and counted so.
    pub true_positives: f64,
    /// Negative, but counted as positive.
    pub false_positives: f64,
    /// Negative, and counted so.
    pub true_negatives: f64,
    /// Positive, but counted as negative.
    pub false_negatives: f64,
    /// Share of the positives in what counts as positive; `None` if nothing does.
    pub precision: Option<f64>,
    /// Share of the positives that count so; `None` without positives.
    pub recall: Option<f64>,
    /// Share of the negatives that count so; `None` without negatives.
    pub specificity: Option<f64>,
    /// Harmonic mean of precision and recall; `None` if nothing is positive or counts so.
    pub f1: Option<f64>,
}

/// The first number that is not good.
fn first_bad(numbers: &[f64], is_good: impl Fn(f64) -> bool) -> Option<usize> {
    // Looked for without a way out of the loop first, so that it runs in vector registers.
    let all_good = numbers.iter().fold(true, |good, &x| good & is_good(x));
    if all_good { None } else { numbers.iter().position(|&x| !is_good(x)) }
}

/// Takes rows, and is merged with others of its kind.
#[derive(Clone, Debug)]
pub struct Accumulator {
    scale: Scale,
    threshold: f64,
    points: usize,
    rows: u64,
    loss: Sum,
    brier: Sum,
    /// Weights, by label and by side of the threshold.
    sides: [[Sum; 2]; 2],
    cells: Cells,
    ranking: Ranking,
}

impl Accumulator {
    /// For margins. Rows whose probability is at least `threshold` count as positive. A threshold outside 0..=1 is an
    /// error of usage.
    pub fn new(threshold: f64, limit: Limit) -> Result<Self> {
        Self::on(Scale::Margin, threshold, limit)
    }

    /// For probabilities of the positive class.
    pub fn of_probabilities(threshold: f64, limit: Limit) -> Result<Self> {
        Self::on(Scale::Probability, threshold, limit)
    }

    fn on(scale: Scale, threshold: f64, limit: Limit) -> Result<Self> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::usage(
                format!("the threshold {threshold} is no probability"),
                "Choose one from 0 to 1; 0.5 is usual.",
            ));
        }
        Ok(Self {
            scale,
            threshold,
            points: POINTS,
            rows: 0,
            loss: Sum::default(),
            brier: Sum::default(),
            sides: [[Sum::default(); 2]; 2],
            cells: Cells::new(Cells::DEFAULT),
            ranking: Ranking::new(limit, 1),
        })
    }

    /// With this many bins of calibration, at least 1, instead of 10. Before the first row.
    #[must_use]
    pub fn calibration_bins(self, bins: usize) -> Self {
        Self { cells: Cells::new(bins), ..self }
    }

    /// With at most this many points of the curves, at least 2, instead of 200.
    #[must_use]
    pub fn curve_points(self, points: usize) -> Self {
        Self { points: points.max(2), ..self }
    }

    /// Adds a row: its label, 0 or 1, its margin or probability (whichever the accumulator is for), and its weight.
    /// Margins may be infinite. Errors as for [`Accumulator::add_batch`].
    pub fn add(&mut self, label: f64, score: f64, weight: f64) -> Result<()> {
        self.add_batch(&[label], &[score], Some(&[weight]))
    }

    /// Adds rows, `[rows]` each; without weights they are 1. Rows of weight 0 are counted, and that is all.
    ///
    /// A label other than 0 and 1, a score that is not a number or no probability, a negative or infinite weight are
    /// errors of the data; nothing is added then.
    pub fn add_batch(&mut self, labels: &[f64], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        self.check(labels, scores, weights)?;
        self.rows += labels.len() as u64;
        for first in (0..labels.len()).step_by(BATCH) {
            let batch = first..labels.len().min(first + BATCH);
            let (labels, scores) = (&labels[batch.clone()], &scores[batch.clone()]);
            let weights = weights.map(|weights| &weights[batch]);
            self.take(labels, scores, weights);
        }
        Ok(())
    }

    fn check(&self, labels: &[f64], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        let rows = labels.len();
        if scores.len() != rows {
            return Err(Error::internal(format!("{} scores for {rows} labels", scores.len())));
        }
        let together = |row: usize| format!("(row {row} of {rows} handed over together)");
        if let Some(row) = first_bad(labels, |label| [0.0, 1.0].contains(&label)) {
            return Err(Error::data(
                format!("the label of a row is {} {}", labels[row], together(row)),
                "Labels must be 0 or 1; map the classes to them, or remove the row.",
            ));
        }
        let (what, way_out, bad) = match self.scale {
            Scale::Margin => (
                "margin",
                "Margins must be numbers; look for features that are missing or infinite in this row.",
                first_bad(scores, |margin| !margin.is_nan()),
            ),
            Scale::Probability => (
                "probability",
                "Probabilities must lie in 0..=1; if these are margins, hand them over as such.",
                first_bad(scores, |probability| (0.0..=1.0).contains(&probability)),
            ),
        };
        if let Some(row) = bad {
            return Err(Error::data(format!("the {what} of a row is {} {}", scores[row], together(row)), way_out));
        }
        check_weights(weights, rows)
    }

    /// Rows without faults, a batch at most.
    fn take(&mut self, labels: &[f64], scores: &[f64], weights: Option<&[f64]>) {
        let Some(weights) = weights else { return self.take_weighed(labels, scores, None) };
        if weights.iter().all(|&weight| weight > 0.0) {
            return self.take_weighed(labels, scores, Some(weights));
        }
        // An infinite loss times 0 would be no number.
        let kept = || weights.iter().enumerate().filter(|&(_, &weight)| weight > 0.0);
        let (labels, scores): (Vec<f64>, Vec<f64>) = kept().map(|(row, _)| (labels[row], scores[row])).unzip();
        let weights: Vec<f64> = kept().map(|(_, &weight)| weight).collect();
        self.take_weighed(&labels, &scores, Some(&weights));
    }

    /// The same, of positive weight.
    #[expect(clippy::float_cmp, reason = "only a weight of exactly 1 can be left out")]
    fn take_weighed(&mut self, labels: &[f64], scores: &[f64], weights: Option<&[f64]>) {
        let weights = weights.filter(|weights| weights.iter().any(|&weight| weight != 1.0));
        self.ranking.add(labels, scores, weights);
        // What is the same for every row runs in vector registers; what depends on where a row belongs comes after.
        let rows = labels.len();
        let (mut losses, mut squares, mut probabilities) = ([0.0; BATCH], [0.0; BATCH], [0.0; BATCH]);
        let made = losses.iter_mut().zip(&mut squares).zip(&mut probabilities);
        let given = scores.iter().zip(labels);
        in_vectors(
            #[inline(always)]
            || match self.scale {
                Scale::Margin => {
                    for (((loss, square), probability), (&score, &label)) in made.zip(given) {
                        let terms = terms(score, label);
                        *loss = terms.loss;
                        *square = terms.residual * terms.residual;
                        *probability = sigmoid(score);
                    }
                }
                Scale::Probability => {
                    for (((loss, square), probability), (&score, &label)) in made.zip(given) {
                        *loss = if label == 1.0 { -score.ln() } else { -(-score).ln_1p() };
                        *square = (score - label) * (score - label);
                        *probability = score;
                    }
                }
            },
        );
        let (losses, squares, probabilities) = (&mut losses[..rows], &mut squares[..rows], &probabilities[..rows]);
        if let Some(weights) = weights {
            losses.iter_mut().zip(weights).for_each(|(loss, weight)| *loss *= weight);
            squares.iter_mut().zip(weights).for_each(|(square, weight)| *square *= weight);
        }
        in_vectors(
            #[inline(always)]
            || {
                self.loss.add_all(losses);
                self.brier.add_all(squares);
            },
        );
        let classes = || labels.iter().map(|&label| usize::from(label == 1.0));
        let sides = probabilities.iter().map(|&probability| usize::from(probability >= self.threshold));
        match weights {
            None => {
                let mut counts = [[0_u32; 2]; 2];
                classes().zip(sides).for_each(|(class, side)| counts[class][side] += 1);
                for (sum, count) in self.sides.as_flattened_mut().iter_mut().zip(counts.as_flattened()) {
                    sum.add(f64::from(*count));
                }
            }
            Some(weights) => {
                for ((class, side), weight) in classes().zip(sides).zip(weights) {
                    self.sides[class][side].add(*weight);
                }
            }
        }
        for (row, (&probability, class)) in probabilities.iter().zip(classes()).enumerate() {
            self.cells.add(probability, class, weights.map_or(1.0, |weights| weights[row]));
        }
    }

    /// Takes in the rows of another accumulator with the same settings; it is a fault of the program if they differ.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if self.scale != other.scale {
            return Err(different("scores"));
        }
        if self.threshold.to_bits() != other.threshold.to_bits() {
            return Err(different("thresholds"));
        }
        if self.cells.len() != other.cells.len() {
            return Err(different("bins of calibration"));
        }
        self.rows += other.rows;
        self.loss.merge(other.loss);
        self.brier.merge(other.brier);
        for (mine, other) in self.sides.as_flattened_mut().iter_mut().zip(other.sides.as_flattened()) {
            mine.merge(*other);
        }
        self.cells.merge(&other.cells);
        self.ranking.merge(other.ranking);
        Ok(())
    }

    /// The figures. Without rows, or if all have weight 0, an error of the data.
    pub fn finish(self) -> Result<Metrics> {
        let [[true_negatives, false_positives], [false_negatives, true_positives]] =
            self.sides.map(|label| label.map(Sum::value));
        let (negatives, positives) = (true_negatives + false_positives, false_negatives + true_positives);
        let weights = negatives + positives;
        check_total(weights, self.rows)?;
        let log_loss = self.loss.value() / weights;
        let base_log_loss = base_log_loss([negatives, positives].into_iter().map(|class| class / weights));
        let probability = match self.scale {
            Scale::Margin => sigmoid,
            Scale::Probability => std::convert::identity,
        };
        let ranked = self.ranking.finish([negatives, positives], probability, self.points);
        Ok(Metrics {
            rows: self.rows,
            weights,
            positives,
            prevalence: positives / weights,
            log_loss,
            base_log_loss,
            skill: skill(log_loss, base_log_loss),
            brier: self.brier.value() / weights,
            accuracy: (true_negatives + true_positives) / weights,
            auc: ranked.as_ref().map(|ranked| ranked.auc),
            average_precision: ranked.as_ref().map(|ranked| ranked.average_precision),
            confusion: Confusion {
                threshold: self.threshold,
                true_positives,
                false_positives,
                true_negatives,
                false_negatives,
                precision: ratio(true_positives, true_positives + false_positives),
                recall: ratio(true_positives, positives),
                specificity: ratio(true_negatives, negatives),
                f1: ratio(2.0 * true_positives, 2.0 * true_positives + false_positives + false_negatives),
            },
            calibration: self.cells.finish(),
            lift: ranked.as_ref().map_or_else(Vec::new, |ranked| ranked.lift.clone()),
            curve: ranked.map_or_else(Vec::new, |ranked| ranked.curve),
        })
    }
}
