//! What one column does where all others are at their means.

use maud::{Markup, html};

use super::shape::{Axis, at_means, of_weighted};
use super::svg::{Frame, LABEL_WIDTH, Px, Scale, figure};
use super::text::{count, counted, fixed, name, percent, shortened};
use crate::logistic::sigmoid;
use crate::model::{CategoryInfo, FeatureInfo, Model};
use crate::sketch::Counts;

const HEIGHT: f64 = 220.0;

/// Levels of a category that are drawn, those with most rows.
const LEVELS: usize = 14;

pub(super) fn effect(model: &Model, axis: &Axis<'_>) -> Markup {
    let feature = axis.feature;
    let probability = |x: f64| sigmoid(at_means(model) + feature.coefficients[0] * (x - feature.mean));
    let ends = [axis.low, axis.high].map(probability);
    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    // Rare classes get a scale of their own.
    let y = if high > 0.4 { Scale::linear(0.0, 1.0) } else { Scale::linear(0.0, high).nice(4) };
    let frame = Frame::new(Scale::linear(axis.low, axis.high), y, HEIGHT, &axis.label(LABEL_WIDTH), "probability");
    let most = axis.bins.iter().map(|(.., rows)| rows[0] + rows[1]).max().unwrap_or(1) as f64;
    let bottom = frame.room()[3];
    let marks = html! {
        @for (from, to, rows) in &axis.bins {
            @let height = 40.0 * (rows[0] + rows[1]) as f64 / most;
            @let [from, to] = [*from, *to].map(|x| frame.x.at(x));
            @if height > 0.0 {
                rect class="area c" style="stroke:none" x=(Px(from)) width=(Px((to - from).max(0.3))) y=(Px(bottom - height)) height=(Px(height)) {}
            }
        }
        (frame.line((0..=60).map(|k| axis.low + (axis.high - axis.low) * f64::from(k) / 60.0).map(|x| (x, probability(x))), if feature.coefficients[0] < 0.0 { "curve b" } else { "curve a" }))
    };
    let caption = html! {
        "From " (percent(ends[0])) " to " (percent(ends[1]))
        @if high - low < 0.005 { ", hardly a change," }
        " from end to end of almost all rows."
    };
    figure(&shortened(&feature.name, 60), &frame.picture("Probability over the column", &marks), &caption)
}

/// `rows` are those of each level; `is_alone` where no other column is in the model.
pub(super) fn category(
    model: &Model,
    info: &CategoryInfo,
    levels: &[FeatureInfo],
    rows: &[Counts],
    is_alone: bool,
) -> Markup {
    let average: f64 = levels.iter().map(|level| level.coefficients[0] * level.mean).sum();
    let base = at_means(model) - average;
    let coefficient = |place: usize| place.checked_sub(1).map_or(0.0, |level| levels[level].coefficients[0]);
    let total = |place: usize| rows[place][0] + rows[place][1];
    let mut shown: Vec<usize> = (0..info.levels.len()).collect();
    shown.sort_by_key(|&place| std::cmp::Reverse(total(place)));
    let left_out = shown.len().saturating_sub(LEVELS);
    shown.truncate(LEVELS);
    shown.sort_unstable();
    let prefix = format!("{}=", info.column);
    let name_of = |place: usize| {
        let whole = info.name_of(place);
        let level = whole.strip_prefix(&prefix).unwrap_or(&whole);
        if level.is_empty() { "(empty)".to_owned() } else { shortened(level, 60) }
    };
    let observed = |place: usize| (total(place) > 0).then(|| rows[place][1] as f64 / total(place) as f64);
    let highest = shown
        .iter()
        .flat_map(|&place| [Some(sigmoid(base + coefficient(place))), observed(place).filter(|_| is_alone)])
        .flatten()
        .fold(0.0, f64::max);
    let scale = if highest > 0.4 { Scale::linear(0.0, 1.0) } else { Scale::linear(0.0, highest).nice(4) };
    let [low, high] = scale.ends();
    let at = |p: f64| format!("{:.2}%", 3.0 + 94.0 * ((p - low) / (high - low)).clamp(0.0, 1.0));
    html! {
        figure {
            h3 { (name(&info.column)) }
            table class="forest" {
                @for place in shown {
                    @let p = sigmoid(base + coefficient(place));
                    tr {
                        th scope="row" { (name_of(place)) }
                        td {
                            svg class="strip" height="26" role="img" aria-label={ (name_of(place)) ": " (fixed(p, 3)) } {
                                line class="grid" x1="3%" x2="97%" y1="13" y2="13" {}
                                @if let Some(observed) = observed(place).filter(|_| is_alone) {
                                    circle class="ring" cx=(at(observed)) cy="13" r="6.5" {}
                                }
                                circle class="dot a" cx=(at(p)) cy="13" r="5" { title { (count(total(place) as f64)) " rows" } }
                            }
                        }
                        td { (fixed(p, 3)) }
                    }
                }
                tr {
                    th {}
                    td {
                        svg class="strip" height="40" aria-hidden="true" {
                            line class="axis" x1="3%" x2="97%" y1="1" y2="1" {}
                            @for tick in scale.ticks(2) {
                                line class="axis" x1=(at(tick.at)) x2=(at(tick.at)) y1="1" y2="5" {}
                                text class="tick middle" x=(at(tick.at)) y="19" { (tick.label) }
                            }
                            text class="name middle" x="50%" y="36" { "probability" }
                        }
                    }
                    td {}
                }
            }
            figcaption {
                "The probability at each level"
                @if is_alone { "; the ring is what was observed" }
                "."
                @if is_alone { (of_weighted(model)) }
                @if left_out > 0 { " Those of the " (counted(LEVELS as u64, "level")) " with most rows; " (counted(left_out as u64, "other")) (if left_out == 1 { " is" } else { " are" }) " not drawn." }
            }
        }
    }
}
