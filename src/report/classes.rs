//! Several classes, for a terminal: how good their probabilities are, their coefficients, where they lie.

use std::fmt::Write;

use super::coefficients::{Row, TERMINAL, aligned, coefficients, rows_of};
use super::terminal::{cut, shortened};
use super::{count, digits, share};
use crate::metrics::{Metrics, confusions};
use crate::model::{FeatureInfo, LabelInfo, Model};
use crate::wording::{plain, visible};

/// Classes that a line names.
const NAMED: usize = 10;
/// Classes that a table of figures shows.
const SHOWN: usize = 30;
/// Confusions that are shown where the matrix has no place.
const CONFUSIONS: usize = 20;
/// Lines that the coefficients take class by class, as far as more than one class is shown.
const LINES: usize = 100;
/// Characters of the name of a class beside others.
const NAME: usize = 14;
/// Features of which the means in each class are shown.
const MEANS: usize = 30;

/// Each class against the rest, and which is taken for which; rows are `counted` as `rows` or as `weight`.
pub(super) fn tables(metrics: &Metrics, label: &LabelInfo, counted: &str) -> String {
    let names: Vec<String> = label.classes.iter().map(|class| shortened(&visible(&class.to_string()))).collect();
    let confusions =
        confusion_matrix(&metrics.confusion, &names).unwrap_or_else(|| largest_confusions(&metrics.confusion, &names));
    format!("\n{}\n{confusions}", each_against_the_rest(metrics, &names, counted))
}

/// A line for each class.
fn each_against_the_rest(metrics: &Metrics, names: &[String], counted: &str) -> String {
    let shown = &names[..names.len().min(SHOWN)];
    let width = width_of(shown).max("class".len());
    let mut text = format!("{:<width$}", "class");
    for head in [counted, "prevalence", "AUC", "avg. prec.", "calibration"] {
        write!(text, " {head:>11}").expect("writing to a string");
    }
    text.push('\n');
    for (name, class) in shown.iter().zip(&metrics.classes) {
        let [auc, precision] = [class.auc, class.average_precision].map(|figure| share(figure.map(|f| f.value)));
        let (rows, calibration) = (count(class.weight), share(Some(class.calibration.expected_error)));
        let prevalence = share(Some(class.prevalence));
        writeln!(text, "{name:<width$} {rows:>11} {prevalence:>11} {auc:>11} {precision:>11} {calibration:>11}")
            .expect("writing to a string");
    }
    if names.len() > SHOWN {
        writeln!(text, "... and {} more classes (⟦json⟧ has all)", names.len() - SHOWN).expect("writing to a string");
    }
    text
}

/// Rows by their class, columns by the likeliest one; `None` if that is wider than a terminal.
fn confusion_matrix(confusion: &[Vec<f64>], names: &[String]) -> Option<String> {
    const CORNER: &str = "is \\ likeliest";
    let cells: Vec<Vec<String>> =
        confusion.iter().map(|row| row.iter().map(|&weight| count(weight)).collect()).collect();
    let first = width_of(names).max(CORNER.len());
    let least = cells.iter().flatten().map(String::len).max().unwrap_or(0).max(5);
    // As much of the names as there is room for.
    let room = TERMINAL.saturating_sub(first) / names.len();
    if room < least + 1 {
        return None;
    }
    let width = width_of(names).max(least).min(room - 1);
    let mut text = String::new();
    let mut line = |name: &str, cells: &[String]| {
        write!(text, "{name:<first$}").expect("writing to a string");
        for cell in cells {
            write!(text, " {cell:>width$}").expect("writing to a string");
        }
        text.push('\n');
    };
    line(CORNER, &names.iter().map(|name| cut(name, width)).collect::<Vec<_>>());
    names.iter().zip(&cells).for_each(|(name, cells)| line(name, cells));
    Some(text)
}

/// The pairs of classes that are taken for each other most.
fn largest_confusions(confusion: &[Vec<f64>], names: &[String]) -> String {
    let found = confusions(confusion);
    let (pairs, shown) = (found.len(), found.len().min(CONFUSIONS));
    let mut text = format!("the largest confusions, {shown} of {pairs}\n");
    let name = |class: usize| names[class].as_str();
    let width = found[..shown].iter().map(|&(is, ..)| name(is).chars().count()).max().unwrap_or(0);
    for &(is, likeliest, weight) in &found[..shown] {
        let part = 100.0 * weight / confusion[is].iter().sum::<f64>();
        writeln!(text, "{:>10}, {part:>4.1} % of {:<width$} taken for {}", count(weight), name(is), name(likeliest))
            .expect("writing to a string");
    }
    text
}

fn width_of(names: &[String]) -> usize {
    names.iter().map(|name| name.chars().count()).max().unwrap_or(0)
}

/// What each of the first classes has.
pub(super) fn listed(label: &LabelInfo, of_class: impl Fn(usize) -> String) -> String {
    let classes = label.classes.iter().take(NAMED).enumerate();
    let named: Vec<String> = classes
        .map(|(place, class)| format!("{} {}", of_class(place), shortened(&visible(&class.to_string()))))
        .collect();
    let more = label.classes.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &rest
}

/// The rows of each class.
pub(super) fn rows_of_classes(model: &Model) -> String {
    let rows = &model.training.class_rows;
    listed(&model.label, |class| rows.get(class).map_or_else(|| "?".into(), u64::to_string))
}

/// The shares of Gaussian classes.
pub(super) fn priors(model: &Model) -> Option<String> {
    let priors = &model.generative.as_ref()?.priors;
    Some(listed(&model.label, |class| priors.get(class).map_or_else(|| "?".into(), |prior| format!("{prior:.4}"))))
}

/// What makes the coefficients of several margins unique.
pub(super) fn identification(model: &Model) -> String {
    match model.training.identification.as_deref() {
        Some("centred") => "centred: each coefficient adds up to 0 over the classes".into(),
        Some("penalised") => "of every class: each coefficient is penalised by itself".into(),
        Some("reference") | None => {
            format!("against {}, whose coefficients are 0", shortened(&visible(&model.label.classes[0].to_string())))
        }
        Some(other) => plain(other),
    }
}

/// The coefficients of a softmax, classes beside each other where they fit, else class by class.
pub(super) fn coefficients_of_classes(model: &Model, all: bool) -> String {
    // Those of the reference are 0.
    let first = usize::from(model.has_reference());
    let names: Vec<String> = model.label.classes.iter().map(|class| shortened(&visible(&class.to_string()))).collect();
    let classes = first..names.len();
    if model.training.inference.is_none() {
        let cell = |of: &[f64], class: usize| of.get(class).map_or_else(String::new, |x| digits(*x));
        let cells = |of: &[f64]| classes.clone().map(|class| cell(of, class)).collect();
        let head = names[classes.clone()].iter().map(|name| cut(name, NAME)).collect();
        let intercept = Row { name: "intercept".into(), cells: cells(&model.intercepts), effect: None };
        let of_feature = |feature: &FeatureInfo| Row {
            name: shortened(&feature.name),
            cells: cells(&feature.coefficients),
            effect: None,
        };
        let (rows, more) = rows_of(model, head, intercept, all, of_feature);
        if width_of_names(&rows) + (NAME + 1) * classes.len() <= TERMINAL {
            return aligned(rows) + &more;
        }
    }
    let mut text = String::new();
    let mut shown = 0;
    for class in classes.clone().take(if all { classes.len() } else { NAMED }) {
        let table = coefficients(model, class, all);
        if !all && shown > 0 && text.lines().count() + table.lines().count() > LINES {
            break;
        }
        let blank = if shown > 0 { "\n" } else { "" };
        write!(text, "{blank}{}\n{table}", names[class]).expect("writing to a string");
        shown += 1;
    }
    if shown < classes.len() {
        writeln!(text, "\n... and {} more classes (-v shows all)", classes.len() - shown).expect("writing to a string");
    }
    text
}

fn width_of_names(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0)
}

/// The means of Gaussian classes, where they fit beside each other.
pub(super) fn means(model: &Model) -> Option<String> {
    let means = &model.generative.as_ref()?.means;
    let width = model.features.iter().map(|feature| shortened(&feature.name).chars().count()).max()?;
    if model.features.len() > MEANS || width + (NAME + 1) * means.len() > TERMINAL {
        return Some("means      of the features in each class, and their covariance: in the model\n".into());
    }
    let head = model.label.classes.iter().map(|class| cut(&shortened(&visible(&class.to_string())), NAME)).collect();
    let mut rows = vec![Row { name: "mean in".into(), cells: head, effect: None }];
    rows.extend(model.features.iter().enumerate().map(|(place, feature)| Row {
        name: shortened(&feature.name),
        cells: means.iter().map(|mean| mean.get(place).map_or_else(String::new, |x| digits(*x))).collect(),
        effect: None,
    }));
    Some(aligned(rows))
}

#[cfg(test)]
mod tests {
    use super::{confusion_matrix, largest_confusions};

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("class number {class}")).collect()
    }

    #[test]
    fn a_matrix_is_no_wider_than_a_terminal() {
        let square = |classes: usize, weight: f64| vec![vec![weight; classes]; classes];
        for classes in [2, 3, 12] {
            let text = confusion_matrix(&square(classes, 4321.0), &names(classes)).expect("room");
            assert_eq!(text.lines().count(), classes + 1);
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
            assert!(text.lines().skip(1).all(|line| line.matches("4321").count() == classes), "{text}");
        }
        assert!(confusion_matrix(&square(12, 12_345_678.0), &names(12)).is_none());
        assert!(confusion_matrix(&square(100, 1.0), &names(100)).is_none());
    }

    #[test]
    fn the_largest_confusion_comes_first() {
        let confusion = [vec![7.0, 0.0, 1.0], vec![0.0, 9.0, 0.0], vec![3.0, 1.0, 4.0]].to_vec();
        let text = largest_confusions(&confusion, &names(3));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "the largest confusions, 3 of 3");
        assert_eq!(lines[1], "3, 37.5 % of class number 2 taken for class number 0");
        assert!(lines[2].starts_with("1, 12.5 % of class number 0") && lines.len() == 4, "{text}");
    }
}
