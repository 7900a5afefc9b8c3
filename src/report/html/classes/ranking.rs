//! Whether rows of a class have the higher probabilities of it: a ROC curve for each class against the rest.

use maud::{Markup, html};

use super::super::ranking::bounded;
use super::super::svg::{Frame, Scale, figure};
use super::marks::Marks;
use crate::metrics::{ClassMetrics, CurvePoint};

const HEIGHT: f64 = 360.0;

/// Marks along a curve.
const MARKS: usize = 3;

pub(super) fn roc(metrics: &ClassMetrics, marks: &Marks) -> Markup {
    let unit = Scale::linear(0.0, 1.0);
    let frame = Frame::new(unit, unit, HEIGHT, "share of the others taken for it", "share of the class that is found");
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
