//! What a table holds, cell by cell, as a number for each column: the same columns in another order of the rows are another table.

use crate::data::{Column, Shape, Store};
use crate::engine::column_sums::ColumnSums;
use crate::error::Result;

/// The sums of a table that is being read, by columns as they are stored: the features, then label, row weights and offsets.
pub(in crate::train) struct Digest {
    shape: Shape,
    sums: ColumnSums,
}

/// A number for a value in a row, that no other value or row is likely to have.
///
/// # Reference
/// Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA, for the mixing.
fn mixed(row: usize, value: f32) -> u64 {
    let mut bits = ((row as u64) << 32 ^ u64::from(value.to_bits())).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Digest {
    pub(in crate::train) fn new(shape: Shape) -> Self {
        Self { shape, sums: ColumnSums::new(shape.columns + shape.columns_beside()) }
    }

    fn place(&self, column: Column) -> usize {
        let features = self.shape.columns;
        match column {
            Column::Feature(index) => index,
            Column::Label => features,
            Column::Weight => features + 1,
            Column::Offset(margin) => features + 1 + usize::from(self.shape.weights) + margin,
        }
    }

    /// What a column holds, as it is told, and its number.
    pub(in crate::train) fn finish(self) -> Vec<(String, u64)> {
        let shape = self.shape;
        let name = |place: usize| match place.checked_sub(shape.columns) {
            None => format!("the values of stored column {} of {}, or their order,", place + 1, shape.columns),
            Some(0) => "labels, or their order,".into(),
            Some(1) if shape.weights => "row weights, or their order,".into(),
            Some(_) => "offsets, or their order,".into(),
        };
        self.sums.finish().enumerate().map(|(place, (_, total))| (name(place), total)).collect()
    }
}

/// A store that passes everything on, and takes its sums.
pub(in crate::train) struct Digesting<'d> {
    inner: &'d dyn Store,
    digest: &'d Digest,
}

impl<'d> Digesting<'d> {
    pub(in crate::train) fn new(inner: &'d dyn Store, digest: &'d Digest) -> Self {
        Self { inner, digest }
    }
}

impl Store for Digesting<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let numbers = values.iter().zip(first_row..).map(|(value, row)| mixed(row, *value));
        let more = numbers.fold(0, u64::wrapping_add);
        self.digest.sums.add(self.digest.place(column), values.len(), more);
        self.inner.write(column, first_row, values)
    }

    fn settle(&self) -> Result<()> {
        self.digest.sums.settle();
        self.inner.settle()
    }
}
