//! How good the probabilities are: the figures, each class against the rest, and what is taken for what.

use maud::{Markup, html};

use super::super::RowsFrom;
use super::super::quality::which_rows;
use super::super::ranking::bounded;
use super::super::text::{Figure, count};
use super::calibration::calibration;
use super::confusion::confusion;
use super::marks::Marks;
use super::ranking::roc;
use super::{ClassPage, ClassQuality};
use crate::model::Model;
use crate::sketch::classes::Apart;

/// Classes that the table shows.
const LISTED: usize = 40;

pub(super) fn section(page: &ClassPage<'_>, quality: &ClassQuality<'_>, marks: &Marks) -> Markup {
    let metrics = quality.metrics;
    html! {
        section id="quality" {
            h2 {
                "Quality"
                @if quality.rows == RowsFrom::Training { " " span class="badge" { "in-sample" } }
            }
            (which_rows(&page.model.training, &quality.rows, quality.left_out, quality.weight))
            dl {
                dt { "Rows" }
                dd { (Figure::count("quality/rows", metrics.rows as f64)) }
                dt { "Log loss" }
                dd {
                    (Figure::new("quality/log_loss", metrics.log_loss, 5))
                    "; the shares of the classes alone give " (Figure::new("quality/base_log_loss", metrics.base_log_loss, 5))
                    @if metrics.skill.is_some() { ", so the skill is " (Figure::optional("quality/skill", metrics.skill, 4)) }
                }
                dt { "Accuracy" }
                dd { (Figure::fixed("quality/accuracy", metrics.accuracy, 4)) ", the share of rows in whose class the probability is highest" }
                dt { "Brier score" }
                dd { (Figure::new("quality/brier", metrics.brier, 4)) ", the mean over the rows of the squared errors of all probabilities, from 0 to 2" }
                @if metrics.macro_auc.is_some() {
                    dt { "Macro AUC" }
                    dd { (bounded("quality/macro_auc", metrics.macro_auc)) ", the mean of the classes’ own, each against the rest; macro average precision " (bounded("quality/macro_average_precision", metrics.macro_average_precision)) }
                }
            }
            (confusion(metrics, marks))
            (each_against_the_rest(page.model, quality, marks))
            div class="figures single block" { (roc(metrics, marks)) }
            (calibration(metrics, marks))
        }
    }
}

/// A line for each class, those with most rows if there are many.
fn each_against_the_rest(model: &Model, quality: &ClassQuality<'_>, marks: &Marks) -> Markup {
    let metrics = quality.metrics;
    let shown = Apart::largest(model, LISTED);
    let more = metrics.classes.len() - shown.len();
    let head = if quality.weight.is_some() { "weight" } else { "rows" };
    html! {
        h3 class="block" { "Each class against the rest" }
        div class="wide" tabindex="0" {
            table class="numbers" {
                thead { tr { @for head in ["class", head, "prevalence", "AUC", "avg. precision", "calibration error"] { th scope="col" { (head) } } } }
                tbody {
                    @for class in shown {
                        @let figures = &metrics.classes[class];
                        @let place = format!("quality/classes/{class}");
                        tr {
                            th scope="row" { (marks.named(class, 60)) }
                            td { (Figure::count(format!("{place}/weight"), figures.weight)) }
                            td { (Figure::fixed(format!("{place}/prevalence"), figures.prevalence, 4)) }
                            @for (name, figure) in [("auc", figures.auc), ("average_precision", figures.average_precision)] {
                                td { @if figure.is_some() { (bounded(&format!("{place}/{name}"), figure)) } @else { "–" } }
                            }
                            td { (Figure::fixed(format!("{place}/calibration/expected_error"), figures.calibration.expected_error, 4)) }
                        }
                    }
                }
            }
        }
        p class="soft" {
            "AUC: of one row of the class and one of the rest, the first has the higher probability of the class that often. Calibration error: the mean distance of predicted and observed shares."
            @if more > 0 { " These are the " (LISTED) " classes with most rows; " (count(more as f64)) " more are in the JSON of `evaluate`." }
        }
    }
}
