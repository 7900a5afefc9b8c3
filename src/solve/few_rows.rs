//! Newton's method in the space of the rows, where there are few of them.

use crate::error::Result;
use crate::matrix::RowSpace;
use crate::objective::{Evaluation, Line, Need, Objective, Probe};
use crate::solve::descent::{Descent, Method, Progress, descend};
use crate::solve::line_search::{ACCEPTABLE, Enough, Taken, first_or_search};
use crate::solve::{Company, Outcome, Settings, Start};

/// A penalised model of few rows, all of them at hand.
#[derive(Clone, Debug)]
pub struct FewRows {
    /// Loss, residual and curvature of a row by its margin and its label: the loss and its derivatives by the margin.
    pub terms: fn(f64, f64) -> [f64; 3],
    /// What the parameters are to the rows.
    pub space: RowSpace,
    /// Labels `[rows]`, 0 or 1.
    pub labels: Vec<f64>,
    /// Row weights divided by their sum `[rows]`.
    pub weights: Vec<f64>,
    /// Offsets `[rows]`.
    pub offsets: Vec<f64>,
    /// Whether the last parameter is an intercept.
    pub has_intercept: bool,
}

/// Minimises `objective` by Newton's method over the rows: a step costs a matrix `[rows x rows]`, not one of the features.
///
/// At the optimum the penalty's gradient `P q` balances that of the loss, `A'r` for margins `A q` and residuals r, so with
/// a vector `a = -r` over the rows `q = P^-1 A'a`, and the margins are `A P^-1 A' a`. A Newton step in q leads to such a
/// point from anywhere.
///
/// # Requirements
/// `objective` is the model of `rows` in the coordinates of their space, with the penalty of `settings`, and stands at
/// `start`.
///
/// # Cost
/// The matrix `A P^-1 A'` once; then for each iteration its Cholesky factor beside others of its size, and two products with
/// the rows, on the host. Of the objective, one fresh evaluation before convergence is claimed.
///
/// # References
/// Kimeldorf and Wahba (1971), "Some results on Tchebycheffian spline functions", J. Math. Anal. Appl. 33, 82-95: where the
/// optimum lies. Rasmussen and Williams (2006), *Gaussian Processes for Machine Learning*, section 3.4: the step.
pub fn few_rows(
    objective: &mut dyn Objective,
    start: Start,
    rows: &FewRows,
    settings: &Settings,
    company: &mut Company<'_, '_>,
) -> Result<Outcome> {
    let mut run = Run { at: Descent::new(start, settings, false), rows, margins: Vec::new() };
    run.refresh(settings);
    descend(objective, settings, company, run)
}

struct Run<'r> {
    at: Descent,
    rows: &'r FewRows,
    /// `[rows]`, where the run stands.
    margins: Vec<f64>,
}

impl Method for Run<'_> {
    fn descent(&mut self) -> &mut Descent {
        &mut self.at
    }

    fn refresh(&mut self, _: &Settings) {
        let margins = self.rows.space.margins(&self.at.point);
        self.margins = margins.iter().zip(&self.rows.offsets).map(|(z, offset)| z + offset).collect();
    }

    fn iterate(&mut self, _: &mut dyn Objective, settings: &Settings) -> Result<Progress> {
        let Some((direction, along)) = self.newton_step() else { return Ok(Progress::LineSearchFailed) };
        let point = &self.at.point;
        let penalized = |a: &[f64], b: &[f64]| -> f64 {
            settings.penalty.iter().zip(a).zip(b).filter(|((l, _), _)| **l > 0.0).map(|((l, a), b)| l * a * b).sum()
        };
        let mut line = RowLine {
            rows: self.rows,
            margins: &self.margins,
            along: &along,
            penalty: [0.5 * penalized(point, point), penalized(point, &direction), penalized(&direction, &direction)],
        };
        let slope = line.at(0.0).slope;
        let taken = if slope.abs() <= line.noise() {
            // Too near for slopes to tell, not for a Newton step to be right.
            let first = line.first();
            Some(Taken { probe: first, as_predicted: true, slope, tried: vec![first] })
        } else {
            first_or_search(&mut line, slope, Enough::either(ACCEPTABLE))?
        };
        let Some(taken) = taken else { return Ok(Progress::LineSearchFailed) };
        let step = taken.probe.step;
        self.margins.iter_mut().zip(&along).for_each(|(z, u)| *z += step * u);
        let residuals: Vec<f64> = self.rows.weighted_terms(&self.margins).map(|[_, residual, _]| residual).collect();
        let of_loss = self.rows.space.gradient(&residuals);
        let parameters = self.at.point.iter().zip(&direction).map(|(q, p)| q + step * p);
        let gradient = of_loss.iter().zip(parameters).zip(&settings.penalty);
        let here = Evaluation {
            value: taken.probe.value,
            gradient: gradient.map(|((g, q), l)| if *l > 0.0 { g + l * q } else { *g }).collect(),
            diagonal: None,
            hessian: None,
        };
        self.at.take(here, &direction, step);
        Ok(Progress::Moved(taken))
    }
}

impl Run<'_> {
    /// The Newton step, in the parameters and in the margins: to `q = P^-1 A'a + b e` with the vector a and the intercept b
    /// that solve `r + S (K a + b + o - z) + a = 0` and `sum a = 0`, where margins z with offsets o have the residuals r and
    /// the curvatures S.
    fn newton_step(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let Self { rows, margins, at } = self;
        let (mut curvatures, mut constant) = (Vec::new(), Vec::new());
        for ([_, residual, curvature], (z, offset)) in
            rows.weighted_terms(margins).zip(margins.iter().zip(&rows.offsets))
        {
            curvatures.push(curvature);
            constant.push(curvature * (z - offset) - residual);
        }
        let solver = rows.space.solver(&curvatures)?;
        let mut a = solver.solve(&constant);
        let mut intercept = 0.0;
        if rows.has_intercept {
            let of_intercept = solver.solve(&curvatures);
            intercept = a.iter().sum::<f64>() / of_intercept.iter().sum::<f64>();
            a.iter_mut().zip(&of_intercept).for_each(|(a, s)| *a -= intercept * s);
        }
        let mut target = rows.space.parameters(&a);
        if let Some(last) = target.last_mut().filter(|_| rows.has_intercept) {
            *last = intercept;
        }
        let direction: Vec<f64> = target.iter().zip(&at.point).map(|(target, q)| target - q).collect();
        let to = rows.space.kernel_times(&a).into_iter().zip(&rows.offsets).map(|(z, offset)| z + intercept + offset);
        let along: Vec<f64> = to.zip(margins).map(|(to, z)| to - z).collect();
        (direction.iter().chain(&along).all(|x| x.is_finite())).then_some((direction, along))
    }
}

impl FewRows {
    /// Loss, residual and curvature of each row, times its weight.
    fn weighted_terms(&self, margins: &[f64]) -> impl Iterator<Item = [f64; 3]> {
        let rows = margins.iter().zip(&self.labels).zip(&self.weights);
        rows.map(|((z, t), weight)| (self.terms)(*z, *t).map(|term| weight * term))
    }
}

/// The penalised loss along a step, over the rows.
struct RowLine<'r> {
    rows: &'r FewRows,
    margins: &'r [f64],
    along: &'r [f64],
    /// Value, slope and curvature of the penalty at 0.
    penalty: [f64; 3],
}

impl RowLine<'_> {
    fn at(&self, step: f64) -> Probe {
        let margins: Vec<f64> = self.margins.iter().zip(self.along).map(|(z, u)| z + step * u).collect();
        let [value, slope, curvature] = self.penalty;
        let mut probe = Probe {
            step,
            value: value + step * (slope + 0.5 * step * curvature),
            slope: slope + step * curvature,
            curvature,
        };
        for ([loss, residual, curvature], u) in self.rows.weighted_terms(&margins).zip(self.along) {
            probe.value += loss;
            probe.slope += residual * u;
            probe.curvature += curvature * u * u;
        }
        probe
    }

    /// What rounding makes of the slope at 0: changes of the margins are small differences of them.
    fn noise(&self) -> f64 {
        let of_row = |([_, residual, _], (z, u)): ([f64; 3], (&f64, &f64))| residual.abs() * (z.abs() + u.abs());
        let of_rows: f64 =
            self.rows.weighted_terms(self.margins).zip(self.margins.iter().zip(self.along)).map(of_row).sum();
        16.0 * f64::EPSILON * (of_rows + 2.0 * self.penalty[0])
    }
}

impl Line for RowLine<'_> {
    fn first(&self) -> Probe {
        self.at(1.0)
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        Ok(steps.iter().map(|&step| self.at(step)).collect())
    }

    fn accept(self: Box<Self>, _: f64, _: Need) -> Result<Evaluation> {
        unreachable!("whoever made the line takes the step")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::logistic::terms;
    use crate::matrix::{FewRows as Columns, Symmetric};
    use crate::monitor::Silent;
    use crate::objective::Passes;
    use crate::solve::{Certain, Reach, Status};

    const ROWS: usize = 9;
    const FEATURES: usize = 14;

    /// Two rows are the same, and a column is constant.
    fn entry(row: usize, column: usize) -> f32 {
        let row = if row == 4 { 2 } else { row };
        if column == FEATURES || column == 5 { 1.0 } else { ((row * 13 + column * 29) % 17) as f32 / 8.0 - 1.0 }
    }

    fn rows(penalty: &[f64], has_intercept: bool) -> FewRows {
        let columns = (0..=FEATURES).flat_map(|j| (0..ROWS).map(move |i| entry(i, j))).collect();
        let matrix = Symmetric::of_few_rows(Arc::new(Columns::new(ROWS, columns)), vec![1.0; ROWS]);
        let kept: Vec<usize> = (0..penalty.len()).collect();
        let mut matrix = matrix.restricted(&kept);
        matrix.add_diagonal(penalty);
        let weights: Vec<f64> = (0..ROWS).map(|i| 0.5 + 0.25 * i as f64).collect();
        let sum: f64 = weights.iter().sum();
        FewRows {
            terms: |z, t| {
                let of_row = terms(z, t);
                [of_row.loss, of_row.residual, of_row.curvature]
            },
            space: RowSpace::new(&matrix).expect("few rows and a penalty"),
            labels: (0..ROWS).map(|i| f64::from(u8::from(i % 3 == 0))).collect(),
            weights: weights.iter().map(|weight| weight / sum).collect(),
            offsets: (0..ROWS).map(|i| 0.3 * i as f64 - 1.0).collect(),
            has_intercept,
        }
    }

    /// The model summed row by row over the entries.
    struct Direct<'r> {
        rows: &'r FewRows,
        penalty: Vec<f64>,
    }

    impl Objective for Direct<'_> {
        fn dimension(&self) -> usize {
            self.penalty.len()
        }

        fn move_to(&mut self, point: &[f64], _: Need) -> Result<Evaluation> {
            let mut value = 0.0;
            let mut gradient = vec![0.0; point.len()];
            for i in 0..ROWS {
                let z: f64 = point.iter().enumerate().map(|(j, q)| q * f64::from(entry(i, j))).sum();
                let of_row = terms(z + self.rows.offsets[i], self.rows.labels[i]);
                value += self.rows.weights[i] * of_row.loss;
                for (j, g) in gradient.iter_mut().enumerate() {
                    *g += self.rows.weights[i] * of_row.residual * f64::from(entry(i, j));
                }
            }
            for (j, (q, l)) in point.iter().zip(&self.penalty).enumerate() {
                value += 0.5 * l * q * q;
                gradient[j] += l * q;
            }
            Ok(Evaluation { value, gradient, diagonal: None, hessian: None })
        }

        fn line<'a>(&'a mut self, _: &mut [f64], _: f64) -> Result<Box<dyn Line + 'a>> {
            unreachable!("lines are over the rows")
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            unreachable!("no solver asks for it")
        }

        fn passes(&self) -> Passes {
            Passes::default()
        }
    }

    /// With an intercept and without, penalties weak and strong and of many sizes, from the origin and from afar.
    #[test]
    fn the_gradient_over_all_entries_vanishes() {
        for (has_intercept, l2) in [(true, 1e-2), (false, 1e-2), (true, 1e-7), (false, 1e3), (true, 1.0)] {
            for from in [0.0, 3.0] {
                let of_column = |j: usize| l2 * (1.0 + (j % 4) as f64);
                let mut penalty: Vec<f64> = (0..FEATURES).map(of_column).collect();
                penalty.extend(has_intercept.then_some(0.0));
                let rows = rows(&penalty, has_intercept);
                let mut objective = Direct { rows: &rows, penalty: penalty.clone() };
                let point: Vec<f64> = (0..penalty.len()).map(|j| from * (j as f64).sin()).collect();
                let evaluation = objective.move_to(&point, Need::Gradient).expect("it evaluates");
                let settings = Settings {
                    penalty,
                    gradient_tolerance: Some(1e-12),
                    reach: Reach { has_intercept, ..Reach::default() },
                    ..Settings::new(ROWS, Vec::new())
                };
                let mut lines = Vec::new();
                let mut history = |iteration: &crate::solve::Iteration<'_>| lines.push(iteration.value);
                let company = &mut Company { monitor: &Silent, history: &mut history, existence: &mut Certain };
                let outcome =
                    few_rows(&mut objective, Start { point, evaluation }, &rows, &settings, company).expect("it runs");
                let what = format!("{has_intercept} {l2} {from}: {outcome:?}");
                assert_eq!(outcome.status, Status::Converged, "{what}");
                assert!(outcome.iterations <= 12, "{what}");
                assert!(lines.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12), "{lines:?}; {what}");
            }
        }
    }

    #[test]
    fn without_a_penalty_on_every_feature_there_is_no_such_space() {
        let columns = (0..24).map(|i| (i % 5) as f32).collect();
        let mut matrix = Symmetric::of_few_rows(Arc::new(Columns::new(3, columns)), vec![1.0; 3]);
        matrix.add_diagonal(&[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
        assert!(RowSpace::new(&matrix).is_none());
        assert!(RowSpace::new(&Symmetric::zero(3)).is_none());
    }
}
