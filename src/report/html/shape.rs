//! What the model says over its columns: one curve, a boundary, or the effect of each important column.

use maud::{Markup, html};

use super::Quality;
use super::boundary::boundary;
use super::curve::curve;
use super::effects::{category, effect};
use super::surface::surface;
use super::text::{counted, name, shortened};
use crate::model::{FeatureInfo, Model, ModelColumn};
use crate::sketch::{ColumnRows, ColumnSketch, Counts};

/// A number over which a picture is drawn.
pub(super) struct Axis<'m> {
    pub(super) feature: &'m FeatureInfo,
    /// Where almost all of the rows are.
    pub(super) low: f64,
    pub(super) high: f64,
    /// `(from, to, rows)` between them, about as many as asked for.
    pub(super) bins: Vec<(f64, f64, Counts)>,
}

/// Rows on either side that a picture may leave out, of all.
const LEFT_OUT: f64 = 0.002;

/// The first and the last bin with almost all of the rows between them, where `beyond` lie on either side of all bins.
pub(super) fn almost_all(totals: &[u64], beyond: [u64; 2]) -> Option<(usize, usize)> {
    let limit = (LEFT_OUT * (totals.iter().sum::<u64>() + beyond[0] + beyond[1]) as f64) as u64;
    let end = |beyond: u64, mut bins: &mut dyn Iterator<Item = (usize, &u64)>| {
        let mut so_far = beyond.min(limit);
        let mut is_reached = |rows: u64| {
            so_far += rows;
            so_far > limit
        };
        Iterator::find(&mut bins, |(_, rows)| is_reached(**rows)).map(|(index, _)| index)
    };
    let first = end(beyond[0], &mut totals.iter().enumerate())?;
    let last = end(beyond[1], &mut totals.iter().enumerate().rev())?;
    (first <= last).then_some((first, last))
}

impl<'m> Axis<'m> {
    fn new(feature: &'m FeatureInfo, rows: &ColumnRows, most: usize) -> Option<Self> {
        let ColumnRows::Bins { low: start, width, counts, beyond } = rows else { return None };
        let totals: Vec<u64> = counts.iter().map(|counts| counts[0] + counts[1]).collect();
        let (first, last) = almost_all(&totals, *beyond)?;
        let together = (last + 1 - first).div_ceil(most).max(1);
        let at = |index: usize| start + width * index as f64;
        let bins = (first..=last).step_by(together).map(|index| {
            let end = (index + together).min(counts.len());
            let sum = |class: usize| counts[index..end].iter().map(|bin| bin[class]).sum();
            (at(index), at(end), [sum(0), sum(1)])
        });
        let bins: Vec<_> = bins.collect();
        Some(Self { feature, low: at(first), high: bins.last()?.1, bins })
    }

    /// The column's name for an axis.
    pub(super) fn label(&self, width: usize) -> String {
        let unit = self.feature.unit.as_ref().map_or_else(String::new, |unit| format!(", {unit}"));
        shortened(&self.feature.name, width.saturating_sub(unit.len()).max(12)) + &unit
    }
}

/// The margin where all columns are at their means.
pub(super) fn at_means(model: &Model) -> f64 {
    model.intercepts[0] + model.features.iter().map(|feature| feature.coefficients[0] * feature.mean).sum::<f64>()
}

/// What to think of observed shares beside a model that was fitted to weighted rows.
pub(super) fn of_weighted(model: &Model) -> Markup {
    let training = &model.training;
    html! {
        @if training.weight.is_some() || training.class_weight.is_some() {
            " The model was fitted to weighted rows; what was observed counts each row once, and need not agree with it."
        }
    }
}

pub(super) fn section(model: &Model, quality: &Quality<'_>) -> Markup {
    let sketch = quality.sketch;
    let columns: Vec<ModelColumn<'_>> = model.columns().collect();
    let axis = |column: &ColumnSketch, most: usize| match columns[column.column] {
        ModelColumn::Feature(feature) => Axis::new(feature, &column.rows, most),
        ModelColumn::Category(..) => None,
    };
    let positive = name(&model.label.two()[1].to_string());
    // Numbers alone make a plane; with an offset rows with the same numbers differ.
    let plain = model.offset.is_none() && sketch.columns.len() == columns.len();
    let pictures = match &sketch.columns[..] {
        [column] if plain && let Some(axis) = axis(column, 20) => {
            html! { div class="figures single" { (curve(model, &axis, sketch, &positive)) } }
        }
        [first, second] if plain && let (Some(x), Some(y)) = (axis(first, 40), axis(second, 40)) => {
            html! { div class="figures" { (boundary(model, &x, &y, sketch)) (surface(model, &x, &y)) } }
        }
        shown => {
            let others = columns.len() - shown.len();
            html! {
                p {
                    "The probability of " (positive)
                    @if columns.len() == 1 { " over the one column" } @else { " over each column, where all others are at their means" }
                    @if model.offset.is_some() { " and the offset is 0" }
                    "; grey is where the rows are."
                    @if others > 0 {
                        " The " (counted(shown.len() as u64, "column")) " that move the log odds most; "
                        (counted(others as u64, "other")) (if others == 1 { " is" } else { " are" }) " not drawn."
                    }
                }
                div class="figures" {
                    @for column in shown {
                        @match (columns[column.column], &column.rows) {
                            (ModelColumn::Category(info, levels), ColumnRows::Levels(rows)) => (category(model, info, levels, rows, columns.len() == 1)),
                            _ => @if let Some(axis) = axis(column, 40) { (effect(model, &axis)) },
                        }
                    }
                }
            }
        }
    };
    html! {
        section id="pictures" {
            h2 { "The model in pictures" }
            (pictures)
        }
    }
}
