//! What a run tells its user: as text for a terminal, and as a page.

mod classes;
pub mod html;
pub mod inspect;
mod terminal;

use std::fmt::Write;

use crate::engine::storage::{Placement, human};
use crate::metrics::{Bounded, ClassFigures, Confusion, Metrics};
use crate::model::inference::Inference;
use crate::model::{CategoryInfo, FeatureInfo, LabelInfo, Model, ModelColumn, Training};
use crate::report::terminal::{feature_name, shortened};
use crate::solve::Status;
use crate::train::RunPlan;
use crate::wording::{counted, listed, plain, visible};

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
    text.push('\n');
    text += &if has_several { classes::coefficients_of_classes(model, all) } else { coefficients(model, 0, all) };
    text
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
    }
    lines
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

/// A line of the table of coefficients.
#[derive(Default)]
struct Row {
    name: String,
    cells: Vec<String>,
    /// Of a feature: what a standard deviation of it does to the log odds.
    effect: Option<f64>,
}

/// Levels of a category that the table shows unless all are asked for.
const LEVELS: usize = 30;
/// Coefficients that it shows, beside the intercept, unless all are asked for: nobody reads thousands.
const COEFFICIENTS: usize = 50;

/// One line for each coefficient of a margin.
fn coefficients(model: &Model, margin: usize, all: bool) -> String {
    let inferred = model.training.inference.is_some();
    let head: &[&str] = if inferred {
        &["coefficient", "std. error", "z", "p", "low", "high"]
    } else {
        &["coefficient", "mean", "scale"]
    };
    let cells = |coefficient: f64, inference: Option<&Inference>, place: [String; 2]| match inference {
        Some(inference) => cells_of(coefficient, inference, &model.training),
        None if inferred => vec![digits(coefficient)],
        None => std::iter::once(digits(coefficient)).chain(place).collect(),
    };
    let intercept = Row {
        name: "intercept".into(),
        cells: cells(model.intercepts[margin], model.inferred_intercept(margin), [String::new(), String::new()]),
        effect: None,
    };
    let of_feature = |feature: &FeatureInfo| Row {
        name: feature_name(&feature.name, feature.category.as_deref()),
        cells: cells(
            feature.coefficients[margin],
            feature.inferred(margin),
            [digits(feature.mean), digits(feature.scale)],
        ),
        effect: Some(feature.effect(margin)),
    };
    let (mut rows, more) = rows_of(model, head.iter().map(ToString::to_string).collect(), intercept, all, of_feature);
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    if width + 15 * head.len() + 3 + BAR <= TERMINAL {
        add_bars(&mut rows);
    }
    aligned(rows) + &more
}

/// A coefficient and what is inferred of it, with the digits that hold: it is no nearer to the optimum than the distance
/// says, and its standard error has an error of its own.
fn cells_of(coefficient: f64, inference: &Inference, training: &Training) -> Vec<String> {
    let Inference { standard_error, z, p, low, high, .. } = *inference;
    let relative = training.inference.as_ref().map_or(0.0, |inference| inference.relative_error);
    let distance = training.delta.unwrap_or(0.0) + training.delta_floor;
    let quantile = 0.5 * (high - low) / standard_error;
    let of_limits = (distance + quantile * relative) * standard_error;
    let decimals = (-places_of(z.abs() * relative + distance)).clamp(0, 3);
    vec![
        certain(coefficient, distance * standard_error),
        certain(standard_error, relative * standard_error),
        format!("{z:.*}", usize::try_from(decimals).unwrap_or(3)),
        if p < 1e-4 { format!("{p:.1e}") } else { format!("{p:.4}") },
        certain(low, of_limits),
        certain(high, of_limits),
    ]
}

/// The least power of ten that is no smaller than an error.
fn places_of(error: f64) -> i32 {
    if error > 0.0 { error.log10().ceil() as i32 } else { i32::MIN / 2 }
}

/// A number with the digits that an error leaves, seven at most and one at least.
fn certain(x: f64, error: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return digits(x);
    }
    let magnitude = x.abs().log10().floor() as i32;
    significant(x, magnitude.saturating_sub(places_of(error)).saturating_add(1).clamp(1, 7))
}

/// A line for the head, the intercept if there is one, each feature and the references of the categories; of too many the
/// features with the largest effects, and what is said of the others.
fn rows_of(
    model: &Model,
    head: Vec<String>,
    intercept: Row,
    all: bool,
    of_feature: impl Fn(&FeatureInfo) -> Row,
) -> (Vec<Row>, String) {
    let mut rows = vec![Row { cells: head, ..Row::default() }];
    rows.extend(model.training.fit_intercept.then_some(intercept));
    let only = |name: String, cell: &str| Row { name, cells: vec![cell.into()], effect: None };
    let reference =
        |category: &CategoryInfo| only(feature_name(&category.name_of(0), Some(&category.column)), "reference");
    let most = if all { usize::MAX } else { LEVELS };
    // What an L1 penalty leaves out has nothing to show.
    let is_shown = |feature: &&FeatureInfo| all || model.training.l1 == 0.0 || is_selected(feature);
    let lines = model.columns().map(|column| lines_of(column, most, &is_shown));
    if all || lines.sum::<usize>() <= COEFFICIENTS {
        for column in model.columns() {
            match column {
                ModelColumn::Feature(feature) => rows.extend(Some(feature).filter(is_shown).map(&of_feature)),
                ModelColumn::Category(category, levels) => {
                    let shown: Vec<&FeatureInfo> = levels.iter().filter(is_shown).collect();
                    if !shown.is_empty() || levels.is_empty() {
                        rows.push(reference(category));
                    }
                    rows.extend(shown.iter().take(most).map(|feature| of_feature(feature)));
                    if shown.len() > most {
                        let more = shown.len() - most;
                        rows.push(only(shortened(&category.column), &format!("{more} more levels, in the model")));
                    }
                }
            }
        }
        return (rows, not_selected(model.features.iter().filter(|feature| !is_shown(feature)).count()));
    }
    let size = |feature: &FeatureInfo| {
        (0..feature.coefficients.len()).map(|margin| feature.effect(margin).abs()).fold(0.0, f64::max)
    };
    let mut largest: Vec<(f64, &FeatureInfo)> = model.features.iter().map(|feature| (size(feature), feature)).collect();
    largest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut with_reference: Vec<&str> = Vec::new();
    let mut shown = 0;
    let before = rows.len();
    for (_, feature) in largest {
        let column = feature.category.as_deref().filter(|column| !with_reference.contains(column));
        if rows.len() - before + 1 + usize::from(column.is_some()) > COEFFICIENTS {
            break;
        }
        if let Some(column) = column {
            with_reference.push(column);
            rows.extend(model.categories.iter().find(|category| category.column == column).map(reference));
        }
        rows.push(of_feature(feature));
        shown += 1;
    }
    let others = model.features.len() - shown;
    (rows, format!("... and {others} others, with smaller effects of 1 std. dev. (-v shows all)\n"))
}

/// Lines of a column, of whose levels `most` are shown.
fn lines_of(column: ModelColumn<'_>, most: usize, is_shown: &dyn Fn(&&FeatureInfo) -> bool) -> usize {
    match column {
        ModelColumn::Feature(feature) => usize::from(is_shown(&feature)),
        ModelColumn::Category(_, levels) => match levels.iter().filter(|level| is_shown(level)).count() {
            0 if !levels.is_empty() => 0,
            shown => 1 + shown.min(most) + usize::from(shown > most),
        },
    }
}

/// What is said of features that are not shown because nothing of them is in the model.
fn not_selected(features: usize) -> String {
    if features == 0 {
        return String::new();
    }
    format!("... and {} not selected (-v shows all)\n", counted(features as u64, "feature"))
}

/// Whether a penalty left a coefficient of the feature other than 0.
fn is_selected(feature: &FeatureInfo) -> bool {
    feature.coefficients.iter().any(|coefficient| *coefficient != 0.0)
}

/// Names to the left, cells to the right.
fn aligned(rows: Vec<Row>) -> String {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Row { name, cells, .. } in rows {
        let mut line = format!("{name:<width$}");
        for cell in cells {
            write!(line, " {cell:>14}").expect("writing to a string");
        }
        writeln!(text, "{}", line.trim_end()).expect("writing to a string");
    }
    text
}

/// A sum of weights: without decimals where they are whole.
fn count(weight: f64) -> String {
    if weight.fract() == 0.0 { format!("{weight}") } else { digits(weight) }
}

/// Characters that a line may have and a usual terminal shows.
const TERMINAL: usize = 100;
/// Characters of a bar, half of them for either sign.
const BAR: usize = 24;

/// A bar behind the line of each feature: what a standard deviation of it does to the log odds, beside the others.
fn add_bars(rows: &mut [Row]) {
    let effects = || rows.iter().filter_map(|row| row.effect).filter(|effect| effect.is_finite());
    let largest = effects().map(f64::abs).fold(0.0, f64::max);
    if largest == 0.0 || effects().count() < 2 {
        return;
    }
    rows[0].cells.push(format!("  {:^BAR$}", "effect of 1 std. dev."));
    for Row { cells, effect, .. } in rows {
        if let Some(effect) = effect {
            cells.push(format!("  {}", bar(if effect.is_finite() { *effect / largest } else { 0.0 })));
        }
    }
}

/// A bar for a number in -1..=1, by halves of a character.
fn bar(x: f64) -> String {
    let halves = (x.abs() * BAR as f64).round() as usize;
    let (whole, half) = ("█".repeat(halves / 2), halves % 2 == 1);
    let side = BAR / 2;
    if x < 0.0 {
        format!("{:>side$}│", format!("{}{whole}", if half { "▐" } else { "" }))
    } else {
        format!("{:>side$}│{whole}{}", "", if half { "▌" } else { "" })
    }
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
    use super::{bar, certain, count, digits, places_of, sparkline};
    use crate::model::inference::Inference;

    #[test]
    fn numbers_keep_seven_digits() {
        assert_eq!(digits(1.783_175_904_9), "1.783176");
        assert_eq!(digits(-0.131_238_767), "-0.1312388");
        assert_eq!(digits(1234.5), "1234.500");
        assert_eq!(digits(1e-200), "1.000000e-200");
        assert_eq!(digits(0.0), "0");
    }

    #[test]
    fn numbers_keep_the_digits_that_hold() {
        assert_eq!(certain(22.160_712_3, 22.16 * 1e-9), "22.16071");
        assert_eq!(certain(22.160_712_3, 22.16 * 5e-5), "22.16");
        assert_eq!(certain(22.160_712_3, 3.0), "2e1");
        assert_eq!(certain(-0.001_234_567, 1e-5), "-0.00123");
        assert_eq!(certain(123_456.0, 40.0), "1.235e5");
        assert_eq!(certain(0.5, 0.0), "0.5000000");
        let relative_error = 5e-5;
        let inference = Inference::new(30.0, 1.5, 0.95);
        assert_eq!((places_of(0.01), places_of(0.011), places_of(0.0) < -1000), (-2, -1, true));
        assert!((0.5 * (inference.high - inference.low) / 1.5 * relative_error - 9.8e-5).abs() < 1e-6);
    }

    #[test]
    fn whole_weights_are_counts() {
        assert_eq!([3.0, 0.0, 12_345_678_901.0, 0.1 + 0.2].map(count), ["3", "0", "12345678901", "0.3000000"]);
    }

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        assert_eq!(bar(1.0), format!("{}│{}", " ".repeat(12), "█".repeat(12)));
        assert_eq!(bar(-1.0), format!("{}│", "█".repeat(12)));
        assert_eq!(bar(-0.13), format!("{}▐█│", " ".repeat(10)));
        assert_eq!(bar(0.0), format!("{}│", " ".repeat(12)));
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
