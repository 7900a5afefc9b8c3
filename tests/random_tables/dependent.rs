//! Tables with columns that others explain, or nearly so. All numbers are multiples of 2^-30, so that sums and differences
//! are exact and the dependencies can be found in whole numbers; and units differ by so little that R sees them too.

use super::{Table, is_constant, levels, standardized};
use crate::common::random::Random;

/// Of whole numbers in a column's cells.
const STEPS: f64 = (1_u64 << 30) as f64;

/// How far columns that are called `near` are from those that nearly explain them, in their standard deviations.
pub(crate) const NEAR: f64 = 1e-4;

/// A table of two classes, hardly different, so that no level is of one alone.
pub(crate) fn draw(seed: u64) -> Table {
    let mut random = Random(seed.wrapping_mul(0x9e6c_63d0_876a_3f6b) ^ 0xa1);
    let rows = random.one_of(&[200, 500, 1_000, 2_000, 5_000]);
    let mut draw = Draw { table: Table { classes: 2, ..Table::default() }, rows, random };
    for place in 0..2 + draw.random.below(3) {
        draw.plain(place);
    }
    for place in 0..draw.random.below(4) {
        draw.explained(place);
    }
    draw.shuffle_and_clean();
    // Last, so that no other column is the small difference of two.
    if draw.random.chance(0.3) {
        draw.near();
    }
    let slope = standardized(&draw.table.design()[0].1);
    draw.table.label = slope.iter().map(|x| usize::from(draw.random.unit() < 1.0 / (1.0 + (-0.3 * x).exp()))).collect();
    draw.table
}

struct Draw {
    random: Random,
    table: Table,
    rows: usize,
}

fn rounded(x: f64, steps: f64) -> f64 {
    (x * steps).round() / steps
}

impl Draw {
    fn push(&mut self, name: String, values: Vec<f64>) {
        self.table.numbers.push((name, values));
    }

    fn codes(&mut self, end: usize) -> Vec<usize> {
        (0..self.rows).map(|_| self.random.below(end)).collect()
    }

    fn plain(&mut self, place: usize) {
        match self.random.below(4) {
            0 | 1 => {
                let (unit, origin) =
                    (self.random.one_of(&[1.0, 1.0, 8.0, 0.125]), self.random.one_of(&[0.0, 0.0, 100.0]));
                let values = (0..self.rows).map(|_| unit * (rounded(self.random.normal(), 1024.0) + origin)).collect();
                self.push(format!("normal{place}"), values);
            }
            2 => {
                let end = self.random.one_of(&[2, 5, 100]);
                let values = self.codes(end).into_iter().map(|code| code as f64).collect();
                self.push(format!("whole{place}"), values);
            }
            _ => {
                let end = self.random.one_of(&[2, 3, 6]);
                let values = self.codes(end).into_iter().map(|code| format!("v{code}")).collect();
                self.table.texts.push((format!("text{place}"), values));
            }
        }
    }

    /// Columns that those before explain, or that explain one another.
    fn explained(&mut self, place: usize) {
        match self.random.below(8) {
            0 => {
                let sets = self.random.one_of(&[1, 2, 3, 5, 8, 12]);
                for set in 0..sets {
                    let codes = self.codes(4);
                    for level in 0..4 {
                        let is = |code: &usize| f64::from(u8::from(*code == level));
                        self.push(format!("set{place}_{set}_{level}"), codes.iter().map(is).collect());
                    }
                }
            }
            1 => {
                // Some outer levels have one inner level only.
                let outer: Vec<String> = match self.table.texts.first() {
                    Some((_, values)) => values.clone(),
                    None => self.codes(4).into_iter().map(|code| format!("v{code}")).collect(),
                };
                if self.table.texts.is_empty() {
                    self.table.texts.push((format!("outer{place}"), outer.clone()));
                }
                let inner = outer.iter().map(|value| match value.as_str() {
                    "v0" => "v0_".to_owned(),
                    _ => format!("{value}_{}", self.random.below(3)),
                });
                let inner = inner.collect();
                self.table.texts.push((format!("inner{place}"), inner));
            }
            2 | 3 => {
                let columns = self.table.design();
                let count = 2 + self.random.below(3);
                let parts = self.random.some_of(count, columns.len());
                let factors: Vec<f64> = parts.iter().map(|_| self.random.one_of(&[1.0, 1.0, 2.0, -1.0, 3.0])).collect();
                let of_row =
                    |row: usize| parts.iter().zip(&factors).map(|(part, factor)| factor * columns[*part].1[row]).sum();
                self.push(format!("sum{place}"), (0..self.rows).map(of_row).collect());
            }
            4 => {
                let columns = self.table.design();
                let parts = self.random.some_of(2, columns.len());
                if let [a, b] = parts[..] {
                    let difference = columns[a].1.iter().zip(&columns[b].1).map(|(a, b)| a - b).collect();
                    self.push(format!("difference{place}"), difference);
                }
            }
            5 => {
                if let Some((_, text)) = self.table.texts.last().cloned() {
                    let all = levels(&text);
                    let of_level: Vec<f64> = all.iter().map(|_| rounded(8.0 * self.random.normal(), 1024.0)).collect();
                    let value =
                        |value: &String| of_level[all.iter().position(|level| level == value).expect("a level")];
                    self.push(format!("by_level{place}"), text.iter().map(value).collect());
                }
            }
            6 => {
                // Each day, and the days of the weekend together.
                let days = self.codes(7);
                let is = |wanted: &[usize]| days.iter().map(|day| f64::from(u8::from(wanted.contains(day)))).collect();
                let columns: Vec<Vec<f64>> = (1..7).map(|day| is(&[day])).chain([is(&[5, 6])]).collect();
                for (day, column) in columns.into_iter().enumerate() {
                    self.push(format!("day{place}_{day}"), column);
                }
            }
            _ => {
                let columns = self.table.design();
                let (name, values) = &columns[self.random.below(columns.len())];
                let (factor, shift) = (self.random.one_of(&[1.0, -1.0, 16.0]), self.random.one_of(&[0.0, 32.0]));
                let copy = values.iter().map(|x| factor * x + shift).collect();
                self.push(format!("copy{place} of {name}"), copy);
            }
        }
    }

    /// In another order, so that sums come before what they are of, and without what is always the same.
    fn shuffle_and_clean(&mut self) {
        if self.random.chance(0.5) {
            let order = self.random.some_of(self.table.numbers.len(), self.table.numbers.len());
            self.table.numbers = order.into_iter().map(|place| self.table.numbers[place].clone()).collect();
        }
        self.table.numbers.retain(|(_, values)| !is_constant(values));
        self.table.texts.retain(|(_, values)| levels(values).len() > 1);
        if self.table.design().is_empty() {
            let values = (0..self.rows).map(|_| rounded(self.random.normal(), 1024.0)).collect();
            self.push("normal".into(), values);
        }
    }

    /// A column that another, or the sum of all, explains but for a little.
    fn near(&mut self) {
        let columns = self.table.design();
        let base = if self.random.chance(0.5) {
            columns[self.random.below(columns.len())].1.clone()
        } else {
            let columns: Vec<Vec<f64>> = columns.iter().map(|column| standardized(&column.1)).collect();
            (0..self.rows).map(|row| columns.iter().map(|column| column[row]).sum()).collect()
        };
        if !is_constant(&base) {
            let near = standardized(&base).iter().map(|x| rounded(x + NEAR * self.random.normal(), STEPS)).collect();
            self.push("near".into(), near);
        }
    }
}

/// 2^61 - 1, a prime.
const PRIME: u64 = (1 << 61) - 1;

fn times(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

fn minus(a: u64, b: u64) -> u64 {
    if a >= b { a - b } else { a + PRIME - b }
}

/// By Fermat's little theorem.
fn inverse(a: u64) -> u64 {
    let (mut power, mut base, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = times(power, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    power
}

/// The columns that those before them and the intercept explain, exactly: by elimination in whole numbers, modulo a
/// prime so large that none of these tables has a minor which it divides by chance (1e-18).
pub(crate) fn explained<'c>(columns: impl IntoIterator<Item = &'c [f64]>) -> Vec<bool> {
    let mut columns = columns.into_iter().peekable();
    let rows = columns.peek().map_or(0, |column| column.len());
    // Each is 0 where those before it have their pivots, and 1 at its own.
    let mut kept: Vec<(usize, Vec<u64>)> = vec![(0, vec![1; rows])];
    let mut explained = Vec::new();
    for column in columns {
        let mut left: Vec<u64> = column.iter().map(|x| whole(*x)).collect();
        for (pivot, direction) in &kept {
            let along = left[*pivot];
            if along != 0 {
                left.iter_mut().zip(direction).for_each(|(x, d)| *x = minus(*x, times(along, *d)));
            }
        }
        let pivot = left.iter().position(|x| *x != 0);
        explained.push(pivot.is_none());
        if let Some(pivot) = pivot {
            let scale = inverse(left[pivot]);
            kept.push((pivot, left.iter().map(|x| times(*x, scale)).collect()));
        }
    }
    explained
}

/// The cell in steps, as a residue.
fn whole(x: f64) -> u64 {
    let steps = x * STEPS;
    assert!(steps.fract() == 0.0, "{x} is no multiple of 2^-30");
    (steps as i128).rem_euclid(i128::from(PRIME)) as u64
}
