//! How good a trained model is on some rows: what the model keeps of it, and what the page of `--report` shows.

use crate::cli::RANKING_BYTES;
use crate::cli::progress::Progress;
use crate::data::Table;
use crate::error::Result;
use crate::metrics::{Accumulator, ClassAccumulator, ClassMetrics, Limit, Metrics};
use crate::model::{Model, Validation};
use crate::report;
use crate::report::html::classes::{ClassPage, ClassQuality};
use crate::report::html::{Page, Quality, RowsFrom, Step};
use crate::score::{Counts, evaluate_and_sketch, evaluate_and_sketch_classes};
use crate::sketch::Sketch;
use crate::sketch::classes::ClassSketch;

/// What a pass over some rows found.
pub(super) struct Measured {
    found: Found,
    pub(super) counts: Counts,
    rows: RowsFrom,
}

/// How good the probabilities are: of two classes, with what pictures need if a page is wanted, or of several.
enum Found {
    Two { metrics: Box<Metrics>, sketch: Option<Sketch> },
    Classes { metrics: ClassMetrics, sketch: Option<ClassSketch> },
}

impl Measured {
    /// Rows weigh what their column of weights says if the model was trained with one; weights of classes are for the
    /// training alone.
    pub(super) fn new(
        model: &Model,
        table: &Table,
        rows: RowsFrom,
        with_sketch: bool,
        monitor: &Progress,
    ) -> Result<Self> {
        let (label, weight) = (&model.label.column, model.training.weight.as_deref());
        let limit = Limit::new(RANKING_BYTES);
        let (found, counts) = if let Some(classes) = model.softmax() {
            let accumulator = ClassAccumulator::new(classes, &limit)?;
            let mut sketch = with_sketch.then(|| ClassSketch::new(model, table.rows));
            let (metrics, counts) =
                evaluate_and_sketch_classes(model, table, label, weight, accumulator, sketch.as_mut(), monitor)?;
            (Found::Classes { metrics, sketch }, counts)
        } else {
            let accumulator = Accumulator::new(0.5, limit)?;
            let mut sketch = with_sketch.then(|| Sketch::new(model, table.rows));
            let (metrics, counts) =
                evaluate_and_sketch(model, table, label, weight, accumulator, sketch.as_mut(), monitor)?;
            (Found::Two { metrics: Box::new(metrics), sketch }, counts)
        };
        Ok(Self { found, counts, rows })
    }

    /// How good the model is on the rows of its training, if these are they.
    pub(super) fn in_sample(&self) -> Option<String> {
        match &self.found {
            _ if self.rows != RowsFrom::Training => None,
            Found::Two { metrics, .. } => Some(report::in_sample(metrics)),
            Found::Classes { metrics, .. } => Some(report::in_sample_of_classes(metrics)),
        }
    }
}

/// How good the model is on rows that it has not seen.
pub(super) fn validation(Measured { found, counts, .. }: &Measured, rows_from: String) -> Validation {
    let left_out = counts.without;
    match found {
        Found::Two { metrics, .. } => Validation {
            rows_from,
            rows: metrics.rows,
            left_out,
            prevalence: Some(metrics.prevalence),
            log_loss: metrics.log_loss,
            skill: metrics.skill,
            brier: metrics.brier,
            accuracy: metrics.accuracy,
            auc: metrics.auc.map(|auc| auc.value),
            average_precision: metrics.average_precision.map(|precision| precision.value),
        },
        Found::Classes { metrics, .. } => Validation {
            rows_from,
            rows: metrics.rows,
            left_out,
            prevalence: None,
            log_loss: metrics.log_loss,
            skill: metrics.skill,
            brier: metrics.brier,
            accuracy: metrics.accuracy,
            auc: metrics.macro_auc.map(|auc| auc.value),
            average_precision: metrics.macro_average_precision.map(|precision| precision.value),
        },
    }
}

/// The page of a model, with what a pass over some rows found.
pub(super) fn page_of(model: &Model, measured: Option<&Measured>, steps: &[Step], starts_empty: bool) -> String {
    let rows =
        |measured: &Measured| (measured.rows.clone(), measured.counts.without, measured.counts.warnings().collect());
    if model.softmax().is_some() {
        let quality = measured.and_then(|measured| {
            let Found::Classes { metrics, sketch: Some(sketch) } = &measured.found else { return None };
            let (rows, left_out, warnings) = rows(measured);
            let weight = model.training.weight.as_deref();
            Some(ClassQuality { metrics, sketch, rows, weight, left_out, warnings })
        });
        return ClassPage { model, quality, steps, starts_empty }.to_html();
    }
    let quality = measured.and_then(|measured| {
        let Found::Two { metrics, sketch: Some(sketch) } = &measured.found else { return None };
        let (rows, left_out, warnings) = rows(measured);
        let weight = model.training.weight.as_deref();
        Some(Quality { metrics, sketch, rows, weight, left_out, warnings })
    });
    Page { model, quality, steps, starts_empty }.to_html()
}
