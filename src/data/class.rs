//! The values of labels and of categories.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::field::{Field, Kind};
use super::numbers::to_f64;
use crate::error::{Error, Result};
use crate::wording::plain;

/// One value of a column of labels or of a category.
#[derive(Clone, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(untagged)]
pub enum Class {
    /// A boolean.
    Boolean(bool),
    /// A number; one that is not finite is written as `null`, and NaN when it is read back.
    Number(#[serde(deserialize_with = "number")] f64),
    /// A text.
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            // Labels 0 and 1 read as they stand in most files: without a decimal point.
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                serializer.serialize_i64(*value as i64)
            }
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// A level of a category; `None` is that of the rows without a value.
pub type Level = Option<Class>;

/// How a level is called: the value, or `(null)`.
pub fn level_name(level: &Level) -> String {
    level.as_ref().map_or_else(|| "(null)".into(), Class::to_string)
}

/// Goes through a batch: `each` gets the row within the batch and its class, `None` where it is missing.
pub(super) fn for_each_class(array: &ArrayRef, kind: Kind, mut each: impl FnMut(usize, Option<Class>)) -> Result<()> {
    match kind {
        Kind::Text => {
            let texts = array.as_string::<i32>();
            for row in 0..texts.len() {
                each(row, texts.is_valid(row).then(|| Class::Text(texts.value(row).to_owned())));
            }
        }
        Kind::Boolean => {
            let flags = array.as_boolean();
            for row in 0..flags.len() {
                each(row, flags.is_valid(row).then(|| Class::Boolean(flags.value(row))));
            }
        }
        Kind::Numeric | Kind::Time | Kind::Unusable => {
            let mut values = Vec::with_capacity(array.len());
            to_f64(array, &mut values)?;
            for (row, value) in values.into_iter().enumerate() {
                // -0.0 + 0.0 is 0.0: one class, not two.
                each(row, (!value.is_nan()).then_some(Class::Number(value + 0.0)));
            }
        }
    }
    Ok(())
}

/// The class that a flag means by `text`.
pub(super) fn parse_class(setting: &str, text: &str, field: &Field) -> Result<Class> {
    let class = match field.kind {
        Kind::Text => Some(Class::Text(text.to_owned())),
        Kind::Boolean => match text.to_lowercase().as_str() {
            "true" | "1" => Some(Class::Boolean(true)),
            "false" | "0" => Some(Class::Boolean(false)),
            _ => None,
        },
        Kind::Numeric | Kind::Time | Kind::Unusable => text.parse().ok().map(Class::Number),
    };
    class.ok_or_else(|| {
        Error::usage(
            format!(
                "{setting} {text} cannot be a value of `{}`, which is of type {}",
                plain(&field.name),
                plain(&field.data_type)
            ),
            "Give one of its values.",
        )
    })
}
