//! The first screen: what was fitted to what, the classes, how the run ended, and what it cost.

use maud::{Markup, html};

use super::super::RowsFrom;
use super::super::summary::{cost, said, tile, verdict};
use super::super::text::{Figure, count, counted, name, percent, seconds};
use super::ClassPage;
use super::marks::Marks;
use crate::model::Model;
use crate::sketch::classes::Apart;

/// Classes whose rows are shown.
const SHOWN: usize = 12;

pub(super) fn summary(page: &ClassPage<'_>, marks: &Marks) -> Markup {
    let ClassPage { model, quality, .. } = page;
    let columns = model.columns().count();
    html! {
        header {
            p class="over" {
                @if model.generative.is_some() { "Gaussian classes with one covariance (linear discriminant analysis)" }
                @else { "A multinomial logistic regression" }
                @if let Some(RowsFrom::Evaluated(files)) = quality.as_ref().map(|quality| &quality.rows) { ", evaluated on " (name(files)) }
            }
            h1 { "The probabilities of the " (count(model.label.classes.len() as f64)) " classes of " (name(&model.label.column)) }
            p class="under" {
                @if columns == 0 {
                    "The model has no columns: all rows have the probabilities of the intercepts alone."
                } @else {
                    "The model adds up " (counted(columns as u64, "column"))
                    @if columns != model.features.len() { " (" (counted(model.features.len() as u64, "feature")) ")" }
                    " to a margin for each class; the softmax of the margins are the probabilities."
                }
            }
        }
        @if model.generative.is_some() { (closed_form()) } @else { (verdict(&model.training)) }
        (tiles(page))
        (classes(model, marks))
        (identification(model, marks))
        (said(&model.training, quality.as_ref().map_or(&[], |quality| &quality.warnings)))
        (cost(model))
    }
}

fn closed_form() -> Markup {
    html! {
        div class="verdict" {
            p { strong { "In closed form" } ": the likelihood of columns and classes together has its maximum here." }
            p class="soft" { "The coefficients follow from the means of the classes and from the covariance within them, and hold as far as the columns of each class are Gaussian with that covariance." }
        }
    }
}

fn tiles(page: &ClassPage<'_>) -> Markup {
    let training = &page.model.training;
    html! {
        div class="tiles" {
            (tile(&Figure::count("model/training/rows", training.rows as f64), &"rows of training"))
            (tile(&Figure::new("model/training/loss", training.loss, 4), &"mean loss in training, in nats"))
            @if let Some(quality) = &page.quality {
                @let of = quality.rows.of();
                @if let Some(auc) = quality.metrics.macro_auc {
                    (tile(&Figure::fixed("quality/macro_auc/value", auc.value, 4), &html! { "macro AUC " (of) }))
                }
                (tile(&Figure::fixed("quality/accuracy", quality.metrics.accuracy, 4), &html! { "accuracy " (of) }))
            }
            (tile(&seconds(training.seconds.total), &"from the file to the model"))
        }
    }
}

/// The classes with their rows, and with their priors where the model has some.
fn classes(model: &Model, marks: &Marks) -> Markup {
    let rows = &model.training.class_rows;
    let total = rows.iter().sum::<u64>().max(1) as f64;
    let share = |class: usize| rows[class] as f64 / total;
    let most = (0..rows.len()).map(share).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let shown = Apart::largest(model, SHOWN);
    let more = rows.len().saturating_sub(shown.len());
    let priors = model.generative.as_ref().map(|generative| &generative.priors);
    html! {
        @if rows.len() == model.label.classes.len() {
            table class="forest bars" {
                @for class in shown {
                    tr {
                        th scope="row" { (marks.named(class, 60)) }
                        td {
                            svg class="strip" height="22" aria-hidden="true" {
                                rect class={ "share " (marks.colour(marks.apart.slot(class))) } x="0" y="5" height="12" rx="1" width=(format!("{:.2}%", 100.0 * share(class) / most)) {}
                            }
                        }
                        td {
                            (Figure::count(format!("model/training/class_rows/{class}"), rows[class] as f64))
                            @match priors.and_then(|priors| priors.get(class)) {
                                Some(prior) => { ", prior " (Figure::fixed(format!("model/generative/priors/{class}"), *prior, 4)) }
                                None => { " rows, " (percent(share(class))) }
                            }
                        }
                    }
                }
            }
            @if more > 0 {
                p class="soft" { "The " (SHOWN) " classes with most rows; " (count(more as f64)) " more." }
            }
        }
    }
}

/// What makes the coefficients unique.
fn identification(model: &Model, marks: &Marks) -> Markup {
    html! {
        p class="soft" {
            @match model.training.identification.as_deref() {
                Some("centred") => "The coefficients of a column add up to 0 over the classes, so each is against the average of the classes.",
                Some("reference") | None => { "The coefficients of " (marks.name(0, 60)) " are 0: a margin is the log odds of its class against that one." }
                Some(other) => { "The coefficients are made unique by: " (name(other)) "." }
            }
        }
    }
}
