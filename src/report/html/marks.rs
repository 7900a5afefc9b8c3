//! How a class is marked: by a colour and a shape, the same all over the page.

use maud::{Markup, html};

use super::svg::Px;
use super::text::shortened;
use crate::model::Model;
use crate::profile::Apart;

/// Shapes about a place where a path has gone: disc, square, triangle, diamond, triangle on its tip, plus, cross, bar, ring,
/// hourglass.
const SHAPES: [&str; 10] = [
    "m-3.1 0a3.1 3.1 0 1 0 6.2 0a3.1 3.1 0 1 0-6.2 0z",
    "m-2.8-2.8h5.6v5.6h-5.6z",
    "m0-3.8l3.7 6.4h-7.4z",
    "m0-4l3.5 4l-3.5 4l-3.5-4z",
    "m0 3.8l3.7-6.4h-7.4z",
    "m-1-3.6h2v2.6h2.6v2h-2.6v2.6h-2v-2.6h-2.6v-2h2.6z",
    "m-2.4-3.8l2.4 2.4l2.4-2.4l1.4 1.4l-2.4 2.4l2.4 2.4l-1.4 1.4l-2.4-2.4l-2.4 2.4l-1.4-1.4l2.4-2.4l-2.4-2.4z",
    "m-3.9-1.4h7.8v2.8h-7.8z",
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0zm1.7 0a1.8 1.8 0 1 1 3.6 0a1.8 1.8 0 1 1-3.6 0z",
    "m-3.2-3.6h6.4l-6.4 7.2h6.4z",
];

/// The shape of the others: a small disc.
const SMALL: &str = "m-1.7 0a1.7 1.7 0 1 0 3.4 0a1.7 1.7 0 1 0-3.4 0z";

const COLOURS: [&str; 10] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];

/// The classes of a page.
pub(super) struct Marks {
    /// Which are told apart.
    pub(super) apart: Apart,
    names: Vec<String>,
}

impl Marks {
    pub(super) fn new(model: &Model) -> Self {
        Self { apart: Apart::of(model), names: model.label.classes.iter().map(ToString::to_string).collect() }
    }

    /// The name of a class, of `width` characters at most.
    pub(super) fn name(&self, class: usize, width: usize) -> String {
        let name = shortened(&self.names[class], width);
        if name.is_empty() { "(empty)".into() } else { name }
    }

    /// The name of a slot.
    pub(super) fn name_of_slot(&self, slot: usize, width: usize) -> String {
        match self.apart.classes.get(slot) {
            Some(&class) => self.name(class, width),
            None => format!("{} others", self.apart.others),
        }
    }

    /// The colour of a slot, as a class of the style sheet.
    pub(super) fn colour(&self, slot: usize) -> &'static str {
        if slot < self.apart.classes.len() { COLOURS[slot] } else { "kx" }
    }

    /// The shape of a slot, for a path that is where it should be.
    pub(super) fn shape(&self, slot: usize) -> &'static str {
        if slot < self.apart.classes.len() { SHAPES[slot] } else { SMALL }
    }

    /// A mark at a place in a picture, with a text that shows under the pointer.
    pub(super) fn mark(&self, slot: usize, x: f64, y: f64, title: &str) -> Markup {
        html! {
            path class={ "mark " (self.colour(slot)) } d={ "M" (Px(x)) " " (Px(y)) (self.shape(slot)) } { title { (title) } }
        }
    }

    /// Marks of a slot at many places: one path.
    pub(super) fn marks(&self, slot: usize, places: impl Iterator<Item = (f64, f64)>) -> Markup {
        let places: Vec<(f64, f64)> = places.collect();
        html! {
            @if !places.is_empty() {
                path class={ "marks " (self.colour(slot)) } d={ @for (x, y) in places { "M" (Px(x)) " " (Px(y)) (self.shape(slot)) } } {}
            }
        }
    }

    /// A mark among words.
    pub(super) fn glyph(&self, slot: usize) -> Markup {
        html! {
            svg class="glyph" viewBox="-5 -5 10 10" aria-hidden="true" { path class={ "mark " (self.colour(slot)) } d={ "M0 0" (self.shape(slot)) } {} }
        }
    }

    /// A class with its mark, or with that of the others.
    pub(super) fn named(&self, class: usize, width: usize) -> Markup {
        html! { (self.glyph(self.apart.slot(class))) (self.name(class, width)) }
    }

    /// The slots that a picture has.
    pub(super) fn slots(&self) -> std::ops::Range<usize> {
        0..self.apart.slots()
    }

    /// What the marks stand for.
    pub(super) fn legend(&self) -> Markup {
        html! {
            p class="legend" {
                @for slot in self.slots() { span { (self.glyph(slot)) (self.name_of_slot(slot, 40)) } }
            }
        }
    }
}
