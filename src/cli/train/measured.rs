//! How good a trained model is on some rows: what the model keeps of it, and what the page of `--report` shows.

use crate::cli::progress::Progress;
use crate::cli::{quality, with_flags};
use gpu_logreg::data::Table;
use gpu_logreg::error::Result;
use gpu_logreg::metrics::{Accumulator, Decision, Limit};
use gpu_logreg::model::{Model, Validation};
use gpu_logreg::report;
use gpu_logreg::report::html::{Page, RowsFrom, Step};
use gpu_logreg::score::{Evaluation, decision, evaluate};

/// What a pass over some rows found.
pub(super) struct Measured {
    pub(super) found: Evaluation,
    rows: RowsFrom,
}

impl Measured {
    /// Rows weigh what their column of weights says if the model was trained with one; weights of classes are for the
    /// training alone.
    pub(super) fn new(
        model: &Model,
        table: &Table,
        rows: RowsFrom,
        with_profile: bool,
        monitor: &Progress,
    ) -> Result<Self> {
        let (label, weight) = (&model.label.column, model.training.weight.as_deref());
        let accumulator = Accumulator::new(decision(model, Decision::Threshold(0.5)), Limit::default())?;
        Ok(Self { found: evaluate(model, table, label, weight, accumulator, with_profile, monitor)?, rows })
    }

    /// How good the model is on the rows of its training, if these are they.
    pub(super) fn in_sample(&self) -> Option<String> {
        (self.rows == RowsFrom::Training).then(|| report::in_sample(&self.found.metrics))
    }
}

/// How good the model is on rows that it has not seen.
pub(super) fn validation(Measured { found, .. }: &Measured, rows_from: String) -> Validation {
    let Evaluation { metrics, counts, .. } = found;
    Validation {
        rows_from,
        rows: metrics.rows,
        left_out: counts.without,
        prevalence: metrics.at_threshold.map(|_| metrics.classes[0].prevalence),
        log_loss: metrics.log_loss,
        skill: metrics.skill,
        brier: metrics.brier,
        accuracy: metrics.accuracy,
        auc: metrics.auc.map(|auc| auc.value),
        average_precision: metrics.average_precision.map(|precision| precision.value),
    }
}

/// The page of a model, with what a pass over some rows found.
pub(super) fn page_of(model: &Model, measured: Option<&Measured>, steps: &[Step], starts_empty: bool) -> String {
    let weight = model.training.weight.as_deref();
    let quality = measured.and_then(|Measured { found, rows }| quality(found, rows.clone(), weight));
    Page { model, quality, steps, starts_empty, show: &with_flags }.to_html()
}
