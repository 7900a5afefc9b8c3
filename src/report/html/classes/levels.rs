//! The probabilities of the classes at each level of a category.

use maud::{Markup, html};

use super::super::svg::Scale;
use super::super::text::{count, counted, fixed, name, shortened};
use super::axis::{at_means, probabilities};
use super::marks::Marks;
use crate::model::{CategoryInfo, FeatureInfo, Model};
use crate::sketch::classes::{ColumnSketch, Cut};

/// Where all other columns are at their means.
pub(super) fn levels(
    model: &Model,
    info: &CategoryInfo,
    levels: &[FeatureInfo],
    column: &ColumnSketch,
    marks: &Marks,
) -> Markup {
    let Cut::Levels(shown, left_out) = &column.cut else { return html! {} };
    let base: Vec<f64> = at_means(model)
        .into_iter()
        .enumerate()
        .map(|(class, z)| z - levels.iter().map(|level| level.coefficients[class] * level.mean).sum::<f64>())
        .collect();
    let of_level = |level: usize| {
        let adds = |class: usize| level.checked_sub(1).map_or(0.0, |place| levels[place].coefficients[class]);
        probabilities(base.iter().enumerate().map(|(class, z)| z + adds(class)), marks)
    };
    let prefix = format!("{}=", info.column);
    let name_of = |level: usize| {
        let whole = info.name_of(level);
        let text = whole.strip_prefix(&prefix).unwrap_or(&whole);
        if text.is_empty() { "(empty)".to_owned() } else { shortened(text, 60) }
    };
    let rows =
        |index: usize| column.counts.chunks_exact(marks.apart.slots()).nth(index).map_or(0, |rows| rows.iter().sum());
    let scale = Scale::linear(0.0, 1.0);
    html! {
        figure {
            h3 { (name(&info.column)) }
            table class="forest" {
                @for (index, &level) in shown.iter().enumerate() {
                    @let of_slots = of_level(level);
                    tr {
                        th scope="row" { (name_of(level)) }
                        td {
                            svg class="strip" height="26" role="img" aria-label={ (name_of(level)) @for (slot, p) in of_slots.iter().enumerate() { ", " (marks.name_of_slot(slot, 20)) " " (fixed(*p, 3)) } } {
                                @for (slot, p) in of_slots.iter().enumerate() {
                                    @let from = of_slots[..slot].iter().sum::<f64>();
                                    rect class={ "share " (marks.colour(slot)) } x=(percent(from)) width=(percent(*p)) y="4" height="18" style="stroke:var(--paper);stroke-width:1" {
                                        title { (marks.name_of_slot(slot, 60)) ": " (fixed(*p, 4)) ", of " (counted(rows(index), "row")) " there" }
                                    }
                                    @if *p > 0.07 {
                                        svg x=(percent(from + 0.5 * p)) y="13" { path class="inside" d={ "M0 0" (marks.shape(slot)) } {} }
                                    }
                                }
                            }
                        }
                        td { (count(rows(index) as f64)) }
                    }
                }
                tr {
                    th {}
                    td {
                        svg class="strip" height="40" aria-hidden="true" {
                            line class="axis" x1="0%" x2="100%" y1="1" y2="1" {}
                            @for tick in scale.ticks(2) {
                                line class="axis" x1=(percent(tick.at)) x2=(percent(tick.at)) y1="1" y2="5" {}
                                text class="tick middle" x=(percent(tick.at)) y="19" { (tick.label) }
                            }
                            text class="name middle" x="50%" y="36" { "probability" }
                        }
                    }
                    td class="soft" { "rows" }
                }
            }
            figcaption {
                "The probabilities at each level, one class behind the other."
                @if *left_out > 0 { " The " (counted(shown.len() as u64, "level")) " with most rows; " (counted(*left_out as u64, "other")) (if *left_out == 1 { " is" } else { " are" }) " not drawn." }
            }
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}
