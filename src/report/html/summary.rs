//! The first screen: what was fitted to what, how the run ended, and what it cost.

use maud::{Markup, Render, html};

use super::text::{Figure, counted, name, percent, seconds, significant};
use super::{Page, RowsFrom};
use crate::model::{Model, Training};
use crate::solve::Status;

pub(super) fn summary(page: &Page<'_>) -> Markup {
    let Page { model, quality, .. } = page;
    let training = &model.training;
    let [negative, positive] = model.label.two().map(|class| name(&class.to_string()));
    let columns = model.columns().count();
    html! {
        header {
            p class="over" {
                @match quality.as_ref().map(|quality| &quality.rows) {
                    Some(RowsFrom::Evaluated(files)) => { "A logistic regression, evaluated on " (name(files)) }
                    _ => "A logistic regression",
                }
            }
            h1 { "The probability of " (name(&model.label.column)) " = " (positive) }
            p class="under" {
                @if columns == 0 {
                    "The model has no columns: all rows have the log odds of " (positive) " against " (negative) " of the intercept alone" @if model.offset.is_some() { ", and their offset" } "."
                } @else {
                    "The model adds up " (counted(columns as u64, "column"))
                    @if columns != model.features.len() { " (" (counted(model.features.len() as u64, "feature")) ")" }
                    " to the log odds of " (positive) " against " (negative) "."
                }
            }
        }
        (verdict(training))
        (tiles(page))
        (said(training, quality.as_ref().map_or(&[], |quality| &quality.warnings)))
        (cost(model))
    }
}

/// What the user should know: of the training, and of the rows that the model was looked at with.
pub(super) fn said(training: &Training, of_rows: &[String]) -> Markup {
    let warnings = || training.warnings.iter().filter(|warning| !is_verdict(training, warning)).chain(of_rows);
    html! {
        @if warnings().next().is_some() || !training.notes.is_empty() {
            ul class="said" {
                @for warning in warnings() { li class="warning" { strong { "Warning. " } (warning) "." } }
                @for note in &training.notes { li { (note) "." } }
            }
        }
    }
}

/// How the run stopped, and what that means.
pub(super) fn verdict(training: &Training) -> Markup {
    let status = training.status;
    let word = match status {
        Status::Converged => "Converged",
        Status::F32Limit => "As near as this device comes",
        Status::MaxIterations => "Stopped before the end: the iterations ran out",
        Status::LineSearchFailed | Status::Stalled => "Stuck before the optimum",
        Status::Separated => "No finite answer: the classes are separated",
        Status::NonFinite => "No answer: the loss is not finite",
    };
    html! {
        div class={ "verdict" @if !status.is_success() { " bad" } } {
            p {
                strong { (word) } " after "
                (Figure::count("model/training/iterations", training.iterations as f64))
                (if training.iterations == 1 { " iteration" } else { " iterations" })
                @if status.has_estimates() {
                    @if let Some(delta) = training.delta {
                        ": the coefficients are "
                        @if training.delta_is_approximate { "about " }
                        (Figure::new("model/training/delta", delta, 2)) " "
                        (if training.l2 > 0.0 { "penalised standard errors" } else { "standard errors" })
                        " from the optimum"
                    }
                    ", where " (significant(training.tolerance, 2)) " was asked for"
                }
                "."
            }
            @if status == Status::Converged {
                p class="soft" { "The error of the computation is that small a part of what chance in the rows does to the coefficients." }
            } @else {
                p { (sentence(status.advice())) }
            }
        }
    }
}

/// Whether a warning says what the verdict says already.
fn is_verdict(training: &Training, warning: &str) -> bool {
    warning.starts_with(&format!("{}: ", training.status.name()))
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), rest.as_str()))
}

/// A number and what it is.
pub(super) fn tile(value: &impl Render, text: &impl Render) -> Markup {
    html! { div { b { (value) } span { (text) } } }
}

fn tiles(page: &Page<'_>) -> Markup {
    let training = &page.model.training;
    let share = training.positives.unwrap_or(0) as f64 / training.rows as f64;
    html! {
        div class="tiles" {
            (tile(&Figure::count("model/training/rows", training.rows as f64), &"rows of training"))
            (tile(
                &percent(share),
                &html! { (Figure::count("model/training/positives", training.positives.unwrap_or(0) as f64)) " rows are " (name(&page.model.label.two()[1].to_string())) },
            ))
            (tile(&Figure::new("model/training/loss", training.loss, 4), &"mean loss in training, in nats"))
            @if let Some(quality) = &page.quality {
                @let of = quality.rows.of();
                @if let Some(auc) = quality.metrics.auc {
                    (tile(&Figure::fixed("quality/auc/value", auc.value, 4), &html! { "AUC " (of) }))
                }
                (tile(
                    &Figure::fixed("quality/accuracy", quality.metrics.accuracy, 4),
                    &html! { "accuracy " (of) ", at a threshold of " (quality.metrics.confusion.threshold) },
                ))
            }
            (tile(&seconds(training.seconds.total), &"from the file to the model"))
        }
    }
}

pub(super) fn cost(model: &Model) -> Markup {
    let training = &model.training;
    let passes = training.passes;
    let times = training.seconds;
    let rest = (times.total - times.read - times.upload - times.solve - times.verify).max(0.0);
    let stages = [
        ("a", "reading", times.read),
        ("c", "upload", times.upload),
        ("b", "solving", times.solve),
        ("c", "verifying", times.verify),
        ("d", "the rest", rest),
    ];
    let shown = stages.into_iter().filter(|(.., time)| *time > 0.002 * times.total);
    html! {
        div class="stages" aria-hidden="true" {
            @for (class, _, time) in shown.clone() {
                span class=(class) style={ "flex-grow:" (format!("{:.3}", 100.0 * time / times.total)) } {}
            }
        }
        p class="legend" {
            @for (class, stage, time) in shown { span { span class={ "key " (class) } {} (stage) " " (seconds(time)) } }
        }
        dl {
            dt { "Device" } dd { (training.device) }
            dt { "Passes" }
            dd {
                (Figure::count("model/training/passes/data", passes.data as f64)) " over the data, of which "
                (Figure::count("model/training/passes/hessian", passes.hessian as f64)) " for second derivatives; "
                (Figure::count("model/training/passes/line", passes.line as f64)) " probes of steps without one"
            }
            @if let Some(verified) = &training.verified {
                dt { (if verified.refined { "Refined" } else { "Verified" }) }
                dd { "on the file in double precision, in " (Figure::count("model/training/verified/passes", verified.passes as f64)) " passes" }
            }
            @if training.l2 > 0.0 {
                dt { "Penalty" }
                dd { "l2 = " (Figure::new("model/training/l2", training.l2, 4)) " on " (format!("{:?}", training.penalty_scale).to_lowercase()) " weights" }
            }
            @if let Some(weights) = training.weights {
                dt { "Row weights" }
                dd {
                    @if let Some(column) = &training.weight {
                        "from " (name(column)) ", " (training.weight_kind.describe()) "; "
                    }
                    "their sum is " (Figure::new("model/training/weights", weights, 6))
                }
            }
            @if let Some(offset) = &model.offset { dt { "Offset" } dd { (name(offset)) " adds to the log odds as it is" } }
            @if let Some(likelihood) = &training.likelihood {
                dt { "Likelihood" }
                dd {
                    "log likelihood " (Figure::new("model/training/log_likelihood", likelihood.log_likelihood, 7))
                    ", deviance " (Figure::new("model/training/residual_deviance", likelihood.residual_deviance, 7))
                    " (without features " (Figure::new("model/training/null_deviance", likelihood.null_deviance, 7))
                    "), AIC " (Figure::new("model/training/aic", likelihood.aic, 7))
                    ", McFadden’s R² " (Figure::new("model/training/mcfadden_r2", likelihood.mcfadden_r2, 4))
                    @if let Some(kind) = &likelihood.kind { " (" (name(kind)) ")" }
                }
            }
            @if !training.files.is_empty() {
                dt { (if training.files.len() == 1 { "Trained on" } else { "Trained on files" }) }
                dd {
                    @for (index, file) in training.files.iter().take(FILES).enumerate() {
                        @if index > 0 { ", " }
                        (name(&file.path))
                    }
                    @if training.files.len() > FILES { " and " (counted((training.files.len() - FILES) as u64, "other")) }
                }
            }
        }
    }
}

/// Files that are named.
const FILES: usize = 10;
