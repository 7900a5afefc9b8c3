//! What the answers are held against: random rows of every type, random expressions, and an evaluator of them row by row,
//! on numbers in f64 and texts, that shares nothing with the others.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;

use super::testing::batch;

#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Number(f64),
    Text(String),
    Flag(bool),
}

#[derive(Clone, Debug)]
pub(super) enum Naive {
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

pub(super) fn naive_and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

impl Naive {
    pub(super) fn answer(&self, row: &[Cell]) -> Option<bool> {
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

    pub(super) fn text(&self, random: &mut Random) -> String {
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
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
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

pub(super) fn expression(depth: usize, random: &mut Random) -> Naive {
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
pub(super) fn random_rows(rows: usize, random: &mut Random) -> (RecordBatch, Vec<Vec<Cell>>) {
    fn numbers(values: &[Option<f64>], data_type: &DataType) -> ArrayRef {
        let strict = CastOptions { safe: false, ..Default::default() };
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
    (batch(columns), cells)
}
