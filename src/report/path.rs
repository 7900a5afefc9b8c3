//! A path of elastic nets for a terminal.

use std::fmt::Write;

use super::significant;
use crate::model::PathInfo;

/// Rows of the table at most, unless all are asked for.
const ROWS: usize = 12;

/// Strengths of a path with what there is at each of them: about a dozen of many, or all of them. The model itself is marked.
pub(super) fn table(path: &PathInfo, all: bool) -> String {
    let count = path.lambdas.len();
    let mut text = format!("{:>12} {:>9} {:>11} {:>9}\n", "lambda", "features", "explained", "gap");
    let step = if all { 1 } else { count.div_ceil(ROWS) };
    let nearest = |a: &f64, b: &f64| (a / path.selected).ln().abs().total_cmp(&(b / path.selected).ln().abs());
    let own = path.lambdas.iter().enumerate().min_by(|a, b| nearest(a.1, b.1)).map(|(place, _)| place);
    for place in (0..count).filter(|&place| place % step == 0 || place + 1 == count || Some(place) == own) {
        let is_own = Some(place) == own && path.lambdas[place].total_cmp(&path.selected).is_eq();
        writeln!(
            text,
            "{:>12} {:>9} {:>11.6} {:>9}{}",
            significant(path.lambdas[place], 6),
            path.columns[place],
            path.explained[place],
            gap(path.gaps[place]),
            if is_own { "  the model" } else { "" }
        )
        .expect("writing to a string");
    }
    text
}

/// Below that a double says nothing of a sum.
fn gap(gap: f64) -> String {
    if gap < 1e-16 { "< 1e-16".into() } else { format!("{gap:.1e}") }
}
