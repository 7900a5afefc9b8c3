//! Arrays as numbers.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::error::{Error, Result};

/// The values of a numeric or boolean array in f64, appended to `out`; a null gives NaN, and its place is
/// to be taken from the array's own null mask.
#[expect(clippy::cast_lossless, reason = "one macro arm serves the decimals of all widths")]
pub(super) fn to_f64(array: &ArrayRef, out: &mut Vec<f64>) -> Result<()> {
    macro_rules! values {
        ($type:ty) => {
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| v as f64))
        };
        ($type:ty, exact) => {
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| f64::from(v)))
        };
        ($type:ty, decimal $scale:expr) => {{
            let scale = $scale;
            // The nearest f64 of digits / 10^scale: one rounding for up to 15 digits and scales to 22.
            let power = 10.0_f64.powi(i32::from(scale).abs());
            let scaled = |v: f64| if scale >= 0 { v / power } else { v * power };
            out.extend(array.as_primitive::<$type>().values().iter().map(|&v| scaled(v as f64)))
        }};
    }
    let before = out.len();
    match array.data_type() {
        DataType::Float64 => out.extend_from_slice(array.as_primitive::<Float64Type>().values()),
        DataType::Float32 => values!(Float32Type, exact),
        DataType::Float16 => values!(Float16Type, exact),
        DataType::Int8 => values!(Int8Type, exact),
        DataType::Int16 => values!(Int16Type, exact),
        DataType::Int32 => values!(Int32Type, exact),
        DataType::Int64 => values!(Int64Type),
        DataType::UInt8 => values!(UInt8Type, exact),
        DataType::UInt16 => values!(UInt16Type, exact),
        DataType::UInt32 => values!(UInt32Type, exact),
        DataType::UInt64 => values!(UInt64Type),
        DataType::Boolean => {
            // Sixty-four at a time: one by one they would cost more than decoding them.
            let flags = array.as_boolean().values();
            for word in flags.bit_chunks().iter_padded() {
                out.extend((0..64).map(|bit| f64::from((word >> bit & 1) as u32)));
            }
            out.truncate(before + flags.len());
        }
        DataType::Date32 => values!(Date32Type, exact),
        DataType::Date64 => {
            out.extend(array.as_primitive::<Date64Type>().values().iter().map(|&v| v as f64 / 86_400_000.0));
        }
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            let per_second = match unit {
                TimeUnit::Second => 1.0,
                TimeUnit::Millisecond => 1e3,
                TimeUnit::Microsecond => 1e6,
                TimeUnit::Nanosecond => 1e9,
            };
            // Their integers, of 32 or 64 bits.
            let ticks = cast(array, &DataType::Int64)
                .map_err(|cause| Error::internal(format!("times could not be read as integers: {cause}")))?;
            out.extend(ticks.as_primitive::<Int64Type>().values().iter().map(|&v| v as f64 / per_second));
        }
        DataType::Decimal32(_, scale) => values!(Decimal32Type, decimal * scale),
        DataType::Decimal64(_, scale) => values!(Decimal64Type, decimal * scale),
        DataType::Decimal128(_, scale) => values!(Decimal128Type, decimal * scale),
        DataType::Decimal256(..) => {
            let wide = cast(array, &DataType::Float64)
                .map_err(|cause| Error::internal(format!("a 256-bit decimal could not be read: {cause}")))?;
            out.extend_from_slice(wide.as_primitive::<Float64Type>().values());
        }
        other => return Err(Error::internal(format!("a column of type {other} came to be read as numbers"))),
    }
    if let Some(nulls) = array.nulls() {
        for row in (0..array.len()).filter(|&row| nulls.is_null(row)) {
            out[before + row] = f64::NAN;
        }
    }
    Ok(())
}

/// The only value of an array as a number; `None` if it is NaN or no number, or of another order than its number.
pub(super) fn number(array: &ArrayRef) -> Option<f64> {
    let data_type = array.data_type();
    let is_time = data_type.is_temporal() && !matches!(data_type, DataType::Interval(_));
    if !(data_type.is_numeric() || is_time || *data_type == DataType::Boolean) {
        return None;
    }
    let mut numbers = Vec::new();
    to_f64(array, &mut numbers).ok()?;
    numbers.first().copied().filter(|number| !number.is_nan())
}
