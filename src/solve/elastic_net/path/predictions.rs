//! Where minima are by the models: stations first, marks between them, and the rest between marks.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need};
use crate::penalty::{Term, cost_of};
use crate::solve::Start;
use crate::solve::elastic_net::certificate::gap_of_set;
use crate::solve::elastic_net::path::stations::{Models, Station, Stations, blended, shares};
use crate::solve::elastic_net::path::walk::{Place, Visited, Walk};
use crate::solve::elastic_net::surrogate::{Anchor, Predicted, Search};
use crate::solve::elastic_net::working_set::working_set;
use crate::solve::elastic_net::{EDGE, ElasticNet, MISLED, go_by_itself};

/// The factor between the strengths of stations: with a sample, and without one.
const FAR: [f64; 2] = [20.0, 2.1];

/// The factor between the strengths of marks at least.
const MARKS: f64 = 1.4;

/// The share of its strength from which on a slope between those of neighbours belongs to a working set.
const NEIGHBOURS: f64 = 0.8;

/// A gap, a share of the null loss, from which on a station is too far.
const TOO_FAR: f64 = 5e-3;

/// A gap, a share of the null loss, from which on a model is not only wrong by what it leaves out.
const LOST: f64 = 0.05;

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

impl Walk<'_> {
    /// Goes from station to station, and predicts the marks between them; all places in turn where the sample is the table.
    pub(super) fn coarse(&mut self, monitor: &dyn Monitor) -> Result<()> {
        let first = self.first();
        if self.problem.has_all_rows {
            return self.predict_in_turn(first);
        }
        let mut previous = first;
        let (mut has_misled, mut lost) = (false, 0);
        let mut queue = self.far_apart(first);
        queue.reverse();
        while let Some(next) = queue.pop() {
            monitor.check()?;
            monitor.say(&format!("strength {} of {}", next + 1, self.places.len()));
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
                Arrival::TooFar { .. } => self.fit_station(next, monitor)?,
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
                self.places[mark].has_misled = found.is_alone;
                self.places[mark].predicted = Some(found);
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
        let Some(Predicted { point, is_alone, .. }) = found else { return Ok(Arrival::TooFar { is_lost: true }) };
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
    fn fit_station(&mut self, place: usize, monitor: &dyn Monitor) -> Result<()> {
        let last = self.stations.last().anchor.point.clone();
        let need = if self.stations.have_knots() { Need::Hessian } else { Need::Gradient };
        let start = Start { evaluation: self.objective.move_to(&last, need)?, point: last };
        let net = ElasticNet { terms: self.places[place].terms.clone(), gap: self.tolerance() };
        let sample = self.models.sampled.sample();
        let (here, ..) = go_by_itself(&mut *self.objective, sample, start, &net, self.settings, monitor)?;
        let point = here.point;
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
        let own =
            own.unwrap_or(Predicted { point, loss: evaluation.value, gradient: evaluation.gradient, is_alone: true });
        let strength = at.strength;
        self.stations.insert(Station { strength, anchor, solution: own.point.clone(), knot });
        self.places[place].predicted = Some(own);
        Ok(())
    }

    /// Predicts what was not visited, between what was.
    pub(super) fn predict_rest(&mut self) -> Result<()> {
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
            self.places[place].has_misled = found.is_alone;
            self.places[place].predicted = Some(found);
        }
        Ok(())
    }

    /// Predicts place after place, where the sample is the table.
    fn predict_in_turn(&mut self, first: usize) -> Result<()> {
        let Station { strength, anchor, .. } = self.stations.first();
        let mut before = Predicted {
            point: anchor.point.clone(),
            loss: anchor.loss,
            gradient: anchor.gradient.clone(),
            is_alone: false,
        };
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
}

/// What is left to gain by a Hessian of all parameters, and where.
pub(super) fn gap_by(point: &[f64], gradient: &[f64], hessian: &Symmetric, terms: &[Term]) -> Result<(f64, Vec<f64>)> {
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
    Ok(found.unwrap_or_else(|| Predicted { point: start.clone(), loss, gradient: slopes.clone(), is_alone: true }))
}
