//! What the model says over its columns: curves, where classes border on each other, or the effect of each important column.

use maud::{Markup, html};

use super::Quality;
use super::axis::Axis;
use super::boundary::boundary;
use super::curve::curve;
use super::curves::{curves, effect_of_classes};
use super::effects::effect;
use super::levels::levels;
use super::marks::Marks;
use super::regions::regions;
use super::surface::surface;
use super::text::{counted, name};
use crate::model::{Model, ModelColumn};
use crate::profile::ColumnProfile;

/// Two classes have one probability to be drawn, and a boundary; several each their own, told apart by `marks`.
pub(super) fn section(model: &Model, quality: &Quality<'_>, marks: &Marks) -> Markup {
    let profile = quality.profile;
    let is_binary = model.softmax().is_none();
    let columns: Vec<ModelColumn<'_>> = model.columns().collect();
    let axis = |column: &ColumnProfile, most: usize| match columns[column.column] {
        ModelColumn::Feature(feature) => Axis::new(feature, column, most),
        ModelColumn::Category(..) => None,
    };
    // Numbers alone make a plane; with an offset rows with the same numbers differ.
    let plain = model.offsets.is_empty() && profile.columns.len() == columns.len();
    let pictures = match &profile.columns[..] {
        [column] if plain && let Some(axis) = axis(column, 20) => html! {
            div class="figures single" {
                @if is_binary { (curve(model, &axis, profile)) } @else { (curves(model, &axis, marks)) }
            }
        },
        [first, second] if plain && let (Some(x), Some(y)) = (axis(first, 40), axis(second, 40)) => html! {
            @if is_binary {
                div class="figures" { (boundary(model, &x, &y, profile)) (surface(model, &x, &y)) }
            } @else {
                div class="figures single" { (regions(model, &x, &y, profile, marks)) }
            }
        },
        shown => {
            let others = columns.len() - shown.len();
            html! {
                p {
                    @if is_binary { "The probability of " (name(&model.label.two()[1].to_string())) }
                    @else { "The probabilities of the classes" }
                    @if columns.len() == 1 { " over the one column" } @else { " over each column, where all others are at their means" }
                    @if !model.offsets.is_empty() { " and the offset is 0" }
                    "; grey is where the rows are."
                    @if others > 0 {
                        " The " (counted(shown.len() as u64, "column"))
                        @if is_binary { " that move the log odds most; " } @else { " that move the classes apart most; " }
                        (counted(others as u64, "other")) (if others == 1 { " is" } else { " are" }) " not drawn."
                    }
                }
                @if !is_binary { (marks.legend()) }
                div class="figures" {
                    @for column in shown {
                        @match columns[column.column] {
                            ModelColumn::Category(info, of_category) => (levels(model, info, of_category, column, marks)),
                            ModelColumn::Feature(_) => @if let Some(axis) = axis(column, 40) {
                                @if is_binary { (effect(model, &axis)) } @else { (effect_of_classes(model, &axis, marks)) }
                            },
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
