//! A model of the loss on the host: that of a sample of the rows, corrected by what is known of all of them.
//!
//! Where the loss of all rows has the gradient `g_a` at an anchor `q_a` and the Hessian `H_k` at a knot `q_k`, the model has the
//! gradient `g_a + s(q) - s(q_a) + D (q - q_a)` and the Hessian `H_s(q) + D` with `D = H_k - H_s(q_k)`, where `s` and `H_s` are
//! those of the sample. What is left of the error is the third derivative alone, as far as the sample misses it, times the
//! square of the way from the anchor.

use crate::error::Result;
use crate::matrix::Symmetric;
use crate::objective::{Evaluation, Need, Objective};
use crate::penalty::{Term, cost_of};
use crate::solve::dot;
use crate::solve::elastic_net::quadratic::{Common, damped, next_minimum};
use crate::solve::elastic_net::working_set::{grown, working_set};

/// A point with the loss of all rows there.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) point: Vec<f64>,
    /// Of all rows.
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
    /// The same, less those of the sample.
    level: f64,
    beside: Vec<f64>,
}

impl Anchor {
    /// For a model without a sample.
    pub(super) fn alone(&self) -> Self {
        Self { level: self.loss, beside: self.gradient.clone(), ..self.clone() }
    }
}

/// What the Hessian of all rows has beside that of the sample, and both where it was taken.
#[derive(Clone, Debug)]
pub(super) struct Knot {
    pub(super) hessian: Symmetric,
    pub(super) correction: Symmetric,
}

/// What is added to the Hessian of the sample: corrections with their shares. Without any the sample stands for all rows.
pub(super) type Correction<'c> = [(f64, &'c Symmetric)];

/// `sum_k share_k D_k v`.
pub(super) fn corrected(correction: &Correction<'_>, v: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; v.len()];
    for (share, own) in correction {
        sum.iter_mut().zip(own.times(v)).for_each(|(sum, x)| *sum += share * x);
    }
    sum
}

/// Where a prediction begins, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'s> {
    pub(super) start: &'s [f64],
    pub(super) terms: &'s [Term],
    /// A step that gains so much ends it.
    pub(super) enough: f64,
    /// A gradient, and the share of its strength from which on a slope in it belongs to the working set: all of them for 0.
    pub(super) slopes: &'s [f64],
    pub(super) share: f64,
}

impl Search<'_> {
    /// The parameters that it begins with.
    fn set(&self) -> Result<Vec<usize>> {
        if self.share <= 0.0 || self.terms.len() <= FEW {
            return Ok((0..self.terms.len()).collect());
        }
        working_set(self.start, self.slopes, self.terms, self.share)
    }
}

/// Where a model has its minimum.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Predicted {
    pub(super) point: Vec<f64>,
    /// The loss of all rows there, by the model, and its gradient.
    pub(super) loss: f64,
    pub(super) gradient: Vec<f64>,
    /// Whether no sample led there.
    pub(super) is_alone: bool,
}

/// Up to so many parameters all are in the working set.
const FEW: usize = 128;

/// Up to so many the Hessian of all is taken for some of them.
const WHOLE: usize = 1025;

/// Steps on the model at most.
const STEPS: usize = 80;

/// A Hessian of the sample takes the time of a step for each so many parameters, and of two at least.
const PARAMETERS_A_STEP: f64 = 150.0;

/// A step that gains so much of the loss is a long one.
const FAR: f64 = 1e-4;

/// A step of the model that gains so much of the loss or less is taken as it is.
const SMALL: f64 = 1e-6;

/// The share of the gain that the quadratic promises which a shorter step has to bring (Armijo 1966).
const ENOUGH: f64 = 1e-3;

/// The loss of a sample, corrected; without a sample a quadratic.
pub(super) struct Surrogate<'o> {
    sample: Option<&'o mut dyn Objective>,
    /// How far each parameter reaches into a margin.
    reach: &'o [f64],
    /// The Hessian of the model where it was taken last.
    kept: Option<KeptHessian>,
}

/// A Hessian of a working set, and what the minima of quadratics with it have in common.
struct KeptHessian {
    set: Vec<usize>,
    hessian: Symmetric,
    common: Common,
}

impl KeptHessian {
    /// Whether all of another set are in its own.
    fn has(&self, set: &[usize]) -> bool {
        set.iter().all(|j| self.set.binary_search(j).is_ok())
    }
}

impl<'o> Surrogate<'o> {
    pub(super) fn new(sample: Option<&'o mut dyn Objective>, reach: &'o [f64]) -> Self {
        Self { sample, reach, kept: None }
    }

    pub(super) fn has_sample(&self) -> bool {
        self.sample.is_some()
    }

    /// From here on it is a quadratic.
    pub(super) fn give_up(&mut self) {
        self.sample = None;
    }

    pub(super) fn sample(&mut self) -> Option<&mut dyn Objective> {
        match &mut self.sample {
            Some(sample) => Some(&mut **sample),
            None => None,
        }
    }

    /// An anchor at `point`, where all rows have this loss and this gradient.
    pub(super) fn anchor(&mut self, point: &[f64], loss: f64, gradient: &[f64]) -> Result<Anchor> {
        let (mut level, mut beside) = (loss, gradient.to_vec());
        if let Some(sample) = &mut self.sample {
            let own = sample.move_to(point, Need::Gradient)?;
            level -= own.value;
            beside.iter_mut().zip(&own.gradient).for_each(|(all, own)| *all -= own);
        }
        Ok(Anchor { point: point.to_vec(), loss, gradient: gradient.to_vec(), level, beside })
    }

    /// A knot at `point`, where all rows have the Hessian `hessian`; `None` if the sample has none there.
    pub(super) fn knot(&mut self, point: &[f64], hessian: &Symmetric) -> Result<Option<Knot>> {
        let mut correction = hessian.clone();
        if let Some(sample) = &mut self.sample {
            let Some(mut own) = sample.move_to(point, Need::Hessian)?.hessian else { return Ok(None) };
            own.scale(-1.0);
            correction.add(&own);
        }
        Ok(correction.is_finite().then(|| Knot { hessian: hessian.clone(), correction }))
    }

    /// The Hessian of the sample at `point`, of the parameters of a working set.
    pub(super) fn hessian(&mut self, point: &[f64], set: &[usize]) -> Result<Option<Symmetric>> {
        Ok(self.evaluate(point, set)?.hessian)
    }

    /// The loss of the sample with its Hessian, of a working set; 0 without a sample.
    fn evaluate(&mut self, point: &[f64], set: &[usize]) -> Result<Evaluation> {
        let size = point.len();
        match &mut self.sample {
            Some(sample) if set.len() == size => sample.move_to(point, Need::Hessian),
            // Whole products are made faster than those of some columns.
            Some(sample) if size <= WHOLE && 3 * set.len() > size => {
                let mut evaluation = sample.move_to(point, Need::Hessian)?;
                evaluation.hessian = evaluation.hessian.map(|hessian| hessian.restricted(set));
                Ok(evaluation)
            }
            Some(sample) => sample.evaluate_with(point, set),
            None => Ok(Evaluation {
                value: 0.0,
                gradient: vec![0.0; size],
                diagonal: None,
                hessian: Some(Symmetric::zero(set.len())),
            }),
        }
    }

    /// The minimum of the model with the terms, around anchors with their shares, which add up to 1; `None` where the model has none or
    /// is lost. Without a correction the Hessian is that of the sample.
    ///
    /// # Errors
    /// Those of the sample; of kind `Usage` if the working set grows beyond what can be solved for.
    ///
    /// # Reference
    /// Lee, Sun and Saunders, *Proximal Newton-Type Methods for Minimizing Composite Functions* (2014).
    pub(super) fn minimum(
        &mut self,
        anchors: &[(f64, &Anchor)],
        correction: &Correction<'_>,
        search: &Search<'_>,
    ) -> Result<Option<Predicted>> {
        let Search { start, terms, enough, .. } = *search;
        let model = Model::new(anchors, correction, terms);
        let mut set = search.set()?;
        let mut point = start.to_vec();
        let (mut value, mut own) = self.gradient(&point)?;
        let (mut before, mut farthest, mut must_renew) = (0.0, 0.0_f64, false);
        for _ in 0..STEPS {
            let gradient = model.gradient(&point, &own);
            // A quadratic has its own.
            let kept = self.kept.as_mut().filter(|kept| self.sample.is_some() && kept.has(&set));
            let mut step = kept.and_then(|kept| model.step(&point, &gradient, kept));
            // A Hessian from elsewhere is good as long as the steps to the end are less work than a new one.
            let worth = (terms.len() as f64 / PARAMETERS_A_STEP).max(2.0);
            let is_slow = |step: &Step| before > 0.0 && steps_left(before, step.curvature, enough) > worth;
            let is_fresh = must_renew || step.as_ref().is_none_or(is_slow);
            must_renew = false;
            if is_fresh {
                // What was selected on the way belongs to it.
                let is_selected = |j: &usize| point[*j] != 0.0 || set.binary_search(j).is_ok();
                set = (0..point.len()).filter(is_selected).collect();
                self.kept = self.hessian_at(&point, &model, set.clone())?;
                step = self.kept.as_mut().and_then(|kept| model.step(&point, &gradient, kept));
            }
            let finite = step.filter(|step| step.curvature.is_finite());
            let (Some(Step { target, curvature, promised }), Some(kept)) = (finite, &self.kept) else {
                return Ok(None);
            };
            set.clone_from(&kept.set);
            before = curvature;
            // A quadratic is solved exactly. Far from where its Hessian was taken a model may have lost its minimum.
            farthest = farthest.max(curvature);
            if curvature <= enough && farthest > FAR && !is_fresh && self.sample.is_some() {
                (point, before, must_renew) = (target, 0.0, true);
                (value, own) = self.gradient(&point)?;
                continue;
            }
            if curvature <= enough || self.sample.is_none() {
                if kept.set.len() == terms.len() {
                    // The gradient of where it came from will do.
                    let loss = model.loss(&target, value + dot(&own, &way(&point, &target)));
                    return Ok(Some(Predicted { loss, gradient, point: target, is_alone: false }));
                }
                let known = kept.set.clone();
                (value, own) = self.gradient(&target)?;
                let gradient = model.gradient(&target, &own);
                (set, point) = (grown(&known, &gradient, terms)?, target);
                if set.len() == known.len() {
                    let loss = model.loss(&point, value);
                    return Ok(Some(Predicted { loss, gradient, point, is_alone: false }));
                }
                continue;
            }
            let step = Step { target, curvature, promised };
            let Some(next) = self.go(&model, &point, value, &step)? else { return Ok(None) };
            (point, value, own) = next;
        }
        Ok(None)
    }

    /// Goes the whole step, half of it, then what is short enough for certain, or nearly: the point with the loss of the sample and its
    /// gradient. `None` where the model costs more everywhere.
    fn go(&mut self, model: &Model<'_>, point: &[f64], value: f64, step: &Step) -> Result<Option<Seen>> {
        let Step { target, curvature, promised } = step;
        let cost = model.cost(point, value);
        let damped = damped(&way(point, target), self.reach);
        for length in [1.0, 0.5, 4.0 * damped, damped, damped / 8.0, damped / 64.0] {
            let there: Vec<f64> = if length < 1.0 {
                point.iter().zip(target).map(|(q, t)| q + length * (t - q)).collect()
            } else {
                target.clone()
            };
            let (value, own) = self.gradient(&there)?;
            if *curvature <= SMALL || model.cost(&there, value) <= cost + ENOUGH * length.min(1.0) * promised {
                return Ok(Some((there, value, own)));
            }
        }
        Ok(None)
    }

    /// The Hessian of the model at `point`, of a working set; `None` if the sample has none there.
    fn hessian_at(&mut self, point: &[f64], model: &Model<'_>, set: Vec<usize>) -> Result<Option<KeptHessian>> {
        let Some(mut hessian) = self.evaluate(point, &set)?.hessian else { return Ok(None) };
        hessian.add_parts(model.correction, &set);
        Ok(Some(KeptHessian { set, hessian, common: Common::default() }))
    }

    /// The loss of the sample at `point` with its gradient; 0 without a sample.
    fn gradient(&mut self, point: &[f64]) -> Result<(f64, Vec<f64>)> {
        let Some(sample) = &mut self.sample else { return Ok((0.0, vec![0.0; point.len()])) };
        let Evaluation { value, gradient, .. } = sample.move_to(point, Need::Gradient)?;
        Ok((value, gradient))
    }
}

/// Steps until so little is gained, if each leaves to the next what the last one did.
fn steps_left(before: f64, now: f64, enough: f64) -> f64 {
    let ratio = now / before;
    if ratio < 1.0 { (enough / now).ln().min(0.0) / ratio.ln() } else { f64::INFINITY }
}

/// A point with the loss of the sample and its gradient.
type Seen = (Vec<f64>, f64, Vec<f64>);

/// From `from` to `to`.
pub(super) fn way(from: &[f64], to: &[f64]) -> Vec<f64> {
    to.iter().zip(from).map(|(to, from)| to - from).collect()
}

/// The mean over anchors of something that they have.
fn mean(anchors: &[(f64, &Anchor)], of: fn(&Anchor) -> &[f64]) -> Vec<f64> {
    let mut mean = vec![0.0; anchors.first().map_or(0, |(_, anchor)| of(anchor).len())];
    for (share, anchor) in anchors {
        mean.iter_mut().zip(of(anchor)).for_each(|(mean, x)| *mean += share * x);
    }
    mean
}

/// The model with its terms, around anchors.
struct Model<'m> {
    anchors: &'m [(f64, &'m Anchor)],
    /// The mean of the anchors, and what all rows have beside the sample there.
    centre: Vec<f64>,
    beside: Vec<f64>,
    correction: &'m Correction<'m>,
    terms: &'m [Term],
}

/// A step of Newton's method on it.
struct Step {
    target: Vec<f64>,
    /// Along the step.
    curvature: f64,
    /// The change of the cost by the quadratic model.
    promised: f64,
}

impl<'m> Model<'m> {
    fn new(anchors: &'m [(f64, &'m Anchor)], correction: &'m Correction<'m>, terms: &'m [Term]) -> Self {
        let (centre, beside) = (mean(anchors, |anchor| &anchor.point), mean(anchors, |anchor| &anchor.beside));
        Self { anchors, centre, beside, correction, terms }
    }

    /// The loss of all rows at `point`, where the sample has the loss `value`.
    fn loss(&self, point: &[f64], value: f64) -> f64 {
        let beside = |anchor: &Anchor| {
            let way = way(&anchor.point, point);
            anchor.level + dot(&anchor.beside, &way) + 0.5 * dot(&way, &corrected(self.correction, &way))
        };
        value + self.anchors.iter().map(|(share, anchor)| share * beside(anchor)).sum::<f64>()
    }

    /// Its cost at `point`, but for a constant, where the sample has the loss `value`.
    fn cost(&self, point: &[f64], value: f64) -> f64 {
        let way = way(&self.centre, point);
        let corrected = 0.5 * dot(&way, &corrected(self.correction, &way));
        value + dot(&self.beside, &way) + corrected + cost_of(self.terms, point)
    }

    /// The gradient of its smooth part at `point`, where the sample has this one.
    fn gradient(&self, point: &[f64], of_sample: &[f64]) -> Vec<f64> {
        let mut gradient: Vec<f64> = of_sample.iter().zip(&self.beside).map(|(s, b)| s + b).collect();
        let corrected = corrected(self.correction, &way(&self.centre, point));
        gradient.iter_mut().zip(corrected).for_each(|(g, c)| *g += c);
        gradient
    }

    /// The step at `point` by a Hessian of a working set.
    fn step(&self, point: &[f64], gradient: &[f64], kept: &mut KeptHessian) -> Option<Step> {
        let KeptHessian { set, hessian, common } = kept;
        let of_set = |all: &[f64]| set.iter().map(|&j| all[j]).collect::<Vec<f64>>();
        let (from, slopes) = (of_set(point), of_set(gradient));
        let terms: Vec<Term> = set.iter().map(|&j| self.terms[j]).collect();
        let c: Vec<f64> = slopes.iter().zip(hessian.times(&from)).map(|(g, product)| g - product).collect();
        let to = next_minimum(hessian, common, &c, &terms, &from)?.point;
        let step = way(&from, &to);
        let mut target = point.to_vec();
        for (&j, x) in set.iter().zip(&to) {
            target[j] = *x;
        }
        let promised = dot(&slopes, &step) + cost_of(&terms, &to) - cost_of(&terms, &from);
        Some(Step { target, curvature: dot(&step, &hessian.times(&step)), promised })
    }
}
