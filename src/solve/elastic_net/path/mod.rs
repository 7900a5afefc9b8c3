//! A path: the minima with an elastic net at many strengths, in few passes over the rows.
//!
//! The Hessian of all rows is taken at a few strengths far apart, the *stations*. Between two of them a model of the loss that is
//! right at both (`surrogate`) has other minima. A first visit of the rows evaluates at a few of them, the *marks*, and a second one
//! at those between two marks, which their gradients lead to. What is not near enough is looked for again with the gradient that it
//! has. Where the sample is the table, the model is the loss, and one visit is enough.

mod stations;

use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Need, Objective};
use crate::penalty::{Term, cost_of};
use crate::solve::elastic_net::certificate::gap_of_set;
use crate::solve::elastic_net::surrogate::{Anchor, Predicted, Search, way, working_set};
use crate::solve::elastic_net::{EDGE, ElasticNet, IDLE, MISLED, NEAR, Run, without_hessian};
use crate::solve::{Certain, Company, Settings, Start, Status};
use stations::{Models, Pair, Station, Stations, bend, blended, hessian_of, shares};

/// Which strengths a path has.
#[derive(Clone, Debug, PartialEq)]
pub enum Strengths {
    /// So many, equally far apart in their logarithms, from the least that selects nothing down to a share of it.
    Grid {
        /// How many.
        count: usize,
        /// The last as a share of the first; for `None` 1e-4 where there are more rows than parameters, else 1e-2, as in glmnet.
        ratio: Option<f64>,
    },
    /// These, descending.
    Given(Vec<f64>),
}

/// What a path is of.
pub struct PathProblem<'p> {
    /// The terms of all parameters for strengths of L1 and L2.
    pub terms: &'p dyn Fn([f64; 2]) -> Vec<Term>,
    /// Which strengths.
    pub strengths: &'p Strengths,
    /// The share of L1 in a strength, in 0..1.
    pub alpha: f64,
    /// What may be left to gain, a share of the loss of the model without penalised columns.
    pub gap_tolerance: f64,
    /// Whether a grid ends where weaker penalties explain next to nothing more.
    pub ends_early: bool,
    /// Whether the sample is the table.
    pub has_all_rows: bool,
}

/// The minimum at a strength.
#[derive(Clone, Debug)]
pub struct PathPoint {
    /// The strength, of both parts of the penalty.
    pub strength: f64,
    /// The parameters, in the solver's coordinates.
    pub parameters: Vec<f64>,
    /// The mean loss, without the penalty.
    pub loss: f64,
    /// What is left to gain of the mean loss, by the curvature of the path.
    pub gap: f64,
}

/// A path that was walked.
#[derive(Clone, Debug)]
pub struct PathOutcome {
    /// By descending strengths.
    pub points: Vec<PathPoint>,
    /// The mean loss without the penalised columns.
    pub null: f64,
}

/// The factor between the strengths of stations: with a sample, and without one.
const FAR: [f64; 2] = [20.0, 2.1];

/// The factor between the strengths of marks at least.
const MARKS: f64 = 1.4;

/// The share of its strength from which on a slope between those of neighbours belongs to a working set.
const NEIGHBOURS: f64 = 0.8;

/// What a gap by the curvature between stations is multiplied by: that may be larger than the curvature where the point is.
const DOUBT: f64 = 2.0;

/// A gap, a share of the null loss, from which on a station is too far.
const TOO_FAR: f64 = 5e-3;

/// A gap, a share of the null loss, from which on a model is not only wrong by what it leaves out.
const LOST: f64 = 0.05;

/// Visits that go on with what is left at most.
const ROUNDS: u64 = 8;

/// Gaps after a first visit, shares of the null loss, and what a further visit leaves of them, from which on the curvature is no good.
const POOR: f64 = 1e-4;
const STALLED: f64 = 0.1;

/// Stations that are added in a round at most, and the factor between them and others.
const ADDED: usize = 8;
const APART: f64 = 1.9;

/// What the model of what is not penalised may leave to gain, in f64 and in f32: the root of it is how well its slopes tell the largest
/// strength.
const NULL_GAPS: [f64; 2] = [1e-14, 1e-11];

/// The least strength as a share of the largest, of more rows than parameters and of fewer.
const RATIOS: [f64; 2] = [1e-4, 1e-2];

/// The least share of L1 by which the largest strength is reckoned, as glmnet does.
const LEAST_ALPHA: f64 = 1e-3;

/// The share of the null loss, and what a step of the path adds to it, from which on weaker penalties explain next to nothing more, and
/// the strengths that a path has in any case; as glmnet does.
const EXPLAINED: f64 = 0.999;
const GAIN: f64 = 1e-5;
const LEAST_COUNT: usize = 5;

/// Finds the minima along a path. The mean loss `objective` stands at `start` with its Hessian; `sample` is the loss of a sample of
/// the rows on the host.
///
/// # Cost
/// A pass with a Hessian at each station, and a visit of an eighth of a pass for each strength, one or two of them for some.
///
/// # Errors
/// Those of the objectives, and that of a monitor that interrupts.
pub fn path<'o>(
    objective: &'o mut dyn Objective,
    mut sample: Option<&'o mut dyn Objective>,
    start: Start,
    problem: &'o PathProblem<'o>,
    settings: &'o Settings,
    company: &mut Company<'_, '_>,
) -> Result<PathOutcome> {
    let null = null_model(
        objective,
        sample.as_deref_mut().map(|sample| sample as &mut dyn Objective),
        start,
        problem,
        settings,
        company,
    )?;
    let strengths = strengths_of(problem, &null, settings)?;
    let mut walk = Walk::new(objective, sample, problem, settings, &strengths, null)?;
    company.monitor.begin("the path", None);
    walk.coarse(company)?;
    walk.visit_all(company)?;
    while walk.repair(company, false)? {}
    company.monitor.end();
    walk.finish(company)
}

/// The model of what is not penalised.
struct Null {
    point: Vec<f64>,
    evaluation: Evaluation,
    gap: f64,
}

/// Fits what is not penalised, with the Hessian there if there was one at the start.
fn null_model(
    objective: &mut dyn Objective,
    sample: Option<&mut dyn Objective>,
    start: Start,
    problem: &PathProblem<'_>,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Null> {
    let takes_hessian = start.evaluation.hessian.is_some();
    let hessian = start.evaluation.hessian.clone();
    let net = ElasticNet {
        terms: (problem.terms)([1.0, 1.0]).into_iter().map(held).collect(),
        gap: problem.gap_tolerance.min(NULL_GAPS[usize::from(settings.is_f32())]) * start.evaluation.value,
    };
    let sample = sample.map(|sample| sample as &mut dyn Objective);
    let mut run = Run::new(&mut *objective, sample, start, &net, &settings.reach.parameters)?;
    let quiet = &mut Company { monitor: company.monitor, history: &mut |_| {}, existence: &mut Certain };
    run.go(settings, quiet)?;
    let Run { here, iterations, .. } = run;
    // Nearer than that is as near as rounding allows.
    let left = here.gap / here.evaluation.value;
    if left.is_nan() || left > problem.gap_tolerance {
        return Err(Error::data(
            format!("the path has no beginning: without penalised columns {left:.1e} of the loss is left to gain"),
            "Raise ⟦gap-tolerance⟧ or ⟦max-iterations⟧, or give all columns a ⟦penalty-factor⟧ above 0.",
        ));
    }
    let mut evaluation = here.evaluation;
    evaluation.hessian = match hessian {
        _ if !takes_hessian => None,
        hessian if iterations == 0 => hessian,
        _ => objective.move_to(&here.point, Need::Hessian)?.hessian,
    };
    Ok(Null { point: here.point, evaluation, gap: here.gap })
}

/// The term of a parameter that stays at 0 if it is penalised.
fn held(term: Term) -> Term {
    if term.l1 > 0.0 || term.l2 > 0.0 { Term { l1: f64::INFINITY, l2: 0.0, ..term } } else { term }
}

/// The strengths of a path from the model of what is not penalised, descending.
fn strengths_of(problem: &PathProblem<'_>, null: &Null, settings: &Settings) -> Result<Vec<f64>> {
    Ok(match problem.strengths {
        Strengths::Given(strengths) => strengths.clone(),
        &Strengths::Grid { count, ratio } => {
            let largest = largest_strength(problem, &null.evaluation.gradient);
            if largest <= 0.0 {
                return Err(Error::data(
                    "no strength selects a column: beside what is not penalised none has a slope, or bounds forbid the way down",
                    "Look at the features, their ⟦bounds⟧ and their ⟦penalty-factor⟧.",
                ));
            }
            let is_tall = settings.count > null.point.len() as f64;
            let ratio = ratio.unwrap_or(if is_tall { RATIOS[0] } else { RATIOS[1] });
            let step = if count > 1 { ratio.ln() / (count - 1) as f64 } else { 0.0 };
            (0..count).map(|place| largest * (step * place as f64).exp()).collect()
        }
    })
}

/// The least strength at which no penalised parameter leaves 0, by the gradient without them.
fn largest_strength(problem: &PathProblem<'_>, gradient: &[f64]) -> f64 {
    let of = |(&slope, term): (&f64, &Term)| {
        if may_leave(slope, term) && term.l1 > 0.0 && term.l1.is_finite() { slope.abs() / term.l1 } else { 0.0 }
    };
    let steepest = gradient.iter().zip(&(problem.terms)([1.0, 0.0])).map(of).fold(0.0, f64::max);
    steepest / problem.alpha.max(LEAST_ALPHA)
}

/// Whether bounds allow the way down from 0.
fn may_leave(slope: f64, term: &Term) -> bool {
    if slope < 0.0 { term.high > 0.0 } else { term.low < 0.0 }
}

/// What became of a way to a station.
enum Arrival {
    There {
        /// The sample did not lead there.
        is_alone: bool,
    },
    TooFar {
        /// The model led anywhere.
        is_lost: bool,
    },
}

/// A strength of the path.
struct Place {
    strength: f64,
    terms: Vec<Term>,
    /// Where the minimum is by the model, once that was asked.
    predicted: Option<Predicted>,
    /// The best point that was visited, and another one.
    best: Option<Visited>,
    other: Option<Visited>,
    /// Whether the sample has misled here.
    has_misled: bool,
    /// Visits since the gap was halved.
    idle: u32,
}

#[derive(Clone)]
struct Visited {
    point: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    gap: f64,
    /// Where the quadratic model says that the minimum is.
    target: Vec<f64>,
}

struct Walk<'o> {
    objective: &'o mut dyn Objective,
    problem: &'o PathProblem<'o>,
    settings: &'o Settings,
    models: Models<'o>,
    stations: Stations,
    places: Vec<Place>,
    null: f64,
    rounds: u64,
}

impl<'o> Walk<'o> {
    fn new(
        objective: &'o mut dyn Objective,
        sample: Option<&'o mut dyn Objective>,
        problem: &'o PathProblem<'o>,
        settings: &'o Settings,
        strengths: &[f64],
        null: Null,
    ) -> Result<Self> {
        let mut models = Models::new(sample, &settings.reach.parameters);
        let Null { point, evaluation, gap } = null;
        let anchor = models.sampled.anchor(&point, evaluation.value, &evaluation.gradient)?;
        let knot = match &evaluation.hessian {
            Some(hessian) if !problem.has_all_rows => models.sampled.knot(&point, hessian)?,
            _ => None,
        };
        let largest = largest_strength(problem, &evaluation.gradient);
        let place = |strength: f64| {
            let terms = (problem.terms)([strength * problem.alpha, strength * (1.0 - problem.alpha)]);
            // Nothing leaves 0 there.
            let rests = |(g, term): (&f64, &Term)| {
                term.l1 >= g.abs() * (1.0 - 1e-12) || held(*term) == *term || !may_leave(*g, term)
            };
            let is_null = evaluation.gradient.iter().zip(&terms).all(rests);
            let best = is_null.then(|| Visited {
                point: point.clone(),
                loss: evaluation.value,
                gradient: evaluation.gradient.clone(),
                gap,
                target: point.clone(),
            });
            Place { strength, terms, predicted: None, best, other: None, has_misled: false, idle: 0 }
        };
        let places: Vec<Place> = strengths.iter().map(|&strength| place(strength)).collect();
        let last_null = places.iter().take_while(|place| place.best.is_some()).last();
        let strength = last_null.map_or(largest, |place| place.strength);
        let stations = Stations::new(Station { strength, anchor, solution: point, knot });
        let null = evaluation.value;
        Ok(Self { objective, problem, settings, models, stations, places, null, rounds: 0 })
    }

    /// What may be left to gain.
    fn tolerance(&self) -> f64 {
        self.problem.gap_tolerance * self.null
    }

    fn enough(&self) -> f64 {
        1e-2 * self.tolerance()
    }

    // ---- predictions -------------------------------------------------------------------------------------------

    /// Goes from station to station, and predicts the marks between them; all places in turn where the sample is the table.
    fn coarse(&mut self, company: &Company<'_, '_>) -> Result<()> {
        let first = self.first();
        if self.problem.has_all_rows {
            return self.predict_in_turn(first);
        }
        let mut previous = first;
        let (mut has_misled, mut lost) = (false, 0);
        let mut queue = self.far_apart(first);
        queue.reverse();
        while let Some(next) = queue.pop() {
            company.monitor.check()?;
            company.monitor.say(&format!("strength {} of {}", next + 1, self.places.len()));
            let arrival = self.go_to(next, has_misled)?;
            let is_alone = matches!(arrival, Arrival::TooFar { is_lost: true } | Arrival::There { is_alone: true });
            lost += u32::from(is_alone && self.stations.have_knots());
            let gives_up = lost >= MISLED && self.models.sampled.has_sample();
            match arrival {
                Arrival::There { .. } => has_misled = false,
                Arrival::TooFar { is_lost } if next > previous => {
                    has_misled |= is_lost;
                    queue.extend([next, usize::midpoint(previous, next)]);
                    if gives_up {
                        queue = self.without_sample(previous);
                    }
                    continue;
                }
                // There is none nearer.
                Arrival::TooFar { .. } => self.fight_to(next, company)?,
            }
            let enough = self.enough();
            for mark in self.marks(previous, next) {
                let shares = self.stations.around(self.places[mark].strength);
                let anchors: Vec<(f64, &Anchor)> = shares.iter().map(|(share, at)| (*share, &at.anchor)).collect();
                let solutions: Vec<(f64, &[f64])> =
                    shares.iter().map(|(share, at)| (*share, &at.solution[..])).collect();
                let found = predict_between(
                    &mut self.models,
                    &self.stations,
                    &self.places[mark],
                    &anchors,
                    &solutions,
                    enough,
                )?;
                self.places[mark].predicted = Some(found);
                self.places[mark].has_misled = self.models.was_alone;
            }
            previous = next + 1;
            if gives_up {
                queue = self.without_sample(previous);
            }
        }
        Ok(())
    }

    /// Goes on without a sample, which does not see what matters here: places of stations so near as quadratics need them, the last one
    /// first.
    fn without_sample(&mut self, first: usize) -> Vec<usize> {
        self.models.give_up();
        let mut queue = self.far_apart(first);
        queue.reverse();
        queue
    }

    /// The first place where the model is another one than without the penalised columns.
    fn first(&self) -> usize {
        self.places.iter().take_while(|place| place.best.is_some()).count()
    }

    /// Places from `first` on before `end` so far apart as marks are.
    fn marks(&self, first: usize, end: usize) -> Vec<usize> {
        let mut last = if first > 0 { self.places[first - 1].strength } else { self.stations.first().strength };
        let mut marks = Vec::new();
        for place in (first..end).filter(|&place| self.places[place].predicted.is_none()) {
            if last / self.places[place].strength >= MARKS {
                marks.push(place);
                last = self.places[place].strength;
            }
        }
        marks
    }

    /// Ends the path at a mark from which on, from one place to the next, next to nothing is added: by losses of marks that are near
    /// enough for that. What a station has lost says less: its point may lie beyond the minimum. Which place is the last one is seen when
    /// all have been visited.
    fn end_among_marks(&mut self) {
        let near = |(place, at): (usize, &Place)| {
            at.best.as_ref().filter(|best| best.gap <= 0.1 * GAIN * self.null).map(|best| (place, best.loss))
        };
        let marks: Vec<(usize, f64)> = self.places.iter().enumerate().filter_map(near).collect();
        let is_end = |pair: &&[(usize, f64)]| {
            let [(before, loss_before), (place, loss)] = **pair else { return false };
            let gain = (loss_before - loss) / self.null / (place - before) as f64;
            place >= LEAST_COUNT && (1.0 - loss / self.null > EXPLAINED || gain < 0.5 * GAIN * (1.0 - loss / self.null))
        };
        if let Some(pair) = marks.windows(2).find(is_end).filter(|_| self.ends_early()) {
            self.places.truncate(pair[1].0 + 1);
        }
    }

    /// Ends the path where weaker penalties explain next to nothing more; whether it does.
    fn end_early(&mut self) -> bool {
        if !self.ends_early() {
            return false;
        }
        let explained: Vec<f64> = self.places.iter().map_while(|place| Some(1.0 - place.loss()? / self.null)).collect();
        let is_end = |place: &usize| {
            let now = explained[*place];
            now > EXPLAINED || now - explained[place - 1] < GAIN * now
        };
        match (LEAST_COUNT - 1..explained.len()).find(is_end) {
            Some(last) => {
                self.places.truncate(last + 1);
                true
            }
            None => false,
        }
    }

    fn ends_early(&self) -> bool {
        self.problem.ends_early && !matches!(self.problem.strengths, Strengths::Given(_))
    }

    /// Places of the path that are about so far apart as stations may be, from `first` on, the last one among them.
    fn far_apart(&self, first: usize) -> Vec<usize> {
        let Some(last) = self.places.last().filter(|_| first < self.places.len()) else { return Vec::new() };
        let far = FAR[usize::from(!self.models.sampled.has_sample())].ln();
        let begin = self.stations.last().strength.ln();
        let whole = begin - last.strength.ln();
        let count = (whole / far).round().max(1.0);
        // In such units.
        let gone = |place: usize| (begin - self.places[place].strength.ln()) / whole * count;
        let mut next = 1.0;
        let mut places = Vec::new();
        for place in first..self.places.len() {
            // Rounding does not move a mark.
            if place + 1 == self.places.len() || gone(place) >= next - 1e-9 {
                places.push(place);
                next = gone(place).floor() + 1.0;
            }
        }
        places
    }

    /// Takes the Hessian where the model of the last station has the minimum of a place, which becomes a station if it is near enough.
    fn go_to(&mut self, place: usize, has_misled: bool) -> Result<Arrival> {
        let enough = self.enough();
        let at = &self.places[place];
        let last = self.stations.last();
        let knots: Vec<_> = last.knot.iter().map(|knot| (1.0, knot)).collect();
        let share = 2.0 - last.strength / at.strength;
        let search = Search { start: &last.solution, terms: &at.terms, enough, slopes: &last.anchor.gradient, share };
        let found = self.models.minimum(&[(1.0, &last.anchor)], &knots, &search, has_misled)?;
        let is_alone = self.models.was_alone;
        let Some(Predicted { point, .. }) = found else { return Ok(Arrival::TooFar { is_lost: true }) };
        let before = last.anchor.loss + cost_of(&at.terms, &last.anchor.point);
        let need = if last.knot.is_some() { Need::Hessian } else { Need::Gradient };
        let mut evaluation = self.objective.move_to(&point, need)?;
        let hessian = evaluation.hessian.take();
        let gap = match &hessian {
            Some(hessian) => gap_by(&point, &evaluation.gradient, hessian, &at.terms)?.0,
            None => self.gap_by_sample(&point, &evaluation.gradient, place)?.0,
        };
        let at = &self.places[place];
        let cost = evaluation.value + cost_of(&at.terms, &point);
        let is_far = gap > TOO_FAR * self.null || cost > before || !evaluation.is_finite();
        if is_far {
            return Ok(Arrival::TooFar { is_lost: gap.is_nan() || gap > LOST * self.null });
        }
        self.settle(place, point, evaluation, hessian.as_ref())?;
        Ok(Arrival::There { is_alone })
    }

    /// Makes a station of a place that no model leads to: by steps that are held against the rows.
    fn fight_to(&mut self, place: usize, company: &Company<'_, '_>) -> Result<()> {
        let last = self.stations.last().anchor.point.clone();
        let need = if self.stations.have_knots() { Need::Hessian } else { Need::Gradient };
        let start = Start { evaluation: self.objective.move_to(&last, need)?, point: last };
        let net = ElasticNet { terms: self.places[place].terms.clone(), gap: self.tolerance() };
        let sample = self.models.sampled.sample();
        let mut run = Run::new(&mut *self.objective, sample, start, &net, &self.settings.reach.parameters)?;
        let quiet = &mut Company { monitor: company.monitor, history: &mut |_| {}, existence: &mut Certain };
        run.go(self.settings, quiet)?;
        let point = run.here.point;
        let mut evaluation = self.objective.move_to(&point, need)?;
        let hessian = evaluation.hessian.take();
        self.settle(place, point, evaluation, hessian.as_ref())
    }

    /// Makes a station of a place.
    fn settle(
        &mut self,
        place: usize,
        point: Vec<f64>,
        evaluation: Evaluation,
        hessian: Option<&Symmetric>,
    ) -> Result<()> {
        let (at, enough) = (&self.places[place], self.enough());
        let sampled = &mut self.models.sampled;
        let anchor = sampled.anchor(&point, evaluation.value, &evaluation.gradient)?;
        let knot = match hessian {
            Some(hessian) => sampled.knot(&point, hessian)?,
            None => None,
        };
        let knots: Vec<_> = knot.iter().map(|knot| (1.0, knot)).collect();
        let search = Search { start: &point, terms: &at.terms, enough, slopes: &evaluation.gradient, share: EDGE };
        let own = self.models.minimum(&[(1.0, &anchor)], &knots, &search, false)?;
        let own = own.unwrap_or(Predicted { point, loss: evaluation.value, gradient: evaluation.gradient });
        let strength = at.strength;
        self.stations.insert(Station { strength, anchor, solution: own.point.clone(), knot });
        self.places[place].predicted = Some(own);
        Ok(())
    }

    /// Predicts what was not visited, between what was.
    fn predict_rest(&mut self) -> Result<()> {
        let left: Vec<usize> = (0..self.places.len()).filter(|&place| self.places[place].best.is_none()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut strengths = vec![self.stations.first().strength];
        let mut anchors = vec![self.stations.first().anchor.clone()];
        for Place { strength, best, .. } in &self.places[self.first()..] {
            if let Some(Visited { point, loss, gradient, .. }) = best {
                strengths.push(*strength);
                anchors.push(self.models.sampled.anchor(point, *loss, gradient)?);
            }
        }
        let enough = self.enough();
        for place in left {
            let around = shares(&strengths, self.places[place].strength);
            let anchors: Vec<(f64, &Anchor)> = around.iter().map(|&(share, at)| (share, &anchors[at])).collect();
            let points: Vec<(f64, &[f64])> =
                anchors.iter().map(|(share, anchor)| (*share, &anchor.point[..])).collect();
            let found =
                predict_between(&mut self.models, &self.stations, &self.places[place], &anchors, &points, enough)?;
            self.places[place].predicted = Some(found);
            self.places[place].has_misled = self.models.was_alone;
        }
        Ok(())
    }

    /// Predicts place after place, where the sample is the table.
    fn predict_in_turn(&mut self, first: usize) -> Result<()> {
        let Station { strength, anchor, .. } = self.stations.first();
        let mut before =
            Predicted { point: anchor.point.clone(), loss: anchor.loss, gradient: anchor.gradient.clone() };
        let mut strength_before = *strength;
        for place in first..self.places.len() {
            let Place { strength, terms, .. } = &self.places[place];
            let (slopes, share) = (&before.gradient, 2.0 - strength_before / strength);
            let search = Search { start: &before.point, terms, enough: self.enough(), slopes, share };
            strength_before = *strength;
            if let Some(found) = self.models.minimum(&[(1.0, &self.stations.first().anchor)], &[], &search, false)? {
                before = found;
            }
            self.places[place].predicted = Some(before.clone());
            let all = self.places.split_off(place + 1);
            if self.end_early() {
                break;
            }
            self.places.extend(all);
        }
        Ok(())
    }

    // ---- visits ------------------------------------------------------------------------------------------------

    /// Evaluates at what is predicted, in one visit of the rows.
    fn visit(&mut self, company: &Company<'_, '_>) -> Result<()> {
        company.monitor.check()?;
        let is_next = |place: &Place| place.best.is_none() && place.predicted.is_some();
        let next: Vec<usize> = (0..self.places.len()).filter(|&place| is_next(&self.places[place])).collect();
        let point = |&place: &usize| self.places[place].predicted.as_ref().map(|predicted| predicted.point.clone());
        let points: Vec<Vec<f64>> = next.iter().filter_map(point).collect();
        let visited = self.visited(points)?;
        self.arrive(&next, visited)
    }

    /// Stands at points of places that nobody visited before.
    fn arrive(&mut self, places: &[usize], visited: Vec<Visited>) -> Result<()> {
        for (&place, visited) in places.iter().zip(visited) {
            self.places[place].best = Some(visited);
        }
        // Neighbours tell of the curvature.
        for &place in places {
            let Some(mut best) = self.places[place].best.take() else { continue };
            self.measure(place, &mut best)?;
            self.places[place].has_misled |= best.gap > POOR * self.null;
            self.places[place].best = Some(best);
        }
        Ok(())
    }

    /// Evaluates at marks, then at what lies between them and again at marks that are not near enough.
    fn visit_all(&mut self, company: &Company<'_, '_>) -> Result<()> {
        self.visit(company)?;
        self.end_among_marks();
        self.predict_rest()?;
        self.repair(company, true)?;
        Ok(())
    }

    /// Evaluates at points; what is left to gain there is another question.
    fn visited(&mut self, points: Vec<Vec<f64>>) -> Result<Vec<Visited>> {
        if points.is_empty() {
            return Ok(Vec::new());
        }
        let evaluations = self.objective.evaluate_all(&points)?;
        let visited = |(point, Evaluation { value: loss, gradient, .. }): (Vec<f64>, Evaluation)| Visited {
            target: point.clone(),
            point,
            loss,
            gradient,
            gap: f64::INFINITY,
        };
        Ok(points.into_iter().zip(evaluations).map(visited).collect())
    }

    /// Sees what is left to gain at a point for a place, and where.
    fn measure(&mut self, place: usize, visited: &mut Visited) -> Result<()> {
        let (gap, target) = self.gap(place, visited)?;
        // No cost is below 0, whatever a quadratic model says from far away.
        let cost = visited.loss + cost_of(&self.places[place].terms, &visited.point);
        (visited.gap, visited.target) = (gap.min(cost), target);
        Ok(())
    }

    /// Goes on with what is not near enough, and visits what is predicted beside it; whether there was something.
    fn repair(&mut self, company: &Company<'_, '_>, is_first: bool) -> Result<bool> {
        let tolerance = self.tolerance();
        let goes_on = |place: &Place| place.idle < IDLE && place.best.as_ref().is_some_and(|best| best.gap > tolerance);
        let left: Vec<usize> = (0..self.places.len()).filter(|&place| goes_on(&self.places[place])).collect();
        let new: Vec<usize> = (0..self.places.len()).filter(|&place| self.places[place].best.is_none()).collect();
        if left.is_empty() && new.is_empty() || self.rounds == ROUNDS {
            return Ok(false);
        }
        self.rounds += u64::from(!is_first);
        company.monitor.check()?;
        company.monitor.say(&format!("{} of {} strengths to go", left.len() + new.len(), self.places.len()));
        if !left.is_empty() {
            self.add_stations(&left)?;
        }
        let mut points = Vec::with_capacity(left.len() + new.len());
        for &place in &left {
            points.push(self.corrected(place)?);
        }
        let predicted = |&place: &usize| self.places[place].predicted.as_ref().map(|predicted| predicted.point.clone());
        points.extend(new.iter().filter_map(predicted));
        let mut visited = self.visited(points)?;
        let of_new = visited.split_off(left.len());
        self.arrive(&new, of_new)?;
        for (&place, mut next) in left.iter().zip(visited) {
            self.measure(place, &mut next)?;
            self.places[place].take(next, tolerance);
        }
        self.compare()?;
        Ok(true)
    }

    /// Where the minimum at a place is by the gradient that was found near it.
    fn corrected(&mut self, place: usize) -> Result<Vec<f64>> {
        let enough = self.enough();
        let Place { strength, terms, best: Some(best), has_misled, .. } = &self.places[place] else {
            return Err(Error::internal("a place that nobody visited"));
        };
        let anchor = self.models.sampled.anchor(&best.point, best.loss, &best.gradient)?;
        let knots = self.stations.shares(*strength);
        let search = Search { start: &best.point, terms, enough, slopes: &best.gradient, share: EDGE };
        let knots = self.stations.knots(&knots);
        let found = if *has_misled && self.stations.have_knots() {
            self.models.bent_minimum(&anchor, &knots, &self.seen_around(place, best), &search)?
        } else {
            self.models.minimum(&[(1.0, &anchor)], &knots, &search, false)?
        };
        Ok(found.map_or_else(|| best.target.clone(), |found| found.point))
    }

    /// Steps from a point of a place to those of its neighbours and to others of its own, with the changes of the gradient along them.
    fn seen_around(&self, place: usize, from: &Visited) -> Vec<Pair> {
        let near = [place.wrapping_sub(1), place + 1].into_iter().filter_map(|at| self.places.get(at)?.best.as_ref());
        let own = [&self.places[place].other, &self.places[place].best];
        let near = near.chain(own.into_iter().flatten()).map(|other| (&other.point, &other.gradient));
        let station = self.stations.at(self.places[place].strength);
        let others = near.chain(station.map(|station| (&station.anchor.point, &station.anchor.gradient)));
        let others = others.filter(|(point, _)| **point != from.point);
        others.map(|(point, gradient)| (way(&from.point, point), way(&from.gradient, gradient))).collect()
    }

    /// Takes the Hessian where the model is poor, at the worst of them.
    fn add_stations(&mut self, left: &[usize]) -> Result<()> {
        if !self.stations.have_knots() {
            return Ok(());
        }
        let gap = |place: usize| self.places[place].best.as_ref().map_or(0.0, |best| best.gap);
        let mut poor: Vec<usize> = left.iter().copied().filter(|&place| self.places[place].has_misled).collect();
        poor.sort_by(|&a, &b| gap(b).total_cmp(&gap(a)).then(a.cmp(&b)));
        let mut added = 0;
        for place in poor {
            let Place { strength, best: Some(best), .. } = &self.places[place] else { continue };
            if added == ADDED || self.stations.has_near(*strength, APART) {
                continue;
            }
            let Some(hessian) = self.objective.move_to(&best.point, Need::Hessian)?.hessian else { continue };
            let sampled = &mut self.models.sampled;
            let Some(knot) = sampled.knot(&best.point, &hessian)? else { continue };
            let anchor = sampled.anchor(&best.point, best.loss, &best.gradient)?;
            let (strength, solution) = (*strength, best.point.clone());
            self.stations.insert(Station { strength, anchor, solution, knot: Some(knot) });
            added += 1;
        }
        Ok(())
    }

    /// Where a neighbour's point costs less at a place than its own, by more than is left to gain there, it takes that.
    fn compare(&mut self) -> Result<()> {
        let unsure = if self.settings.is_f32() { 1e-6 } else { 1e-12 };
        for place in 0..self.places.len() {
            let Place { terms, best: Some(own), .. } = &self.places[place] else { continue };
            let cost = |visited: &Visited| visited.loss + cost_of(terms, &visited.point);
            let beside = [place.wrapping_sub(1), place + 1].into_iter();
            let beside = beside.filter_map(|other| self.places.get(other)?.best.as_ref());
            let Some(better) = beside.min_by(|a, b| cost(a).total_cmp(&cost(b))) else { continue };
            if cost(own) - cost(better) - unsure * cost(own) <= own.gap {
                continue;
            }
            let mut better = better.clone();
            self.measure(place, &mut better)?;
            self.places[place].other = self.places[place].best.replace(better);
        }
        Ok(())
    }

    /// What is left to gain at a place of the path, and where.
    fn gap(&mut self, place: usize, visited: &Visited) -> Result<(f64, Vec<f64>)> {
        let Visited { point, gradient, .. } = visited;
        if !self.stations.have_knots() {
            return self.gap_by_sample(point, gradient, place);
        }
        let Place { strength, terms, .. } = &self.places[place];
        let set = working_set(point, gradient, terms, EDGE)?;
        let mut hessian = Symmetric::zero(set.len());
        let knots = self.stations.knots(&self.stations.shares(*strength));
        hessian.add_parts(&hessian_of(&knots), &set);
        // Curvatures that fell along a step fall on.
        let bend = bend(&knots, &self.seen_around(place, visited), point.len(), true);
        hessian.add_parts(&[(1.0, &bend)], &set);
        let (gap, target) = self.checked(gap_of_set(point, gradient, &hessian, &set, terms));
        Ok((DOUBT * gap, target))
    }

    fn gap_by_sample(&mut self, point: &[f64], gradient: &[f64], place: usize) -> Result<(f64, Vec<f64>)> {
        let terms = &self.places[place].terms;
        let set = working_set(point, gradient, terms, EDGE)?;
        let hessian = self.models.sampled.hessian(point, &set)?.ok_or_else(without_hessian)?;
        Ok(self.checked(gap_of_set(point, gradient, &hessian, &set, &self.places[place].terms)))
    }

    /// What others should leave 0 is more to gain.
    fn checked(&self, (gap, target, is_whole): (f64, Vec<f64>, bool)) -> (f64, Vec<f64>) {
        (if is_whole { gap } else { gap + 2.0 * self.tolerance() }, target)
    }

    // ---- the end -----------------------------------------------------------------------------------------------

    /// Fits what the visits did not bring near enough by itself.
    fn finish(mut self, company: &Company<'_, '_>) -> Result<PathOutcome> {
        for place in 0..self.places.len() {
            // What sums in f32 do not tell at one strength they do not tell at the next.
            if self.fit(place, company)? == Status::F32Limit {
                break;
            }
        }
        self.end_early();
        let point = |place: Place| {
            let Visited { point, loss, gap, .. } = place.best?;
            Some(PathPoint { strength: place.strength, parameters: point, loss, gap })
        };
        Ok(PathOutcome { points: self.places.into_iter().filter_map(point).collect(), null: self.null })
    }

    /// The point that costs least at a place: its own, that of a neighbour, or that of the model without penalised columns.
    fn cheapest(&self, place: usize) -> Vec<f64> {
        let terms = &self.places[place].terms;
        let around = [place, place.wrapping_sub(1), place + 1].into_iter();
        let visited = around.filter_map(|at| self.places.get(at)?.best.as_ref()).map(|at| (at.loss, &at.point));
        let first = &self.stations.first().anchor;
        let cost = |(loss, point): &(f64, &Vec<f64>)| loss + cost_of(terms, point);
        let cheapest = visited.chain([(first.loss, &first.point)]).min_by(|a, b| cost(a).total_cmp(&cost(b)));
        cheapest.map_or_else(|| first.point.clone(), |(_, point)| point.clone())
    }

    fn fit(&mut self, place: usize, company: &Company<'_, '_>) -> Result<Status> {
        let gap = self.tolerance();
        let from = self.cheapest(place);
        let Place { terms, best: Some(best), .. } = &mut self.places[place] else { return Ok(Status::Stalled) };
        if best.gap <= gap {
            return Ok(Status::Converged);
        }
        let need = if self.stations.have_knots() { Need::Hessian } else { Need::Gradient };
        let start = Start { evaluation: self.objective.move_to(&from, need)?, point: from };
        let net = ElasticNet { terms: terms.clone(), gap };
        let sample = self.models.sampled.sample();
        let mut run = Run::new(&mut *self.objective, sample, start, &net, &self.settings.reach.parameters)?;
        let quiet = &mut Company { monitor: company.monitor, history: &mut |_| {}, existence: &mut Certain };
        let status = run.go(self.settings, quiet)?;
        let Run { here, .. } = run;
        let Evaluation { value, gradient, .. } = here.evaluation;
        *best = Visited { point: here.point, loss: value, gradient, gap: here.gap, target: here.target };
        Ok(status)
    }
}

impl Place {
    /// The loss there, as far as it is known.
    fn loss(&self) -> Option<f64> {
        let visited = self.best.as_ref().map(|best| best.loss);
        visited.or_else(|| self.predicted.as_ref().map(|predicted| predicted.loss))
    }

    /// Goes to a point if it is better there.
    fn take(&mut self, next: Visited, tolerance: f64) {
        let Some(best) = &self.best else { return };
        let cost = |visited: &Visited| visited.loss + cost_of(&self.terms, &visited.point);
        let is_near = best.gap <= NEAR * cost(best);
        let is_better = cost(&next) <= cost(best) || is_near && next.gap <= 0.5 * best.gap;
        self.has_misled |= next.gap > STALLED * best.gap && next.gap > tolerance;
        self.idle = if is_better && next.gap <= 0.5 * best.gap { 0 } else { self.idle + 1 };
        self.other = if is_better { self.best.replace(next) } else { Some(next) };
    }
}

/// What is left to gain by a Hessian of all parameters, and where.
fn gap_by(point: &[f64], gradient: &[f64], hessian: &Symmetric, terms: &[Term]) -> Result<(f64, Vec<f64>)> {
    let set = working_set(point, gradient, terms, EDGE)?;
    let (gap, target, _) = gap_of_set(point, gradient, &hessian.restricted(&set), &set, terms);
    Ok((gap, target))
}

/// The minimum at a place between anchors that have minima of their own.
fn predict_between(
    models: &mut Models<'_>,
    stations: &Stations,
    place: &Place,
    anchors: &[(f64, &Anchor)],
    minima: &[(f64, &[f64])],
    enough: f64,
) -> Result<Predicted> {
    let Place { strength, terms, .. } = place;
    let start = blended(minima);
    let slopes = blended(&anchors.iter().map(|(share, anchor)| (*share, &anchor.gradient[..])).collect::<Vec<_>>());
    let knots = stations.shares(*strength);
    let search = Search { start: &start, terms, enough, slopes: &slopes, share: NEIGHBOURS };
    let found = models.minimum(anchors, &stations.knots(&knots), &search, false)?;
    // What lies between is as good as anything.
    let loss = anchors.iter().map(|(share, anchor)| share * anchor.loss).sum();
    Ok(found.unwrap_or_else(|| Predicted { point: start.clone(), loss, gradient: slopes.clone() }))
}
