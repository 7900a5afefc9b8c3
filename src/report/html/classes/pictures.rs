//! What the model says over its columns: curves, regions, or the effect of each important column.

use maud::{Markup, html};

use super::super::text::counted;
use super::axis::Axis;
use super::curves::{curves, effect};
use super::levels::levels;
use super::marks::Marks;
use super::regions::regions;
use crate::model::{Model, ModelColumn};
use crate::sketch::classes::{ClassSketch, ColumnSketch};

pub(super) fn section(model: &Model, sketch: &ClassSketch, marks: &Marks) -> Markup {
    let columns: Vec<ModelColumn<'_>> = model.columns().collect();
    let axis = |column: &ColumnSketch, most: usize| match columns[column.column] {
        ModelColumn::Feature(feature) => Axis::new(feature, column, marks.apart.slots(), most),
        ModelColumn::Category(..) => None,
    };
    let is_whole = sketch.columns.len() == columns.len();
    let pictures = match &sketch.columns[..] {
        [column] if is_whole && let Some(axis) = axis(column, 20) => {
            html! { div class="figures single" { (curves(model, &axis, marks)) } }
        }
        [first, second] if is_whole && let (Some(x), Some(y)) = (axis(first, 40), axis(second, 40)) => {
            html! { div class="figures single" { (regions(model, &x, &y, sketch, marks)) } }
        }
        shown => {
            let others = columns.len() - shown.len();
            html! {
                p {
                    "The probabilities of the classes"
                    @if columns.len() == 1 { " over the one column" } @else { " over each column, where all others are at their means" }
                    "; grey is where the rows are."
                    @if others > 0 {
                        " The " (counted(shown.len() as u64, "column")) " that move the classes apart most; "
                        (counted(others as u64, "other")) (if others == 1 { " is" } else { " are" }) " not drawn."
                    }
                }
                (marks.legend())
                div class="figures" {
                    @for column in shown {
                        @match columns[column.column] {
                            ModelColumn::Category(info, of_category) => (levels(model, info, of_category, column, marks)),
                            ModelColumn::Feature(_) => @if let Some(axis) = axis(column, 40) { (effect(model, &axis, marks)) },
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
