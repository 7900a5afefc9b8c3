//! Numbers and names as a page shows them.
//!
//! Whatever comes from the data reaches the page through `maud`, which escapes it; nothing here is markup but what
//! [`maud::html!`] makes.

use maud::{Markup, Render, html};

use crate::wording::plural;

/// Characters of a name that a page shows.
pub(super) const NAME_WIDTH: usize = 100;

/// A number of the run. The page shows some digits of it and holds all, with the place where the JSON has it.
pub(super) struct Figure {
    place: String,
    value: f64,
    shown: String,
}

impl Figure {
    /// With so many significant digits.
    pub(super) fn new(place: impl Into<String>, value: f64, digits: usize) -> Self {
        Self { place: place.into(), value, shown: significant(value, digits) }
    }

    /// A count: all digits.
    pub(super) fn count(place: impl Into<String>, value: f64) -> Self {
        Self { place: place.into(), value, shown: count(value) }
    }

    /// With so many decimals.
    pub(super) fn fixed(place: impl Into<String>, value: f64, decimals: usize) -> Self {
        Self { place: place.into(), value, shown: fixed(value, decimals) }
    }

    /// One that may be undefined.
    pub(super) fn optional(place: impl Into<String>, value: Option<f64>, decimals: usize) -> Self {
        Self::fixed(place, value.unwrap_or(f64::NAN), decimals)
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        // The digits that read back to the same bits, in the shorter notation.
        html! { data value=(format!("{:?}", self.value)) data-place=(self.place) { (self.shown) } }
    }
}

/// What stands for a number that is not there.
const NOTHING: &str = "–";

fn special(x: f64) -> Option<String> {
    if x.is_nan() {
        return Some(NOTHING.into());
    }
    x.is_infinite().then(|| if x > 0.0 { "∞".into() } else { "−∞".into() })
}

/// So many significant digits, in the shorter of the two notations.
pub(super) fn significant(x: f64, digits: usize) -> String {
    if let Some(text) = special(x) {
        return text;
    }
    if x == 0.0 {
        return "0".into();
    }
    let digits = digits.max(1);
    // As rounded, so that 9.9996 is one of two digits before the point.
    let scientific = format!("{x:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the notation has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is an integer");
    if (-4..6_i32.max(digits as i32)).contains(&exponent) {
        return fixed(x, (digits as i32 - 1 - exponent).max(0) as usize);
    }
    format!("{}×{}", mantissa.replace('-', "−"), power(exponent))
}

/// A power of ten.
pub(super) fn power(exponent: i32) -> String {
    let raised = exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            digit => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit.to_digit(10).unwrap_or(0) as usize],
        })
        .collect::<String>();
    format!("10{raised}")
}

/// So many decimals, thousands set apart.
pub(super) fn fixed(x: f64, decimals: usize) -> String {
    if let Some(text) = special(x) {
        return text;
    }
    let text = format!("{:.decimals$}", x.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut shown = String::new();
    // -0.00 is 0.00.
    if x < 0.0 && text.contains(|c: char| ('1'..='9').contains(&c)) {
        shown.push('−');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if let Some(fraction) = fraction {
        shown.push('.');
        shown += fraction;
    }
    shown
}

/// A count; weights need not be whole.
pub(super) fn count(x: f64) -> String {
    fixed(x, usize::from(x.fract() != 0.0))
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    // Shares near 0 keep their first digits, and those near 100 are not rounded to it.
    let text = match percent {
        p if p > 0.0 && p < 1.0 => significant(p, 2),
        p if p > 99.99 && p < 100.0 => significant(p, 6),
        p if p > 99.0 && p < 100.0 => fixed(p, 2),
        p => fixed(p, 1),
    };
    format!("{text} %")
}

/// `1 row`, `2 rows`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    format!("{} {}", count(n as f64), plural(n, noun))
}

/// The rows that a picture shows as points.
pub(super) fn some_rows(shown: usize, all: u64) -> String {
    if (shown as u64) < all {
        format!("{} of the {} rows", count(shown as f64), count(all as f64))
    } else {
        "the rows".into()
    }
}

/// Seconds with three digits at most.
pub(super) fn seconds(s: f64) -> String {
    if s < 0.001 { "< 0.001 s".into() } else { format!("{} s", fixed(s, if s < 10.0 { 3 } else { 1 })) }
}

/// A name, cut in its middle where it is very long, since names often differ at either end.
pub(super) fn name(text: &str) -> String {
    shortened(text, NAME_WIDTH)
}

/// A level beside the name of its column, of at most `width` characters, from the name of its feature.
pub(super) fn level_name(feature: &str, column: &str, width: usize) -> String {
    let level = feature.strip_prefix(column).and_then(|rest| rest.strip_prefix('=')).unwrap_or(feature);
    if level.is_empty() { "(empty)".into() } else { shortened(level, width) }
}

/// At most `width` characters, of them the last third from the end.
pub(super) fn shortened(text: &str, width: usize) -> String {
    // Control characters are nothing to look at.
    let characters: Vec<char> = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if characters.len() <= width {
        return characters.into_iter().collect();
    }
    let end = width / 3;
    let (head, tail) = (&characters[..width - end - 1], &characters[characters.len() - end..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        assert_eq!(significant(1.783_175_904_9, 4), "1.783");
        assert_eq!(significant(-0.000_123_45, 3), "−0.000123");
        assert_eq!(significant(9.999_96, 4), "10.00");
        assert_eq!(significant(1.23e-7, 2), "1.2×10⁻⁷");
        assert_eq!(significant(-4.5e12, 3), "−4.50×10¹²");
        assert_eq!(significant(f64::NAN, 3), "–");
        assert_eq!(significant(f64::NEG_INFINITY, 3), "−∞");
        assert_eq!(fixed(1_234_567.0, 0), "1,234,567");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(-1234.5, 1), "−1,234.5");
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(percent(0.000_012), "0.0012 %");
        assert_eq!(percent(0.999_29), "99.93 %");
        assert_eq!(percent(1.0), "100.0 %");
    }

    #[test]
    fn what_comes_from_the_data_is_no_markup() {
        let hostile = "<script>alert(\"1\")</script>&'";
        let page = html! { p title=(name(hostile)) { (name(hostile)) } }.into_string();
        assert_eq!(page.matches('<').count(), 2, "{page}");
        assert!(!page.contains("title=\"<"), "{page}");
    }

    #[test]
    fn long_names_keep_both_ends() {
        let long = format!("a{}z", "-".repeat(10_000));
        let shown = name(&long);
        assert_eq!(shown.chars().count(), NAME_WIDTH);
        assert!(shown.starts_with("a-") && shown.ends_with("-z"));
        assert_eq!(name("short\n"), "short\u{fffd}");
    }
}
