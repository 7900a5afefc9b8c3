//! A path of elastic nets: its coefficients, and how well its models tell rows that they do not know.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::svg::{Frame, Px, Scale, Tick, figure, label, legend};
use super::text::{count, counted, name, power, shortened, significant};
use crate::model::{CrossValidation, CvCurve, FeatureInfo, Model, PathInfo};

const HEIGHT: f64 = 300.0;

/// Features whose lines are drawn, and whose names stand beside them, at most.
const LINES: usize = 100;
const NAMES: usize = 10;

/// Features in the table of folds at most.
const LISTED: usize = 50;

/// Room between two names.
const APART: f64 = 11.0;

/// Classes that have a picture of their own, at most.
const CLASSES: usize = 12;

/// Strengths whose means have a dot of their own.
const DOTS: usize = 120;

/// What there is to see of a path, if the model has one of several strengths.
pub(super) fn section(model: &Model) -> Option<Markup> {
    let path = model.path.as_ref().filter(|path| path.lambdas.len() > 1)?;
    let curve = path.cv.as_ref().and_then(|cv| Some((cv, cv.curves.first()?)));
    let drawn = model.intercepts.len().min(CLASSES);
    Some(html! {
        section id="path" {
            h2 { "The path" }
            div class="figures" {
                @if model.softmax().is_none() { (coefficients(model, path, 0)) }
                @else { @for class in 0..drawn { (coefficients(model, path, class)) } }
                @if let Some((cv, curve)) = curve { (cross_validation(path, cv, curve)) }
            }
            @if model.intercepts.len() > drawn {
                p class="soft" { "The first " (drawn) " classes are drawn; the model has the others." }
            }
            @if !path.on_edge.is_empty() { (on_edge(path)) }
            @if let Some((cv, _)) = curve { (stability(model, cv)) }
        }
    })
}

/// Features whose selection is open somewhere, with the strengths where it is, those of most strengths first.
fn on_edge(path: &PathInfo) -> Markup {
    let mut of_features: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (lambda, names) in path.lambdas.iter().zip(&path.on_edge) {
        for name in names {
            of_features.entry(name).or_default().push(*lambda);
        }
    }
    let mut rows: Vec<(&str, Vec<f64>)> = of_features.into_iter().collect();
    rows.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(b.0)));
    let more = rows.len().saturating_sub(NAMES);
    rows.truncate(NAMES);
    html! {
        h3 class="block" { "On the edge" }
        p class="soft" {
            "At some strengths what is left to gain, or an error of the sums, decides whether a feature is selected."
            @if more > 0 { " Of " (count((more + NAMES) as f64)) " such features these are the ones at most strengths." }
        }
        div class="wide" tabindex="0" {
            table class="numbers" {
                thead { tr { @for head in ["feature", "strengths", "from", "down to"] { th scope="col" { (head) } } } }
                tbody {
                    @for (feature, lambdas) in rows {
                        tr {
                            th scope="row" { (name(feature)) }
                            td { (lambdas.len()) }
                            @for lambda in lambdas.first().into_iter().chain(lambdas.last()) { td { (significant(*lambda, 4)) } }
                        }
                    }
                }
            }
        }
    }
}

/// In how many folds each feature is selected, the most often selected ones first.
fn stability(model: &Model, cv: &CrossValidation) -> Markup {
    let mut of_features: BTreeMap<usize, [usize; 2]> = BTreeMap::new();
    for (which, selected) in [&cv.selected_at_1se, &cv.selected_at_min].into_iter().enumerate() {
        for &(feature, folds) in selected {
            of_features.entry(feature).or_default()[which] = folds;
        }
    }
    let mut rows: Vec<(usize, [usize; 2])> = of_features.into_iter().collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let more = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    html! {
        h3 class="block" { "Features that folds select" }
        p class="soft" {
            "Of " (counted(cv.folds.len() as u64, "fold")) ", each trained on other rows, so many select a feature at either strength."
            @if more > 0 { " " (count(more as f64)) " more are in the model." }
        }
        div class="wide" tabindex="0" {
            table class="numbers" {
                thead { tr { @for head in ["feature", "folds at 1se", "folds at min"] { th scope="col" { (head) } } } }
                tbody {
                    @for (feature, folds) in rows {
                        tr {
                            th scope="row" { (name(&model.features[feature].name)) }
                            @for folds in folds { td { (folds) } }
                        }
                    }
                }
            }
        }
    }
}

/// Strengths from the strongest on the left to the weakest on the right.
fn axis(path: &PathInfo) -> (Scale, Vec<Tick>) {
    let ends = [path.lambdas[0], path.lambdas[path.lambdas.len() - 1]].map(at);
    let whole = ends[0].ceil() as i32..=ends[1].floor() as i32;
    let ticks = whole.map(|power_of| Tick { at: f64::from(power_of), label: power(-power_of) });
    (Scale::linear(ends[0], ends[1]), ticks.collect())
}

/// Where a strength is on the axis.
fn at(lambda: f64) -> f64 {
    -lambda.log10()
}

/// Lines across a picture where strengths are that mean something.
fn marked(frame: &Frame, path: &PathInfo) -> Markup {
    let [low, high] = frame.y.ends();
    let of_folds = path.cv.iter().flat_map(|cv| [(cv.lambda_min, "min"), (cv.lambda_1se, "1se")]);
    let all: Vec<(f64, &str)> = if path.cv.is_some() { of_folds.collect() } else { vec![(path.selected, "the model")] };
    let [_, top, ..] = frame.room();
    html! {
        @for (lambda, text) in all {
            (frame.line([(at(lambda), low), (at(lambda), high)], "base"))
            (label(frame.x.at(at(lambda)), top - 4.0, "tick middle halo", text))
        }
    }
}

/// The effects of a standard deviation on a margin, along the path.
fn coefficients(model: &Model, path: &PathInfo, margin: usize) -> Markup {
    let count = path.lambdas.len();
    let mut lines: Vec<(&FeatureInfo, Vec<f64>)> =
        model.features.iter().map(|feature| (feature, vec![0.0; count])).collect();
    for (place, selected) in path.coefficients.iter().enumerate() {
        for (feature, of_margins) in selected {
            let (info, values) = &mut lines[*feature];
            values[place] = of_margins[margin] * info.scale;
        }
    }
    let size = |values: &[f64]| values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    lines.retain(|(_, values)| size(values) > 0.0);
    lines.sort_by(|a, b| size(&b.1).total_cmp(&size(&a.1)));
    let selected = lines.len();
    lines.truncate(LINES);
    let all = || lines.iter().flat_map(|(_, values)| values.iter().copied()).chain([0.0]);
    let y = Scale::linear(all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max)).nice(4);
    let (x, ticks) = axis(path);
    let class = model.softmax().map(|_| model.label.classes[margin].to_string());
    let of_class = class.as_ref().map_or_else(String::new, |class| format!(" of {}", shortened(&name(class), 40)));
    let of_effect = match class {
        None => "effect of a standard deviation on the log odds",
        Some(_) => "effect of a standard deviation on the margin",
    };
    let names = ["strength of the penalty, lambda", of_effect];
    let frame = Frame::with_ticks(x, y, HEIGHT, names, [ticks, y.ticks(4)]);
    let look = |values: &[f64]| if values[count - 1] >= 0.0 { "curve a thin" } else { "curve b thin" };
    let marks = html! {
        (marked(&frame, path))
        @for (feature, values) in &lines {
            g {
                title { (name(&feature.name)) }
                (frame.line(path.lambdas.iter().map(|lambda| at(*lambda)).zip(values.iter().copied()), look(values)))
            }
        }
        (names_of(&frame, &lines))
    };
    let picture = html! {
        (legend(&[("a", "positive at the end"), ("b", "negative at the end")]))
        (frame.picture(&format!("Coefficients{of_class} by the strength of the penalty"), &marks))
    };
    let caption = html! {
        "From the strongest penalty on the left to the weakest, " (counted(selected as u64, "feature"))
        (if selected == 1 { " is" } else { " are" }) " selected somewhere" @if class.is_some() { " for this class" }
        @if selected > LINES { "; the " (LINES) " with the largest effects are drawn" }
        "."
    };
    figure(&format!("Coefficients{of_class} along the path"), &picture, &caption)
}

/// The names of the largest effects at the end of the path, apart from each other.
fn names_of(frame: &Frame, lines: &[(&FeatureInfo, Vec<f64>)]) -> Markup {
    let end = |values: &[f64]| values.last().copied().unwrap_or(0.0);
    let mut ends: Vec<(f64, &str)> = lines.iter().map(|(feature, values)| (end(values), &feature.name[..])).collect();
    ends.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    ends.truncate(NAMES);
    ends.retain(|(value, _)| *value != 0.0);
    ends.sort_by(|a, b| b.0.total_cmp(&a.0));
    let [_, top, right, bottom] = frame.room();
    // From the top down, each below the one before; and back up from the bottom.
    let mut places: Vec<f64> = Vec::with_capacity(ends.len());
    for (value, _) in &ends {
        let least = places.last().map_or(top + APART, |before| before + APART);
        places.push(frame.y.at(*value).max(least));
    }
    let mut most = bottom - 3.0;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - APART;
    }
    html! {
        @for ((_, text), place) in ends.iter().zip(places) {
            text class="tick end halo" x=(Px(right - 3.0)) y=(Px(place)) { (shortened(&name(text), 18)) }
        }
    }
}

/// The curve over the folds, with standard errors.
fn cross_validation(path: &PathInfo, cv: &CrossValidation, curve: &CvCurve) -> Markup {
    let ends = |sign: f64| curve.mean.iter().zip(&curve.se).map(move |(mean, se)| mean + sign * se);
    let finite = |x: &f64| x.is_finite();
    let y = Scale::linear(
        ends(-1.0).filter(finite).fold(f64::INFINITY, f64::min),
        ends(1.0).filter(finite).fold(f64::NEG_INFINITY, f64::max),
    );
    let y = y.nice(4);
    let (x, ticks) = axis(path);
    let of_metric = match &curve.metric[..] {
        "deviance" => "deviance, twice the mean loss in nats",
        "auc" => "area under the ROC curve",
        "error" => "share of rows told wrongly",
        _ => "Brier score",
    };
    let names = ["strength of the penalty, lambda", of_metric];
    let frame = Frame::with_ticks(x, y, HEIGHT, names, [ticks, y.ticks(4)]);
    let points = || path.lambdas.iter().map(|lambda| at(*lambda)).zip(curve.mean.iter().copied());
    let marks = html! {
        (marked(&frame, path))
        @for ((x, mean), se) in points().zip(&curve.se) {
            (frame.line([(x, mean - se), (x, mean + se)], "c"))
        }
        (frame.line(points(), "curve a"))
        @if path.lambdas.len() <= DOTS {
            @for ((x, mean), (lambda, se)) in points().zip(path.lambdas.iter().zip(&curve.se)) {
                @let title = format!("{} ± {} at {}", significant(mean, 6), significant(*se, 2), significant(*lambda, 4));
                (frame.dot(x, mean, 2.5, "dot a", &title))
            }
        }
    };
    let caption = html! {
        "The mean over " (counted(cv.folds.len() as u64, "fold")) ", by the weights of the rows that each holds back, with one standard error on "
        "either side. The best mean is at " (significant(cv.lambda_min, 4)) " (min); the strongest penalty within one standard error "
        "of it is " (significant(cv.lambda_1se, 4)) " (1se)."
    };
    figure(
        "Rows that the models do not know",
        &frame.picture("Cross-validation by the strength of the penalty", &marks),
        &caption,
    )
}
