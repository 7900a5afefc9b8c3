//! Numbers as they are written: exact, whatever their digits.

use arrow::datatypes::i256;

/// A decimal number, exactly: +- 0.DIGITS * 10^point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    negative: bool,
    /// Without zeros at either end; none for 0.
    digits: String,
    point: i64,
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            None => (unsigned, 0),
            Some((mantissa, exponent)) => {
                let magnitude = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if magnitude.is_empty() || !all_digits(magnitude) {
                    return None;
                }
                // Beyond 18 digits the sign alone matters.
                let magnitude = magnitude.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000_000_000_000);
                (mantissa, if exponent.starts_with('-') { -magnitude } else { magnitude })
            }
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let leading = (digits.len() - significant.len()) as i64;
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), point: 0 });
        }
        Some(Self {
            negative: text.starts_with('-'),
            digits: significant.to_owned(),
            point: whole.len() as i64 - leading + exponent,
        })
    }

    /// The greatest integer that is not above `self * 10^shift`, and whether it is equal.
    pub(super) fn floor(&self, shift: i64) -> (i256, bool) {
        let places = self.point.saturating_add(shift);
        let length = self.digits.len() as i64;
        let exact = length <= places.max(0);
        let magnitude = if places <= 0 {
            Some(i256::ZERO)
        } else if places > 76 {
            None
        } else {
            let places = places as usize;
            let mut whole = self.digits[..self.digits.len().min(places)].to_owned();
            whole.extend(std::iter::repeat_n('0', places - whole.len()));
            i256::from_string(&whole)
        };
        match (magnitude, self.negative) {
            // Beyond 76 digits there is no value of any column.
            (None, false) => (i256::MAX, false),
            (None, true) => (i256::MIN, false),
            (Some(magnitude), false) => (magnitude, exact),
            (Some(magnitude), true) if exact => (-magnitude, true),
            (Some(magnitude), true) => (-magnitude - i256::ONE, false),
        }
    }

    /// As the standard library parses it.
    pub(super) fn text(&self) -> String {
        format!("{}0.{}e{}", if self.negative { "-" } else { "" }, self.digits, self.point)
    }
}
