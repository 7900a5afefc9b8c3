//! The moments of the classes on the device: sums of a block for each class, then its scatter about their means.
//!
//! Squares in f32 of what is not centred would drown a class's spread in its mean. So a block goes through twice within
//! one visit: its class sums come back, the host divides, and the device takes the products of what is left beside these
//! *centres*. That they are rounded does no harm: the sums of what is left come back too, and tell in f64 how far the
//! centre is from the mean. Blocks are merged by Chan's formula, in f64 and in their order.

use rayon::prelude::*;

use crate::engine::divisor;
use crate::engine::gpu::Gpu;
use crate::engine::gpu::buffers::buffer;
use crate::engine::gpu::chunks::Chunks;
use crate::engine::gpu::dispatch::{Taken, products_together};
use crate::engine::gpu::kernels::{EDGE, EIGHT, Kernel, Pass, Product};
use crate::engine::gpu::shared::Shared;
use crate::engine::gpu::slots::{PIECE, add_slots, border_edges, gram_pieces, place};
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, Part};
use crate::error::{Error, Result};
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;

/// What the moments are made of.
const COLUMNS: Access = Access { reads: &[Part::Features, Part::Labels, Part::RowWeights], writes: &[] };
/// Memory of the sums of the classes in flight; those of one block at least.
const SUMS_BYTES: usize = 32 << 20;

/// How much of the moments goes at a time, and the buffers for it.
struct InFlight {
    blocks: usize,
    /// Of the products of a block.
    pieces: usize,
    /// Bytes of the classes' centres, a stamp behind them.
    centres: usize,
    /// f32s of the classes' sums with their stamps.
    class_slots: usize,
}

impl InFlight {
    fn of(gpu: &Gpu, layout: &Layout, shared: &Shared) -> Self {
        let features = layout.shape.features;
        let classes = layout.shape.class_count();
        let pieces = gram_pieces(features);
        let of_pieces = (shared.pieces.size() / 4) as usize / (pieces * PIECE);
        let sums = classes * (features + 1);
        let most = (0..layout.chunks()).map(|chunk| layout.hessian_blocks_of(chunk)).max().unwrap_or(1);
        let room = of_pieces.min((SUMS_BYTES / 4 / sums).max(1)).min(most);
        let [blocks, pieces] = products_together(gpu.products, room, layout.hessian_rows, pieces);
        Self {
            blocks,
            pieces,
            centres: ((blocks * classes * features + 1) * 4).max(16),
            class_slots: blocks * (sums + class_groups(layout)),
        }
    }
}

/// Workgroups of the sums of the classes for each block.
fn class_groups(layout: &Layout) -> usize {
    border_edges(layout.shape.features) * layout.shape.class_count().div_ceil(EIGHT)
}

/// Bytes of the device that the moments take while they are made.
pub(super) fn device_bytes(gpu: &Gpu, layout: &Layout, shared: &Shared) -> usize {
    let InFlight { centres, class_slots, .. } = InFlight::of(gpu, layout, shared);
    centres + (class_slots * 4).max(16)
}

/// What the blocks so far add up to.
struct Merged {
    features: usize,
    /// `[classes]`.
    weights: Vec<f64>,
    /// Where each class's deviations begin, the centre of its first block, `[classes][features]`.
    origins: Vec<Option<Vec<f64>>>,
    /// Sums of the deviations of the blocks' means from there, by their weights, `[classes][features]`.
    deviations: Vec<Vec<f64>>,
    /// Sums of the blocks' products about their centres, `[pieces][256][4]`.
    products: Vec<f64>,
    /// What is to be added to them, the lower triangle row by row.
    corrections: Vec<Vec<f64>>,
}

/// A class in a block.
struct Cell {
    weight: f64,
    /// Of the mean from the class's origin, `[features]`.
    deviation: Vec<f64>,
    /// Of the mean from the centre, `[features]`.
    offset: Vec<f64>,
}

impl Merged {
    fn new(classes: usize, features: usize) -> Self {
        Self {
            features,
            weights: vec![0.0; classes],
            origins: vec![None; classes],
            deviations: vec![vec![0.0; features]; classes],
            products: vec![0.0; gram_pieces(features) * EDGE * EDGE],
            corrections: (0..features).map(|i| vec![0.0; i + 1]).collect(),
        }
    }

    /// Adds blocks: their centres `[blocks][classes][features]`, and their sums about these and their weights
    /// `[blocks][classes][features + 1]`. Their products are added beside.
    fn add(&mut self, centres: &[f32], sums: &[f32]) {
        let (features, classes) = (self.features, self.weights.len());
        let mut cells = Vec::new();
        for (index, (centre, sums)) in centres.chunks_exact(features).zip(sums.chunks_exact(features + 1)).enumerate() {
            let class = index % classes;
            let weight = f64::from(sums[features]);
            if weight <= 0.0 {
                continue;
            }
            let centre: Vec<f64> = centre.iter().map(|&c| f64::from(c)).collect();
            let offset: Vec<f64> = sums[..features].iter().map(|&sum| f64::from(sum) / weight).collect();
            let origin = self.origins[class].get_or_insert_with(|| centre.clone());
            let deviation: Vec<f64> = centre
                .iter()
                .zip(origin)
                .zip(&offset)
                .map(|((centre, origin), offset)| centre - *origin + offset)
                .collect();
            self.weights[class] += weight;
            for (sum, deviation) in self.deviations[class].iter_mut().zip(&deviation) {
                *sum += weight * deviation;
            }
            cells.push(Cell { weight, deviation, offset });
        }
        self.corrections.par_iter_mut().enumerate().for_each(|(i, row)| {
            for Cell { weight, deviation, offset } in &cells {
                let (of_deviation, of_offset) = (weight * deviation[i], weight * offset[i]);
                for (j, entry) in row.iter_mut().enumerate() {
                    *entry += of_deviation * deviation[j] - of_offset * offset[j];
                }
            }
        });
    }

    /// The moments, with a scatter divided by `weight`.
    fn moments(self, weight: f64) -> ClassMoments {
        let mean_deviations: Vec<Vec<f64>> = self
            .deviations
            .iter()
            .zip(&self.weights)
            .map(|(sums, weight)| sums.iter().map(|sum| sum / divisor(*weight)).collect())
            .collect();
        let within = Symmetric::from_lower(self.features, |i, j| {
            let (row, column) = (i / EDGE, j / EDGE);
            let of_blocks = self.products[place(row * (row + 1) / 2 + column, i, j)] + self.corrections[i][j];
            let of_means: f64 =
                self.deviations.iter().zip(&mean_deviations).map(|(sums, means)| sums[i] * means[j]).sum();
            (of_blocks - of_means) / divisor(weight)
        });
        let means = self.origins.into_iter().zip(mean_deviations).map(|(origin, deviations)| {
            let origin = origin.unwrap_or_else(|| vec![0.0; deviations.len()]);
            origin.iter().zip(deviations).map(|(origin, deviation)| origin + deviation).collect()
        });
        ClassMoments { weights: self.weights, means: means.collect(), within }
    }
}

impl Chunks {
    /// The moments of the classes: one visit of each chunk.
    pub(super) fn moments(&mut self) -> Result<ClassMoments> {
        let layout = self.core.layout.clone();
        let features = layout.shape.features;
        let classes = layout.shape.class_count();
        let pieces = gram_pieces(features);
        let (slot, sums) = (pieces * EDGE * EDGE, classes * (features + 1));
        let InFlight { blocks: in_flight, pieces: together, centres: bytes, class_slots: with_stamps } =
            InFlight::of(&self.core.gpu, &layout, &self.core.shared);
        if in_flight == 0 {
            return Err(Error::device(
                format!("the moments of {features} features need {} MiB in one buffer", slot >> 18),
                "Use ⟦device cpu⟧.",
            ));
        }
        let gpu = &self.core.gpu;
        gpu.kernels.get(&gpu.device, Kernel::ClassSums);
        let class_groups = class_groups(&layout);
        let centres = buffer(gpu, "centres", bytes, wgpu::BufferUsages::COPY_DST)?;
        let class_slots = buffer(gpu, "class_slots", (with_stamps * 4).max(16), wgpu::BufferUsages::COPY_SRC)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = buffer(gpu, "readback", (with_stamps + in_flight * pieces * PIECE) * 4, usage)?;
        let ours = std::mem::replace(&mut self.core.readback, readback);
        let mut merged = Merged::new(classes, features);
        let others = [("centres", &centres), ("class_slots", &class_slots)];
        let visited = self.each(COLUMNS, |core, at, mut encoder| {
            let bound = [Kernel::ClassSums, Kernel::Gram]
                .map(|kernel| at.buffers.bind(&core.gpu, &core.shared, kernel, &others));
            let hessian_blocks = layout.hessian_blocks_of(at.chunk);
            for first_block in (0..hessian_blocks).step_by(in_flight) {
                let blocks = in_flight.min(hessian_blocks - first_block);
                let pass = Pass {
                    rows: layout.rows_of(at.chunk) as u32,
                    stride: at.buffers.stride as u32,
                    features: features as u32,
                    first_block: first_block as u32,
                    product: Product::Classes as u32,
                    margins: classes as u32 - 1,
                    hessian_rows: layout.hessian_rows as u32,
                    ..Pass::default()
                };
                let groups = [class_groups, blocks, 1];
                let of_sums = core.dispatch_bound(&mut encoder, Kernel::ClassSums, at, &bound[0], &pass, groups);
                let taken = core.take(of_sums, &class_slots, blocks * sums, 0);
                core.submit(&mut encoder);
                let mut about = Vec::new();
                core.read_taken(&[taken], |sums| about = centres_of(sums[0], features))?;
                let with_stamp = [&about[..], &[core.stamps.of_centres()]].concat();
                core.gpu.write(&centres, bytemuck::cast_slice(&with_stamp));
                let pass = Pass { product: Product::Within as u32, others: about.len() as u32, ..pass };
                let of_sums = core.dispatch_bound(&mut encoder, Kernel::ClassSums, at, &bound[0], &pass, groups);
                let mut of_sums = Some(core.take(of_sums, &class_slots, blocks * sums, 0));
                let behind = of_sums.as_ref().map_or(0, Taken::end);
                for first_piece in (0..pieces).step_by(together) {
                    let some = together.min(pieces - first_piece);
                    let pass = Pass { first_piece: first_piece as u32, ..pass };
                    let groups = [some, blocks, 1];
                    let dispatched = core.dispatch_bound(&mut encoder, Kernel::Gram, at, &bound[1], &pass, groups);
                    let len = some * EDGE * EDGE;
                    let of_products = core.take(dispatched, &core.shared.pieces, blocks * len, behind);
                    core.submit(&mut encoder);
                    let taken: Vec<Taken> = of_sums.take().into_iter().chain([of_products]).collect();
                    core.read_taken(&taken, |slots| {
                        let (products, sums) = slots.split_last().expect("products come each time");
                        if let [sums] = sums {
                            merged.add(&about, sums);
                        }
                        add_slots(products, &mut merged.products[first_piece * EDGE * EDGE..][..len]);
                    })?;
                }
            }
            Ok(encoder)
        });
        self.core.readback = ours;
        visited?;
        Ok(merged.moments(self.core.weight))
    }
}

/// The means of the features in each class and block, rounded, 0 where it has no weight.
fn centres_of(sums: &[f32], features: usize) -> Vec<f32> {
    let of_class = |sums: &[f32]| {
        let weight = sums[features];
        let mean = move |sum: f32| if weight > 0.0 { sum / weight } else { 0.0 };
        sums[..features].iter().map(|&sum| mean(sum)).collect::<Vec<f32>>()
    };
    sums.chunks_exact(features + 1).flat_map(of_class).collect()
}
