//! What flags of `train` say in lists: of columns, levels and classes, each with a value.

use std::path::Path;

use crate::cli::names::{Entry, entries, names};
use gpu_logreg::data::{ClassWeight, MOST_LEVELS, Table};
use gpu_logreg::error::{Error, Result};
use gpu_logreg::wording::plain;

/// `COL=LEVEL` of `table`, each column once.
pub(super) fn references(texts: &[String], table: &Table) -> Result<Vec<(String, String)>> {
    let is_there = |column: &str| !matches!(table.find(column), Ok(None));
    let references: Vec<(String, String)> =
        texts.iter().map(|text| reference(text, is_there)).collect::<Result<_>>()?;
    for (index, (column, _)) in references.iter().enumerate() {
        if references[..index].iter().any(|(other, _)| other == column) {
            return Err(Error::usage(format!("--reference names `{column}` twice"), "A category has one reference."));
        }
    }
    Ok(references)
}

/// A column and a level; either may have a `=` in its name, so the first cut counts that leaves a column which `is_there`.
fn reference(text: &str, is_there: impl Fn(&str) -> bool) -> Result<(String, String)> {
    let cuts = || text.match_indices('=').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let trimmed = || cuts().map(|(column, level)| (column.trim(), level));
    let mut all = cuts().chain(trimmed());
    let (column, level) = all.find(|(column, _)| is_there(column)).or_else(|| trimmed().next()).ok_or_else(|| {
        Error::usage(format!("--reference {text} names no level"), "Say COL=LEVEL, such as --reference city=Berlin.")
    })?;
    Ok((column.to_owned(), level.to_owned()))
}

pub(super) fn check_max_levels(levels: usize) -> Result<usize> {
    if (2..=MOST_LEVELS).contains(&levels) {
        return Ok(levels);
    }
    Err(Error::usage(
        format!("--max-levels {levels} is out of range"),
        format!("Give a number from 2 to {MOST_LEVELS}."),
    ))
}

/// The features that are named: none at all by an empty text.
pub(super) fn features(lists: &[String]) -> Result<Option<Vec<String>>> {
    if lists.is_empty() {
        return Ok(None);
    }
    let not_empty: Vec<String> = lists.iter().filter(|list| !list.trim().is_empty()).cloned().collect();
    names("--features", &not_empty).map(Some)
}

/// `COL=F,...`.
pub(super) fn penalty_factors(lists: &[String]) -> Result<Vec<(String, f64)>> {
    let way_out =
        "Say COL=F: 0 for a column that is not penalised, 2 for twice the penalty, inf for one that is left out.";
    of_columns("--penalty-factor", lists, way_out, |factor| factor.parse().ok())
}

/// `COL=LOW:HIGH,...`.
pub(super) fn bounds(lists: &[String]) -> Result<Vec<(String, [f64; 2])>> {
    let way_out =
        "Say COL=LOW:HIGH, or COL=0: for a coefficient that is not negative, COL=:0 for one that is not positive.";
    of_columns("--bounds", lists, way_out, |text| {
        let (low, high) = text.split_once(':')?;
        let bound = |text: &str, open: f64| if text.trim().is_empty() { Some(open) } else { text.trim().parse().ok() };
        Some([bound(low, f64::NEG_INFINITY)?, bound(high, f64::INFINITY)?])
    })
}

/// What is said of single columns, each with its value behind the last `=`.
fn of_columns<T>(
    flag: &str,
    lists: &[String],
    way_out: &str,
    value: impl Fn(&str) -> Option<T>,
) -> Result<Vec<(String, T)>> {
    let mut found = Vec::new();
    for list in lists {
        for Entry { text, is_quoted } in entries(flag, list)? {
            let pair = text.rsplit_once('=').and_then(|(column, text)| {
                let column = if is_quoted { column } else { column.trim() };
                (!column.is_empty()).then_some(())?;
                Some((column.to_owned(), value(text.trim())?))
            });
            found.push(pair.ok_or_else(|| Error::usage(format!("{flag} {text} is not understood"), way_out))?);
        }
    }
    Ok(found)
}

/// `balanced` or `V=W,...`.
pub(super) fn class_weight(text: &str) -> Result<ClassWeight> {
    if text == "balanced" {
        return Ok(ClassWeight::Balanced);
    }
    let pair = |Entry { text, is_quoted }: &Entry| {
        let (class, weight) = text.rsplit_once('=')?;
        let weight: f64 = weight.trim().parse().ok()?;
        let class = if *is_quoted { class } else { class.trim() };
        (weight > 0.0 && weight.is_finite()).then(|| (class.to_owned(), weight))
    };
    entries("--class-weight", text)?.iter().map(pair).collect::<Option<Vec<_>>>().map(ClassWeight::Given).ok_or_else(|| {
        Error::usage(
            format!("--class-weight {text} is not understood"),
            "Say `balanced`, or a positive weight for each value of the label, such as --class-weight true=10,false=1.",
        )
    })
}

/// The strengths of a path in a file of text, descending: a number on each line.
///
/// # Errors
/// Of kind `Usage` if it cannot be read, or a line is no number.
pub(super) fn strengths_in(path: &Path) -> Result<Vec<f64>> {
    let shown = path.display();
    let way_out = "Name a file of text with a positive number on each line.";
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Error::usage(format!("--lambdas {shown} cannot be read: {cause}"), way_out).from_error(cause)
    })?;
    let mut strengths = Vec::new();
    for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        match line.parse::<f64>() {
            Ok(strength) if strength > 0.0 && strength.is_finite() => strengths.push(strength),
            _ => {
                return Err(Error::usage(
                    format!("--lambdas {shown}: line {}, `{}`, is no strength of a penalty", number + 1, plain(line)),
                    way_out,
                ));
            }
        }
    }
    strengths.sort_by(|a, b| b.total_cmp(a));
    strengths.dedup();
    if strengths.is_empty() {
        return Err(Error::usage(format!("--lambdas {shown} has no numbers"), way_out));
    }
    Ok(strengths)
}
