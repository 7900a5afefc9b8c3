//! The table of coefficients, for a terminal.

use std::fmt::Write;

use super::terminal::{feature_name, shortened};
use super::{digits, significant};
use crate::model::inference::Inference;
use crate::model::{CategoryInfo, FeatureInfo, Model, ModelColumn, Training};
use crate::wording::counted;

/// A line of the table of coefficients.
#[derive(Default)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    /// Of a feature: what a standard deviation of it does to the log odds.
    pub(super) effect: Option<f64>,
}

/// Levels of a category that the table shows unless all are asked for.
const LEVELS: usize = 30;
/// Coefficients that it shows, beside the intercept, unless all are asked for: nobody reads thousands.
const COEFFICIENTS: usize = 50;

/// One line for each coefficient of a margin.
pub(super) fn coefficients(model: &Model, margin: usize, all: bool) -> String {
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
pub(super) fn rows_of(
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
pub(super) fn is_selected(feature: &FeatureInfo) -> bool {
    feature.coefficients.iter().any(|coefficient| *coefficient != 0.0)
}

/// Names to the left, cells to the right.
pub(super) fn aligned(rows: Vec<Row>) -> String {
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

/// Characters that a line may have and a usual terminal shows.
pub(super) const TERMINAL: usize = 100;
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

#[cfg(test)]
mod tests {
    use super::{bar, certain, places_of};
    use crate::model::inference::Inference;

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
    fn bars_are_as_long_as_their_numbers() {
        assert_eq!(bar(1.0), format!("{}│{}", " ".repeat(12), "█".repeat(12)));
        assert_eq!(bar(-1.0), format!("{}│", "█".repeat(12)));
        assert_eq!(bar(-0.13), format!("{}▐█│", " ".repeat(10)));
        assert_eq!(bar(0.0), format!("{}│", " ".repeat(12)));
    }
}
