//! The rows of some cells of a table, as an objective of their own.

use crate::engine::work::{CellSums, Work, total};
use crate::engine::{Engine, restrict};
use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Diagonal, Evaluation, Line, Need, Objective, Passes, Probe, columns_of};

/// The mean loss over the rows of some cells.
pub struct PartOfRows<'e> {
    engine: &'e mut dyn Engine,
    cells: Vec<usize>,
    /// Of its rows.
    weight: f64,
    /// Where it stands.
    point: Vec<f64>,
}

impl<'e> PartOfRows<'e> {
    /// Of cells in ascending order.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(engine: &'e mut dyn Engine, cells: Vec<usize>) -> Result<Self> {
        let weights = engine.cell_weights()?;
        let weight = cells.iter().map(|&cell| weights[cell]).sum();
        Ok(Self { engine, cells, weight, point: Vec::new() })
    }

    fn evaluated(&mut self, work: &[Work<'_>]) -> Result<Vec<Evaluation>> {
        let found = self.engine.run(work)?;
        found.iter().map(|cells| mean(cells, self.weight)).collect()
    }

    fn evaluated_at(&mut self, point: &[f64], takes_hessian: bool, columns: Option<&[usize]>) -> Result<Evaluation> {
        let cells = self.cells.clone();
        let work = Work { cells: Some(&cells), takes_hessian, columns, ..Work::at(point) };
        let mut found = self.evaluated(&[work])?;
        found.pop().ok_or_else(|| Error::internal("a part of the rows without an evaluation"))
    }
}

/// Means by the sums of cells that weigh so much together.
pub fn mean(cells: &[CellSums], weight: f64) -> Result<Evaluation> {
    let CellSums { loss, mut gradient, mut hessian, .. } =
        total(cells).ok_or_else(|| Error::internal("a part of the rows without cells"))?;
    let share = if weight > 0.0 { 1.0 / weight } else { 1.0 };
    for sum in &mut gradient {
        *sum *= share;
    }
    if let Some(hessian) = &mut hessian {
        hessian.scale(share);
    }
    Ok(Evaluation { value: share * loss, gradient, diagonal: None, hessian })
}

impl Objective for PartOfRows<'_> {
    fn dimension(&self) -> usize {
        self.engine.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        self.point = point.to_vec();
        let mut evaluation = self.evaluated_at(point, need != Need::Gradient, None)?;
        if need == Need::Diagonal {
            let diagonal = |hessian: Symmetric| {
                let last = hessian.size() - 1;
                let with_intercept = (0..=last).map(|j| hessian.get(last, j)).collect();
                Diagonal { own: hessian.diagonal(), with_intercept }
            };
            evaluation.diagonal = evaluation.hessian.take().map(diagonal);
        }
        Ok(evaluation)
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let of_margin = self.dimension() / self.engine.margins();
        let columns = columns_of(kept, of_margin);
        let mut evaluation = self.evaluated_at(point, true, Some(&columns))?;
        restrict(&mut evaluation, kept, of_margin, &columns);
        Ok(evaluation)
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let cells = self.cells.clone();
        let work: Vec<Work<'_>> = points.iter().map(|point| Work { cells: Some(&cells), ..Work::at(point) }).collect();
        self.evaluated(&work)
    }

    /// A line whose probes are evaluations: their curvatures are not known, and NaN.
    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        assert_eq!(self.point.len(), direction.len(), "move_to comes before line");
        let mut line = PartLine { direction: direction.to_vec(), part: self, first: None };
        line.first = line.probe(&[first_step])?.pop();
        Ok(Box::new(line))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        Err(Error::internal("a part of the rows has no scatter"))
    }

    fn passes(&self) -> Passes {
        self.engine.passes()
    }
}

struct PartLine<'a, 'e> {
    part: &'a mut PartOfRows<'e>,
    direction: Vec<f64>,
    first: Option<Probe>,
}

impl PartLine<'_, '_> {
    fn at(&self, step: f64) -> Vec<f64> {
        self.part.point.iter().zip(&self.direction).map(|(q, p)| q + step * p).collect()
    }
}

impl Line for PartLine<'_, '_> {
    fn first(&self) -> Probe {
        self.first.unwrap_or(Probe { step: 0.0, value: f64::NAN, slope: f64::NAN, curvature: f64::NAN })
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        let points: Vec<Vec<f64>> = steps.iter().map(|&step| self.at(step)).collect();
        let found = self.part.evaluate_all(&points)?;
        let probe = |(&step, Evaluation { value, gradient, .. }): (&f64, &Evaluation)| {
            let slope = gradient.iter().zip(&self.direction).map(|(g, p)| g * p).sum();
            Probe { step, value: *value, slope, curvature: f64::NAN }
        };
        Ok(steps.iter().zip(&found).map(probe).collect())
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        let point = self.at(step);
        self.part.move_to(&point, need)
    }
}
