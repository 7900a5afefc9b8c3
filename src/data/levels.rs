//! Columns as categories: which levels they have, and the code of each row's level.
//!
//! A column is decoded once: its values become codes in the order in which they are met, row group by row group, and
//! when all are known the codes are those of the sorted levels. The cut of the rows into files and row groups
//! therefore shows in nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use rayon::prelude::*;

use super::class::{Class, Level, level_name, parse_class};
use super::coder::{Coder, MISSING, UNSEEN, Value};
use super::decode::{Job, Part, decode, jobs};
use super::field::{Field, Kind};
use super::scan::{Batch, by_partition};
use super::table::Table;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, listed, nearest, plain, proposed, visible};

/// Most levels that codes have room for.
pub const MOST_LEVELS: usize = 65_000;

/// Memory of the codes of all rows, two bytes each, at most; beyond that their columns are decoded again when the table
/// is read.
const CODES_BYTES: usize = 512 << 20;

/// A category of a plan.
#[derive(Clone, Debug)]
pub(super) struct CategoryPlan {
    /// Index of its column in the table.
    pub(super) column: usize,
    /// Whether the user named it, or a pattern that means it.
    pub(super) is_named: bool,
    /// Its levels in the order of their codes, the reference first; empty until they were looked for.
    pub(super) levels: Vec<Level>,
    /// Rows of each level.
    pub(super) rows: Vec<u64>,
    /// The codes of all rows, by row group, if memory had room for them.
    codes: Option<Arc<Vec<Vec<u16>>>>,
}

impl CategoryPlan {
    pub(super) fn new(column: usize, is_named: bool) -> Self {
        Self { column, is_named, levels: Vec::new(), rows: Vec::new(), codes: None }
    }

    /// Levels beside the reference.
    pub(super) fn features(&self) -> usize {
        self.levels.len().saturating_sub(1)
    }
}

/// Why a value cannot be a level.
#[derive(Clone, Copy)]
enum Bad {
    Infinite,
    /// An integer or decimal that f64 cannot tell apart from its neighbours.
    Inexact,
}

impl Bad {
    /// What is bad about a level of `field`, if something is.
    fn of(class: &Class, field: &Field) -> Option<Self> {
        let Class::Number(number) = class else { return None };
        let scale = match field.arrow_type {
            DataType::Int64 | DataType::UInt64 => 0,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => scale,
            _ => return number.is_infinite().then_some(Self::Infinite),
        };
        (number.abs() * 10.0_f64.powi(scale.into()) >= EXACT_INTEGERS).then_some(Self::Inexact)
    }
}

/// Whether a value of `field` may be one of several that f64 cannot tell apart.
pub(super) fn is_inexact(class: &Class, field: &Field) -> bool {
    matches!(Bad::of(class, field), Some(Bad::Inexact))
}

/// 2^53: from here on f64 skips integers.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// What a job found of a column in its row group.
#[derive(Default)]
struct Found {
    /// In the order in which they were met.
    levels: Vec<Class>,
    rows: Vec<u64>,
    missing: u64,
    first_missing: Vec<usize>,
    /// The first row whose value cannot be a level.
    first_bad: Option<(usize, Bad)>,
    /// By the places in `levels`, if they are kept.
    codes: Vec<u16>,
}

/// What is to be found out of the categories of a plan.
pub(super) struct Search<'s> {
    /// Levels that a column may have.
    pub(super) most: usize,
    /// What the rows count as: their weights, where these are counts.
    pub(super) counted: f64,
    /// Whether rows without a value have a level of their own.
    pub(super) with_missing: bool,
    /// Whether rows without a value are left out later.
    pub(super) leaves_missing_out: bool,
    /// Columns and the level that is their reference.
    pub(super) references: &'s [(String, String)],
}

/// What a search made of the categories of a plan.
pub(super) struct Levels {
    /// Those that have levels.
    pub(super) usable: Vec<CategoryPlan>,
    /// Those that have too many, and how many they may have.
    pub(super) crowded: Vec<(String, usize)>,
    /// Notes on those that have one value only.
    pub(super) notes: Vec<String>,
}

/// Columns that nobody named are categories if a level has this many rows on average: names and addresses tell rows
/// apart and nothing else.
const ROWS_A_LEVEL: f64 = 10.0;

/// So few levels are those of a factor, however few the rows. Without it every coefficient would be that of another model.
const ALWAYS: usize = 20;

impl Search<'_> {
    /// Levels that the column of a category may have.
    fn most(&self, category: &CategoryPlan) -> usize {
        if category.is_named { self.most } else { self.most.min(((self.counted / ROWS_A_LEVEL) as usize).max(ALWAYS)) }
    }

    /// Looks for the levels of `categories`.
    pub(super) fn run(&self, table: &Table, categories: &[CategoryPlan], monitor: &dyn Monitor) -> Result<Levels> {
        let keep = has_room(table, categories.len());
        let found = self.look(table, categories, keep, monitor)?;
        let (mut usable, mut crowded, mut constant) = (Vec::new(), Vec::new(), Vec::new());
        for (category, found) in categories.iter().zip(found) {
            let field = &table.fields[category.column];
            let most = self.most(category);
            let merged = match found {
                None => None,
                Some(found) => self.merge(table, category, found, most, keep)?,
            };
            match merged {
                Some(merged) if merged.levels.len() > 1 => usable.push(merged),
                Some(merged) => {
                    let always =
                        merged.levels.first().map_or_else(|| "missing".into(), |level| visible(&level_name(level)));
                    constant.push(format!("{} (always {always})", field.name));
                }
                None if category.is_named => {
                    return Err(Error::data(
                        format!(
                            "column `{}` has more than {}: too many for a category",
                            plain(&field.name),
                            counted(most as u64, "level")
                        ),
                        format!(
                            "Group them upstream, leave the column out with ⟦ignore⟧, or raise ⟦max-levels⟧ (up to \
                             {MOST_LEVELS})."
                        ),
                    ));
                }
                None => crowded.push((field.name.clone(), most)),
            }
        }
        let mut notes = Vec::new();
        if !constant.is_empty() {
            notes.push(format!("constant, left out: {}", listed(&constant)));
        }
        for (name, _) in self.references {
            if !usable.iter().any(|category| table.fields[category.column].name == *name) {
                if table.find(name)?.is_none() {
                    return Err(
                        table.no_column(format!("⟦reference {}⟧: there is no such column", plain(name)), &[name])
                    );
                }
                return Err(Error::data(
                    format!("⟦reference {}⟧: that column is no category of this model", plain(name)),
                    "Name a column of text among the features, or one that ⟦categorical⟧ names.",
                ));
            }
        }
        Ok(Levels { usable, crowded, notes })
    }

    /// Looks for the classes of a label.
    pub(super) fn classes(&self, table: &Table, label: &CategoryPlan, monitor: &dyn Monitor) -> Result<CategoryPlan> {
        let keep = has_room(table, 1);
        let field = &table.fields[label.column];
        let found = self.look(table, std::slice::from_ref(label), keep, monitor)?.pop().flatten();
        if let Some(found) = &found
            && !self.leaves_missing_out
        {
            let rows: u64 = found.iter().map(|found| found.missing).sum();
            if rows > 0 {
                return Err(missing(table, field, rows, &first_missing(found)));
            }
        }
        let merged = found.map(|found| self.merge(table, label, found, self.most, keep)).transpose()?.flatten();
        merged.ok_or_else(|| {
            Error::data(
                format!("the label `{}` has more than {} classes", plain(&field.name), self.most),
                "Group them upstream: a softmax has weights for each class, and each class needs rows.",
            )
        })
    }

    /// What each row group has of the levels of `categories`; `None` for one with more levels than it may have.
    fn look(
        &self,
        table: &Table,
        categories: &[CategoryPlan],
        keep: bool,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Option<Vec<Found>>>> {
        let columns: Vec<usize> = categories.iter().map(|category| category.column).collect();
        let too_many: Vec<AtomicBool> = columns.iter().map(|_| AtomicBool::new(false)).collect();
        monitor.begin("levels", Some((table.rows * columns.len()) as u64));
        let found: Vec<(Job, Vec<Found>)> = jobs(table, &columns)
            .into_par_iter()
            .map(|job| {
                let mut coders: Vec<(Coder, Found)> = job.places.clone().map(|_| Default::default()).collect();
                let is_done = || too_many[job.places.clone()].iter().all(|done| done.load(Ordering::Relaxed));
                if is_done() {
                    return Ok((job, Vec::new()));
                }
                decode(table, &Part::whole(job.group), &columns[job.places.clone()], |before, arrays| {
                    monitor.check()?;
                    for ((place, array), (coder, found)) in job.places.clone().zip(arrays).zip(&mut coders) {
                        if !too_many[place].load(Ordering::Relaxed) {
                            let most = self.most(&categories[place]);
                            let field = &table.fields[columns[place]];
                            let is_over = found.take(coder, field, job.first_row + before, array, most)?;
                            too_many[place].fetch_or(is_over, Ordering::Relaxed);
                        }
                        if !keep {
                            found.codes.clear();
                        }
                        monitor.advance(array.len() as u64);
                    }
                    Ok(())
                })?;
                Ok((job, coders.into_iter().map(|(_, found)| found).collect()))
            })
            .collect::<Result<_>>()?;
        monitor.end();
        // By column, each row group after the other.
        let mut by_column: Vec<Vec<Found>> = columns.iter().map(|_| Vec::new()).collect();
        for (job, found) in found {
            for (place, found) in job.places.zip(found) {
                by_column[place].push(found);
            }
        }
        Ok(by_column
            .into_iter()
            .zip(too_many)
            .map(|(found, too_many)| (!too_many.into_inner()).then_some(found))
            .collect())
    }

    /// One category out of what was found in its row groups; `None` if there are more levels than `most`, whatever else
    /// there is to say of the column: it may be that in one row group already.
    fn merge(
        &self,
        table: &Table,
        category: &CategoryPlan,
        found: Vec<Found>,
        most: usize,
        keep: bool,
    ) -> Result<Option<CategoryPlan>> {
        let field = &table.fields[category.column];
        let missing: u64 = found.iter().map(|found| found.missing).sum();
        let mut levels: Vec<&Class> = found.iter().flat_map(|found| &found.levels).collect();
        levels.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        levels.dedup();
        let of_missing = missing > 0 && self.with_missing;
        if levels.len() + usize::from(of_missing) > most {
            return Ok(None);
        }
        if let Some((row, bad)) = found.iter().find_map(|found| found.first_bad) {
            let row = table.row_names(&[row]);
            let (what, way_out) = match bad {
                Bad::Infinite => ("infinite", "Correct it upstream: infinite values are no levels."),
                Bad::Inexact => {
                    ("beyond 9e15 (2^53), where f64 cannot tell integers apart,", "Write the column as text upstream.")
                }
            };
            return Err(Error::data(
                format!("category `{}` is {what} in row {row}, from 0", plain(&field.name)),
                way_out,
            ));
        }
        self.check_missing(table, field, &found)?;
        let mut levels: Vec<Level> = levels.into_iter().cloned().map(Some).collect();
        if of_missing {
            levels.push(None);
        }
        self.put_reference_first(field, &mut levels)?;
        let mut rows = vec![0; levels.len()];
        let coder = Coder::of(&levels);
        let code_of = |class: &Class| -> u16 {
            let value = if let Class::Text(text) = class { Value::Text(text) } else { Value::Other(class) };
            coder.get(value).expect("every level that was found is among them")
        };
        let mut codes = Vec::with_capacity(if keep { found.len() } else { 0 });
        for mut found in found {
            let new: Vec<u16> = found.levels.iter().map(code_of).collect();
            for (code, count) in new.iter().zip(&found.rows) {
                rows[usize::from(*code)] += count;
            }
            if let Some(code) = coder.missing {
                rows[usize::from(code)] += found.missing;
            }
            if keep {
                let missing = coder.missing.unwrap_or(MISSING);
                found.codes.iter_mut().for_each(|code| *code = new.get(usize::from(*code)).copied().unwrap_or(missing));
                codes.push(found.codes);
            }
        }
        Ok(Some(CategoryPlan { levels, rows, codes: keep.then(|| Arc::new(codes)), ..*category }))
    }

    /// An error if rows without a value are neither a level nor left out.
    fn check_missing(&self, table: &Table, field: &Field, found: &[Found]) -> Result<()> {
        let missing: u64 = found.iter().map(|found| found.missing).sum();
        if missing == 0 || self.with_missing || self.leaves_missing_out {
            return Ok(());
        }
        Err(Error::data(
            format!(
                "category `{}` is missing (null) in {}; first rows, from 0: {}",
                plain(&field.name),
                counted(missing, "row"),
                table.row_names(&first_missing(found))
            ),
            "A category has no mean that could stand in. Say ⟦nulls drop-row⟧ to leave those rows out, or ⟦nulls⟧ \
             indicator to give them a level of their own.",
        ))
    }

    /// The reference is the first of the sorted levels, or the one that was asked for.
    fn put_reference_first(&self, field: &Field, levels: &mut [Level]) -> Result<()> {
        let Some((_, wanted)) = self.references.iter().find(|(name, _)| *name == field.name) else { return Ok(()) };
        let of_missing = levels.iter().position(Option::is_none).filter(|_| *wanted == level_name(&None));
        // A text may be called as rows without a value are.
        let place = if of_missing.is_some() || *wanted == level_name(&None) && field.kind != Kind::Text {
            of_missing
        } else {
            let class = parse_class("⟦reference⟧", wanted, field)?;
            levels.iter().position(|level| level.as_ref() == Some(&class))
        };
        let Some(place) = place else {
            let names: Vec<String> = levels.iter().map(level_name).collect();
            let near = nearest(wanted, names.iter().map(String::as_str));
            let question = near.map_or_else(String::new, |near| {
                format!("Did you mean {}? ", proposed("reference", &format!("{}={near}", field.name)))
            });
            let shown: Vec<String> = names.iter().map(|name| visible(name)).collect();
            return Err(Error::data(
                format!("⟦reference {}={}⟧: the column has no such level", plain(&field.name), plain(wanted)),
                format!("{question}Its levels are: {}", listed(&shown)),
            ));
        };
        levels[..=place].rotate_right(1);
        Ok(())
    }
}

/// Whether memory has room for the codes of so many columns.
fn has_room(table: &Table, columns: usize) -> bool {
    table.rows * columns * size_of::<u16>() <= CODES_BYTES
}

/// The first rows without a value.
fn first_missing(found: &[Found]) -> Vec<usize> {
    found.iter().flat_map(|found| &found.first_missing).copied().take(5).collect()
}

impl Found {
    /// Takes the values of rows from `first_row` on; whether there are more levels than `most` now.
    fn take(
        &mut self,
        coder: &mut Coder,
        field: &Field,
        first_row: usize,
        array: &ArrayRef,
        most: usize,
    ) -> Result<bool> {
        let (before, known) = (self.codes.len(), self.levels.len());
        coder.learn(array, field.kind, &mut self.levels, most, &mut self.codes)?;
        let is_over = self.levels.len() > most;
        self.rows.resize(self.levels.len(), 0);
        for (row, code) in self.codes[before..].iter().enumerate() {
            match *code {
                MISSING => {
                    self.missing += 1;
                    if self.first_missing.len() < 5 {
                        self.first_missing.push(first_row + row);
                    }
                }
                UNSEEN => {}
                code => self.rows[usize::from(code)] += 1,
            }
        }
        if self.first_bad.is_none() {
            // Levels are in the order in which they were met.
            let mut new = self.levels.iter().enumerate().skip(known);
            let bad = new.find_map(|(place, class)| Some((place, Bad::of(class, field)?)));
            self.first_bad = bad.and_then(|(place, bad)| {
                let row = self.codes[before..].iter().position(|code| usize::from(*code) == place)?;
                Some((first_row + row, bad))
            });
        }
        Ok(is_over)
    }
}

/// Hands the codes of all rows of a category to `take`, row group by row group from several threads: first row, codes.
/// They come from memory, or the column is decoded again.
pub(super) fn for_each_codes(
    table: &Table,
    category: &CategoryPlan,
    monitor: &dyn Monitor,
    take: impl Fn(usize, &[u16]) -> Result<()> + Sync,
) -> Result<()> {
    if let Some(codes) = &category.codes {
        return table.groups.par_iter().zip(codes.par_iter()).try_for_each(|(group, codes)| {
            monitor.check()?;
            monitor.advance(codes.len() as u64);
            take(group.first_row, codes)
        });
    }
    let kind = table.fields[category.column].kind;
    let coder = Coder::of(&category.levels);
    let read = |codes: &mut Vec<u16>, batch: &Batch<'_>| {
        codes.clear();
        coder.codes(&batch.array(0)?, kind, codes)?;
        known(table, category, batch.first_row, codes)?;
        monitor.advance(codes.len() as u64);
        take(batch.first_row, codes)
    };
    by_partition(table, &[category.column], monitor, |_| Vec::new(), read).map(drop)
}

/// The label is missing in so many rows, of which these are the first.
pub(super) fn missing(table: &Table, field: &Field, rows: u64, first: &[usize]) -> Error {
    Error::data(
        format!(
            "the label `{}` is missing (null or NaN) in {}, from 0: {}",
            plain(&field.name),
            counted(rows, "row"),
            table.row_names(first)
        ),
        "Leave those rows out with ⟦nulls drop-row⟧; a row without its label teaches nothing.",
    )
}

/// An error if a code is none of the levels that the category had when it was looked at first.
pub(super) fn known(table: &Table, category: &CategoryPlan, first_row: usize, codes: &[u16]) -> Result<()> {
    match codes.iter().position(|code| usize::from(*code) >= category.levels.len()) {
        None => Ok(()),
        Some(row) => Err(new_value(table, category.column, first_row + row)),
    }
}

/// The error for a row of a category with a value that was nowhere when it was looked at first.
pub(super) fn new_value(table: &Table, column: usize, row: usize) -> Error {
    Error::data(
        format!(
            "{}: column `{}` has a value in row {}, from 0, that it had nowhere when it was read first",
            table.name(),
            plain(&table.fields[column].name),
            table.row_names(&[row])
        ),
        table.changed_way_out(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::array::StringArray;
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn codes_that_are_decoded_again_are_those_that_were_kept() {
        let texts = ["d", "b", "a", "b", "c", "a", "d", "d", "c", "a"];
        let array: ArrayRef =
            Arc::new((0..10).map(|row| (row % 4 != 1).then_some(texts[row])).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("g", array)]).expect("one column");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3)).build();
        let mut writer = ArrowWriter::try_new(file.as_file(), batch.schema(), Some(properties)).expect("a schema");
        writer.write(&batch).and_then(|()| writer.close()).expect("it is written");
        let table = Table::open(file.path()).expect("a table");
        let search = Search { most: 9, counted: 10.0, with_missing: true, leaves_missing_out: false, references: &[] };
        let found = search.run(&table, &[CategoryPlan::new(0, true)], &Silent).expect("levels").usable;
        let [kept] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(kept.levels.iter().map(level_name).collect::<Vec<_>>(), ["a", "b", "c", "d", "(null)"]);
        assert_eq!(kept.rows, [1, 1, 2, 3, 3]);
        assert_eq!(kept.codes.as_ref().map(|codes| codes.len()), Some(4), "row groups");
        let of = |category: &CategoryPlan| {
            let codes = Mutex::new(vec![UNSEEN; 10]);
            for_each_codes(&table, category, &Silent, |first_row, some| {
                codes.lock().expect("no panic")[first_row..][..some.len()].copy_from_slice(some);
                Ok(())
            })
            .expect("codes");
            codes.into_inner().expect("no panic")
        };
        let expected = [3, 4, 0, 1, 2, 4, 3, 3, 2, 4];
        assert_eq!(of(kept), expected);
        assert_eq!(of(&CategoryPlan { codes: None, ..kept.clone() }), expected);
        // A level that was not there at first is an error.
        let levels = kept.levels[..3].to_vec();
        let fewer = CategoryPlan { codes: None, levels, ..kept.clone() };
        assert!(for_each_codes(&table, &fewer, &Silent, |_, _| Ok(())).is_err());
    }
}
