//! What was made of what: the stamps that kernels leave behind their results, made once more on the host.
//!
//! A driver may leave a command out and say nothing. Then a buffer holds what was there before, and its sums are those of
//! another pass. So every dispatch over a chunk has a number of its own, parameters and centres have one behind their last
//! value, and a kernel leaves behind its results a hash of its number and of what stands behind each buffer that
//! it read (the prelude has the arithmetic). Row state carries its stamp along. When slots come back, each of their
//! workgroups' stamps must be the one that the host expects, and so everything that led to them was done.

use std::cell::Cell;

use crate::engine::gpu::kernels::{EDGE, Kernel, Pass, Product};
use crate::error::{Error, Result};

/// A hash and one more number that it depends on; `mixed` of the prelude.
fn mixed(h: u32, x: u32) -> u32 {
    let m = (h ^ x).wrapping_mul(0x9e37_79b1);
    m ^ (m >> 15)
}

/// What is left of a hash, a whole number that an f32 holds; `stamp_of` of the prelude.
fn stamp_of(h: u32) -> u32 {
    (h >> 8) | 1
}

/// The piece of the Hessian's product that has the residuals.
fn residual_piece(features: u32) -> u32 {
    let row = (features + 1) / EDGE as u32;
    row * (row + 1) / 2
}

/// Stamps of the row state of a chunk; 0 where it was never written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfState {
    pub(super) margins: u32,
    pub(super) direction_margins: u32,
    pub(super) residuals: u32,
}

/// The stamps that the device should have.
pub(super) struct Stamps {
    /// Of each chunk.
    chunks: Vec<Cell<OfState>>,
    /// How many passes and writes there were.
    serial: Cell<u32>,
    /// Elements of the parameters before their stamp, and the stamp.
    parameters: Cell<(u32, u32)>,
    centres: Cell<u32>,
    factors: Cell<u32>,
}

impl Stamps {
    /// For that many chunks, and parameters whose stamp stands behind so many elements.
    pub(super) fn new(chunks: usize, parameters: usize) -> Self {
        Self {
            chunks: vec![Cell::default(); chunks],
            serial: Cell::new(0),
            parameters: Cell::new((parameters as u32, 0)),
            centres: Cell::default(),
            factors: Cell::default(),
        }
    }

    fn next(&self) -> u32 {
        self.serial.set(self.serial.get().wrapping_add(1));
        mixed(self.serial.get(), 0x5eed)
    }

    /// A pass over the chunks begins.
    pub(super) fn begin_pass(&self) {
        self.next();
    }

    /// The stamp of the parameters that are written now, to stand behind so many elements.
    pub(super) fn of_parameters(&self, elements: usize) -> f32 {
        let stamp = stamp_of(self.next());
        self.parameters.set((elements as u32, stamp));
        stamp as f32
    }

    /// The stamp of the centres that are written now.
    pub(super) fn of_centres(&self) -> f32 {
        self.centres.set(stamp_of(self.next()));
        self.centres.get() as f32
    }

    /// Fills in what the description of a dispatch over a chunk says of stamps; `state` is a chunk's vec4s of row state. Each
    /// has a stamp of its own: descriptions of another submission, at the same places, would show.
    pub(super) fn complete(&self, pass: &mut Pass, chunk: usize, state: usize) {
        pass.stamp = mixed(mixed(self.next(), 0x9a55), chunk as u32);
        pass.state = state as u32;
        pass.inputs = self.parameters.get().0;
    }

    /// The row state of a chunk.
    pub(super) fn of_chunk(&self, chunk: usize) -> OfState {
        self.chunks[chunk].get()
    }

    /// The stamp that a dispatch over a chunk leaves, if all that it reads is what it should be.
    pub(super) fn after(&self, kernel: Kernel, pass: &Pass, chunk: usize) -> u32 {
        let mut state = self.chunks[chunk].get();
        let of = |numbers: &[u32]| numbers.iter().fold(pass.stamp, |h, &x| mixed(h, x));
        let parameters = self.parameters.get().1;
        let reads_direction = pass.reads_direction == 1;
        let hash = match kernel {
            Kernel::Margin | Kernel::SoftmaxMargin => of(&[parameters]),
            Kernel::Evaluate => of(&[parameters, state.margins]),
            Kernel::Probe | Kernel::Advance => of(&[state.margins, state.direction_margins]),
            Kernel::Hessian => of(&[state.margins, pass.product, pass.first_block, pass.first_piece]),
            Kernel::SoftmaxTerms if reads_direction => of(&[state.margins, pass.product, state.direction_margins]),
            Kernel::SoftmaxTerms => of(&[state.margins, pass.product]),
            Kernel::SoftmaxFactor => of(&[state.margins, state.residuals, pass.product, pass.first_pair]),
            Kernel::ClassSums if pass.product == Product::Classes as u32 => of(&[pass.product, pass.first_block]),
            Kernel::ClassSums if pass.product == Product::Within as u32 => {
                of(&[pass.product, pass.first_block, self.centres.get()])
            }
            Kernel::ClassSums => of(&[pass.product, pass.first_block, state.residuals]),
            Kernel::Gram => {
                let is_within = pass.product == Product::Within as u32;
                let read = if is_within { self.centres.get() } else { self.factors.get() };
                of(&[pass.product, pass.first_block, pass.first_pair, pass.first_piece, read])
            }
            // Whole numbers that the host knows, and no part of a pass.
            Kernel::Checksum | Kernel::Functions => 0,
        };
        let stamp = stamp_of(hash);
        match kernel {
            Kernel::Margin | Kernel::Advance => state.margins = stamp,
            // Where it makes margins afresh, these change places; see `starts`.
            Kernel::SoftmaxMargin => state.direction_margins = stamp,
            Kernel::Evaluate => {
                // Two parts that one dispatch writes have not the same.
                state.residuals = stamp_of(mixed(hash, 1));
                if reads_direction {
                    state.direction_margins = stamp;
                }
            }
            // The last of these to come is the dispatch that has the piece with the residuals.
            Kernel::Hessian
                if pass.first_block == 0
                    && pass.first_piece <= residual_piece(pass.features)
                    && pass.product != Product::Border as u32 =>
            {
                state.residuals = stamp;
            }
            Kernel::SoftmaxTerms if pass.probes == 0 => state.residuals = stamp,
            Kernel::SoftmaxFactor => self.factors.set(stamp),
            _ => {}
        }
        self.chunks[chunk].set(state);
        stamp
    }

    /// The direction margins that a dispatch made of a chunk are its margins.
    pub(super) fn starts(&self, chunk: usize, before: OfState) {
        let made = self.chunks[chunk].get().direction_margins;
        self.chunks[chunk].set(OfState { margins: made, ..before });
    }
}

/// The device did not do what a kernel's results are made of.
pub(super) fn not_done(kernel: Kernel) -> Error {
    Error::device(
        format!(
            "the GPU did not do what it was told: what came back of `{}` is not of this pass, or not of the rows and \
             parameters that it was meant for",
            kernel.name()
        ),
        WAY_OUT,
    )
}

/// What to do about a device that does not do its work.
pub(super) const WAY_OUT: &str =
    "Use ⟦device cpu⟧: the same answer. Or update the driver; what `gpu-logreg devices --test` says of it may help.";

/// Whether stamps that came back, `width` f32s for each workgroup, all are the one that is expected.
#[expect(clippy::float_cmp, reason = "whole numbers that came back or did not")]
pub(super) fn check(kernel: Kernel, stamps: &[f32], width: usize, expected: u32) -> Result<()> {
    let expected = expected as f32;
    if !stamps.is_empty() && stamps.iter().step_by(width).all(|&stamp| stamp == expected) {
        return Ok(());
    }
    Err(not_done(kernel))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in a stamp shows: any other pass, chunk or input makes another one.
    #[test]
    fn another_pass_chunk_or_input_makes_another_stamp() {
        let mut seen = std::collections::BTreeSet::new();
        let stamps = Stamps::new(40, 7);
        for _ in 0..40 {
            stamps.begin_pass();
            for chunk in 0..40 {
                let mut pass = Pass::default();
                stamps.complete(&mut pass, chunk, 9);
                assert_eq!((pass.state, pass.inputs), (9, 7));
                assert!(seen.insert(stamps.after(Kernel::Evaluate, &pass, chunk)), "two dispatches of one stamp");
            }
        }
        let stamps = Stamps::new(1, 7);
        let pass = Pass { stamp: 1, ..Pass::default() };
        let before = stamps.after(Kernel::Margin, &pass, 0);
        stamps.of_parameters(7);
        assert_ne!(stamps.after(Kernel::Margin, &pass, 0), before, "parameters written anew");
        assert!(seen.iter().all(|&stamp| stamp > 0 && stamp < 1 << 24), "f32 holds them");
    }
}
