//! Rows of a test on their way into a store.

use gpu_logreg::data::{Column, Store};

/// What a table is filled with.
pub(crate) struct Filling<'r> {
    /// Features: plain columns, then the levels of each category beside its reference, 1 in the rows that have it.
    pub(crate) columns: &'r [Vec<f64>],
    /// How many of the last columns are levels of each category.
    pub(crate) levels: &'r [usize],
    pub(crate) labels: &'r [f64],
    /// Empty where each row counts once.
    pub(crate) weights: &'r [f64],
    /// Of each margin; none where no row has one.
    pub(crate) offsets: Vec<&'r [f64]>,
}

/// Writes all columns in two pieces, the later first: stores take them in any order.
pub(crate) fn fill(store: &dyn Store, rows: &Filling<'_>) {
    let cut = rows.labels.len() / 3;
    let write = |column: Column, values: &[f64]| {
        let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        store.write(column, cut, &values[cut..]).expect("writes");
        store.write(column, 0, &values[..cut]).expect("writes");
    };
    let (plain, mut levels) = rows.columns.split_at(rows.columns.len() - rows.levels.iter().sum::<usize>());
    for (index, column) in plain.iter().enumerate() {
        write(Column::Feature(index), column);
    }
    for (index, &count) in rows.levels.iter().enumerate() {
        let (of_category, rest) = levels.split_at(count);
        levels = rest;
        let code = |k: usize| of_category.iter().zip(1..).map(|(level, code)| level[k] * f64::from(code)).sum();
        write(Column::Feature(plain.len() + index), &(0..rows.labels.len()).map(code).collect::<Vec<f64>>());
    }
    write(Column::Label, rows.labels);
    if !rows.weights.is_empty() {
        write(Column::Weight, rows.weights);
    }
    for (margin, offsets) in rows.offsets.iter().enumerate() {
        write(Column::Offset(margin), offsets);
    }
}
