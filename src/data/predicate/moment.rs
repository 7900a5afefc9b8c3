//! Dates and timestamps as they are written.

use arrow::datatypes::i256;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Nanoseconds since 1970-01-01 00:00:00, in UTC if there is an offset.
    nanoseconds: i128,
    pub(super) has_offset: bool,
}

impl Moment {
    /// Parses `YYYY-MM-DD`, then perhaps `HH:MM`, `:SS`, a fraction, and `Z` or an offset; or gives what is wrong.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let no_date = || format!("'{text}' is no date");
        let number = |text: &str, digits: usize| {
            (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.parse::<i64>().ok())
                .flatten()
        };
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let parts: Vec<&str> = date.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(no_date()) };
        let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
            return Err(no_date());
        };
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=12).contains(&month) || !(1..=length).contains(&day) {
            return Err(format!("there is no day {date}"));
        }
        let mut seconds = days_from_civil(year, month, day) * 86_400;
        let (mut fraction, mut has_offset) = (0, false);
        if let Some(time) = time {
            let no_time = || format!("'{time}' is no time of day");
            let (clock, offset) = match time.find(['Z', 'z', '+', '-']) {
                Some(at) => time.split_at(at),
                None => (time, ""),
            };
            let (clock, digits) = match clock.split_once('.') {
                Some((clock, digits)) => (clock, Some(digits)),
                None => (clock, None),
            };
            let parts: Vec<&str> = clock.split(':').collect();
            let (hour, minute, second) = match parts[..] {
                [hour, minute] if digits.is_none() => (hour, minute, "00"),
                [hour, minute, second] => (hour, minute, second),
                _ => return Err(no_time()),
            };
            let (Some(hour), Some(minute), Some(second)) = (number(hour, 2), number(minute, 2), number(second, 2))
            else {
                return Err(no_time());
            };
            let digits = digits.unwrap_or("0");
            if hour > 23 || minute > 59 || second > 59 || digits.is_empty() {
                return Err(no_time());
            }
            fraction = number(&format!("{digits:0<9}"), 9).ok_or_else(no_time)?;
            seconds += (hour * 60 + minute) * 60 + second;
            has_offset = !offset.is_empty();
            if let Some(ahead) = offset.strip_prefix(['+', '-']) {
                let (hours, minutes) = match ahead.split_once(':') {
                    Some(parts) => parts,
                    None => ahead.split_at_checked(2).unwrap_or_default(),
                };
                let minutes = if ahead.len() == 2 { "00" } else { minutes };
                let (Some(hours @ 0..=23), Some(minutes @ 0..=59)) = (number(hours, 2), number(minutes, 2)) else {
                    return Err(format!("'{offset}' is no offset from UTC"));
                };
                let ahead = (hours * 60 + minutes) * 60;
                seconds -= if offset.starts_with('-') { -ahead } else { ahead };
            } else if has_offset && offset.len() > 1 {
                return Err(format!("'{offset}' is no offset from UTC"));
            }
        }
        Ok(Self { nanoseconds: i128::from(seconds) * 1_000_000_000 + i128::from(fraction), has_offset })
    }

    /// The last tick of that many nanoseconds that is not later, counted from 1970, and whether it is the same time.
    pub(super) fn floor(self, tick: i128) -> (i256, bool) {
        (i256::from_i128(self.nanoseconds.div_euclid(tick)), self.nanoseconds.rem_euclid(tick) == 0)
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, after H. Hinnant: years begin in March, so that the leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_400_years_has_its_number() {
        let mut days = days_from_civil(1600, 1, 1);
        assert_eq!(days, -135_140);
        for year in 1600..2000 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if Moment::parse(&format!("{year}-{month:02}-{day:02}")).is_ok() {
                        assert_eq!(days_from_civil(year, month, day), days, "{year}-{month}-{day}");
                        days += 1;
                    }
                }
            }
        }
        assert_eq!(days, 10_957);
    }
}
