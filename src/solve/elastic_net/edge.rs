//! Parameters on the edge: those whose selection what is left to gain, or an error of the gradient, may turn over.
//!
//! At a point `q` with the gradient `g` and a Hessian `H`, the minimum of the quadratic model is at the *target* `q + d`. There a
//! parameter that is not selected has the slope `g + Hd`, and what parts it from its strength is its *room*; what parts a selected one
//! from 0 is its value. Two things may be wrong with either.
//!
//! - *The model.* The step `d` is not taken yet, and as far as the Hessian is another one it goes too far or not far enough. It is
//!   doubted whole: `|d_j|` of a value, `|(Hd)_j|` of a slope, so that `q`, the target and what lies as far beyond decide alike.
//! - *The gradient.* With errors of `e_k` at most, the minimum over the support S with the matrix `M = H_SS + l2` moves by
//!   `sum_k |M^-1|_jk e_k` at most, and the slope beside it by `e_j + sum_k |M^-1 H_Sj|_k e_k`. An error of a column's own alone would be
//!   too little: of columns that are nearly the same one's error is the other's. What is on the edge may be selected, so it counts
//!   among the support where others are measured.

use crate::error::Result;
use crate::matrix::{Factor, Symmetric};
use crate::penalty::{Term, settle};
use crate::solve::Settings;
use crate::solve::elastic_net::certificate::{RIDGES, Refined};
use crate::solve::elastic_net::working_set::WORKING_SET;
use crate::solve::elastic_net::{EDGE, ERROR_OF_SUMS};

/// The error of a mean in f64, a share of the spread of what it is of: of sums, of margins, and of what a minimum is solved to.
const ERROR_OF_DOUBLES: f64 = 1.0 / (1_u64 << 40) as f64;

/// A ridge, a share of the mean of the diagonal, where columns of the support are the same: then an error decides between them.
const LEAST_RIDGE: f64 = 1e-12;

/// How often what is on the edge may bring others there.
const ROUNDS: usize = 8;

/// What errors of all columns of a support may do together to a slope beside it, in errors of its own, before more is known.
const TOGETHER: f64 = 256.0;

/// What is known at a point.
pub(super) struct Certified<'c> {
    /// Where.
    pub(super) point: &'c [f64],
    /// The gradient of the loss.
    pub(super) gradient: &'c [f64],
    /// What is left to gain, and where the quadratic model says it is.
    pub(super) gap: f64,
    /// There.
    pub(super) target: &'c [f64],
    /// Of each parameter.
    pub(super) terms: &'c [Term],
    /// Parameters of a margin. Where every one of several classes has its own, there are more.
    pub(super) margin: usize,
    /// The error of the gradient, a share of the spread of each column's terms.
    pub(super) error: f64,
}

/// The error of gradients at `point`, a share of the spread of each column's terms: by the sums of the device, the bias of its
/// functions, and by the rounding of columns and margins, which is random from row to row.
pub(super) fn error_of_gradients(settings: &Settings, point: &[f64]) -> f64 {
    let sums = if settings.is_f32() { ERROR_OF_SUMS } else { ERROR_OF_DOUBLES };
    let of_margins: f64 = 0.25 * point.iter().map(|q| q * q).sum::<f64>();
    let is_rounded = settings.reach.rounded.is_empty() || settings.reach.rounded.contains(&true);
    let rounding =
        if is_rounded { settings.rounding * ((1.0 + of_margins) / settings.count.max(1.0)).sqrt() } else { 0.0 };
    sums + settings.bias / settings.rows.sqrt() + rounding
}

impl Refined {
    /// The parameters on the edge, ascending, by the gradient in double precision; `margin` is the number of parameters of a margin.
    pub fn on_edge(&self, hessian: &Symmetric, terms: &[Term], margin: usize) -> Vec<usize> {
        let Self { point, evaluation, gap, target, .. } = self;
        let (gradient, error) = (&evaluation.gradient, ERROR_OF_DOUBLES);
        on_edge(&Certified { point, gradient, gap: *gap, target, terms, margin, error }, hessian)
    }
}

/// The parameters on the edge, ascending, by a Hessian of all of them.
pub(super) fn on_edge(certified: &Certified<'_>, hessian: &Symmetric) -> Vec<usize> {
    let most = hessian.diagonal().into_iter().fold(0.0, f64::max);
    on_edge_by(certified, most, |_, set| Ok(hessian.restricted(set))).unwrap_or_default()
}

/// The same by the Hessian of those that may be there: the selected ones, what costs nothing, and what is steep. None has a curvature
/// above `most`, so that none outside has a slope that the step takes to its strength: `|(Hd)_j|^2 <= H_jj d'Hd`, and `d'Hd` is twice what
/// is left to gain at most.
///
/// # Errors
/// Those of `hessian_of`, which has the point and the parameters.
pub(super) fn on_edge_by(
    certified: &Certified<'_>,
    most: f64,
    hessian_of: impl FnOnce(&[f64], &[usize]) -> Result<Symmetric>,
) -> Result<Vec<usize>> {
    let Certified { gradient, gap, margin, error, .. } = *certified;
    if !gap.is_finite() {
        return Ok(Vec::new());
    }
    let (point, target, terms) = settled(certified.point, certified.target, certified.terms, margin);
    let near = most.max(0.0).sqrt() * ((8.0 * gap).sqrt() + TOGETHER * error);
    let set = candidates(&point, &target, gradient, &terms, near);
    let hessian = hessian_of(&point, &set)?;
    let of_set = |all: &[f64]| set.iter().map(|&j| all[j]).collect::<Vec<f64>>();
    let terms_of_set: Vec<Term> = set.iter().map(|&j| terms[j]).collect();
    let edges = Edges::new(&hessian, &terms_of_set, of_set(&point), of_set(&target), &of_set(gradient), error);
    Ok(edges.found().into_iter().map(|place| set[place]).collect())
}

/// What is selected, at a point or at its target, what costs nothing, and what is steep or as `near` to its strength: of those the nearest,
/// as many as a working set has room for.
fn candidates(point: &[f64], target: &[f64], gradient: &[f64], terms: &[Term], near: f64) -> Vec<usize> {
    let is_own = |j: &usize| point[*j] != 0.0 || target[*j] != 0.0 || !terms[*j].has_kink();
    let room_of = |j: usize| room(&terms[j], gradient[j]);
    let is_near = |j: &usize| room_of(*j) <= near.max((1.0 - EDGE) * terms[*j].l1);
    let (mut set, mut others): (Vec<usize>, Vec<usize>) =
        (0..terms.len()).filter(|&j| terms[j].l1.is_finite()).partition(is_own);
    others.retain(is_near);
    others.sort_by(|&a, &b| room_of(a).total_cmp(&room_of(b)).then(a.cmp(&b)));
    others.truncate(WORKING_SET.saturating_sub(set.len()));
    set.extend(others);
    set.sort_unstable();
    set
}

/// A point and a target as they are told, and the terms of what is open there: a parameter that is 0 because one of several as good
/// ones has to be stays there.
fn settled(point: &[f64], target: &[f64], terms: &[Term], margin: usize) -> (Vec<f64>, Vec<f64>, Vec<Term>) {
    let (mut point, mut target, mut terms) = (point.to_vec(), target.to_vec(), terms.to_vec());
    let held = settle(&mut point, &terms, margin);
    settle(&mut target, &terms, margin);
    for &j in &held {
        // The target by the same choice.
        let taken = target[j];
        target.iter_mut().skip(j % margin).step_by(margin).for_each(|x| *x -= taken);
        terms[j] = Term::ABSENT;
    }
    (point, target, terms)
}

/// What parts a slope at 0 from the strength of its parameter, on the sides where bounds let it go.
fn room(term: &Term, slope: f64) -> f64 {
    let up = if term.high > 0.0 { term.l1 + slope } else { f64::INFINITY };
    let down = if term.low < 0.0 { term.l1 - slope } else { f64::INFINITY };
    up.min(down)
}

/// What may be on the edge.
struct Edges<'e> {
    hessian: &'e Symmetric,
    terms: &'e [Term],
    point: Vec<f64>,
    target: Vec<f64>,
    /// What the step changes slopes by, and what they are then.
    changes: Vec<f64>,
    slopes: Vec<f64>,
    /// Of the gradient.
    errors: Vec<f64>,
}

impl<'e> Edges<'e> {
    fn new(
        hessian: &'e Symmetric,
        terms: &'e [Term],
        point: Vec<f64>,
        target: Vec<f64>,
        gradient: &[f64],
        error: f64,
    ) -> Self {
        let way: Vec<f64> = target.iter().zip(&point).map(|(target, q)| target - q).collect();
        let changes = hessian.times(&way);
        let slopes = gradient.iter().zip(&changes).map(|(g, change)| g + change).collect();
        let errors = hessian.diagonal().into_iter().map(|own| error * own.max(0.0).sqrt()).collect();
        Self { hessian, terms, point, target, changes, slopes, errors }
    }

    fn found(&self) -> Vec<usize> {
        let is_selection = |j: &usize| self.terms[*j].has_kink() && self.terms[*j].l1.is_finite();
        let turns = |j: &usize| (self.point[*j] == 0.0) != (self.target[*j] == 0.0);
        let all: Vec<usize> = (0..self.point.len()).filter(is_selection).collect();
        let mut found: Vec<usize> = all.iter().copied().filter(turns).collect();
        for _ in 0..ROUNDS {
            let support = self.support(&found);
            let Some(factor) = self.factor(&support) else { break };
            let beside = Beside::new(self, &support, &factor);
            let more: Vec<usize> =
                all.iter().copied().filter(|j| !found.contains(j) && beside.is_on_edge(*j)).collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.sort_unstable();
        found
    }

    /// What is free to move: the selected ones, what has no kink, and what may be selected.
    fn support(&self, found: &[usize]) -> Vec<usize> {
        let is_free = |j: &usize| {
            let (term, x) = (&self.terms[*j], self.target[*j]);
            found.contains(j) || (x != 0.0 || !term.has_kink()) && !term.is_at_bound(x)
        };
        (0..self.point.len()).filter(is_free).collect()
    }

    /// The factor of the matrix of a support; `None` if that is far from definite.
    fn factor(&self, support: &[usize]) -> Option<Factor> {
        let mut matrix = self.hessian.restricted(support);
        matrix.add_diagonal(&support.iter().map(|&j| self.terms[j].l2).collect::<Vec<_>>());
        let own = matrix.factor().filter(|factor| factor.least_pivot() > LEAST_RIDGE);
        let ridges = [LEAST_RIDGE].into_iter().chain(RIDGES.into_iter().filter(|ridge| *ridge > 0.0));
        own.or_else(|| ridges.into_iter().find_map(|ridge| matrix.ridged(ridge).factor()))
    }
}

/// How far errors of the gradient move the minimum over a support, and slopes beside it.
struct Beside<'b> {
    edges: &'b Edges<'b>,
    support: &'b [usize],
    factor: &'b Factor,
    /// Of `M^-1`.
    inverse: Vec<f64>,
    /// `sum_k sqrt(M^-1_kk) e_k`: what is below it times `sqrt(M^-1_jj)`, or `sqrt(H_jj)`, is looked at closely.
    together: f64,
}

impl<'b> Beside<'b> {
    fn new(edges: &'b Edges<'b>, support: &'b [usize], factor: &'b Factor) -> Self {
        let inverse = factor.inverse_diagonal();
        let together = inverse.iter().zip(support).map(|(inverse, &k)| inverse.max(0.0).sqrt() * edges.errors[k]).sum();
        Self { edges, support, factor, inverse, together }
    }

    fn is_on_edge(&self, j: usize) -> bool {
        let Edges { hessian, terms, point, target, changes, slopes, errors } = self.edges;
        let way = (target[j] - point[j]).abs();
        if let Ok(place) = self.support.binary_search(&j) {
            let most = way + self.inverse[place].max(0.0).sqrt() * self.together;
            let unit = |&k: &usize| f64::from(u8::from(k == j));
            return target[j].abs() <= most && target[j].abs() <= way + self.moved(unit);
        }
        if target[j] != 0.0 {
            return false;
        }
        let room = room(&terms[j], slopes[j]);
        let own = changes[j].abs() + errors[j];
        room <= own + hessian.get(j, j).max(0.0).sqrt() * self.together
            && room <= own + self.moved(|&k| hessian.get(k, j))
    }

    /// `sum_k |M^-1 b|_k e_k`.
    fn moved(&self, b: impl Fn(&usize) -> f64) -> f64 {
        let solved = self.factor.solve(&self.support.iter().map(b).collect::<Vec<f64>>());
        solved.iter().zip(self.support).map(|(x, &k)| x.abs() * self.edges.errors[k]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::elastic_net::quadratic::{Minimum, minimum};

    const LASSO: Term = Term { l1: 1.0, ..Term::FREE };

    /// Of a parameter with a curvature of 4, whose gradient is off by twice `error`.
    fn is_one(term: Term, point: f64, target: f64, gradient: f64, error: f64) -> bool {
        let hessian = Symmetric::from_lower(1, |_, _| 4.0);
        let (point, target, gradient, terms) = ([point], [target], [gradient], [term]);
        let (point, target, gradient, terms) = (&point[..], &target[..], &gradient[..], &terms[..]);
        let certified = |gap: f64| Certified { point, gradient, gap, target, terms, margin: 1, error };
        assert!(on_edge(&certified(f64::INFINITY), &hessian).is_empty(), "nothing is known there");
        !on_edge(&certified(1e-3), &hessian).is_empty()
    }

    /// A slope within its error of the strength, on a side where bounds let it go; a value within what the error moves it; a step that
    /// turns over a selection or would if it were twice as long.
    #[test]
    fn one_parameter_is_on_the_edge_in_closed_form() {
        let at_rest = |term: Term, slope: f64| is_one(term, 0.0, 0.0, slope, 0.01);
        for sign in [1.0, -1.0] {
            assert!(at_rest(LASSO, 0.981 * sign) && !at_rest(LASSO, 0.979 * sign));
            assert!(at_rest(LASSO, sign) && at_rest(LASSO, 1.001 * sign));
            let selected = |term: Term, x: f64| is_one(term, x * sign, x * sign, -sign, 0.01);
            assert!(selected(LASSO, 0.0049) && !selected(LASSO, 0.0051));
            let net = Term { l2: 4.0, ..LASSO };
            assert!(selected(net, 0.0024) && !selected(net, 0.0026));
            // What a bound holds is selected.
            let bounds = Term { low: -0.004, high: 0.004, ..LASSO };
            assert!(!selected(bounds, 0.004) && selected(bounds, 0.003));
            let stepping = |from: f64, to: f64| is_one(LASSO, from * sign, to * sign, 0.0, 0.0);
            assert!(stepping(0.1, 0.049) && !stepping(0.1, 0.051) && !stepping(0.1, 0.2));
            assert!(stepping(0.0, 0.1) && stepping(0.1, 0.0) && stepping(0.1, -0.1));
        }
        let upwards = Term { low: 0.0, ..LASSO };
        assert!(at_rest(upwards, -0.99) && !at_rest(upwards, 0.99) && !at_rest(upwards, 5.0));
        for other in [Term::FREE, Term { l2: 1.0, ..Term::FREE }, Term::ABSENT] {
            assert!(!at_rest(other, 1.0) && !is_one(other, 0.001, 0.001, 1.0, 0.01));
        }
    }

    /// What a step beside it does to a slope is doubted whole; equal columns are on the edge together; and what one of two classes has
    /// for being told is no matter.
    #[test]
    fn others_bring_a_parameter_to_the_edge() {
        let hessian = Symmetric::from_lower(2, |i, j| if i == j { 1.0 } else { 0.5 });
        let terms = [LASSO; 2];
        let of = |point: [f64; 2], target: [f64; 2], gradient: [f64; 2], hessian: &Symmetric, margin: usize| {
            let (point, target, gradient, terms) = (&point, &target, &gradient, &terms);
            on_edge(&Certified { point, gradient, gap: 0.1, target, terms, margin, error: 1e-6 }, hessian)
        };
        // The first goes from 1 to 1.2, which changes the second's slope by 0.1, to 0.85 and to 0.95.
        assert_eq!(of([1.0, 0.0], [1.2, 0.0], [-1.2, 0.75], &hessian, 2), Vec::<usize>::new());
        assert_eq!(of([1.0, 0.0], [1.2, 0.0], [-1.2, 0.85], &hessian, 2), [1]);
        let equal = Symmetric::from_lower(2, |_, _| 1.0);
        assert_eq!(of([1.0, 0.0], [1.0, 0.0], [-1.0, -1.0], &equal, 2), [0, 1]);
        // Weights of two classes, 0.5 and -0.5: told as 1 and 0, whose slope is its strength.
        let classes = Symmetric::from_lower(2, |i, j| if i == j { 1.0 } else { -1.0 });
        assert_eq!(of([0.5, -0.5], [0.5, -0.5], [-1.0, 1.0], &classes, 1), Vec::<usize>::new());
        assert_eq!(of([0.5e-6, -0.5e-6], [0.5e-6, -0.5e-6], [-1.0, 1.0], &classes, 1).len(), 1);
    }

    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            2.0 * (state >> 11) as f64 / (1_u64 << 53) as f64 - 1.0
        }
    }

    /// Quadratics of correlated columns with gradients that are off by their errors in many ways, at random and in the worst ones for
    /// each parameter: what is selected in some of them and not in others is on the edge, and little else is.
    #[test]
    fn what_errors_of_the_gradient_turn_over_is_on_the_edge() {
        let (size, error) = (7, 5e-3);
        let (mut turned, mut named, mut all) = (0, 0, 0);
        for seed in 0..1_500 {
            let mut next = random(seed);
            let shared = if seed % 2 == 0 { 0.3 } else { 0.9 };
            let rows: Vec<Vec<f64>> = (0..12)
                .map(|_| {
                    let common = next();
                    (0..size).map(|_| shared * common + (1.0 - shared) * next()).collect()
                })
                .collect();
            let hessian = Symmetric::from_lower(size, |i, j| rows.iter().map(|row| row[i] * row[j]).sum::<f64>());
            let c: Vec<f64> = (0..size).map(|_| 3.0 * next()).collect();
            let l2 = if seed % 3 == 0 { 0.1 } else { 0.0 };
            let mut terms = vec![Term { l1: 0.8, l2, ..Term::FREE }; size];
            terms[0] = Term::FREE;
            terms[1].low = 0.0;
            let solved = |c: &[f64]| -> Vec<f64> {
                let Some(Minimum { point, .. }) = minimum(&hessian, c, &terms, &vec![0.0; size]) else {
                    panic!("a definite matrix")
                };
                point
            };
            let point = solved(&c);
            let gradient: Vec<f64> = c.iter().zip(hessian.times(&point)).map(|(c, product)| c + product).collect();
            let certified = Certified {
                point: &point,
                gradient: &gradient,
                gap: 0.0,
                target: &point,
                terms: &terms,
                margin: size,
                error,
            };
            let found = on_edge(&certified, &hessian);
            let errors: Vec<f64> = hessian.diagonal().iter().map(|own| error * own.sqrt()).collect();
            let mut turns = vec![false; size];
            for signs in 0..1 << size {
                let off: Vec<f64> = c
                    .iter()
                    .zip(&errors)
                    .enumerate()
                    .map(|(j, (c, e))| if signs >> j & 1 == 0 { c - e } else { c + e })
                    .collect();
                for (turns, (a, b)) in turns.iter_mut().zip(solved(&off).iter().zip(&point)) {
                    *turns |= (*a == 0.0) != (*b == 0.0);
                }
            }
            for (j, turns) in turns.into_iter().enumerate() {
                assert!(!turns || found.contains(&j) || !terms[j].has_kink(), "{seed}: {j} turns, named are {found:?}");
                turned += usize::from(turns);
            }
            (named, all) = (named + found.len(), all + size - 1);
        }
        assert!(turned >= 40 && named <= turned + turned / 5 && 10 * named < all, "{turned}, {named} of {all}");
    }

    /// Points near the minimum with a Hessian that is off by up to a third in each direction: where the minimum has another selection
    /// than the point, the parameter is on the edge, and little else is.
    #[test]
    fn what_is_left_to_gain_turns_over_is_on_the_edge() {
        let size = 8;
        let (mut turned, mut missed, mut named, mut all) = (0, 0, 0, 0);
        for seed in 0..2_000 {
            let mut next = random(seed + 1_000);
            let rows: Vec<Vec<f64>> = (0..20)
                .map(|_| {
                    let common = next();
                    (0..size).map(|_| 0.4 * common + 0.6 * next()).collect()
                })
                .collect();
            let weights: Vec<f64> = (0..20).map(|_| 1.0 + 0.33 * next()).collect();
            let gram = |weights: &[f64]| {
                let entry =
                    |i: usize, j: usize| rows.iter().zip(weights).map(|(row, w)| w * row[i] * row[j]).sum::<f64>();
                Symmetric::from_lower(size, entry)
            };
            let (truth, hessian) = (gram(&[1.0; 20]), gram(&weights));
            let c: Vec<f64> = (0..size).map(|_| 3.0 * next()).collect();
            let terms = vec![Term { l1: 0.8, ..Term::FREE }; size];
            let solved = |hessian: &Symmetric, c: &[f64]| {
                minimum(hessian, c, &terms, &vec![0.0; size]).expect("a definite matrix").point
            };
            let best = solved(&truth, &c);
            // A point that was the minimum of something else.
            let near: Vec<f64> = c.iter().map(|c| c + 0.02 * next()).collect();
            let point = solved(&truth, &near);
            let gradient: Vec<f64> = c.iter().zip(truth.times(&point)).map(|(c, product)| c + product).collect();
            let (gap, target) = crate::solve::elastic_net::gap(&point, &gradient, &hessian, &terms);
            let (point, gradient, target, terms) = (&point, &gradient, &target, &terms);
            let found =
                on_edge(&Certified { point, gradient, gap, target, terms, margin: size, error: 1e-12 }, &hessian);
            for j in 0..size {
                let turns = (best[j] == 0.0) != (point[j] == 0.0);
                turned += usize::from(turns);
                missed += usize::from(turns && !found.contains(&j));
            }
            (named, all) = (named + found.len(), all + size);
        }
        assert!(turned >= 40 && missed == 0 && named <= 3 * turned, "{turned}, {missed}, {named} of {all}");
    }
}
