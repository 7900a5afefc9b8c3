//! The Hessian over the file itself, in f64: for standard errors with the digits that the data have.

use crate::data::{Block, Label, Plan, Table, fold_rows_into};
use crate::engine::exact::terms::{Terms, margins_of, terms_of, weighed};
use crate::error::Result;
use crate::matrix::{Products, Symmetric};
use crate::monitor::Monitor;
use crate::standardize::ColumnScale;
use crate::sum::Sum;

/// Products of the columns with each other at a point, in f64 over the values of the file.
#[derive(Clone, Debug)]
pub struct ExactProducts {
    /// The Hessian of the mean loss, by the parameters as in [`Exact::gradient`](super::Exact::gradient).
    pub hessian: Symmetric,
    /// The scatter of the rows' gradients, if it was asked for: the middle of White's sandwich. A mean by the row weights,
    /// as the Hessian is.
    pub scatter: Option<Symmetric>,
    /// What the row weights add up to.
    pub weight: f64,
    /// The mean loss without the factors of the classes.
    pub loss: f64,
}

/// How the gradients of the rows come into the scatter. A factor of the class is one of the row's gradient either way, and
/// comes in squared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scatter {
    /// A row of weight 2 as if it were there twice: `w r^2 x x'`.
    OfCounts,
    /// The weight as a factor of the row's gradient, which was observed once: `w^2 r^2 x x'`.
    OfSamplingWeights,
}

impl Scatter {
    /// What the row's `r^2 x x'` is multiplied by, from its weight, in which the factor of its class is.
    fn weight(self, weight: f64, factor: f64) -> f64 {
        match self {
            Self::OfCounts => weight * factor,
            Self::OfSamplingWeights => weight * weight,
        }
    }
}

/// Memory of what ranges of rows add up to, at the same time.
const PARTS_BYTES: usize = 4 << 30;

/// One pass over the file of `table` for the Hessian at `parameters`, and the scatter if it is asked for; all else as
/// [`evaluate_file`](super::evaluate_file).
///
/// # Cost
/// `(margins (features + 1))^2` multiplications a row, and as many numbers in memory for each range of rows, of which as
/// many are in work at the same time as 4 GiB hold.
///
/// # Panics
/// If `parameters` and `scales` are not as many as the plan's features and the label's classes ask for.
pub fn products_file(
    table: &Table,
    plan: &Plan,
    label: &Label,
    scales: &[ColumnScale],
    parameters: &[f64],
    scatter: Option<Scatter>,
    monitor: &dyn Monitor,
) -> Result<ExactProducts> {
    let (features, margins) = (plan.features(), label.classes.len() - 1);
    assert_eq!((parameters.len(), scales.len()), (margins * (features + 1), features), "parameters and scales");
    monitor.begin("exact Hessian", Some(table.rows as u64));
    // Of margins, `(a, b)` with `b <= a`.
    let pairs: Vec<(usize, usize)> = (0..margins).flat_map(|a| (0..=a).map(move |b| (a, b))).collect();
    let kinds = if scatter.is_some() { 2 * pairs.len() } else { pairs.len() };
    let zero = || Part::new(features + 1, kinds);
    let at_once = PARTS_BYTES / (kinds * Products::bytes(features + 1));
    let mut all = zero();
    let take = |part: &mut Part, block: &mut Block<'_>| {
        let rows = margins_of(block, scales, parameters);
        let n = block.labels.len();
        let (ones, zeros) = (vec![1.0; n], vec![0.0; n]);
        let columns: Vec<&[f64]> = block
            .features
            .iter()
            .zip(scales)
            .map(|(column, place)| if place.scale > 0.0 { column.as_slice() } else { &zeros })
            .chain([ones.as_slice()])
            .collect();
        let Terms { losses, residuals, mut curvatures } = terms_of(rows, block.labels, &pairs);
        for curvatures in &mut curvatures {
            for (row, curvature) in curvatures.iter_mut().enumerate() {
                *curvature = weighed(block, row, *curvature);
            }
        }
        let of_class = |row: usize| plan.factors().map_or(1.0, |factors| factors[block.labels[row] as usize]);
        let weight = |row: usize| block.weights.map_or(1.0, |weights| weights[row]);
        if let Some(scatter) = scatter {
            let weights: Vec<f64> = (0..n).map(|row| scatter.weight(weight(row), of_class(row))).collect();
            for &(a, b) in &pairs {
                let products = residuals[a].iter().zip(&residuals[b]).zip(&weights);
                // Exactly nothing of a row of weight 0.
                curvatures.push(products.map(|((a, b), w)| if *w > 0.0 { w * (a * b) } else { 0.0 }).collect());
            }
        }
        for (row, loss) in losses.iter().enumerate() {
            let (weight, count) = (weight(row), weight(row) / of_class(row));
            part.weight.add(weight);
            part.count.add(count);
            part.loss.add(if count > 0.0 { count * loss } else { 0.0 });
        }
        let curvatures: Vec<&[f64]> = curvatures.iter().map(Vec::as_slice).collect();
        part.take(block.first_row, &columns, &curvatures);
    };
    fold_rows_into(table, plan, label, monitor, at_once.max(1), zero, take, |part| all.merge(&part))?;
    monitor.end();
    let products = all.sums();
    let place = |a: usize, b: usize| a * (a + 1) / 2 + b;
    let weight = all.weight.value();
    let joined = |products: &[Products]| Products::joined(margins, 1.0 / weight, |a, b| &products[place(a, b)]);
    Ok(ExactProducts {
        hessian: joined(&products[..pairs.len()]),
        scatter: scatter.map(|_| joined(&products[pairs.len()..])),
        weight,
        loss: all.loss.value() / all.count.value(),
    })
}

/// Rows whose products are added plainly. Blocks begin at multiples of this in the table, so that the cut of the rows into
/// files and row groups changes no bit.
const BLOCK_ROWS: usize = 256;

/// What rows of a range add up to. Rows of a block that is not whole yet wait as they are.
struct Part {
    weight: Sum,
    /// The weights without the factors of the classes, and the losses by those.
    count: Sum,
    loss: Sum,
    /// Position of the first row that was seen.
    begin: Option<usize>,
    /// The rows before the first block that begins here.
    head: Waiting,
    products: Vec<Products>,
    /// The rows of the last block.
    tail: Waiting,
}

/// Rows that wait for the rest of their block.
struct Waiting {
    first_row: usize,
    columns: Vec<Vec<f64>>,
    factors: Vec<Vec<f64>>,
}

impl Waiting {
    fn new(columns: usize, kinds: usize) -> Self {
        Self { first_row: 0, columns: vec![Vec::new(); columns], factors: vec![Vec::new(); kinds] }
    }

    fn len(&self) -> usize {
        self.factors[0].len()
    }

    fn push(&mut self, first_row: usize, columns: &[&[f64]], factors: &[&[f64]]) {
        if self.len() == 0 {
            self.first_row = first_row;
        }
        self.columns.iter_mut().zip(columns).for_each(|(all, more)| all.extend(*more));
        self.factors.iter_mut().zip(factors).for_each(|(all, more)| all.extend(*more));
    }

    fn add_to(&self, products: &mut [Products]) {
        let columns: Vec<&[f64]> = self.columns.iter().map(Vec::as_slice).collect();
        if self.len() > 0 {
            products.iter_mut().zip(&self.factors).for_each(|(products, factors)| products.add(&columns, factors));
        }
    }

    fn clear(&mut self) {
        self.columns.iter_mut().chain(&mut self.factors).for_each(Vec::clear);
    }
}

impl Part {
    fn new(columns: usize, kinds: usize) -> Self {
        Self {
            weight: Sum::default(),
            count: Sum::default(),
            loss: Sum::default(),
            begin: None,
            head: Waiting::new(columns, kinds),
            products: vec![Products::zero(columns); kinds],
            tail: Waiting::new(columns, kinds),
        }
    }

    /// Takes rows from `first_row` on, which follow those before: their columns, and what each kind of products has for them.
    fn take(&mut self, first_row: usize, columns: &[&[f64]], factors: &[&[f64]]) {
        let begin = *self.begin.get_or_insert(first_row);
        let rows = factors[0].len();
        let mut first = 0;
        while first < rows {
            let position = first_row + first;
            let end = rows.min(first + BLOCK_ROWS - position % BLOCK_ROWS);
            let of = |all: &[&'_ [f64]]| -> Vec<Vec<f64>> { all.iter().map(|all| all[first..end].to_vec()).collect() };
            let (columns, factors) = (of(columns), of(factors));
            let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let factors: Vec<&[f64]> = factors.iter().map(Vec::as_slice).collect();
            if end - first == BLOCK_ROWS {
                self.products.iter_mut().zip(factors).for_each(|(products, factors)| products.add(&columns, factors));
            } else if position < begin.next_multiple_of(BLOCK_ROWS) {
                self.head.push(position, &columns, &factors);
            } else {
                self.tail.push(position, &columns, &factors);
                if self.tail.len() == BLOCK_ROWS {
                    self.tail.add_to(&mut self.products);
                    self.tail.clear();
                }
            }
            first = end;
        }
    }

    /// Adds the rows that follow.
    fn merge(&mut self, other: &Self) {
        self.weight.merge(other.weight);
        self.count.merge(other.count);
        self.loss.merge(other.loss);
        for waiting in [&other.head, &other.tail] {
            let columns: Vec<&[f64]> = waiting.columns.iter().map(Vec::as_slice).collect();
            let factors: Vec<&[f64]> = waiting.factors.iter().map(Vec::as_slice).collect();
            if waiting.len() > 0 {
                self.take(waiting.first_row, &columns, &factors);
            } else if let Some(begin) = other.begin {
                self.begin.get_or_insert(begin);
            }
        }
        self.products.iter_mut().zip(&other.products).for_each(|(sum, more)| sum.merge(more));
    }

    /// All rows were seen.
    fn sums(&self) -> Vec<Products> {
        let mut products = self.products.clone();
        self.head.add_to(&mut products);
        self.tail.add_to(&mut products);
        products
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However rows are cut into ranges and batches, the same bits.
    #[test]
    fn the_cut_changes_no_bit() {
        const ROWS: usize = 3_000;
        let column = |seed: f64| (0..ROWS).map(|row| ((row as f64 + 0.5) * seed).sin()).collect::<Vec<f64>>();
        let (columns, factors) = ([column(12.9898), column(78.233)], column(37.719));
        let of = |cuts: &[usize]| {
            let mut all = Part::new(2, 1);
            for cut in cuts.windows(2) {
                let mut part = Part::new(2, 1);
                // In two batches.
                let half = cut[0] + (cut[1] - cut[0]) / 3;
                for rows in [cut[0]..half, half..cut[1]] {
                    let columns: Vec<&[f64]> = columns.iter().map(|column| &column[rows.clone()]).collect();
                    part.take(rows.start, &columns, &[&factors[rows.clone()]]);
                }
                all.merge(&part);
            }
            let products = all.sums();
            let found = Products::joined(1, 1.0, |_, _| &products[0]);
            [(0, 0), (1, 0), (1, 1)].map(|(i, j)| found.get(i, j))
        };
        let whole = of(&[0, ROWS]);
        for (i, j, expected) in [(0, 0, whole[0]), (1, 0, whole[1]), (1, 1, whole[2])] {
            let plain: f64 = (0..ROWS).map(|row| factors[row] * columns[i][row] * columns[j][row]).sum();
            assert!((plain - expected).abs() <= 1e-11, "{plain} {expected}");
        }
        for cuts in [vec![0, 1, 2, 700, ROWS], vec![0, 255, 257, 512, 2_999, ROWS], (0..=ROWS).step_by(100).collect()] {
            assert_eq!(of(&cuts).map(f64::to_bits), whole.map(f64::to_bits), "{cuts:?}");
        }
    }
}
