//! Folds: parts of the rows that are held back in turn. Each row belongs to one *cell*; a fold holds one cell back and trains on
//! others.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::class::Class;
use super::coder::{Coder, MISSING, UNSEEN};
use super::field::{Field, Kind};
use super::parts::classes;
use super::scan::{Batch, Pace, scan};
use super::select::hash;
use super::table::Table;
use super::{Column, Plan, Store};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::wording::{counted, plain, visible};

/// Folds at most.
pub const MOST_FOLDS: usize = 100;

/// How many folds are usual.
pub const DEFAULT_FOLDS: usize = 10;

/// Up to so many groups each goes to the fold with the fewest rows; of more of them chance is as fair.
const MOST_GROUPS: usize = 1 << 20;

/// Rows between two places whose ranks in their cells are kept.
const STRIDE: usize = 4096;

/// How rows are dealt to folds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dealing {
    /// By chance, each class by itself: all folds have their share of it.
    #[default]
    Chance,
    /// By a column: a fold for each of its values.
    Column(String),
    /// By chance, rows with the same value of a column together.
    Groups(String),
    /// In the order of the rows, in one part more than there are folds: each part but the first is held back in turn, and the parts
    /// before it are trained on.
    Blocks,
}

impl Dealing {
    /// How, in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Chance => "by chance within each class".into(),
            Self::Column(name) => format!("by the values of {name}"),
            Self::Groups(name) => format!("by groups of {name}"),
            Self::Blocks => "in the order of the rows".into(),
        }
    }
}

/// Which folds the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldSpec {
    /// How many; of a column its values decide.
    pub count: usize,
    /// Makes chance repeatable.
    pub seed: u64,
    /// How rows are dealt.
    pub dealing: Dealing,
}

impl Default for FoldSpec {
    fn default() -> Self {
        Self { count: DEFAULT_FOLDS, seed: 0, dealing: Dealing::default() }
    }
}

impl FoldSpec {
    /// The column that says which rows belong together, which is no feature.
    pub fn column(&self) -> Option<&str> {
        match &self.dealing {
            Dealing::Column(name) | Dealing::Groups(name) => Some(name),
            Dealing::Chance | Dealing::Blocks => None,
        }
    }

    /// The setting that names the column.
    pub fn setting(&self) -> &'static str {
        match self.dealing {
            Dealing::Column(_) => "⟦fold-column⟧",
            Dealing::Groups(_) => "⟦fold-groups⟧",
            Dealing::Blocks => "⟦fold-blocks⟧",
            Dealing::Chance => "⟦folds⟧",
        }
    }

    /// # Errors
    /// Of kind `Usage` if there are too few of them, or too many.
    pub fn check(&self) -> Result<()> {
        if matches!(self.dealing, Dealing::Column(_)) || (2..=MOST_FOLDS).contains(&self.count) {
            return Ok(());
        }
        Err(Error::usage(
            format!("⟦folds {}⟧ is out of range", self.count),
            format!("Give a number from 2 to {MOST_FOLDS}, such as {DEFAULT_FOLDS}."),
        ))
    }
}

/// A part of the rows that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// What it is called: its number from 1 on, or the value of the column.
    pub name: String,
    /// The cell that is held back.
    pub held_back: usize,
    /// The cells that are trained on, ascending.
    pub trained_on: Vec<usize>,
}

/// The cell of each row.
#[derive(Clone, Debug)]
pub struct Cells {
    of_row: Vec<u8>,
    /// Rows of each cell before every so many rows, `[places][cells]`.
    before: Vec<usize>,
    /// Rows of each.
    rows: Vec<usize>,
}

/// Rows that were dealt.
#[derive(Clone, Debug)]
pub struct Folds {
    /// The folds.
    pub folds: Vec<Fold>,
    /// Where the rows are.
    pub cells: Cells,
}

impl Cells {
    fn new(of_row: Vec<u8>, count: usize) -> Self {
        let mut rows = vec![0; count];
        let mut before = Vec::with_capacity(count * of_row.len().div_ceil(STRIDE));
        for some in of_row.chunks(STRIDE) {
            before.extend(&rows);
            for cell in some {
                rows[usize::from(*cell)] += 1;
            }
        }
        Self { of_row, before, rows }
    }

    /// Rows of each cell.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The cells of some of the rows, ascending.
    #[must_use]
    pub fn of(&self, rows: &[usize]) -> Self {
        Self::new(rows.iter().map(|&row| self.of_row[row]).collect(), self.rows.len())
    }

    /// Rows of each cell before a row.
    fn before(&self, row: usize) -> Vec<usize> {
        let (place, count) = (row / STRIDE, self.rows.len());
        let mut before =
            self.before.get(place * count..(place + 1) * count).map_or_else(|| self.rows.clone(), <[_]>::to_vec);
        for cell in &self.of_row[(place * STRIDE).min(row)..row] {
            before[usize::from(*cell)] += 1;
        }
        before
    }
}

/// A store whose rows lie cell by cell.
pub struct InCells<'s> {
    all: Box<dyn Store + 's>,
    cells: &'s Cells,
    /// The first row of each cell.
    starts: Vec<usize>,
}

impl<'s> InCells<'s> {
    /// Writes rows of a table where their cells are in `all`.
    pub fn new(all: Box<dyn Store + 's>, cells: &'s Cells) -> Self {
        let starts = cells.rows.iter().scan(0, |end, rows| Some(std::mem::replace(end, *end + rows)));
        Self { all, cells, starts: starts.collect() }
    }
}

impl Store for InCells<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let mut of_cells: Vec<Vec<f32>> = vec![Vec::new(); self.starts.len()];
        for (cell, value) in self.cells.of_row[first_row..].iter().zip(values) {
            of_cells[usize::from(*cell)].push(*value);
        }
        let firsts = self.starts.iter().zip(self.cells.before(first_row)).map(|(start, before)| start + before);
        for (first, values) in firsts.zip(of_cells).filter(|(_, values)| !values.is_empty()) {
            self.all.write(column, first, &values)?;
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.all.settle()
    }
}

impl Folds {
    /// Deals the rows of a table whose columns are found.
    ///
    /// # Errors
    /// Of kind `Data` if a fold would have no rows, or leave too few classes to train on; if the column has missing values, or more
    /// values than there may be folds.
    pub fn deal(table: &Table, plan: &Plan, spec: &FoldSpec, monitor: &dyn Monitor) -> Result<Self> {
        spec.check()?;
        monitor.begin("folds", None);
        let labels = classes(table, plan.label.column, usize::from(MISSING), monitor)?.unwrap_or_default();
        let coder = Coder::of(&labels.iter().cloned().map(Some).collect::<Vec<_>>());
        let (names, of_row) = match &spec.dealing {
            Dealing::Chance => (numbers(spec.count), by_chance(table, plan, spec, &coder, labels.len(), monitor)?),
            Dealing::Blocks => {
                let parts = spec.count + 1;
                let part = |row: usize| (row as u128 * parts as u128 / table.rows as u128) as u8;
                (numbers(spec.count), (0..table.rows).map(part).collect())
            }
            Dealing::Column(name) => by_value(table, find(table, spec, name)?, monitor)?,
            Dealing::Groups(name) => (numbers(spec.count), by_group(table, spec, find(table, spec, name)?, monitor)?),
        };
        let is_in_order = spec.dealing == Dealing::Blocks;
        let count = names.len() + usize::from(is_in_order);
        let cells = Cells::new(of_row, count);
        let fold = |(place, name): (usize, String)| {
            let held_back = place + usize::from(is_in_order);
            let is_trained_on = |cell: &usize| if is_in_order { *cell < held_back } else { *cell != held_back };
            Fold { name, held_back, trained_on: (0..count).filter(is_trained_on).collect() }
        };
        let folds = Self { folds: names.into_iter().enumerate().map(fold).collect(), cells };
        folds.check(table, plan, spec, (&coder, &labels), monitor)?;
        monitor.end();
        Ok(folds)
    }

    /// What is wrong with them: one without rows, or one whose models would not know every class.
    fn check(
        &self,
        table: &Table,
        plan: &Plan,
        spec: &FoldSpec,
        (coder, labels): (&Coder, &[Class]),
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let named = |name: &str| match &spec.dealing {
            Dealing::Column(column) => format!("the fold {}={}", plain(column), visible(name)),
            _ => format!("fold {name}"),
        };
        if let Some(fold) = self.folds.iter().find(|fold| self.cells.rows[fold.held_back] == 0) {
            return Err(Error::data(
                format!("{} has no rows: there are {} in all", named(&fold.name), counted(table.rows as u64, "row")),
                "Ask for fewer ⟦folds⟧.",
            ));
        }
        let mut counts = vec![vec![0_usize; labels.len()]; self.cells.rows.len()];
        let mut row = 0;
        each_code(table, plan.label.column, coder, monitor, |codes| {
            for code in codes {
                if let Some(count) = counts[usize::from(self.cells.of_row[row])].get_mut(usize::from(*code)) {
                    *count += 1;
                }
                row += 1;
            }
            Ok(())
        })?;
        for fold in &self.folds {
            let seen = |class: usize| fold.trained_on.iter().any(|&cell| counts[cell][class] > 0);
            if let Some(class) = (0..labels.len()).find(|&class| !seen(class)) {
                return Err(Error::data(
                    format!(
                        "without {} there is no row with the label {} to train on",
                        named(&fold.name),
                        visible(&labels[class].to_string())
                    ),
                    match spec.dealing {
                        Dealing::Blocks => "Ask for fewer ⟦folds⟧: the first part of the rows must have every class.",
                        Dealing::Column(_) => {
                            "Give folds with rows of every class beside them; ⟦folds⟧ deals rows by chance."
                        }
                        _ => "Ask for fewer ⟦folds⟧, or give another ⟦seed⟧.",
                    },
                ));
            }
        }
        Ok(())
    }
}

fn numbers(count: usize) -> Vec<String> {
    (1..=count).map(|fold| fold.to_string()).collect()
}

/// The column that a setting names.
fn find(table: &Table, spec: &FoldSpec, name: &str) -> Result<usize> {
    table
        .find_shared(name)?
        .ok_or_else(|| table.no_column(format!("{} {}: there is no such column", spec.setting(), plain(name)), &[name]))
}

/// An error if values of a column cannot say which rows belong together.
pub(super) fn check_column(field: &Field, spec: &FoldSpec) -> Result<()> {
    let are_dates_known = matches!(spec.dealing, Dealing::Groups(_));
    if matches!(field.kind, Kind::Boolean | Kind::Numeric | Kind::Text) || are_dates_known && field.kind == Kind::Time {
        return Ok(());
    }
    Err(Error::data(
        format!("{} {}: it is of type {}", spec.setting(), plain(&field.name), plain(&field.data_type)),
        "Name a column of numbers, booleans or text.",
    ))
}

/// Goes through the codes of a column in the order of the rows.
fn each_code(
    table: &Table,
    column: usize,
    coder: &Coder,
    monitor: &dyn Monitor,
    take: impl FnMut(&[u16]) -> Result<()>,
) -> Result<()> {
    let kind = table.fields[column].kind;
    let mut take = take;
    let code = |(): &mut (), codes: &mut Vec<u16>, batch: &Batch<'_>| coder.codes(&batch.array(0)?, kind, codes);
    scan(table, &[column], Pace::of(&[column]), monitor, || (), Vec::new, code, |codes| take(&codes))
}

/// Of every K rows of a class one goes to each fold, by a permutation that is drawn for them. What is left of the classes is dealt in
/// one round, so that the folds differ by a row at most.
fn by_chance(
    table: &Table,
    plan: &Plan,
    spec: &FoldSpec,
    coder: &Coder,
    classes: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<u8>> {
    // What has no class is found out when the label is read.
    let mut class_of_row = Vec::with_capacity(table.rows);
    let mut counts = vec![0_usize; classes + 1];
    each_code(table, plan.label.column, coder, monitor, |codes| {
        for code in codes {
            let class = usize::from(*code).min(classes);
            counts[class] += 1;
            class_of_row.push(class as u16);
        }
        Ok(())
    })?;
    let count = spec.count;
    let of_rest = permuted(count, hash(spec.seed));
    let begins: Vec<usize> =
        counts.iter().scan(0, |end, rows| Some(std::mem::replace(end, *end + rows % count))).collect();
    let mut dealt = vec![(0_usize, Vec::new()); classes + 1];
    let fold_of = |class: &u16| {
        let class = usize::from(*class);
        let (row, permutation) = &mut dealt[class];
        let place = *row % count;
        if place == 0 {
            *permutation = permuted(count, hash(spec.seed ^ hash((class as u64) << 48 | *row as u64)));
        }
        let is_rest = *row >= counts[class] - counts[class] % count;
        *row += 1;
        if is_rest { of_rest[(begins[class] + place) % count] } else { permutation[place] }
    };
    Ok(class_of_row.iter().map(fold_of).collect())
}

/// The numbers below `count` in an order that a seed draws (Fisher and Yates 1938).
fn permuted(count: usize, seed: u64) -> Vec<u8> {
    let mut order: Vec<u8> = (0..count).map(|fold| fold as u8).collect();
    for last in (1..count).rev() {
        let drawn = u128::from(hash(seed ^ last as u64)) * (last as u128 + 1);
        order.swap(last, (drawn >> 64) as usize);
    }
    order
}

/// A fold for each value of a column.
fn by_value(table: &Table, column: usize, monitor: &dyn Monitor) -> Result<(Vec<String>, Vec<u8>)> {
    let name = plain(&table.fields[column].name);
    let fault = |fact: String| {
        Error::data(
            format!("⟦fold-column⟧ {name} {fact}"),
            format!("Name a column with 2 to {MOST_FOLDS} values; ⟦fold-groups⟧ deals the rows of many groups."),
        )
    };
    let Some(values) = classes(table, column, MOST_FOLDS, monitor)? else {
        return Err(fault(format!("has more than {MOST_FOLDS} values, each of which would be a fold")));
    };
    if values.len() < 2 {
        return Err(fault(match values.first() {
            Some(value) => format!("has one value, {}: nothing would be left to train on", visible(&value.to_string())),
            None => "has no values".into(),
        }));
    }
    let coder = Coder::of(&values.iter().cloned().map(Some).collect::<Vec<_>>());
    let mut of_row = Vec::with_capacity(table.rows);
    each_code(table, column, &coder, monitor, |codes| {
        for code in codes {
            if matches!(*code, MISSING | UNSEEN) {
                return Err(missing(table, &name, of_row.len(), "⟦fold-column⟧"));
            }
            of_row.push(*code as u8);
        }
        Ok(())
    })?;
    Ok((values.iter().map(Class::to_string).collect(), of_row))
}

fn missing(table: &Table, name: &str, row: usize, setting: &str) -> Error {
    Error::data(
        format!("{setting} {name} has no value in row {}, from 0", table.row_names(&[row])),
        "Say upstream which fold or group such rows belong to, or leave them out with ⟦where⟧.",
    )
}

/// Groups in the order of their sizes, each to the fold with the fewest rows.
fn by_group(table: &Table, spec: &FoldSpec, column: usize, monitor: &dyn Monitor) -> Result<Vec<u8>> {
    let mut sizes: HashMap<u64, usize> = HashMap::new();
    each_key(table, column, monitor, |key| *sizes.entry(key).or_default() += 1)?;
    if sizes.len() < spec.count {
        return Err(Error::data(
            format!(
                "⟦fold-groups⟧ {} has {} for {} folds",
                plain(&table.fields[column].name),
                counted(sizes.len() as u64, "value"),
                spec.count
            ),
            "Ask for at most as many ⟦folds⟧.",
        ));
    }
    let drawn = |key: u64| hash(spec.seed ^ hash(key));
    let mut folds: HashMap<u64, u8> = HashMap::new();
    if sizes.len() <= MOST_GROUPS {
        let mut groups: Vec<(u64, usize)> = sizes.into_iter().collect();
        groups.sort_by_key(|&(key, size)| (std::cmp::Reverse(size), drawn(key), key));
        let mut rows = vec![0; spec.count];
        for (key, size) in groups {
            let least = (0..spec.count).min_by_key(|&fold| (rows[fold], fold)).unwrap_or(0);
            rows[least] += size;
            folds.insert(key, least as u8);
        }
    }
    let by_hash = |key: u64| ((u128::from(drawn(key)) * spec.count as u128) >> 64) as u8;
    let mut of_row = Vec::with_capacity(table.rows);
    each_key(table, column, monitor, |key| of_row.push(folds.get(&key).copied().unwrap_or_else(|| by_hash(key))))?;
    Ok(of_row)
}

/// Goes through what tells the groups of rows apart, in the order of the rows.
fn each_key(table: &Table, column: usize, monitor: &dyn Monitor, mut take: impl FnMut(u64)) -> Result<()> {
    let name = plain(&table.fields[column].name);
    let hashes = |(): &mut (), keys: &mut Vec<u64>, batch: &Batch<'_>| {
        let before = keys.len();
        for part in batch.parts_of(0) {
            let first = keys.len() - before;
            if let Some(row) = keys_of(part, keys)? {
                return Err(missing(table, &name, batch.first_row + first + row, "⟦fold-groups⟧"));
            }
        }
        Ok(())
    };
    let room = || ();
    scan(table, &[column], Pace::of(&[column]), monitor, room, Vec::new, hashes, |keys| {
        keys.into_iter().for_each(&mut take);
        Ok(())
    })
}

/// Appends what tells the values of an array apart; the first row without one, if there is one.
fn keys_of(array: &ArrayRef, keys: &mut Vec<u64>) -> Result<Option<usize>> {
    let texts = cast(array, &DataType::LargeUtf8)
        .map_err(|cause| Error::internal(format!("groups could not be told apart: {cause}")))?;
    let is_float = array.data_type().is_floating();
    for (row, text) in texts.as_string::<i64>().iter().enumerate() {
        let Some(text) = text.filter(|text| !is_float || *text != "NaN") else { return Ok(Some(row)) };
        // -0 is 0.
        let text = if is_float && text == "-0.0" { "0.0" } else { text };
        keys.push(text.as_bytes().chunks(8).fold(hash(text.len() as u64), |key, some| {
            let mut bytes = [0; 8];
            bytes[..some.len()].copy_from_slice(some);
            hash(key ^ u64::from_le_bytes(bytes))
        }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Rows in the order in which a store has them.
    #[derive(Default)]
    struct Kept(Mutex<Vec<f32>>);

    impl Store for &Kept {
        fn write(&self, _: Column, first_row: usize, values: &[f32]) -> Result<()> {
            let mut kept = self.0.lock().expect("nobody panicked");
            let end = first_row + values.len();
            if kept.len() < end {
                kept.resize(end, f32::NAN);
            }
            kept[first_row..end].copy_from_slice(values);
            Ok(())
        }
    }

    #[test]
    fn rows_lie_cell_by_cell_in_whatever_pieces_they_come() {
        let of_row: Vec<u8> = (0..10_000).map(|row| (hash(row) % 3) as u8).collect();
        let cells = Cells::new(of_row.clone(), 3);
        let expected: Vec<f32> = (0..3)
            .flat_map(|cell| (0..10_000).filter(|&row| of_row[row] == cell).map(|row| row as f32).collect::<Vec<_>>())
            .collect();
        for piece in [1, 7, 4_096, 5_000, 10_000] {
            let kept = Kept::default();
            let store = InCells::new(Box::new(&kept), &cells);
            let firsts: Vec<usize> = (0..10_000).step_by(piece).collect();
            for first in firsts.into_iter().rev() {
                let values: Vec<f32> = (first..(first + piece).min(10_000)).map(|row| row as f32).collect();
                store.write(Column::Label, first, &values).expect("it is kept");
            }
            assert!(*kept.0.lock().expect("nobody panicked") == expected, "pieces of {piece}");
        }
        assert_eq!(cells.of(&[0, 5, 9]).rows().iter().sum::<usize>(), 3);
    }

    #[test]
    fn permutations_are_fair() {
        let mut counts = [[0; 4]; 4];
        for seed in 0..4_000 {
            for (place, fold) in permuted(4, hash(seed)).into_iter().enumerate() {
                counts[place][usize::from(fold)] += 1;
            }
        }
        // 1,000 each, with a standard deviation of 27.
        assert!(counts.as_flattened().iter().all(|count| (880..1_120).contains(count)), "{counts:?}");
    }
}
