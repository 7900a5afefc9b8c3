//! A path: the minima with an elastic net at many strengths, in few passes over the rows.
//!
//! The Hessian of all rows is taken at a few strengths far apart, the *stations*. Between two of them a model of the loss that is
//! right at both (`surrogate`) has the other minima; one pass evaluates at all of them, and what is not near enough is looked for
//! again with the gradient that it has. Where the sample is the table, the model is the loss, and there are no stations.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Need, Objective, Passes};
use crate::penalty::{Term, cost_of};
use crate::solve::elastic_net::certificate::gap_of_set;
use crate::solve::elastic_net::surrogate::{Anchor, Knot, Predicted, Search, Surrogate, working_set};
use crate::solve::elastic_net::{EDGE, ENOUGH, ElasticNet, IDLE, NEAR, Run, without_hessian};
use crate::solve::{Certain, Company, Settings, Start, Status};

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
    /// The gradient of the loss.
    pub gradient: Vec<f64>,
}

/// A path that was gone.
#[derive(Clone, Debug)]
pub struct PathOutcome {
    /// By descending strengths.
    pub points: Vec<PathPoint>,
    /// The mean loss without the penalised columns.
    pub null: f64,
    /// The worst of all.
    pub status: Status,
    /// Visits of the rows that went on with what was left.
    pub rounds: u64,
    /// What it has cost.
    pub passes: Passes,
}

/// The factor between the strengths of stations: with a sample, and without one.
const FAR: [f64; 2] = [20.0, 2.1];

/// A gap, a share of the null loss, from which on a station is too far.
const TOO_FAR: f64 = 5e-3;

/// Visits that go on with what is left at most.
const ROUNDS: u64 = 8;

/// Gaps after a first visit, shares of the null loss, and what a further visit leaves of them, from which on the curvature is no good.
const POOR: f64 = 1e-4;
const STALLED: f64 = 0.1;

/// Stations that are added in a round at most.
const ADDED: usize = 2;

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
    let strengths = strengths_of(problem, &null, settings);
    let mut walk = Walk::new(objective, sample, problem, settings, strengths, null)?;
    company.monitor.begin("the path", None);
    walk.coarse(company)?;
    walk.visit(company)?;
    while walk.repair(company)? {}
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
        gap: problem.gap_tolerance * start.evaluation.value,
    };
    let sample = sample.map(|sample| sample as &mut dyn Objective);
    let mut run = Run::new(&mut *objective, sample, start, &net, &settings.reach.parameters)?;
    let quiet = &mut Company { monitor: company.monitor, history: &mut |_| {}, existence: &mut Certain };
    run.go(settings, quiet)?;
    let Run { here, iterations, .. } = run;
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
fn strengths_of(problem: &PathProblem<'_>, null: &Null, settings: &Settings) -> Vec<f64> {
    match problem.strengths {
        Strengths::Given(strengths) => strengths.clone(),
        &Strengths::Grid { count, ratio } => {
            let largest = largest_strength(problem, &null.evaluation.gradient);
            let is_tall = settings.count > null.point.len() as f64;
            let ratio = ratio.unwrap_or(if is_tall { RATIOS[0] } else { RATIOS[1] });
            let step = if count > 1 { ratio.ln() / (count - 1) as f64 } else { 0.0 };
            (0..count).map(|place| largest * (step * place as f64).exp()).collect()
        }
    }
}

/// The least strength at which no penalised parameter leaves 0, by the gradient without them.
fn largest_strength(problem: &PathProblem<'_>, gradient: &[f64]) -> f64 {
    let of = |(&slope, term): (&f64, &Term)| {
        // Bounds may forbid the way down.
        let may_leave = if slope < 0.0 { term.high > 0.0 } else { term.low < 0.0 };
        if may_leave && term.l1 > 0.0 && term.l1.is_finite() { slope.abs() / term.l1 } else { 0.0 }
    };
    let steepest = gradient.iter().zip(&(problem.terms)([1.0, 0.0])).map(of).fold(0.0, f64::max);
    steepest / problem.alpha.max(LEAST_ALPHA)
}

/// A strength where all is known.
struct Station {
    strength: f64,
    anchor: Anchor,
    /// Where the minimum is, by the model around it.
    solution: Vec<f64>,
    knot: Option<Knot>,
}

/// A strength of the path.
struct Place {
    strength: f64,
    terms: Vec<Term>,
    /// Where the minimum is by the model, before it is visited.
    predicted: Option<Predicted>,
    /// The best point that was visited.
    best: Option<Visited>,
    /// Whether the sample has misled here.
    is_misled: bool,
    /// Visits since the gap was halved.
    idle: u32,
}

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
    surrogate: Surrogate<'o>,
    /// The same without the sample.
    quadratic: Surrogate<'o>,
    stations: Vec<Station>,
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
        strengths: Vec<f64>,
        null: Null,
    ) -> Result<Self> {
        let reach = &settings.reach.parameters;
        let mut surrogate = Surrogate::new(sample, reach);
        let Null { point, evaluation, gap } = null;
        let anchor = surrogate.anchor(&point, evaluation.value, &evaluation.gradient)?;
        let knot = match &evaluation.hessian {
            Some(hessian) if !problem.has_all_rows => surrogate.knot(&point, hessian)?,
            _ => None,
        };
        let largest = largest_strength(problem, &evaluation.gradient);
        let place = |strength: f64| {
            let terms = (problem.terms)([strength * problem.alpha, strength * (1.0 - problem.alpha)]);
            // Nothing leaves 0 there.
            let rests = |(g, term): (&f64, &Term)| term.l1 >= g.abs() * (1.0 - 1e-12) || held(*term) == *term;
            let is_null = evaluation.gradient.iter().zip(&terms).all(rests);
            let best = is_null.then(|| Visited {
                point: point.clone(),
                loss: evaluation.value,
                gradient: evaluation.gradient.clone(),
                gap,
                target: point.clone(),
            });
            Place { strength, terms, predicted: None, best, is_misled: false, idle: 0 }
        };
        let places: Vec<Place> = strengths.iter().map(|&strength| place(strength)).collect();
        let last_null = places.iter().take_while(|place| place.best.is_some()).last();
        let strength = last_null.map_or(largest, |place| place.strength);
        let stations = vec![Station { strength, anchor, solution: point, knot }];
        let quadratic = Surrogate::new(None, reach);
        Ok(Self {
            objective,
            problem,
            settings,
            surrogate,
            quadratic,
            stations,
            places,
            null: evaluation.value,
            rounds: 0,
        })
    }

    /// What may be left to gain.
    fn tolerance(&self) -> f64 {
        self.problem.gap_tolerance * self.null
    }

    fn enough(&self) -> f64 {
        ENOUGH.min(1e-3 * self.tolerance())
    }

    // ---- predictions -------------------------------------------------------------------------------------------

    /// Goes from station to station, and predicts what lies between them.
    fn coarse(&mut self, company: &Company<'_, '_>) -> Result<()> {
        let first = self.places.iter().take_while(|place| place.best.is_some()).count();
        if self.problem.has_all_rows {
            return self.predict_in_turn(first);
        }
        let mut previous = first;
        let mut queue = self.far_apart(first);
        queue.reverse();
        while let Some(next) = queue.pop() {
            company.monitor.check()?;
            company.monitor.say(&format!("strength {} of {}", next + 1, self.places.len()));
            if !self.go_to(next, next > previous)? {
                queue.extend([next, usize::midpoint(previous, next)]);
                continue;
            }
            self.predict_between(previous, next)?;
            if self.end_early(next + 1) {
                return Ok(());
            }
            previous = next + 1;
        }
        Ok(())
    }

    /// Ends the path among its first places, up to `end`, where weaker penalties explain next to nothing more; whether it does.
    fn end_early(&mut self, end: usize) -> bool {
        if !self.problem.ends_early || matches!(self.problem.strengths, Strengths::Given(_)) {
            return false;
        }
        let explained = |place: &Place| {
            let visited = place.best.as_ref().map(|best| best.loss);
            visited
                .or_else(|| place.predicted.as_ref().map(|predicted| predicted.loss))
                .map(|loss| 1.0 - loss / self.null)
        };
        let explained: Vec<f64> = self.places[..end].iter().map_while(explained).collect();
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

    /// Places of the path that are about so far apart as stations may be, from `first` on, the last one among them.
    fn far_apart(&self, first: usize) -> Vec<usize> {
        let Some(last) = self.places.last().filter(|_| first < self.places.len()) else { return Vec::new() };
        let far = FAR[usize::from(!self.surrogate.has_sample())].ln();
        let begin = self.stations[0].strength.ln();
        let whole = begin - last.strength.ln();
        let count = (whole / far).round().max(1.0);
        let mut places: Vec<usize> = Vec::new();
        for (place, at) in self.places.iter().enumerate().skip(first) {
            let gone = begin - at.strength.ln();
            // The last strength before a mark, or on it.
            let mark = (gone / whole * count + 1e-9).floor();
            let before = (begin - self.places[place.max(1) - 1].strength.ln()) / whole * count + 1e-9;
            if place + 1 == self.places.len() || mark > before.floor() && mark >= 1.0 {
                places.push(place);
            }
        }
        places
    }

    /// Takes the Hessian where the model of the last station has the minimum of a place, which becomes a station; whether it is near
    /// enough, or there is none nearer.
    fn go_to(&mut self, place: usize, may_be_nearer: bool) -> Result<bool> {
        let last = self.stations.len() - 1;
        let Station { strength, anchor, solution, knot } = &self.stations[last];
        let Place { terms, .. } = &self.places[place];
        let share = 2.0 - strength / self.places[place].strength;
        let enough = ENOUGH.min(1e-3 * self.problem.gap_tolerance * self.null);
        let search = Search { start: solution, terms, enough, slopes: &anchor.gradient, share };
        let found = predict(&mut self.surrogate, &mut self.quadratic, &[(1.0, anchor)], knot.as_ref(), &search, false)?;
        let Some(Predicted { point, .. }) = found else {
            if may_be_nearer {
                return Ok(false);
            }
            // Nothing leads there: the last station leads on.
            return Ok(true);
        };
        let has_knots = knot.is_some();
        let before = anchor.loss + cost_of(terms, &anchor.point);
        let mut evaluation = self.objective.move_to(&point, if has_knots { Need::Hessian } else { Need::Gradient })?;
        let hessian = evaluation.hessian.take();
        let gap = match &hessian {
            Some(hessian) => gap_by(&point, &evaluation.gradient, hessian, terms)?.0,
            None => self.gap_by_sample(&point, &evaluation.gradient, place)?.0,
        };
        let cost = evaluation.value + cost_of(&self.places[place].terms, &point);
        let is_far = gap > TOO_FAR * self.null || cost > before || !evaluation.is_finite();
        if is_far && may_be_nearer {
            return Ok(false);
        }
        let anchor = self.surrogate.anchor(&point, evaluation.value, &evaluation.gradient)?;
        let knot = match &hessian {
            Some(hessian) => self.surrogate.knot(&point, hessian)?,
            None => None,
        };
        let terms = &self.places[place].terms;
        let search = Search { start: &point, terms, enough, slopes: &evaluation.gradient, share: EDGE };
        let own = predict(&mut self.surrogate, &mut self.quadratic, &[(1.0, &anchor)], knot.as_ref(), &search, false)?;
        let own = own.unwrap_or(Predicted { point, loss: evaluation.value, gradient: evaluation.gradient });
        let solution = own.point.clone();
        self.places[place].predicted = Some(own);
        self.stations.push(Station { strength: self.places[place].strength, anchor, solution, knot });
        Ok(true)
    }

    /// Predicts the places from `first` on up to the last station, `end`, by both stations around them.
    fn predict_between(&mut self, first: usize, end: usize) -> Result<()> {
        for place in (first..end).filter(|&place| self.places[place].predicted.is_none()).collect::<Vec<_>>() {
            let around = self.shares(self.places[place].strength);
            let knot = self.knot(&around);
            let Place { strength, terms, .. } = &self.places[place];
            let stations: Vec<(f64, &Station)> =
                around.iter().map(|&(share, at)| (share, &self.stations[at])).collect();
            let mut start = vec![0.0; terms.len()];
            let mut slopes = start.clone();
            for (share, station) in &stations {
                start.iter_mut().zip(&station.solution).for_each(|(x, of)| *x += share * of);
                slopes.iter_mut().zip(&station.anchor.gradient).for_each(|(x, of)| *x += share * of);
            }
            let anchors: Vec<(f64, &Anchor)> =
                stations.iter().map(|(share, station)| (*share, &station.anchor)).collect();
            let share = 2.0 - stations[0].1.strength / strength;
            let search = Search { start: &start, terms, enough: self.enough(), slopes: &slopes, share };
            let found = predict(&mut self.surrogate, &mut self.quadratic, &anchors, knot.as_ref(), &search, false)?;
            // What lies between is as good as anything.
            let loss = anchors.iter().map(|(share, anchor)| share * anchor.loss).sum();
            self.places[place].predicted = Some(found.unwrap_or(Predicted { point: start, loss, gradient: slopes }));
        }
        Ok(())
    }

    /// Predicts place after place, where the sample is the table.
    fn predict_in_turn(&mut self, first: usize) -> Result<()> {
        let Station { strength, anchor, .. } = &self.stations[0];
        let mut before =
            Predicted { point: anchor.point.clone(), loss: anchor.loss, gradient: anchor.gradient.clone() };
        let mut strength_before = *strength;
        for place in first..self.places.len() {
            let Place { strength, terms, .. } = &self.places[place];
            let (slopes, share) = (&before.gradient, 2.0 - strength_before / strength);
            let search = Search { start: &before.point, terms, enough: self.enough(), slopes, share };
            let anchors = [(1.0, &self.stations[0].anchor)];
            let found = predict(&mut self.surrogate, &mut self.quadratic, &anchors, None, &search, false)?;
            strength_before = *strength;
            if let Some(found) = found {
                before = found;
            }
            self.places[place].predicted = Some(before.clone());
            if self.end_early(place + 1) {
                break;
            }
        }
        Ok(())
    }

    /// The stations around a strength with their shares, by its logarithm.
    fn shares(&self, strength: f64) -> Vec<(f64, usize)> {
        let after = self.stations.partition_point(|station| station.strength > strength);
        let is_there = self.stations.get(after).is_some_and(|station| station.strength == strength);
        if is_there || after == self.stations.len() || after == 0 {
            return vec![(1.0, after.min(self.stations.len() - 1))];
        }
        let [before, next] = [after - 1, after].map(|at| self.stations[at].strength);
        let share = (before / strength).ln() / (before / next).ln();
        vec![(1.0 - share, after - 1), (share, after)]
    }

    /// The knot that lies at a strength between those of the stations.
    fn knot(&self, shares: &[(f64, usize)]) -> Option<Knot> {
        match *shares {
            [(_, at)] => self.stations[at].knot.clone(),
            [(_, before), (share, next)] => {
                Some(self.stations[before].knot.as_ref()?.between(self.stations[next].knot.as_ref()?, share))
            }
            _ => None,
        }
    }

    // ---- visits ------------------------------------------------------------------------------------------------

    /// Evaluates at what is predicted, in one visit of the rows.
    fn visit(&mut self, company: &Company<'_, '_>) -> Result<()> {
        company.monitor.check()?;
        let left: Vec<usize> = (0..self.places.len()).filter(|&place| self.places[place].best.is_none()).collect();
        let point = |&place: &usize| {
            let predicted = self.places[place].predicted.as_ref().map(|predicted| predicted.point.clone());
            // Where no station leads it begins at the last one.
            predicted.unwrap_or_else(|| self.stations[self.stations.len() - 1].solution.clone())
        };
        let points: Vec<Vec<f64>> = left.iter().map(point).collect();
        for (&place, visited) in left.iter().zip(self.visited(&left, points)?) {
            self.places[place].is_misled = visited.gap > POOR * self.null;
            self.places[place].best = Some(visited);
        }
        self.compare();
        let end = self.places.len();
        self.end_early(end);
        Ok(())
    }

    fn visited(&mut self, places: &[usize], points: Vec<Vec<f64>>) -> Result<Vec<Visited>> {
        if points.is_empty() {
            return Ok(Vec::new());
        }
        let evaluations = self.objective.evaluate_all(&points)?;
        let visited = places.iter().zip(points.into_iter().zip(evaluations)).map(|(&place, (point, evaluation))| {
            let Evaluation { value: loss, gradient, .. } = evaluation;
            let (gap, target) = self.gap(place, &point, &gradient)?;
            // No cost is below 0, whatever a quadratic model says from far away.
            let gap = gap.min(loss + cost_of(&self.places[place].terms, &point));
            Ok(Visited { point, loss, gradient, gap, target })
        });
        visited.collect()
    }

    /// Goes on with what is not near enough; whether there was something.
    fn repair(&mut self, company: &Company<'_, '_>) -> Result<bool> {
        let tolerance = self.tolerance();
        let goes_on = |place: &Place| place.idle < IDLE && place.best.as_ref().is_some_and(|best| best.gap > tolerance);
        let left: Vec<usize> = (0..self.places.len()).filter(|&place| goes_on(&self.places[place])).collect();
        if left.is_empty() || self.rounds == ROUNDS {
            return Ok(false);
        }
        self.rounds += 1;
        company.monitor.check()?;
        company.monitor.say(&format!("{} of {} strengths to go", left.len(), self.places.len()));
        self.add_stations(&left)?;
        let mut points = Vec::with_capacity(left.len());
        for &place in &left {
            let knot = self.knot(&self.shares(self.places[place].strength));
            let enough = self.enough();
            let Place { terms, best, is_misled, .. } = &self.places[place];
            let Some(best) = best else { continue };
            let anchor = self.surrogate.anchor(&best.point, best.loss, &best.gradient)?;
            let search = Search { start: &best.point, terms, enough, slopes: &best.gradient, share: EDGE };
            let anchors = [(1.0, &anchor)];
            let found =
                predict(&mut self.surrogate, &mut self.quadratic, &anchors, knot.as_ref(), &search, *is_misled)?;
            points.push(found.map_or_else(|| best.target.clone(), |found| found.point));
        }
        for (&place, next) in left.iter().zip(self.visited(&left, points)?) {
            self.places[place].take(next, tolerance);
        }
        self.compare();
        Ok(true)
    }

    /// Takes the Hessian where the model is poor, at the worst of them.
    fn add_stations(&mut self, left: &[usize]) -> Result<()> {
        if self.stations[0].knot.is_none() {
            return Ok(());
        }
        let gap = |place: usize| self.places[place].best.as_ref().map_or(0.0, |best| best.gap);
        let mut poor: Vec<usize> = left.iter().copied().filter(|&place| self.places[place].is_misled).collect();
        poor.sort_by(|&a, &b| gap(b).total_cmp(&gap(a)).then(a.cmp(&b)));
        let mut added = 0;
        for place in poor {
            let Place { strength, best: Some(best), .. } = &self.places[place] else { continue };
            // Not beside another one.
            let first = place.saturating_sub(1);
            let beside = &self.places[first..(place + 2).min(self.places.len())];
            let is_near = |station: &Station| beside.iter().any(|place| place.strength == station.strength);
            if added == ADDED || self.stations.iter().any(is_near) {
                continue;
            }
            let Some(hessian) = self.objective.move_to(&best.point, Need::Hessian)?.hessian else { continue };
            let Some(knot) = self.surrogate.knot(&best.point, &hessian)? else { continue };
            let anchor = self.surrogate.anchor(&best.point, best.loss, &best.gradient)?;
            let station = Station { strength: *strength, anchor, solution: best.point.clone(), knot: Some(knot) };
            let at = self.stations.partition_point(|other| other.strength > station.strength);
            self.stations.insert(at, station);
            added += 1;
        }
        Ok(())
    }

    /// What is gained where a neighbour is better at a strength than what was found for it is more than the curvature says.
    fn compare(&mut self) {
        let unsure = if self.settings.is_f32() { 1e-6 } else { 1e-12 };
        for place in 0..self.places.len() {
            let Place { terms, best: Some(own), .. } = &self.places[place] else { continue };
            let cost = |visited: &Visited| visited.loss + cost_of(terms, &visited.point);
            let beside = [place.wrapping_sub(1), place + 1]
                .into_iter()
                .filter_map(|other| self.places.get(other)?.best.as_ref());
            let better = beside.map(cost).fold(f64::INFINITY, f64::min);
            let gained = cost(own) - better - unsure * cost(own);
            if gained > own.gap
                && let Some(own) = &mut self.places[place].best
            {
                own.gap = gained;
            }
        }
    }

    /// What is left to gain at a place of the path, and where.
    fn gap(&mut self, place: usize, point: &[f64], gradient: &[f64]) -> Result<(f64, Vec<f64>)> {
        if self.stations[0].knot.is_none() {
            return self.gap_by_sample(point, gradient, place);
        }
        let Place { strength, terms, .. } = &self.places[place];
        let around = self.shares(*strength);
        let set = working_set(point, gradient, terms, EDGE)?;
        let mut hessian = Symmetric::zero(set.len());
        for (share, at) in around {
            let Some(knot) = &self.stations[at].knot else { continue };
            let mut own = knot.hessian.restricted(&set);
            own.scale(share);
            hessian.add(&own);
        }
        Ok(self.checked(gap_of_set(point, gradient, &hessian, &set, terms)))
    }

    fn gap_by_sample(&mut self, point: &[f64], gradient: &[f64], place: usize) -> Result<(f64, Vec<f64>)> {
        let terms = &self.places[place].terms;
        let set = working_set(point, gradient, terms, EDGE)?;
        let hessian = self.surrogate.hessian(point, &set)?.ok_or_else(without_hessian)?;
        Ok(self.checked(gap_of_set(point, gradient, &hessian, &set, &self.places[place].terms)))
    }

    /// What others should leave 0 is more to gain.
    fn checked(&self, (gap, target, is_whole): (f64, Vec<f64>, bool)) -> (f64, Vec<f64>) {
        (if is_whole { gap } else { gap + 2.0 * self.tolerance() }, target)
    }

    // ---- the end -----------------------------------------------------------------------------------------------

    /// Fits what the visits did not bring near enough by itself.
    fn finish(mut self, company: &Company<'_, '_>) -> Result<PathOutcome> {
        let mut status = Status::Converged;
        for place in 0..self.places.len() {
            let of_place = self.fit(place, company)?;
            if status == Status::Converged || of_place != Status::Converged && status == Status::F32Limit {
                status = of_place;
            }
        }
        let point = |place: Place| {
            let Visited { point, loss, gap, gradient, .. } = place.best?;
            Some(PathPoint { strength: place.strength, parameters: point, loss, gap, gradient })
        };
        Ok(PathOutcome {
            points: self.places.into_iter().filter_map(point).collect(),
            null: self.null,
            status,
            rounds: self.rounds,
            passes: self.objective.passes(),
        })
    }

    fn fit(&mut self, place: usize, company: &Company<'_, '_>) -> Result<Status> {
        let gap = self.tolerance();
        let Place { terms, best: Some(best), .. } = &mut self.places[place] else { return Ok(Status::Stalled) };
        if best.gap <= gap {
            return Ok(Status::Converged);
        }
        let cost = best.loss + cost_of(terms, &best.point);
        if self.settings.is_f32() && best.gap <= NEAR * cost {
            return Ok(Status::F32Limit);
        }
        let need = if self.stations[0].knot.is_some() { Need::Hessian } else { Need::Gradient };
        let start = Start { point: best.point.clone(), evaluation: self.objective.move_to(&best.point, need)? };
        let net = ElasticNet { terms: terms.clone(), gap };
        let sample = self.surrogate.sample();
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
    /// Goes to a point if it is better there.
    fn take(&mut self, next: Visited, tolerance: f64) {
        let Some(best) = &self.best else { return };
        let cost = |visited: &Visited| visited.loss + cost_of(&self.terms, &visited.point);
        let is_near = best.gap <= NEAR * cost(best);
        let is_better = cost(&next) <= cost(best) || is_near && next.gap <= 0.5 * best.gap;
        self.is_misled |= next.gap > STALLED * best.gap && next.gap > tolerance;
        self.idle = if is_better && next.gap <= 0.5 * best.gap { 0 } else { self.idle + 1 };
        if is_better {
            self.best = Some(next);
        }
    }
}

/// What is left to gain by a Hessian of all parameters, and where.
fn gap_by(point: &[f64], gradient: &[f64], hessian: &Symmetric, terms: &[Term]) -> Result<(f64, Vec<f64>)> {
    let set = working_set(point, gradient, terms, EDGE)?;
    let (gap, target, _) = gap_of_set(point, gradient, &hessian.restricted(&set), &set, terms);
    Ok((gap, target))
}

/// The minimum by the model with a sample, or else by the quadratic.
fn predict(
    surrogate: &mut Surrogate<'_>,
    quadratic: &mut Surrogate<'_>,
    anchors: &[(f64, &Anchor)],
    knot: Option<&Knot>,
    search: &Search<'_>,
    is_misled: bool,
) -> Result<Option<Predicted>> {
    if surrogate.has_sample() && !(is_misled && knot.is_some()) {
        let found = surrogate.minimum(anchors, knot.map(|knot| &knot.correction), search)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let Some(knot) = knot else { return Ok(None) };
    let alone: Vec<(f64, Anchor)> = anchors.iter().map(|(share, anchor)| (*share, anchor.alone())).collect();
    let alone: Vec<(f64, &Anchor)> = alone.iter().map(|(share, anchor)| (*share, anchor)).collect();
    quadratic.minimum(&alone, Some(&knot.hessian), search)
}
