//! An approximate Hessian from a subsample of the rows, for more features than a Hessian of all the data pays for.
//!
//! Rows are kept while the file is read, by a hash of their position, so the cut into row groups and the order of
//! reading change nothing. Their Hessian is f64 on the host; it is calibrated by the diagonal of all the data (one
//! pass), so that a column that no kept row has does not make it singular.

use crate::data::{Column, Store, hash};
use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe};

/// Memory of the kept rows at most.
const SAMPLE_BYTES: usize = 64 << 20;

/// Up to this many features the Hessian of all the data is taken.
pub const HESSIAN_FEATURES: usize = 1024;

/// A store that passes everything on and keeps a subsample of the rows.
pub struct Sampling<'s> {
    all: Box<dyn Store + 's>,
    /// Positions of the kept rows, ascending.
    rows: &'s [usize],
    kept: Box<dyn Store + 's>,
}

impl<'s> Sampling<'s> {
    /// Passes everything on to `all`, and of each column the values of `rows` to `kept`.
    pub fn new(all: Box<dyn Store + 's>, rows: &'s [usize], kept: Box<dyn Store + 's>) -> Self {
        Self { all, rows, kept }
    }
}

/// Positions of the rows to keep, as many of `rows` x `columns` as fit into 64 MiB, ascending.
pub fn kept_rows(rows: usize, columns: usize) -> Vec<usize> {
    let most = (SAMPLE_BYTES / 4 / columns.max(1)).max(1);
    let threshold = (most as f64 / rows as f64 * u64::MAX as f64) as u64;
    let mut kept: Vec<usize> = (0..rows).filter(|&row| most >= rows || hash(row as u64) < threshold).collect();
    if kept.is_empty() {
        kept.push(0);
    }
    kept
}

impl Store for Sampling<'_> {
    fn write(&self, column: Column, first_row: usize, values: &[f32]) -> Result<()> {
        let first = self.rows.partition_point(|&row| row < first_row);
        let end = self.rows.partition_point(|&row| row < first_row + values.len());
        let kept: Vec<f32> = self.rows[first..end].iter().map(|&row| values[row - first_row]).collect();
        self.kept.write(column, first, &kept)?;
        self.all.write(column, first_row, values)
    }

    fn settle(&self) -> Result<()> {
        self.kept.settle()?;
        self.all.settle()
    }
}

/// An objective whose Hessian is that of the subsample, calibrated by the diagonal of all the data.
pub struct Subsampled<'o> {
    all: &'o mut dyn Objective,
    kept: &'o mut dyn Objective,
    point: Vec<f64>,
}

impl<'o> Subsampled<'o> {
    /// `all` and `kept` are the same objective over all and over the kept rows.
    pub fn new(all: &'o mut dyn Objective, kept: &'o mut dyn Objective) -> Self {
        Self { all, kept, point: Vec::new() }
    }

    /// As [`Subsampled::new`], where `all` stands at `point` already.
    pub fn standing(all: &'o mut dyn Objective, kept: &'o mut dyn Objective, point: &[f64]) -> Self {
        Self { all, kept, point: point.to_vec() }
    }
}

/// What all the data must give so that the subsample can give the rest.
fn of_all(need: Need) -> Need {
    if need == Need::Hessian { Need::Diagonal } else { need }
}

/// Adds the Hessian of the kept rows at `point` to an evaluation that has the diagonal of all.
fn complete(mut evaluation: Evaluation, kept: &mut dyn Objective, point: &[f64]) -> Result<Evaluation> {
    let (Some(diagonal), Some(mut hessian)) = (&evaluation.diagonal, kept.move_to(point, Need::Hessian)?.hessian)
    else {
        return Ok(evaluation);
    };
    hessian.calibrate(&diagonal.own);
    evaluation.hessian = Some(hessian);
    Ok(evaluation)
}

impl Objective for Subsampled<'_> {
    fn dimension(&self) -> usize {
        self.all.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        let evaluation = self.all.move_to(point, of_all(need))?;
        self.point = point.to_vec();
        if need == Need::Hessian { complete(evaluation, self.kept, point) } else { Ok(evaluation) }
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let Self { all, kept, point } = self;
        let line = all.line(direction, first_step)?;
        Ok(Box::new(SubsampledLine { line, kept: &mut **kept, point, direction: direction.to_vec() }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        self.all.scatter()
    }

    fn passes(&self) -> Passes {
        self.all.passes()
    }
}

struct SubsampledLine<'a> {
    line: Box<dyn Line + 'a>,
    kept: &'a mut dyn Objective,
    point: &'a mut Vec<f64>,
    direction: Vec<f64>,
}

impl Line for SubsampledLine<'_> {
    fn first(&self) -> Probe {
        self.line.first()
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        self.line.probe(steps)
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        for (q, p) in self.point.iter_mut().zip(&self.direction) {
            *q += step * p;
        }
        let evaluation = self.line.accept(step, of_all(need))?;
        if need == Need::Hessian { complete(evaluation, self.kept, self.point) } else { Ok(evaluation) }
    }
}
