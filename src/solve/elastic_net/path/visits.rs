//! Visits of the rows: evaluations at points that are predicted, and at corrected ones where they are not near enough.

use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need};
use crate::penalty::cost_of;
use crate::solve::elastic_net::certificate::gap_of_set;
use crate::solve::elastic_net::edge::{Certified, error_of_gradients, on_edge_by};
use crate::solve::elastic_net::path::Strengths;
use crate::solve::elastic_net::path::stations::{Bend, Pair, Station, hessian_of};
use crate::solve::elastic_net::path::walk::{Place, Visited, Walk};
use crate::solve::elastic_net::surrogate::{Search, way};
use crate::solve::elastic_net::working_set::working_set;
use crate::solve::elastic_net::{EDGE, IDLE, MOST_CURVATURE, NEAR, without_hessian};

/// What a gap by the curvature between stations is multiplied by: that may be larger than the curvature where the point is.
pub(super) const DOUBT: f64 = 2.0;

/// Visits that go on with what is left at most.
const ROUNDS: u64 = 8;

/// Gaps after a first visit, shares of the null loss, and what a further visit leaves of them, from which on the curvature is no good.
const POOR: f64 = 1e-4;
const STALLED: f64 = 0.1;

/// Stations that are added in a round at most, and the factor between them and others.
const ADDED: usize = 8;
const APART: f64 = 1.9;

impl Walk<'_> {
    /// Evaluates at marks, then at what lies between them and again at marks that are not near enough.
    pub(super) fn visit_all(&mut self, monitor: &dyn Monitor) -> Result<()> {
        self.visit(monitor)?;
        self.end_among_marks();
        self.predict_rest()?;
        self.repair(monitor, true).map(drop)
    }

    /// Evaluates at what is predicted, in one visit of the rows.
    fn visit(&mut self, monitor: &dyn Monitor) -> Result<()> {
        monitor.check()?;
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
    pub(super) fn repair(&mut self, monitor: &dyn Monitor, is_first: bool) -> Result<bool> {
        let tolerance = self.tolerance();
        let goes_on = |place: &Place| place.idle < IDLE && place.best.as_ref().is_some_and(|best| best.gap > tolerance);
        let left: Vec<usize> = (0..self.places.len()).filter(|&place| goes_on(&self.places[place])).collect();
        let new: Vec<usize> = (0..self.places.len()).filter(|&place| self.places[place].best.is_none()).collect();
        if left.is_empty() && new.is_empty() || self.rounds == ROUNDS {
            return Ok(false);
        }
        self.rounds += u64::from(!is_first);
        monitor.check()?;
        monitor.say(&format!("{} of {} strengths to go", left.len() + new.len(), self.places.len()));
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
        let terms = &self.places[place].terms;
        let set = working_set(point, gradient, terms, EDGE)?;
        let hessian = self.hessian_of_set(place, visited, &set);
        let (gap, target) = self.checked(gap_of_set(point, gradient, &hessian, &set, terms));
        Ok((DOUBT * gap, target))
    }

    /// The Hessian between stations at a point for a place, of some parameters.
    fn hessian_of_set(&self, place: usize, visited: &Visited, set: &[usize]) -> Symmetric {
        let mut hessian = Symmetric::zero(set.len());
        let knots = self.stations.knots(&self.stations.shares(self.places[place].strength));
        hessian.add_parts(&hessian_of(&knots), set);
        // Curvatures that fell along a step fall on.
        Bend::new(&hessian_of(&knots), &self.seen_around(place, visited), true).add_to(&mut hessian, set);
        hessian
    }

    /// The parameters whose selection is open at a place.
    pub(super) fn on_edge(&mut self, place: usize) -> Result<Vec<usize>> {
        let is_largest = place == 0 && matches!(self.problem.strengths, Strengths::Grid { .. });
        let (Some(margin), Some(best)) = (self.problem.margin, self.places[place].best.clone()) else {
            return Ok(Vec::new());
        };
        if is_largest {
            return Ok(Vec::new());
        }
        let terms = self.places[place].terms.clone();
        let Visited { point, gradient, gap, target, .. } = &best;
        let error = error_of_gradients(self.settings, point);
        let certified = Certified { point, gradient, gap: *gap, target, terms: &terms, margin, error };
        if self.stations.have_knots() {
            return on_edge_by(&certified, MOST_CURVATURE, |_, set| Ok(self.hessian_of_set(place, &best, set)));
        }
        on_edge_by(&certified, MOST_CURVATURE, |point, set| {
            self.models.sampled.hessian(point, set)?.ok_or_else(without_hessian)
        })
    }

    pub(super) fn gap_by_sample(&mut self, point: &[f64], gradient: &[f64], place: usize) -> Result<(f64, Vec<f64>)> {
        let terms = &self.places[place].terms;
        let set = working_set(point, gradient, terms, EDGE)?;
        let hessian = self.models.sampled.hessian(point, &set)?.ok_or_else(without_hessian)?;
        Ok(self.checked(gap_of_set(point, gradient, &hessian, &set, &self.places[place].terms)))
    }

    /// What others should leave 0 is more to gain.
    fn checked(&self, (gap, target, is_whole): (f64, Vec<f64>, bool)) -> (f64, Vec<f64>) {
        (if is_whole { gap } else { gap + 2.0 * self.tolerance() }, target)
    }
}

impl Place {
    /// Goes to a point if it is better there.
    pub(super) fn take(&mut self, next: Visited, tolerance: f64) {
        let Some(best) = &self.best else { return };
        let cost = |visited: &Visited| visited.loss + cost_of(&self.terms, &visited.point);
        let is_near = best.gap <= NEAR * cost(best);
        let is_better = cost(&next) <= cost(best) || is_near && next.gap <= 0.5 * best.gap;
        self.has_misled |= next.gap > STALLED * best.gap && next.gap > tolerance;
        self.idle = if is_better && next.gap <= 0.5 * best.gap { 0 } else { self.idle + 1 };
        self.other = if is_better { self.best.replace(next) } else { Some(next) };
    }
}
