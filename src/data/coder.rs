//! Values as codes: the place of each among the levels of a category, or the classes of a label.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::class::{Class, Level, for_each_class};
use super::field::Kind;
use crate::error::{Error, Result};

/// The code of a value that is none of the levels.
pub(super) const UNSEEN: u16 = u16::MAX;
/// The code of a value that is missing.
pub(super) const MISSING: u16 = u16::MAX - 1;

/// Turns values into codes.
#[derive(Debug, Default)]
pub(super) struct Coder {
    texts: HashMap<Box<str>, u16>,
    /// Numbers by their bits, and booleans.
    numbers: HashMap<u64, u16>,
    pub(super) missing: Option<u16>,
}

impl Coder {
    /// Codes are the places in `levels`.
    pub(super) fn of(levels: &[Level]) -> Self {
        let mut coder = Self::default();
        for (code, level) in (0..).zip(levels) {
            match level {
                None => coder.missing = Some(code),
                Some(class) => coder.insert(class, code),
            }
        }
        coder
    }

    pub(super) fn insert(&mut self, class: &Class, code: u16) {
        match class {
            Class::Text(text) => drop(self.texts.insert(text.as_str().into(), code)),
            class => drop(self.numbers.insert(bits(class), code)),
        }
    }

    pub(super) fn get(&self, value: Value<'_>) -> Option<u16> {
        match value {
            Value::Text(text) => self.texts.get(text),
            Value::Other(class) => self.numbers.get(&bits(class)),
        }
        .copied()
    }

    /// Appends the codes of the values of `array` to `codes`: [`UNSEEN`] for what is none of the levels, [`MISSING`] for
    /// what is missing if that is no level.
    pub(super) fn codes(&self, array: &ArrayRef, kind: Kind, codes: &mut Vec<u16>) -> Result<()> {
        let missing = self.missing.unwrap_or(MISSING);
        code_by(array, kind, missing, |value| self.get(value).unwrap_or(UNSEEN), codes)
    }

    /// As [`Coder::codes`], where values that are new are added to `levels`, whose places are the codes, as long as there
    /// are at most `most` before.
    pub(super) fn learn(
        &mut self,
        array: &ArrayRef,
        kind: Kind,
        levels: &mut Vec<Class>,
        most: usize,
        codes: &mut Vec<u16>,
    ) -> Result<()> {
        let code_of = |value: Value<'_>| match self.get(value) {
            Some(code) => code,
            None if levels.len() > most => UNSEEN,
            None => {
                let code = levels.len() as u16;
                levels.push(value.class());
                self.insert(&levels[levels.len() - 1], code);
                code
            }
        };
        code_by(array, kind, MISSING, code_of, codes)
    }
}

/// A value of a column.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Text(&'v str),
    /// A number or a boolean.
    Other(&'v Class),
}

impl Value<'_> {
    fn class(self) -> Class {
        match self {
            Self::Text(text) => Class::Text(text.to_owned()),
            Self::Other(class) => class.clone(),
        }
    }
}

/// What numbers and booleans are told apart by.
fn bits(class: &Class) -> u64 {
    match class {
        Class::Number(number) => number.to_bits(),
        Class::Boolean(flag) => u64::from(*flag),
        Class::Text(_) => unreachable!("texts are told apart by themselves"),
    }
}

/// Appends the code of every row of `array` to `codes`. `code_of` is asked once for values that come again soon.
fn code_by(
    array: &ArrayRef,
    kind: Kind,
    missing: u16,
    mut code_of: impl FnMut(Value<'_>) -> u16,
    codes: &mut Vec<u16>,
) -> Result<()> {
    if kind == Kind::Boolean {
        let mut of_flags = [None; 2];
        let flags = array.as_boolean();
        let code = |flag: Option<bool>| {
            let Some(flag) = flag else { return missing };
            *of_flags[usize::from(flag)].get_or_insert_with(|| code_of(Value::Other(&Class::Boolean(flag))))
        };
        codes.extend(flags.iter().map(code));
        return Ok(());
    }
    if kind != Kind::Text {
        // The last two: labels are mostly 0 and 1.
        let mut last = [None; 2];
        return for_each_class(array, kind, |_, class| {
            let Some(class) = class else { return codes.push(missing) };
            let bits = bits(&class);
            if let Some((_, code)) = last.iter().flatten().find(|(known, _)| *known == bits) {
                return codes.push(*code);
            }
            let code = code_of(Value::Other(&class));
            last = [Some((bits, code)), last[0]];
            codes.push(code);
        });
    }
    // A batch has far fewer values than rows: each is looked up once.
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let coded =
        cast(array, &dictionary).map_err(|cause| Error::internal(format!("texts could not be coded: {cause}")))?;
    let coded = coded.as_dictionary::<Int32Type>();
    let values = coded.values().as_string::<i32>();
    let of_values: Vec<u16> = (0..values.len()).map(|index| code_of(Value::Text(values.value(index)))).collect();
    codes.extend(coded.keys().iter().map(|key| key.map_or(missing, |key| of_values[key as usize])));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn values_become_the_codes_of_levels() {
        let text = |text: &str| Some(Class::Text(text.into()));
        let coder = Coder::of(&[text("b"), text("a"), None]);
        let array: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("b"), Some("a")]));
        let mut codes = vec![7];
        coder.codes(&array, Kind::Text, &mut codes).expect("texts");
        assert_eq!(codes, [7, 1, 2, UNSEEN, 0, 1]);
        // One that learns, and numbers; -0 is 0. What comes after too many levels has no code.
        let mut coder = Coder::default();
        let numbers = vec![Some(0.0), Some(-0.0), Some(3.0), None, Some(3.0), Some(5.0), Some(4.0), Some(0.0)];
        let array: ArrayRef = Arc::new(Float64Array::from(numbers));
        let (mut levels, mut codes) = (Vec::new(), Vec::new());
        coder.learn(&array, Kind::Numeric, &mut levels, 2, &mut codes).expect("numbers");
        assert_eq!(codes, [0, 0, 1, MISSING, 1, 2, UNSEEN, 0]);
        assert_eq!(levels, [0.0, 3.0, 5.0].map(Class::Number));
    }
}
