//! What the tests of the modules share.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;

use super::{Bound, Predicate};
use crate::error::{Kind, Result};

pub(super) fn bind(text: &str, batch: &RecordBatch) -> Result<Bound> {
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let types = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
    Predicate::parse(text)?.bind(types, &names)
}

pub(super) fn selected(text: &str, batch: &RecordBatch) -> Vec<bool> {
    let bound = bind(text, batch).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mask = bound.select(batch).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(mask.null_count(), 0, "{text}");
    assert_eq!(mask.len(), batch.num_rows(), "{text}");
    mask.values().iter().collect()
}

pub(super) fn batch<'n>(columns: impl IntoIterator<Item = (&'n str, ArrayRef)>) -> RecordBatch {
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable).expect("columns of one length")
}

/// One column `x`.
pub(super) fn column(array: impl Array + 'static) -> RecordBatch {
    batch([("x", Arc::new(array) as ArrayRef)])
}

#[track_caller]
pub(super) fn assert_selects(batch: &RecordBatch, text: &str, expected: &[u8]) {
    let found: Vec<u8> = selected(text, batch).into_iter().map(u8::from).collect();
    assert_eq!(found, expected, "{text}");
}

/// Asserts that `found` is an error of this kind about `text`, with a caret under this character.
#[track_caller]
pub(super) fn assert_refused<T>(found: Result<T>, kind: Kind, text: &str, caret: usize, fact: &str, way_out: &str) {
    let Err(error) = found else { panic!("{text} is taken") };
    assert_eq!(error.kind, kind, "{text}");
    assert_eq!(error.fact, format!("⟦where⟧: {fact}:\n    {text}\n    {}^", " ".repeat(caret)));
    assert!(error.way_out.contains(way_out), "{text}: {}", error.way_out);
}
