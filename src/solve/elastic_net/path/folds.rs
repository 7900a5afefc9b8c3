//! Models of folds along a path, from what is known of the models of all rows.
//!
//! A fold leaves out few of the rows, so its minimum is near that of all of them. There the gradient of its training rows is known from
//! the visit that certified the model of all rows, and so is their Hessian at stations: the model of the loss that led along the path
//! (`surrogate`), with the fold's own gradient and curvature, predicts the minimum without a pass. Visits evaluate at some of the
//! predictions. What they find beside the model corrects the predictions between them, and leads on where one was not near enough.

use rayon::prelude::*;

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::Evaluation;
use crate::penalty::Term;
use crate::solve::dot;
use crate::solve::elastic_net::path::PathOutcome;
use crate::solve::elastic_net::path::stations::shares;
use crate::solve::elastic_net::path::visits::DOUBT;
use crate::solve::elastic_net::quadratic::{Common, next_minimum};
use crate::solve::elastic_net::surrogate::{Correction, corrected, way};
use crate::solve::elastic_net::working_set::{grown, is_at_rest_outside, working_set};

/// The share of its strength from which on a slope of a fold belongs to its working set, by the gradient of its own rows: those that it
/// leaves out may have held another one near 0.
const SLACK: f64 = 0.5;

/// How often a working set may grow.
const GROWTHS: usize = 32;

/// Steps of the model to a minimum at most.
const STEPS: usize = 8;

/// The square of a step as a multiple of that of another one which still tells of it.
const MOST_TIMES: f64 = 4.0;

/// A step of the model that gains such a share of what may be left is the last one.
const ENOUGH: f64 = 0.5;

/// What models of folds are of.
pub struct FoldProblem<'p> {
    /// The terms of all parameters of a fold for strengths of L1 and L2.
    pub terms: &'p dyn Fn(usize, [f64; 2]) -> Vec<Term>,
    /// The share of L1 in a strength, in 0..1.
    pub alpha: f64,
    /// The number of folds, K.
    pub folds: usize,
    /// What may be left to gain of the mean loss.
    pub gap: f64,
    /// Gradients of the training rows of each fold at the points of the path, `[places][folds]`.
    pub gradients: Vec<Vec<Vec<f64>>>,
    /// The Hessian of the training rows of each fold at each station, `[stations][folds]`; none at a station where that of all rows
    /// stands for them.
    pub hessians: Vec<Vec<Symmetric>>,
    /// What these are beside the Hessians of the sample, `[stations][folds]`.
    pub corrections: Vec<Vec<Symmetric>>,
}

/// The rows that folds train on.
pub trait FoldRows {
    /// Loss and gradient at points, each a mean over the training rows of its fold, by means of one visit.
    ///
    /// # Errors
    /// Those of the device.
    fn evaluate(&mut self, points: &[(usize, Vec<f64>)]) -> Result<Vec<Evaluation>>;
}

/// The model of a fold at a strength.
#[derive(Clone, Debug)]
struct FoldModel {
    /// Where it is, as far as is known.
    point: Vec<f64>,
    visited: Option<Visited>,
    /// Whether the model of the loss has no minimum that is known.
    is_unsure: bool,
}

#[derive(Clone, Debug)]
struct Visited {
    /// What the gradient is beside that of the model.
    beside: Vec<f64>,
    /// The square of the step from the model of all rows, by the curvature: the one grows about as the other.
    square: f64,
    /// What is left to gain.
    gap: f64,
    /// Where the minimum is, if that is not near enough.
    next: Vec<f64>,
}

/// The models of all folds along a path.
pub struct FoldModels<'p> {
    problem: &'p FoldProblem<'p>,
    path: &'p PathOutcome,
    sample: Option<&'p mut dyn FoldRows>,
    /// Gradients of the sample of each fold at the points of the path, `[places][folds]`.
    of_path: Vec<Vec<Vec<f64>>>,
    /// `[places][folds]`.
    models: Vec<Vec<FoldModel>>,
}

/// A quadratic of a working set.
struct Quadratic<'k> {
    parts: Vec<(f64, &'k Symmetric)>,
    set: Vec<usize>,
    hessian: Symmetric,
}

impl<'k> Quadratic<'k> {
    fn new(parts: Vec<(f64, &'k Symmetric)>, set: Vec<usize>) -> Self {
        let hessian = restricted(&parts, &set);
        Self { parts, set, hessian }
    }

    /// The minimum of `gradient'(q - from) + (q - from)'H (q - from) / 2` with the terms, which is looked for from `start` on; `None` if
    /// there is none.
    fn minimum(&mut self, from: &[f64], gradient: &[f64], start: &[f64], terms: &[Term]) -> Result<Option<Vec<f64>>> {
        for _ in 0..GROWTHS {
            let Self { parts, set, hessian } = self;
            let of_set = |all: &[f64]| set.iter().map(|&j| all[j]).collect::<Vec<f64>>();
            let (centre, slopes) = (of_set(from), of_set(gradient));
            let of_terms: Vec<Term> = set.iter().map(|&j| terms[j]).collect();
            let c: Vec<f64> = slopes.iter().zip(hessian.times(&centre)).map(|(g, product)| g - product).collect();
            // A factor of its own is made sooner than that of another fold is changed.
            let common = &mut Common::of_near();
            let Some(found) = next_minimum(hessian, common, &c, &of_terms, &of_set(start)) else { return Ok(None) };
            let mut target = from.to_vec();
            for (&j, x) in set.iter().zip(found.point) {
                target[j] = x;
            }
            let there = sum(gradient, &corrected(parts, &way(from, &target)));
            if is_at_rest_outside(set, &there, terms) {
                return Ok(Some(target));
            }
            self.set = grown(&self.set, &there, terms)?;
            self.hessian = restricted(&self.parts, &self.set);
        }
        Ok(None)
    }

    /// What the quadratic says is to be gained at a point.
    fn gap(&mut self, point: &[f64], gradient: &[f64], terms: &[Term]) -> Result<f64> {
        let Some(target) = self.minimum(point, gradient, point, terms)? else { return Ok(f64::INFINITY) };
        let step = way(point, &target);
        // Term by term, for little is left of the difference of two sums.
        let of_terms = terms.iter().zip(&target).zip(point).map(|((term, x), q)| term.value(*x) - term.value(*q));
        let gain = dot(gradient, &step) + 0.5 * dot(&step, &corrected(&self.parts, &step)) + of_terms.sum::<f64>();
        Ok(if gain.is_finite() { (-gain).max(0.0) } else { f64::INFINITY })
    }
}

fn restricted(parts: &Correction<'_>, set: &[usize]) -> Symmetric {
    let mut hessian = Symmetric::zero(set.len());
    hessian.add_parts(parts, set);
    hessian
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A minimum that is looked for.
struct Task {
    fold: usize,
    place: usize,
    terms: Vec<Term>,
    /// Where the gradient of the training rows is known, with that of the sample.
    from: Vec<f64>,
    gradient: Vec<f64>,
    of_sample: Vec<f64>,
    /// Where it is by now, and the gradient of the model there.
    point: Vec<f64>,
    slopes: Vec<f64>,
    /// Along the last step.
    curvature: f64,
    /// Whether there are no more steps, and whether the last one ended at the minimum.
    is_found: bool,
    is_reached: bool,
}

/// What is known along the path, whoever asks.
#[derive(Clone, Copy)]
struct Ground<'p> {
    path: &'p PathOutcome,
    gradients: &'p [Vec<Vec<f64>>],
    hessians: &'p [Vec<Symmetric>],
    corrections: &'p [Vec<Symmetric>],
}

impl<'p> Ground<'p> {
    /// Stations around a place with their shares.
    fn around(&self, place: usize) -> Vec<(f64, usize)> {
        let strengths: Vec<f64> = self.path.stations.iter().map(|station| station.strength).collect();
        shares(&strengths, self.path.points[place].strength)
    }

    /// The Hessian of a fold between stations.
    fn hessian(&self, fold: usize, place: usize) -> Vec<(f64, &'p Symmetric)> {
        let of_station = |at: usize| self.hessians[at].get(fold).unwrap_or(&self.path.stations[at].hessian);
        self.around(place).into_iter().map(|(share, at)| (share, of_station(at))).collect()
    }

    /// The quadratic of a fold at a place, of what it may select.
    fn quadratic(&self, fold: usize, place: usize, terms: &[Term]) -> Result<Quadratic<'p>> {
        let set = working_set(&self.path.points[place].parameters, &self.gradients[place][fold], terms, SLACK)?;
        Ok(Quadratic::new(self.hessian(fold, place), set))
    }

    /// What a step changes the gradient of a fold by, beside that of the sample.
    fn beside_sample(&self, fold: usize, place: usize, step: &[f64]) -> Vec<f64> {
        let around = self.around(place).into_iter();
        corrected(&around.map(|(share, at)| (share, &self.corrections[at][fold])).collect::<Vec<_>>(), step)
    }

    /// Takes a step of a task.
    fn step(&self, task: &mut Task, enough: f64) -> Result<()> {
        let mut quadratic = self.quadratic(task.fold, task.place, &task.terms)?;
        let found = quadratic.minimum(&task.point, &task.slopes, &task.point, &task.terms)?;
        let Some(next) = found else {
            task.is_found = true;
            return Ok(());
        };
        let step = way(&task.point, &next);
        let curvature = dot(&step, &corrected(&quadratic.parts, &step));
        // A model that leads away is left where it was.
        if curvature.is_nan() || task.curvature < curvature {
            task.is_found = true;
            return Ok(());
        }
        (task.point, task.curvature) = (next, curvature);
        task.is_reached = curvature <= enough;
        task.is_found = task.is_reached;
        Ok(())
    }

    /// Sees what is left to gain at a point.
    fn measure(&self, Arrived { task, gap, square }: &mut Arrived) -> Result<()> {
        let mut quadratic = self.quadratic(task.fold, task.place, &task.terms)?;
        *gap = DOUBT * quadratic.gap(&task.from, &task.gradient, &task.terms)?;
        let step = way(&self.path.points[task.place].parameters, &task.from);
        *square = dot(&step, &corrected(&quadratic.parts, &step));
        Ok(())
    }
}

impl<'p> FoldModels<'p> {
    /// Predicts the models of folds along `path`, which was walked with Hessians at its stations and this sample: of those that nobody
    /// knows.
    ///
    /// # Errors
    /// Those of the sample; of kind `Usage` if a working set grows beyond what can be solved for.
    pub fn predict(
        problem: &'p FoldProblem<'p>,
        path: &'p PathOutcome,
        sample: Option<&'p mut dyn FoldRows>,
        is_known: impl Fn(usize) -> bool,
    ) -> Result<Self> {
        let mut models = Self { problem, path, sample, of_path: Vec::new(), models: Vec::new() };
        let points: Vec<Vec<f64>> = path.points.iter().map(|point| point.parameters.clone()).collect();
        let each = |point: &Vec<f64>| (0..problem.folds).map(|fold| (fold, point.clone())).collect::<Vec<_>>();
        let of_path = models.of_sample(&points.iter().flat_map(each).collect::<Vec<_>>())?;
        models.of_path = of_path.chunks(problem.folds).map(<[_]>::to_vec).collect();
        models.models = points
            .iter()
            .map(|point| vec![FoldModel { point: point.clone(), visited: None, is_unsure: false }; problem.folds])
            .collect();
        let all = (0..points.len()).flat_map(|place| (0..problem.folds).map(move |fold| (fold, place)));
        let unknown = all.filter(|(fold, _)| !is_known(*fold));
        let tasks: Vec<Task> = unknown.map(|(fold, place)| models.task(fold, place)).collect();
        for Task { fold, place, point, is_reached, .. } in models.minima(tasks)? {
            models.models[place][fold] = FoldModel { point, visited: None, is_unsure: !is_reached };
        }
        Ok(models)
    }

    fn ground(&self) -> Ground<'p> {
        let FoldProblem { gradients, hessians, corrections, .. } = self.problem;
        Ground { path: self.path, gradients, hessians, corrections }
    }

    fn terms(&self, fold: usize, place: usize) -> Vec<Term> {
        let (strength, alpha) = (self.path.points[place].strength, self.problem.alpha);
        (self.problem.terms)(fold, [strength * alpha, strength * (1.0 - alpha)])
    }

    /// Gradients of the sample of folds; 0 without one.
    fn of_sample(&mut self, points: &[(usize, Vec<f64>)]) -> Result<Vec<Vec<f64>>> {
        match &mut self.sample {
            Some(sample) => Ok(sample.evaluate(points)?.into_iter().map(|found| found.gradient).collect()),
            None => Ok(points.iter().map(|(_, point)| vec![0.0; point.len()]).collect()),
        }
    }

    /// The minimum of a fold from the model of all rows on.
    fn task(&self, fold: usize, place: usize) -> Task {
        let from = self.path.points[place].parameters.clone();
        let gradient = self.problem.gradients[place][fold].clone();
        Task {
            fold,
            place,
            terms: self.terms(fold, place),
            of_sample: self.of_path[place][fold].clone(),
            point: from.clone(),
            slopes: gradient.clone(),
            from,
            gradient,
            curvature: f64::INFINITY,
            is_found: false,
            is_reached: false,
        }
    }

    /// Looks for minima by the model.
    fn minima(&mut self, mut tasks: Vec<Task>) -> Result<Vec<Task>> {
        let (ground, enough) = (self.ground(), ENOUGH * self.problem.gap);
        for _ in 0..STEPS {
            tasks.par_iter_mut().filter(|task| !task.is_found).try_for_each(|task| ground.step(task, enough))?;
            let left: Vec<usize> = (0..tasks.len()).filter(|&at| !tasks[at].is_found).collect();
            if left.is_empty() {
                break;
            }
            let points: Vec<(usize, Vec<f64>)> =
                left.iter().map(|&at| (tasks[at].fold, tasks[at].point.clone())).collect();
            let of_sample = self.of_sample(&points)?;
            for (&at, now) in left.iter().zip(&of_sample) {
                let task = &mut tasks[at];
                task.slopes = self.slopes(task, now);
            }
        }
        Ok(tasks)
    }

    /// The gradient of the model where the sample has this one.
    fn slopes(&self, task: &Task, of_sample: &[f64]) -> Vec<f64> {
        let Task { fold, place, from, gradient, of_sample: before, point, .. } = task;
        let beside = self.ground().beside_sample(*fold, *place, &way(from, point));
        sum(gradient, &sum(&way(before, of_sample), &beside))
    }

    /// Evaluates at models, `(fold, place)` each, in one visit: where they are predicted, and where they were visited before and were
    /// not near enough, where the minimum was then seen. Gives those whose points have changed.
    ///
    /// # Errors
    /// Those of the device.
    pub fn visit(&mut self, rows: &mut dyn FoldRows, of: &[(usize, usize)]) -> Result<Vec<(usize, usize)>> {
        let is_left = |&(fold, place): &(usize, usize)| !self.is_near(fold, place);
        let mut wanted: Vec<(usize, usize)> = of.iter().copied().filter(is_left).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let point = |&(fold, place): &(usize, usize)| {
            let FoldModel { point, visited, .. } = &self.models[place][fold];
            (fold, visited.as_ref().map_or(point, |visited| &visited.next).clone())
        };
        let points: Vec<(usize, Vec<f64>)> = wanted.iter().map(point).collect();
        let found = rows.evaluate(&points)?;
        let of_sample = self.of_sample(&points)?;
        let arrived: Vec<Arrived> = wanted
            .iter()
            .zip(points)
            .zip(found.into_iter().zip(of_sample))
            .map(|((&(fold, place), (_, point)), (evaluation, of_sample))| Arrived {
                gap: f64::INFINITY,
                square: 0.0,
                task: Task {
                    gradient: evaluation.gradient.clone(),
                    slopes: evaluation.gradient,
                    from: point.clone(),
                    of_sample,
                    point,
                    ..self.task(fold, place)
                },
            })
            .collect();
        self.arrive(arrived)
    }

    /// Stands where models were looked for, and looks for the minimum from there where it is not near enough.
    fn arrive(&mut self, mut arrived: Vec<Arrived>) -> Result<Vec<(usize, usize)>> {
        let ground = self.ground();
        arrived.par_iter_mut().try_for_each(|arrived| ground.measure(arrived))?;
        let (mut changed, mut left) = (Vec::new(), Vec::new());
        for Arrived { task, gap, square } in arrived {
            let (fold, place) = (task.fold, task.place);
            let FoldModel { point, visited, .. } = &self.models[place][fold];
            if visited.as_ref().is_some_and(|visited| visited.gap <= gap) {
                continue;
            }
            if *point != task.from {
                changed.push((fold, place));
            }
            let own = Task { point: task.from.clone(), ..self.task(fold, place) };
            let visited = Visited {
                beside: way(&self.slopes(&own, &task.of_sample), &task.gradient),
                square,
                gap,
                next: task.from.clone(),
            };
            self.models[place][fold] = FoldModel { point: task.from.clone(), visited: Some(visited), is_unsure: false };
            if gap > self.problem.gap {
                left.push(task);
            }
        }
        for Task { fold, place, point, .. } in self.minima(left)? {
            if let Some(visited) = &mut self.models[place][fold].visited {
                visited.next = point;
            }
        }
        Ok(changed)
    }

    /// Whether a model was visited and is near enough.
    pub fn is_near(&self, fold: usize, place: usize) -> bool {
        self.gap(fold, place).is_some_and(|gap| gap <= self.problem.gap)
    }

    /// Models that nobody visited and whose predictions are no minima, `(fold, place)` each.
    pub fn unsure(&self) -> Vec<(usize, usize)> {
        let all = (0..self.models.len()).flat_map(|place| (0..self.problem.folds).map(move |fold| (fold, place)));
        all.filter(|&(fold, place)| self.models[place][fold].is_unsure).collect()
    }

    /// What is left to gain of a model that was visited.
    pub fn gap(&self, fold: usize, place: usize) -> Option<f64> {
        self.models[place][fold].visited.as_ref().map(|visited| visited.gap)
    }

    /// Sets a model that is known from elsewhere, with what is left to gain there.
    pub fn put(&mut self, fold: usize, place: usize, point: Vec<f64>, gap: f64) {
        let visited = Visited { beside: vec![0.0; point.len()], square: 0.0, gap, next: point.clone() };
        self.models[place][fold] = FoldModel { point, visited: Some(visited), is_unsure: false };
    }

    /// Where a model is.
    pub fn point(&self, fold: usize, place: usize) -> &[f64] {
        &self.models[place][fold].point
    }

    /// Predicts what was not visited again, by what visits found beside the model at places before and after.
    ///
    /// # Errors
    /// Those of [`FoldModels::predict`].
    pub fn follow(&mut self) -> Result<()> {
        let ground = self.ground();
        let all = (0..self.models.len()).flat_map(|place| (0..self.problem.folds).map(move |fold| (fold, place)));
        let not_visited: Vec<(usize, usize)> =
            all.filter(|&(fold, place)| self.models[place][fold].visited.is_none()).collect();
        let point = |&(fold, place): &(usize, usize)| (fold, self.models[place][fold].point.clone());
        let points: Vec<(usize, Vec<f64>)> = not_visited.iter().map(point).collect();
        let of_sample = self.of_sample(&points)?;
        let mut tasks = Vec::with_capacity(points.len());
        for (((fold, place), (_, point)), of_sample) in not_visited.into_iter().zip(points).zip(&of_sample) {
            let task = Task { point, ..self.task(fold, place) };
            let step = way(&task.from, &task.point);
            let square = dot(&step, &corrected(&ground.hessian(fold, place), &step));
            if let Some(beside) = self.beside(fold, place, square) {
                let slopes = sum(&self.slopes(&task, of_sample), &beside);
                tasks.push(Task { slopes, ..task });
            }
        }
        tasks.par_iter_mut().try_for_each(|task| ground.step(task, f64::INFINITY))?;
        for Task { fold, place, point, .. } in tasks {
            self.models[place][fold].point = point;
        }
        Ok(())
    }

    /// What a visit would find beside the model after a step with such a square, between two places where it was seen.
    fn beside(&self, fold: usize, place: usize, square: f64) -> Option<Vec<f64>> {
        let of = |at: usize| {
            let Visited { beside, square: of_visited, .. } = self.models[at][fold].visited.as_ref()?;
            // A step that was far shorter says nothing of a long one.
            let times = if square <= MOST_TIMES * of_visited { square / of_visited } else { 0.0 };
            Some(beside.iter().map(|x| times * x).collect::<Vec<f64>>())
        };
        let before = (0..place).rev().find_map(|at| Some((at, of(at)?)));
        let after = (place + 1..self.models.len()).find_map(|at| Some((at, of(at)?)));
        match (before, after) {
            (Some((first, a)), Some((last, b))) => {
                let share = (place - first) as f64 / (last - first) as f64;
                Some(a.iter().zip(b).map(|(a, b)| a + share * (b - a)).collect())
            }
            (Some((_, near)), None) | (None, Some((_, near))) => Some(near),
            (None, None) => None,
        }
    }
}

/// A point that was visited.
struct Arrived {
    /// The minimum that is looked for from it.
    task: Task,
    gap: f64,
    square: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::elastic_net::path::{PathPoint, PathStation};

    /// The mean loss `h (x - 1)^2 / 2 + (y - 2)^2 / 2` of a fold.
    struct Bowl(f64);

    impl FoldRows for Bowl {
        fn evaluate(&mut self, points: &[(usize, Vec<f64>)]) -> Result<Vec<Evaluation>> {
            let gradient = |point: &[f64]| vec![self.0 * (point[0] - 1.0), point[1] - 2.0];
            let at = |(_, point): &(usize, Vec<f64>)| Evaluation {
                value: 0.0,
                gradient: gradient(point),
                diagonal: None,
                hessian: None,
            };
            Ok(points.iter().map(at).collect())
        }
    }

    /// Where a fold leaves out most of the curvature of a column, a whole step leads to its minimum by its own Hessian alone, and what is
    /// left to gain is by that one too.
    #[test]
    fn gaps_are_by_the_hessians_of_the_folds() {
        let diagonal = |h: f64| {
            Symmetric::from_lower(2, |i, j| {
                if i != j {
                    0.0
                } else if i == 0 {
                    h
                } else {
                    1.0
                }
            })
        };
        let points =
            vec![PathPoint { strength: 0.1, parameters: vec![0.0, 2.0], loss: 1.0, gap: 0.0, on_edge: Vec::new() }];
        let station =
            PathStation { strength: 0.1, point: vec![0.0, 2.0], hessian: diagonal(1.0), correction: diagonal(1.0) };
        let path = PathOutcome { points, null: 1.0, stations: vec![station] };
        for (own, expected, gap) in [(true, 1.0, 0.0), (false, 0.01, 0.01 * 0.99 * 0.99 * 0.01)] {
            let hessians = if own { vec![vec![diagonal(0.01)]] } else { vec![Vec::new()] };
            let corrections = vec![vec![diagonal(if own { 0.01 } else { 1.0 })]];
            let problem = FoldProblem {
                terms: &|_, _| vec![Term::FREE; 2],
                alpha: 1.0,
                folds: 1,
                gap: 1e-9,
                gradients: vec![vec![vec![-0.01, 0.0]]],
                hessians,
                corrections,
            };
            let mut models = FoldModels::predict(&problem, &path, None, |_| false).expect("no error");
            assert!((models.point(0, 0)[0] - expected).abs() <= 1e-12, "{:?}", models.point(0, 0));
            models.visit(&mut Bowl(0.01), &[(0, 0)]).expect("no error");
            // Twice `g^2 / 2h`; by the Hessian of all rows that is a fiftieth of what is left.
            let found = models.gap(0, 0).expect("it was visited");
            assert!((found - gap).abs() <= 1e-15, "{found}, not {gap}");
        }
    }
}
