//! What rows are called: by the threshold of two classes, or which of several is taken for which.

use maud::{Markup, html};

use super::marks::Marks;
use super::text::{Figure, count, percent};
use crate::metrics::{Confusion, Metrics, confusions};

/// Classes of which the whole matrix is shown.
const WHOLE: usize = 12;

/// Pairs that are shown where it is not.
const PAIRS: usize = 20;

/// How deep the colour of a cell is that has all rows of its class.
const DEEPEST: f64 = 0.55;

pub(super) fn confusion(
    metrics: &Metrics,
    at_threshold: &Confusion,
    [negative, positive]: &[String; 2],
    is_weighted: bool,
) -> Markup {
    let Confusion { threshold, true_positives, false_positives, true_negatives, false_negatives, .. } = *at_threshold;
    let cell = |class: &str, part: &str, rows: f64| {
        html! {
            td class=(class) {
                b { (Figure::count(format!("quality/confusion/{part}"), rows)) }
                (percent(rows / metrics.weights))
            }
        }
    };
    let figure = |part: &str, value: Option<f64>| Figure::optional(format!("quality/confusion/{part}"), value, 4);
    html! {
        figure {
            h3 { "At a threshold of " (threshold) }
            table class="confusion" {
                tr { th {} th scope="col" { "called " (positive) } th scope="col" { "called " (negative) } }
                tr {
                    th scope="row" { "is " (positive) }
                    (cell("right", "true_positives", true_positives))
                    (cell("wrong", "false_negatives", false_negatives))
                }
                tr {
                    th scope="row" { "is " (negative) }
                    (cell("wrong", "false_positives", false_positives))
                    (cell("right", "true_negatives", true_negatives))
                }
            }
            figcaption {
                @if is_weighted { "What the rows weigh: blue" } @else { "Blue" }
                " is right, orange is wrong. Precision " (figure("precision", at_threshold.precision))
                ", recall " (figure("recall", at_threshold.recall))
                ", specificity " (figure("specificity", at_threshold.specificity))
                ", F1 " (figure("f1", at_threshold.f1))
                ", accuracy " (Figure::fixed("quality/accuracy", metrics.accuracy, 4)) "."
            }
        }
    }
}

pub(super) fn confusion_of_classes(metrics: &Metrics, marks: &Marks) -> Markup {
    html! {
        h3 class="block" { "What is taken for what" }
        @if metrics.confusion.len() <= WHOLE { (matrix(metrics, marks)) } @else { (pairs(metrics, marks)) }
    }
}

fn matrix(metrics: &Metrics, marks: &Marks) -> Markup {
    let classes = 0..metrics.confusion.len();
    html! {
        div class="wide" tabindex="0" {
            table class="heat" {
                tr {
                    th { "is ↓, likeliest →" }
                    @for class in classes.clone() { th scope="col" { (marks.named(class, 16)) } }
                }
                @for (is, row) in metrics.confusion.iter().enumerate() {
                    @let total: f64 = row.iter().sum();
                    tr {
                        th scope="row" { (marks.named(is, 30)) }
                        @for (likeliest, &weight) in row.iter().enumerate() {
                            @let share = if total > 0.0 { weight / total } else { 0.0 };
                            td class=(if is == likeliest { "right" } else { "wrong" }) {
                                i style={ "opacity:" (format!("{:.3}", DEEPEST * share.sqrt())) } {}
                                (Figure::count(format!("quality/confusion/{is}/{likeliest}"), weight))
                                small { @if weight > 0.0 { (percent(share)) } @else { "\u{a0}" } }
                            }
                        }
                    }
                }
            }
        }
        p class="soft" { "Rows are the classes that rows are of, columns those of the highest probability; below each count its share of the row. Blue is right, orange is wrong, the deeper the more." }
    }
}

/// The pairs of classes that are taken for each other most.
fn pairs(metrics: &Metrics, marks: &Marks) -> Markup {
    let mut found = confusions(&metrics.confusion);
    let all = found.len();
    found.truncate(PAIRS);
    html! {
        @if found.is_empty() {
            p { "Every row is of the class with the highest probability." }
        } @else {
            div class="wide" tabindex="0" {
                table class="numbers" {
                    thead { tr { @for head in ["is", "taken for", "rows", "of its class"] { th scope="col" { (head) } } } }
                    tbody {
                        @for (is, likeliest, weight) in &found {
                            tr {
                                th scope="row" { (marks.named(*is, 40)) }
                                td { (marks.named(*likeliest, 40)) }
                                td { (Figure::count(format!("quality/confusion/{is}/{likeliest}"), *weight)) }
                                td { (percent(weight / metrics.confusion[*is].iter().sum::<f64>())) }
                            }
                        }
                    }
                }
            }
            p class="soft" { "The largest confusions, " (found.len()) " of " (count(all as f64)) "." }
        }
    }
}
