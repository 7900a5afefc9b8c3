//! What a run tells its user: as text for a terminal, and as a page.

mod classes;
mod coefficients;
pub mod html;
pub mod inspect;
mod path;
mod terminal;

use std::fmt::Write;

use crate::engine::storage::{Placement, human};
use crate::metrics::{Bounded, ClassFigures, Confusion, Metrics};
use crate::model::{FeatureInfo, LabelInfo, Model, Training};
use crate::solve::Status;
use crate::train::RunPlan;
use crate::wording::{counted, listed, plain, visible};
use coefficients::{coefficients, is_selected};

/// What a run is going to do, in a line.
pub fn plan(plan: &RunPlan) -> String {
    let Placement { device_bytes, memory_bytes, scratch_bytes, device_chunks, memory_chunks, scratch_chunks } =
        plan.placement;
    let places: Vec<String> = [
        (device_chunks, device_bytes, "on the device"),
        (memory_chunks, memory_bytes, "in memory"),
        (scratch_chunks, scratch_bytes, "in a scratch file, streamed in every pass"),
    ]
    .into_iter()
    .filter(|(chunks, ..)| *chunks > 0)
    .map(|(_, bytes, place)| format!("{} {place}", human(bytes)))
    .collect();
    let passes = plan
        .passes
        .map_or("as many passes as it takes".into(), |[from, to]| format!("{from} to {to} passes as a rule"));
    let mut features = features(plan.features, plan.categories, plan.levels);
    if let Some(classes) = plan.classes {
        write!(features, ", {classes} classes,").expect("writing to a string");
    }
    // Said where it is not next to nothing.
    let preconditioner = if plan.preconditioner_bytes > 1 << 20 {
        format!("; {} for the preconditioner", human(plan.preconditioner_bytes))
    } else {
        String::new()
    };
    let rows = counted(plan.rows as u64, "row");
    format!("{rows} x {features} on {}: {}{preconditioner}; {passes}", plan.device, places.join(", "))
}

/// `28 features`, and how many categories are behind them.
fn features(features: usize, categories: usize, levels: usize) -> String {
    let features = counted(features as u64, "feature");
    match categories {
        0 => features,
        1 => format!("{features} (1 category of {levels} levels)"),
        _ => format!("{features} ({categories} categories with {levels} levels)"),
    }
}

/// How good probabilities are, for a terminal; `weight` is the column of row weights, if there is one.
pub fn metrics(metrics: &Metrics, label: &LabelInfo, weight: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<18} {value}").expect("writing to a string");
    // Two classes have one ranking and one threshold, several a mean over their rankings.
    let of_two = metrics.at_threshold.as_ref().map(|confusion| (confusion, &metrics.classes[0]));
    let [auc, precision, undefined] = match of_two {
        Some(_) => ["AUC", "average precision", "-, all rows are of one class"],
        None => ["macro AUC", "macro avg. prec.", "-, a class has no rows, or all of them"],
    };
    let sample_weights =
        weight.map_or_else(String::new, |column| format!(", sample_weights {} by `{column}`", count(metrics.weights)));
    let classes = match of_two {
        Some((_, positive)) => format!("{:.4} positive", positive.prevalence),
        None => format!("{} classes", metrics.classes.len()),
    };
    line("rows", format!("{}{sample_weights}, {classes}", metrics.rows));
    line("log loss", format!("{:.6} (prevalence alone: {:.6})", metrics.log_loss, metrics.base_log_loss));
    line("skill", share(metrics.skill));
    line(auc, figure(metrics.auc, undefined));
    line(precision, figure(metrics.average_precision, undefined));
    line("Brier score", format!("{:.6}{}", metrics.brier, if of_two.is_some() { "" } else { " (of 2)" }));
    line("accuracy", format!("{:.4}", metrics.accuracy));
    let counted = if weight.is_some() { "weight" } else { "rows" };
    text + &match of_two {
        Some((confusion, positive)) => at_threshold(confusion) + &by_score(positive, counted),
        None => classes::tables(metrics, label, counted),
    }
}

/// What a threshold makes of the rows.
fn at_threshold(confusion: &Confusion) -> String {
    let Confusion { threshold, true_positives, false_positives, true_negatives, false_negatives, .. } = *confusion;
    let Confusion { precision, recall, specificity, f1, .. } = *confusion;
    let [true_positives, false_positives, true_negatives, false_negatives] =
        [true_positives, false_positives, true_negatives, false_negatives].map(count);
    let [precision, recall, specificity, f1] = [precision, recall, specificity, f1].map(share);
    format!(
        "{:<18} at {threshold}: {true_positives} true and {false_positives} false positives, {true_negatives} true and \
         {false_negatives} false negatives\n{:<18} precision {precision}, recall {recall}, specificity {specificity}, F1 {f1}\n",
        "confusion", ""
    )
}

/// Calibration and lift.
fn by_score(figures: &ClassFigures, counted: &str) -> String {
    let mut text = format!("{:<18} {:.4}\n", "calibration error", figures.calibration.expected_error);
    writeln!(text, "\n{:<14} {counted:>10} {:>10} {:>10}", "probability", "predicted", "observed").expect("a string");
    for bin in &figures.calibration.bins {
        let range = format!("{:.1} - {:.1}", bin.low, bin.high);
        let counted = count(bin.weight);
        writeln!(text, "{range:<14} {counted:>10} {:>10} {:>10}", share(bin.predicted), share(bin.observed))
            .expect("a string");
    }
    if !figures.lift.is_empty() {
        writeln!(text, "\n{:<14} {:>10} {:>10} {:>10}", "decile", "observed", "lift", "gain").expect("a string");
        for row in &figures.lift {
            let (rate, lift, gain) = (row.rate, row.lift, row.gain.value);
            writeln!(text, "{:<14} {rate:>10.4} {lift:>10.3} {gain:>10.4}", row.decile).expect("a string");
        }
    }
    text
}

/// A figure with its bound, if it has one, or why there is none.
fn figure(figure: Option<Bounded>, none: &str) -> String {
    match figure {
        None => none.into(),
        Some(Bounded { value, error_bound }) if error_bound > 0.0 => format!("{value:.6} (to {error_bound:.1e})"),
        Some(Bounded { value, .. }) => format!("{value:.6}"),
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{share:.4}"))
}

/// How the loss came down, in a line; none of it where there is nothing to see.
pub fn way_down(losses: &[f64]) -> Option<String> {
    let [first, .., last] = losses else { return None };
    let ends_are_finite = first.is_finite() && last.is_finite();
    ends_are_finite.then(|| format!("loss {} from {} to {}", sparkline(losses), digits(*first), digits(*last)))
}

/// How good the model is on the rows of its training, in a line.
pub fn in_sample(metrics: &Metrics) -> String {
    let name = if metrics.at_threshold.is_some() { "AUC" } else { "macro AUC" };
    let auc = metrics.auc.map_or_else(|| "-".into(), |auc| format!("{:.6}", auc.value));
    format!("in-sample: {name} {auc}, accuracy {:.4}, Brier score {:.6}", metrics.accuracy, metrics.brier)
}

/// The model as a table for a terminal, with the largest of many coefficients or all of them.
pub fn table(model: &Model, all: bool) -> String {
    let training = &model.training;
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line(
        "model",
        match &model.label.positive {
            Some(positive) => format!("log odds of {} = {}", model.label.column, visible(&positive.to_string())),
            None => format!("softmax over the {} classes of {}", model.label.classes.len(), model.label.column),
        },
    );
    let levels = model.categories.iter().map(|category| category.levels.len()).sum();
    let features = features(model.features.len(), model.categories.len(), levels);
    let counts = match training.positives {
        Some(positives) => format!("{positives} positive"),
        None => format!("{} classes", model.label.classes.len()),
    };
    line("data", format!("{}, {counts}, {features}", counted(training.rows as u64, "row")));
    // Several margins are unique by a convention alone, and the rows of two classes are told above.
    let has_several = model.softmax().is_some();
    if has_several {
        line("classes", classes::rows_of_classes(model));
        line("margins", classes::identification(model));
    }
    if let Some(priors) = classes::priors(model) {
        line("priors", priors);
    }
    if let Some(value) = weights(training, &model.label) {
        line("weights", value);
    }
    if let [Some(offset)] = &model.offsets[..] {
        line("offset", format!("`{}` adds to the log odds as it is", plain(offset)));
    } else if !model.offsets.is_empty() {
        let all = model.label.classes.iter().zip(&model.offsets).filter_map(|(class, offset)| {
            Some(format!("`{}` to that of {}", plain(offset.as_deref()?), plain(&class.to_string())))
        });
        let all: Vec<String> = all.collect();
        line("offsets", format!("add to the margins as they are: {}", listed(&all)));
    }
    if !training.left_out.is_empty() {
        let names = listed(&training.left_out);
        line("left out", format!("{names}: text with too many levels, so that no coefficient allows for it"));
    }
    line("device", training.device.clone());
    line(
        "status",
        format!(
            "{} after {}: {} over the data ({} for the Hessian), {}",
            training.status.name(),
            counted(training.iterations, "iteration"),
            passes(training.passes.data),
            training.passes.hessian,
            counted(training.passes.line, "probe"),
        ),
    );
    line("distance", distance(model));
    line("loss", format!("{} (mean cross-entropy)", digits(training.loss)));
    if let Some(verified) = &training.verified {
        let what = if verified.refined { "refined" } else { "verified" };
        line(
            what,
            format!(
                "on the file in double precision, {}; gradient {:.1e}",
                passes(verified.passes),
                verified.gradient_norm
            ),
        );
    }
    if let Some(validation) = &training.validation {
        line(
            "validation",
            format!(
                "{}{} ({}): loss {}, {} {}, accuracy {:.4}",
                counted(validation.rows, "row"),
                training.weight.as_ref().map_or_else(String::new, |column| format!(" weighed by `{column}`")),
                validation.rows_from,
                digits(validation.log_loss),
                if has_several { "macro AUC" } else { "AUC" },
                validation.auc.map_or_else(|| "-".into(), |auc| format!("{auc:.6}")),
                validation.accuracy
            ),
        );
    }
    for (name, text) in penalty(model) {
        line(name, text);
    }
    let seconds = training.seconds;
    line("seconds", format!("{:.3} read, {:.3} solve, {:.3} in all", seconds.read, seconds.solve, seconds.total));
    if let (Some(inference), Some(likelihood)) = (&training.inference, &training.likelihood) {
        // Of a model that an older version wrote nothing may be known of the one without features beside offsets.
        let there = |x: f64, shown: String| if x.is_nan() { "-".into() } else { shown };
        line(
            "likelihood",
            format!(
                "log {}, deviance {} (null {}), AIC {}, McFadden R2 {}{}",
                digits(likelihood.log_likelihood),
                digits(likelihood.residual_deviance),
                there(likelihood.null_deviance, digits(likelihood.null_deviance)),
                there(likelihood.aic, digits(likelihood.aic)),
                there(likelihood.mcfadden_r2, format!("{:.4}", likelihood.mcfadden_r2)),
                likelihood.kind.as_ref().map_or_else(String::new, |kind| format!(" ({})", plain(kind)))
            ),
        );
        line("errors", format!("{}, limits at {} %", inference.kind, 100.0 * inference.confidence));
    }
    text += &model.path.as_ref().map_or_else(String::new, |path| format!("\n{}", path::table(path, all)));
    text + "\n" + &if has_several { classes::coefficients_of_classes(model, all) } else { coefficients(model, 0, all) }
}

/// What the rows weigh: by which column and as what, by their class, and together.
fn weights(training: &Training, label: &LabelInfo) -> Option<String> {
    let sum = count(training.weights?);
    let kind = training.weight_kind.describe();
    let of_column = training.weight.as_ref().map(|column| format!("`{}` as {kind}", plain(column)));
    let of_classes = training.class_weight.as_ref().map(|factors| {
        format!(
            "factors of the classes {}",
            classes::listed(label, |class| factors.get(class).map_or_else(String::new, |x| digits(*x)))
        )
    });
    let parts: Vec<String> = of_column.into_iter().chain(of_classes).collect();
    Some(format!("{}; sum {sum}", parts.join(", ")))
}

/// What the penalty is, and what it left in the model.
fn penalty(model: &Model) -> Vec<(&'static str, String)> {
    let training = &model.training;
    if !training.is_penalised() {
        return Vec::new();
    }
    let scale = format!("{:?}", training.penalty_scale).to_lowercase();
    let (l1, l2) = (training.l1, training.l2);
    let mut text = format!("l2 = {l2} on {scale} weights");
    if l1 > 0.0 {
        let (lambda, alpha) = (l1 + l2, l1 / (l1 + l2));
        let [l1, of_l2, lambda, alpha] = [l1, l2, lambda, alpha].map(|x| significant(x, 4));
        text = if l2 == 0.0 {
            format!("l1 = {l1} on {scale} weights")
        } else {
            format!("l1 = {l1}, l2 = {of_l2} on {scale} weights (lambda {lambda}, alpha {alpha})")
        };
    }
    let of_features = |has: &dyn Fn(&&FeatureInfo) -> bool| model.features.iter().filter(has).count() as u64;
    let own = [
        ("a factor of their own", of_features(&|feature| feature.penalty_factor.is_some())),
        ("bounds", of_features(&|feature| feature.bounds.is_some())),
    ];
    let own = own.iter().filter(|(_, features)| *features > 0);
    let own = own.map(|(what, features)| format!("{} with {what}", counted(*features, "feature")));
    let mut lines = vec![("penalty", std::iter::once(text).chain(own).collect::<Vec<_>>().join("; "))];
    if training.l1 > 0.0 {
        let selected = count(of_features(&|feature| is_selected(feature)) as f64);
        lines.push(("selected", format!("{selected} of {}", counted(model.features.len() as u64, "feature"))));
        lines.extend(on_edge(training).map(|text| ("edge", text)));
    }
    let of_folds = model.path.as_ref().and_then(|path| path.cv.as_ref());
    lines.extend(of_folds.and_then(path::cross_validation).map(|text| ("folds", text)));
    lines.extend(of_folds.map(|cv| ("stability", path::stability(cv))));
    lines
}

/// What is on the edge, and what that means.
fn on_edge(training: &Training) -> Option<String> {
    let names = &training.on_edge;
    let whether = match names.len() {
        0 => return None,
        1 => "whether it is",
        _ => "which of them are",
    };
    Some(format!("{}: what is left to gain, or an error of the sums, decides {whether} selected", listed(names)))
}

/// `1 pass`, `2 passes`.
fn passes(n: u64) -> String {
    format!("{n} {}", if n == 1 { "pass" } else { "passes" })
}

/// How far from the optimum the run ended, and in which units.
fn distance(model: &Model) -> String {
    let training = &model.training;
    if model.generative.is_some() {
        return "closed form: the likelihood of features and label together has its maximum here".into();
    }
    if let Some(gap) = training.gap {
        // Below that a double says nothing of a sum.
        if training.delta_is_approximate {
            return format!("about {gap:.1e} of the null deviance is left to gain (by the curvature of a sample)");
        }
        let gap = if gap < 1e-16 { "less than 1e-16".into() } else { format!("{gap:.1e}") };
        let by_f32 = if training.status == Status::F32Limit { ", as far as this device's sums tell" } else { "" };
        return format!("{gap} of the null deviance is left to gain, to second order{by_f32}");
    }
    let Some(delta) = training.delta else { return format!("gradient {:.1e}", training.gradient_norm) };
    // With a penalty the unit is the inverse of the penalised curvature, smaller than a standard error.
    let unit = if training.l2 > 0.0 { "penalised standard errors" } else { "standard errors" };
    if training.delta_is_approximate {
        return format!("about {delta:.1e} {unit} to the optimum (by an approximate Hessian)");
    }
    if training.delta_floor > 0.0 {
        return format!("{delta:.1e} {unit} to the optimum (this device resolves {:.1e})", training.delta_floor);
    }
    format!("{delta:.1e} {unit} to the optimum")
}

/// A sum of weights: without decimals where they are whole.
fn count(weight: f64) -> String {
    if weight.fract() == 0.0 { format!("{weight}") } else { digits(weight) }
}

/// Points of a line of losses.
const SPARKS: usize = 40;

/// Numbers as a row of small bars, the highest for the largest.
fn sparkline(numbers: &[f64]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || numbers.iter().filter(|x| x.is_finite());
    let (low, high) =
        (finite().fold(f64::INFINITY, |a, b| a.min(*b)), finite().fold(f64::NEG_INFINITY, |a, b| a.max(*b)));
    let count = numbers.len().min(SPARKS);
    (0..count)
        .map(|k| {
            // The first, the last, and what lies evenly between them.
            let x = numbers[if count == 1 { 0 } else { k * (numbers.len() - 1) / (count - 1) }];
            let share = if high > low { (x - low) / (high - low) } else { 0.0 };
            if x.is_finite() { LEVELS[(share * (LEVELS.len() - 1) as f64).round() as usize] } else { ' ' }
        })
        .collect()
}

/// Seven significant digits, in the shorter of the two notations.
fn digits(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    if !x.is_finite() {
        return x.to_string();
    }
    significant(x, 7)
}

/// A number with so many significant digits, in the shorter of the two notations.
fn significant(x: f64, count: i32) -> String {
    let magnitude = x.abs().log10().floor() as i32;
    // Digits that do not hold must not be filled up with those of the whole number.
    let most = if count == 7 { 9 } else { count };
    if (-5..most).contains(&magnitude) {
        format!("{x:.*}", usize::try_from(count - 1 - magnitude).unwrap_or(0))
    } else {
        format!("{x:.*e}", usize::try_from(count - 1).unwrap_or(6))
    }
}

#[cfg(test)]
mod tests {
    use super::{count, digits, sparkline};

    #[test]
    fn numbers_keep_seven_digits() {
        assert_eq!(digits(1.783_175_904_9), "1.783176");
        assert_eq!(digits(-0.131_238_767), "-0.1312388");
        assert_eq!(digits(1234.5), "1234.500");
        assert_eq!(digits(1e-200), "1.000000e-200");
        assert_eq!(digits(0.0), "0");
    }

    #[test]
    fn whole_weights_are_counts() {
        assert_eq!([3.0, 0.0, 12_345_678_901.0, 0.1 + 0.2].map(count), ["3", "0", "12345678901", "0.3000000"]);
    }

    #[test]
    fn a_line_of_losses_has_both_ends() {
        assert_eq!(sparkline(&[8.0, 1.0, 4.5]), "█▁▅");
        let many: Vec<f64> = (0..1000).map(|k| -f64::from(k)).collect();
        let line: Vec<char> = sparkline(&many).chars().collect();
        assert!(line.len() == 40 && line[0] == '█' && line[39] == '▁');
        assert_eq!(sparkline(&[2.0, 2.0, f64::NAN]), "▁▁ ");
    }
}
