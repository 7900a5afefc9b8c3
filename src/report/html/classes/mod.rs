//! The page of a model of several classes.

mod axis;
mod calibration;
mod coefficients;
mod confusion;
mod curves;
mod levels;
mod losses;
mod marks;
mod pictures;
mod quality;
mod ranking;
mod regions;
mod style;
mod summary;

use maud::{Markup, html};

use super::text::name;
use super::{RowsFrom, Step, descent, whole};
use crate::metrics::ClassMetrics;
use crate::model::Model;
use crate::sketch::classes::ClassSketch;
use marks::Marks;

/// What a page is about.
pub struct ClassPage<'p> {
    /// The model, a softmax.
    pub model: &'p Model,
    /// How good it is, if that is known.
    pub quality: Option<ClassQuality<'p>>,
    /// The iterations that led to it, if they were watched.
    pub steps: &'p [Step],
    /// They begin at the model without features.
    pub starts_empty: bool,
}

/// How good a model is on some rows.
pub struct ClassQuality<'p> {
    /// The figures.
    pub metrics: &'p ClassMetrics,
    /// The rows themselves, as far as pictures need them.
    pub sketch: &'p ClassSketch,
    /// Which rows.
    pub rows: RowsFrom,
    /// The column by which they are weighed, if they are.
    pub weight: Option<&'p str>,
    /// Rows left out for a missing value.
    pub left_out: u64,
    /// What the user should know of these rows.
    pub warnings: Vec<String>,
}

impl ClassPage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let marks = Marks::new(self.model);
        let title = format!("Classes of {}", name(&self.model.label.column));
        let parts = html! {
            (summary::summary(self, &marks))
            @if let Some(quality) = self.quality.as_ref().filter(|_| !self.model.features.is_empty()) { (pictures::section(self.model, quality.sketch, &marks)) }
            (coefficients::coefficients(self.model, &marks))
            @if let Some(quality) = &self.quality { (quality::section(self, quality, &marks)) }
            (self.cost())
        };
        whole(&title, &[super::style::SHEET, style::SHEET], &parts, &self.model.training)
    }

    /// What is minimised, and how that went.
    fn cost(&self) -> Markup {
        let training = &self.model.training;
        // What is found in closed form has no way.
        let steps = if self.model.generative.is_some() { &[] } else { self.steps };
        html! {
            @if self.quality.is_some() || !steps.is_empty() {
                section id="cost" {
                    h2 { @if steps.is_empty() { "The cost" } @else { "The cost and the way down" } }
                    div class="figures" {
                        @if let Some(quality) = &self.quality { (losses::losses(quality.sketch)) }
                        @if !steps.is_empty() {
                            div class="column" {
                                (descent::loss(steps, training.l2 > 0.0, self.starts_empty))
                                @if let Some(distance) = descent::distance(steps, training.tolerance, training.gradient_tolerance) { (distance) }
                            }
                        }
                    }
                }
            }
        }
    }
}
