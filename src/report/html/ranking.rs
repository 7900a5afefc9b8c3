//! Whether rows of a class have the higher scores of it: the ROC curve, and precision against recall.

use maud::{Markup, html};

use super::marks::Marks;
use super::svg::{Frame, Scale, figure};
use super::text::{Figure, shortened};
use crate::metrics::{Bounded, ClassFigures, Confusion, CurvePoint, Metrics};

const HEIGHT: f64 = 300.0;
const TALL: f64 = 360.0;

/// Marks along a curve of several.
const MARKS: usize = 3;

/// With its bound, where it has one.
pub(super) fn bounded(place: &str, figure: Option<Bounded>) -> Markup {
    html! {
        @if let Some(Bounded { value, error_bound }) = figure {
            (Figure::fixed(format!("{place}/value"), value, 4))
            @if error_bound > 0.0 { " ± " (Figure::new(format!("{place}/error_bound"), error_bound, 1)) }
        }
    }
}

pub(super) fn roc(metrics: &ClassFigures, confusion: &Confusion, positive: &str) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::new(
        unit,
        unit,
        HEIGHT,
        "share of the others taken for it",
        &format!("share of {} that is found", shortened(positive, 24)),
    );
    let points = || metrics.curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate));
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

pub(super) fn precision_recall(metrics: &ClassFigures, confusion: &Confusion, positive: &str) -> Markup {
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
    let mut points: Vec<_> = metrics
        .curve
        .iter()
        .skip(1)
        .map(|point| (point.threshold, point.true_positive_rate, point.precision))
        .collect();
    points.extend(
        confusion.recall.zip(confusion.precision).map(|(recall, precision)| (confusion.threshold, recall, precision)),
    );
    points.sort_by(|a, b| b.0.total_cmp(&a.0));
    let points = points.into_iter().map(|(_, recall, precision)| (recall, precision));
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

/// A curve for each class against the rest.
pub(super) fn roc_of_classes(metrics: &Metrics, marks: &Marks) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::new(unit, unit, TALL, "share of the others taken for it", "share of the class that is found");
    let shown = || marks.apart.classes.iter().enumerate().map(|(slot, &class)| (slot, class, &metrics.classes[class]));
    let rates = |point: &CurvePoint| (point.false_positive_rate, point.true_positive_rate);
    // Where the curve crosses a falling diagonal: there curves that hug the corner are apart.
    let count = shown().count();
    let at = |curve: &[CurvePoint], place: usize, slot: usize| {
        let sum = 2.0 * ((place * count + slot) as f64 + 0.5) / (MARKS * count) as f64;
        curve.windows(2).find_map(|pair| {
            let [from, to] = [rates(&pair[0]), rates(&pair[1])];
            let (a, b) = (from.0 + from.1, to.0 + to.1);
            let share = (sum - a) / (b - a);
            (b > a && (0.0..=1.0).contains(&share))
                .then_some((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)))
        })
    };
    let drawn = html! {
        (frame.line([(0.0, 0.0), (1.0, 1.0)], "base"))
        @for (slot, _, figures) in shown() {
            (frame.line(figures.curve.iter().map(rates), &format!("curve k {}", marks.colour(slot))))
        }
        @for (slot, class, figures) in shown() {
            @for (x, y) in (0..MARKS).filter_map(|place| at(&figures.curve, place, slot)) {
                (marks.mark(slot, frame.x.at(x), frame.y.at(y), &marks.name(class, 60)))
            }
        }
    };
    let picture = html! {
        p class="legend" {
            @for (slot, class, figures) in shown() {
                span { (marks.glyph(slot)) (marks.name(class, 40)) @if figures.auc.is_some() { " " (bounded(&format!("quality/classes/{class}/auc"), figures.auc)) } }
            }
        }
        (frame.picture("ROC curves of the classes", &drawn))
    };
    let caption = html! {
        "One curve for each class against the rest, with its AUC; the dashed line is chance."
        @if marks.apart.others > 0 { " The other classes are not drawn." }
    };
    figure("ROC curves", &picture, &caption)
}
