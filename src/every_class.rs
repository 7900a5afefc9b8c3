//! The loss of a softmax as a function of the weights of every class, as a penalty of each weight wants it.
//!
//! Probabilities stay the same if all margins of a row grow by the same number, so an engine has the margins `z_k - z_0` against the
//! first class alone. A penalty chooses one of the weights that differ so: of K classes `f(q_0, ..., q_K-1)` is the loss at the
//! weights `q_k - q_0`, whose gradient for the first class is less the sum of the others, and whose Hessian is singular along equal
//! weights of all classes.
//!
//! # Reference
//! Friedman, Hastie and Tibshirani, *Regularization Paths for Generalized Linear Models via Coordinate Descent* (2010), section 4.

use crate::error::{Error, Result};
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Line, Need, Objective, Passes, Probe, columns_of, places_among};

/// A loss as a function of the weights of every class, `[classes][parameters of a margin]`.
pub struct EveryClass<'o> {
    /// The loss as a function of the weights against the first class.
    against_first: Box<dyn Objective + 'o>,
    /// Parameters of a margin.
    size: usize,
}

impl<'o> EveryClass<'o> {
    /// Of `classes` classes.
    ///
    /// # Panics
    /// If the objective has not a margin for each class but one.
    pub fn new(against_first: Box<dyn Objective + 'o>, classes: usize) -> Self {
        assert!(classes > 2 && against_first.dimension().is_multiple_of(classes - 1), "margins of {classes} classes");
        let size = against_first.dimension() / (classes - 1);
        Self { against_first, size }
    }

    fn differences(&self, point: &[f64]) -> Vec<f64> {
        differences(point, self.size)
    }
}

/// The weights against the first class, of weights of all classes.
pub fn differences(point: &[f64], size: usize) -> Vec<f64> {
    let (first, others) = point.split_at(size);
    others.chunks(size).flat_map(|own| own.iter().zip(first).map(|(own, first)| own - first)).collect()
}

/// Weights of all classes that are those against the first one, whose own are 0.
pub fn with_first(point: &[f64], size: usize) -> Vec<f64> {
    vec![0.0; size].into_iter().chain(point.iter().copied()).collect()
}

/// An evaluation at weights against the first class as one at weights of every class, of which `size` belong to a margin.
pub fn evaluation(found: Evaluation, size: usize) -> Evaluation {
    let hessian = found.hessian.map(|found| hessian(&found, size));
    Evaluation { value: found.value, gradient: gradient(&found.gradient, size), diagonal: None, hessian }
}

/// The gradient of an [`evaluation`].
pub fn gradient(against_first: &[f64], size: usize) -> Vec<f64> {
    let mut gradient = vec![0.0; size];
    for of_class in against_first.chunks(size) {
        gradient.iter_mut().zip(of_class).for_each(|(first, g)| *first -= g);
    }
    gradient.extend(against_first);
    gradient
}

/// The Hessian of an [`evaluation`]: `T'HT` with `T = [-1 | I]`: what belongs to the first class is less the sum of all others.
pub fn hessian(against_first: &Symmetric, size: usize) -> Symmetric {
    let hessian = against_first;
    let others = hessian.size() / size.max(1);
    // `[parameters][places]`: the sums over the classes of what a parameter has with a place.
    let sum = |parameter: usize, place: usize| -> f64 {
        (0..others).map(|class| hessian.get(parameter, class * size + place)).sum()
    };
    let sums: Vec<f64> =
        (0..hessian.size()).flat_map(|i| (0..size).map(move |j| (i, j))).map(|(i, j)| sum(i, j)).collect();
    let of_first = |i: usize, j: usize| -> f64 { (0..others).map(|class| sums[(class * size + i) * size + j]).sum() };
    Symmetric::from_lower(hessian.size() + size, |i, j| match (i.checked_sub(size), j.checked_sub(size)) {
        (Some(i), Some(j)) => hessian.get(i, j),
        (Some(i), None) => -sums[i * size + j],
        (None, Some(j)) => -sums[j * size + i],
        (None, None) => of_first(i, j),
    })
}

impl Objective for EveryClass<'_> {
    fn dimension(&self) -> usize {
        self.against_first.dimension() + self.size
    }

    /// # Errors
    /// Internal if the diagonal alone is needed.
    fn move_to(&mut self, point: &[f64], need: Need) -> Result<Evaluation> {
        if need == Need::Diagonal {
            return Err(without("diagonal"));
        }
        let found = self.against_first.move_to(&self.differences(point), need)?;
        Ok(evaluation(found, self.size))
    }

    fn evaluate_with(&mut self, point: &[f64], kept: &[usize]) -> Result<Evaluation> {
        let (size, others) = (self.size, self.against_first.dimension() / self.size);
        let columns = columns_of(kept, size);
        let of_all: Vec<usize> = (0..others).flat_map(|class| columns.iter().map(move |j| class * size + j)).collect();
        let mut found = self.against_first.evaluate_with(&self.differences(point), &of_all)?;
        let of_columns = found.hessian.take();
        let mut evaluation = evaluation(found, size);
        evaluation.hessian = of_columns.map(|of_columns| {
            let whole = hessian(&of_columns, columns.len());
            whole.restricted(&places_among(kept, size, &columns, columns.len()))
        });
        Ok(evaluation)
    }

    fn evaluate_all(&mut self, points: &[Vec<f64>]) -> Result<Vec<Evaluation>> {
        let points: Vec<Vec<f64>> = points.iter().map(|point| self.differences(point)).collect();
        let found = self.against_first.evaluate_all(&points)?;
        Ok(found.into_iter().map(|found| evaluation(found, self.size)).collect())
    }

    fn line<'a>(&'a mut self, direction: &mut [f64], first_step: f64) -> Result<Box<dyn Line + 'a>> {
        let mut differences = self.differences(direction);
        let line = self.against_first.line(&mut differences, first_step)?;
        // The first class goes as it was told, and the others as far from it as was really taken.
        let (first, others) = direction.split_at_mut(self.size);
        for (own, taken) in others.chunks_mut(self.size).zip(differences.chunks(self.size)) {
            own.iter_mut().zip(first.iter().zip(taken)).for_each(|(own, (first, taken))| *own = first + taken);
        }
        Ok(Box::new(EveryClassLine { line, size: self.size }))
    }

    fn scatter(&mut self) -> Result<Symmetric> {
        Err(without("scatter"))
    }

    fn passes(&self) -> Passes {
        self.against_first.passes()
    }
}

fn without(what: &str) -> Error {
    Error::internal(format!("the weights of every class have no {what}"))
}

struct EveryClassLine<'a> {
    line: Box<dyn Line + 'a>,
    size: usize,
}

impl Line for EveryClassLine<'_> {
    fn first(&self) -> Probe {
        self.line.first()
    }

    fn probe(&mut self, steps: &[f64]) -> Result<Vec<Probe>> {
        self.line.probe(steps)
    }

    fn accept(self: Box<Self>, step: f64, need: Need) -> Result<Evaluation> {
        if need == Need::Diagonal {
            return Err(without("diagonal"));
        }
        Ok(evaluation(self.line.accept(step, need)?, self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(1/2) (q - c)'A (q - c)`, A with 2 on the diagonal, 1 beside it and a little everywhere.
    struct Bowl {
        hessian: Symmetric,
        centre: Vec<f64>,
    }

    impl Bowl {
        fn new(size: usize) -> Self {
            let entry = |i: usize, j: usize| match i - j {
                0 => 2.0,
                1 => 1.0,
                apart => 0.1 / apart as f64,
            };
            let centre = (0..size).map(|j| (1.3 * j as f64).sin()).collect();
            Self { hessian: Symmetric::from_lower(size, entry), centre }
        }
    }

    impl Objective for Bowl {
        fn dimension(&self) -> usize {
            self.centre.len()
        }

        fn move_to(&mut self, point: &[f64], _: Need) -> Result<Evaluation> {
            let way: Vec<f64> = point.iter().zip(&self.centre).map(|(q, c)| q - c).collect();
            let gradient = self.hessian.times(&way);
            let value = 0.5 * gradient.iter().zip(&way).map(|(g, d)| g * d).sum::<f64>();
            Ok(Evaluation { value, gradient, diagonal: None, hessian: Some(self.hessian.clone()) })
        }

        fn line<'a>(&'a mut self, _: &mut [f64], _: f64) -> Result<Box<dyn Line + 'a>> {
            Err(without("line"))
        }

        fn scatter(&mut self) -> Result<Symmetric> {
            Err(without("scatter"))
        }

        fn passes(&self) -> Passes {
            Passes::default()
        }
    }

    /// Of a quadratic differences over a step of 1 are exact: gradient and Hessian are those of the values, whole and of some
    /// parameters, and equal weights of all classes change nothing.
    #[test]
    fn gradients_and_hessians_are_those_of_the_values() {
        let (classes, size) = (4, 3);
        let mut all = EveryClass::new(Box::new(Bowl::new((classes - 1) * size)), classes);
        let point: Vec<f64> = (0..classes * size).map(|j| (0.7 * j as f64).cos()).collect();
        let mut value = |steps: &[(usize, f64)]| {
            let mut point = point.clone();
            for (j, step) in steps {
                point[*j] += step;
            }
            all.move_to(&point, Need::Gradient).expect("nothing fails").value
        };
        let n = classes * size;
        let slopes: Vec<f64> = (0..n).map(|j| 0.5 * (value(&[(j, 1.0)]) - value(&[(j, -1.0)]))).collect();
        let mut curvatures = vec![vec![0.0; n]; n];
        for (i, of_row) in curvatures.iter_mut().enumerate() {
            for (j, curvature) in of_row.iter_mut().enumerate() {
                let corners =
                    value(&[(i, 1.0), (j, 1.0)]) - value(&[(i, 1.0), (j, -1.0)]) - value(&[(i, -1.0), (j, 1.0)]);
                *curvature = 0.25 * (corners + value(&[(i, -1.0), (j, -1.0)]));
            }
        }
        let moved: Vec<(usize, f64)> = (0..classes).map(|class| (class * size + 1, 0.9)).collect();
        assert!((value(&moved) - value(&[])).abs() <= 1e-13);
        let found = all.move_to(&point, Need::Hessian).expect("nothing fails");
        let whole = found.hessian.expect("it was asked for");
        let kept = [0, 2, 5, 7, 8, 11];
        let some = all.evaluate_with(&point, &kept).expect("nothing fails").hessian.expect("it was asked for");
        for i in 0..n {
            assert!((found.gradient[i] - slopes[i]).abs() <= 1e-12, "{i}: {}, {}", found.gradient[i], slopes[i]);
            for (j, curvature) in curvatures[i].iter().enumerate() {
                assert!((whole.get(i, j) - curvature).abs() <= 1e-12, "{i}, {j}");
            }
        }
        for (a, &i) in kept.iter().enumerate() {
            for (b, &j) in kept.iter().enumerate() {
                assert!((some.get(a, b) - curvatures[i][j]).abs() <= 1e-12, "{i}, {j} of some");
            }
        }
    }
}
