//! What one column does where all others are at their means.

use maud::{Markup, html};

use super::axis::{Axis, at_means};
use super::curves::rows;
use super::svg::{Frame, LABEL_WIDTH, Scale, figure};
use super::text::{percent, shortened};
use crate::logistic::sigmoid;
use crate::model::Model;

const HEIGHT: f64 = 220.0;

pub(super) fn effect(model: &Model, axis: &Axis<'_>) -> Markup {
    let feature = axis.feature;
    let at_means = at_means(model)[0];
    let probability = |x: f64| sigmoid(at_means + feature.coefficients[0] * (x - feature.mean));
    let ends = [axis.low, axis.high].map(probability);
    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    // Rare classes get a scale of their own.
    let y = if high > 0.4 { Scale::linear(0.0, 1.0) } else { Scale::linear(0.0, high).nice(4) };
    let frame = Frame::new(Scale::linear(axis.low, axis.high), y, HEIGHT, &axis.label(LABEL_WIDTH), "probability");
    let marks = html! {
        (rows(&frame, axis, 40.0))
        (frame.line((0..=60).map(|k| axis.low + (axis.high - axis.low) * f64::from(k) / 60.0).map(|x| (x, probability(x))), if feature.coefficients[0] < 0.0 { "curve b" } else { "curve a" }))
    };
    let caption = html! {
        "From " (percent(ends[0])) " to " (percent(ends[1]))
        @if high - low < 0.005 { ", hardly a change," }
        " from end to end of almost all rows."
    };
    figure(&shortened(&feature.name, 60), &frame.picture("Probability over the column", &marks), &caption)
}
