//! The figures, as they are used and as `evaluate --json` prints them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::calibration::Calibration;
use super::ratio;
use super::sweep::{Bounded, CurvePoint, LiftRow};

/// How good probabilities are.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Rows, those of weight 0 included.
    pub rows: u64,
    /// Sum of the weights: what counts as one row elsewhere counts by its weight here and below.
    pub weights: f64,
    /// Mean of `-ln` of the probability of what happened, in nats. Infinite if that was 0 in any row.
    pub log_loss: f64,
    /// The same if every row had the shares of the classes as its probabilities.
    pub base_log_loss: f64,
    /// `1 - log_loss / base_log_loss`, `McFadden`'s; `None` if all rows are of one class.
    pub skill: Option<f64>,
    /// Mean of `(probability - label)^2` of the positive class of two; of several classes summed over them, so from 0 to 2
    /// (Brier, 1950).
    pub brier: f64,
    /// Share of the rows that are called what they are.
    pub accuracy: f64,
    /// Mean of `auc` over [`Metrics::classes`]; `None` if one of them has none.
    pub auc: Option<Bounded>,
    /// Mean of `average_precision` over them; likewise.
    pub average_precision: Option<Bounded>,
    /// Weights, `[class][what it is called]`.
    pub confusion: Vec<Vec<f64>>,
    /// The same of two classes, with what a threshold makes of them.
    pub at_threshold: Option<Confusion>,
    /// Each class against the rest, `[K]`; of two classes the positive one alone, since the other has the same figures.
    pub classes: Vec<ClassFigures>,
}

/// One class against the rest.
#[derive(Clone, Debug, Serialize)]
pub struct ClassFigures {
    /// Weight of its rows.
    pub weight: f64,
    /// Their share.
    pub prevalence: f64,
    /// Area under the ROC curve: how often a row of the class has the higher score of it than one of the rest, ties half.
    /// `None` if all rows are of the class, or none.
    pub auc: Option<Bounded>,
    /// Sum over the thresholds of precision times growth of recall; `None` likewise.
    pub average_precision: Option<Bounded>,
    /// Predicted against observed.
    pub calibration: Calibration,
    /// Deciles by score; empty where `auc` is `None`. Of several classes the JSON has none.
    #[serde(skip)]
    pub lift: Vec<LiftRow>,
    /// Both curves, the ends exact; likewise.
    #[serde(skip)]
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

impl Confusion {
    /// From weights by class and side, the negatives and the low side first.
    pub(super) fn new(threshold: f64, weights: [[f64; 2]; 2]) -> Self {
        let [[true_negatives, false_positives], [false_negatives, true_positives]] = weights;
        Self {
            threshold,
            true_positives,
            false_positives,
            true_negatives,
            false_negatives,
            precision: ratio(true_positives, true_positives + false_positives),
            recall: ratio(true_positives, false_negatives + true_positives),
            specificity: ratio(true_negatives, true_negatives + false_positives),
            f1: ratio(2.0 * true_positives, 2.0 * true_positives + false_positives + false_negatives),
        }
    }
}

/// The pairs of classes `(is, is called, weight)` that are taken for each other, the heaviest first, from
/// [`Metrics::confusion`].
pub fn confusions(confusion: &[Vec<f64>]) -> Vec<(usize, usize, f64)> {
    let mut found: Vec<(usize, usize, f64)> = Vec::new();
    for (is, row) in confusion.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|&(called, &weight)| called != is && weight > 0.0);
        found.extend(wrong.map(|(called, &weight)| (is, called, weight)));
    }
    found.sort_by(|a, b| b.2.total_cmp(&a.2));
    found
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("weights", &self.weights)?;
        map.serialize_entry("log_loss", &self.log_loss)?;
        map.serialize_entry("base_log_loss", &self.base_log_loss)?;
        map.serialize_entry("skill", &self.skill)?;
        map.serialize_entry("brier", &self.brier)?;
        map.serialize_entry("accuracy", &self.accuracy)?;
        // The document has a place of its own for what two classes alone have, and other names for means over classes.
        if let (Some(confusion), [positive]) = (&self.at_threshold, self.classes.as_slice()) {
            map.serialize_entry("positives", &positive.weight)?;
            map.serialize_entry("prevalence", &positive.prevalence)?;
            map.serialize_entry("auc", &self.auc)?;
            map.serialize_entry("average_precision", &self.average_precision)?;
            map.serialize_entry("confusion", confusion)?;
            map.serialize_entry("calibration", &positive.calibration)?;
            map.serialize_entry("lift", &positive.lift)?;
            map.serialize_entry("curve", &positive.curve)?;
        } else {
            map.serialize_entry("macro_auc", &self.auc)?;
            map.serialize_entry("macro_average_precision", &self.average_precision)?;
            map.serialize_entry("confusion", &self.confusion)?;
            map.serialize_entry("classes", &self.classes)?;
        }
        map.end()
    }
}
