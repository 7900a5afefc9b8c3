//! Several problems in one pass: a tile of the features is read once, and serves all points while the cache holds it.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::data::{Design, Shape};
use crate::engine::cpu::Cpu;
use crate::engine::cpu::block::{Block, Sums, tile_rows_within};
use crate::engine::cpu::hessian::{PairEntries, Pairs};
use crate::engine::cpu::lookup::Lookup;
use crate::engine::cpu::loss::{Factors, Loss, Rows, Tile, TileSink};
use crate::engine::cpu::stored::{Jobs, Stored};
use crate::engine::in_all_margins;
use crate::engine::storage::{Access, Part};
use crate::engine::work::{CellSums, MARGINS_OF_A_PASS, Work};
use crate::error::Result;
use crate::fold::{Fold, Segments};
use crate::matrix::Symmetric;
use crate::vectors::dots::EIGHT;
use crate::vectors::{Aligned, in_vectors};

const ACCESS: Access = Access { reads: &[Part::Features, Part::Labels, Part::RowWeights, Part::Offsets], writes: &[] };

/// Margins that are made of a tile at a time: theirs and the residuals stay in a first-level cache beside eight columns.
pub(super) const MARGINS_AT_A_TIME: usize = 16;

/// Bytes of a tile at most: a second-level cache holds most of it. Runs of few rows cost more than they save.
pub(super) const TILE_BYTES: usize = 1 << 20;

/// A point, as the tiles take it.
struct Point<'w> {
    /// `[margins][wide]`.
    weights: Vec<f64>,
    work: Work<'w>,
    /// Of the columns that the Hessian is about, and these columns; nothing without a Hessian.
    product: Option<(Lookup, Option<Vec<usize>>)>,
}

impl Point<'_> {
    /// Bytes of the entries of its product, 0 without one.
    fn bytes(&self, margins: usize) -> usize {
        self.product.as_ref().map_or(0, |(lookup, _)| PairEntries::new(lookup, margins).bytes())
    }

    /// What makes its product, if it wants one.
    fn sink<L: Loss>(&self, loss: L) -> Option<Pairs<'_, L>> {
        let (lookup, columns) = self.product.as_ref()?;
        Some(Pairs::of_columns(lookup, columns.as_deref(), loss, Factors::Curvatures))
    }
}

/// What a job makes of a point: sums, and the entries of a product.
type Made<'p> = (Option<Sums>, Option<PairEntries<'p>>);

/// Points that are made of a tile at a time.
fn points_at_a_time(margins: usize) -> usize {
    (MARGINS_AT_A_TIME / margins).max(1)
}

impl<L: Loss> Cpu<L> {
    /// The sums of each cell for each of the points that take it, `[work][cells]`, in one pass over the features.
    pub(super) fn several(&mut self, work: &[Work<'_>]) -> Result<Vec<Vec<CellSums>>> {
        if work.is_empty() {
            return Ok(Vec::new());
        }
        let margins = self.loss.margins();
        let points: Vec<Point<'_>> = work.iter().map(|work| self.point(work)).collect();
        // Rows that a point does not take cost it nothing.
        let (layout, all) = (&self.stored.layout, self.stored.layout.shape.rows.max(1));
        let rows_of =
            |work: &Work<'_>| work.cells.map_or(all, |cells| cells.iter().map(|&c| layout.rows_of_cell(c)).sum());
        let rows: usize = work.iter().map(rows_of).sum();
        self.passes.data += (rows * margins).div_ceil(MARGINS_OF_A_PASS * all).max(1) as u64;
        self.passes.hessian += u64::from(work.iter().any(|work| work.takes_hessian));
        let (loss, wide, cells) = (self.loss, self.stored.lookup.wide(), self.stored.layout.cells());
        let jobs = self.jobs(&points);
        let mut products: Vec<Vec<Segments<PairEntries<'_>>>> = Vec::with_capacity(points.len());
        for point in &points {
            let bytes = point.bytes(margins);
            products.push((0..cells).map(|_| self.stored.segments(jobs, bytes)).collect());
        }
        let mut found: Vec<Vec<Fold<Sums>>> =
            points.iter().map(|_| (0..cells).map(|_| Fold::default()).collect()).collect();
        self.stored.pass(
            ACCESS,
            jobs,
            |blocks| {
                let cell = blocks[0].cell;
                in_vectors(
                    #[inline(always)]
                    || (cell, evaluate(blocks, loss, wide, &points)),
                )
            },
            |(cell, made)| {
                for (place, (sums, product)) in made.into_iter().enumerate() {
                    if let Some(sums) = sums {
                        found[place][cell].push(sums);
                    }
                    if let Some(product) = product {
                        products[place][cell].push(product);
                    }
                }
            },
        )?;
        let mut of_points = Vec::with_capacity(points.len());
        for (point, (sums, products)) in points.iter().zip(found.into_iter().zip(products)) {
            let of_cells = sums.into_iter().zip(products).enumerate();
            let sums = of_cells.filter_map(|(cell, (sums, product))| self.cell_sums(point, cell, sums, product));
            of_points.push(sums.collect());
        }
        Ok(of_points)
    }

    fn point<'w>(&self, work: &Work<'w>) -> Point<'w> {
        let lookup = &self.stored.lookup;
        work.assert_fits(self.stored.layout.cells(), lookup.parameters());
        let product = work.takes_hessian.then(|| {
            assert!(lookup.pattern().is_none(), "Hessians of several points are whole");
            let intercept = lookup.parameters() - 1;
            match work.columns {
                // Some of the levels of a category are no columns.
                Some(columns) if lookup.count() == 0 => {
                    let columns: Vec<usize> = columns.iter().copied().filter(|&column| column < intercept).collect();
                    let design = Design::from(Shape::plain(self.stored.layout.shape.rows, columns.len()));
                    (Lookup::new(&design, Vec::new()), Some(columns))
                }
                _ => (lookup.as_ref().clone(), None),
            }
        });
        Point { weights: self.stored.widen(work.point), work: *work, product }
    }

    /// How the blocks become jobs: many of them in one where products are made.
    fn jobs(&self, points: &[Point<'_>]) -> Jobs {
        let margins = self.loss.margins();
        let bytes: usize = points.iter().map(|point| point.bytes(margins)).sum();
        let numbers = points.len() * margins * self.stored.lookup.wide();
        if bytes > 0 { self.stored.together(bytes + 8 * numbers) } else { Stored::block_by_block(numbers) }
    }

    fn cell_sums(
        &self,
        point: &Point<'_>,
        cell: usize,
        sums: Fold<Sums>,
        product: Segments<PairEntries<'_>>,
    ) -> Option<CellSums> {
        if !point.work.takes(cell) {
            return None;
        }
        let (margins, lookup) = (self.loss.margins(), &self.stored.lookup);
        // A cell without rows has sums too.
        let sums = sums.finish().unwrap_or_else(|| Sums::zero(margins * lookup.wide()));
        let gradient = sums.gradient.chunks_exact(lookup.wide()).flat_map(|wide| lookup.narrow(wide)).collect();
        let hessian = point.product.as_ref().map(|(of_columns, _)| {
            let whole = product.finish().map_or_else(
                || Symmetric::zero(margins * of_columns.parameters()),
                |entries| entries.matrix(margins, 1.0),
            );
            match point.work.columns {
                None => whole,
                Some(columns) => whole.restricted(&kept_of(columns, lookup, of_columns, margins)),
            }
        });
        Some(CellSums { cell, loss: sums.loss, gradient, hessian })
    }
}

/// Where the parameters `columns` of each margin are among those of a product.
fn kept_of(columns: &[usize], lookup: &Lookup, of_product: &Lookup, margins: usize) -> Vec<usize> {
    let (all, of_margin) = (lookup.parameters(), of_product.parameters());
    let place = |(index, column): (usize, &usize)| match column {
        // The intercept is last in either.
        column if column + 1 == all => of_margin - 1,
        column if of_margin == all => *column,
        _ => index,
    };
    let places: Vec<usize> = columns.iter().enumerate().map(place).collect();
    in_all_margins(&places, margins * of_margin, margins)
}

/// Some points that take a cell, together.
struct Group<'p, L: Loss> {
    /// Places of the points.
    places: Vec<usize>,
    /// `[margins of the points][wide]`.
    weights: Vec<f64>,
    /// A fold of the blocks' sums for each point.
    sums: Vec<Fold<Sums>>,
    /// What makes the product of each point that wants one.
    sinks: Vec<Option<Pairs<'p, L>>>,
}

/// Evaluates the rows of some blocks of a cell at each of the points: what is made of them, by the places of the points.
#[inline(always)]
fn evaluate<'p, L: Loss>(blocks: &mut [Block<'_>], loss: L, wide: usize, points: &'p [Point<'_>]) -> Vec<Made<'p>> {
    let (cell, columns) = (blocks[0].cell, blocks[0].columns.count());
    let taking: Vec<usize> = (0..points.len()).filter(|&place| points[place].work.takes(cell)).collect();
    let of_group = |places: &[usize]| Group {
        places: places.to_vec(),
        weights: places.iter().flat_map(|&place| points[place].weights.iter().copied()).collect(),
        sums: places.iter().map(|_| Fold::default()).collect(),
        sinks: places.iter().map(|&place| points[place].sink(loss)).collect(),
    };
    let at_a_time = points_at_a_time(loss.margins());
    let mut groups: Vec<Group<'p, L>> = taking.chunks(at_a_time).map(of_group).collect();
    // However many points there are: they have the same bits beside others as alone.
    let vectors = at_a_time * loss.margins();
    let tile = loss.tile_rows(columns).min(tile_rows_within(TILE_BYTES / (4 * columns + 16 * vectors)));
    let mut space = Space {
        loss: loss.workspace(columns),
        margins: vec![0.0; vectors * tile],
        residuals: vec![0.0; vectors * tile],
        eight: Aligned::zeros(EIGHT * tile),
    };
    for block in blocks {
        let mut sums: Vec<Vec<f64>> = groups.iter().map(|group| vec![0.0; group.weights.len()]).collect();
        let mut losses: Vec<Vec<f64>> = groups.iter().map(|group| vec![0.0; group.places.len()]).collect();
        for (first, n) in block.tiles(tile) {
            for (group, (sums, losses)) in groups.iter_mut().zip(sums.iter_mut().zip(&mut losses)) {
                group.add_tile(loss, block, (first, n), &mut space, sums, losses);
            }
        }
        for (group, (sums, losses)) in groups.iter_mut().zip(sums.iter().zip(&losses)) {
            let of_points = sums.chunks_exact(loss.margins() * wide).zip(losses);
            for (fold, (gradient, value)) in group.sums.iter_mut().zip(of_points) {
                let gradient = gradient.to_vec();
                fold.push(Sums { loss: *value, slope: 0.0, curvature: 0.0, gradient });
            }
        }
    }
    let mut made: Vec<Made<'p>> = points.iter().map(|_| (None, None)).collect();
    for group in groups {
        for (place, (sums, sink)) in group.places.into_iter().zip(group.sums.into_iter().zip(group.sinks)) {
            made[place] = (sums.finish(), sink.map(Pairs::into_entries));
        }
    }
    made
}

/// What the work on a tile needs.
struct Space<L: Loss> {
    loss: L::Workspace,
    /// `[margins of the points][rows]`.
    margins: Vec<f64>,
    /// The same of the residuals.
    residuals: Vec<f64>,
    /// Eight columns in f64, `[8][rows]`.
    eight: Aligned,
}

impl<L: Loss> Group<'_, L> {
    /// Adds the `n` rows of a block from `first` on: to sums of gradients `[margins of the points][wide]` and to losses.
    #[inline(always)]
    fn add_tile(
        &mut self,
        loss: L,
        block: &Block<'_>,
        (first, n): (usize, usize),
        space: &mut Space<L>,
        sums: &mut [f64],
        losses: &mut [f64],
    ) {
        let columns = block.columns.part(first, n);
        let labels = &block.labels[first..first + n];
        let row_weights = block.row_weights.map(|weights| &weights[first..first + n]);
        let offsets = block.offsets.map(|offsets| offsets.part(first, n));
        let of_point = loss.margins() * n;
        let margins = &mut space.margins[..self.places.len() * of_point];
        columns.all_margins(&self.weights, margins, &mut space.eight);
        let residuals = &mut space.residuals[..self.places.len() * of_point];
        let of_points = margins.chunks_exact_mut(of_point).zip(residuals.chunks_exact_mut(of_point));
        for (((z, residuals), sink), value) in of_points.zip(&mut self.sinks).zip(losses) {
            if let Some(offsets) = offsets {
                offsets.add_to(z);
            }
            let [of_tile, ..] = loss.sums(Rows { margins: z, along: None, labels, row_weights }, &mut space.loss);
            *value += of_tile;
            residuals.copy_from_slice(loss.residuals(n, &space.loss));
            if let Some(sink) = sink {
                sink.take(&Tile { columns, labels, row_weights, margins: z, space: &space.loss });
            }
        }
        columns.add_all_products(residuals, sums, &mut space.eight);
    }
}
