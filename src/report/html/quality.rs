//! How good the probabilities are: the figures, and a picture of each thing that they can be good at.

use maud::{Markup, html};

use super::calibration::{calibration, calibration_of_classes};
use super::confusion::{confusion, confusion_of_classes};
use super::lift::lift;
use super::marks::Marks;
use super::ranking::{bounded, precision_recall, roc, roc_of_classes};
use super::scores::scores;
use super::text::{Figure, count, counted, name};
use super::{Page, Quality, RowsFrom};
use crate::metrics::{ClassFigures, Confusion};
use crate::model::{Model, Training};
use crate::profile::{Apart, TwoClasses};

/// Classes that the table shows.
const LISTED: usize = 40;

pub(super) fn section(page: &Page<'_>, quality: &Quality<'_>, marks: &Marks) -> Markup {
    let Quality { metrics, profile, .. } = quality;
    let training = &page.model.training;
    html! {
        section id="quality" {
            h2 {
                "Quality"
                @if quality.rows == RowsFrom::Training { " " span class="badge" { "in-sample" } }
            }
            (which_rows(training, quality, page.show))
            (figures(page.model, quality))
            @if let (Some(confusion), Some(two), [of_positive]) = (&metrics.at_threshold, &profile.two, &metrics.classes[..]) {
                (pictures_of_two(page.model, quality, confusion, two, of_positive))
            } @else {
                (confusion_of_classes(metrics, marks))
                (each_against_the_rest(page.model, quality, marks))
                div class="figures single block" { (roc_of_classes(metrics, marks)) }
                (calibration_of_classes(metrics, marks))
            }
        }
    }
}

/// The figures of all rows together. Two classes have one calibration, several macro averages.
fn figures(model: &Model, quality: &Quality<'_>) -> Markup {
    let metrics = quality.metrics;
    let of_two = model.softmax().is_none().then(|| (&metrics.classes[0], name(&model.label.two()[1].to_string())));
    html! {
        dl {
            dt { "Rows" }
            dd {
                (Figure::count("quality/rows", metrics.rows as f64))
                @if let Some((of_positive, positive)) = &of_two {
                    ", share of " (positive) @if quality.weight.is_some() { " by weight" } " " (Figure::fixed("quality/prevalence", of_positive.prevalence, 4))
                }
            }
            dt { "Log loss" }
            dd {
                (Figure::new("quality/log_loss", metrics.log_loss, 5))
                @if of_two.is_some() { "; the share alone gives " } @else { "; the shares of the classes alone give " }
                (Figure::new("quality/base_log_loss", metrics.base_log_loss, 5))
                @if metrics.skill.is_some() { ", so the skill is " (Figure::optional("quality/skill", metrics.skill, 4)) }
            }
            @if of_two.is_none() {
                dt { "Accuracy" }
                dd { (Figure::fixed("quality/accuracy", metrics.accuracy, 4)) ", the share of rows in whose class the probability is highest" }
            }
            dt { "Brier score" }
            dd {
                (Figure::new("quality/brier", metrics.brier, 4))
                @if of_two.is_some() { ", the mean squared error of the probabilities" }
                @else { ", the mean over the rows of the squared errors of all probabilities, from 0 to 2" }
            }
            @if let Some((of_positive, _)) = &of_two {
                dt { "Calibration error" }
                dd { (Figure::fixed("quality/calibration/expected_error", of_positive.calibration.expected_error, 4)) ", the mean distance of predicted and observed shares" }
            } @else if metrics.auc.is_some() {
                dt { "Macro AUC" }
                dd { (bounded("quality/macro_auc", metrics.auc)) ", the mean of the classes’ own, each against the rest; macro average precision " (bounded("quality/macro_average_precision", metrics.average_precision)) }
            }
        }
    }
}

fn pictures_of_two(
    model: &Model,
    quality: &Quality<'_>,
    at_threshold: &Confusion,
    two: &TwoClasses,
    of_positive: &ClassFigures,
) -> Markup {
    let classes = model.label.two().map(|class| name(&class.to_string()));
    let positive = &classes[1];
    let is_weighted = quality.weight.is_some();
    html! {
        div class="figures" {
            @if of_positive.curve.is_empty() {
                p { "All rows are of one class, so there is no ranking to look at." }
            } @else {
                (roc(of_positive, at_threshold, positive))
                (precision_recall(of_positive, at_threshold, positive))
            }
            (calibration(&of_positive.calibration, positive, is_weighted))
            (scores(two, at_threshold.threshold, &classes, positive, is_weighted))
            @if !of_positive.lift.is_empty() { (lift(&of_positive.lift, positive, is_weighted)) }
            (confusion(quality.metrics, at_threshold, &classes, is_weighted))
        }
    }
}

/// A line for each class, those with most rows if there are many.
fn each_against_the_rest(model: &Model, quality: &Quality<'_>, marks: &Marks) -> Markup {
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

/// On which rows the model was looked at, and what that means. `weight` is the column by which they are weighed.
fn which_rows(training: &Training, quality: &Quality<'_>, show: &dyn Fn(&str) -> String) -> Markup {
    let Quality { ref rows, left_out, weight, .. } = *quality;
    html! {
        p {
            @match rows {
                RowsFrom::Training => {
                    "On the rows of the training themselves, so all of this flatters the model, the more so the fewer the rows for each feature. Rows that it has not seen tell more: "
                    code class="flag" { (show("⟦split 0.2⟧")) } " or " code class="flag" { (show("⟦valid FILE⟧")) } "."
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
