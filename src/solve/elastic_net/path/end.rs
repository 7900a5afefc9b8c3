//! Where a path ends, and what is fitted by itself there.

use crate::error::Result;
use crate::monitor::Monitor;
use crate::objective::{Evaluation, Need};
use crate::penalty::cost_of;
use crate::solve::elastic_net::path::walk::{Place, Visited, Walk};
use crate::solve::elastic_net::path::{PathOutcome, PathPoint, Strengths};
use crate::solve::elastic_net::{ElasticNet, go_by_itself};
use crate::solve::{Start, Status};

/// The share of the null loss, and what a step of the path adds to it, from which on weaker penalties explain next to nothing more, and
/// the strengths that a path has in any case; as glmnet does.
const EXPLAINED: f64 = 0.999;
const GAIN: f64 = 1e-5;
const LEAST_COUNT: usize = 5;

impl Walk<'_> {
    /// Ends the path at a mark from which on, from one place to the next, next to nothing is added: by losses of marks that are near
    /// enough for that. What a station has lost says less: its point may lie beyond the minimum. Which place is the last one is seen when
    /// all have been visited.
    pub(super) fn end_among_marks(&mut self) {
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
    pub(super) fn end_early(&mut self) -> bool {
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

    /// Fits what the visits did not bring near enough by itself.
    pub(super) fn finish(mut self, monitor: &dyn Monitor) -> Result<PathOutcome> {
        for place in 0..self.places.len() {
            // What sums in f32 do not tell at one strength they do not tell at the next.
            if self.fit(place, monitor)? == Status::F32Limit {
                break;
            }
        }
        self.end_early();
        let edges: Vec<Vec<usize>> = (0..self.places.len()).map(|place| self.on_edge(place)).collect::<Result<_>>()?;
        let point = |(place, on_edge): (Place, Vec<usize>)| {
            let Visited { point, loss, gap, .. } = place.best?;
            Some(PathPoint { strength: place.strength, parameters: point, loss, gap, on_edge })
        };
        Ok(PathOutcome {
            points: self.places.into_iter().zip(edges).filter_map(point).collect(),
            null: self.null,
            stations: self.stations.into_path(),
        })
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

    fn fit(&mut self, place: usize, monitor: &dyn Monitor) -> Result<Status> {
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
        let (here, status, _) = go_by_itself(&mut *self.objective, sample, start, &net, self.settings, monitor)?;
        let Evaluation { value, gradient, .. } = here.evaluation;
        *best = Visited { point: here.point, loss: value, gradient, gap: here.gap, target: here.target };
        Ok(status)
    }
}
