//! What the threshold makes of the rows.

use maud::{Markup, html};

use super::text::{Figure, name, percent};
use crate::metrics::{Confusion, Metrics};
use crate::model::LabelInfo;

pub(super) fn confusion(metrics: &Metrics, label: &LabelInfo, is_weighted: bool) -> Markup {
    let Confusion { threshold, true_positives, false_positives, true_negatives, false_negatives, .. } =
        metrics.confusion;
    let [negative, positive] = label.two().map(|class| name(&class.to_string()));
    let cell = |class: &str, part: &str, rows: f64| {
        html! {
            td class=(class) {
                b { (Figure::count(format!("quality/confusion/{part}"), rows)) }
                (percent(rows / metrics.weights))
            }
        }
    };
    let figure = |part: &str, value: Option<f64>| Figure::optional(format!("quality/confusion/{part}"), value, 4);
    let confusion = metrics.confusion;
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
                " is right, orange is wrong. Precision " (figure("precision", confusion.precision))
                ", recall " (figure("recall", confusion.recall))
                ", specificity " (figure("specificity", confusion.specificity))
                ", F1 " (figure("f1", confusion.f1))
                ", accuracy " (Figure::fixed("quality/accuracy", metrics.accuracy, 4)) "."
            }
        }
    }
}
