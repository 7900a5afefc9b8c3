//! An expression against the columns of a table: which it names, and whether its values fit their types.

use std::sync::Arc;

use arrow::array::{BooleanArray, Scalar};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::compare::{Test, float_test, integer_test};
use super::evaluate::{Bound, Node};
use super::expr::{Column, Expr, Literal, Op, Value};
use super::moment::Moment;
use super::number::Number;
use super::placed;
use super::token::name_in_text;
use crate::error::{Error, Result};
use crate::wording::{nearest, plain};

/// Checks an expression against a table. A column that is not there or has no comparable type is a data error, a value
/// that does not fit a usage error.
pub(super) fn bind(text: &str, expr: &Expr, types: &dyn Fn(&str) -> Option<DataType>, names: &[&str]) -> Result<Bound> {
    let mut columns = Vec::new();
    let root = Binder { text, types, names }.bind(expr, &mut columns)?;
    Ok(Bound { columns, root })
}

struct Binder<'a> {
    text: &'a str,
    types: &'a dyn Fn(&str) -> Option<DataType>,
    names: &'a [&'a str],
}

impl Binder<'_> {
    fn bind(&self, expr: &Expr, columns: &mut Vec<(String, DataType)>) -> Result<Node> {
        let series = |parts: &[Expr], columns: &mut Vec<_>| -> Result<Vec<Node>> {
            parts.iter().map(|part| self.bind(part, columns)).collect()
        };
        Ok(match expr {
            Expr::Any(parts) => Node::Any(series(parts, columns)?),
            Expr::All(parts) => Node::All(series(parts, columns)?),
            Expr::Not(inner) => Node::Not(Box::new(self.bind(inner, columns)?)),
            Expr::IsNull(column) => Node::IsNull(self.find(column, columns)?),
            Expr::Flag(column) => {
                let index = self.find(column, columns)?;
                let data_type = &columns[index].1;
                if *data_type != DataType::Boolean {
                    return Err(Error::usage(
                        placed(
                            self.text,
                            column.at,
                            &format!("column `{}` is of type {data_type}, no condition by itself", column.name),
                        ),
                        format!("Compare it: {} = {}", name_in_text(&column.name), example(data_type)),
                    ));
                }
                Node::Leaf(index, Test::Fixed(Op::Equal, Scalar::new(Arc::new(BooleanArray::from(vec![true])))))
            }
            Expr::Compare(column, op, value) => {
                let index = self.find(column, columns)?;
                Node::Leaf(index, self.test(column, &columns[index].1, *op, value)?)
            }
            Expr::In(column, values) => {
                let index = self.find(column, columns)?;
                let data_type = &columns[index].1;
                Node::Any(
                    values
                        .iter()
                        .map(|value| Ok(Node::Leaf(index, self.test(column, data_type, Op::Equal, value)?)))
                        .collect::<Result<_>>()?,
                )
            }
        })
    }

    /// The index of a column among `columns`, where it is added if it is new.
    fn find(&self, column: &Column, columns: &mut Vec<(String, DataType)>) -> Result<usize> {
        if let Some(index) = columns.iter().position(|(name, _)| *name == column.name) {
            return Ok(index);
        }
        let Some(data_type) = (self.types)(&column.name) else {
            let mut listed =
                self.names.iter().take(30).map(|name| plain(&name_in_text(name))).collect::<Vec<_>>().join(", ");
            if self.names.len() > 30 {
                listed = format!("{listed}, ... ({} columns)", self.names.len());
            }
            let meant = nearest(&column.name, self.names.iter().copied())
                .map_or_else(String::new, |name| format!("Did you mean {}? ", plain(&name_in_text(name))));
            return Err(Error::data(
                placed(self.text, column.at, &format!("there is no column `{}`", plain(&column.name))),
                format!("{meant}The columns are: {listed}"),
            ));
        };
        let data_type = match data_type {
            DataType::Dictionary(_, values) => *values,
            other => other,
        };
        columns.push((column.name.clone(), data_type));
        Ok(columns.len() - 1)
    }

    fn test(&self, column: &Column, data_type: &DataType, op: Op, value: &Value) -> Result<Test> {
        macro_rules! exact {
            ($type:ty, $floor:expr) => {
                integer_test::<$type>(data_type, op, $floor, |wide| wide.to_i128().and_then(|v| v.try_into().ok()))
            };
        }
        Ok(match (data_type, &value.literal) {
            (DataType::Int8, Literal::Number(number)) => exact!(Int8Type, number.floor(0)),
            (DataType::Int16, Literal::Number(number)) => exact!(Int16Type, number.floor(0)),
            (DataType::Int32, Literal::Number(number)) => exact!(Int32Type, number.floor(0)),
            (DataType::Int64, Literal::Number(number)) => exact!(Int64Type, number.floor(0)),
            (DataType::UInt8, Literal::Number(number)) => exact!(UInt8Type, number.floor(0)),
            (DataType::UInt16, Literal::Number(number)) => exact!(UInt16Type, number.floor(0)),
            (DataType::UInt32, Literal::Number(number)) => exact!(UInt32Type, number.floor(0)),
            (DataType::UInt64, Literal::Number(number)) => exact!(UInt64Type, number.floor(0)),
            (DataType::Decimal32(_, scale), Literal::Number(number)) => {
                exact!(Decimal32Type, number.floor(i64::from(*scale)))
            }
            (DataType::Decimal64(_, scale), Literal::Number(number)) => {
                exact!(Decimal64Type, number.floor(i64::from(*scale)))
            }
            (DataType::Decimal128(_, scale), Literal::Number(number)) => {
                exact!(Decimal128Type, number.floor(i64::from(*scale)))
            }
            (DataType::Decimal256(_, scale), Literal::Number(number)) => {
                integer_test::<Decimal256Type>(data_type, op, number.floor(i64::from(*scale)), Some)
            }
            (DataType::Float16 | DataType::Float32 | DataType::Float64, Literal::Number(number)) => {
                float_test(data_type, op, number)?
            }
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Literal::Text(text)) => {
                Test::Text(op, text.clone())
            }
            (DataType::Boolean, Literal::Boolean(flag)) => {
                if !matches!(op, Op::Equal | Op::Different) {
                    return Err(Error::usage(
                        placed(
                            self.text,
                            value.at,
                            &format!("`{}` has no meaning for `{}`, which is true or false", op.sign(), column.name),
                        ),
                        format!("Write {0} or not {0}.", name_in_text(&column.name)),
                    ));
                }
                Test::Fixed(op, Scalar::new(Arc::new(BooleanArray::from(vec![*flag]))))
            }
            (DataType::Date32 | DataType::Date64 | DataType::Timestamp(..), Literal::Text(text)) => {
                let moment = self.moment(column, data_type, text, value.at)?;
                match data_type {
                    DataType::Date32 => exact!(Date32Type, moment.floor(86_400_000_000_000)),
                    DataType::Date64 => exact!(Date64Type, moment.floor(1_000_000)),
                    DataType::Timestamp(TimeUnit::Second, _) => {
                        exact!(TimestampSecondType, moment.floor(1_000_000_000))
                    }
                    DataType::Timestamp(TimeUnit::Millisecond, _) => {
                        exact!(TimestampMillisecondType, moment.floor(1_000_000))
                    }
                    DataType::Timestamp(TimeUnit::Microsecond, _) => {
                        exact!(TimestampMicrosecondType, moment.floor(1_000))
                    }
                    _ => exact!(TimestampNanosecondType, moment.floor(1)),
                }
            }
            _ => return Err(self.mismatch(column, data_type, value)),
        })
    }

    fn moment(&self, column: &Column, data_type: &DataType, text: &str, at: usize) -> Result<Moment> {
        let moment = Moment::parse(text).map_err(|fact| {
            Error::usage(
                placed(self.text, at, &fact),
                format!(
                    "Column `{}` is of type {data_type}; write '2024-01-31' or '2024-01-31 12:00:00'.",
                    column.name
                ),
            )
        })?;
        if moment.has_offset && !matches!(data_type, DataType::Timestamp(_, Some(_))) {
            return Err(Error::usage(
                placed(
                    self.text,
                    at,
                    &format!("'{text}' has an offset, column `{}` of type {data_type} has none", column.name),
                ),
                "Leave the offset out; the column says nothing about its time zone.",
            ));
        }
        Ok(moment)
    }

    fn mismatch(&self, column: &Column, data_type: &DataType, value: &Value) -> Error {
        let name = &column.name;
        let fact = format!("column `{name}` is of type {data_type}");
        let way_out = match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                format!("Text stands in single quotes: '{}'", value.shown)
            }
            DataType::Boolean => "Compare it with true or false.".into(),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                "Write a date in single quotes: '2024-01-31'".into()
            }
            _ if data_type.is_numeric() => match &value.literal {
                Literal::Text(text) if Number::parse(text).is_some() => format!("Without quotes it is one: {text}"),
                _ => "Compare it with a number.".into(),
            },
            _ => {
                return Error::data(
                    placed(self.text, column.at, &format!("{fact}, which cannot be compared")),
                    "Ask for `is null` or `is not null`, or turn it into a number, text or date upstream.",
                );
            }
        };
        let what = match value.literal {
            Literal::Number(_) => "a number",
            Literal::Text(_) => "text",
            Literal::Boolean(_) => "a truth value",
        };
        Error::usage(placed(self.text, value.at, &format!("{fact}, {} is {what}", value.shown)), way_out)
    }
}

/// A value for a message.
fn example(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "'text'",
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "'2024-01-31'",
        _ => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Predicate;
    use super::super::testing::assert_refused;
    use super::*;
    use crate::error::Kind::{Data, Usage};

    #[test]
    fn what_does_not_fit_a_column_is_said_at_its_place() {
        let types = |name: &str| {
            Some(match name {
                "age" => DataType::Int64,
                "pay" => DataType::Decimal128(10, 2),
                "country" => DataType::Utf8,
                "churned" => DataType::Boolean,
                "born" => DataType::Date32,
                "seen" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                "local" => DataType::Timestamp(TimeUnit::Millisecond, None),
                "tags" => DataType::new_list(DataType::Utf8, true),
                "key" => DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
                _ => return None,
            })
        };
        let names = ["age", "pay", "country", "churned", "born", "seen", "local", "tags", "key"];
        let cases: &[(crate::error::Kind, &str, usize, &str, &str)] = &[
            (Data, "not (1 < agee)", 9, "there is no column `agee`", "Did you mean age? The columns are: age, pay,"),
            (Data, "Country = 'DE'", 0, "there is no column `Country`", "Did you mean country?"),
            (Data, "x is null", 0, "there is no column `x`", "The columns are: age"),
            (Usage, "age > '18'", 6, "column `age` is of type Int64, '18' is text", "Without quotes it is one: 18"),
            (Usage, "age > 'old'", 6, "column `age` is of type Int64, 'old' is text", "Compare it with a number"),
            (Usage, "true = pay", 0, "column `pay` is of type Decimal128(10, 2), true is a truth value", "number"),
            (Usage, "country = 49", 10, "column `country` is of type Utf8, 49 is a number", "single quotes: '49'"),
            (Usage, "key in ('a', 1)", 13, "column `key` is of type Utf8, 1 is a number", "single quotes: '1'"),
            (Usage, "churned = 1", 10, "column `churned` is of type Boolean, 1 is a number", "true or false"),
            (Usage, "churned < true", 10, "`<` has no meaning for `churned`, which is true or false", "not churned"),
            (Usage, "born > 2000", 7, "column `born` is of type Date32, 2000 is a number", "quotes: '2024-01-31'"),
            (Usage, "born > 'May'", 7, "'May' is no date", "Column `born` is of type Date32"),
            (Usage, "born > '2024-1-31'", 7, "'2024-1-31' is no date", "'2024-01-31'"),
            (Usage, "born > '2023-02-29'", 7, "there is no day 2023-02-29", "'2024-01-31'"),
            (Usage, "born > '2023-13-01'", 7, "there is no day 2023-13-01", "'2024-01-31'"),
            (Usage, "seen > '2024-01-31 25:00'", 7, "'25:00' is no time of day", "'2024-01-31 12:00:00'"),
            (Usage, "seen > '2024-01-31 12'", 7, "'12' is no time of day", "'2024-01-31 12:00:00'"),
            (Usage, "seen > '2024-01-31 12:00:00.'", 7, "'12:00:00.' is no time of day", "'2024-01-31 12:00:00'"),
            (Usage, "seen > '2024-01-31 12:00+5'", 7, "'+5' is no offset from UTC", "'2024-01-31 12:00:00'"),
            (Usage, "seen > '2024-01-31 12:00+5ß0'", 7, "'+5ß0' is no offset from UTC", "'2024-01-31 12:00:00'"),
            (Usage, "seen > '2024-01-31 12:00Z+01'", 7, "'Z+01' is no offset from UTC", "'2024-01-31 12:00:00'"),
            (
                Usage,
                "local > '2024-01-31 12:00Z'",
                8,
                "'2024-01-31 12:00Z' has an offset, column `local` of type Timestamp(ms) has none",
                "Leave the offset out",
            ),
            (
                Data,
                "tags = 'a'",
                0,
                "column `tags` is of type List(Utf8), which cannot be compared",
                "`is null` or `is not null`",
            ),
            (Usage, "age and churned", 0, "column `age` is of type Int64, no condition by itself", "age = 1"),
            (Usage, "not country", 4, "column `country` is of type Utf8, no condition by itself", "country = 'text'"),
        ];
        for (kind, text, caret, fact, way_out) in cases {
            let predicate = Predicate::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_refused(predicate.bind(types, &names), *kind, text, *caret, fact, way_out);
        }
        assert!(Predicate::parse("tags is not null and key = 'a'").and_then(|p| p.bind(types, &names)).is_ok());
        let many = vec!["c"; 40];
        let error = Predicate::parse("nothing = 1").and_then(|p| p.bind(|_| None, &many)).expect_err("no column");
        assert!(error.way_out.ends_with(", ... (40 columns)"), "{}", error.way_out);
    }
}
