//! How good the probabilities are: the figures, and a picture of each thing that they can be good at.

use maud::{Markup, html};

use super::calibration::calibration;
use super::confusion::confusion;
use super::lift::lift;
use super::ranking::{precision_recall, roc};
use super::scores::scores;
use super::text::{Figure, counted, name};
use super::{Page, Quality, RowsFrom};
use crate::model::Training;

pub(super) fn section(page: &Page<'_>, quality: &Quality<'_>) -> Markup {
    let metrics = quality.metrics;
    let positive = name(&page.model.label.two()[1].to_string());
    let training = &page.model.training;
    let is_weighted = quality.weight.is_some();
    html! {
        section id="quality" {
            h2 {
                "Quality"
                @if quality.rows == RowsFrom::Training { " " span class="badge" { "in-sample" } }
            }
            (which_rows(training, &quality.rows, quality.left_out, quality.weight))
            dl {
                dt { "Rows" }
                dd { (Figure::count("quality/rows", metrics.rows as f64)) ", share of " (positive) @if is_weighted { " by weight" } " " (Figure::fixed("quality/prevalence", metrics.prevalence, 4)) }
                dt { "Log loss" }
                dd {
                    (Figure::new("quality/log_loss", metrics.log_loss, 5))
                    "; the share alone gives " (Figure::new("quality/base_log_loss", metrics.base_log_loss, 5))
                    @if metrics.skill.is_some() { ", so the skill is " (Figure::optional("quality/skill", metrics.skill, 4)) }
                }
                dt { "Brier score" }
                dd { (Figure::new("quality/brier", metrics.brier, 4)) ", the mean squared error of the probabilities" }
                dt { "Calibration error" }
                dd { (Figure::fixed("quality/calibration/expected_error", metrics.calibration.expected_error, 4)) ", the mean distance of predicted and observed shares" }
            }
            div class="figures" {
                @if metrics.curve.is_empty() {
                    p { "All rows are of one class, so there is no ranking to look at." }
                } @else {
                    (roc(metrics, &positive))
                    (precision_recall(metrics, &positive))
                }
                (calibration(&metrics.calibration, &positive, is_weighted))
                (scores(quality.sketch, metrics.confusion.threshold, &page.model.label.two().map(|class| name(&class.to_string())), &positive, is_weighted))
                @if !metrics.lift.is_empty() { (lift(metrics, &positive, is_weighted)) }
                (confusion(metrics, &page.model.label, is_weighted))
            }
        }
    }
}

/// On which rows the model was looked at, and what that means. `weight` is the column by which they are weighed.
pub(super) fn which_rows(training: &Training, rows: &RowsFrom, left_out: u64, weight: Option<&str>) -> Markup {
    html! {
        p {
            @match rows {
                RowsFrom::Training => {
                    "On the rows of the training themselves, so all of this flatters the model, the more so the fewer the rows for each feature. Rows that it has not seen tell more: "
                    code class="flag" { "--split 0.2" } " or " code class="flag" { "--valid FILE" } "."
                }
                RowsFrom::Validation(from) => { "On rows that the training did not see (" (name(from)) ")." }
                RowsFrom::Evaluated(files) => { "On " (name(files)) "." }
            }
            @if left_out > 0 {
                " " (counted(left_out, "row")) " left out, since the label or a value is missing there."
            }
            @if let Some(weight) = weight {
                " A row counts by its weight (" (name(weight)) "), but once where rows are counted and in the scores by class."
                @if training.class_weight.is_some() { " Weights of the classes are for the training alone." }
            } @else if training.weight.is_some() || training.class_weight.is_some() {
                " Every row counts once here, whatever its weight in training."
            }
        }
    }
}
