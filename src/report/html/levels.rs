//! The probabilities at each level of a category.

use maud::{Markup, html};

use super::axis::{at_means, of_weighted, probabilities};
use super::marks::Marks;
use super::svg::{Scale, strip_axis};
use super::text::{count, counted, fixed, level_name, name};
use crate::logistic::sigmoid;
use crate::model::{CategoryInfo, FeatureInfo, Model};
use crate::profile::{ColumnProfile, Cut};

/// Levels of a category that are drawn, those with most rows.
const LEVELS: usize = 14;

/// Where a share of a picture's breadth lies, in percent of it, with an edge on either side if there is one.
fn place(share: f64, edge: f64) -> f64 {
    let place = (100.0 - 2.0 * edge) * share.clamp(0.0, 1.0);
    if edge > 0.0 { edge + place } else { place }
}

/// Where all other columns are at their means: of two classes a dot on a scale, of several a bar that they share.
pub(super) fn levels(
    model: &Model,
    info: &CategoryInfo,
    levels: &[FeatureInfo],
    column: &ColumnProfile,
    marks: &Marks,
) -> Markup {
    let Cut::Levels(places, not_counted) = &column.cut else { return html! {} };
    let rows = column.rows();
    let total = |index: usize| rows[index].iter().sum::<u64>();
    let mut shown: Vec<usize> = (0..places.len()).collect();
    shown.sort_by_key(|&index| std::cmp::Reverse(total(index)));
    shown.truncate(LEVELS);
    shown.sort_unstable();
    let left_out = not_counted + places.len() - shown.len();
    let base: Vec<f64> = at_means(model)
        .into_iter()
        .enumerate()
        .map(|(margin, z)| z - levels.iter().map(|level| level.coefficients[margin] * level.mean).sum::<f64>())
        .collect();
    let adds = |index: usize, margin: usize| {
        places[index].checked_sub(1).map_or(0.0, |level| levels[level].coefficients[margin])
    };
    let is_binary = model.softmax().is_none();
    let is_alone = is_binary && model.columns().count() == 1;
    let probability = |index: usize| sigmoid(base[0] + adds(index, 0));
    let observed = |index: usize| {
        let is_there = is_alone && total(index) > 0;
        is_there.then(|| rows[index][1] as f64 / total(index) as f64)
    };
    let drawn = shown.iter().flat_map(|&index| [Some(probability(index)), observed(index)]).flatten();
    let highest = if is_binary { drawn.fold(0.0, f64::max) } else { 1.0 };
    let scale = if highest > 0.4 { Scale::linear(0.0, 1.0) } else { Scale::linear(0.0, highest).nice(4) };
    // A dot has a breadth, a bar goes from end to end.
    let edge = if is_binary { 3.0 } else { 0.0 };
    let [low, high] = scale.ends();
    let at = |p: f64| format!("{:.2}%", place((p - low) / (high - low), edge));
    let dot = |index: usize| {
        let p = probability(index);
        let drawn = html! {
            line class="grid" x1="3%" x2="97%" y1="13" y2="13" {}
            @if let Some(observed) = observed(index) { circle class="ring" cx=(at(observed)) cy="13" r="6.5" {} }
            circle class="dot a" cx=(at(p)) cy="13" r="5" { title { (count(total(index) as f64)) " rows" } }
        };
        (format!(": {}", fixed(p, 3)), drawn, fixed(p, 3))
    };
    let bar = |index: usize| {
        let of_slots = probabilities(base.iter().enumerate().map(|(margin, z)| z + adds(index, margin)), marks);
        let about = |(slot, p): (usize, &f64)| format!(", {} {}", marks.name_of_slot(slot, 20), fixed(*p, 3));
        let drawn = html! {
            @for (slot, p) in of_slots.iter().enumerate() {
                @let from = of_slots[..slot].iter().sum::<f64>();
                rect class={ "share " (marks.colour(slot)) } x=(at(from)) width=(at(*p)) y="4" height="18" style="stroke:var(--paper);stroke-width:1" {
                    title { (marks.name_of_slot(slot, 60)) ": " (fixed(*p, 4)) ", of " (counted(total(index), "row")) " there" }
                }
                @if *p > 0.07 {
                    svg x=(at(from + 0.5 * p)) y="13" { path class="inside" d={ "M0 0" (marks.shape(slot)) } {} }
                }
            }
        };
        (of_slots.iter().enumerate().map(about).collect(), drawn, count(total(index) as f64))
    };
    html! {
        figure {
            h3 { (name(&info.column)) }
            table class="forest" {
                @for index in shown.iter().copied() {
                    @let name = level_name(&info.name_of(places[index]), &info.column, 60);
                    @let (about, drawn, beside) = if is_binary { dot(index) } else { bar(index) };
                    tr {
                        th scope="row" { (name) }
                        td { svg class="strip" height="26" role="img" aria-label={ (name) (about) } { (drawn) } }
                        td { (beside) }
                    }
                }
                @let beside = if is_binary { html! { td {} } } else { html! { td class="soft" { "rows" } } };
                (strip_axis(edge, scale.ticks(2), at, "probability", &beside))
            }
            figcaption {
                @if is_binary { "The probability at each level" @if is_alone { "; the ring is what was observed" } "." }
                @else { "The probabilities at each level, one class behind the other." }
                @if is_alone { (of_weighted(model)) }
                @if left_out > 0 {
                    @if is_binary { " Those of the " } @else { " The " }
                    (counted(shown.len() as u64, "level")) " with most rows; " (counted(left_out as u64, "other")) (if left_out == 1 { " is" } else { " are" }) " not drawn."
                }
            }
        }
    }
}
