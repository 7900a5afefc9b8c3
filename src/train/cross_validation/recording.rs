//! The walk along the path of all rows, with what it says of the cells.

use std::collections::HashMap;

use crate::engine::Engine;
use crate::engine::part::mean;
use crate::engine::work::{CellSums, Work};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes};

/// Bytes of the Hessians of folds at most, at so many stations.
pub(in crate::train) const HESSIANS_BYTES: usize = 1 << 30;
const STATIONS: usize = 16;

/// An engine whose visits at several points are remembered, cell by cell.
pub(in crate::train) struct Recording<'e> {
    engine: &'e mut dyn Engine,
    /// Sums of each cell by the bits of the point.
    seen: HashMap<Vec<u64>, Vec<CellSums>>,
    /// Whether the Hessians of cells are kept too.
    keeps_hessians: bool,
    /// Where the engine has to go before it looks along a line; nowhere if it stands there.
    standing: Vec<f64>,
}

/// Bytes that the Hessians of folds would take, of so many parameters, with what they are beside those of the sample.
pub(in crate::train) fn bytes_of_hessians(parameters: usize, cells: usize) -> usize {
    2 * 8 * STATIONS * cells * parameters.pow(2)
}

fn bits(point: &[f64]) -> Vec<u64> {
    point.iter().map(|x| x.to_bits()).collect()
}

impl<'e> Recording<'e> {
    /// Of an engine with so many cells, for a fit with so many parameters.
    pub(in crate::train) fn new(engine: &'e mut dyn Engine, cells: usize, parameters: usize) -> Self {
        let keeps_hessians = bytes_of_hessians(parameters, cells) <= HESSIANS_BYTES;
        Self { engine, seen: HashMap::new(), keeps_hessians, standing: Vec::new() }
    }

    pub(super) fn engine(&mut self) -> &mut dyn Engine {
        &mut *self.engine
    }

    /// Forgets what was visited.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Means over all rows at points, whose sums are kept.
    fn visited(&mut self, work: &[Work<'_>]) -> Result<Vec<Evaluation>> {
        let found = self.engine.run(work)?;
        let weight = self.engine.weight();
        let means = found.iter().map(|cells| mean(cells, weight)).collect();
        for (work, mut cells) in work.iter().zip(found) {
            if !self.keeps_hessians {
                for cell in &mut cells {
                    cell.hessian = None;
                }
            }
            let known = self.seen.entry(bits(work.point)).or_default();
            if known.first().is_none_or(|known| known.hessian.is_none()) {
                *known = cells;
            }
        }
        means
    }

    /// The sums of each cell at points: those that were visited, and others by one more visit.
    pub(super) fn sums(&mut self, points: &[Vec<f64>]) -> Result<Vec<Vec<CellSums>>> {
        let mut missing: Vec<&Vec<f64>> = points.iter().filter(|point| !self.seen.contains_key(&bits(point))).collect();
        missing.dedup();
        if !missing.is_empty() {
            let work: Vec<Work<'_>> = missing.iter().map(|point| Work::at(point)).collect();
            self.visited(&work)?;
        }
        let lost = || Error::internal("a point that was visited is not known");
        points.iter().map(|point| self.seen.get(&bits(point)).cloned().ok_or_else(lost)).collect()
    }

    /// The sums of each cell where the Hessian of all rows was taken, with their Hessians if they are kept; they are forgotten.
    pub(super) fn take_hessians(&mut self, point: &[f64]) -> Option<Vec<CellSums>> {
        self.seen.remove(&bits(point)).filter(|cells| cells.iter().all(|cell| cell.hessian.is_some()))
    }
}

impl Objective for Recording<'_> {
    fn dimension(&self) -> usize {
        self.engine.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        if need == Need::Diagonal {
            return self.engine.move_to(point, need);
        }
        // The engine stands there for a line.
        let takes_hessian = need == Need::Hessian;
        let mut found = self.visited(&[Work { takes_hessian, ..Work::at(point) }])?;
        self.standing = point.to_vec();
        found.pop().ok_or_else(|| Error::internal("a visit without an evaluation"))
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        self.engine.evaluate_with(point, kept)
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let work: Vec<Work<'_>> = points.iter().map(|point| Work::at(point)).collect();
        self.visited(&work)
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let standing = std::mem::take(&mut self.standing);
        if !standing.is_empty() {
            self.engine.move_to(&standing, Need::Gradient)?;
        }
        self.engine.line(direction, first_step)
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        self.engine.scatter()
    }

    fn passes(&self) -> Passes {
        self.engine.passes()
    }
}
