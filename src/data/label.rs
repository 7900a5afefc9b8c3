//! The label: its classes, which of two is positive or which of several the reference, and what to say when that is not
//! clear.

use arrow::array::{Array, ArrayRef};
use rayon::prelude::*;

use super::class::{Class, Level, for_each_class, parse_class};
use super::coder::Coder;
use super::decode::{Part, decode, jobs};
use super::field::{Field, Kind};
use super::levels::{CategoryPlan, Search, for_each_codes, is_inexact, missing};
use super::numbers::to_f64;
use super::scan::{Batch, by_partition};
use super::table::Table;
use super::{Column, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, lines, listed, nearest, plain, proposed, shell, visible};

/// The label of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The column's name.
    pub column: String,
    /// The negative class and the positive one; of a softmax all classes, the reference first.
    pub classes: Vec<Class>,
    /// Rows of each class.
    pub counts: Vec<u64>,
    /// Whether the model is a softmax over the classes.
    pub is_softmax: bool,
}

impl Label {
    /// Turns values into the places of their classes.
    pub(super) fn coder(&self) -> Coder {
        let levels: Vec<Level> = self.classes.iter().cloned().map(Some).collect();
        Coder::of(&levels)
    }

    /// The classes, the first ones of many.
    pub(super) fn list(&self) -> String {
        let names: Vec<String> = self.classes.iter().map(|class| visible(&class.to_string())).collect();
        listed(&names)
    }

    fn binary(column: &str, classes: [&Class; 2], counts: [u64; 2]) -> Self {
        let classes = classes.map(Clone::clone).into();
        Self { column: column.into(), classes, counts: counts.into(), is_softmax: false }
    }
}

/// Classes that a softmax may have.
pub const MOST_CLASSES: usize = 1000;

/// Values that are told apart before the rest is only counted.
const MAX_VALUES: usize = 8;

/// Distinct values of a column, as far as they were told apart.
#[derive(Clone, Debug, Default)]
struct Values {
    counts: Vec<(Class, u64)>,
    /// Rows with a value beyond the first [`MAX_VALUES`].
    others: u64,
    missing: u64,
    first_missing: Vec<usize>,
}

impl Values {
    fn add(&mut self, class: &Class, count: u64) {
        if let Some((_, counted)) = self.counts.iter_mut().find(|(known, _)| known == class) {
            *counted += count;
        } else if self.counts.len() < MAX_VALUES {
            self.counts.push((class.clone(), count));
        } else {
            self.others += count;
        }
    }

    fn add_missing(&mut self, row: usize) {
        self.missing += 1;
        if self.first_missing.len() < 5 {
            self.first_missing.push(row);
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        for (class, count) in &other.counts {
            self.add(class, *count);
        }
        self.others += other.others;
        self.missing += other.missing;
        self.first_missing.extend(&other.first_missing);
        self.first_missing.truncate(5);
        self
    }

    /// `false (838 rows), true (623 rows)`.
    fn list(&self) -> String {
        let mut sorted = self.counts.clone();
        sorted.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let (shown, rest) = sorted.split_at(if self.others > 0 { 3 } else { sorted.len() });
        let mut texts: Vec<String> = shown
            .iter()
            .map(|(class, count)| format!("{} ({})", visible(&class.to_string()), counted(*count, "row")))
            .collect();
        let others = self.others + rest.iter().map(|(_, count)| count).sum::<u64>();
        if others > 0 {
            texts.push(format!("others ({})", counted(others, "row")));
        }
        listed(&texts)
    }
}

/// Pairs of texts, in any case, that say themselves which of them is the positive class: the second.
const EVIDENT: [[&str; 2]; 6] = [["no", "yes"], ["false", "true"], ["n", "y"], ["f", "t"], ["0", "1"], ["-1", "1"]];

/// Whether two values, in whichever order, say themselves which of them is the positive class.
fn is_evident(a: &Class, b: &Class) -> bool {
    let is_pair = |a: &Class, b: &Class| match (a, b) {
        (Class::Boolean(a), Class::Boolean(b)) => a != b,
        (Class::Number(_), Class::Number(_)) => {
            [0.0, -1.0].iter().any(|no| *a == Class::Number(*no)) && *b == Class::Number(1.0)
        }
        (Class::Text(a), Class::Text(b)) => {
            EVIDENT.iter().any(|[no, yes]| a.eq_ignore_ascii_case(no) && b.eq_ignore_ascii_case(yes))
        }
        _ => false,
    };
    is_pair(a, b) || is_pair(b, a)
}

/// The label column of a request, checked against the schema, with the class that counts as positive.
#[derive(Clone, Debug)]
pub(super) struct LabelPlan {
    pub(super) column: usize,
    positive: Option<Class>,
    /// The user asked for a softmax.
    multinomial: bool,
    /// The values as levels, once they were looked for: of texts, and for a softmax.
    found: Option<CategoryPlan>,
}

impl LabelPlan {
    pub(super) fn new(
        table: &Table,
        name: Option<&str>,
        positive: Option<&str>,
        multinomial: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let Some(name) = name else {
            let found = candidates(table, monitor)?;
            let example = found.first().and_then(|(field, values)| command(table, field, values));
            let way_out =
                example.map_or_else(|| "Name it with ⟦label COL⟧.".into(), |command| format!("For example: {command}"));
            return Err(Error::usage(
                format!("which column is the label? ⟦label⟧ is missing; {}", describe(&found)),
                way_out,
            ));
        };
        let Some(column) = table.find_shared(name)? else {
            let found = candidates(table, monitor)?;
            let fact = format!("{} has no column `{}` for the label; {}", table.name(), plain(name), describe(&found));
            return Err(table.no_column(fact, &[name]));
        };
        let field = &table.fields[column];
        if matches!(field.kind, Kind::Unusable | Kind::Time) {
            return Err(Error::data(
                format!("the label `{name}` is of type {}, which has no classes", plain(&field.data_type)),
                "Use a column of booleans, numbers or texts.",
            ));
        }
        if multinomial && positive.is_some() {
            return Err(Error::usage(
                "⟦multinomial⟧ and ⟦positive⟧ exclude each other",
                format!(
                    "A softmax has no positive class; {}VALUE names the one that others are compared with.",
                    proposed("reference", &format!("{name}="))
                ),
            ));
        }
        let positive = positive.map(|text| parse_class("⟦positive⟧", text, field)).transpose()?;
        Ok(Self { column, positive, multinomial, found: None })
    }

    /// Looks for the classes where they are not known to be two: of texts, and where the user asked for a softmax.
    /// `references` name the class that the others are compared with, if the label is among them.
    pub(super) fn find_classes(
        &mut self,
        table: &Table,
        leaves_missing_out: bool,
        references: &[(String, String)],
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let field = &table.fields[self.column];
        self.found = None;
        if self.multinomial || field.kind == Kind::Text {
            let counted = table.rows as f64;
            let search = Search { most: MOST_CLASSES, counted, with_missing: false, leaves_missing_out, references };
            self.found = Some(search.classes(table, &CategoryPlan::new(self.column, true), monitor)?);
        }
        if !references.is_empty() && !self.is_softmax() {
            return Err(Error::usage(
                format!("⟦reference {}⟧: the label of a model of two classes has no reference", plain(&field.name)),
                "Say with ⟦positive⟧ which class is the positive one.",
            ));
        }
        Ok(())
    }

    /// Whether the model is a softmax over the classes.
    pub(super) fn is_softmax(&self) -> bool {
        self.found.as_ref().is_some_and(|found| self.multinomial && found.levels.len() > 1 || found.levels.len() > 2)
    }

    /// The classes of a softmax, the reference first.
    pub(super) fn softmax_classes(&self) -> Option<Vec<&Class>> {
        self.found.as_ref().filter(|_| self.is_softmax()).map(|found| found.levels.iter().flatten().collect())
    }

    /// The number of classes of a softmax.
    pub(super) fn classes(&self) -> Option<usize> {
        self.found.as_ref().filter(|_| self.is_softmax()).map(|found| found.levels.len())
    }

    /// Decodes the label into `store`: as 0 and 1, or of a softmax as the codes of its classes.
    pub(super) fn load(&self, table: &Table, store: &dyn Store, monitor: &dyn Monitor) -> Result<Label> {
        let field = &table.fields[self.column];
        if let Some(found) = &self.found {
            return self.load_codes(table, field, found, store, monitor);
        }
        let read = |(values, numbers, labels): &mut (Values, Vec<f64>, Vec<f32>), batch: &Batch<'_>| {
            let array = &batch.array(0)?;
            labels.clear();
            if !self.take_two_numbers(array, field.kind, numbers, values, labels)? {
                for_each_class(array, field.kind, |row, class| match class {
                    None => {
                        labels.push(0.0);
                        values.add_missing(batch.first_row + row);
                    }
                    Some(class) => {
                        labels.push(f32::from(u8::from(self.is_positive(&class))));
                        values.add(&class, 1);
                    }
                })?;
            }
            monitor.advance(labels.len() as u64);
            store.write(Column::Label, batch.first_row, labels)
        };
        let parts = by_partition(table, &[self.column], monitor, |_| Default::default(), read)?;
        let values = parts.iter().fold(Values::default(), |values, (part, ..)| values.merge(part));
        self.check(table, field, &values)
    }

    /// The same from the codes of values that were looked for.
    fn load_codes(
        &self,
        table: &Table,
        field: &Field,
        found: &CategoryPlan,
        store: &dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<Label> {
        let classes: Vec<Class> = found.levels.iter().flatten().cloned().collect();
        let label = if self.is_softmax() {
            if let Some(positive) = &self.positive {
                return Err(Error::usage(
                    format!("⟦positive {positive}⟧: the label `{}` has {} classes", plain(&field.name), classes.len()),
                    "Leave it out for a softmax over all of them, or make a column of two values upstream (this class \
                     against the rest).",
                ));
            }
            Label { column: field.name.clone(), classes, counts: found.rows.clone(), is_softmax: true }
        } else {
            let counts = classes.into_iter().zip(found.rows.iter().copied()).collect();
            self.check(table, field, &Values { counts, ..Values::default() })?
        };
        let labels: Vec<f32> = found
            .levels
            .iter()
            .enumerate()
            .map(|(code, class)| match class {
                Some(class) if !label.is_softmax => f32::from(u8::from(self.is_positive(class))),
                _ => code as f32,
            })
            .collect();
        for_each_codes(table, found, monitor, |first_row, codes| {
            let codes: Vec<f32> = codes.iter().map(|code| labels[usize::from(*code)]).collect();
            store.write(Column::Label, first_row, &codes)
        })?;
        Ok(label)
    }

    /// Takes a batch of booleans or numbers with at most two values and no missing ones, which is what labels nearly
    /// always are, without a look at each class; `false` and nothing taken if it is another one.
    #[expect(clippy::float_cmp, reason = "classes are the very numbers of the column")]
    fn take_two_numbers(
        &self,
        array: &ArrayRef,
        kind: Kind,
        numbers: &mut Vec<f64>,
        values: &mut Values,
        labels: &mut Vec<f32>,
    ) -> Result<bool> {
        let class = |number: f64| match kind {
            Kind::Boolean => Class::Boolean(number == 1.0),
            _ => Class::Number(number + 0.0),
        };
        if !matches!(kind, Kind::Boolean | Kind::Numeric) || array.null_count() > 0 {
            return Ok(false);
        }
        numbers.clear();
        to_f64(array, numbers)?;
        let Some(&first) = numbers.first() else { return Ok(true) };
        let other = numbers.iter().copied().find(|&number| number != first);
        let count = |value: f64| numbers.iter().filter(|&&number| number == value).count();
        let counts = [count(first), other.map_or(0, count)];
        if counts[0] + counts[1] != numbers.len() {
            return Ok(false);
        }
        let label = |number| f32::from(u8::from(self.is_positive(&class(number))));
        let (of_first, of_other) = (label(first), other.map_or(0.0, label));
        labels.extend(numbers.iter().map(|&number| if number == first { of_first } else { of_other }));
        values.add(&class(first), counts[0] as u64);
        if let Some(other) = other {
            values.add(&class(other), counts[1] as u64);
        }
        Ok(true)
    }

    fn is_positive(&self, class: &Class) -> bool {
        match &self.positive {
            Some(positive) => class == positive,
            None => match class {
                Class::Boolean(flag) => *flag,
                Class::Number(_) => *class == Class::Number(1.0),
                Class::Text(text) => EVIDENT.iter().any(|[_, yes]| text.eq_ignore_ascii_case(yes)),
            },
        }
    }

    fn check(&self, table: &Table, field: &Field, values: &Values) -> Result<Label> {
        let name = plain(&field.name);
        if values.missing > 0 {
            return Err(missing(table, field, values.missing, &values.first_missing));
        }
        if values.counts.iter().any(|(class, _)| is_inexact(class, field)) {
            return Err(Error::data(
                format!("the label `{name}` has values beyond 9e15 (2^53), where f64 cannot tell integers apart"),
                "Write the column as text upstream.",
            ));
        }
        let [(a, count_a), (b, count_b)] = values.counts.as_slice() else {
            let (fact, way_out) = if values.counts.len() == 1 {
                (
                    format!("the label `{name}` has one value only: {}", values.list()),
                    "Both classes must occur in the data.",
                )
            } else {
                let at_least = if values.others > 0 { "more than " } else { "" };
                (
                    format!("the label `{name}` has {at_least}{} values: {}", values.counts.len(), values.list()),
                    "If they are classes, say ⟦multinomial⟧ for a softmax over them. If it should have two, correct the \
                     others upstream, or leave their rows out with ⟦where⟧.",
                )
            };
            return Err(Error::data(fact, way_out));
        };
        if self.positive.is_none() && !is_evident(a, b) {
            return Err(Error::data(
                format!(
                    "the label `{name}` has the values {}; which of them is the positive class is not evident",
                    values.list()
                ),
                format!("Say it: {} (or {})", positive(b), positive(a)),
            ));
        }
        match (self.is_positive(a), self.is_positive(b)) {
            (false, true) => Ok(Label::binary(&field.name, [a, b], [*count_a, *count_b])),
            (true, false) => Ok(Label::binary(&field.name, [b, a], [*count_b, *count_a])),
            _ => {
                let wanted = self.positive.as_ref().map_or_else(String::new, ToString::to_string);
                let known = [a, b].map(Class::to_string);
                let near = nearest(&wanted, known.iter().map(String::as_str));
                let near = [a, b].into_iter().find(|class| near.is_some_and(|near| near == class.to_string()));
                Err(Error::data(
                    format!(
                        "⟦positive {}⟧ is no value of the label `{name}`, which has {}",
                        plain(&visible(&wanted)),
                        values.list()
                    ),
                    match near {
                        Some(class) => format!("Did you mean {}?", positive(class)),
                        None => format!("For example: {}", positive(b)),
                    },
                ))
            }
        }
    }
}

/// Rows that are looked at when columns that could be labels are listed.
const CANDIDATE_ROWS: usize = 100_000;

/// Columns with exactly two values in the first rows. What cannot be decoded is left out: this only
/// helps a message.
fn candidates<'t>(table: &'t Table, monitor: &dyn Monitor) -> Result<Vec<(&'t Field, Values)>> {
    let examine = |column: usize, field: &Field| {
        let mut values = Values::default();
        for job in jobs(table, &[column]) {
            if job.first_row >= CANDIDATE_ROWS {
                break;
            }
            let group = &table.groups[job.group];
            let rows = vec![group.range_of_all(0..group.rows.min(CANDIDATE_ROWS - job.first_row))];
            decode(table, &Part { rows: Some(rows), ..Part::whole(job.group) }, &[column], |_, arrays| {
                monitor.check()?;
                for_each_class(&arrays[0], field.kind, |row, class| match class {
                    None => values.add_missing(row),
                    Some(class) => values.add(&class, 1),
                })
            })
            .ok()?;
            if values.counts.len() > 2 {
                return None;
            }
        }
        (values.counts.len() == 2 && values.missing == 0).then_some(values)
    };
    let is_usable = |field: &Field| field.conflict.is_none() && !matches!(field.kind, Kind::Unusable | Kind::Time);
    let usable = table.fields.par_iter().enumerate().filter(|(_, field)| is_usable(field));
    let mut found: Vec<(&Field, Values)> =
        usable.filter_map(|(column, field)| Some((field, examine(column, field)?))).collect();
    // An interrupt is none of what cannot be decoded.
    monitor.check()?;
    // The likeliest first: booleans, then the most balanced.
    found.sort_by_key(|(field, values)| {
        let fewer = values.counts.iter().map(|(_, count)| *count).min();
        (field.kind != Kind::Boolean, std::cmp::Reverse(fewer))
    });
    found.truncate(10);
    Ok(found)
}

/// The setting that names a class as the positive one.
fn positive(class: &Class) -> String {
    proposed("positive", &class.to_string())
}

/// The command that trains on a column of two values, of rows that come from a file.
fn command(table: &Table, field: &Field, values: &Values) -> Option<String> {
    let path = table.files().first()?.path.display().to_string();
    // A name that begins as a flag does.
    let path = if path.starts_with('-') { format!("./{path}") } else { path };
    let mut command = format!("gpu-logreg train {} {}", shell(&path), proposed("label", &field.name));
    let mut classes: Vec<&Class> = values.counts.iter().map(|(class, _)| class).collect();
    classes.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    if let [a, b] = classes.as_slice()
        && !is_evident(a, b)
    {
        command = format!("{command} {}", positive(b));
    }
    Some(command)
}

fn describe(candidates: &[(&Field, Values)]) -> String {
    if candidates.is_empty() {
        return format!("no column has exactly two values in the first {CANDIDATE_ROWS} rows");
    }
    let texts: Vec<String> =
        candidates.iter().map(|(field, values)| format!("{}: {}", visible(&field.name), values.list())).collect();
    format!("columns with two values:{}", lines(&texts))
}
