//! How good probabilities are, in f64, from rows that come by once.
//!
//! An [`Accumulator`] takes the classes of rows with margins or probabilities, of two classes one for a row, else one for
//! each class; rows may have weights. One of them in every thread, merged at the end in any order, gives what one alone
//! would: sums are kept in two f64, and whether scores are kept or go into bins depends on the rows alone ([`Limit`]).
//!
//! Definitions, where there are several, are those of scikit-learn; with weights, counts are sums of weights. A margin
//! is more than its probability: 40 and 41 both have probability 1 in f64, but margins keep their order, and their
//! losses their digits. From probabilities, 0 or 1 on the wrong side is an infinite loss; nothing is clipped.
//!
//! Figures that are not defined are `None`, so that JSON has `null` for them, as it has for an infinite loss.

mod accumulator;
mod bins;
mod calibration;
mod figures;
mod ranking;
mod ranks;
mod row;
mod sweep;

pub use accumulator::{Accumulator, Decision};
pub use calibration::{Calibration, CalibrationBin};
pub use figures::{ClassFigures, Confusion, Metrics, confusions};
pub use ranking::{Limit, auc};
pub use sweep::{Bounded, CurvePoint, LiftRow};

use crate::error::{Error, Result};

/// What a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// `w.x + b`; for K classes up to a constant of the row.
    Margin,
    /// Of the class, in 0..=1.
    Probability,
}

/// Rows that go from stage to stage together.
const BATCH: usize = 1024;

/// Every weight is a finite number >= 0, and there are as many as rows.
fn check_weights(weights: Option<&[f64]>, rows: usize) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.len() != rows {
        return Err(Error::internal(format!("{} weights for {rows} rows", weights.len())));
    }
    match weights.iter().position(|weight| !(0.0..f64::INFINITY).contains(weight)) {
        None => Ok(()),
        Some(row) => Err(Error::data(
            format!("the weight of a row is {} (row {row} of {rows} handed over together)", weights[row]),
            "Weights must be finite numbers of 0 or more; remove the row, or give it weight 0.",
        )),
    }
}

/// Something can be divided by the sum of the weights.
fn check_total(weights: f64, rows: u64) -> Result<()> {
    let way_out = "Check the filter or the split that selects the rows, and the column of weights.";
    if rows == 0 {
        Err(Error::data("there are no rows to measure on", way_out))
    } else if weights == 0.0 {
        Err(Error::data(format!("the weights of all {rows} rows are 0"), way_out))
    } else if weights.is_infinite() {
        Err(Error::data(
            format!("the sum of the weights of {rows} rows is beyond {:e}", f64::MAX),
            "Divide all weights by the same number; only their ratios count.",
        ))
    } else {
        Ok(())
    }
}

fn different(what: &str) -> Error {
    Error::internal(format!("metrics with different {what} were merged"))
}

/// Mean loss of the best probabilities that are the same for every row: the entropy of the shares of the classes.
fn base_log_loss(shares: impl Iterator<Item = f64>) -> f64 {
    shares.filter(|&share| share > 0.0).map(|share| -share * share.ln()).sum::<f64>().max(0.0)
}

/// `1 - loss / base` (`McFadden`, 1974); `None` if a single class makes the base 0.
fn skill(loss: f64, base: f64) -> Option<f64> {
    (base > 0.0).then(|| 1.0 - loss / base)
}

/// `None` where the whole is 0.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
