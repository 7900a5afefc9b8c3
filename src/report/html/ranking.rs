//! Whether rows of the positive class have the higher scores: the ROC curve, and precision against recall.

use maud::{Markup, html};

use super::svg::{Frame, Scale, figure};
use super::text::{Figure, shortened};
use crate::metrics::{Bounded, Metrics};

const HEIGHT: f64 = 300.0;

/// With its bound, where it has one.
pub(super) fn bounded(place: &str, figure: Option<Bounded>) -> Markup {
    html! {
        @if let Some(Bounded { value, error_bound }) = figure {
            (Figure::fixed(format!("{place}/value"), value, 4))
            @if error_bound > 0.0 { " ± " (Figure::new(format!("{place}/error_bound"), error_bound, 1)) }
        }
    }
}

pub(super) fn roc(metrics: &Metrics, positive: &str) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::new(
        unit,
        unit,
        HEIGHT,
        "share of the others taken for it",
        &format!("share of {} that is found", shortened(positive, 24)),
    );
    let points = || metrics.curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate));
    let confusion = metrics.confusion;
    let marks = html! {
        path class="area a" style="stroke:none" d={ (frame.path(points().chain([(1.0, 0.0)]))) "Z" } {}
        (frame.line([(0.0, 0.0), (1.0, 1.0)], "base"))
        (frame.line(points(), "curve a"))
        @if let (Some(recall), Some(specificity)) = (confusion.recall, confusion.specificity) {
            (frame.dot(1.0 - specificity, recall, 4.5, "ring", &format!("at a threshold of {}", confusion.threshold)))
        }
    };
    let caption = html! {
        "AUC " b { (bounded("quality/auc", metrics.auc)) }
        ": of one row of each class, the row of " (positive) " has the higher probability that often. The ring is the threshold of "
        (confusion.threshold) ", the dashed line is chance."
    };
    figure("ROC curve", &frame.picture("ROC curve", &marks), &caption)
}

pub(super) fn precision_recall(metrics: &Metrics, positive: &str) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let positive_name = shortened(positive, 24);
    let frame = Frame::new(
        unit,
        unit,
        HEIGHT,
        &format!("recall: share of {positive_name} that is found"),
        &format!("precision: share of the found that is {positive_name}"),
    );
    // The first point is a convention: nothing was found yet. The curve has some points of all, and that of the threshold.
    let threshold = metrics.confusion;
    let mut points: Vec<_> = metrics
        .curve
        .iter()
        .skip(1)
        .map(|point| (point.threshold, point.true_positive_rate, point.precision))
        .collect();
    points.extend(
        threshold.recall.zip(threshold.precision).map(|(recall, precision)| (threshold.threshold, recall, precision)),
    );
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let points = points.into_iter().map(|(_, recall, precision)| (recall, precision));
    let confusion = metrics.confusion;
    let marks = html! {
        (frame.line([(0.0, metrics.prevalence), (1.0, metrics.prevalence)], "base"))
        (frame.line(points, "curve a"))
        @if let (Some(recall), Some(precision)) = (confusion.recall, confusion.precision) {
            (frame.dot(recall, precision, 4.5, "ring", &format!("at a threshold of {}", confusion.threshold)))
        }
    };
    let caption = html! {
        "Average precision " b { (bounded("quality/average_precision", metrics.average_precision)) }
        ": the more of the rows are found, the fewer of those found are right. Chance is the dashed line, the share of " (positive) " itself."
    };
    figure("Precision and recall", &frame.picture("Precision against recall", &marks), &caption)
}
