//! Small tables of many kinds, in which the classes are separated or not: nobody knows before the programme is solved.

use super::{Table, is_constant, levels, standardized};
use crate::common::random::Random;

/// How many rows a table has.
const ROWS: [usize; 5] = [30, 60, 120, 400, 1_500];

/// A table of two classes, or three.
pub(crate) fn draw(seed: u64, classes: usize) -> Table {
    let mut draw = Draw {
        random: Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ classes as u64),
        table: Table::default(),
        rows: 0,
    };
    draw.rows = draw.random.one_of(&ROWS);
    for place in 0..=draw.random.below(4) {
        draw.plain(place);
    }
    draw.related();
    draw.table.numbers.retain(|(_, values)| !is_constant(values));
    draw.table.texts.retain(|(_, values)| levels(values).len() > 1);
    // Nothing may be left, of rare columns above all.
    if draw.table.numbers.is_empty() && draw.table.texts.is_empty() {
        draw.normal("normal");
    }
    let whole = draw.table.numbers.clone();
    draw.units();
    draw.rows_apart(classes);
    draw.label(classes, &whole);
    draw.table
}

struct Draw {
    random: Random,
    table: Table,
    rows: usize,
}

impl Draw {
    fn push(&mut self, name: &str, values: Vec<f64>) {
        self.table.numbers.push((name.into(), values));
    }

    /// A column of a value for each row.
    fn number(&mut self, name: &str, mut value: impl FnMut(&mut Random) -> f64) {
        let values = (0..self.rows).map(|_| value(&mut self.random)).collect();
        self.push(name, values);
    }

    fn normal(&mut self, name: &str) {
        self.number(name, Random::normal);
    }

    /// One of the kinds of columns that stand for themselves.
    fn plain(&mut self, place: usize) {
        match self.random.below(10) {
            0 | 1 => self.normal(&format!("normal{place}")),
            2 | 3 => {
                let end = self.random.one_of(&[2, 3, 6]);
                self.number(&format!("whole{place}"), |random| random.below(end) as f64);
            }
            4 => {
                let share = self.random.one_of(&[0.003, 0.02, 0.05, 0.1]);
                self.number(&format!("rare{place}"), |random| f64::from(u8::from(random.chance(share))));
            }
            5 | 6 => {
                let end = self.random.one_of(&[2, 4, 8]);
                let values = (0..self.rows).map(|_| format!("v{}", self.random.below(end))).collect();
                self.table.texts.push((format!("text{place}"), values));
            }
            7 => {
                // The rare level is the last one, in the middle, or the reference.
                let rare = self.random.one_of(&["a", "p", "z"]);
                let mut values: Vec<String> =
                    (0..self.rows).map(|_| self.random.one_of(&["h", "s"]).to_owned()).collect();
                let count = 1 + self.random.below(3);
                for row in self.random.some_of(count, self.rows) {
                    rare.clone_into(&mut values[row]);
                }
                self.table.texts.push((format!("few{place}"), values));
            }
            8 => self.number(&format!("lognormal{place}"), |random| (2.0 * random.normal()).exp()),
            _ => self.number(&format!("round{place}"), |random| (10.0 * random.normal()).round() / 10.0),
        }
    }

    /// A column that hangs together with those that are there, or some.
    fn related(&mut self) {
        // Levels are columns like others here.
        let columns = self.table.design();
        let some = columns.len();
        match self.random.below(16) {
            0 | 1 if some > 1 => {
                let pair = self.random.some_of(2, some);
                let (a, b) = (&columns[pair[0]], &columns[pair[1]]);
                let product = a.1.iter().zip(&b.1).map(|(a, b)| a * b).collect();
                self.push(&format!("{}:{}", a.0, b.0), product);
            }
            2 if some > 0 => {
                let (name, values) = &columns[self.random.below(some)];
                let (factor, shift) = (self.random.one_of(&[1.0, 3.0, -0.1]), self.random.one_of(&[0.0, 5.0]));
                self.push(&format!("copy of {name}"), values.iter().map(|x| factor * x + shift).collect());
            }
            3 if some > 1 => {
                let count = 2 + self.random.below(3);
                let parts = self.random.some_of(count, some);
                let factors: Vec<f64> = parts.iter().map(|_| self.random.one_of(&[1.0, 2.0, -1.0, 0.3])).collect();
                let of_row =
                    |row: usize| parts.iter().zip(&factors).map(|(part, factor)| factor * columns[*part].1[row]).sum();
                self.push("sum", (0..self.rows).map(of_row).collect());
            }
            4 | 5 if !self.table.texts.is_empty() => {
                let values = self.table.texts[0].1.clone();
                let nested = values.iter().map(|value| format!("{value}{}", self.random.below(2))).collect();
                self.table.texts.push(("nested".into(), nested));
            }
            6 => {
                for set in 0..2 + self.random.below(3) {
                    let codes: Vec<usize> = (0..self.rows).map(|_| self.random.below(4)).collect();
                    for level in 0..4 {
                        let is = |code: &usize| f64::from(u8::from(*code == level));
                        self.push(&format!("set{set}_{level}"), codes.iter().map(is).collect());
                    }
                }
            }
            7 if some > 0 => {
                let (name, values) = &columns[self.random.below(some)];
                let apart = self.random.one_of(&[1e-4, 1e-3, 1e-2]);
                let near = standardized(values).iter().map(|x| x + apart * self.random.normal()).collect();
                self.push(&format!("near {name}"), near);
            }
            8 if some > 1 => {
                let columns: Vec<Vec<f64>> = columns.iter().map(|column| standardized(&column.1)).collect();
                let of_row = |row: usize| columns.iter().map(|column| column[row]).sum::<f64>();
                let near = (0..self.rows).map(|row| of_row(row) + 1e-4 * self.random.normal()).collect();
                self.push("near sum", near);
            }
            9 => {
                let age: Vec<f64> = (0..self.rows).map(|_| 20.0 + self.random.below(60) as f64).collect();
                for power in 1..=3 {
                    self.push(&format!("age{power}"), age.iter().map(|x| x.powi(power)).collect());
                }
            }
            10 | 11 => {
                // Whole numbers of few values, for planes with rows on them.
                for place in 0..2 + self.random.below(2) {
                    let end = self.random.one_of(&[3, 4, 6]);
                    self.number(&format!("count{place}"), |random| random.below(end) as f64);
                }
            }
            _ => {}
        }
    }

    /// Other units, and sometimes another origin: nothing changes for a verdict.
    fn units(&mut self) {
        self.table.integers = self.random.chance(0.5);
        if !self.random.chance(0.35) {
            return;
        }
        let moves = self.random.chance(0.3);
        let mut numbers = std::mem::take(&mut self.table.numbers);
        for (_, values) in &mut numbers {
            let unit = 10.0_f64.powi(self.random.below(13) as i32 - 6);
            let away = if moves { self.random.one_of(&[0.0, 1.0, 100.0]) * self.random.normal() } else { 0.0 };
            let shift = away * super::moments(values).1;
            for x in values.iter_mut() {
                *x = unit * (*x + shift);
            }
        }
        numbers.retain(|(_, values)| !is_constant(values));
        self.table.numbers = numbers;
    }

    /// Weights, of which some are 0, and offsets.
    fn rows_apart(&mut self, classes: usize) {
        let kind = self.random.unit();
        if kind < 0.25 {
            self.table.weights = Some((0..self.rows).map(|_| self.random.below(4) as f64).collect());
        } else if kind < 0.33 {
            let unit = self.random.one_of(&[0.01, 1.0, 100.0]);
            self.table.weights = Some((0..self.rows).map(|_| unit * (0.01 + self.random.unit())).collect());
        }
        // Of several classes the program takes no offset.
        if classes == 2 && self.random.chance(0.15) {
            self.table.offsets = Some((0..self.rows).map(|_| 2.0 * self.random.normal()).collect());
        }
    }

    /// Labels from a softmax, and in some tables moved so that the classes lie apart. `whole` are the numbers before
    /// their units changed.
    fn label(&mut self, classes: usize, whole: &[(String, Vec<f64>)]) {
        let columns: Vec<Vec<f64>> = self.table.design().iter().map(|column| standardized(&column.1)).collect();
        let strength = self.random.one_of(&[0.3, 0.3, 1.0, 1.0, 3.0, 10.0]);
        let slopes: Vec<Vec<f64>> =
            (0..classes).map(|_| columns.iter().map(|_| strength * self.random.normal()).collect()).collect();
        let origin: Vec<f64> = (0..classes).map(|_| self.random.normal()).collect();
        let margins: Vec<Vec<f64>> = (0..self.rows)
            .map(|row| {
                let of_class = |class: usize| {
                    let offset = self.table.offsets.as_ref().map_or(0.0, |offsets| offsets[row]);
                    let slope: f64 =
                        columns.iter().zip(&slopes[class]).map(|(column, slope)| slope * column[row]).sum();
                    origin[class] + slope + if class == 1 { offset } else { 0.0 }
                };
                (0..classes).map(of_class).collect()
            })
            .collect();
        let kind = self.random.unit();
        let noise = if kind < 0.06 { 0.0 } else { 1.0 };
        self.table.classes = classes;
        self.table.label =
            margins.iter().map(|margins| largest(margins.iter().map(|z| z + noise * self.random.gumbel()))).collect();
        if (0.06..0.12).contains(&kind) {
            self.pure_end(&columns);
        } else if (0.12..0.28).contains(&kind) {
            self.plane_with_ties(whole);
        } else if (0.28..0.32).contains(&kind) {
            self.level_by_level(&columns);
        }
        self.every_class();
    }

    /// Beyond a place of one column all rows are of class 0: a step towards separation, not always enough.
    fn pure_end(&mut self, columns: &[Vec<f64>]) {
        let column = &columns[self.random.below(columns.len())];
        let mut sorted = column.clone();
        sorted.sort_by(f64::total_cmp);
        let end = sorted[(self.random.one_of(&[0.05, 0.9]) * self.rows as f64) as usize];
        for (class, x) in self.table.label.iter_mut().zip(column) {
            *class = if *x > end { *class } else { 0 };
        }
    }

    /// On either side of a plane rows are of one class, and on the plane, where there are some if the columns have few
    /// values, they are what they were.
    fn plane_with_ties(&mut self, whole: &[(String, Vec<f64>)]) {
        let few: Vec<&Vec<f64>> =
            whole.iter().map(|column| &column.1).filter(|column| has_few_values(column)).collect();
        let count = 2 + self.random.below(2);
        let parts = self.random.some_of(count, few.len());
        if parts.is_empty() {
            return;
        }
        let factors: Vec<f64> = parts.iter().map(|_| self.random.one_of(&[1.0, -1.0, 2.0])).collect();
        let of_row =
            |row: usize| parts.iter().zip(&factors).map(|(part, factor)| factor * few[*part][row]).sum::<f64>();
        let heights: Vec<f64> = (0..self.rows).map(of_row).collect();
        let plane = heights[self.random.below(self.rows)];
        for (class, height) in self.table.label.iter_mut().zip(&heights) {
            match height.total_cmp(&plane) {
                std::cmp::Ordering::Less => *class = 0,
                std::cmp::Ordering::Greater => *class = self.table.classes - 1,
                std::cmp::Ordering::Equal => {}
            }
        }
    }

    /// A threshold in one column that each level of a text has for itself.
    fn level_by_level(&mut self, columns: &[Vec<f64>]) {
        let Some((_, text)) = self.table.texts.first() else { return };
        let column = &columns[0];
        let thresholds: Vec<f64> = levels(text).iter().map(|_| self.random.normal()).collect();
        let all = levels(text);
        for ((class, value), x) in self.table.label.iter_mut().zip(text).zip(column) {
            let level = all.iter().position(|level| level == value).expect("a level");
            *class = if *x > thresholds[level] { self.table.classes - 1 } else { 0 };
        }
    }

    /// Each class has a row that counts.
    fn every_class(&mut self) {
        let counts = |table: &Table, row: usize| table.weights.as_ref().is_none_or(|weights| weights[row] > 0.0);
        if self
            .table
            .weights
            .as_ref()
            .is_some_and(|weights| weights.iter().filter(|w| **w > 0.0).count() < self.table.classes)
        {
            self.table.weights = None;
        }
        let live: Vec<usize> = (0..self.rows).filter(|&row| counts(&self.table, row)).collect();
        for class in 0..self.table.classes {
            if live.iter().any(|&row| self.table.label[row] == class) {
                continue;
            }
            // A row of the class that has most of them, so that no other is emptied.
            let rows_of = |class: usize| live.iter().filter(|&&row| self.table.label[row] == class).count();
            let most = (0..self.table.classes).max_by_key(|class| rows_of(*class)).expect("a class");
            let rows: Vec<usize> = live.iter().copied().filter(|&row| self.table.label[row] == most).collect();
            let row = rows[self.random.below(rows.len())];
            self.table.label[row] = class;
        }
    }
}

fn has_few_values(values: &[f64]) -> bool {
    values.iter().all(|x| x.fract() == 0.0 && (0.0..8.0).contains(x))
}

/// The place of the largest value.
fn largest(values: impl Iterator<Item = f64>) -> usize {
    values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("a value").0
}
