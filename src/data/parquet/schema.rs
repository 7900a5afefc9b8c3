//! The types of columns: as the reader is to decode a file, and one type for a column that several files have in
//! different widths.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::root_as_message;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::basic::Type;
use parquet::file::metadata::ParquetMetaData;

/// The schema that the reader is to follow instead of `schema`, which it makes of the Parquet types alone; `None` if that
/// one is right.
///
/// Durations are stored as plain integers, and their unit stands in arrow's own entry of the footer. Timestamps of 96 bits
/// would become nanoseconds, which wrap before 1677 and after 2262: microseconds reach all years that anybody writes.
/// The rest of arrow's entry does not count: it may turn text into dictionaries, which is no other value.
pub(super) fn hinted(metadata: &ParquetMetaData, schema: &Schema, embedded: Option<&Schema>) -> Option<SchemaRef> {
    let leaves = metadata.file_metadata().schema_descr().columns();
    let mut leaves = leaves.iter().map(|leaf| leaf.physical_type());
    let of_embedded = |index: usize| embedded?.fields().get(index).map(AsRef::as_ref);
    let fields: Fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| with_hints(field, of_embedded(index), &mut leaves))
        .collect();
    (fields != *schema.fields()).then(|| Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The schema in arrow's entry of the footer, if there is one. What cannot be understood there is no reason to refuse the
/// file.
///
/// The entry is a message of arrow's IPC format, behind a marker of eight bytes, in base64: `encode_arrow_schema` of the
/// reader.
pub(super) fn embedded(metadata: &ParquetMetaData) -> Option<Schema> {
    let mut entries = metadata.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|entry| entry.key == ARROW_SCHEMA_META_KEY)?;
    let bytes = BASE64_STANDARD.decode(entry.value.as_deref()?).ok()?;
    let message = bytes.strip_prefix(&[0xff; 4]).and_then(|rest| rest.get(4..)).unwrap_or(&bytes);
    try_fb_to_schema(root_as_message(message).ok()?.header_as_schema()?).ok()
}

/// A column that arrow's entry of the footer describes so that its pages cannot be read as the schema says, and why: without
/// nulls, where they begin with what says which rows are null, or as lists, which it does not know of. Where names differ the
/// entry is that of another table.
pub(super) fn contradiction(schema: &Schema, embedded: &Schema) -> Option<(String, &'static str)> {
    let pairs = || schema.fields().iter().zip(embedded.fields());
    if schema.fields().len() != embedded.fields().len() || pairs().any(|(ours, theirs)| ours.name() != theirs.name()) {
        return None;
    }
    pairs().find_map(|(field, embedded)| {
        // A dictionary is nested in arrow alone.
        let is_nested = |field: &Field| field.data_type().is_nested() && !is_dictionary(field);
        let why = if embedded.is_nullable() && !field.is_nullable() {
            "has no nulls in its schema, and may have some in that of arrow"
        } else if is_nested(field) && !is_nested(embedded) {
            "is nested in its schema, and is not in that of arrow"
        } else {
            return None;
        };
        Some((field.name().clone(), why))
    })
}

fn is_dictionary(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Dictionary(..))
}

/// A field with the hints that its leaves, the next ones of `leaves`, need.
fn with_hints(field: &FieldRef, embedded: Option<&Field>, leaves: &mut impl Iterator<Item = Type>) -> FieldRef {
    let below = |index: usize| embedded.and_then(|embedded| children(embedded.data_type()).nth(index));
    let mut of_child = |index: usize, child: &FieldRef| with_hints(child, below(index).map(AsRef::as_ref), leaves);
    let data_type = match field.data_type() {
        DataType::Struct(parts) => {
            DataType::Struct(parts.iter().enumerate().map(|(index, part)| of_child(index, part)).collect())
        }
        DataType::List(element) => DataType::List(of_child(0, element)),
        DataType::LargeList(element) => DataType::LargeList(of_child(0, element)),
        DataType::FixedSizeList(element, length) => DataType::FixedSizeList(of_child(0, element), *length),
        DataType::Map(entries, sorted) => DataType::Map(of_child(0, entries), *sorted),
        leaf => match (leaves.next(), embedded.map(Field::data_type)) {
            (Some(Type::INT96), _) => DataType::Timestamp(TimeUnit::Microsecond, None),
            (Some(Type::INT64), Some(DataType::Duration(unit))) if *leaf == DataType::Int64 => {
                DataType::Duration(*unit)
            }
            _ => leaf.clone(),
        },
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn children(data_type: &DataType) -> impl Iterator<Item = &FieldRef> {
    let fields: Vec<&FieldRef> = match data_type {
        DataType::Struct(parts) => parts.iter().collect(),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::Map(element, _) => vec![element],
        _ => Vec::new(),
    };
    fields.into_iter()
}

/// The type of a column whose values are of type `a` in one file and of type `b` in another, if they can be one column
/// without any value being changed: what differs in width only. Booleans count as 0 and 1 beside numbers.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Boolean, Float16, Float32, Float64, Int64, List, Null, Struct, UInt64};
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Struct(ours), Struct(theirs)) if ours.len() == theirs.len() => {
            let pair = |(ours, theirs): (&FieldRef, &FieldRef)| {
                let data_type = common(ours.data_type(), theirs.data_type())?;
                (ours.name() == theirs.name()).then(|| nullable(ours, data_type))
            };
            Struct(ours.iter().zip(theirs).map(pair).collect::<Option<Fields>>()?)
        }
        (List(ours), List(theirs)) => List(nullable(ours, common(ours.data_type(), theirs.data_type())?)),
        (Boolean, number) | (number, Boolean) if number.is_numeric() => number.clone(),
        (Float16, Float32) | (Float32, Float16) => Float32,
        (a, b) if a.is_floating() && b.is_numeric() || b.is_floating() && a.is_numeric() => Float64,
        (a, b) if a.is_integer() && b.is_integer() => match (width(a), width(b)) {
            (narrow, wide) if a.is_signed_integer() == b.is_signed_integer() => {
                if narrow > wide {
                    a.clone()
                } else {
                    b.clone()
                }
            }
            _ if [a, b].contains(&&UInt64) => DataType::Decimal128(20, 0),
            _ => Int64,
        },
        (a, b) if digits(a).is_some() && digits(b).is_some() => {
            let ((whole, after), (other_whole, other_after)) = (digits(a)?, digits(b)?);
            let (whole, after) = (whole.max(other_whole), after.max(other_after));
            match u8::try_from(whole + after).ok()? {
                precision @ ..=38 => DataType::Decimal128(precision, i8::try_from(after).ok()?),
                precision @ ..=76 => DataType::Decimal256(precision, i8::try_from(after).ok()?),
                _ => return None,
            }
        }
        (DataType::Timestamp(ours, zone), DataType::Timestamp(theirs, other)) if zone == other => {
            DataType::Timestamp((*ours).max(*theirs), zone.clone())
        }
        (DataType::Duration(ours), DataType::Duration(theirs)) => DataType::Duration((*ours).max(*theirs)),
        (DataType::Time32(ours) | DataType::Time64(ours), DataType::Time32(theirs) | DataType::Time64(theirs)) => {
            match (*ours).max(*theirs) {
                unit @ (TimeUnit::Second | TimeUnit::Millisecond) => DataType::Time32(unit),
                unit => DataType::Time64(unit),
            }
        }
        _ => return None,
    })
}

fn nullable(field: &FieldRef, data_type: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(data_type).with_nullable(true))
}

/// Bytes of an integer.
fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(0)
}

/// Decimal digits before and after the point that a decimal or an integer may have.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    Some(match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            (i16::from(*precision) - i16::from(*scale), i16::from(*scale).max(0))
        }
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        _ => return None,
    })
}

/// The values of a file as the common type has them, or why one cannot be: nothing is rounded away without a word.
pub(super) fn widened(array: &ArrayRef, data_type: &DataType) -> std::result::Result<ArrayRef, String> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let wide = cast_with_options(array, data_type, &options).map_err(|cause| cause.to_string())?;
    if array.data_type().is_integer() && *data_type == DataType::Float64 {
        // Beyond 2^53 an integer may have no f64 of its own.
        let back =
            cast_with_options(&wide, array.data_type(), &CastOptions::default()).map_err(|cause| cause.to_string())?;
        if back.to_data() != array.to_data() {
            return Err(
                "it holds integers beyond 9e15 (2^53), which the floating-point numbers of another file leave out"
                    .into(),
            );
        }
    }
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn widths_have_a_common_type() {
        use DataType::*;
        let ms = || Timestamp(TimeUnit::Millisecond, None);
        let us = || Timestamp(TimeUnit::Microsecond, None);
        let cases = [
            (Int32, Int64, Some(Int64)),
            (Int8, UInt8, Some(Int64)),
            (UInt8, UInt16, Some(UInt16)),
            (Int8, UInt64, Some(Decimal128(20, 0))),
            (Int64, Float32, Some(Float64)),
            (Float32, Float64, Some(Float64)),
            (Float16, Float32, Some(Float32)),
            (Boolean, Int8, Some(Int8)),
            (Null, Utf8, Some(Utf8)),
            (Decimal128(7, 5), Decimal128(8, 5), Some(Decimal128(8, 5))),
            (Decimal128(9, 5), Decimal128(9, 3), Some(Decimal128(11, 5))),
            (Decimal128(38, 0), Decimal128(38, 38), Some(Decimal256(76, 38))),
            (Decimal128(10, 2), Int64, Some(Decimal128(21, 2))),
            (Decimal128(10, 2), Float64, Some(Float64)),
            (ms(), us(), Some(us())),
            (ms(), Timestamp(TimeUnit::Millisecond, Some("UTC".into())), None),
            (Duration(TimeUnit::Nanosecond), Duration(TimeUnit::Second), Some(Duration(TimeUnit::Nanosecond))),
            (Time32(TimeUnit::Millisecond), Time64(TimeUnit::Microsecond), Some(Time64(TimeUnit::Microsecond))),
            (Utf8, Int64, None),
            (Boolean, Utf8, None),
            (Date32, ms(), None),
            (Duration(TimeUnit::Second), Int64, None),
        ];
        for (a, b, expected) in cases {
            assert_eq!(common(&a, &b), expected, "{a} and {b}");
            assert_eq!(common(&b, &a), expected, "{b} and {a}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1, (1 << 53) + 1]));
        assert!(widened(&whole, &DataType::Float64).is_err());
        assert!(widened(&whole.slice(0, 1), &DataType::Float64).is_ok());
        let year_9999: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![253_402_214_400_000]));
        assert!(widened(&year_9999, &DataType::Timestamp(TimeUnit::Nanosecond, None)).is_err());
        assert!(widened(&year_9999, &DataType::Timestamp(TimeUnit::Microsecond, None)).is_ok());
    }
}
