//! The parameters of a fit, between the margins of an engine and what is penalised.

use crate::every_class::{self, EveryClass};
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Objective};
use crate::problem::Problem;
use crate::solve::Start;
use crate::standardize::Coordinates;

/// The parameters of a fit: those of each margin in the solver's coordinates; or, where every one of several classes is penalised by
/// itself, those of each class, of which an engine has the differences from the first.
#[derive(Clone, Copy)]
pub(super) struct Parametrisation<'c> {
    pub(super) coordinates: &'c Coordinates,
    /// The classes, if every one has parameters of its own.
    pub(super) every_class: Option<usize>,
}

impl Parametrisation<'_> {
    /// Parameters of a margin.
    fn size(self) -> usize {
        self.coordinates.dimension()
    }

    /// The parameters of the margins.
    pub(super) fn of_margins(self, point: &[f64]) -> Vec<f64> {
        if self.every_class.is_some() { every_class::differences(point, self.size()) } else { point.to_vec() }
    }

    /// An evaluation at the parameters of the margins as one at those of the fit.
    pub(super) fn of_fit(self, found: Evaluation) -> Evaluation {
        if self.every_class.is_some() { every_class::evaluation(found, self.size()) } else { found }
    }

    /// Where a fit begins that is told by the parameters of the margins.
    pub(super) fn start(self, point: Vec<f64>, evaluation: Evaluation) -> Start {
        let evaluation = self.of_fit(evaluation);
        let point = if self.every_class.is_some() { every_class::with_first(&point, self.size()) } else { point };
        Start { point, evaluation }
    }

    /// The parameters of a device.
    pub(super) fn to_device(self, point: &[f64]) -> Vec<f64> {
        self.coordinates.to_device(&self.of_margins(point))
    }

    /// The gradient of a device as that of the fit.
    pub(super) fn gradient(self, device: &[f64]) -> Vec<f64> {
        let gradient = self.coordinates.gradient(device);
        if self.every_class.is_some() { every_class::gradient(&gradient, self.size()) } else { gradient }
    }

    /// The Hessian of a device as that of the fit.
    pub(super) fn hessian(self, device: &Symmetric) -> Symmetric {
        let hessian = self.coordinates.hessian(device);
        if self.every_class.is_some() { every_class::hessian(&hessian, self.size()) } else { hessian }
    }

    /// An evaluation of a device as one of the fit.
    pub(super) fn evaluation(self, device: &Evaluation) -> Evaluation {
        self.of_fit(self.coordinates.evaluation(device))
    }

    /// The loss of an engine, or of some of its rows, as a function of the parameters of the fit.
    pub(super) fn loss<'o>(self, engine: &'o mut dyn Objective) -> Box<dyn Objective + 'o> {
        let problem = Box::new(Problem::of_loss(engine, self.coordinates.clone()));
        match self.every_class {
            Some(classes) => Box::new(EveryClass::new(problem, classes)),
            None => problem,
        }
    }
}
