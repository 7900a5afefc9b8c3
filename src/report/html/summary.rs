//! The first screen: what was fitted to what, the classes, how the run ended, and what it cost.

use maud::{Markup, Render, html};

use super::marks::Marks;
use super::text::{Figure, count, counted, name, percent, seconds, significant};
use super::{Page, RowsFrom};
use crate::model::{Model, Training};
use crate::profile::Apart;
use crate::solve::Status;

/// Classes whose rows are shown.
const SHOWN: usize = 12;

pub(super) fn summary(page: &Page<'_>, marks: &Marks) -> Markup {
    let Page { model, quality, .. } = page;
    let training = &model.training;
    let is_binary = model.softmax().is_none();
    let columns = model.columns().count();
    let last = model.label.classes.len() - 1;
    let [negative, positive] = [0, last].map(|class| name(&model.label.classes[class].to_string()));
    html! {
        header {
            p class="over" {
                @if is_binary { "A logistic regression" }
                @else if model.generative.is_some() { "Gaussian classes with one covariance (linear discriminant analysis)" }
                @else { "A multinomial logistic regression" }
                @if let Some(RowsFrom::Evaluated(files)) = quality.as_ref().map(|quality| &quality.rows) { ", evaluated on " (name(files)) }
            }
            h1 {
                @if is_binary { "The probability of " (name(&model.label.column)) " = " (positive) }
                @else { "The probabilities of the " (count(model.label.classes.len() as f64)) " classes of " (name(&model.label.column)) }
            }
            p class="under" {
                @if columns > 0 {
                    "The model adds up " (counted(columns as u64, "column"))
                    @if columns != model.features.len() { " (" (counted(model.features.len() as u64, "feature")) ")" }
                    @if is_binary { " to the log odds of " (positive) " against " (negative) "." }
                    @else { " to a margin for each class; the softmax of the margins are the probabilities." }
                } @else if is_binary {
                    "The model has no columns: all rows have the log odds of " (positive) " against " (negative) " of the intercept alone" @if !model.offsets.is_empty() { ", and their offset" } "."
                } @else {
                    "The model has no columns: all rows have the probabilities of the intercepts alone."
                }
            }
        }
        @if !is_binary && model.generative.is_some() { (closed_form()) } @else { (verdict(training, page.show)) }
        (tiles(page, is_binary))
        @if !is_binary { (classes(model, marks)) (identification(model, marks)) }
        (said(training, quality.as_ref().map_or(&[], |quality| &quality.warnings)))
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

/// What the user should know: of the training, and of the rows that the model was looked at with.
fn said(training: &Training, of_rows: &[String]) -> Markup {
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
fn verdict(training: &Training, show: &dyn Fn(&str) -> String) -> Markup {
    let status = training.status;
    let word = match status {
        Status::Converged => "Converged",
        Status::F32Limit => "As near as this device comes",
        Status::MaxIterations => "Stopped before the end: the iterations ran out",
        Status::TimeLimit => "Stopped before the end: the time was over",
        Status::Interrupted => "Stopped before the end: interrupted",
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
                @if let (true, Some(gap)) = (status.has_estimates(), training.gap) {
                    ": " (Figure::new("model/training/gap", gap, 2)) " of the null deviance is left to gain at most, where "
                    (significant(training.gap_tolerance.unwrap_or_default(), 2)) " was asked for"
                } @else if status.has_estimates() {
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
            @if status == Status::Converged && training.gap.is_none() {
                p class="soft" { "The error of the computation is that small a part of what chance in the rows does to the coefficients." }
            } @else {
                p { (sentence(&show(status.advice()))) }
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
fn tile(value: &impl Render, text: &impl Render) -> Markup {
    html! { div { b { (value) } span { (text) } } }
}

fn tiles(page: &Page<'_>, is_binary: bool) -> Markup {
    let Page { model, quality, .. } = page;
    let training = &model.training;
    html! {
        div class="tiles" {
            (tile(&Figure::count("model/training/rows", training.rows as f64), &"rows of training"))
            @if is_binary {
                @let positives = training.positives.unwrap_or(0) as f64;
                (tile(
                    &percent(positives / training.rows as f64),
                    &html! { (Figure::count("model/training/positives", positives)) " rows are " (name(&model.label.two()[1].to_string())) },
                ))
            }
            (tile(&Figure::new("model/training/loss", training.loss, 4), &"mean loss in training, in nats"))
            @if let Some(quality) = quality {
                @let of = quality.rows.of();
                @if let Some(auc) = quality.metrics.auc {
                    @let (place, what) = if is_binary { ("quality/auc/value", "AUC ") } else { ("quality/macro_auc/value", "macro AUC ") };
                    (tile(&Figure::fixed(place, auc.value, 4), &html! { (what) (of) }))
                }
                (tile(
                    &Figure::fixed("quality/accuracy", quality.metrics.accuracy, 4),
                    &html! { "accuracy " (of) @if let Some(confusion) = quality.metrics.at_threshold { ", at a threshold of " (confusion.threshold) } },
                ))
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
                Some("penalised") => "Every class has coefficients of its own, each penalised by itself: a probability goes by the differences between the classes.",
                Some("reference") | None => { "The coefficients of " (marks.name(0, 60)) " are 0: a margin is the log odds of its class against that one." }
                Some(other) => { "The coefficients are made unique by: " (name(other)) "." }
            }
        }
    }
}

/// The strength of L1, if there is one, before that of L2.
fn l1(training: &Training) -> Markup {
    html! { @if training.l1 > 0.0 { "l1 = " (Figure::new("model/training/l1", training.l1, 4)) ", " } }
}

/// The penalty, and what is on the edge of being selected.
fn penalty(training: &Training) -> Markup {
    html! {
        @if training.is_penalised() {
            dt { "Penalty" }
            dd { (l1(training)) "l2 = " (Figure::new("model/training/l2", training.l2, 4)) " on " (format!("{:?}", training.penalty_scale).to_lowercase()) " weights" }
        }
        @if !training.on_edge.is_empty() {
            dt { "On the edge" }
            dd {
                (names_of(&training.on_edge)) ": what is left to gain, or an error of the sums, decides whether "
                (if training.on_edge.len() == 1 { "it is" } else { "they are" }) " selected"
            }
        }
    }
}

fn cost(model: &Model) -> Markup {
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
            (penalty(training))
            @if let Some(weights) = training.weights {
                dt { "Row weights" }
                dd {
                    @if let Some(column) = &training.weight {
                        "from " (name(column)) ", " (training.weight_kind.describe()) "; "
                    }
                    "their sum is " (Figure::new("model/training/weights", weights, 6))
                }
            }
            @if let [Some(offset)] = &model.offsets[..] {
                dt { "Offset" }
                dd { (name(offset)) " adds to the log odds as it is" }
            }
            @if model.offsets.len() > 1 {
                dt { "Offsets" }
                dd {
                    @for (class, offset) in model.label.classes.iter().zip(&model.offsets) {
                        @if let Some(offset) = offset { (name(offset)) " adds to the margin of " (class.to_string()) ". " }
                    }
                }
            }
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

/// The first names of a list, and how many more there are.
fn names_of(all: &[String]) -> Markup {
    html! {
        @for (index, one) in all.iter().take(FILES).enumerate() {
            @if index > 0 { ", " }
            (name(one))
        }
        @if all.len() > FILES { " and " (counted((all.len() - FILES) as u64, "other")) }
    }
}

/// Files and features that are named.
const FILES: usize = 10;
