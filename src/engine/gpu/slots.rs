//! What kernels leave: slots of sums, one for each block, and products in pieces. How large they are, where an entry stands,
//! and how they are added.

use rayon::prelude::*;

use crate::data::Shape;
use crate::engine::gpu::kernels::{EDGE, EIGHT, GROUP, Kernel, LEFT_EXTRA, PROBES, SLOT_HEAD};
use crate::engine::layout::Layout;
use crate::fold::{Segments, parts_within};

/// f32s of a piece of a Hessian's product, and of the stamp of its workgroup.
pub(super) const PIECE: usize = EDGE * EDGE + 4;

/// Pieces of the Hessian's product on and below the diagonal.
pub(super) fn hessian_pieces(features: usize) -> usize {
    let edges = (features + LEFT_EXTRA).div_ceil(EDGE);
    edges * (edges + 1) / 2
}

/// Pieces of a Gram matrix of the features and the 1 of the intercept.
pub(super) fn gram_pieces(features: usize) -> usize {
    let edges = border_edges(features);
    edges * (edges + 1) / 2
}

/// Pairs of margins that products of columns are made for.
pub(super) fn margin_pairs(shape: Shape) -> usize {
    shape.margins() * (shape.margins() + 1) / 2
}

/// Workgroups of `class_sums` for each block of a gradient, none where there is one margin.
pub(super) fn class_groups(shape: Shape) -> usize {
    if shape.classes.is_some() { border_edges(shape.features) * shape.margins().div_ceil(EIGHT) } else { 0 }
}

/// Edges of the Hessian itself; its border has as many pieces on the diagonal, and as many in the intercept's row. Class
/// sums have as many pieces for each eight classes.
pub(super) fn border_edges(features: usize) -> usize {
    features / EDGE + 1
}

/// f32s of a kernel's slot of a block.
pub(super) fn slot_len(kernel: Kernel, shape: Shape) -> usize {
    match kernel {
        Kernel::Evaluate => shape.features + SLOT_HEAD,
        Kernel::Probe | Kernel::SoftmaxTerms => 3 * PROBES,
        _ => 0,
    }
}

/// f32s of the gradient's slot of a Hessian block, where rows have several margins.
pub(super) fn class_slot(shape: Shape) -> usize {
    if shape.classes.is_some() { shape.parameters() } else { 0 }
}

/// f32s of the slot of a Hessian block for the diagonal, where rows have several margins: the columns, then their squares.
pub(super) fn diagonal_slot(shape: Shape) -> usize {
    2 * class_slot(shape)
}

/// f32s of the largest slot of a block that a kernel of the table writes.
pub(super) fn largest_slot(shape: Shape) -> usize {
    let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.serves(shape));
    kernels.map(|kernel| slot_len(kernel, shape)).max().unwrap_or(0)
}

/// Entries of a thread's share of slots: whole lines of the cache.
const SHARE: usize = 64;

/// Slots that are added from the left, in f64, before their sum is a leaf of the tree.
const LEAF_SLOTS: usize = 64;

/// Memory of the nodes of the tree of a product's slots at most, or not much more.
const NODES_BYTES: usize = 1 << 30;

/// The sums of all slots; different entries on different threads.
pub(super) fn sum_slots(all: &[&[f32]], sums: &mut [f64]) {
    let slot = sums.len();
    sums.par_chunks_mut(SHARE).enumerate().for_each(|(index, sums)| {
        let mut segments = Segments::of(LEAF_SLOTS);
        for block in all.iter().flat_map(|slots| slots.chunks_exact(slot)) {
            let zero = || vec![0.0; sums.len()];
            segments.push_with(1, zero, |sums| add_terms(&block[index * SHARE..], sums));
        }
        if let Some(sum) = segments.finish() {
            sums.copy_from_slice(&sum);
        }
    });
}

fn add_terms(terms: &[f32], sums: &mut [f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += f64::from(*term);
    }
}

/// Adds slots to `sums`, one after the other in f64; different entries on different threads.
pub(super) fn add_slots(slots: &[f32], sums: &mut [f64]) {
    let slot = sums.len();
    sums.par_chunks_mut(SHARE).enumerate().for_each(|(index, sums)| {
        for block in slots.chunks_exact(slot) {
            add_terms(&block[index * SHARE..], sums);
        }
    });
}

/// What slots add up to that come a few at a time.
pub(super) struct SlotSums {
    slot: usize,
    segments: Segments<Vec<f64>>,
}

impl SlotSums {
    /// Of slots of so many f32s, one for each Hessian block, which are a part of `whole` f32s for each.
    pub(super) fn of_hessian(layout: &Layout, slot: usize, whole: usize) -> Self {
        let all = layout.shape.rows.div_ceil(layout.hessian_rows);
        let leaf = parts_within(NODES_BYTES, size_of::<f64>() * whole, all).max(LEAF_SLOTS);
        Self { slot, segments: Segments::of(leaf) }
    }

    /// f32s of a slot.
    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    /// Adds the next slots.
    pub(super) fn add(&mut self, mut slots: &[f32]) {
        while !slots.is_empty() {
            let count = self.segments.room().min(slots.len() / self.slot);
            let (here, rest) = slots.split_at(count * self.slot);
            self.segments.push_with(count, || vec![0.0; self.slot], |sums| add_slots(here, sums));
            slots = rest;
        }
    }

    pub(super) fn finish(self) -> Vec<f64> {
        self.segments.finish().unwrap_or_else(|| vec![0.0; self.slot])
    }
}

/// Where a slot has the product of the columns i and j, in the given piece.
pub(super) fn place(piece: usize, i: usize, j: usize) -> usize {
    let (a, b) = (i % EDGE, j % EDGE);
    // The invocation that holds both columns, and which of its four products theirs is.
    let invocation = a % 16 * 16 + b % 16;
    (piece * GROUP as usize + invocation) * 4 + a / 16 * 2 + b / 16
}
