//! Rows that come by, with a score each or one for each class.

use super::calibration::Cells;
use super::figures::{ClassFigures, Confusion, Metrics};
use super::ranking::{Limit, Ranking};
use super::row::Row;
use super::sweep::Bounded;
use super::{BATCH, Scale, base_log_loss, check_total, check_weights, different, skill};
use crate::error::{Error, Result};
use crate::logistic::{sigmoid, terms};
use crate::sum::Sum;
use crate::vectors::in_vectors;

/// What a row is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Of two classes the positive one, from this probability of it on. A row has one score, that of the positive class.
    Threshold(f64),
    /// The likeliest of so many classes, of equal ones the first. A row has a score for each.
    Likeliest(usize),
}

impl Decision {
    /// The same, unless its threshold is no probability or its classes are too few: errors of usage.
    pub fn check(self) -> Result<Self> {
        match self {
            Self::Threshold(threshold) if !(0.0..=1.0).contains(&threshold) => Err(Error::usage(
                format!("the threshold {threshold} is no probability"),
                "Choose one from 0 to 1; 0.5 is usual.",
            )),
            Self::Likeliest(classes @ 0..2) => Err(Error::usage(
                format!("{classes} classes cannot be told apart"),
                "Choose a label with two classes or more.",
            )),
            good => Ok(good),
        }
    }
}

/// Takes rows, and is merged with others of its kind.
#[derive(Clone, Debug)]
pub struct Accumulator {
    scale: Scale,
    decision: Decision,
    /// Points of a curve.
    points: usize,
    rows: u64,
    loss: Sum,
    brier: Sum,
    /// Weights, `[class][what it is called]`.
    confusion: Vec<Sum>,
    /// For each score of a row: its class against the rest.
    scores: Vec<OneAgainstRest>,
}

#[derive(Clone, Debug)]
struct OneAgainstRest {
    cells: Cells,
    ranking: Ranking,
}

/// The first number that is not good.
fn first_bad<T: Copy>(numbers: &[T], is_good: impl Fn(T) -> bool) -> Option<usize> {
    // Looked for without a way out of the loop first, so that it runs in vector registers.
    let all_good = numbers.iter().fold(true, |good, &x| good & is_good(x));
    if all_good { None } else { numbers.iter().position(|&x| !is_good(x)) }
}

impl Accumulator {
    /// Points of a curve unless told otherwise, of the only one and of each of several.
    const POINTS: [usize; 2] = [200, 100];

    /// For margins; of several classes only their differences count. A threshold outside 0..=1 and fewer than two classes
    /// are errors of usage.
    pub fn new(decision: Decision, limit: Limit) -> Result<Self> {
        Self::on(Scale::Margin, decision, limit)
    }

    /// For probabilities.
    pub fn of_probabilities(decision: Decision, limit: Limit) -> Result<Self> {
        Self::on(Scale::Probability, decision, limit)
    }

    fn on(scale: Scale, decision: Decision, limit: Limit) -> Result<Self> {
        let (classes, scores) = match decision.check()? {
            Decision::Threshold(_) => (2, 1),
            Decision::Likeliest(classes) => (classes, classes),
        };
        let of_score = OneAgainstRest { cells: Cells::new(Cells::DEFAULT), ranking: Ranking::new(limit, scores) };
        Ok(Self {
            scale,
            decision,
            points: Self::POINTS[usize::from(scores > 1)],
            rows: 0,
            loss: Sum::default(),
            brier: Sum::default(),
            confusion: vec![Sum::default(); classes * classes],
            scores: vec![of_score; scores],
        })
    }

    /// With this many bins of calibration, at least 1, instead of 10. Before the first row.
    #[must_use]
    pub fn calibration_bins(mut self, bins: usize) -> Self {
        self.scores.iter_mut().for_each(|class| class.cells = Cells::new(bins));
        self
    }

    /// With at most this many points of a curve, at least 2, instead of 200, or 100 of each of several. Before the first row.
    #[must_use]
    pub fn curve_points(self, points: usize) -> Self {
        Self { points: points.max(2), ..self }
    }

    fn classes(&self) -> usize {
        match self.decision {
            Decision::Threshold(_) => 2,
            Decision::Likeliest(classes) => classes,
        }
    }

    /// Adds a row: the place of its class, its scores (margins or probabilities, whichever the accumulator is for), and its
    /// weight. Errors as for [`Accumulator::add_batch`].
    pub fn add(&mut self, label: u32, scores: &[f64], weight: f64) -> Result<()> {
        self.add_batch(&[label], scores, Some(&[weight]))
    }

    /// Adds rows: the places of their classes `[rows]`, scores row by row `[rows][scores]`, weights `[rows]`; without them
    /// they are 1. Rows of weight 0 are counted, and that is all.
    ///
    /// A class that there is not, a margin that is not a number or, of several, infinite, probabilities that are none or
    /// whose sum over several classes is not 1 (to 1e-6), a negative or infinite weight are errors of the data; nothing is
    /// added then.
    pub fn add_batch(&mut self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        self.check(labels, scores, weights)?;
        self.rows += labels.len() as u64;
        let of_row = self.scores.len();
        for first in (0..labels.len()).step_by(BATCH) {
            let batch = first..labels.len().min(first + BATCH);
            let scores = &scores[first * of_row..batch.end * of_row];
            self.take(&labels[batch.clone()], scores, weights.map(|weights| &weights[batch]));
        }
        Ok(())
    }

    fn check(&self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) -> Result<()> {
        let (rows, of_row, classes) = (labels.len(), self.scores.len(), self.classes());
        if scores.len() != rows * of_row {
            return Err(Error::internal(format!("{} scores for {rows} labels, {of_row} for each", scores.len())));
        }
        let together = |row: usize| format!("(row {row} of {rows} handed over together)");
        if let Some(row) = first_bad(labels, |label| (label as usize) < classes) {
            return Err(Error::data(
                format!("the label of a row is {}, of {classes} classes {}", labels[row], together(row)),
                format!("Labels must be 0 to {}; map the classes to them, or remove the row.", classes - 1),
            ));
        }
        let is_share = |probability: f64| (0.0..=1.0).contains(&probability);
        let bad = match self.scale {
            Scale::Margin if of_row == 1 => first_bad(scores, |margin| !margin.is_nan()),
            Scale::Margin => first_bad(scores, f64::is_finite),
            Scale::Probability => first_bad(scores, is_share).or_else(|| {
                let sum_is_1 = |scores: &[f64]| (scores.iter().sum::<f64>() - 1.0).abs() <= 1e-6;
                let row = scores.chunks_exact(of_row).position(|scores| of_row > 1 && !sum_is_1(scores));
                row.map(|row| row * of_row)
            }),
        };
        let Some(row) = bad.map(|place| place / of_row) else { return check_weights(weights, rows) };
        let (one, several, way_out) = match self.scale {
            Scale::Margin => (
                "margin",
                "margins",
                "Margins must be numbers, and finite where there are several; look for features that are missing or \
                 infinite in this row.",
            ),
            Scale::Probability => (
                "probability",
                "probabilities",
                "Probabilities must lie in 0..=1, and have the sum 1 where there are several; if these are margins, hand \
                 them over as such.",
            ),
        };
        let fact = match &scores[row * of_row..][..of_row] {
            [score] => format!("the {one} of a row is {score} {}", together(row)),
            scores => format!("the {several} of a row are {scores:?} {}", together(row)),
        };
        Err(Error::data(fact, way_out))
    }

    /// Rows without faults, a batch at most.
    #[expect(clippy::float_cmp, reason = "only a weight of exactly 1 can be left out")]
    fn take(&mut self, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) {
        // An infinite loss times 0 would be no number.
        if let Some(weights) = weights.filter(|weights| weights.contains(&0.0)) {
            let kept = || (0..labels.len()).filter(|&row| weights[row] > 0.0);
            let of_row = self.scores.len();
            let labels: Vec<u32> = kept().map(|row| labels[row]).collect();
            let scores: Vec<f64> = kept().flat_map(|row| &scores[row * of_row..][..of_row]).copied().collect();
            let weights: Vec<f64> = kept().map(|row| weights[row]).collect();
            return self.take(&labels, &scores, Some(&weights));
        }
        let weights = weights.filter(|weights| weights.iter().any(|&weight| weight != 1.0));
        // Two classes have a logistic loss of one margin, which runs in vector registers.
        match self.decision {
            Decision::Threshold(threshold) => self.take_two(threshold, labels, scores, weights),
            Decision::Likeliest(classes) => self.take_several(classes, labels, scores, weights),
        }
    }

    /// Rows of positive weight with the score of the positive class.
    #[expect(clippy::float_cmp, reason = "a label is exactly 0 or 1")]
    fn take_two(&mut self, threshold: f64, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) {
        let rows = labels.len();
        let mut is_positive = [0.0; BATCH];
        is_positive.iter_mut().zip(labels).for_each(|(label, class)| *label = f64::from(*class));
        let is_positive = &is_positive[..rows];
        let OneAgainstRest { cells, ranking } = &mut self.scores[0];
        ranking.add(is_positive, scores, weights);
        // What is the same for every row runs in vector registers; what depends on where a row belongs comes after.
        let (mut losses, mut squares, mut probabilities) = ([0.0; BATCH], [0.0; BATCH], [0.0; BATCH]);
        let made = losses.iter_mut().zip(&mut squares).zip(&mut probabilities);
        let given = scores.iter().zip(is_positive);
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
        let classes = || labels.iter().map(|&label| label as usize);
        let sides = probabilities.iter().map(|&probability| usize::from(probability >= threshold));
        match weights {
            None => {
                let mut counts = [0_u32; 4];
                classes().zip(sides).for_each(|(class, side)| counts[2 * class + side] += 1);
                self.confusion.iter_mut().zip(counts).for_each(|(sum, count)| sum.add(f64::from(count)));
            }
            Some(weights) => {
                for ((class, side), weight) in classes().zip(sides).zip(weights) {
                    self.confusion[2 * class + side].add(*weight);
                }
            }
        }
        for (row, (&probability, class)) in probabilities.iter().zip(classes()).enumerate() {
            cells.add(probability, class, weights.map_or(1.0, |weights| weights[row]));
        }
    }

    /// Rows of positive weight with a score for each class.
    fn take_several(&mut self, k: usize, labels: &[u32], scores: &[f64], weights: Option<&[f64]>) {
        self.scores.iter_mut().for_each(|class| class.ranking.make_room(labels.len(), weights.is_some()));
        let mut row_of = Row::new(k);
        for (row, (&label, scores)) in labels.iter().zip(scores.chunks_exact(k)).enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            let label = label as usize;
            match self.scale {
                Scale::Margin => row_of.set_margins(scores, label),
                Scale::Probability => row_of.set_probabilities(scores, label),
            }
            self.loss.add(weight * row_of.loss);
            self.brier.add(weight * row_of.brier);
            self.confusion[label * k + row_of.predicted].add(weight);
            let values = row_of.probabilities.iter().zip(&row_of.scores);
            for (i, (class, (&probability, &score))) in self.scores.iter_mut().zip(values).enumerate() {
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
        if self.decision != other.decision {
            return Err(different("thresholds or classes"));
        }
        if self.scores[0].cells.len() != other.scores[0].cells.len() {
            return Err(different("bins of calibration"));
        }
        self.rows += other.rows;
        self.loss.merge(other.loss);
        self.brier.merge(other.brier);
        self.confusion.iter_mut().zip(other.confusion).for_each(|(mine, other)| mine.merge(other));
        for (mine, other) in self.scores.iter_mut().zip(other.scores) {
            mine.cells.merge(&other.cells);
            mine.ranking.merge(other.ranking);
        }
        Ok(())
    }

    /// The figures. Without rows, or if all have weight 0, an error of the data.
    pub fn finish(self) -> Result<Metrics> {
        let k = self.classes();
        let confusion: Vec<Vec<f64>> =
            self.confusion.chunks_exact(k).map(|row| row.iter().map(|sum| sum.value()).collect()).collect();
        let at_threshold = match self.decision {
            Decision::Threshold(threshold) => {
                Some(Confusion::new(threshold, [0, 1].map(|class: usize| [confusion[class][0], confusion[class][1]])))
            }
            Decision::Likeliest(_) => None,
        };
        // Four cells are added as they are, many in two f64.
        let total = |cells: &mut dyn Iterator<Item = Sum>| match at_threshold {
            Some(_) => cells.map(Sum::value).sum::<f64>(),
            None => cells
                .fold(Sum::default(), |mut total, cell| {
                    total.merge(cell);
                    total
                })
                .value(),
        };
        let by_class: Vec<f64> = self.confusion.chunks_exact(k).map(|row| total(&mut row.iter().copied())).collect();
        let weights = match at_threshold {
            Some(_) => by_class.iter().sum(),
            None => total(&mut self.confusion.iter().copied()),
        };
        check_total(weights, self.rows)?;
        let right = total(&mut self.confusion.iter().step_by(k + 1).copied());
        let log_loss = self.loss.value() / weights;
        let base_log_loss = base_log_loss(by_class.iter().map(|class| class / weights));
        let probability = match self.scale {
            Scale::Margin => sigmoid,
            Scale::Probability => std::convert::identity,
        };
        let first = k - self.scores.len();
        let figures = (first..).zip(self.scores).map(|(i, OneAgainstRest { cells, ranking })| {
            let rest = by_class.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, weight)| weight).sum();
            let ranked = ranking.finish([rest, by_class[i]], probability, self.points);
            let (auc, average_precision, lift, curve) = ranked.map_or_else(Default::default, |ranked| {
                (Some(ranked.auc), Some(ranked.average_precision), ranked.lift, ranked.curve)
            });
            let (weight, prevalence, calibration) = (by_class[i], by_class[i] / weights, cells.finish());
            ClassFigures { weight, prevalence, auc, average_precision, calibration, lift, curve }
        });
        let classes: Vec<ClassFigures> = figures.collect();
        Ok(Metrics {
            rows: self.rows,
            weights,
            log_loss,
            base_log_loss,
            skill: skill(log_loss, base_log_loss),
            brier: self.brier.value() / weights,
            accuracy: right / weights,
            auc: mean(&classes, |class| class.auc),
            average_precision: mean(&classes, |class| class.average_precision),
            confusion,
            at_threshold,
            classes,
        })
    }
}

/// The mean of a figure over the classes; `None` if one of them has none.
fn mean(classes: &[ClassFigures], figure: fn(&ClassFigures) -> Option<Bounded>) -> Option<Bounded> {
    let figures: Vec<Bounded> = classes.iter().map(figure).collect::<Option<_>>()?;
    let mean = |part: fn(&Bounded) -> f64| figures.iter().map(part).sum::<f64>() / figures.len() as f64;
    Some(Bounded { value: mean(|figure| figure.value), error_bound: mean(|figure| figure.error_bound) })
}
