//! A column against a literal, exactly: how the literal becomes a value of the column's type, and the comparison itself.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Datum, Float64Array, LargeStringArray, PrimitiveArray,
    Scalar, StringArray, StringViewArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::cast;
use arrow::compute::kernels::cmp;
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, i256};
use arrow::error::ArrowError;

use super::expr::Op;
use super::number::Number;
use crate::error::{Error, Result};

pub(super) type ArrowResult<T = BooleanArray> = std::result::Result<T, ArrowError>;

/// What a comparison with a literal comes to when `floor` is the greatest value of the column's type that is not above
/// the literal: another comparison, with `floor`, or the same answer for every value.
fn reduce(op: Op, exact: bool) -> std::result::Result<Op, bool> {
    match op {
        _ if exact => Ok(op),
        Op::Equal => Err(false),
        Op::Different => Err(true),
        Op::Less | Op::LessEqual => Ok(Op::LessEqual),
        Op::Greater | Op::GreaterEqual => Ok(Op::Greater),
    }
}

/// What a value is compared with. The answer for a null is unknown.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// The same answer for every value.
    Constant(bool),
    /// A value of the column's own type.
    Fixed(Op, Scalar<ArrayRef>),
    /// A number, for all types of floats. The answer for a NaN is unknown.
    Float(Op, f64),
    /// A text, for all types of texts.
    Text(Op, String),
}

/// A comparison of integers, of whatever meaning. `narrow` gives a value of the type, if there is one.
pub(super) fn integer_test<T: ArrowPrimitiveType>(
    data_type: &DataType,
    op: Op,
    (floor, exact): (i256, bool),
    narrow: impl Fn(i256) -> Option<T::Native>,
) -> Test {
    match (narrow(floor), reduce(op, exact)) {
        (_, Err(constant)) => Test::Constant(constant),
        (Some(value), Ok(op)) => {
            let array = PrimitiveArray::<T>::from_value(value, 1).with_data_type(data_type.clone());
            Test::Fixed(op, Scalar::new(Arc::new(array)))
        }
        // Beyond all values of the type: below the literal are all of them, or none.
        (None, Ok(op)) => {
            let above = floor.is_positive();
            Test::Constant(match op {
                Op::Equal => false,
                Op::Different => true,
                Op::Less | Op::LessEqual => above,
                Op::Greater | Op::GreaterEqual => !above,
            })
        }
    }
}

pub(super) fn float_test(data_type: &DataType, op: Op, number: &Number) -> Result<Test> {
    let text = number.text();
    let broken = |cause: String| Error::internal(format!("the number {text} could not be rounded: {cause}"));
    let (rounded, greatest) = match data_type {
        DataType::Float64 => (text.parse::<f64>().map_err(|cause| broken(cause.to_string()))?, f64::MAX),
        DataType::Float32 => {
            (text.parse::<f32>().map_err(|cause| broken(cause.to_string()))?.into(), f64::from(f32::MAX))
        }
        _ => {
            let wide = Float64Array::from(vec![text.parse::<f64>().map_err(|cause| broken(cause.to_string()))?]);
            let half = cast(&wide, &DataType::Float16).and_then(|half| cast(&half, &DataType::Float64));
            (half.map_err(|cause| broken(cause.to_string()))?.as_primitive::<Float64Type>().value(0), 65_504.0)
        }
    };
    // A literal is finite: one beyond the type lies between its greatest number and infinity.
    let (floor, exact) = match rounded {
        f64::INFINITY => (greatest, false),
        f64::NEG_INFINITY => (f64::NEG_INFINITY, false),
        _ => (rounded, true),
    };
    Ok(match reduce(op, exact) {
        Ok(op) => Test::Float(op, floor),
        Err(true) => Test::Float(Op::GreaterEqual, f64::NEG_INFINITY),
        Err(false) => Test::Float(Op::Less, f64::NEG_INFINITY),
    })
}

impl Test {
    pub(super) fn apply(&self, array: &ArrayRef) -> ArrowResult {
        match self {
            Self::Constant(true) => Ok(BooleanArray::new(BooleanBuffer::new_set(array.len()), array.logical_nulls())),
            Self::Constant(false) => {
                Ok(BooleanArray::new(BooleanBuffer::new_unset(array.len()), array.logical_nulls()))
            }
            Self::Fixed(op, value) => op.kernel()(array, value),
            Self::Float(op, value) => Ok(match array.data_type() {
                DataType::Float16 => compare_floats(array.as_primitive::<Float16Type>(), *op, *value),
                DataType::Float32 => compare_floats(array.as_primitive::<Float32Type>(), *op, *value),
                _ => compare_floats(array.as_primitive::<Float64Type>(), *op, *value),
            }),
            Self::Text(op, text) => {
                let values = match array.data_type() {
                    DataType::Dictionary(_, values) => values,
                    other => other,
                };
                let scalar: ArrayRef = match values {
                    DataType::Utf8 => Arc::new(StringArray::from(vec![text.as_str()])),
                    DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![text.as_str()])),
                    _ => Arc::new(StringViewArray::from(vec![text.as_str()])),
                };
                op.kernel()(array, &Scalar::new(scalar))
            }
        }
    }
}

/// Not the kernels: they order by the bits, with -0 below 0 and NaN at the ends.
fn compare_floats<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, op: Op, value: f64) -> BooleanArray
where
    T::Native: Into<f64>,
{
    let numbers = array.values();
    let answers = BooleanBuffer::collect_bool(numbers.len(), |row| op.holds(numbers[row].into(), value));
    let known = BooleanBuffer::collect_bool(numbers.len(), |row| !numbers[row].into().is_nan());
    let known = NullBuffer::new(known);
    let nulls =
        if known.null_count() > 0 { NullBuffer::union(Some(&known), array.nulls()) } else { array.nulls().cloned() };
    BooleanArray::new(answers, nulls)
}

impl Op {
    #[expect(clippy::float_cmp, reason = "`=` asks for the very number")]
    fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Different => a != b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        }
    }

    fn kernel(self) -> fn(&dyn Datum, &dyn Datum) -> ArrowResult {
        match self {
            Self::Equal => cmp::eq,
            Self::Different => cmp::neq,
            Self::Less => cmp::lt,
            Self::LessEqual => cmp::lt_eq,
            Self::Greater => cmp::gt,
            Self::GreaterEqual => cmp::gt_eq,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Float32Array, Int64Array, TimestampMicrosecondArray, TimestampNanosecondArray,
        UInt64Array,
    };

    use super::super::testing::{assert_selects, column};
    use super::*;

    #[test]
    fn integers_of_64_bits_are_compared_exactly() {
        let top = column(Int64Array::from(vec![i64::MAX, i64::MAX - 1, i64::MIN, 1 << 53, (1 << 53) + 1]));
        assert_selects(&top, "x = 9223372036854775807", &[1, 0, 0, 0, 0]);
        assert_selects(&top, "x = 9223372036854775806.0", &[0, 1, 0, 0, 0]);
        assert_selects(&top, "x > 9223372036854775806.5", &[1, 0, 0, 0, 0]);
        assert_selects(&top, "x >= 9223372036854775808", &[0; 5]);
        assert_selects(&top, "x < 9223372036854775808", &[1; 5]);
        assert_selects(&top, "x != 1e400", &[1; 5]);
        assert_selects(&top, "x < 1e400 and x > -1e400", &[1; 5]);
        assert_selects(&top, "x = 1e-400 or x <= -1e400 or x >= 1e400", &[0; 5]);
        assert_selects(&top, "x <= -9223372036854775808", &[0, 0, 1, 0, 0]);
        assert_selects(&top, "x < -9223372036854775807.5", &[0, 0, 1, 0, 0]);
        assert_selects(&top, "x < -9223372036854775808.5", &[0; 5]);
        assert_selects(&top, "x = 9007199254740993", &[0, 0, 0, 0, 1]);
        assert_selects(&top, "9007199254740992 >= x", &[0, 0, 1, 1, 0]);
        assert_selects(&top, "x in (9007199254740993e0, .5, 9.007199254740992e15)", &[0, 0, 0, 1, 1]);
        let unsigned = column(UInt64Array::from(vec![u64::MAX, u64::MAX - 1, 0]));
        assert_selects(&unsigned, "x = 18446744073709551615", &[1, 0, 0]);
        assert_selects(&unsigned, "x > -1", &[1, 1, 1]);
        assert_selects(&unsigned, "x <= -0.5", &[0, 0, 0]);
        assert_selects(&unsigned, "x <= -0.0", &[0, 0, 1]);
        assert_selects(&unsigned, "x < 18446744073709551614.5", &[0, 1, 1]);
    }

    #[test]
    fn decimals_are_compared_exactly() {
        let array = Decimal128Array::from(vec![Some(10), Some(-10), Some(0), None, Some(i128::MAX)]);
        let batch = column(array.with_data_type(DataType::Decimal128(38, 2)));
        assert_selects(&batch, "x = 0.1", &[1, 0, 0, 0, 0]);
        assert_selects(&batch, "x = 0.100000000000000000000000000000000000000001", &[0; 5]);
        assert_selects(&batch, "x < 0.100000000000000000000000000000000000000001", &[1, 1, 1, 0, 0]);
        assert_selects(&batch, "x < -0.099", &[0, 1, 0, 0, 0]);
        assert_selects(&batch, "x >= -0.101", &[1, 1, 1, 0, 1]);
        assert_selects(&batch, "x = 1701411834604692317316873037158841057.27", &[0, 0, 0, 0, 1]);
        assert_selects(&batch, "x > 1701411834604692317316873037158841057.26", &[0, 0, 0, 0, 1]);
        assert_selects(&batch, "x != 1e90", &[1, 1, 1, 0, 1]);
        let wide = Decimal128Array::from(vec![Some(5), None]).with_data_type(DataType::Decimal128(38, 0));
        let wide = cast(&wide, &DataType::Decimal256(76, 70)).expect("a wide decimal");
        let batch = column(wide);
        assert_selects(&batch, "x = 5", &[1, 0]);
        assert_selects(&batch, &format!("x < 5.{}1", "0".repeat(69)), &[1, 0]);
        assert_selects(&batch, &format!("x <= 4.{}", "9".repeat(80)), &[0, 0]);
    }

    #[test]
    fn floats_round_the_literal_to_their_type_and_a_nan_is_unknown() {
        let narrow = column(Float32Array::from(vec![0.1, f32::MAX, f32::INFINITY, f32::NEG_INFINITY]));
        assert_selects(&narrow, "x = 0.1", &[1, 0, 0, 0]);
        assert_selects(&narrow, "x > 0.1", &[0, 1, 1, 0]);
        assert_selects(&narrow, "x < 1e39", &[1, 1, 0, 1]);
        assert_selects(&narrow, "x >= 1e999", &[0, 0, 1, 0]);
        assert_selects(&narrow, "x = 1e39 or x = -1e39", &[0; 4]);
        assert_selects(&narrow, "x <= -1e39", &[0, 0, 0, 1]);
        assert_selects(&narrow, "x != -1e39 and x > -1e39", &[1, 1, 1, 0]);
        let half = cast(&Float64Array::from(vec![0.1, 65_504.0, f64::INFINITY]), &DataType::Float16).expect("halves");
        let half = column(half);
        assert_selects(&half, "x = 0.1", &[1, 0, 0]);
        assert_selects(&half, "x < 70000", &[1, 1, 0]);
        let batch = column(Float64Array::from(vec![Some(f64::NAN), Some(-0.0), None, Some(-f64::NAN)]));
        assert_selects(&batch, "x = 0", &[0, 1, 0, 0]);
        assert_selects(&batch, "x >= 0e5", &[0, 1, 0, 0]);
        assert_selects(&batch, "x != 3", &[0, 1, 0, 0]);
        assert_selects(&batch, "not (x = 3)", &[0, 1, 0, 0]);
        assert_selects(&batch, "x < 1e999", &[0, 1, 0, 0]);
        assert_selects(&batch, "x not in (1, 2)", &[0, 1, 0, 0]);
        assert_selects(&batch, "x is null", &[0, 0, 1, 0]);
        assert_selects(&batch, "x is not null", &[1, 1, 0, 1]);
    }

    #[test]
    fn times_are_compared_with_offsets_and_fractions() {
        let noon = 1_706_702_400_000_000_i64; // 2024-01-31 12:00:00 UTC
        let array = TimestampMicrosecondArray::from(vec![noon - 1, noon, noon + 1]);
        let instants = column(array.clone().with_timezone("UTC"));
        assert_selects(&instants, "x = '2024-01-31 12:00:00'", &[0, 1, 0]);
        assert_selects(&instants, "x = '2024-01-31T12:00Z'", &[0, 1, 0]);
        assert_selects(&instants, "x >= '2024-01-31 14:30:00+02:30'", &[0, 1, 1]);
        assert_selects(&instants, "x < '2024-01-31 07:00:00.000000-0500'", &[1, 0, 0]);
        assert_selects(&instants, "x < '2024-01-31 12:00:00.000000001+00'", &[1, 1, 0]);
        let local = column(array);
        assert_selects(&local, "x > '2024-01-31 11:59:59.999999'", &[0, 1, 1]);
        assert_selects(&local, "x < '9999-12-31'", &[1, 1, 1]);
        let nanoseconds = column(TimestampNanosecondArray::from(vec![i64::MIN, 0, i64::MAX]));
        assert_selects(&nanoseconds, "x < '9999-12-31' and x > '0001-01-01'", &[1, 1, 1]);
        let days = column(Date32Array::from(vec![Some(19_752), Some(19_753), None]));
        assert_selects(&days, "x <= '2024-01-30 23:59'", &[1, 0, 0]);
        assert_selects(&days, "x between '2024-01-31' and '2024-01-31'", &[0, 1, 0]);
        assert_selects(&days, "x = '2024-01-31 00:00:01'", &[0, 0, 0]);
    }
}
