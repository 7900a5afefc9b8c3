//! What `inspect` tells of a file: the columns of a Parquet file, or a model with its origin.

use std::fmt::Write;

use serde::Serialize;

use crate::data::inspect::{Bound, ColumnInfo, Inspection};
use crate::engine::storage::human;
use crate::model::{FileInfo, Model};
use crate::report::terminal::{cut, shortened};
use crate::wording::{command, listed, plain, visible};

/// Columns that a table shows unless all are asked for.
const SHOWN: usize = 40;

/// Files of a model that are named unless all are asked for.
const FILES: usize = 20;

/// Characters of a value that a table shows.
const VALUE_WIDTH: usize = 20;

/// What training on all features of a table takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Room {
    /// Columns that can be features.
    pub features: usize,
    /// Bytes on a GPU: features and labels as f32, and three numbers of 4 bytes a row for the solver.
    pub gpu_bytes: u64,
    /// Bytes in memory for the CPU: features and labels as f32, and two numbers of 8 bytes a row.
    pub cpu_bytes: u64,
}

/// A Parquet file as text, with the first columns or all of them.
pub fn parquet(file: &Inspection, room: &Room, all: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line("file", format!("{}: Parquet, {}", plain(&file.path), human(file.bytes)));
    let groups = &file.row_groups;
    line(
        "rows",
        match groups.count {
            1 => format!("{} in 1 row group", file.rows),
            count => {
                let [least, most] = groups.bytes.map(human);
                let [fewest, many] = groups.rows;
                format!("{} in {count} row groups of {fewest} to {many} rows, {least} to {most}", file.rows)
            }
        },
    );
    let labels = file.columns.iter().filter(|column| column.label).count();
    line(
        "columns",
        format!(
            "{}: {} can be features, {labels} the label (if there are two values)",
            file.columns.len(),
            room.features
        ),
    );
    line("written by", file.created_by.as_deref().map_or("? (the file does not say)".into(), plain));
    line("checksums", checksums(file.page_checksums).into());
    if !file.names_twice.is_empty() {
        line("note", format!("names that stand for two columns, and cannot be used: {}", listed(&file.names_twice)));
    }
    if room.features > 0 {
        line(
            "training",
            format!(
                "on all {} features keeps {} on a GPU, {} in memory on the CPU",
                room.features,
                human(room.gpu_bytes),
                human(room.cpu_bytes)
            ),
        );
    }
    let shown = if all { file.columns.len() } else { SHOWN.min(file.columns.len()) };
    let (shown, others) = file.columns.split_at(shown);
    let head = ["column", "type", "codec", "encodings", "nulls", "min", "max", "bytes", "of", "use"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(shown.iter().map(cells));
    text.push('\n');
    text += &aligned(&rows);
    if !others.is_empty() {
        let mut types: Vec<(&str, usize)> = Vec::new();
        for column in others {
            match types.iter_mut().find(|(name, _)| *name == column.data_type) {
                Some((_, count)) => *count += 1,
                None => types.push((&column.data_type, 1)),
            }
        }
        let types: Vec<String> = types.iter().map(|(name, count)| format!("{count} {}", shortened(name))).collect();
        writeln!(text, "... and {} others: {} (-v shows all)", others.len(), listed(&types))
            .expect("writing to a string");
    }
    text
}

/// The line of a column.
fn cells(column: &ColumnInfo) -> [String; 10] {
    let data_type = shortened(&column.data_type);
    let unknown = || "?".to_owned();
    let bound = |bound: &Option<Bound>| match bound {
        None => unknown(),
        // In quotes, so that an empty text and blanks can be seen.
        Some(Bound::Text(text)) => format!("{:?}", cut(text, VALUE_WIDTH)),
        Some(bound) => plain(&bound.to_string()),
    };
    let feature = if column.category { "category" } else { "feature" };
    let part = if column.label { format!("{feature}, label") } else { feature.into() };
    let uses = match (column.feature, column.label, &column.obstacle) {
        (true, _, None) => part,
        (true, _, Some(obstacle)) => format!("{part}; first {obstacle}"),
        (false, true, obstacle) => format!("label; for a feature {}", obstacle.as_deref().unwrap_or_default()),
        (false, false, obstacle) => format!("no: {}", obstacle.as_deref().unwrap_or_default()),
    };
    [
        shortened(&column.name),
        if column.is_plain {
            data_type
        } else {
            format!("{data_type} ({})", column.physical_types.join(", ").replace("FIXED_LEN_BYTE_ARRAY", "FIXED"))
        },
        column.codecs.iter().map(|codec| codec.to_lowercase()).collect::<Vec<_>>().join(", "),
        encodings(&column.encodings),
        column.nulls.map_or_else(unknown, |nulls| nulls.to_string()),
        bound(&column.min),
        bound(&column.max),
        human(column.compressed_bytes),
        human(column.uncompressed_bytes),
        uses,
    ]
}

/// The encodings in short. Levels are always RLE, so that says nothing beside another one.
fn encodings(names: &[String]) -> String {
    let mut short: Vec<&str> = Vec::new();
    for name in names {
        let name = match name.as_str() {
            "PLAIN_DICTIONARY" | "RLE_DICTIONARY" => "dict",
            "PLAIN" => "plain",
            "RLE" | "BIT_PACKED" if names.len() > 1 => continue,
            "RLE" => "rle",
            "DELTA_BINARY_PACKED" => "delta",
            "DELTA_LENGTH_BYTE_ARRAY" => "lengths",
            "DELTA_BYTE_ARRAY" => "prefixes",
            "BYTE_STREAM_SPLIT" => "split",
            other => other,
        };
        if !short.contains(&name) {
            short.push(name);
        }
    }
    short.join("+")
}

/// Columns side by side: numbers to the right, texts to the left.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    const RIGHT: std::ops::RangeInclusive<usize> = 4..=8;
    let width = |cell: usize| rows.iter().map(|row| row[cell].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            if RIGHT.contains(&index) {
                write!(line, "{cell:>width$}  ").expect("writing to a string");
            } else {
                write!(line, "{cell:<width$}  ").expect("writing to a string");
            }
        }
        writeln!(text, "{}", line.trim_end()).expect("writing to a string");
    }
    text
}

/// What the first page of a file shows of the checksums of its pages.
fn checksums(has: Option<bool>) -> &'static str {
    match has {
        Some(true) => "of pages: damage to them is found when they are read",
        Some(false) => {
            "none of pages: damage to them may go unseen (pyarrow writes them with write_page_checksum=True)"
        }
        None => "none: there is no page",
    }
}

/// A model that was read from `path`: where it comes from, and the table that `train` printed, with the largest of many
/// coefficients or all of them.
pub fn model(path: &str, model: &Model, all: bool) -> String {
    let training = &model.training;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<10} {value}").expect("writing to a string");
    line("file", &format!("{}: a model (version {} of the format)", plain(path), model.version));
    line("written by", &plain(&training.program));
    line("command", &plain(&command(&training.command)));
    let shown = if all { training.files.len() } else { FILES.min(training.files.len()) };
    for FileInfo { path, bytes, modified, page_checksums } in &training.files[..shown] {
        let modified = modified.map_or(String::new(), |seconds| format!(", changed {}", date(seconds)));
        let checksums = if *page_checksums == Some(false) { ", pages without checksums" } else { "" };
        line("trained on", &format!("{} ({}{modified}{checksums})", plain(path), human(*bytes)));
    }
    if let more @ 1.. = training.files.len() - shown {
        line("", &format!("and {more} more files (-v shows all)"));
    }
    // The table has the rows of several classes.
    if let Some(positives) = training.positives {
        let [negative, positive] = model.label.two().map(|class| plain(&visible(&class.to_string())));
        let prevalence = 100.0 * positives as f64 / training.rows as f64;
        line("prevalence", &format!("{prevalence:.4} % are {positive}, the others {negative}"));
    }
    let goal = match training.gradient_tolerance {
        _ if model.generative.is_some() => "Gaussian classes with one covariance, in closed form".into(),
        Some(gradient) => format!("until the gradient is {gradient:e}"),
        None => match training.gap_tolerance {
            Some(gap) => format!("until {gap:e} of the null deviance is left to gain"),
            None => format!("until {:e} standard errors from the optimum", training.tolerance),
        },
    };
    line("solver", &format!("{}, {goal}", plain(&training.solver)));
    for note in &training.notes {
        line("note", &plain(note));
    }
    for warning in &training.warnings {
        line("warning", &plain(warning));
    }
    text += &super::table(model, all);
    if let Some(means) = super::classes::means(model) {
        text = text + "\n" + &means;
    }
    text
}

/// Seconds since 1970 as a date and a time of day.
///
/// # Reference
/// Hinnant, "chrono-compatible low-level date algorithms": years from March on, in eras of 400.
fn date(seconds: u64) -> String {
    const DAYS_OF_ERA: u64 = 146_097;
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * era + year + next;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_dates() {
        // As `date -u -d @SECONDS` has them.
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn texts_are_cut_by_characters_and_escaped() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(plain("a\x1b[31mb\n"), "a\\u{1b}[31mb\\n");
    }

    #[test]
    fn levels_say_nothing_beside_values() {
        let names = |names: &[&str]| encodings(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["PLAIN", "RLE", "RLE_DICTIONARY"]), "plain+dict");
        assert_eq!(names(&["RLE"]), "rle");
    }
}
