//! The softmax objective: the infrastructure of [`Cpu`], with a margin of each row for every class but the reference.
//!
//! As in [`block`](super::block), a pass reads the features from memory once, in tiles that stay in the cache: all margins
//! of a tile come from one sweep over its columns, and the gradient of all from another. Rows are kept tile by tile, so
//! that what a tile works on is one piece: margins of a block are `[tile][margin][rows of the tile]`.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

mod product;

use std::sync::Arc;

use crate::backend::cpu::block::{At, Block, Columns, Sums, add_by_code, sum, weigh};
use crate::backend::cpu::{BLOCK_BY_BLOCK, Cpu, Jobs, PRODUCTS_BYTES, moments};
use crate::backend::storage::{Part, Touched};
use crate::backend::{Backend, RowTerms, divisor};
use crate::data::Shape;
use crate::error::Result;
use crate::generative::Moments;
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe};
use crate::softmax::{MOST_ROWS, Rows};
use crate::vectors::dots::{EIGHT, add_columns, eight_dots};
use crate::vectors::{Aligned, in_vectors};
use product::{Factors, Products};

/// Rows of a tile at most.
const TILE_ROWS: usize = MOST_ROWS;

/// Bytes of a tile that a second-level cache holds: its features, and four numbers for each margin.
const TILE_BYTES: usize = 512 << 10;

/// Bytes of a block with its margins and direction margins at most, if a tile is no more.
const BLOCK_BYTES: usize = 8 << 20;

/// Rows of a tile with so many columns and margins, a power of two from 32 to 256.
pub(super) fn tile_rows(columns: usize, margins: usize) -> usize {
    let row = 4 * columns + 32 * margins;
    let fitting = TILE_BYTES / row;
    if fitting >= TILE_ROWS { TILE_ROWS } else { (fitting + 1).next_power_of_two().max(64) / 2 }
}

/// Rows of a block, a power of two: whole tiles.
pub(super) fn block_rows(shape: Shape) -> usize {
    let tile = tile_rows(shape.columns, shape.margins());
    let mut rows = super::block_rows(shape.columns);
    while rows > tile && rows * (4 * shape.columns + 16 * shape.margins()) > BLOCK_BYTES {
        rows /= 2;
    }
    rows
}

/// Of the bytes of a chunk, those of its features where one margin a row comes beside them: the other margins take their
/// share.
pub(super) fn chunk_bytes(shape: Shape, bytes: usize) -> usize {
    let features = 4 * shape.columns.max(1);
    let share = features as f64 / (features + 16 * (shape.margins() - 1)) as f64;
    (bytes as f64 * share) as usize
}

const PROBE: Touched = [&[Part::Labels, Part::RowWeights, Part::Margins, Part::DirectionMargins], &[]];
const FRESH: Touched = [&[Part::Features, Part::Labels, Part::RowWeights], &[Part::Margins]];
const ALONG: Touched = [&[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], &[Part::DirectionMargins]];
const HERE: Touched = [&[Part::Features, Part::Labels, Part::RowWeights, Part::Margins], &[]];

/// What is made of each tile of an evaluation beside its sums.
trait Beside {
    fn take(&mut self, tile: &Tile<'_>);
}

/// Nothing beside.
struct Nothing;

impl Beside for Nothing {
    #[inline(always)]
    fn take(&mut self, _: &Tile<'_>) {}
}

/// Rows that the cache holds, with their probabilities, `[margins][rows]`.
struct Tile<'a> {
    columns: Columns<'a>,
    labels: &'a [f32],
    row_weights: Option<&'a [f32]>,
    rows: &'a Rows,
    probabilities: &'a [f64],
}

impl Tile<'_> {
    /// The probabilities of each class but the reference, with its code.
    #[inline(always)]
    fn classes(&self) -> impl Iterator<Item = (usize, &[f64])> {
        (1..).zip(self.probabilities.chunks_exact(self.labels.len()))
    }
}

/// Room for a tile's work.
struct Room {
    rows: Rows,
    /// Margins, then probabilities, `[margins][rows]`.
    probabilities: Vec<f64>,
    /// `[margins][rows]`.
    residuals: Vec<f64>,
    /// Terms of rows on their way to a sum.
    terms: Vec<f64>,
    /// Eight columns in f64, `[8][rows]`.
    eight: Aligned,
}

impl Room {
    fn new(shape: Shape) -> Self {
        let tile = tile_rows(shape.columns, shape.margins());
        let state = vec![0.0; shape.margins() * tile];
        Self {
            rows: Rows::default(),
            probabilities: state.clone(),
            residuals: state,
            terms: vec![0.0; tile],
            eight: Aligned::zeros(EIGHT * tile),
        }
    }

    /// Weighted sums of loss, slope and curvature of rows with these margins, `[margins][rows]`, along direction margins
    /// if there are any; leaves probabilities and weighted residuals.
    #[inline(always)]
    fn row_sums(
        &mut self,
        margins: &[f64],
        along: Option<(&[f64], f64)>,
        labels: &[f32],
        row_weights: Option<&[f32]>,
    ) -> [f64; 3] {
        let Self { rows, probabilities, residuals, terms, .. } = self;
        let n = labels.len();
        let (p, residuals) = (&mut probabilities[..margins.len()], &mut residuals[..margins.len()]);
        let terms = &mut terms[..n];
        p.copy_from_slice(margins);
        if let Some((u, step)) = along {
            for (z, u) in p.iter_mut().zip(u) {
                *z += step * u;
            }
        }
        rows.take(labels, p);
        let weighted_sum = |terms: &mut [f64]| {
            if let Some(row_weights) = row_weights {
                weigh(terms, row_weights);
            }
            sum(terms)
        };
        let mut sums = [0.0; 3];
        rows.losses(terms);
        sums[0] = weighted_sum(terms);
        for (class, (p, residuals)) in (1..).zip(p.chunks_exact(n).zip(residuals.chunks_exact_mut(n))) {
            rows.residuals(class, p, labels, residuals);
        }
        if let Some((u, _)) = along {
            rows.curvatures_along(p, u, terms);
            sums[2] = weighted_sum(terms);
            terms.fill(0.0);
            for (residuals, u) in residuals.chunks_exact(n).zip(u.chunks_exact(n)) {
                for ((term, r), u) in terms.iter_mut().zip(residuals).zip(u) {
                    *term += r * u;
                }
            }
            sums[1] = weighted_sum(terms);
        }
        if let Some(row_weights) = row_weights {
            for residuals in residuals.chunks_exact_mut(n) {
                weigh(residuals, row_weights);
            }
        }
        sums
    }
}

impl Columns<'_> {
    /// Plain columns from `first` on, eight of them in f64, `[8][rows]`; zeros in place of what is missing.
    #[inline(always)]
    fn widen_eight<'e>(&self, first: usize, eight: &'e mut [f64]) -> [&'e [f64]; EIGHT] {
        let n = self.rows;
        for (k, target) in eight[..EIGHT * n].chunks_exact_mut(n).enumerate() {
            if first + k < self.tables.plain() {
                for (target, x) in target.iter_mut().zip(self.column(first + k)) {
                    *target = f64::from(*x);
                }
            } else {
                target.fill(0.0);
            }
        }
        let eight: &'e [f64] = eight;
        std::array::from_fn(|k| &eight[k * n..][..n])
    }

    /// `X w_m + b_m` of the rows, `[margins][rows]`, for weights `[margins][wide]`.
    #[inline(always)]
    fn all_margins(&self, weights: &[f64], margins: &mut [f64], eight: &mut [f64]) {
        let (n, plain, wide) = (self.rows, self.tables.plain(), self.tables.wide());
        for (weights, z) in weights.chunks_exact(wide).zip(margins.chunks_exact_mut(n)) {
            z.fill(weights[wide - 1]);
        }
        for first in (0..plain).step_by(EIGHT) {
            let columns = self.widen_eight(first, eight);
            for (weights, z) in weights.chunks_exact(wide).zip(margins.chunks_exact_mut(n)) {
                let w: [f64; EIGHT] = std::array::from_fn(|k| if first + k < plain { weights[first + k] } else { 0.0 });
                add_columns(columns, w, z);
            }
        }
        for (codes, table) in self.codes() {
            for (weights, z) in weights.chunks_exact(wide).zip(margins.chunks_exact_mut(n)) {
                let table = &weights[table.clone()];
                for (z, code) in z.iter_mut().zip(codes) {
                    *z += table[*code as usize];
                }
            }
        }
    }

    /// Adds `X'v_m` of the rows, x extended by 1, to sums `[margins][wide]`, for vectors `[margins][rows]`.
    #[inline(always)]
    pub(super) fn add_all_products(&self, vectors: &[f64], sums: &mut [f64], eight: &mut [f64]) {
        let (n, plain, wide) = (self.rows, self.tables.plain(), self.tables.wide());
        for first in (0..plain).step_by(EIGHT) {
            let eight = self.widen_eight(first, eight);
            for (vector, sums) in vectors.chunks_exact(n).zip(sums.chunks_exact_mut(wide)) {
                for (sum, product) in sums[first..plain].iter_mut().zip(eight_dots(eight, vector)) {
                    *sum += product;
                }
            }
        }
        for (vector, sums) in vectors.chunks_exact(n).zip(sums.chunks_exact_mut(wide)) {
            for (codes, table) in self.codes() {
                add_by_code(&mut sums[table], codes, vector);
            }
            sums[wide - 1] += sum(vector);
        }
    }
}

/// Evaluates a block, for weights or directions `[margins][wide]`.
#[inline(always)]
fn evaluate(block: &mut Block<'_>, tile: usize, at: At<'_>, room: &mut Room, beside: &mut impl Beside) -> Sums {
    let per_row = block.margins.len() / block.labels.len();
    let mut sums = Sums::zero(per_row * block.columns.tables.wide());
    let states = block.margins.chunks_mut(per_row * tile).zip(block.direction_margins.chunks_mut(per_row * tile));
    for (index, (z, u)) in states.enumerate() {
        let (first, n) = (index * tile, z.len() / per_row);
        let columns = block.columns.part(first, n);
        let labels = &block.labels[first..first + n];
        let row_weights = block.row_weights.map(|weights| &weights[first..first + n]);
        let along = match at {
            At::Point(weights) => {
                columns.all_margins(weights, z, &mut room.eight);
                None
            }
            At::Along(weights, step) => {
                columns.all_margins(weights, u, &mut room.eight);
                Some((&*u, step))
            }
            At::Here => None,
        };
        let [loss, slope, curvature] = room.row_sums(z, along, labels, row_weights);
        sums.loss += loss;
        sums.slope += slope;
        sums.curvature += curvature;
        columns.add_all_products(&room.residuals[..z.len()], &mut sums.gradient, &mut room.eight);
        let probabilities = &room.probabilities[..z.len()];
        beside.take(&Tile { columns, labels, row_weights, rows: &room.rows, probabilities });
    }
    sums
}

/// Sums of `w p (1 - p) x_j^2` and `w p (1 - p) x_j` of each margin, x extended by 1.
struct OwnEntries {
    /// Both `[margins][wide]`.
    diagonal: Diagonal,
    /// `[margins][rows]`.
    curvatures: Vec<f64>,
    eight: Aligned,
    squares: Aligned,
}

impl Beside for OwnEntries {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_>) {
        let Self { diagonal: Diagonal { own, with_intercept }, curvatures, eight, squares } = self;
        let (columns, n) = (tile.columns, tile.labels.len());
        let (plain, wide) = (columns.tables.plain(), columns.tables.wide());
        let curvatures = &mut curvatures[..tile.probabilities.len()];
        for ((class, p), curvatures) in tile.classes().zip(curvatures.chunks_exact_mut(n)) {
            tile.rows.curvatures(class, p, curvatures);
            if let Some(row_weights) = tile.row_weights {
                weigh(curvatures, row_weights);
            }
        }
        columns.add_all_products(curvatures, with_intercept, eight);
        for first in (0..plain).step_by(EIGHT) {
            columns.widen_eight(first, squares);
            for x in &mut squares[..EIGHT * n] {
                *x *= *x;
            }
            let eight = std::array::from_fn(|k| &squares[k * n..][..n]);
            for (curvatures, own) in curvatures.chunks_exact(n).zip(own.chunks_exact_mut(wide)) {
                for (sum, product) in own[first..plain].iter_mut().zip(eight_dots(eight, curvatures)) {
                    *sum += product;
                }
            }
        }
        // 1 is its own square.
        for (own, with_intercept) in own.chunks_exact_mut(wide).zip(with_intercept.chunks_exact(wide)) {
            own[plain..].copy_from_slice(&with_intercept[plain..]);
        }
    }
}

/// The softmax objective of a table.
pub(super) struct Softmax {
    cpu: Cpu,
    shape: Shape,
    tile: usize,
}

impl Softmax {
    pub(super) fn new(cpu: Cpu) -> Self {
        let shape = cpu.layout.shape;
        debug_assert!(!shape.offsets, "offsets of several margins");
        Self { cpu, shape, tile: tile_rows(shape.columns, shape.margins()) }
    }

    /// Parameters as wide vectors, `[margins][wide]`.
    fn widen(&self, parameters: &[f64]) -> Vec<f64> {
        assert_eq!(parameters.len(), self.dimension(), "parameters given and of the table");
        let tables = &self.cpu.tables;
        parameters.chunks_exact(tables.parameters()).flat_map(|parameters| tables.widen(parameters)).collect()
    }

    /// Of sums `[margins][wide]` those of the parameters, as means.
    fn of_parameters(&self, wide: &[f64]) -> Vec<f64> {
        let (tables, n) = (&self.cpu.tables, divisor(self.cpu.weight));
        wide.chunks_exact(tables.wide()).flat_map(|wide| self.cpu.of_parameters(wide, n)).collect()
    }

    /// One pass over the features: the sums as means, and what `beside` makes of each job, in order.
    fn evaluate<B: Beside + Send>(
        &mut self,
        at: At<'_>,
        jobs: Jobs,
        beside: impl Fn() -> B + Sync,
        mut take: impl FnMut(B),
    ) -> Result<Sums> {
        self.cpu.passes.data += 1;
        let (shape, tile) = (self.shape, self.tile);
        let touched = match at {
            At::Point(_) => FRESH,
            At::Along(..) => ALONG,
            At::Here => HERE,
        };
        let zero = || Sums::zero(shape.margins() * self.cpu.tables.wide());
        let (mut sums, of_job) = (zero(), zero());
        self.cpu.pass(
            touched,
            jobs,
            |run| {
                let (mut sums, mut beside, mut room) = (of_job.clone(), beside(), Room::new(shape));
                for block in run {
                    let part = in_vectors(
                        #[inline(always)]
                        || evaluate(block, tile, at, &mut room, &mut beside),
                    );
                    sums.add(&part);
                }
                (sums, beside)
            },
            |(part, beside)| {
                sums.add(&part);
                take(beside);
            },
        )?;
        let n = divisor(self.cpu.weight);
        sums.loss /= n;
        sums.slope /= n;
        sums.curvature /= n;
        sums.gradient = self.of_parameters(&sums.gradient);
        Ok(sums)
    }

    /// Jobs of a block each, whose sums are so many vectors for each margin.
    fn block_by_block(&self, vectors: usize) -> Jobs {
        let bytes = 8 * vectors * self.shape.margins() * self.cpu.tables.wide();
        Jobs { blocks: 1, at_a_time: (PRODUCTS_BYTES / bytes).max(rayon::current_num_threads()) }
    }

    fn evaluation(&mut self, at: At<'_>, need: Need) -> Result<Evaluation> {
        let (sums, diagonal, hessian) = match need {
            Need::Gradient => (self.evaluate(at, self.block_by_block(1), || Nothing, |_| {})?, None, None),
            Need::Diagonal => {
                let (sums, diagonal) = self.evaluate_with_diagonal(at)?;
                (sums, Some(diagonal), None)
            }
            Need::Hessian => {
                let (sums, hessian) = self.product(at, Factors::Curvatures)?;
                (sums, None, Some(hessian))
            }
        };
        Ok(Evaluation { value: sums.loss, gradient: sums.gradient, diagonal, hessian })
    }

    fn evaluate_with_diagonal(&mut self, at: At<'_>) -> Result<(Sums, Diagonal)> {
        let shape = self.shape;
        let zeros = vec![0.0; shape.margins() * self.cpu.tables.wide()];
        let mut total = Diagonal { own: zeros.clone(), with_intercept: zeros };
        let zero = total.clone();
        let tile = self.tile;
        let beside = || OwnEntries {
            diagonal: zero.clone(),
            curvatures: vec![0.0; shape.margins() * tile],
            eight: Aligned::zeros(EIGHT * tile),
            squares: Aligned::zeros(EIGHT * tile),
        };
        let sums = self.evaluate(at, self.block_by_block(3), beside, |OwnEntries { diagonal, .. }| {
            let pairs = [(&mut total.own, diagonal.own), (&mut total.with_intercept, diagonal.with_intercept)];
            for (total, part) in pairs {
                for (sum, term) in total.iter_mut().zip(part) {
                    *sum += term;
                }
            }
        })?;
        let [own, with_intercept] = [total.own, total.with_intercept].map(|wide| self.of_parameters(&wide));
        Ok((sums, Diagonal { own, with_intercept }))
    }

    /// One pass over the features: the sums, and the products where the rows then stand.
    fn product(&mut self, at: At<'_>, factors: Factors) -> Result<(Sums, Symmetric)> {
        assert!(self.cpu.tables.pattern().is_none(), "a softmax has its Hessians whole");
        self.cpu.passes.hessian += 1;
        let (tables, margins) = (Arc::clone(&self.cpu.tables), self.shape.margins());
        let mut products = Products::new(&tables, margins, factors);
        let jobs = Jobs {
            blocks: self.cpu.layout.hessian_rows / self.cpu.layout.block_rows,
            at_a_time: (PRODUCTS_BYTES / products.bytes()).clamp(1, 4 * rayon::current_num_threads()),
        };
        let beside = || Products::new(&tables, margins, factors);
        let sums = self.evaluate(at, jobs, beside, |part| products.add(&part))?;
        Ok((sums, products.matrix(margins, divisor(self.cpu.weight))))
    }

    /// `phi`, `phi'`, `phi''` at `step`, from the cached margins alone.
    fn probe(&mut self, step: f64) -> Result<Probe> {
        self.cpu.passes.line += 1;
        let (shape, tile) = (self.shape, self.tile);
        let mut sums = [0.0; 3];
        self.cpu.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                let mut room = Room::new(shape);
                in_vectors(
                    #[inline(always)]
                    || probe(&blocks[0], tile, step, &mut room),
                )
            },
            |block| {
                for (sum, term) in sums.iter_mut().zip(block) {
                    *sum += term;
                }
            },
        )?;
        let [value, slope, curvature] = sums.map(|sum| sum / divisor(self.cpu.weight));
        Ok(Probe { step, value, slope, curvature })
    }
}

/// Sums of loss, slope and curvature of a block at `step`, from the cached margins alone.
#[inline(always)]
fn probe(block: &Block<'_>, tile: usize, step: f64, room: &mut Room) -> [f64; 3] {
    let per_row = block.margins.len() / block.labels.len();
    let mut sums = [0.0; 3];
    let states = block.margins.chunks(per_row * tile).zip(block.direction_margins.chunks(per_row * tile));
    for (index, (z, u)) in states.enumerate() {
        let (first, n) = (index * tile, z.len() / per_row);
        let row_weights = block.row_weights.map(|weights| &weights[first..first + n]);
        let of_tile = room.row_sums(z, Some((u, step)), &block.labels[first..first + n], row_weights);
        for (sum, term) in sums.iter_mut().zip(of_tile) {
            *sum += term;
        }
    }
    sums
}

impl Objective for Softmax {
    fn dimension(&self) -> usize {
        self.shape.parameters()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        self.cpu.last_step = 0.0;
        let point = self.widen(point);
        self.evaluation(At::Point(&point), need)
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let direction = self.widen(direction);
        let jobs = self.block_by_block(1);
        let sums = self.evaluate(At::Along(&direction, first_step), jobs, || Nothing, |_| {})?;
        self.cpu.last_step = first_step;
        let first = Probe { step: first_step, value: sums.loss, slope: sums.slope, curvature: sums.curvature };
        Ok(Box::new(SoftmaxLine { softmax: self, first, gradient: sums.gradient }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let (_, scatter) = self.product(At::Here, Factors::Residuals)?;
        Ok(scatter)
    }

    fn passes(&self) -> Passes {
        self.cpu.passes
    }
}

struct SoftmaxLine<'a> {
    softmax: &'a mut Softmax,
    first: Probe,
    /// Of the evaluation at the first step.
    gradient: Vec<f64>,
}

impl Line for SoftmaxLine<'_> {
    fn first(&self) -> Probe {
        self.first
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        steps.iter().map(|&step| self.softmax.probe(step)).collect()
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        self.softmax.cpu.advance(step)?;
        self.softmax.cpu.last_step = 0.0;
        if step == self.first.step && need == Need::Gradient {
            return Ok(Evaluation { value: self.first.value, gradient: self.gradient, diagonal: None, hessian: None });
        }
        self.softmax.evaluation(At::Here, need)
    }
}

impl Backend for Softmax {
    fn weight(&self) -> f64 {
        self.cpu.weight
    }

    fn moments(&mut self) -> Result<Moments> {
        moments::of(&mut self.cpu)
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        let (shape, tile, step) = (self.shape, self.tile, self.cpu.last_step);
        let per_row = shape.margins();
        // Margin by margin.
        let mut rows: [Vec<Vec<f64>>; 3] = std::array::from_fn(|_| vec![Vec::new(); per_row]);
        self.cpu.pass(
            PROBE,
            BLOCK_BY_BLOCK,
            |blocks| {
                let block = &blocks[0];
                let mut room = Room::new(shape);
                let mut residuals = Vec::with_capacity(block.margins.len());
                let states = block.margins.chunks(per_row * tile).zip(block.direction_margins.chunks(per_row * tile));
                for ((z, u), labels) in states.zip(block.labels.chunks(tile)) {
                    room.row_sums(z, Some((u, step)), labels, None);
                    residuals.extend_from_slice(&room.residuals[..z.len()]);
                }
                [block.margins.to_vec(), block.direction_margins.to_vec(), residuals]
            },
            |of_block| {
                for (rows, of_block) in rows.iter_mut().zip(of_block) {
                    for of_tile in of_block.chunks(per_row * tile) {
                        for (rows, values) in rows.iter_mut().zip(of_tile.chunks_exact(of_tile.len() / per_row)) {
                            rows.extend_from_slice(values);
                        }
                    }
                }
            },
        )?;
        let [margins, direction_margins, residuals] = rows.map(|rows| rows.concat());
        Ok(RowTerms { margins, direction_margins, residuals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_cache() {
        // Few columns and margins leave room for a whole tile, 2 KB a row for half of one.
        assert_eq!(
            [(1, 1), (64, 55), (64, 57), (400, 20), (4_000, 40)].map(|(d, m)| tile_rows(d, m)),
            [256, 256, 128, 128, 32]
        );
        for (columns, margins) in [(28, 9), (512, 3), (1_000, 9), (64, 999), (20_000, 1)] {
            let rows = tile_rows(columns, margins);
            assert!(rows == 32 || rows * (4 * columns + 32 * margins) <= TILE_BYTES, "{rows} rows of {columns}");
        }
    }
}
