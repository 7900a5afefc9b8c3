//! A run as one page of HTML: no script, nothing from elsewhere, pictures as SVG within.
//!
//! Numbers stand in `data` elements: the text is for the reader, `value` has all digits and `data-place` says where the
//! JSON of the model (`model/training/loss`), of the metrics (`quality/auc/value`) or of a line of `--history`
//! (`history/1/search/slope`) has the same number.
//!
//! Two classes and several have one page. Where they differ it is in words, and in pictures that one of them cannot have: two
//! classes lie along a line, and several are told apart by marks.

mod axis;
mod boundary;
mod calibration;
mod coefficients;
mod confusion;
mod contours;
mod curve;
mod curves;
mod descent;
mod effects;
mod levels;
mod lift;
mod losses;
mod margins;
mod marks;
mod path;
mod pictures;
mod quality;
mod ranking;
mod regions;
mod scores;
mod search;
mod style;
mod summary;
mod surface;
mod svg;
mod text;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::metrics::Metrics;
use crate::model::{Model, Training};
use crate::objective::Probe;
use crate::profile::Profile;
use crate::solve::Iteration;
use crate::wording::command;
use marks::Marks;

/// What a page is about.
pub struct Page<'p> {
    /// The model.
    pub model: &'p Model,
    /// How good it is, if that is known.
    pub quality: Option<Quality<'p>>,
    /// The iterations that led to it, if they were watched.
    pub steps: &'p [Step],
    /// Whether they began at the model without features.
    pub starts_empty: bool,
    /// How the settings are shown that its texts carry ([`in_rust`](crate::wording::in_rust), or as flags).
    pub show: &'p dyn Fn(&str) -> String,
}

/// How good a model is on some rows.
pub struct Quality<'p> {
    /// The figures.
    pub metrics: &'p Metrics,
    /// The rows themselves, as far as pictures need them.
    pub profile: &'p Profile,
    /// Which rows.
    pub rows: RowsFrom,
    /// The column of weights by which the rows count, if they do.
    pub weight: Option<&'p str>,
    /// Rows left out for a missing value.
    pub left_out: u64,
    /// What the user should know of these rows.
    pub warnings: Vec<String>,
}

/// Where rows that a model was looked at with come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsFrom {
    /// Those of the training.
    Training,
    /// Held back or named for validation; how.
    Validation(String),
    /// Named for evaluation.
    Evaluated(String),
}

impl RowsFrom {
    /// After a figure: `AUC on 292 rows held back`.
    fn of(&self) -> &'static str {
        match self {
            Self::Training => "in-sample",
            Self::Validation(_) => "in validation",
            Self::Evaluated(_) => "on these rows",
        }
    }
}

/// An iteration of the solver; 0 is the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The objective: the mean loss, and the penalty if there is one.
    pub value: f64,
    /// The distance to the optimum in standard errors, where it is known.
    pub delta: Option<f64>,
    /// The largest component of the gradient.
    pub gradient_norm: f64,
    /// Passes over the data so far.
    pub passes: u64,
    /// Of a model of one number: its coefficient for a standard deviation, and its intercept at the mean.
    pub point: Vec<f64>,
    /// The line search that led here.
    pub search: Option<Search>,
}

impl Step {
    /// An iteration as the page has it.
    pub fn of(iteration: &Iteration<'_>) -> Self {
        let Iteration { value, delta, gradient_norm, passes, point, step: taken, search, .. } = *iteration;
        let search = search.map(|search| Search {
            value: search.value,
            slope: search.slope,
            taken,
            tried: search.tried.iter().map(|&Probe { step, value, slope, .. }| Trial { step, value, slope }).collect(),
        });
        // What nothing draws is not kept: runs may be long.
        let point = if point.len() == 2 { point.to_vec() } else { Vec::new() };
        Self { value, delta, gradient_norm, passes: passes.data, point, search }
    }
}

/// A line search: the objective along a direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The objective where the line begins.
    pub value: f64,
    /// Its slope there.
    pub slope: f64,
    /// The step that was taken.
    pub taken: f64,
    /// The steps that were tried, in their order.
    pub tried: Vec<Trial>,
}

/// A step that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The step.
    pub step: f64,
    /// The objective there.
    pub value: f64,
    /// Its slope there.
    pub slope: f64,
}

impl Page<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let label = &self.model.label;
        let marks = Marks::new(self.model);
        let (title, sheets): (_, &[&str]) = match self.model.softmax() {
            None => (text::name(&format!("{} = {}", label.column, label.two()[1])), &[style::SHEET]),
            Some(_) => (format!("Classes of {}", text::name(&label.column)), &[style::SHEET, style::SHEET_OF_CLASSES]),
        };
        let parts = html! {
            (summary::summary(self, &marks))
            @if let Some(quality) = self.quality.as_ref().filter(|_| !self.model.features.is_empty()) { (pictures::section(self.model, quality, &marks)) }
            (coefficients::coefficients(self.model, &marks))
            @if let Some(path) = path::section(self.model) { (path) }
            @if let Some(quality) = &self.quality { (quality::section(self, quality, &marks)) }
            (self.cost())
        };
        whole(&title, sheets, &parts, &self.model.training)
    }

    /// What is minimised, and how that went.
    fn cost(&self) -> Markup {
        let training = &self.model.training;
        let is_binary = self.model.softmax().is_none();
        // What several classes find in closed form has no way.
        let steps = if is_binary || self.model.generative.is_none() { self.steps } else { &[] };
        // One margin is one line, and of one number a plane.
        let search = if is_binary { search::search(steps, training.is_penalised()) } else { None };
        let contours = if is_binary { contours::contours(self) } else { None };
        let losses = self.quality.as_ref().map(|Quality { profile, weight, .. }| match &profile.two {
            Some(two) => {
                let classes = self.model.label.two().map(|class| text::name(&class.to_string()));
                margins::margins(two, &classes, weight.is_some())
            }
            None => losses::losses(profile),
        });
        html! {
            @if losses.is_some() || !steps.is_empty() {
                section id="cost" {
                    h2 { @if is_binary || !steps.is_empty() { "The cost and the way down" } @else { "The cost" } }
                    div class="figures" {
                        // The pictures of two classes stand above one another.
                        @if !is_binary {
                            @if let Some(losses) = &losses { (losses) }
                        } @else if losses.is_some() || search.is_some() {
                            div class="column" {
                                @if let Some(losses) = &losses { (losses) }
                                @if let Some(picture) = contours.as_ref().or(search.as_ref()) { (picture) }
                            }
                        }
                        @if !steps.is_empty() {
                            div class="column" {
                                (descent::loss(steps, training.is_penalised(), self.starts_empty))
                                @if let Some(distance) = descent::distance(steps, training.tolerance, training.gradient_tolerance) { (distance) }
                                @if let (Some(_), Some(search)) = (&contours, &search) { (search) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The page around its parts, as a file has it.
fn whole(title: &str, sheets: &[&'static str], parts: &Markup, training: &Training) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title, sheets)) }
            body {
                main { (parts) }
                footer { (footer(training)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// What the head of a page holds.
fn head(title: &str, sheets: &[&'static str]) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) " – gpu-logreg" }
        // The one text that is not escaped: constants.
        style { @for sheet in sheets { (PreEscaped(*sheet)) } }
    }
}

/// Where the model came from.
fn footer(training: &Training) -> Markup {
    html! {
        p { "Made by " (training.program) "." }
        @if !training.command.is_empty() {
            p { "The model came from " code { (text::shortened(&command(&training.command), 1000)) } }
        }
    }
}
