//! What the footer says of the values of a column chunk, held against the values that come out of it.
//!
//! A file without checksums that was damaged still decodes, to other values. Where these contradict the file's own
//! statistics, the damage shows. Statistics count only where the format calls them reliable: no deprecated bounds, none of
//! an order that is not defined, no NaN, of texts no bounds that may be shortened.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field as ArrowField, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::ColumnOrder;

use crate::data::numbers::{number, to_f64};
use crate::vectors::{LANES, in_vectors};
use crate::wording::counted;

/// What a chunk's statistics promise.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    numbers: Option<(f64, f64)>,
    texts: Option<(String, String)>,
    nulls: Option<u64>,
}

/// Between what the values of leaf `leaf`, a column of its own that `field` is, lie in row group `group` as its statistics
/// say: two arrays of one value, of the column's type.
pub(in crate::data) fn bound_arrays(
    metadata: &ArrowReaderMetadata,
    group: usize,
    leaf: usize,
    field: &ArrowField,
) -> Option<[ArrayRef; 2]> {
    let about = metadata.metadata();
    let statistics = about.row_group(group).column(leaf).statistics()?;
    let order = about.file_metadata().column_order(leaf);
    let is_ordered = matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_) | ColumnOrder::IEEE_754_TOTAL_ORDER);
    if statistics.is_min_max_deprecated() || !is_ordered {
        return None;
    }
    // Of the time zones only this name is known.
    let data_type = match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        other => other.clone(),
    };
    let known = ArrowField::new(field.name(), data_type, true);
    let schema = about.file_metadata().schema_descr();
    let converter = StatisticsConverter::from_column_index(leaf, &known, schema).ok()?;
    let groups = std::iter::once(about.row_group(group));
    let bounds = [converter.row_group_mins(groups.clone()).ok()?, converter.row_group_maxes(groups).ok()?];
    if bounds.iter().any(|bound| !bound.is_valid(0)) {
        return None;
    }
    let [low, high] = bounds.map(|bound| cast(&bound, field.data_type()).ok());
    Some([low?, high?])
}

/// The nulls of leaf `leaf` in row group `group`, if its statistics say.
pub(in crate::data) fn nulls(metadata: &ArrowReaderMetadata, group: usize, leaf: usize) -> Option<u64> {
    metadata.metadata().row_group(group).column(leaf).statistics()?.null_count_opt()
}

impl Bounds {
    /// Those of leaf `leaf`, a column of its own that `field` is, in row group `group`.
    pub(super) fn of(metadata: &ArrowReaderMetadata, group: usize, leaf: usize, field: &ArrowField) -> Self {
        let nulls = nulls(metadata, group, leaf);
        let Some([low, high]) = bound_arrays(metadata, group, leaf, field) else {
            return Self { nulls, ..Self::default() };
        };
        if *low.data_type() == DataType::Utf8 {
            let statistics = metadata.metadata().row_group(group).column(leaf).statistics();
            let is_exact = statistics.is_some_and(|found| found.min_is_exact() && found.max_is_exact());
            let text = |array: &ArrayRef| array.as_string::<i32>().value(0).to_owned();
            return Self { texts: is_exact.then(|| (text(&low), text(&high))), nulls, ..Self::default() };
        }
        let numbers = number(&low).zip(number(&high));
        Self { numbers, nulls, ..Self::default() }
    }

    /// What some values of the chunk have that its statistics exclude, if they have.
    pub(super) fn contradiction(&self, array: &ArrayRef) -> Option<String> {
        if self.numbers.is_some() {
            return self.contradiction_of(extent(array)?);
        }
        let (least, most) = self.texts.as_ref()?;
        outside((least.as_str(), most.as_str()), text_extent(array.as_string_opt::<i32>()?)?)
    }

    /// The same of numbers from one to another.
    pub(super) fn contradiction_of(&self, extent: (f64, f64)) -> Option<String> {
        outside(self.numbers?, extent)
    }

    /// Whether the whole chunk has another number of nulls than its statistics say.
    pub(super) fn wrong_nulls(&self, nulls: u64) -> Option<String> {
        let said = self.nulls.filter(|said| *said != nulls)?;
        Some(format!("it holds {}, its footer says {said}", counted(nulls, "null")))
    }
}

fn outside<T: PartialOrd + Debug>((least, most): (T, T), (low, high): (T, T)) -> Option<String> {
    if low < least {
        return Some(format!("it holds {low:?}, its footer says at least {least:?}"));
    }
    (high > most).then(|| format!("it holds {high:?}, its footer says at most {most:?}"))
}

/// The smallest and the largest number of an array; `None` if it has none.
fn extent(array: &ArrayRef) -> Option<(f64, f64)> {
    macro_rules! whole {
        ($type:ty) => {
            whole(array.as_primitive::<$type>()).map(|(low, high)| (low as f64, high as f64))
        };
    }
    #[expect(clippy::cast_lossless, reason = "one macro serves integers of all widths")]
    let found = match array.data_type() {
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Float32 if array.null_count() == 0 => {
            let values = array.as_primitive::<Float32Type>().values();
            floating(values, f32::INFINITY, f32::NEG_INFINITY).map(|(low, high)| (low.into(), high.into()))
        }
        DataType::Float64 if array.null_count() == 0 => {
            floating(array.as_primitive::<Float64Type>().values(), f64::INFINITY, f64::NEG_INFINITY)
        }
        DataType::Boolean => flags(array.as_boolean()),
        _ => {
            // A null is a NaN there.
            let mut values = Vec::with_capacity(array.len());
            to_f64(array, &mut values).ok()?;
            floating(&values, f64::INFINITY, f64::NEG_INFINITY)
        }
    };
    found
}

fn whole<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<(T::Native, T::Native)>
where
    T::Native: Ord,
{
    if array.null_count() == 0 {
        let first = *array.values().first()?;
        let wider = |(low, high): (T::Native, T::Native), x: &T::Native| (low.min(*x), high.max(*x));
        return Some(array.values().iter().fold((first, first), wider));
    }
    let mut values = array.iter().flatten();
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), x| (low.min(x), high.max(x))))
}

/// Numbers that are compared side by side, so that the compiler may use vector registers.
const SIDE_BY_SIDE: usize = 4 * LANES;

/// Of numbers that may be NaN, which are none. `low` and `high` are ends that nothing lies beyond.
fn floating<T: PartialOrd + Copy>(values: &[T], low: T, high: T) -> Option<(T, T)> {
    in_vectors(
        #[inline(always)]
        || {
            // A comparison with NaN is false.
            let (mut lows, mut highs) = ([low; SIDE_BY_SIDE], [high; SIDE_BY_SIDE]);
            let (lines, rest) = values.as_chunks::<SIDE_BY_SIDE>();
            for line in lines {
                for ((low, high), x) in lows.iter_mut().zip(&mut highs).zip(line) {
                    *low = if *x < *low { *x } else { *low };
                    *high = if *x > *high { *x } else { *high };
                }
            }
            let low = lows.iter().chain(rest).fold(low, |low, x| if *x < low { *x } else { low });
            let high = highs.iter().chain(rest).fold(high, |high, x| if *x > high { *x } else { high });
            (low <= high).then_some((low, high))
        },
    )
}

fn flags(array: &BooleanArray) -> Option<(f64, f64)> {
    let (valid, set) = (array.len() - array.null_count(), array.true_count());
    (valid > 0).then(|| (f64::from(u8::from(set == valid)), f64::from(u8::from(set > 0))))
}

fn text_extent(array: &StringArray) -> Option<(&str, &str)> {
    let mut values = array.iter().flatten();
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), x| (low.min(x), high.max(x))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Float32Array, Float64Array, Int64Array};

    use super::*;

    #[test]
    fn the_extent_of_values_leaves_out_nulls_and_nan() {
        let nan = f64::NAN;
        let cases: [(ArrayRef, Option<(f64, f64)>); 9] = [
            (Arc::new(Float64Array::from(vec![3.0, nan, -2.0])), Some((-2.0, 3.0))),
            (Arc::new(Float64Array::from(vec![nan, nan])), None),
            (Arc::new(Float64Array::from(vec![Some(1.0), None])), Some((1.0, 1.0))),
            (Arc::new(Float32Array::from(vec![f32::NAN, 0.5, f32::INFINITY])), Some((0.5, f64::INFINITY))),
            (Arc::new(Int64Array::from(vec![None, Some(-7), Some(4)])), Some((-7.0, 4.0))),
            (Arc::new(Int64Array::from(vec![None::<i64>])), None),
            (Arc::new(BooleanArray::from(vec![Some(true), None])), Some((1.0, 1.0))),
            (Arc::new(BooleanArray::from(vec![Some(false), Some(true)])), Some((0.0, 1.0))),
            (Arc::new(Date32Array::from(vec![Some(10), None, Some(-3)])), Some((-3.0, 10.0))),
        ];
        for (array, expected) in cases {
            assert_eq!(extent(&array), expected, "{array:?}");
        }
    }

    #[test]
    fn what_lies_outside_is_said() {
        let bounds = Bounds { numbers: Some((-0.0, 2.0)), texts: None, nulls: Some(1) };
        let of = |values: Vec<f64>| bounds.contradiction(&(Arc::new(Float64Array::from(values)) as ArrayRef));
        assert_eq!(of(vec![0.0, 2.0]), None);
        assert_eq!(of(vec![0.0, 2.5]).as_deref(), Some("it holds 2.5, its footer says at most 2.0"));
        assert_eq!(of(vec![-1.0, 2.5]).as_deref(), Some("it holds -1.0, its footer says at least -0.0"));
        assert_eq!(bounds.wrong_nulls(1), None);
        assert_eq!(bounds.wrong_nulls(3).as_deref(), Some("it holds 3 nulls, its footer says 1"));
        let bounds = Bounds { texts: Some(("b".into(), "d".into())), ..Bounds::default() };
        let of = |texts: Vec<&str>| bounds.contradiction(&(Arc::new(StringArray::from(texts)) as ArrayRef));
        assert_eq!(of(vec!["c", "d"]), None);
        assert_eq!(of(vec!["c", "da"]).as_deref(), Some("it holds \"da\", its footer says at most \"d\""));
    }
}
