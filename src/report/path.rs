//! A path of elastic nets for a terminal.

use std::fmt::Write;

use super::significant;
use crate::model::{CrossValidation, PathInfo};
use crate::wording::{counted, plain};

/// Rows of the table at most, unless all are asked for.
const ROWS: usize = 12;

/// Strengths of a path with what there is at each of them: about a dozen of many, or all of them. The model itself is marked.
pub(super) fn table(path: &PathInfo, all: bool) -> String {
    let count = path.lambdas.len();
    let cv = path.cv.as_ref().and_then(|cv| Some((cv, cv.curves.first()?)));
    let mut text = format!("{:>12} {:>9} {:>11} {:>9}", "lambda", "features", "explained", "gap");
    if let Some((_, curve)) = cv {
        write!(text, " {:>11} {:>9}", plain(&curve.metric), "s. e.").expect("writing to a string");
    }
    text.push('\n');
    let is_best = |place: usize| {
        cv.map(|(cv, _)| [cv.lambda_min, cv.lambda_1se].map(|x| x.total_cmp(&path.lambdas[place]).is_eq()))
    };
    let step = if all { 1 } else { count.div_ceil(ROWS) };
    let nearest = |a: &f64, b: &f64| (a / path.selected).ln().abs().total_cmp(&(b / path.selected).ln().abs());
    let own = path.lambdas.iter().enumerate().min_by(|a, b| nearest(a.1, b.1)).map(|(place, _)| place);
    for place in (0..count).filter(|&place| {
        place % step == 0
            || place + 1 == count
            || Some(place) == own
            || is_best(place).is_some_and(|is| is.contains(&true))
    }) {
        let is_own = Some(place) == own && path.lambdas[place].total_cmp(&path.selected).is_eq();
        writeln!(
            text,
            "{:>12} {:>9} {:>11.6} {:>9}{}{}",
            significant(path.lambdas[place], 6),
            path.columns[place],
            path.explained[place],
            gap(path.gaps[place]),
            cv.map_or_else(String::new, |(_, curve)| format!(" {:>11.6} {:>9.6}", curve.mean[place], curve.se[place])),
            marks(is_best(place), is_own, path.on_edge.get(place).map_or(0, Vec::len))
        )
        .expect("writing to a string");
    }
    text
}

/// What a strength is.
fn marks(is_best: Option<[bool; 2]>, is_own: bool, on_edge: usize) -> String {
    let [is_min, is_1se] = is_best.unwrap_or_default();
    let edge = format!("{on_edge} on the edge");
    let marks = [("min", is_min), ("1se", is_1se), ("the model", is_own), (&edge, on_edge > 0)];
    let marks: Vec<&str> = marks.into_iter().filter(|(_, is)| *is).map(|(mark, _)| mark).collect();
    if marks.is_empty() { String::new() } else { format!("  {}", marks.join(", ")) }
}

/// What cross-validation found, in a line.
pub(super) fn cross_validation(cv: &CrossValidation) -> Option<String> {
    let curve = cv.curves.first()?;
    Some(format!(
        "{} {}; best mean {} at lambda {}, within a standard error of it at {}; {} of {} models of folds visited",
        counted(cv.folds.len() as u64, "fold"),
        plain(&cv.dealt),
        plain(&curve.metric),
        significant(cv.lambda_min, 6),
        significant(cv.lambda_1se, 6),
        cv.visited,
        cv.models
    ))
}

/// In how many folds features are selected, in a line.
pub(super) fn stability(cv: &CrossValidation) -> String {
    let all = cv.folds.len();
    let of = |selected: &[(usize, usize)]| {
        let in_all = selected.iter().filter(|(_, folds)| *folds == all).count();
        format!("{} in all folds and {} in some", counted(in_all as u64, "feature"), selected.len() - in_all)
    };
    format!("at min {}; at 1se {}", of(&cv.selected_at_min), of(&cv.selected_at_1se))
}

/// Below that a double says nothing of a sum.
fn gap(gap: f64) -> String {
    if gap < 1e-16 { "< 1e-16".into() } else { format!("{gap:.1e}") }
}
