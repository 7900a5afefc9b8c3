//! A mean loss with an elastic net: proximal Newton steps, few passes over the rows, and a certificate of how near the end is.
//!
//! A model of the loss on the host (`surrogate`) predicts the minimum; one pass evaluates there; what the prediction missed goes
//! into the next one. The Hessian of all rows is taken at the start, and where a prediction went far.

mod certificate;
mod edge;
mod path;
mod quadratic;
mod surrogate;
mod working_set;

use certificate::gap_of_set;
pub use certificate::{Refined, gap, refine, subgradient};
use edge::{Certified, error_of_gradients, on_edge, on_edge_by};
pub use path::{FoldModels, FoldProblem, FoldRows, PathOutcome, PathPoint, PathProblem, PathStation, Strengths, path};
use quadratic::damped;
pub use working_set::WORKING_SET;

use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need, Objective, round_step};
use crate::penalty::{Term, cost_of};
use crate::solve::{Certain, Company, Iteration, Outcome, Settings, Start, Status, largest, root};
use surrogate::{Knot, Search, Surrogate};
use working_set::working_set;

/// What an elastic net minimises beside the loss, and how near is near enough.
#[derive(Clone, Debug)]
pub struct ElasticNet {
    /// Of each parameter.
    pub terms: Vec<Term>,
    /// What may be left to gain, of the mean loss.
    pub gap: f64,
}

/// How near to the minimum a point is.
#[derive(Clone, Debug)]
pub struct Left {
    /// What is left to gain of the mean loss.
    pub gap: f64,
    /// The parameters whose selection that leaves open, ascending.
    pub on_edge: Vec<usize>,
}

/// The most curvature that a standardised column has.
const MOST_CURVATURE: f64 = 0.25;

/// A share of the cost up to which gaps are compared and values are not.
const NEAR: f64 = 1e-5;

/// The share of what was to be gained that a step from far away gains at least.
const GAIN: f64 = 0.05;

/// Steps that halve no gap and gain nothing after which the arithmetic comes no nearer.
const IDLE: u32 = 2;

/// Steps along a line that are tried at once where the whole one is too long.
const SHORTER: [f64; 8] = [0.5, 0.25, 0.125, 0.0625, 0.031_25, 0.015_625, 0.007_812_5, 0.003_906_25];

/// The same, as multiples of the step that is short enough for certain.
const AROUND: [f64; 6] = [0.125, 0.5, 1.0, 2.0, 4.0, 16.0];

/// How often the model may mislead before it is given up.
const MISLED: u32 = 3;

/// The share of its strength from which on a slope at rest is nearly selected.
const EDGE: f64 = 0.98;

/// The error of a mean in f32, a share of the spread of what it is of, and the least pivot that a matrix of such means has.
const ERROR_OF_SUMS: f64 = 1.0 / (1 << 22) as f64;
const LEAST_PIVOT_OF_SUMS: f64 = 1e-5;

/// A step of the model that gains no more of the mean loss ends a prediction.
const ENOUGH: f64 = 1e-11;

/// Minimises the mean loss `objective`, which stands at `start` with its Hessian, with an elastic net. `sample` is the loss of a
/// sample of the rows on the host, or of all of them. Without the Hessian at the start there are too many parameters for one: the
/// sample's, of a working set, leads and measures.
///
/// Gives the outcome, and how near it is. `margin` is the number of parameters of a margin.
///
/// # Cost
/// The Hessian at the start, one pass with a Hessian where the sample leads, and a pass or two after it.
///
/// # Errors
/// Those of the objectives, and that of a monitor that interrupts.
pub fn elastic_net<'o>(
    objective: &'o mut dyn Objective,
    sample: Option<&'o mut dyn Objective>,
    start: Start,
    (net, margin): (&'o ElasticNet, usize),
    settings: &'o Settings,
    company: &mut Company<'_, '_>,
) -> Result<(Outcome, Left)> {
    company.monitor.begin("training", None);
    let mut run = Run::new(objective, sample, start, net, &settings.reach.parameters)?;
    let status = run.go(settings, company)?;
    company.monitor.end();
    let left = Left { gap: run.here.gap, on_edge: run.on_edge(margin, settings)? };
    let Run { here, metric, iterations, objective, .. } = run;
    let outcome = Outcome {
        value: here.cost,
        gradient: subgradient(&here.evaluation.gradient, &net.terms, &here.point),
        parameters: here.point,
        hessian: match metric {
            Metric::All { hessian, .. } => Some(*hessian),
            Metric::Sample => None,
        },
        is_proved: true,
        delta: here.gap.is_finite().then(|| root(2.0 * here.gap * settings.rows)),
        is_bounded: false,
        delta_floor: 0.0,
        status,
        iterations,
        passes: objective.passes(),
    };
    Ok((outcome, left))
}

/// As [`elastic_net`], from inside of it: nobody hears of the iterations. Where it ended, how, and after how many of them.
fn go_by_itself<'o>(
    objective: &'o mut dyn Objective,
    sample: Option<&'o mut dyn Objective>,
    start: Start,
    net: &'o ElasticNet,
    settings: &'o Settings,
    monitor: &dyn Monitor,
) -> Result<(Place, Status, u64)> {
    let mut run = Run::new(objective, sample, start, net, &settings.reach.parameters)?;
    let status = run.go(settings, &mut Company { monitor, history: &mut |_| {}, existence: &mut Certain })?;
    Ok((run.here, status, run.iterations))
}

/// Whose curvature measures what is left to gain.
enum Metric {
    /// That of all rows, where it was taken last, and what corrects the model there.
    All { hessian: Box<Symmetric>, knot: Option<Box<Knot>> },
    /// That of the sample, of a working set: there are too many parameters for a matrix of all of them.
    Sample,
}

/// A point, and what is known there.
struct Place {
    point: Vec<f64>,
    /// The loss, without its Hessian.
    evaluation: Evaluation,
    /// The loss with the terms.
    cost: f64,
    /// What is left to gain, and where the quadratic model says it is.
    gap: f64,
    target: Vec<f64>,
}

impl Place {
    fn new(point: Vec<f64>, evaluation: Evaluation, hessian: &Symmetric, net: &ElasticNet) -> Self {
        let cost = evaluation.value + cost_of(&net.terms, &point);
        let (gap, target) = gap(&point, &evaluation.gradient, hessian, &net.terms);
        // No cost is below 0, whatever a quadratic model says from far away.
        Self { point, evaluation, cost, gap: gap.min(cost), target }
    }

    /// The same by the curvature of a sample, of what is or nearly is selected.
    fn by_sample(
        point: Vec<f64>,
        evaluation: Evaluation,
        surrogate: &mut Surrogate<'_>,
        net: &ElasticNet,
    ) -> Result<Self> {
        let cost = evaluation.value + cost_of(&net.terms, &point);
        let set = working_set(&point, &evaluation.gradient, &net.terms, EDGE)?;
        let hessian = surrogate.hessian(&point, &set)?.ok_or_else(without_hessian)?;
        let (gap, target, is_whole) = gap_of_set(&point, &evaluation.gradient, &hessian, &set, &net.terms);
        // The set has the steepest.
        let gap = if is_whole { gap } else { gap + 2.0 * net.gap };
        Ok(Self { point, evaluation, cost, gap: gap.min(cost), target })
    }
}

struct Run<'o> {
    objective: &'o mut dyn Objective,
    net: &'o ElasticNet,
    surrogate: Option<Surrogate<'o>>,
    /// How often the model did not lead where it says.
    misled: u32,
    /// How far each parameter reaches into a margin.
    reach: &'o [f64],
    metric: Metric,
    here: Place,
    iterations: u64,
    step: f64,
    /// The share of the gap that the last step left.
    left: f64,
    /// Steps since the gap was halved.
    idle: u32,
}

impl<'o> Run<'o> {
    fn new(
        objective: &'o mut dyn Objective,
        sample: Option<&'o mut dyn Objective>,
        Start { point, mut evaluation }: Start,
        net: &'o ElasticNet,
        reach: &'o [f64],
    ) -> Result<Self> {
        let mut surrogate = sample.map(|sample| Surrogate::new(Some(sample), reach));
        let (metric, here) = match (evaluation.hessian.take(), &mut surrogate) {
            (Some(hessian), surrogate) => {
                let here = Place::new(point, evaluation, &hessian, net);
                let knot = match surrogate {
                    Some(surrogate) => surrogate.knot(&here.point, &hessian)?.map(Box::new),
                    None => None,
                };
                (Metric::All { hessian: Box::new(hessian), knot }, here)
            }
            (None, Some(surrogate)) => (Metric::Sample, Place::by_sample(point, evaluation, surrogate, net)?),
            (None, None) => return Err(without_hessian()),
        };
        let (iterations, step, left) = (0, 0.0, 0.0);
        Ok(Self { objective, net, surrogate, misled: 0, reach, metric, here, iterations, step, left, idle: 0 })
    }

    /// Goes on until nothing is left to gain, or nothing can be gained.
    fn go(&mut self, settings: &Settings, company: &mut Company<'_, '_>) -> Result<Status> {
        loop {
            self.tell(settings, company);
            if !self.here.evaluation.is_finite() {
                return Ok(Status::NonFinite);
            }
            if self.here.gap <= self.net.gap {
                return Ok(if self.is_resolved(settings)? { Status::Converged } else { Status::F32Limit });
            }
            if let Some(end) = company.monitor.ends() {
                return Ok(Status::of_end(end));
            }
            company.monitor.check()?;
            if self.idle >= IDLE {
                let is_at_limit = settings.is_f32() && self.is_near() || !self.is_resolved(settings)?;
                return Ok(if is_at_limit { Status::F32Limit } else { Status::Stalled });
            }
            if self.iterations >= settings.max_iterations {
                return Ok(Status::MaxIterations);
            }
            self.iterations += 1;
            if !self.iterate()? {
                // Sums that do not tell columns apart give directions that lead nowhere.
                return Ok(if self.is_resolved(settings)? { Status::LineSearchFailed } else { Status::F32Limit });
            }
        }
    }

    /// Takes a step; whether there was one.
    fn iterate(&mut self) -> Result<bool> {
        let predicted = self.predict()?;
        let by_model = predicted.is_some();
        let target = predicted.unwrap_or_else(|| self.here.target.clone());
        // The first step is a long one. A later one gains as the one before, and where that is not enough the model is
        // corrected there; without a model only the Hessian knows how the next one goes.
        let is_last = by_model && self.here.gap * self.left <= self.net.gap;
        let takes_hessian = matches!(self.metric, Metric::All { .. }) && (self.iterations == 1 || !is_last);
        let evaluation = self.objective.move_to(&target, if takes_hessian { Need::Hessian } else { Need::Gradient })?;
        let (next, own) = self.place(target, evaluation)?;
        let is_better = next.cost <= self.here.cost || self.is_near() && next.gap <= 0.5 * self.here.gap;
        if !is_better {
            self.misled += u32::from(by_model);
            return self.go_less_far();
        }
        self.step = 1.0;
        // By a first long step nothing is known of short ones.
        self.left = if self.iterations > 1 { next.gap / self.here.gap } else { 0.0 };
        self.arrive(next, own)?;
        Ok(true)
    }

    /// Where the model of the loss has its minimum, if there is such a model.
    fn predict(&mut self) -> Result<Option<Vec<f64>>> {
        let (correction, share) = match &self.metric {
            Metric::All { knot: None, .. } => return Ok(None),
            Metric::All { knot: Some(knot), .. } => (vec![(1.0, &knot.correction)], 0.0),
            Metric::Sample => (Vec::new(), 1.0),
        };
        let Some(surrogate) = self.surrogate.as_mut().filter(|_| self.misled < MISLED) else { return Ok(None) };
        let Place { point, evaluation, .. } = &self.here;
        let anchor = surrogate.anchor(point, evaluation.value, &evaluation.gradient)?;
        let enough = ENOUGH.min(1e-3 * self.net.gap);
        let slopes = &evaluation.gradient;
        let search = Search { start: point, terms: &self.net.terms, enough, slopes, share };
        Ok(surrogate.minimum(&[(1.0, &anchor)], &correction, &search)?.map(|predicted| predicted.point))
    }

    /// A place, and the Hessian of all rows if it was taken there.
    fn place(&mut self, point: Vec<f64>, mut evaluation: Evaluation) -> Result<(Place, Option<Symmetric>)> {
        let own = evaluation.hessian.take();
        let place = match (&self.metric, &mut self.surrogate) {
            (Metric::All { hessian, .. }, _) => {
                Place::new(point, evaluation, own.as_ref().unwrap_or(hessian), self.net)
            }
            (Metric::Sample, Some(surrogate)) => Place::by_sample(point, evaluation, surrogate, self.net)?,
            (Metric::Sample, None) => return Err(without_hessian()),
        };
        Ok((place, own))
    }

    /// Goes towards where the quadratic model has its minimum, as far as the cost falls; whether it does.
    fn go_less_far(&mut self) -> Result<bool> {
        let need = if matches!(self.metric, Metric::All { .. }) { Need::Hessian } else { Need::Gradient };
        let Self { objective, here, net, reach, .. } = self;
        let mut way: Vec<f64> = here.target.iter().zip(&here.point).map(|(target, q)| target - q).collect();
        objective.move_to(&here.point, Need::Gradient)?;
        let mut line = objective.line(&mut way, 1.0)?;
        let at = |step: f64| -> Vec<f64> { here.point.iter().zip(&way).map(|(q, d)| q + step * d).collect() };
        let damped = damped(&way, reach);
        // The whole step was too long, and beyond it lie the bounds.
        let around = AROUND.map(|times| round_step(times * damped)).into_iter().filter(|step| *step < 1.0);
        let steps: Vec<f64> = SHORTER.iter().copied().chain(around).collect();
        let probes = line.probe(&steps)?;
        let costs = probes.iter().map(|probe| (probe.value + cost_of(&net.terms, &at(probe.step)), probe.step));
        let least = costs.filter(|(cost, _)| cost.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, step)) = least.filter(|(cost, _)| *cost < here.cost) else { return Ok(false) };
        let point = at(step);
        let evaluation = line.accept(step, need)?;
        let (next, own) = self.place(point, evaluation)?;
        self.step = step;
        self.arrive(next, own)?;
        Ok(true)
    }

    /// Whether the sums of the device tell whether the gap is within its limit. In f32 errors e of the gradient, by the spread of
    /// its own columns, leave `e'H^-1 e / 2` open over what is selected, and all of it where f32 does not tell columns apart.
    fn is_resolved(&mut self, settings: &Settings) -> Result<bool> {
        if !settings.is_f32() {
            return Ok(true);
        }
        let Self { here, net, metric, surrogate, .. } = self;
        // What is at a bound is held there, as what is not selected is held at 0.
        let selected = |j: &usize| {
            let (term, x) = (&net.terms[*j], here.point[*j]);
            (x != 0.0 || !term.has_kink()) && !term.is_at_bound(x)
        };
        let selected: Vec<usize> = (0..here.point.len()).filter(selected).collect();
        let mut own = match (metric, surrogate) {
            (Metric::All { hessian, .. }, _) => hessian.restricted(&selected),
            (Metric::Sample, Some(surrogate)) => {
                surrogate.hessian(&here.point, &selected)?.ok_or_else(without_hessian)?
            }
            (Metric::Sample, None) => return Err(without_hessian()),
        };
        own.add_diagonal(&selected.iter().map(|&j| net.terms[j].l2).collect::<Vec<_>>());
        let Some(factor) = own.factor().filter(|factor| factor.least_pivot() > LEAST_PIVOT_OF_SUMS) else {
            return Ok(false);
        };
        let inflations = factor.inverse_diagonal().into_iter().zip(own.diagonal()).map(|(inverse, own)| inverse * own);
        Ok(0.5 * ERROR_OF_SUMS * ERROR_OF_SUMS * inflations.sum::<f64>() <= net.gap)
    }

    /// The parameters whose selection is open where it stands.
    fn on_edge(&mut self, margin: usize, settings: &Settings) -> Result<Vec<usize>> {
        let Self { here, net, metric, surrogate, .. } = self;
        let Place { point, evaluation, gap, target, .. } = here;
        let (gradient, error) = (&evaluation.gradient, error_of_gradients(settings, point));
        let certified = Certified { point, gradient, gap: *gap, target, terms: &net.terms, margin, error };
        match (metric, surrogate) {
            (Metric::All { hessian, .. }, _) => Ok(on_edge(&certified, hessian)),
            (Metric::Sample, Some(surrogate)) => on_edge_by(&certified, MOST_CURVATURE, |point, set| {
                surrogate.hessian(point, set)?.ok_or_else(without_hessian)
            }),
            (Metric::Sample, None) => Err(without_hessian()),
        }
    }

    /// Whether gaps tell more than values, whose sums may be in f32: far from the end it is the other way round.
    fn is_near(&self) -> bool {
        self.here.gap <= NEAR * self.here.cost
    }

    /// Stands at a place, where the Hessian of all rows may have been taken.
    fn arrive(&mut self, next: Place, own: Option<Symmetric>) -> Result<()> {
        let gains = !self.is_near() && self.here.cost - next.cost >= GAIN * self.here.gap;
        self.idle = if gains || next.gap <= 0.5 * self.here.gap { 0 } else { self.idle + 1 };
        self.here = next;
        if let Some(hessian) = own {
            let knot = match &mut self.surrogate {
                Some(surrogate) if self.misled < MISLED => surrogate.knot(&self.here.point, &hessian)?.map(Box::new),
                _ => None,
            };
            self.metric = Metric::All { hessian: Box::new(hessian), knot };
        }
        Ok(())
    }

    fn tell(&self, settings: &Settings, company: &mut Company<'_, '_>) {
        let Self { here, net, iterations, step, objective, .. } = self;
        let passes = objective.passes();
        let support = here.point.iter().zip(&net.terms).filter(|(x, term)| **x != 0.0 && term.l1 > 0.0).count();
        company.monitor.say(&format!(
            "iteration {iterations}, {support} columns, {:.1e} to gain, {} passes",
            here.gap, passes.data
        ));
        (company.history)(&Iteration {
            number: *iterations,
            value: here.cost,
            delta: here.gap.is_finite().then(|| root(2.0 * here.gap * settings.rows)),
            gradient_norm: largest(&subgradient(&here.evaluation.gradient, &net.terms, &here.point)),
            step: *step,
            search: None,
            passes,
            point: &here.point,
        });
    }
}

fn without_hessian() -> Error {
    Error::internal("an elastic net without a Hessian, and without a sample that has one")
}
