//! `--where EXPR`: which rows take part. For example
//! `age >= 18 and country in ('DE', 'AT') and not (churned or income is null)`.
//!
//! ```text
//! any     = all { "or" all }
//! all     = one { "and" one }
//! one     = "not" one | "(" any ")" | column | column OP value | value OP column
//!         | column ["not"] "in" "(" value { "," value } ")"
//!         | column ["not"] "between" value "and" value
//!         | column "is" ["not"] "null"
//! OP      = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
//! column  = a letter or "_", then letters, digits, "_", "." | "anything" | `anything`
//! value   = a number | 'text' | true | false
//! ```
//!
//! Keywords count in any case, and a quote within quotes is doubled. A date or a timestamp is text: `'2024-01-31'`,
//! `'2024-01-31 12:00:00.5'`, with `Z` or an offset for columns of instants, where UTC is meant without one.
//!
//! Logic has three values, as in SQL: a comparison with a null is unknown, and what is unknown in the end is not
//! selected. A comparison with NaN is unknown too, so that a NaN is neither equal to a number nor different from it;
//! but it is no null, and `is null` is false for it.
//!
//! Integers, decimals, dates and timestamps are compared exactly, whatever the digits of the literal. For a column of
//! floats the literal is rounded to the column's type, as the column's own values were: `x = 0.1` finds 0.1 in a
//! column of 32 bits. -0 equals 0. Texts are compared byte by byte.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, LargeStringArray, PrimitiveArray, Scalar,
    StringArray, StringViewArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp;
use arrow::compute::{and_kleene, cast, is_null, not, nullif, or_kleene, prep_null_mask_filter};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type, i256,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::ColumnOrder;
use parquet::file::statistics::Statistics as ChunkStatistics;

use crate::error::{Error, Result};

/// Parentheses and `not` within each other at most: each takes a frame of the stack.
const MAX_DEPTH: usize = 100;

const VALUES: &str = "Values are numbers, 'text' in single quotes, true and false.";
const OPERATORS: &str =
    "The operators are = != < <= > >=, in (...), between ... and ..., is null and is not null; there is no arithmetic.";
const QUOTED_NAMES: &str = "A column whose name has other signs stands in double quotes: \"net-income\".";

/// A condition on the columns of a table, parsed and not yet checked against a table.
#[derive(Clone, Debug)]
pub struct Predicate {
    text: String,
    root: Expr,
}

#[derive(Clone, Debug)]
enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    /// A column of booleans.
    Flag(Column),
    Compare(Column, Op, Value),
    In(Column, Vec<Value>),
    IsNull(Column),
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// Its first character in the text.
    at: usize,
}

#[derive(Clone, Debug)]
struct Value {
    literal: Literal,
    /// As the user wrote it.
    shown: String,
    /// Its first character in the text.
    at: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(Number),
    Text(String),
    Boolean(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    Different,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Op {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::Different,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            _ => return None,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Different => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }

    /// The operator with its sides exchanged.
    fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            Self::Equal | Self::Different => self,
        }
    }

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

    fn kernel(self) -> fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> ArrowResult {
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

type ArrowResult = std::result::Result<BooleanArray, ArrowError>;

/// `fact` with the text in a line of its own and a caret under its character `at`.
fn placed(text: &str, at: usize, fact: &str) -> String {
    // In one line, so that the caret stands under its character.
    let line: String = text.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).collect();
    format!("--where: {fact}:\n    {line}\n    {:at$}^", "")
}

// ---- Numbers ----

/// A decimal number, exactly: +- 0.DIGITS * 10^point.
#[derive(Clone, Debug, PartialEq)]
struct Number {
    negative: bool,
    /// Without zeros at either end; none for 0.
    digits: String,
    point: i64,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
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
    fn floor(&self, shift: i64) -> (i256, bool) {
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
    fn text(&self) -> String {
        format!("{}0.{}e{}", if self.negative { "-" } else { "" }, self.digits, self.point)
    }
}

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

// ---- Dates and timestamps ----

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    /// Nanoseconds since 1970-01-01 00:00:00, in UTC if there is an offset.
    nanoseconds: i128,
    has_offset: bool,
}

impl Moment {
    /// Parses `YYYY-MM-DD`, then perhaps `HH:MM`, `:SS`, a fraction, and `Z` or an offset; or gives what is wrong.
    fn parse(text: &str) -> std::result::Result<Self, String> {
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
    fn floor(self, tick: i128) -> (i256, bool) {
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

// ---- Tokens ----

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyword {
    And,
    Or,
    Not,
    In,
    Is,
    Null,
    Between,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Keyword(Keyword),
    Column(String),
    Literal(Literal),
    Op(Op),
    Open,
    Close,
    Comma,
    End,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    /// The characters of the text.
    span: Range<usize>,
}

fn word(text: &str) -> Kind {
    match text.to_ascii_lowercase().as_str() {
        "and" => Kind::Keyword(Keyword::And),
        "or" => Kind::Keyword(Keyword::Or),
        "not" => Kind::Keyword(Keyword::Not),
        "in" => Kind::Keyword(Keyword::In),
        "is" => Kind::Keyword(Keyword::Is),
        "null" => Kind::Keyword(Keyword::Null),
        "between" => Kind::Keyword(Keyword::Between),
        "true" => Kind::Literal(Literal::Boolean(true)),
        "false" => Kind::Literal(Literal::Boolean(false)),
        _ => Kind::Column(text.to_owned()),
    }
}

/// The tokens of `text`, an [`Kind::End`] behind the last.
fn tokens(text: &str) -> Result<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let char_at = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let run = |from: usize, of: &dyn Fn(char) -> bool| {
        from + chars[from..].iter().position(|&c| !of(c)).unwrap_or(chars.len() - from)
    };
    let slice = |span: &Range<usize>| chars[span.clone()].iter().collect::<String>();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let begins_number =
            |at: usize| char_at(at).is_ascii_digit() || char_at(at) == '.' && char_at(at + 1).is_ascii_digit();
        let (kind, end) = match c {
            _ if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => (Kind::Open, at + 1),
            ')' => (Kind::Close, at + 1),
            ',' => (Kind::Comma, at + 1),
            '\'' | '"' | '`' => {
                let (inner, end) = quoted(&chars, at).ok_or_else(|| {
                    let what = if c == '\'' { "text" } else { "name" };
                    Error::usage(
                        placed(text, at, &format!("this {what} has no closing {c}")),
                        format!("Add a {c} behind it; one within the {what} is doubled: {c}{c}"),
                    )
                })?;
                (if c == '\'' { Kind::Literal(Literal::Text(inner)) } else { Kind::Column(inner) }, end)
            }
            _ if begins_number(at) || (c == '+' || c == '-') && begins_number(at + 1) => {
                let mut end = at + 1;
                while char_at(end).is_alphanumeric()
                    || matches!(char_at(end), '.' | '_')
                    || matches!(char_at(end), '+' | '-') && matches!(char_at(end - 1), 'e' | 'E')
                {
                    end += 1;
                }
                let shown = slice(&(at..end));
                let number = Number::parse(&shown).ok_or_else(|| {
                    Error::usage(
                        placed(text, at, &format!("`{shown}` is no number")),
                        "Text stands in single quotes, a column whose name begins with a digit in double quotes.",
                    )
                })?;
                (Kind::Literal(Literal::Number(number)), end)
            }
            _ if c.is_alphabetic() || c == '_' => {
                let end = run(at, &|c| c.is_alphanumeric() || c == '_' || c == '.');
                (word(&slice(&(at..end))), end)
            }
            _ if "=<>!&|~^".contains(c) => {
                let end = run(at, &|c| "=<>!&|~^".contains(c));
                let shown = slice(&(at..end));
                let op = Op::parse(&shown).ok_or_else(|| {
                    let meant = match shown.as_str() {
                        "=<" => "<=",
                        "=>" => ">=",
                        "===" => "=",
                        "!" => "not",
                        "!==" | "=!" | "><" | "^=" | "~=" => "!=",
                        "&" | "&&" => "and",
                        "|" | "||" => "or",
                        _ => "",
                    };
                    let way_out =
                        if meant.is_empty() { OPERATORS.to_owned() } else { format!("Did you mean `{meant}`?") };
                    Error::usage(placed(text, at, &format!("`{shown}` is no operator")), way_out)
                })?;
                (Kind::Op(op), end)
            }
            _ => {
                return Err(Error::usage(
                    placed(text, at, &format!("`{c}` has no meaning here")),
                    format!("There is no arithmetic. {QUOTED_NAMES}"),
                ));
            }
        };
        tokens.push(Token { kind, span: at..end });
        at = end;
    }
    let end = tokens.last().map_or(0, |token: &Token| token.span.end);
    tokens.push(Token { kind: Kind::End, span: end..end });
    Ok(tokens)
}

/// What the quotes that open at `open` enclose, and the place behind them; `None` if they are not closed.
fn quoted(chars: &[char], open: usize) -> Option<(String, usize)> {
    let quote = chars[open];
    let mut inner = String::new();
    let mut at = open + 1;
    loop {
        match chars.get(at)? {
            &c if c != quote => inner.push(c),
            _ if chars.get(at + 1) == Some(&quote) => {
                inner.push(quote);
                at += 1;
            }
            _ => return Some((inner, at + 1)),
        }
        at += 1;
    }
}

// ---- Parsing ----

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn take(&mut self, kind: &Kind) -> bool {
        let found = self.peek().kind == *kind;
        self.at += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take(&Kind::Keyword(keyword))
    }

    fn shown(&self, token: &Token) -> String {
        self.text.chars().skip(token.span.start).take(token.span.len()).collect()
    }

    /// The place of the next token.
    fn place(&self) -> usize {
        self.peek().span.start
    }

    fn refuse(&self, at: usize, fact: &str, way_out: impl Into<String>) -> Error {
        Error::usage(placed(self.text, at, fact), way_out)
    }

    /// `what` should have come in place of the next token.
    fn expected(&self, what: &str, way_out: impl Into<String>) -> Error {
        let after = match self.at.checked_sub(1) {
            Some(before) => format!(" after `{}`", self.shown(&self.tokens[before])),
            None => String::new(),
        };
        self.refuse(self.place(), &format!("{what} is expected{after}"), way_out)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let fact = format!("more than {MAX_DEPTH} parentheses and `not` within each other");
            return Err(self.refuse(self.place(), &fact, "Write it flatter; `and` and `or` take any number of parts."));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn any(&mut self) -> Result<Expr> {
        self.series(Keyword::Or, Expr::Any, |parser| parser.series(Keyword::And, Expr::All, Self::one))
    }

    /// Parts with `keyword` in between; one alone stands for itself.
    fn series(
        &mut self,
        keyword: Keyword,
        join: impl Fn(Vec<Expr>) -> Expr,
        part: impl Fn(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let first = part(self)?;
        if self.peek().kind != Kind::Keyword(keyword) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_keyword(keyword) {
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self) -> Result<Expr> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            Kind::Keyword(Keyword::Not) => {
                self.at += 1;
                Ok(Expr::Not(Box::new(self.deeper(Self::one)?)))
            }
            Kind::Open => {
                self.at += 1;
                let inner = self.deeper(Self::any)?;
                if self.take(&Kind::Close) {
                    return Ok(inner);
                }
                if self.peek().kind == Kind::End {
                    return Err(self.refuse(span.start, "this parenthesis is not closed", "Add the `)`."));
                }
                Err(self.left_over("`)`"))
            }
            Kind::Column(name) => {
                self.at += 1;
                self.about(Column { name, at: span.start })
            }
            Kind::Literal(literal) => {
                let value = Value { literal, shown: self.shown(self.peek()), at: span.start };
                self.at += 1;
                self.reversed(value)
            }
            _ => {
                Err(self.expected("a condition", "A condition is a comparison, as in age >= 18, or a boolean column."))
            }
        }
    }

    /// What is said about a column that was just taken.
    fn about(&mut self, column: Column) -> Result<Expr> {
        if let Kind::Op(op) = self.peek().kind {
            self.at += 1;
            let value = match &self.peek().kind {
                Kind::Column(other) => {
                    return Err(self.refuse(
                        self.place(),
                        &format!("two columns are compared, `{}` and `{other}`", column.name),
                        format!("One side must be a value. Text stands in single quotes: '{other}'"),
                    ));
                }
                Kind::Keyword(Keyword::Null) => {
                    let is = if op == Op::Different { "is not null" } else { "is null" };
                    return Err(self.refuse(
                        self.place(),
                        &format!("`{}` cannot find a null", op.sign()),
                        format!("Write: {} {is}", name_in_text(&column.name)),
                    ));
                }
                _ => self.value()?,
            };
            self.no_chain()?;
            return Ok(Expr::Compare(column, op, value));
        }
        if self.take_keyword(Keyword::Is) {
            let negated = self.take_keyword(Keyword::Not);
            if !self.take_keyword(Keyword::Null) {
                let what = if negated { "`null`" } else { "`null` or `not null`" };
                return Err(self.expected(what, "For true and false, compare: churned = true"));
            }
            return Ok(negate(negated, Expr::IsNull(column)));
        }
        let negated = self.take_keyword(Keyword::Not);
        if self.take_keyword(Keyword::In) {
            if !self.take(&Kind::Open) {
                return Err(self.expected("`(`", "For example: country in ('DE', 'AT')"));
            }
            let mut values = Vec::new();
            loop {
                values.push(self.value()?);
                if self.take(&Kind::Close) {
                    return Ok(negate(negated, Expr::In(column, values)));
                }
                if !self.take(&Kind::Comma) {
                    return Err(self.expected("`,` or `)`", "For example: country in ('DE', 'AT')"));
                }
            }
        }
        if self.take_keyword(Keyword::Between) {
            let low = self.value()?;
            if !self.take_keyword(Keyword::And) {
                return Err(self.expected("`and`", "For example: age between 18 and 65"));
            }
            let high = self.value()?;
            self.no_chain()?;
            let parts =
                vec![Expr::Compare(column.clone(), Op::GreaterEqual, low), Expr::Compare(column, Op::LessEqual, high)];
            return Ok(negate(negated, Expr::All(parts)));
        }
        if negated {
            return Err(self.expected("`in` or `between`", OPERATORS));
        }
        Ok(Expr::Flag(column))
    }

    /// A comparison that begins with its value, which was just taken.
    fn reversed(&mut self, value: Value) -> Result<Expr> {
        let Kind::Op(op) = self.peek().kind else {
            return Err(self.refuse(
                value.at,
                &format!("{} alone is no condition", value.shown),
                "Compare it with a column; a column whose name looks like a value stands in double quotes.",
            ));
        };
        self.at += 1;
        let Token { kind, span } = self.peek().clone();
        let name = match kind {
            Kind::Column(name) => name,
            Kind::Literal(_) => {
                let fact = format!("two values are compared, {} and {}", value.shown, self.shown(self.peek()));
                return Err(self.refuse(
                    span.start,
                    &fact,
                    "One side must be a column; a name that looks like a value stands in double quotes.",
                ));
            }
            _ => return Err(self.expected("a column", QUOTED_NAMES)),
        };
        self.at += 1;
        self.no_chain()?;
        Ok(Expr::Compare(Column { name, at: span.start }, op.flipped(), value))
    }

    fn value(&mut self) -> Result<Value> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            Kind::Literal(literal) => {
                let shown = self.shown(self.peek());
                self.at += 1;
                Ok(Value { literal, shown, at: span.start })
            }
            Kind::Column(name) => Err(self.expected("a value", format!("Text stands in single quotes: '{name}'"))),
            Kind::Keyword(Keyword::Null) => {
                Err(self.expected("a value", "Nothing is equal to a null; add: or COLUMN is null"))
            }
            _ => Err(self.expected("a value", VALUES)),
        }
    }

    /// An error if a comparison goes on, as in `a < b < c`.
    fn no_chain(&self) -> Result<()> {
        let Kind::Op(op) = self.peek().kind else { return Ok(()) };
        Err(self.refuse(
            self.place(),
            &format!("a comparison ends before this `{}`", op.sign()),
            "Write two with `and` in between: 18 <= age and age < 65",
        ))
    }

    /// Something follows what could have been the whole, where `closing` would have been right too.
    fn left_over(&self, closing: &str) -> Error {
        let kind_before = self.at.checked_sub(1).map(|before| &self.tokens[before].kind);
        match (kind_before, &self.peek().kind) {
            (_, Kind::Close) => self.refuse(self.place(), "this parenthesis closes nothing", "Leave it out."),
            (Some(Kind::Column(_)), Kind::Column(_) | Kind::Literal(_)) => self.expected("an operator", OPERATORS),
            (Some(Kind::Literal(Literal::Number(_))), Kind::Literal(Literal::Number(_))) => self.expected(
                &format!("`and`, `or` or {closing}"),
                "There is no arithmetic. A date stands in single quotes: '2024-01-31'",
            ),
            (_, Kind::Op(op)) => self.refuse(
                self.place(),
                &format!("a condition ends before this `{}`", op.sign()),
                "Only columns and values are compared, not conditions.",
            ),
            _ => self.expected(&format!("`and`, `or` or {closing}"), ""),
        }
    }
}

fn negate(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// A column's name as it stands in an expression.
fn name_in_text(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        && matches!(word(name), Kind::Column(_));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl Predicate {
    /// Parses an expression; what is wrong with it is a usage error with a caret under the place.
    pub fn parse(text: &str) -> Result<Self> {
        let tokens = tokens(text)?;
        if tokens.len() == 1 {
            return Err(Error::usage("--where is empty", "Give a condition, for example: --where \"age >= 18\""));
        }
        let mut parser = Parser { text, tokens, at: 0, depth: 0 };
        let root = parser.any()?;
        if parser.peek().kind != Kind::End {
            return Err(parser.left_over("the end"));
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// The columns that it needs, each once, in the order in which they first appear.
    pub fn columns(&self) -> Vec<&str> {
        fn collect<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
            match expr {
                Expr::Any(parts) | Expr::All(parts) => parts.iter().for_each(|part| collect(part, names)),
                Expr::Not(inner) => collect(inner, names),
                Expr::Flag(column) | Expr::Compare(column, ..) | Expr::In(column, _) | Expr::IsNull(column) => {
                    if !names.contains(&column.name.as_str()) {
                        names.push(&column.name);
                    }
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.root, &mut names);
        names
    }

    /// Checks it against a table: `types` gives the type of a column, `names` are all columns, for messages.
    ///
    /// A column that is not there or has no comparable type is a data error, a value that does not fit a usage error.
    pub(super) fn bind(&self, types: impl Fn(&str) -> Option<DataType>, names: &[&str]) -> Result<Bound> {
        let mut bound = Bound { columns: Vec::new(), root: Node::All(Vec::new()) };
        bound.root = Binder { text: &self.text, types: &types, names }.bind(&self.root, &mut bound.columns)?;
        Ok(bound)
    }
}

// ---- Binding ----

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
            let listed = match self.names.len() {
                0..=30 => self.names.join(", "),
                n => format!("{}, ... ({n} columns)", self.names[..30].join(", ")),
            };
            let meant = nearest(&column.name, self.names)
                .map_or_else(String::new, |name| format!("Did you mean {}? ", name_in_text(name)));
            return Err(Error::data(
                placed(self.text, column.at, &format!("there is no column `{}`", column.name)),
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

/// The name that is most like `name`, if one is like it: other case, or few letters changed.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let lower: Vec<char> = name.to_lowercase().chars().collect();
    let distances = names.iter().map(|other| {
        let other: Vec<char> = other.to_lowercase().chars().collect();
        distance(&lower, &other)
    });
    let (best, distance) = distances.enumerate().min_by_key(|&(_, distance)| distance)?;
    (distance <= 1.max(lower.len() / 3)).then_some(names[best])
}

/// Characters to insert, remove or change between two words (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A comparison of integers, of whatever meaning. `narrow` gives a value of the type, if there is one.
fn integer_test<T: ArrowPrimitiveType>(
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

fn float_test(data_type: &DataType, op: Op, number: &Number) -> Result<Test> {
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

// ---- Evaluation ----

/// A condition that fits a table.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// Names and types of its columns; of a dictionary the type of the values.
    columns: Vec<(String, DataType)>,
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    /// A test of the column with this index.
    Leaf(usize, Test),
    IsNull(usize),
}

/// What a value is compared with. The answer for a null is unknown.
#[derive(Clone, Debug)]
enum Test {
    /// The same answer for every value.
    Constant(bool),
    /// A value of the column's own type.
    Fixed(Op, Scalar<ArrayRef>),
    /// A number, for all types of floats. The answer for a NaN is unknown.
    Float(Op, f64),
    /// A text, for all types of texts.
    Text(Op, String),
}

impl Bound {
    /// Which rows of a batch are selected, without nulls: unknown is not selected. The batch has the columns of the
    /// predicate by their names, with the types that it was bound to; only text may be of another type of text.
    pub(super) fn select(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let columns = self
            .columns
            .iter()
            .map(|(name, data_type)| {
                let array = batch
                    .column_by_name(name)
                    .ok_or_else(|| Error::internal(format!("--where needs `{name}`, which was not read")))?;
                fitting(array, data_type)?.ok_or_else(|| {
                    Error::internal(format!("--where expects `{name}` as {data_type}, it is {}", array.data_type()))
                })
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let selected = self.root.evaluate(&columns, batch.num_rows()).map_err(|cause| broken(&cause))?;
        Ok(if selected.nulls().is_some() { prep_null_mask_filter(&selected) } else { selected })
    }
}

fn broken(cause: &ArrowError) -> Error {
    Error::internal(format!("--where could not be evaluated: {cause}"))
}

/// `array` as the tests for `data_type` take it; `None` if they do not.
fn fitting(array: &ArrayRef, data_type: &DataType) -> Result<Option<ArrayRef>> {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    Ok(match array.data_type() {
        // The kernels compare the texts of a dictionary where they are.
        _ if is_text(data_type) => is_text(values).then(|| Arc::clone(array)),
        DataType::Dictionary(..) if values == data_type => {
            Some(cast(array, data_type).map_err(|cause| broken(&cause))?)
        }
        other => (other == data_type).then(|| Arc::clone(array)),
    })
}

impl Node {
    fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> ArrowResult {
        let series = |parts: &[Self], join: fn(&BooleanArray, &BooleanArray) -> ArrowResult, of_none: bool| {
            let mut joined: Option<BooleanArray> = None;
            for part in parts {
                let next = part.evaluate(columns, rows)?;
                joined = Some(match joined {
                    None => next,
                    Some(before) => join(&before, &next)?,
                });
            }
            Ok(joined.unwrap_or_else(|| BooleanArray::from(vec![of_none; rows])))
        };
        match self {
            Self::Any(parts) => series(parts, or_kleene, false),
            Self::All(parts) => series(parts, and_kleene, true),
            Self::Not(inner) => not(&inner.evaluate(columns, rows)?),
            Self::Leaf(column, test) => test.apply(&columns[*column]),
            Self::IsNull(column) => is_null(&columns[*column]),
        }
    }
}

impl Test {
    fn apply(&self, array: &ArrayRef) -> ArrowResult {
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

// ---- Row groups ----

/// What the values of a row group lie between, for all row groups of a file.
struct Statistics {
    /// Lower and upper bounds, `[groups]`, null where they are missing or not to be trusted.
    low: ArrayRef,
    high: ArrayRef,
    /// Nulls, `[groups]`, `None` where it is not said.
    nulls: Vec<Option<u64>>,
}

/// Which answers the rows of a row group can have, as far as its statistics show. Unknown needs no place here: it makes
/// neither of the others out of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answers {
    yes: bool,
    no: bool,
}

impl Answers {
    fn and(self, other: Self) -> Self {
        Self { yes: self.yes && other.yes, no: self.no || other.no }
    }

    fn not(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl Bound {
    /// For each row group of a file, whether its statistics prove that no row of it is selected. Statistics that are
    /// missing, of an order that is not defined, or NaN prove nothing.
    pub(super) fn prune(&self, metadata: &ArrowReaderMetadata) -> Result<Vec<bool>> {
        let rows: Vec<u64> =
            metadata.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect();
        let statistics = self
            .columns
            .iter()
            .map(|(name, data_type)| statistics(metadata, name, data_type))
            .collect::<Result<Vec<_>>>()?;
        let answers = self.root.answers(&statistics, &rows).map_err(|cause| broken(&cause))?;
        Ok(answers.into_iter().map(|answers| !answers.yes).collect())
    }
}

/// The statistics of a column; `None` if the file has no column of that name and type.
fn statistics(metadata: &ArrowReaderMetadata, name: &str, data_type: &DataType) -> Result<Option<Statistics>> {
    let failed =
        |cause: &dyn std::fmt::Display| Error::internal(format!("the statistics of `{name}` cannot be read: {cause}"));
    let Ok(converter) = StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()) else {
        return Ok(None);
    };
    let Some(column) = converter.parquet_column_index() else { return Ok(None) };
    let converter = converter.with_missing_null_counts_as_zero(false);
    let groups = metadata.metadata().row_groups();
    // Before orders were defined, texts and unsigned numbers were compared as signed bytes.
    let ordered = matches!(
        metadata.metadata().file_metadata().column_order(column),
        ColumnOrder::TYPE_DEFINED_ORDER(_) | ColumnOrder::IEEE_754_TOTAL_ORDER
    );
    let distrusted: BooleanArray = groups
        .iter()
        .map(|group| {
            let old = group.column(column).statistics().is_some_and(ChunkStatistics::is_min_max_deprecated);
            Some(old || !ordered)
        })
        .collect();
    let bounds = |bounds: parquet::errors::Result<ArrayRef>| {
        let bounds = nullif(&bounds.map_err(|cause| failed(&cause))?, &distrusted).map_err(|cause| failed(&cause))?;
        fitting(&bounds, data_type)
    };
    let (Some(low), Some(high)) =
        (bounds(converter.row_group_mins(groups))?, bounds(converter.row_group_maxes(groups))?)
    else {
        return Ok(None);
    };
    let nulls = converter.row_group_null_counts(groups).map_err(|cause| failed(&cause))?;
    Ok(Some(Statistics { low, high, nulls: nulls.iter().collect() }))
}

impl Node {
    /// The answers that the row groups with `rows` rows can have.
    fn answers(
        &self,
        statistics: &[Option<Statistics>],
        rows: &[u64],
    ) -> std::result::Result<Vec<Answers>, ArrowError> {
        let anything = || vec![Answers { yes: true, no: true }; rows.len()];
        let series = |parts: &[Self], join: fn(Answers, Answers) -> Answers, of_none: bool| {
            let mut joined = vec![Answers { yes: of_none, no: !of_none }; rows.len()];
            for part in parts {
                for (before, next) in joined.iter_mut().zip(part.answers(statistics, rows)?) {
                    *before = join(*before, next);
                }
            }
            Ok(joined)
        };
        match self {
            Self::Any(parts) => series(parts, Answers::or, false),
            Self::All(parts) => series(parts, Answers::and, true),
            Self::Not(inner) => Ok(inner.answers(statistics, rows)?.into_iter().map(Answers::not).collect()),
            Self::IsNull(column) => Ok(statistics[*column].as_ref().map_or_else(anything, |column| {
                let nulls = column.nulls.iter().zip(rows);
                nulls.map(|(nulls, rows)| Answers { yes: *nulls != Some(0), no: *nulls != Some(*rows) }).collect()
            })),
            Self::Leaf(column, test) => match &statistics[*column] {
                Some(column) => {
                    let compared = test.answers(&column.low, &column.high)?;
                    let nulls = column.nulls.iter().zip(rows);
                    Ok(compared
                        .into_iter()
                        .zip(nulls)
                        .map(|((yes, no), (nulls, rows))| {
                            let values = *nulls != Some(*rows);
                            Answers { yes: yes && values, no: no && values }
                        })
                        .collect())
                }
                None => Ok(anything()),
            },
        }
    }
}

impl Test {
    fn with(&self, op: Op) -> Self {
        match self {
            Self::Constant(answer) => Self::Constant(*answer),
            Self::Fixed(_, value) => Self::Fixed(op, value.clone()),
            Self::Float(_, value) => Self::Float(op, *value),
            Self::Text(_, text) => Self::Text(op, text.clone()),
        }
    }

    /// Whether values between bounds `low` and `high` can pass the test, and whether they can fail it.
    fn answers(&self, low: &ArrayRef, high: &ArrayRef) -> std::result::Result<Vec<(bool, bool)>, ArrowError> {
        let op = match self {
            Self::Constant(answer) => return Ok(vec![(*answer, !*answer); low.len()]),
            Self::Fixed(op, _) | Self::Float(op, _) | Self::Text(op, _) => *op,
        };
        // Both bounds, or neither: where one is missing or NaN the other is worth nothing.
        let both = |of_low: Op, of_high: Op| -> std::result::Result<Vec<Option<(bool, bool)>>, ArrowError> {
            let (low, high) = (self.with(of_low).apply(low)?, self.with(of_high).apply(high)?);
            Ok(low.iter().zip(high.iter()).map(|(low, high)| low.zip(high)).collect())
        };
        let answers: Vec<Option<(bool, bool)>> = match op {
            Op::Less | Op::LessEqual => {
                both(op, op)?.into_iter().map(|sides| sides.map(|(low, high)| (low, !high))).collect()
            }
            Op::Greater | Op::GreaterEqual => {
                both(op, op)?.into_iter().map(|sides| sides.map(|(low, high)| (high, !low))).collect()
            }
            Op::Equal | Op::Different => {
                let within = both(Op::LessEqual, Op::GreaterEqual)?;
                let same = both(Op::Equal, Op::Equal)?;
                let equal = within.into_iter().zip(same).map(|(within, same)| {
                    let ((low, high), (at_low, at_high)) = within.zip(same)?;
                    let (equal, different) = (low && high, !(at_low && at_high));
                    Some(if op == Op::Equal { (equal, different) } else { (different, equal) })
                });
                equal.collect()
            }
        };
        Ok(answers.into_iter().map(|answers| answers.unwrap_or((true, true))).collect())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, NullArray, UInt64Array};
    use arrow::compute::cast_with_options;

    use super::*;

    // ---- A second opinion: row by row, on numbers in f64 and texts, sharing nothing with the above ----

    #[derive(Clone, Debug)]
    enum Cell {
        Null,
        Number(f64),
        Text(String),
        Flag(bool),
    }

    #[derive(Clone, Debug)]
    enum Naive {
        Compare(usize, &'static str, String, Cell),
        In(usize, Vec<(String, Cell)>),
        Between(usize, [(String, Cell); 2]),
        IsNull(usize),
        Flag(usize),
        Not(Box<Naive>),
        And(Box<Naive>, Box<Naive>),
        Or(Box<Naive>, Box<Naive>),
    }

    fn naive_compare(cell: &Cell, op: &str, literal: &Cell) -> Option<bool> {
        let order = match (cell, literal) {
            (Cell::Null, _) => return None,
            (Cell::Number(a), Cell::Number(b)) => a.partial_cmp(b)?,
            (Cell::Text(a), Cell::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Cell::Flag(a), Cell::Flag(b)) => a.cmp(b),
            _ => panic!("{cell:?} against {literal:?}"),
        };
        Some(match op {
            "=" | "==" => order.is_eq(),
            "!=" | "<>" => order.is_ne(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            _ => panic!("{op}"),
        })
    }

    fn naive_and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
        match (a, b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    impl Naive {
        fn answer(&self, row: &[Cell]) -> Option<bool> {
            let or = |a: Option<bool>, b: Option<bool>| naive_and(a.map(|a| !a), b.map(|b| !b)).map(|c| !c);
            match self {
                Self::Compare(column, op, _, literal) => naive_compare(&row[*column], op, literal),
                Self::In(column, literals) => {
                    let mut known = Some(false);
                    for (_, literal) in literals {
                        known = or(known, naive_compare(&row[*column], "=", literal));
                    }
                    known
                }
                Self::Between(column, [(_, low), (_, high)]) => {
                    naive_and(naive_compare(&row[*column], ">=", low), naive_compare(&row[*column], "<=", high))
                }
                Self::IsNull(column) => Some(matches!(row[*column], Cell::Null)),
                Self::Flag(column) => naive_compare(&row[*column], "=", &Cell::Flag(true)),
                Self::Not(inner) => inner.answer(row).map(|answer| !answer),
                Self::And(a, b) => naive_and(a.answer(row), b.answer(row)),
                Self::Or(a, b) => or(a.answer(row), b.answer(row)),
            }
        }

        fn text(&self, random: &mut Random) -> String {
            let name = |column: &usize| NAMES[*column].1;
            let mut keyword = |word: &str| match random.below(3) {
                0 => word.to_uppercase(),
                _ => word.to_owned(),
            };
            match self {
                Self::Compare(column, op, literal, _) if keyword("a") == "A" => {
                    let flipped = match *op {
                        "<" => ">",
                        "<=" => ">=",
                        ">" => "<",
                        ">=" => "<=",
                        other => other,
                    };
                    format!("{literal}{flipped}{}", name(column))
                }
                Self::Compare(column, op, literal, _) => format!("{} {op} {literal}", name(column)),
                Self::In(column, literals) => {
                    let literals: Vec<&str> = literals.iter().map(|(text, _)| text.as_str()).collect();
                    format!("{} {} ({})", name(column), keyword("in"), literals.join(", "))
                }
                Self::Between(column, [(low, _), (high, _)]) => {
                    format!("{} {} {low} {} {high}", name(column), keyword("between"), keyword("and"))
                }
                Self::IsNull(column) => format!("{} {} {}", name(column), keyword("is"), keyword("null")),
                Self::Flag(column) => name(column).to_owned(),
                Self::Not(inner) => match &**inner {
                    Self::In(column, _) | Self::Between(column, _) if keyword("a") == "A" => {
                        let inner = inner.text(random);
                        let rest = inner.strip_prefix(name(column)).expect("it begins with its column");
                        format!("{} not{rest}", name(column))
                    }
                    Self::IsNull(column) if keyword("a") == "A" => format!("{} is not null", name(column)),
                    _ => format!("{} ({})", keyword("not"), inner.text(random)),
                },
                Self::And(a, b) => {
                    let word = keyword("and");
                    format!("({}) {word} ({})", a.text(random), b.text(random))
                }
                Self::Or(a, b) => {
                    let word = keyword("or");
                    format!("({}) {word} ({})", a.text(random), b.text(random))
                }
            }
        }
    }

    /// A generator after S. Vigna (splitmix).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % bound as u64) as usize
        }

        fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
            choices[self.below(choices.len())]
        }
    }

    // ---- Random rows of every type, random expressions ----

    /// The columns: name, and name as it stands in an expression.
    const NAMES: [(&str, &str); 7] = [
        ("whole", "whole"),
        ("decimal", "`decimal`"),
        ("float", "float"),
        ("text", "\"text\""),
        ("flag", "flag"),
        ("größe in m", "\"größe in m\""),
        ("day.time", "day.time"),
    ];
    const TEXTS: [&str; 6] = ["", "a", "ab", "b", "ä", "it's"];
    /// Timestamps, with their seconds since 1970 from a calendar.
    const TIMES: [(&str, f64); 6] = [
        ("1969-12-31", -86_400.0),
        ("1969-12-31 23:59:59.5", -0.5),
        ("1970-01-01", 0.0),
        ("1970-01-01T12:30", 45_000.0),
        ("2000-02-29 00:00:00.25", 951_782_400.25),
        ("2024-01-31", 1_706_659_200.0),
    ];

    fn literal(column: usize, random: &mut Random) -> (String, Cell) {
        match column {
            3 => {
                let text = TEXTS[random.below(TEXTS.len())];
                (format!("'{}'", text.replace('\'', "''")), Cell::Text(text.into()))
            }
            4 => {
                let flag = random.below(2) == 0;
                (random.of(if flag { &["true", "TRUE"] } else { &["false", "False"] }).to_owned(), Cell::Flag(flag))
            }
            6 => {
                let (text, seconds) = TIMES[random.below(TIMES.len())];
                (format!("'{text}'"), Cell::Number(seconds))
            }
            _ => {
                let value = (random.below(17) as f64 - 8.0) / 4.0;
                let value = if random.below(12) == 0 { value * 1e9 } else { value };
                let text = match random.below(4) {
                    0 => format!("{value:e}"),
                    1 => format!("{}e-2", value * 100.0),
                    2 => format!("{value:.3}"),
                    _ => format!("{value}"),
                };
                (text, Cell::Number(value))
            }
        }
    }

    fn expression(depth: usize, random: &mut Random) -> Naive {
        let column = random.below(NAMES.len());
        let op = random.of(if column == 4 { &["=", "!=", "<>"][..] } else { &["=", "==", "!=", "<", "<=", ">", ">="] });
        match random.below(if depth == 0 { 5 } else { 9 }) {
            0 => Naive::IsNull(column),
            1 => Naive::In(column, (0..=random.below(3)).map(|_| literal(column, random)).collect()),
            2 if column == 4 => Naive::Flag(column),
            2 => Naive::Between(column, [literal(column, random), literal(column, random)]),
            3 | 4 => {
                let (text, cell) = literal(column, random);
                Naive::Compare(column, op, text, cell)
            }
            5 | 6 => Naive::Not(Box::new(expression(depth - 1, random))),
            7 => Naive::And(Box::new(expression(depth - 1, random)), Box::new(expression(depth - 1, random))),
            _ => Naive::Or(Box::new(expression(depth - 1, random)), Box::new(expression(depth - 1, random))),
        }
    }

    /// Every column in one of its types, and the same rows for the second opinion.
    fn random_rows(rows: usize, random: &mut Random) -> (RecordBatch, Vec<Vec<Cell>>) {
        fn numbers(values: &[Option<f64>], data_type: &DataType) -> ArrayRef {
            let strict = arrow::compute::CastOptions { safe: false, ..Default::default() };
            cast_with_options(&Float64Array::from(values.to_vec()), data_type, &strict).expect("values of that type")
        }
        let mut cells = vec![vec![Cell::Null; NAMES.len()]; rows];
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        let nullable = |random: &mut Random, value: f64| (random.below(4) > 0).then_some(value);
        for (column, (name, _)) in NAMES.iter().enumerate() {
            let mut texts: Vec<Option<&str>> = Vec::new();
            let mut values: Vec<Option<f64>> = Vec::new();
            let quarter = |random: &mut Random| (random.below(17) as f64 - 8.0) / 4.0;
            let array: ArrayRef = match column {
                0 | 5 => {
                    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
                    let data_type = random.of(&[&Int8, &Int16, &Int32, &Int64, &UInt8, &UInt16, &UInt32, &UInt64]);
                    for _ in 0..rows {
                        let value = quarter(random).trunc();
                        let value = if data_type.is_unsigned_integer() { value.abs() } else { value };
                        values.push(nullable(random, value));
                    }
                    numbers(&values, data_type)
                }
                1 => {
                    let data_type = random.of(&[
                        &DataType::Decimal32(9, 2),
                        &DataType::Decimal64(12, 3),
                        &DataType::Decimal128(38, 4),
                        &DataType::Decimal256(70, 2),
                    ]);
                    values.extend((0..rows).map(|_| {
                        let value = quarter(random);
                        nullable(random, value)
                    }));
                    numbers(&values, data_type)
                }
                2 => {
                    for _ in 0..rows {
                        let value = match random.below(10) {
                            0 => f64::NAN,
                            1 => -0.0,
                            2 => f64::INFINITY,
                            3 => f64::NEG_INFINITY,
                            _ => quarter(random),
                        };
                        values.push(nullable(random, value));
                    }
                    numbers(&values, random.of(&[&DataType::Float16, &DataType::Float32, &DataType::Float64]))
                }
                3 => {
                    texts.extend((0..rows).map(|_| (random.below(4) > 0).then(|| random.of(&TEXTS))));
                    let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
                    let data_type = random
                        .of(&[
                            &DataType::Utf8,
                            &DataType::LargeUtf8,
                            &DataType::Utf8View,
                            &dictionary(DataType::Utf8),
                            &dictionary(DataType::LargeUtf8),
                        ])
                        .clone();
                    cast(&StringArray::from(texts.clone()), &data_type).expect("text of another type")
                }
                4 => {
                    let flags: Vec<Option<bool>> =
                        (0..rows).map(|_| [None, Some(true), Some(false)][random.below(3)]).collect();
                    for (row, flag) in flags.iter().enumerate() {
                        cells[row][column] = flag.map_or(Cell::Null, Cell::Flag);
                    }
                    Arc::new(BooleanArray::from(flags))
                }
                _ => {
                    let ticks = |per_second: f64, values: &[Option<f64>]| {
                        values.iter().map(|value| value.map(|v| (v * per_second) as i64)).collect::<Int64Array>()
                    };
                    let (data_type, per_second) = match random.below(6) {
                        0 => (DataType::Date32, 1.0 / 86_400.0),
                        1 => (DataType::Date64, 1e3),
                        2 => (DataType::Timestamp(TimeUnit::Second, None), 1.0),
                        3 => (DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), 1e3),
                        4 => (DataType::Timestamp(TimeUnit::Microsecond, None), 1e6),
                        _ => (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), 1e9),
                    };
                    for _ in 0..rows {
                        let (_, seconds) = TIMES[random.below(TIMES.len())];
                        values.push(nullable(random, (seconds * per_second).floor() / per_second));
                    }
                    if data_type == DataType::Date32 {
                        let days = values.iter().map(|value| value.map(|v| (v * per_second).round() as i32));
                        Arc::new(days.collect::<Date32Array>())
                    } else {
                        cast(&ticks(per_second, &values), &data_type).expect("ticks are integers")
                    }
                }
            };
            for (row, cells) in cells.iter_mut().enumerate() {
                if let Some(Some(value)) = values.get(row) {
                    cells[column] = Cell::Number(*value);
                }
                if let Some(Some(text)) = texts.get(row) {
                    cells[column] = Cell::Text((*text).to_owned());
                }
            }
            columns.push((name, array));
        }
        (
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).expect("a batch"),
            cells,
        )
    }

    fn bind(text: &str, batch: &RecordBatch) -> Result<Bound> {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let types = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
        Predicate::parse(text)?.bind(types, &names)
    }

    fn selected(text: &str, batch: &RecordBatch) -> Vec<bool> {
        let bound = bind(text, batch).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mask = bound.select(batch).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(mask.null_count(), 0, "{text}");
        assert_eq!(mask.len(), batch.num_rows(), "{text}");
        mask.values().iter().collect()
    }

    #[test]
    fn random_expressions_select_what_a_row_wise_evaluator_selects() {
        let mut random = Random(1);
        let (mut chosen, mut unknown, mut total) = (0, 0, 0);
        for _ in 0..3_000 {
            let (batch, rows) = random_rows(1 + random.below(20), &mut random);
            let naive = expression(random.below(4), &mut random);
            let text = naive.text(&mut random);
            let found = selected(&text, &batch);
            for (row, (cells, found)) in rows.iter().zip(found).enumerate() {
                let answer = naive.answer(cells);
                assert_eq!(found, answer == Some(true), "{text}: row {row}, {cells:?}, {}", batch.schema());
                chosen += usize::from(found);
                unknown += usize::from(answer.is_none());
                total += 1;
            }
        }
        assert!(chosen * 5 > total && chosen * 5 < total * 4, "{chosen} of {total}");
        assert!(unknown * 20 > total, "{unknown} of {total}");
    }

    // ---- Corners ----

    /// One column `x`.
    fn column(array: impl Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("x", Arc::new(array) as ArrayRef, true)]).expect("a batch")
    }

    #[track_caller]
    fn assert_selects(batch: &RecordBatch, text: &str, expected: &[u8]) {
        let found: Vec<u8> = selected(text, batch).into_iter().map(u8::from).collect();
        assert_eq!(found, expected, "{text}");
    }

    type Answer = fn(Option<bool>, Option<bool>, Option<bool>) -> Option<bool>;

    #[test]
    fn logic_has_three_values_and_the_usual_precedence() {
        let values = [None, Some(false), Some(true)];
        let nth = |of: usize| -> BooleanArray { (0..27).map(|row| values[row / of % 3]).collect() };
        let batch = RecordBatch::try_from_iter_with_nullable(
            [("a", 9), ("b", 3), ("c", 1)].map(|(name, of)| (name, Arc::new(nth(of)) as ArrayRef, true)),
        )
        .expect("a batch");
        let expressions: &[(&str, Answer)] = &[
            ("a", |a, _, _| a),
            ("not a", |a, _, _| a.map(|a| !a)),
            ("not not a", |a, _, _| a),
            ("a != true", |a, _, _| a.map(|a| !a)),
            ("not a is null", |a, _, _| Some(a.is_some())),
            ("a and b", |a, b, _| naive_and(a, b)),
            ("not (a and b)", |a, b, _| naive_and(a, b).map(|x| !x)),
            ("not a and b", |a, b, _| naive_and(a.map(|a| !a), b)),
            ("a or b and c", |a, b, c| if a == Some(true) { a } else { naive_and(b, c) }),
            ("a and b or c", |a, b, c| if c == Some(true) { c } else { naive_and(a, b) }),
            ("(a or b) and c", |a, b, c| naive_and([a, b].contains(&Some(true)).then_some(true), c)),
            ("a in (true, false)", |a, _, _| a.map(|_| true)),
            ("a not in (true, false) or a is null", |a, _, _| a.is_none().then_some(true)),
        ];
        for (text, answer) in expressions {
            let expected: Vec<u8> = (0..27)
                .map(|row| u8::from(answer(values[row / 9], values[row / 3 % 3], values[row % 3]) == Some(true)))
                .collect();
            assert_selects(&batch, text, &expected);
        }
    }

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
        let batch = RecordBatch::try_from_iter([("x", wide)]).expect("a batch");
        assert_selects(&batch, "x = 5", &[1, 0]);
        assert_selects(&batch, &format!("x < 5.{}1", "0".repeat(69)), &[1, 0]);
        assert_selects(&batch, &format!("x <= 4.{}", "9".repeat(80)), &[0, 0]);
    }

    #[test]
    fn floats_round_the_literal_to_their_type_and_a_nan_is_unknown() {
        let narrow = column(arrow::array::Float32Array::from(vec![0.1, f32::MAX, f32::INFINITY, f32::NEG_INFINITY]));
        assert_selects(&narrow, "x = 0.1", &[1, 0, 0, 0]);
        assert_selects(&narrow, "x > 0.1", &[0, 1, 1, 0]);
        assert_selects(&narrow, "x < 1e39", &[1, 1, 0, 1]);
        assert_selects(&narrow, "x >= 1e999", &[0, 0, 1, 0]);
        assert_selects(&narrow, "x = 1e39 or x = -1e39", &[0; 4]);
        assert_selects(&narrow, "x <= -1e39", &[0, 0, 0, 1]);
        assert_selects(&narrow, "x != -1e39 and x > -1e39", &[1, 1, 1, 0]);
        let half = cast(&Float64Array::from(vec![0.1, 65_504.0, f64::INFINITY]), &DataType::Float16).expect("halves");
        let half = RecordBatch::try_from_iter([("x", half)]).expect("a batch");
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
        let array = arrow::array::TimestampMicrosecondArray::from(vec![noon - 1, noon, noon + 1]);
        let instants = column(array.clone().with_timezone("UTC"));
        assert_selects(&instants, "x = '2024-01-31 12:00:00'", &[0, 1, 0]);
        assert_selects(&instants, "x = '2024-01-31T12:00Z'", &[0, 1, 0]);
        assert_selects(&instants, "x >= '2024-01-31 14:30:00+02:30'", &[0, 1, 1]);
        assert_selects(&instants, "x < '2024-01-31 07:00:00.000000-0500'", &[1, 0, 0]);
        assert_selects(&instants, "x < '2024-01-31 12:00:00.000000001+00'", &[1, 1, 0]);
        let local = column(array);
        assert_selects(&local, "x > '2024-01-31 11:59:59.999999'", &[0, 1, 1]);
        assert_selects(&local, "x < '9999-12-31'", &[1, 1, 1]);
        let nanoseconds = column(arrow::array::TimestampNanosecondArray::from(vec![i64::MIN, 0, i64::MAX]));
        assert_selects(&nanoseconds, "x < '9999-12-31' and x > '0001-01-01'", &[1, 1, 1]);
        let days = column(Date32Array::from(vec![Some(19_752), Some(19_753), None]));
        assert_selects(&days, "x <= '2024-01-30 23:59'", &[1, 0, 0]);
        assert_selects(&days, "x between '2024-01-31' and '2024-01-31'", &[0, 1, 0]);
        assert_selects(&days, "x = '2024-01-31 00:00:01'", &[0, 0, 0]);
    }

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

    #[test]
    fn names_and_texts_are_taken_as_they_stand() {
        let array = || Arc::new(StringArray::from(vec![Some("it's"), Some("\"x\""), Some(""), None])) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable(
            ["a\"b", "c`d", "not", "ümlaut.x_1", " "].map(|name| (name, array(), true)),
        )
        .expect("a batch");
        for name in ["\"a\"\"b\"", "`a\"b`", "`c``d`", "\"not\"", "ümlaut.x_1", "\" \""] {
            assert_selects(&batch, &format!("{name} = 'it''s'"), &[1, 0, 0, 0]);
            assert_selects(&batch, &format!("''<{name}"), &[1, 1, 0, 0]);
            assert_selects(&batch, &format!("{name} IN('', '\"x\"')AND(NOT {name} IS NULL)"), &[0, 1, 1, 0]);
        }
        let predicate =
            Predicate::parse("b = 1 or `c d` in (1) and not (b or \"A\" is null) and 1 < a").expect("valid");
        assert_eq!(predicate.columns(), ["b", "c d", "A", "a"]);
        let nothing = column(NullArray::new(2));
        assert_selects(&nothing, "x is null", &[1, 1]);
    }

    #[test]
    fn a_batch_that_was_not_bound_is_noticed() {
        let bound = bind("x = 1", &column(Int64Array::from(vec![1]))).expect("a number");
        let error = bound.select(&column(UInt64Array::from(vec![1]))).expect_err("another type");
        assert_eq!(error.fact, "--where expects `x` as Int64, it is UInt64");
        let other =
            RecordBatch::try_from_iter([("y", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).expect("a batch");
        assert_eq!(bound.select(&other).expect_err("no x").fact, "--where needs `x`, which was not read");
        let bound = bind("x = 'a'", &column(StringArray::from(vec!["a"]))).expect("a text");
        let mask = bound.select(&column(StringViewArray::from(vec!["b", "a"]))).expect("text of another type");
        assert_eq!(mask, BooleanArray::from(vec![false, true]));
    }

    // ---- Messages ----

    #[track_caller]
    fn assert_message(error: &Error, text: &str, caret: usize, fact: &str, way_out: &str) {
        assert_eq!(error.fact, format!("--where: {fact}:\n    {text}\n    {}^", " ".repeat(caret)));
        assert!(error.way_out.contains(way_out), "{text}: {}", error.way_out);
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_said_at_its_place() {
        let cases: &[(&str, usize, &str, &str)] = &[
            ("age >= and x", 7, "a value is expected after `>=`", "'text' in single quotes"),
            ("age >=", 6, "a value is expected after `>=`", "Values are"),
            ("größe = 'a' or", 14, "a condition is expected after `or`", "age >= 18"),
            ("größe = 'ä' ö", 12, "`and`, `or` or the end is expected after `'ä'`", ""),
            ("a and", 5, "a condition is expected after `and`", "boolean column"),
            ("and a", 0, "a condition is expected", "boolean column"),
            ("()", 1, "a condition is expected after `(`", "boolean column"),
            ("not", 3, "a condition is expected after `not`", "boolean column"),
            ("a = 'it''s", 4, "this text has no closing '", "doubled: ''"),
            ("\"a = 1", 0, "this name has no closing \"", "doubled"),
            ("a or (b and (c or d)", 5, "this parenthesis is not closed", "Add the `)`"),
            ("a = 1)", 5, "this parenthesis closes nothing", "Leave it out"),
            ("(a b)", 3, "an operator is expected after `a`", "The operators are"),
            ("(a = 1 b)", 7, "`and`, `or` or `)` is expected after `1`", ""),
            ("name like 'x%'", 5, "an operator is expected after `name`", "between ... and"),
            ("age 18", 4, "an operator is expected after `age`", "The operators are"),
            ("age-1 > 0", 3, "an operator is expected after `age`", "no arithmetic"),
            ("age - 1 > 0", 4, "`-` has no meaning here", "\"net-income\""),
            ("day > 2024-01-31", 10, "`and`, `or` or the end is expected after `2024`", "'2024-01-31'"),
            ("a =< 1", 2, "`=<` is no operator", "Did you mean `<=`?"),
            ("a => 1", 2, "`=>` is no operator", "Did you mean `>=`?"),
            ("a === 1", 2, "`===` is no operator", "Did you mean `=`?"),
            ("a =! 1", 2, "`=!` is no operator", "Did you mean `!=`?"),
            ("a && b", 2, "`&&` is no operator", "Did you mean `and`?"),
            ("a || b", 2, "`||` is no operator", "Did you mean `or`?"),
            ("!a", 0, "`!` is no operator", "Did you mean `not`?"),
            ("a ~ 'x'", 2, "`~` is no operator", "The operators are"),
            ("a < b < c", 4, "two columns are compared, `a` and `b`", "single quotes: 'b'"),
            ("18 <= age < 65", 10, "a comparison ends before this `<`", "18 <= age and age < 65"),
            ("a < 1 < 2", 6, "a comparison ends before this `<`", "`and` in between"),
            ("a between 1 and 2 = b", 18, "a comparison ends before this `=`", "`and` in between"),
            ("(a) = 1", 4, "a condition ends before this `=`", "not conditions"),
            ("a is null = true", 10, "a condition ends before this `=`", "not conditions"),
            ("1 = 1", 4, "two values are compared, 1 and 1", "One side must be a column"),
            ("1 = (a)", 4, "a column is expected after `=`", "double quotes"),
            ("true", 0, "true alone is no condition", "Compare it with a column"),
            ("'a' in (b)", 0, "'a' alone is no condition", "Compare it with a column"),
            ("a = null", 4, "`=` cannot find a null", "Write: a is null"),
            ("\"a b\" != null", 9, "`!=` cannot find a null", "Write: \"a b\" is not null"),
            ("a is 3", 5, "`null` or `not null` is expected after `is`", "churned = true"),
            ("a is not true", 9, "`null` is expected after `not`", "churned = true"),
            ("a not 3", 6, "`in` or `between` is expected after `not`", "The operators are"),
            ("a in 'x'", 5, "`(` is expected after `in`", "country in ('DE', 'AT')"),
            ("a in ()", 6, "a value is expected after `(`", "Values are"),
            ("a in (1, )", 9, "a value is expected after `,`", "Values are"),
            ("a in (1 2)", 8, "`,` or `)` is expected after `1`", "country in"),
            ("a in (1", 7, "`,` or `)` is expected after `1`", "country in"),
            ("a in (1, null)", 9, "a value is expected after `,`", "COLUMN is null"),
            ("a in (b)", 6, "a value is expected after `(`", "single quotes: 'b'"),
            ("a between 1", 11, "`and` is expected after `1`", "between 18 and 65"),
            ("a between 1 or 2", 12, "`and` is expected after `1`", "between 18 and 65"),
            ("12abc > 1", 0, "`12abc` is no number", "begins with a digit"),
            ("a > 1.2.3", 4, "`1.2.3` is no number", "single quotes"),
            ("a > 1e", 4, "`1e` is no number", "single quotes"),
            ("a > 1_000", 4, "`1_000` is no number", "single quotes"),
            ("a > $1", 4, "`$` has no meaning here", "no arithmetic"),
        ];
        for (text, caret, fact, way_out) in cases {
            let error = Predicate::parse(text).expect_err(text);
            assert_eq!(error.kind, crate::error::Kind::Usage, "{text}");
            assert_message(&error, text, *caret, fact, way_out);
        }
        for text in ["", " \t\n"] {
            assert_eq!(Predicate::parse(text).expect_err("nothing").fact, "--where is empty");
        }
        // A text of several lines is shown in one.
        let error = Predicate::parse("a = 1\n\tand b >").expect_err("no value");
        assert_message(&error, "a = 1  and b >", 14, "a value is expected after `>`", "");
        assert_eq!(error.fact.lines().count(), 3);
    }

    #[test]
    fn deep_nesting_is_refused_and_long_series_are_not() {
        let nested = |depth: usize| format!("{}a{}", "not (".repeat(depth), ")".repeat(depth));
        assert!(Predicate::parse(&nested(MAX_DEPTH / 2)).is_ok());
        assert!(Predicate::parse(&nested(MAX_DEPTH / 2 + 1)).is_err());
        let error = Predicate::parse(&nested(100_000)).expect_err("too deep");
        assert!(error.fact.starts_with("--where: more than 100 parentheses"), "{}", error.fact);
        let error = Predicate::parse(&format!("{}a", "not ".repeat(100_000))).expect_err("too deep");
        assert!(error.fact.starts_with("--where: more than 100 parentheses"), "{}", error.fact);
        let series = vec!["x = 1"; 20_000].join(" or ");
        assert_selects(&column(Int64Array::from(vec![1, 2])), &series, &[1, 0]);
    }

    #[test]
    fn what_does_not_fit_a_column_is_said_at_its_place() {
        use crate::error::Kind::{Data, Usage};
        let types = |name: &str| {
            Some(match name {
                "age" => DataType::Int64,
                "income" => DataType::Decimal128(10, 2),
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
        let names = ["age", "income", "country", "churned", "born", "seen", "local", "tags", "key"];
        let cases: &[(crate::error::Kind, &str, usize, &str, &str)] = &[
            (Data, "not (1 < agee)", 9, "there is no column `agee`", "Did you mean age? The columns are: age, income,"),
            (Data, "Country = 'DE'", 0, "there is no column `Country`", "Did you mean country?"),
            (Data, "x is null", 0, "there is no column `x`", "The columns are: age"),
            (Usage, "age > '18'", 6, "column `age` is of type Int64, '18' is text", "Without quotes it is one: 18"),
            (Usage, "age > 'old'", 6, "column `age` is of type Int64, 'old' is text", "Compare it with a number"),
            (
                Usage,
                "true = income",
                0,
                "column `income` is of type Decimal128(10, 2), true is a truth value",
                "number",
            ),
            (Usage, "country = 49", 10, "column `country` is of type Utf8, 49 is a number", "single quotes: '49'"),
            (Usage, "key in ('a', 1)", 13, "column `key` is of type Utf8, 1 is a number", "single quotes: '1'"),
            (Usage, "churned = 1", 10, "column `churned` is of type Boolean, 1 is a number", "true or false"),
            (Usage, "churned < true", 10, "`<` has no meaning for `churned`, which is true or false", "not churned"),
            (
                Usage,
                "born > 2000",
                7,
                "column `born` is of type Date32, 2000 is a number",
                "single quotes: '2024-01-31'",
            ),
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
            let error = predicate.bind(types, &names).expect_err(text);
            assert_eq!(error.kind, *kind, "{text}");
            assert_message(&error, text, *caret, fact, way_out);
        }
        assert!(Predicate::parse("tags is not null and key = 'a'").and_then(|p| p.bind(types, &names)).is_ok());
        let many = vec!["c"; 40];
        let error = Predicate::parse("nothing = 1").and_then(|p| p.bind(|_| None, &many)).expect_err("no column");
        assert!(error.way_out.ends_with(", ... (40 columns)"), "{}", error.way_out);
    }

    // ---- Row groups ----

    /// A batch as a Parquet file with `group` rows in a row group, and where it lies.
    fn write(batch: &RecordBatch, group: usize, statistics: bool) -> (ArrowReaderMetadata, Vec<RecordBatch>) {
        use parquet::arrow::ArrowWriter;
        use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
        use parquet::file::properties::{EnabledStatistics, WriterProperties};

        let statistics = if statistics { EnabledStatistics::Chunk } else { EnabledStatistics::None };
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_statistics_enabled(statistics)
            .set_statistics_truncate_length(Some(1));
        let mut file = tempfile::tempfile().expect("a file");
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties.build())).expect("a writer");
        writer.write(batch).expect("written");
        writer.close().expect("a footer");
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("a footer");
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
        let reader = builder.with_batch_size(group).build().expect("a reader");
        (metadata, reader.map(|batch| batch.expect("rows")).collect())
    }

    #[test]
    fn no_row_group_with_a_selected_row_is_pruned() {
        let mut random = Random(2);
        let (mut pruned, mut empty, mut groups) = (0, 0, 0);
        for trial in 0..800 {
            let group = 1 + random.below(3);
            let (batch, _) = random_rows(6 * group, &mut random);
            let (metadata, batches) = write(&batch, group, trial % 10 > 0);
            let text = expression(random.below(4), &mut random).text(&mut random);
            let bound = bind(&text, &batches[0]).unwrap_or_else(|error| panic!("{text}: {error}"));
            let skipped = bound.prune(&metadata).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(skipped.len(), batches.len());
            for (batch, skipped) in batches.iter().zip(skipped) {
                let selected = bound.select(batch).expect("a batch of the file").true_count();
                assert!(!skipped || selected == 0, "{text}: {batch:?}");
                pruned += usize::from(skipped);
                empty += usize::from(selected == 0);
                groups += 1;
            }
        }
        assert!(pruned * 10 > empty * 7 && empty * 10 > groups * 3, "{pruned} of {empty} of {groups}");
    }

    #[test]
    fn row_groups_are_pruned_where_their_statistics_prove_it() {
        let array = Int64Array::from(vec![Some(1), Some(2), Some(5), Some(5), None, None, Some(7), None]);
        let groups = |batch: &RecordBatch, text: &str, statistics| {
            let (metadata, batches) = write(batch, 2, statistics);
            let skipped = bind(text, &batches[0]).and_then(|bound| bound.prune(&metadata)).expect("an expression");
            skipped.into_iter().map(u8::from).collect::<Vec<_>>()
        };
        let batch = column(array);
        let cases: &[(&str, [u8; 4])] = &[
            ("x > 2", [1, 0, 1, 0]),
            ("x >= 2", [0, 0, 1, 0]),
            ("x < 1", [1, 1, 1, 1]),
            ("x <= 1", [0, 1, 1, 1]),
            ("x = 5", [1, 0, 1, 1]),
            ("x != 5", [0, 1, 1, 0]),
            ("not (x = 5)", [0, 1, 1, 0]),
            ("not (x < 6)", [1, 1, 1, 0]),
            ("not (x >= 2)", [0, 1, 1, 1]),
            ("x in (2, 7)", [0, 1, 1, 0]),
            ("x between 3 and 6", [1, 0, 1, 1]),
            ("x is null", [1, 1, 0, 0]),
            ("x is not null", [0, 0, 1, 0]),
            ("x < 6 or x is null", [0, 0, 0, 0]),
            ("not (x < 6 and x is null)", [0, 0, 1, 0]),
            ("x < 1e30 and x > 6.5", [1, 1, 1, 0]),
            ("x != 1e30", [0, 0, 1, 0]),
        ];
        for (text, expected) in cases {
            assert_eq!(groups(&batch, text, true), expected, "{text}");
            assert_eq!(groups(&batch, text, false), [0; 4], "{text}");
        }
        // Cut to one byte, as the bounds of long texts are.
        let texts = column(StringArray::from(vec!["ab", "ac", "b", "b"]));
        assert_eq!(groups(&texts, "x = 'a'", true), [0, 1]);
        assert_eq!(groups(&texts, "x != 'b' and x > 'ad'", true), [0, 1]);
        assert_eq!(groups(&texts, "x = 'c'", true), [1, 1]);
        // The only NaN of a group leaves no bounds, one of two is unknown.
        let floats = column(Float64Array::from(vec![f64::NAN, f64::NAN, 1.0, f64::NAN, -0.0, 0.0]));
        assert_eq!(groups(&floats, "x > 1", true), [0, 1, 1]);
        assert_eq!(groups(&floats, "x = 0", true), [0, 1, 0]);
        assert_eq!(groups(&floats, "x != 0", true), [0, 0, 1]);
        assert_eq!(groups(&floats, "x is null", true), [1, 1, 1]);
        let flags = column(BooleanArray::from(vec![true, true, false, true, false, false]));
        assert_eq!(groups(&flags, "x", true), [0, 0, 1]);
        assert_eq!(groups(&flags, "not x", true), [1, 0, 0]);
    }

    #[test]
    fn statistics_that_are_missing_or_cannot_be_trusted_prune_nothing() {
        use parquet::arrow::arrow_reader::ArrowReaderOptions;
        use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder};
        use parquet::file::statistics::{Statistics, ValueStatistics};

        let (metadata, batches) = write(&column(Int64Array::from(vec![1, 2])), 2, true);
        let bound = bind("x > 2", &batches[0]).expect("an expression");
        assert_eq!(bound.prune(&metadata).expect("pruned"), [true]);
        let parquet = metadata.metadata();
        let file = parquet.file_metadata();
        let again = |orders, groups| {
            let file = FileMetaData::new(
                file.version(),
                file.num_rows(),
                None,
                file.key_value_metadata().cloned(),
                file.schema_descr_ptr(),
                orders,
            );
            let parquet = ParquetMetaDataBuilder::new(file).set_row_groups(groups).build();
            ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::default()).expect("metadata")
        };
        let groups = parquet.row_groups().to_vec();
        assert_eq!(bound.prune(&again(file.column_orders().cloned(), groups.clone())).expect("pruned"), [true]);
        assert_eq!(bound.prune(&again(None, groups.clone())).expect("not pruned"), [false]);
        let changed = |data: &ArrowReaderMetadata, statistics| {
            let (parquet, group) = (data.metadata(), data.metadata().row_group(0));
            let column = group.column(0).clone().into_builder().set_statistics(statistics).build().expect("a column");
            let group = group.clone().into_builder().set_column_metadata(vec![column]).build().expect("a row group");
            let parquet =
                ParquetMetaDataBuilder::new(parquet.file_metadata().clone()).set_row_groups(vec![group]).build();
            ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::default()).expect("metadata")
        };
        // As writers before parquet-format 2.4 left them.
        let old = Statistics::Int64(ValueStatistics::new(Some(1), Some(2), None, Some(0), true));
        assert_eq!(bound.prune(&changed(&metadata, old)).expect("not pruned"), [false]);
        // A count of nulls that is missing does not say that there are none.
        let uncounted =
            changed(&metadata, Statistics::Int64(ValueStatistics::new(Some(1), Some(2), None, None, false)));
        assert_eq!(bound.prune(&uncounted).expect("pruned"), [true]);
        let is_null = bind("x is null", &batches[0]).expect("an expression");
        assert_eq!(is_null.prune(&metadata).expect("pruned"), [true]);
        assert_eq!(is_null.prune(&uncounted).expect("not pruned"), [false]);
        // One bound alone, or beside NaN.
        let (floats, batches) = write(&column(Float64Array::from(vec![1.0, 2.0])), 2, true);
        let greater = bind("x > 2", &batches[0]).expect("an expression");
        for (low, high, pruned) in
            [(Some(1.0), Some(2.0), true), (Some(f64::NAN), Some(2.0), false), (None, Some(2.0), false)]
        {
            let bounds = Statistics::Double(ValueStatistics::new(low, high, None, Some(0), false));
            assert_eq!(greater.prune(&changed(&floats, bounds)).expect("bounds"), [pruned], "{low:?}");
        }
        // A column that was bound to another type.
        let other = bind("x > 2", &column(UInt64Array::from(vec![1]))).expect("an expression");
        assert_eq!(other.prune(&metadata).expect("not pruned"), [false]);
    }
}
