//! The GPU engine: an objective on the device, for any number of margins. Which kernels a visit of a chunk runs is up to its
//! [`Program`].

use std::marker::PhantomData;

use crate::engine::gpu::Gpu;
use crate::engine::gpu::checksums::Checksums;
use crate::engine::gpu::chunks::{Away, Chunks};
use crate::engine::gpu::device_chunk::DeviceChunk;
use crate::engine::gpu::dispatch::{Taken, pass_of};
use crate::engine::gpu::kernels::{Kernel, PROBES, Pass, Product};
use crate::engine::gpu::shared::Shared;
use crate::engine::gpu::slots::slot_len;
use crate::engine::layout::Layout;
use crate::engine::storage::{Access, Part};
use crate::engine::{Engine, RowTerms};
use crate::error::{Error, Result};
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe};

/// What a visit of every chunk does beside loss, residuals and gradient.
#[derive(Clone, Copy, Default)]
pub(super) struct Visit<'a> {
    /// A direction `[margins][features + 1]`, the intercept last, and a step: direction margins are made, and the rows
    /// evaluated along them.
    pub(super) along: Option<(&'a [f32], f32)>,
    /// The rows go to the step, before products are made.
    pub(super) advances: bool,
    pub(super) product: Option<Product>,
}

/// The kernels that serve tables with some number of margins, and the order in which a visit runs them.
pub(super) trait Program {
    /// Loss, slope and curvature at several steps, from cached margins.
    const PROBE: Kernel;

    /// f32s of slots that may be on their way to the host at a time, stamps included.
    fn slots(layout: &Layout, shared: &Shared) -> usize;

    /// Margins afresh, offsets included, of these parameters `[margins][features + 1]`; of the intercepts alone unless it
    /// reads features.
    fn start(chunks: &mut Chunks, parameters: &[f32], reads_features: bool) -> Result<()>;

    /// Evaluates at the step of the visit, or where the rows stand; all divided by N.
    fn visit(chunks: &mut Chunks, visit: Visit<'_>) -> Result<Visited>;
}

/// What a visit found.
pub(super) struct Visited {
    /// At the step along the direction; without one, slope and curvature are 0.
    pub(super) probe: Probe,
    /// The same place, and where the rows stand afterwards what of the Hessian was asked for.
    pub(super) evaluation: Evaluation,
}

/// Splits weights and intercept of a point into two f32 halves: 48 bits of the 53.
pub(super) fn split(point: &[f64]) -> (Vec<f32>, Vec<f32>) {
    let high: Vec<f32> = point.iter().map(|&q| q as f32).collect();
    let low = point.iter().zip(&high).map(|(q, high)| (q - f64::from(*high)) as f32).collect();
    (high, low)
}

/// One of the steps of a slot of a probe.
pub(super) fn probe_of(means: &[f64], step: f32, index: usize) -> Probe {
    Probe {
        step: f64::from(step),
        value: means[index],
        slope: means[PROBES + index],
        curvature: means[2 * PROBES + index],
    }
}

/// The GPU engine with a table.
pub(super) struct GpuEngine<P> {
    chunks: Chunks,
    passes: Passes,
    program: PhantomData<P>,
}

impl<P: Program> GpuEngine<P> {
    pub(super) fn new(
        gpu: Gpu,
        layout: Layout,
        device_chunks: Vec<DeviceChunk>,
        shared: Shared,
        away: Option<Away>,
        checksums: Checksums,
    ) -> Result<Self> {
        let slots = P::slots(&layout, &shared);
        let chunks = Chunks::new(gpu, layout, device_chunks, shared, away, checksums, slots)?;
        Ok(Self { chunks, passes: Passes::default(), program: PhantomData })
    }

    fn layout(&self) -> Layout {
        self.chunks.core.layout.clone()
    }

    fn visit(&mut self, visit: Visit<'_>) -> Result<Visited> {
        // Products beside an evaluation along a direction, or on the border alone, are a pass of their own.
        let is_whole = matches!(visit.product, Some(Product::Hessian | Product::Scatter)) && visit.along.is_none();
        self.passes.data += if visit.product.is_none() || is_whole { 1 } else { 2 };
        self.passes.hessian += u64::from(visit.product.is_some());
        P::visit(&mut self.chunks, visit)
    }

    /// Evaluates where a visit ends.
    fn evaluate(&mut self, visit: Visit<'_>, need: Need) -> Result<Evaluation> {
        let product = match need {
            Need::Gradient => None,
            Need::Diagonal => Some(Product::Border),
            Need::Hessian => Some(Product::Hessian),
        };
        Ok(self.visit(Visit { product, ..visit })?.evaluation)
    }

    /// Loss, slope and curvature at up to [`PROBES`] steps.
    fn probe(&mut self, steps: &[f32]) -> Result<Vec<Probe>> {
        let layout = self.layout();
        let slot = slot_len(P::PROBE, layout.shape);
        let mut padded = [0.0; PROBES];
        padded[..steps.len()].copy_from_slice(steps);
        let mut taken: Vec<Taken> = Vec::new();
        let access: Access =
            Access { reads: &[Part::Labels, Part::RowWeights, Part::Margins, Part::DirectionMargins], writes: &[] };
        self.chunks.each(access, |core, at, mut encoder| {
            let blocks = layout.blocks_of(at.chunk);
            let pass = Pass { reads_direction: 1, probes: steps.len() as u32, steps: padded, ..pass_of(&layout, at) };
            let dispatched = core.dispatch(&mut encoder, P::PROBE, at, &pass, [blocks, 1, 1]);
            let place = taken.last().map_or(0, Taken::end);
            taken.push(core.take(dispatched, &at.buffers.slots, blocks * slot, place));
            Ok(encoder)
        })?;
        let means = self.chunks.core.mean_of_slots(slot, &taken)?;
        Ok(steps.iter().enumerate().map(|(index, &step)| probe_of(&means, step, index)).collect())
    }
}

impl<P: Program> Objective for GpuEngine<P> {
    fn dimension(&self) -> usize {
        self.layout().shape.parameters()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        assert_eq!(point.len(), self.dimension(), "parameters of the point and of the table");
        let features = self.layout().shape.features;
        let (high, low) = split(point);
        let weights_are_zero =
            |half: &[f32]| half.chunks(features + 1).all(|margin| margin[..features].iter().all(|w| *w == 0.0));
        let reads_low = !weights_are_zero(&low);
        if !reads_low && weights_are_zero(&high) {
            // A start at zero: the margins are the intercepts, and no pass over the features is needed for them.
            P::start(&mut self.chunks, &high, false)?;
            return self.evaluate(Visit::default(), need);
        }
        self.passes.data += u64::from(reads_low);
        P::start(&mut self.chunks, &low, reads_low)?;
        self.evaluate(Visit { along: Some((&high, 1.0)), advances: true, product: None }, need)
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(direction.len(), self.dimension(), "parameters of the direction and of the table");
        let rounded: Vec<f32> = direction.iter().map(|&p| p as f32).collect();
        for (p, rounded) in direction.iter_mut().zip(&rounded) {
            *p = f64::from(*rounded);
        }
        let first = self.visit(Visit { along: Some((&rounded, first_step as f32)), ..Visit::default() })?;
        Ok(Box::new(GpuLine { engine: self, first }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        let visited = self.visit(Visit { product: Some(Product::Scatter), ..Visit::default() })?;
        visited.evaluation.hessian.ok_or_else(|| Error::internal("a Hessian pass came without its product"))
    }

    fn passes(&self) -> Passes {
        self.passes
    }
}

struct GpuLine<'a, P> {
    engine: &'a mut GpuEngine<P>,
    first: Visited,
}

impl<P: Program> Line for GpuLine<'_, P> {
    fn first(&self) -> Probe {
        self.first.probe
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        let mut probes = Vec::with_capacity(steps.len());
        for few in steps.chunks(PROBES) {
            self.engine.passes.line += few.len() as u64;
            let few: Vec<f32> = few.iter().map(|&step| step as f32).collect();
            probes.extend(self.engine.probe(&few)?);
        }
        Ok(probes)
    }

    #[expect(clippy::float_cmp, reason = "the very step that was evaluated, not one near it")]
    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        self.engine.chunks.advance(step as f32)?;
        if f64::from(step as f32) == self.first.probe.step && need == Need::Gradient {
            return Ok(self.first.evaluation);
        }
        self.engine.evaluate(Visit::default(), need)
    }
}

impl<P: Program> Engine for GpuEngine<P> {
    fn weight(&self) -> f64 {
        self.chunks.core.weight
    }

    fn margins(&self) -> usize {
        self.chunks.core.layout.shape.margins()
    }

    fn moments(&mut self) -> Result<ClassMoments> {
        self.passes.data += 1;
        self.chunks.moments()
    }

    fn check(&mut self) -> Result<()> {
        self.chunks.check()
    }

    fn row_terms(&mut self) -> Result<RowTerms> {
        self.chunks.row_terms()
    }
}
