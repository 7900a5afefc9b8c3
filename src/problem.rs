//! What a solver minimises: the mean loss over the rows, in standardised coordinates, with a penalty.
//!
//! An engine evaluates the loss in the coordinates in which its columns were narrowed. A [`Problem`] is in the solver's:
//! [`Coordinates`] map points there and gradients back, a [`Penalty`] is added, and where the Hessian of all rows costs more
//! than it saves, a [`Curvature`] stands in for it. The point is kept here and nowhere else.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe, columns_of, places_among};
use crate::penalty::{Penalty, Quadratic};
use crate::standardize::Coordinates;

/// Where the Hessian comes from.
pub enum Curvature<'o> {
    /// From the engine, in a pass over all rows.
    Exact,
    /// From a subsample of the rows: an objective as the engine, f64 on the host. The exact diagonal, which takes one pass,
    /// calibrates it: a column that no kept row has does not make it singular, and distances are not measured by a curvature
    /// that the rows do not have.
    Subsample(&'o mut dyn Objective),
    /// From all rows, their sums in f64 on the host: nothing to calibrate.
    Rows(&'o mut dyn Objective),
    /// A bound on that of the penalised loss, the same everywhere, calibrated by the exact diagonal.
    Bound(Symmetric),
}

impl Curvature<'_> {
    /// What the engine must give so that this gives the rest.
    fn of_engine(&self, need: Need) -> Need {
        match self {
            Self::Exact => need,
            _ if need == Need::Hessian => Need::Diagonal,
            _ => need,
        }
    }

    /// The Hessian of the loss at `point`, in the solver's coordinates, beside an evaluation there with the exact diagonal.
    fn add_of_loss(&mut self, evaluation: &mut Evaluation, point: &[f64], coordinates: &Coordinates) -> Result<()> {
        let (rows, is_sample) = match self {
            Self::Exact | Self::Bound(_) => return Ok(()),
            Self::Subsample(rows) => (rows, true),
            Self::Rows(rows) => (rows, false),
        };
        let hessian = rows.move_to(&coordinates.to_device(point), Need::Hessian)?.hessian;
        let hessian = hessian.map(|hessian| coordinates.hessian(&hessian));
        evaluation.hessian = if is_sample { calibrated(hessian, evaluation) } else { hessian };
        Ok(())
    }

    /// The same of the penalised loss, where it has the penalty in it.
    fn add_of_all(&self, evaluation: &mut Evaluation) {
        if let Self::Bound(bound) = self {
            evaluation.hessian = calibrated(Some(bound.clone()), evaluation);
        }
    }
}

/// An approximate Hessian with the diagonal of an evaluation.
fn calibrated(hessian: Option<Symmetric>, evaluation: &Evaluation) -> Option<Symmetric> {
    let (mut hessian, diagonal) = (hessian?, evaluation.diagonal.as_ref()?);
    hessian.calibrate(&diagonal.own);
    Some(hessian)
}

/// A penalised mean loss in the solver's coordinates.
pub struct Problem<'o> {
    engine: &'o mut dyn Objective,
    coordinates: Coordinates,
    penalty: Penalty,
    curvature: Curvature<'o>,
    point: Vec<f64>,
    margins: usize,
}

impl<'o> Problem<'o> {
    /// The loss of `engine`, whose dimension is the number of columns plus one, for each margin.
    ///
    /// # Panics
    /// If the dimensions differ.
    pub fn new(
        engine: &'o mut dyn Objective,
        coordinates: Coordinates,
        penalty: Penalty,
        curvature: Curvature<'o>,
    ) -> Self {
        let size = coordinates.columns().len() + 1;
        assert!(engine.dimension().is_multiple_of(size), "columns of the engine and of the scaling");
        let margins = engine.dimension() / size;
        Self { engine, coordinates, penalty, curvature, point: Vec::new(), margins }
    }

    /// Without a penalty, and with the Hessian of the engine.
    pub fn of_loss(engine: &'o mut dyn Objective, coordinates: Coordinates) -> Self {
        let penalty = Penalty::none(coordinates.dimension());
        Self::new(engine, coordinates, penalty, Curvature::Exact)
    }

    /// The problem where the engine stands at `point` already: its loss was evaluated there as `evaluation`, in the solver's
    /// coordinates. Gives the evaluation of the problem, with the Hessian if `need` asks for it.
    pub fn stand_at(&mut self, point: &[f64], evaluation: Evaluation, need: Need) -> Result<Evaluation> {
        self.point = point.to_vec();
        completed(evaluation, need, &self.point, &self.coordinates, &self.penalty, &mut self.curvature)
    }

    /// The same problem, from here on with the Hessian of the engine.
    #[must_use]
    pub fn with_exact_curvature(self) -> Self {
        Self { curvature: Curvature::Exact, ..self }
    }
}

/// An evaluation of the loss at `point` as one of the problem.
fn completed(
    mut evaluation: Evaluation,
    need: Need,
    point: &[f64],
    coordinates: &Coordinates,
    penalty: &Penalty,
    curvature: &mut Curvature<'_>,
) -> Result<Evaluation> {
    if need == Need::Hessian {
        curvature.add_of_loss(&mut evaluation, point, coordinates)?;
    }
    let mut evaluation = penalty.add_to(evaluation, point);
    if need == Need::Hessian {
        curvature.add_of_all(&mut evaluation);
    }
    Ok(evaluation)
}

impl Objective for Problem<'_> {
    fn dimension(&self) -> usize {
        self.margins * self.coordinates.dimension()
    }

    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        let of_engine = self.engine.move_to(&self.coordinates.to_device(point), self.curvature.of_engine(need))?;
        self.stand_at(point, self.coordinates.evaluation(&of_engine), need)
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let Self { engine, coordinates, penalty, margins, .. } = self;
        let (count, size) = (coordinates.active().len(), coordinates.dimension());
        let columns = columns_of(kept, size);
        let places: Vec<usize> = columns.iter().copied().filter(|&place| place < count).collect();
        // The columns of a device are centred by its own means: their parameters pull at its intercept, whether there is one here.
        let device = coordinates.columns().len();
        let of_margin = || places.iter().map(|&place| coordinates.active()[place]).chain([device]);
        let of_engine = (0..*margins).flat_map(|margin| of_margin().map(move |column| margin * (device + 1) + column));
        let found = engine.evaluate_with(&coordinates.to_device(point), &of_engine.collect::<Vec<_>>())?;
        let own = coordinates.of_places(&places);
        let hessian = found.hessian.as_ref().map(|hessian| own.hessian(hessian)).map(|hessian| {
            // The intercept is in the matrix whether it is kept or not.
            if kept.len() == hessian.size() {
                hessian
            } else {
                hessian.restricted(&places_among(kept, size, &columns, hessian.size() / *margins))
            }
        });
        let gradient = coordinates.gradient(&found.gradient);
        let mut evaluation =
            penalty.add_to(Evaluation { value: found.value, gradient, diagonal: None, hessian: None }, point);
        evaluation.hessian = hessian.map(|mut hessian| {
            hessian.add_diagonal(&kept.iter().map(|&place| penalty.strength()[place % size]).collect::<Vec<_>>());
            hessian
        });
        Ok(evaluation)
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let Self { engine, coordinates, penalty, .. } = self;
        let of_engine: Vec<Vec<f64>> = points.iter().map(|point| coordinates.to_device(point)).collect();
        let found = engine.evaluate_all(&of_engine)?;
        let completed = |(point, found): (&Vec<f64>, &Evaluation)| penalty.add_to(coordinates.evaluation(found), point);
        Ok(points.iter().zip(&found).map(completed).collect())
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let Self { engine, coordinates, penalty, curvature, point, .. } = self;
        assert_eq!(point.len(), direction.len(), "move_to comes before line");
        let mut on_device = coordinates.to_device(direction);
        let line = engine.line(&mut on_device, first_step)?;
        direction.copy_from_slice(&coordinates.back_from_device(&on_device));
        let quadratic = penalty.along(point, direction);
        let direction = direction.to_vec();
        Ok(Box::new(ProblemLine { line, coordinates, penalty, quadratic, curvature, point, direction }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        Ok(self.coordinates.hessian(&self.engine.scatter()?))
    }

    fn passes(&self) -> Passes {
        self.engine.passes()
    }
}

/// A problem along a line.
struct ProblemLine<'a, 'o> {
    /// The loss.
    line: Box<dyn Line + 'a>,
    coordinates: &'a Coordinates,
    penalty: &'a Penalty,
    /// The penalty.
    quadratic: Quadratic,
    curvature: &'a mut Curvature<'o>,
    point: &'a mut Vec<f64>,
    direction: Vec<f64>,
}

impl Line for ProblemLine<'_, '_> {
    fn first(&self) -> Probe {
        self.quadratic.add_to(self.line.first())
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        Ok(self.line.probe(steps)?.into_iter().map(|probe| self.quadratic.add_to(probe)).collect())
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        let Self { line, coordinates, penalty, curvature, point, direction, .. } = *self;
        for (q, p) in point.iter_mut().zip(&direction) {
            *q += step * p;
        }
        let of_engine = line.accept(step, curvature.of_engine(need))?;
        completed(coordinates.evaluation(&of_engine), need, point, coordinates, penalty, curvature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Diagonal;
    use crate::penalty::PenaltyScale;
    use crate::standardize::ColumnScale;

    /// Nothing at all: what is left is the penalty.
    struct Zero(usize);

    struct ZeroLine {
        dimension: usize,
        first: f64,
    }

    const fn zero(step: f64) -> Probe {
        Probe { step, value: 0.0, slope: 0.0, curvature: 0.0 }
    }

    fn nothing(dimension: usize, need: Need) -> Evaluation {
        let hessian = (need == Need::Hessian).then(|| Symmetric::zero(dimension));
        let ones = || Diagonal { own: vec![1.0; dimension], with_intercept: vec![0.0; dimension] };
        let diagonal = (need == Need::Diagonal).then(ones);
        Evaluation { value: 0.0, gradient: vec![0.0; dimension], diagonal, hessian }
    }

    impl Objective for Zero {
        fn dimension(&self) -> usize {
            self.0
        }

        fn move_to(&mut self, _: &[f64], need: Need) -> Result<Evaluation> {
            Ok(nothing(self.0, need))
        }

        fn line<'a>(&'a mut self, _: &mut [f64], first: f64) -> Result<Box<dyn Line + 'a>> {
            Ok(Box::new(ZeroLine { dimension: self.0, first }))
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            unreachable!("nobody asks for it")
        }

        fn passes(&self) -> Passes {
            Passes::default()
        }
    }

    impl Line for ZeroLine {
        fn first(&self) -> Probe {
            zero(self.first)
        }

        fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
            Ok(steps.iter().map(|&step| zero(step)).collect())
        }

        fn accept(self: Box<Self>, _: f64, need: Need) -> Result<Evaluation> {
            Ok(nothing(self.dimension, need))
        }
    }

    /// `(1/2) sum l_j q_j^2` of one margin; of K classes of all centred weights, 0 for the first class among them, as it is
    /// defined.
    fn value(strength: &[f64], classes: usize, q: &[f64]) -> f64 {
        let size = strength.len();
        let weight = |class: usize, j: usize| if class == 0 { 0.0 } else { q[(class - 1) * size + j] };
        let of_column = |j: usize| -> f64 {
            if classes == 2 {
                return weight(1, j).powi(2);
            }
            let mean = (0..classes).map(|class| weight(class, j)).sum::<f64>() / classes as f64;
            (0..classes).map(|class| (weight(class, j) - mean).powi(2)).sum()
        };
        (0..size).map(|j| 0.5 * strength[j] * of_column(j)).sum()
    }

    /// Along a line and where it is left, value, slope, curvature and gradient are those of the penalty at the point.
    #[test]
    fn lines_and_points_have_the_same_penalty() {
        for (classes, parameters) in [(2, None), (3, Some(3)), (4, Some(4))] {
            let scales = [0.5, 2.0];
            let penalty = Penalty::new(0.3, PenaltyScale::Original, &scales, true, parameters);
            let strength = [0.3 / 0.25, 0.3 / 4.0, 0.0];
            let dimension = 3 * (classes - 1);
            let numbers = |shift: f64| (0..dimension).map(move |j| (1.7 * j as f64 + shift).sin());
            let (from, mut direction): (Vec<f64>, Vec<f64>) = (numbers(0.3).collect(), numbers(1.1).collect());
            let at = |step: f64| -> Vec<f64> { from.iter().zip(&direction).map(|(q, p)| q + step * p).collect() };
            let value = |step: f64| value(&strength, classes, &at(step));
            // A parabola: differences over a step of 1 are exact.
            let slope = |step: f64| 0.5 * (value(step + 1.0) - value(step - 1.0));
            let curvature = value(1.0) - 2.0 * value(0.0) + value(-1.0);
            let steps = [0.25, -1.5, 3.0];
            let expected = steps.map(|step| [value(step), slope(step), curvature]);
            let end = at(3.0);

            let mut loss = Zero(dimension);
            let column = ColumnScale { mean: 0.0, scale: 1.0, device_mean: 0.0, device_scale: 1.0, reach: 1.0 };
            let coordinates = Coordinates::new(vec![column; 2], true);
            let mut objective = Problem::new(&mut loss, coordinates, penalty, Curvature::Exact);
            let here = objective.move_to(&from, Need::Gradient).expect("nothing fails");
            assert!((here.value - value(0.0)).abs() <= 1e-14);
            let along: f64 = here.gradient.iter().zip(&direction).map(|(g, p)| g * p).sum();
            assert!((along - slope(0.0)).abs() <= 1e-13, "{along}");
            let mut line = objective.line(&mut direction, steps[0]).expect("nothing fails");
            let mut probes = vec![line.first()];
            probes.extend(line.probe(&steps[1..]).expect("nothing fails"));
            for (probe, expected) in probes.iter().zip(&expected) {
                let found = [probe.value, probe.slope, probe.curvature];
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() <= 1e-13, "{classes} classes: {probe:?}, expected {expected}");
                }
            }
            let left = line.accept(3.0, Need::Hessian).expect("nothing fails");
            assert!((left.value - expected[2][0]).abs() <= 1e-13);
            let along: f64 = left.gradient.iter().zip(&direction).map(|(g, p)| g * p).sum();
            assert!((along - expected[2][1]).abs() <= 1e-13, "{along}");
            let hessian = left.hessian.expect("it was asked for").times(&direction);
            let along: f64 = hessian.iter().zip(&direction).map(|(h, p)| h * p).sum();
            assert!((along - curvature).abs() <= 1e-13, "{along}");
            // The next line begins where this one ended.
            let line = objective.line(&mut direction, 0.0).expect("nothing fails");
            let expected = super::tests::value(&strength, classes, &end);
            assert!((line.first().value - expected).abs() <= 1e-13, "{:?}", line.first());
        }
    }

    /// A bound has the penalty in it, and so has the diagonal that calibrates it; a subsample has neither.
    #[test]
    fn a_bound_is_calibrated_with_the_penalty_and_a_subsample_without() {
        let column = ColumnScale { mean: 0.0, scale: 1.0, device_mean: 0.0, device_scale: 1.0, reach: 1.0 };
        let penalty = Penalty::new(0.5, PenaltyScale::Original, &[1.0, 0.5], false, None);
        let [of_first, of_second] = [1.0 + 0.5, 1.0 + 2.0];
        let bound = Symmetric::from_lower(2, |i, j| if i == j { 5.0 } else { 1.0 });
        let coordinates = Coordinates::new(vec![column; 2], false);
        let mut loss = Zero(3);
        let mut problem = Problem::new(&mut loss, coordinates.clone(), penalty.clone(), Curvature::Bound(bound));
        let hessian = problem.move_to(&[0.0; 2], Need::Hessian).expect("nothing fails").hessian.expect("a bound");
        assert!((hessian.get(0, 0) - of_first).abs() <= 1e-15 && (hessian.get(1, 1) - of_second).abs() <= 1e-15);
        assert!((hessian.get(0, 1) - (of_first * of_second).sqrt() / 5.0).abs() <= 1e-15, "{hessian:?}");
        // Of a sample without curvature the penalty alone is left.
        let (mut loss, mut sample) = (Zero(3), Zero(3));
        let mut problem = Problem::new(&mut loss, coordinates, penalty, Curvature::Subsample(&mut sample));
        let hessian = problem.move_to(&[0.0; 2], Need::Hessian).expect("nothing fails").hessian.expect("a sample's");
        assert!(hessian.get(0, 1).abs() <= 1e-15, "{hessian:?}");
    }
}
