//! A quadratic with an elastic net in a box, solved exactly on the host.
//!
//! A few sweeps over the coordinates bring the point near; then an active set ends it. The support is solved for with the
//! signs it has, the point goes there as far as no sign changes, a coordinate that arrives at 0 or at a bound leaves, and the
//! worst half of those that should not be at rest joins. Sweeps alone need thousands of rounds where columns are collinear.
//!
//! # Reference
//! Friedman, Hastie and Tibshirani, *Regularization Paths for Generalized Linear Models via Coordinate Descent* (2010), for
//! the sweeps; Nocedal and Wright, *Numerical Optimization*, 2nd edition, section 16.5, for the active set.

use crate::matrix::{ChangingFactor, Pivots, Symmetric};
use crate::penalty::Term;
use crate::solve::dot;

/// The minimum of a quadratic with an elastic net in a box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Minimum {
    /// Where it is, `[n]`; 0 exactly where a parameter is not in the support.
    pub(super) point: Vec<f64>,
    /// Systems that were solved.
    pub(super) solved: usize,
}

/// A step along a Newton direction that no curvature makes too long: where it changes margins by M at most, curvatures change by
/// `exp(t M)` up to the step t, and `ln(1 + M) / M` of the way gains.
///
/// # Reference
/// Bach, *Self-concordant analysis for logistic regression* (2010).
pub(super) fn damped(way: &[f64], reach: &[f64]) -> f64 {
    let most: f64 = way.iter().zip(reach).map(|(step, reach)| (step * reach).abs()).sum();
    if most > 1e-8 { (most.ln_1p() / most).min(1.0) } else { 1.0 }
}

/// Sweeps over the coordinates at most.
const SWEEPS: usize = 50;

/// The same where the support is nearly known.
const FEW_SWEEPS: usize = 3;

/// Of so many of a support at most the factor is made by changes, beside a few.
const CHANGED: usize = 4;

/// A share of a column's square below which the columns before it explain it.
const EXPLAINED: f64 = 1e-12;

/// The same below 0: rounding makes no pivot so negative.
const INDEFINITE: f64 = -1e-8;

/// A share of the largest below which another is none.
const ROUNDED: f64 = 1e-9;

/// How often what others explained may join the support again once they are gone.
const OFTEN: u8 = 8;

/// A share of the largest slope within which slopes are equal.
const EQUAL: f64 = 1e-12;

/// Minimises `c'x + x'Hx / 2 + sum_j term_j(x_j)` from `start`, which is within the bounds. The Hessian `[n x n]` is kept whole
/// and without the terms; `c` is `[n]`.
///
/// Where the columns of the support are dependent and the terms do not decide, the later one is left where it is, which is 0 if
/// it was there. Equal candidates go by their place, so that the result depends on the numbers alone. `None` if the Hessian is
/// indefinite on a support.
///
/// # Panics
/// If the lengths differ, or the Hessian is not kept whole.
pub(super) fn minimum(hessian: &Symmetric, c: &[f64], terms: &[Term], start: &[f64]) -> Option<Minimum> {
    next_minimum(hessian, &mut Common::default(), c, terms, start)
}

/// What minima of quadratics with the same Hessian have in common: the factor of the support where the last one ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    factor: ChangingFactor,
    /// The squares that are in it, by parameter.
    l2: Vec<f64>,
    /// Whether the first minimum too begins where the support is nearly known.
    begins_near: bool,
}

impl Common {
    /// Of minima that are near where they begin, the first one too.
    pub(super) fn of_near() -> Self {
        Self { begins_near: true, ..Self::default() }
    }
}

/// As [`minimum`], after another one with the same Hessian.
pub(super) fn next_minimum(
    hessian: &Symmetric,
    common: &mut Common,
    c: &[f64],
    terms: &[Term],
    start: &[f64],
) -> Option<Minimum> {
    assert!(hessian.size() == c.len() && terms.len() == c.len() && start.len() == c.len(), "lengths of a quadratic");
    let is_near = common.begins_near || !common.factor.members().is_empty();
    let sweeps = if is_near { FEW_SWEEPS } else { SWEEPS };
    let mut run = Run::new(hessian, common, c, terms, start);
    if terms.iter().any(|term| term.has_kink() || term.low > f64::NEG_INFINITY || term.high < f64::INFINITY) {
        run.sweep_all(sweeps);
    }
    run.take_slopes();
    run.rest();
    run.search()?;
    Some(Minimum { point: run.point, solved: run.solved })
}

/// Where a parameter is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// At 0, where the absolute value has its kink.
    Zero,
    /// In the support, with the sign that it has, or 0 where the sign does not matter.
    Free(f64),
    /// At a bound.
    Bound,
    /// Explained by others of the support: it stays where it is as long as they are there.
    Explained,
}

/// What became of the system of a support.
enum Solved {
    /// The way to its minimum, `[support]`.
    Way(Vec<f64>),
    /// Its columns are dependent, and the point slid along them.
    Slid,
}

struct Run<'q> {
    hessian: &'q Symmetric,
    common: &'q mut Common,
    c: &'q [f64],
    terms: &'q [Term],
    point: Vec<f64>,
    /// `c + H x`.
    slopes: Vec<f64>,
    states: Vec<State>,
    /// How often each was explained by others.
    explained: Vec<u8>,
    /// What counts as 0 among slopes, beside a share of a parameter's own strength.
    resolution: f64,
    solved: usize,
}

impl<'q> Run<'q> {
    fn new(hessian: &'q Symmetric, common: &'q mut Common, c: &'q [f64], terms: &'q [Term], start: &[f64]) -> Self {
        let point: Vec<f64> =
            start.iter().zip(terms).map(|(&x, term)| if term.l1 == f64::INFINITY { 0.0 } else { x }).collect();
        let products = hessian.times(&point);
        let slopes: Vec<f64> = c.iter().zip(&products).map(|(c, product)| c + product).collect();
        let largest = |values: &[f64]| values.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let resolution = EQUAL * (largest(c) + largest(&products));
        let (states, explained) = (vec![State::Zero; c.len()], vec![0; c.len()]);
        Self { hessian, common, c, terms, point, slopes, states, explained, resolution, solved: 0 }
    }

    /// Takes a parameter somewhere else.
    fn put(&mut self, j: usize, x: f64) {
        let change = x - self.point[j];
        if change != 0.0 {
            self.point[j] = x;
            self.slopes.iter_mut().zip(self.hessian.column(j)).for_each(|(slope, h)| *slope += change * h);
        }
    }

    /// Minimises over one coordinate after the other until a sweep leaves the support as it was.
    fn sweep_all(&mut self, most: usize) {
        let support = |run: &Self| -> Vec<i8> {
            let sign = |x: f64| if x == 0.0 { 0 } else { x.signum() as i8 };
            run.point.iter().zip(run.terms).map(|(&x, term)| 2 * sign(x) + i8::from(term.is_at_bound(x))).collect()
        };
        let mut before = support(self);
        for sweep in 0..most {
            for j in 0..self.point.len() {
                let Term { l1, l2, low, high } = self.terms[j];
                let own = self.hessian.get(j, j);
                if l1 == f64::INFINITY || own + l2 <= 0.0 {
                    continue;
                }
                let wanted = own * self.point[j] - self.slopes[j];
                let shrunk = if wanted > l1 {
                    wanted - l1
                } else if wanted < -l1 {
                    wanted + l1
                } else {
                    0.0
                };
                self.put(j, (shrunk / (own + l2)).clamp(low, high));
            }
            let after = support(self);
            if after == before && sweep > 0 {
                break;
            }
            before = after;
        }
    }

    /// Takes the slopes afresh; whether they are what they were, but for rounding.
    fn take_slopes(&mut self) -> bool {
        let before = std::mem::take(&mut self.slopes);
        let products = self.hessian.times(&self.point);
        self.slopes = self.c.iter().zip(products).map(|(c, product)| c + product).collect();
        self.slopes.iter().zip(&before).all(|(now, before)| (now - before).abs() <= self.resolution)
    }

    /// Says of every parameter where it is.
    fn rest(&mut self) {
        for (j, term) in self.terms.iter().enumerate() {
            let x = self.point[j];
            self.states[j] = if x == 0.0 && term.has_kink() {
                State::Zero
            } else if term.is_at_bound(x) {
                State::Bound
            } else {
                State::Free(if term.has_kink() { x.signum() } else { 0.0 })
            };
        }
    }

    /// The slope of everything at a parameter that has `sign`.
    fn slope(&self, j: usize, sign: f64) -> f64 {
        let Term { l1, l2, .. } = self.terms[j];
        self.slopes[j] + l2 * self.point[j] + if sign == 0.0 { 0.0 } else { sign * l1 }
    }

    /// What counts as 0 among the slopes of a parameter.
    fn unsure(&self, j: usize) -> f64 {
        let l1 = self.terms[j].l1;
        self.resolution + if l1.is_finite() { EQUAL * l1 } else { 0.0 }
    }

    /// The support with its signs: what has no penalty comes first, so that no other column explains it.
    fn support(&self) -> Vec<(usize, f64)> {
        let signed = |j: usize| if let State::Free(sign) = self.states[j] { Some((j, sign)) } else { None };
        let mut support: Vec<(usize, f64)> = (0..self.point.len()).filter_map(signed).collect();
        support.sort_by_key(|&(j, sign)| (sign != 0.0, j));
        support
    }

    /// Goes from support to support until none is better.
    fn search(&mut self) -> Option<()> {
        // Finite by theory; rounding gets this much.
        let most = 20 * self.point.len() + 200;
        for _ in 0..most {
            let support = self.support();
            if let Solved::Way(direction) = self.direction(&support)?
                && !self.walk(&support, &direction)
                && !self.join()
                && self.take_slopes()
            {
                break;
            }
        }
        Some(())
    }

    /// The way to the minimum of the support with its signs; `None` where the Hessian is indefinite.
    fn direction(&mut self, support: &[(usize, f64)]) -> Option<Solved> {
        if support.is_empty() {
            return Some(Solved::Way(Vec::new()));
        }
        self.solved += 1;
        let n = support.len();
        let down: Vec<f64> = support.iter().map(|&(j, sign)| -self.slope(j, sign)).collect();
        if let Some(way) = self.by_factor(support, &down) {
            return Some(Solved::Way(way));
        }
        let matrix = self.matrix(support);
        // As another column, what stands on the right is solved for.
        let mut pivots = Pivots::new(|a, b| if a == n { if b == n { 0.0 } else { down[b] } } else { matrix.get(a, b) });
        for place in 0..n {
            let remainder = pivots.of(place);
            if remainder.left > EXPLAINED * remainder.own {
                pivots.keep(remainder);
                continue;
            }
            if remainder.left < INDEFINITE * remainder.own {
                return None;
            }
            // Along this way the quadratic is a line.
            let mut way = vec![0.0; n];
            way[place] = 1.0;
            let shares = pivots.shares(&remainder);
            // What rounding leaves of a share of 0 would lead to the ends of the world.
            let least = ROUNDED * shares.iter().fold(1.0_f64, |most, share| most.max(share.abs()));
            for (&kept, share) in pivots.kept().iter().zip(shares).filter(|(_, share)| share.abs() > least) {
                way[kept] = -share;
            }
            self.slide(support, place, way);
            return Some(Solved::Slid);
        }
        Some(Solved::Way(pivots.shares(&pivots.of(n))))
    }

    /// The matrix of a support.
    fn matrix(&self, support: &[(usize, f64)]) -> Symmetric {
        let entry = |a: usize, b: usize| {
            let (i, j) = (support[a].0, support[b].0);
            self.hessian.get(i, j) + if i == j { self.terms[i].l2 } else { 0.0 }
        };
        Symmetric::from_lower(support.len(), entry)
    }

    /// The solution by a factor; `None` if it is not definite, by far.
    fn by_factor(&mut self, support: &[(usize, f64)], down: &[f64]) -> Option<Vec<f64>> {
        self.follow(support)?;
        let factor = &self.common.factor;
        // Members stand in the order in which they joined.
        let mut place_of = vec![usize::MAX; self.point.len()];
        for (place, &(j, _)) in support.iter().enumerate() {
            place_of[j] = place;
        }
        let solved = |down: &[f64]| -> Vec<f64> {
            let of_members: Vec<f64> = factor.members().iter().map(|&j| down[place_of[j]]).collect();
            let mut way = vec![0.0; down.len()];
            for (&j, x) in factor.members().iter().zip(factor.solve(&of_members)) {
                way[place_of[j]] = x;
            }
            way
        };
        let mut way = solved(down);
        // Once more with what rounding left.
        let mut left = down.to_vec();
        for (&(j, _), x) in support.iter().zip(&way) {
            let column = self.hessian.column(j);
            left.iter_mut().zip(support).for_each(|(left, &(i, _))| *left -= x * column[i]);
            left[place_of[j]] -= x * self.terms[j].l2;
        }
        way.iter_mut().zip(solved(&left)).for_each(|(x, correction)| *x += correction);
        Some(way)
    }

    /// Makes the members of the common factor those of a support; `None` if that is not definite, by far.
    fn follow(&mut self, support: &[(usize, f64)]) -> Option<()> {
        let mut is_in = vec![false; self.point.len()];
        for &(j, _) in support {
            is_in[j] = true;
        }
        let Common { factor, l2, .. } = &mut *self.common;
        l2.resize(self.point.len(), 0.0);
        let stays = |j: usize| is_in[j] && l2[j].total_cmp(&self.terms[j].l2).is_eq();
        let leaving: Vec<usize> =
            factor.members().iter().enumerate().filter(|(_, j)| !stays(**j)).map(|(place, _)| place).collect();
        let staying = factor.members().len() - leaving.len();
        if support.len() - staying + leaving.len() > support.len() / CHANGED + CHANGED {
            let own = self.matrix(support).into_factor().filter(|factor| factor.least_pivot() > EXPLAINED)?;
            let members = support.iter().map(|&(j, _)| j).collect();
            let Common { factor, l2, .. } = &mut *self.common;
            *factor = ChangingFactor::of(members, &own)?;
            l2.iter_mut().zip(self.terms).for_each(|(l2, term)| *l2 = term.l2);
            return Some(());
        }
        for &place in leaving.iter().rev() {
            factor.leave(place);
        }
        for &j in factor.members() {
            is_in[j] = false;
        }
        for &(j, _) in support.iter().filter(|(j, _)| is_in[*j]) {
            let column = self.hessian.column(j);
            let beside: Vec<f64> = factor.members().iter().map(|&i| column[i]).collect();
            l2[j] = self.terms[j].l2;
            factor.join(j, &beside, column[j] + l2[j], EXPLAINED).ok()?;
        }
        Some(())
    }

    /// Slides along dependent columns to where one of them leaves the support, or leaves the last of them where it is.
    fn slide(&mut self, support: &[(usize, f64)], place: usize, mut way: Vec<f64>) {
        let (j, _) = support[place];
        let slopes: Vec<f64> = support.iter().map(|&(j, sign)| self.slope(j, sign)).collect();
        let slope = dot(&slopes, &way);
        let unsure: f64 = support.iter().zip(&way).map(|(&(j, _), x)| x.abs() * self.unsure(j)).sum();
        let is_level = slope.abs() <= unsure;
        // Where nothing is gained the later column shrinks.
        let turn = if is_level { self.point[j] > 0.0 } else { slope > 0.0 };
        if turn {
            for x in &mut way {
                *x = -*x;
            }
        }
        let is_at_rest = is_level && self.point[j] == 0.0;
        match self.first_to_leave(support, &way, f64::INFINITY) {
            Some((step, _)) if !is_at_rest => self.go(support, &way, step),
            _ => {
                self.explained[j] = self.explained[j].saturating_add(1);
                self.states[j] = State::Explained;
            }
        }
    }

    /// Goes along a direction of the support as far as no sign changes and no bound is crossed; whether something left.
    fn walk(&mut self, support: &[(usize, f64)], direction: &[f64]) -> bool {
        if let Some((step, _)) = self.first_to_leave(support, direction, 1.0) {
            self.go(support, direction, step);
            return true;
        }
        for (&(j, _), change) in support.iter().zip(direction) {
            self.put(j, self.point[j] + change);
        }
        false
    }

    /// The step, below `most`, at which the first of the support arrives at 0 or at a bound, and its place.
    fn first_to_leave(&self, support: &[(usize, f64)], direction: &[f64], most: f64) -> Option<(f64, usize)> {
        let mut first: Option<(f64, usize)> = None;
        for (place, (&(j, sign), &change)) in support.iter().zip(direction).enumerate() {
            let Some(end) = self.end(j, sign, change) else { continue };
            let step = ((end - self.point[j]) / change).max(0.0);
            if step < first.map_or(most, |(step, _)| step) {
                first = Some((step, place));
            }
        }
        first
    }

    /// Where a parameter of the support that changes so has to stop.
    fn end(&self, j: usize, sign: f64, change: f64) -> Option<f64> {
        let Term { low, high, .. } = self.terms[j];
        if change == 0.0 {
            return None;
        }
        if sign * change < 0.0 {
            return Some(0.0);
        }
        let bound = if change > 0.0 { high } else { low };
        bound.is_finite().then_some(bound)
    }

    /// Goes `step` along a direction of the support; what arrives at its end there leaves the support.
    fn go(&mut self, support: &[(usize, f64)], direction: &[f64], step: f64) {
        for (&(j, sign), &change) in support.iter().zip(direction) {
            let end = self.end(j, sign, change).filter(|end| (end - self.point[j]) / change <= step);
            match end {
                Some(end) => {
                    self.put(j, end);
                    self.states[j] = if end == 0.0 && self.terms[j].has_kink() { State::Zero } else { State::Bound };
                }
                None => self.put(j, self.point[j] + step * change),
            }
        }
    }

    /// Lets the worst half of those at rest that should not be join the support; whether there were some.
    fn join(&mut self) -> bool {
        let mut gains: Vec<(f64, usize, f64)> = Vec::new();
        for (j, &state) in self.states.iter().enumerate() {
            if matches!(state, State::Free(_)) || state == State::Explained && self.explained[j] > OFTEN {
                continue;
            }
            let Term { l1, low, high, .. } = self.terms[j];
            let (x, has_kink) = (self.point[j], self.terms[j].has_kink());
            let own_sign = if has_kink && x != 0.0 { x.signum() } else { 0.0 };
            let slope = self.slope(j, own_sign);
            // The sign of the way that is down, and how steep it is.
            let is_at_kink = has_kink && x == 0.0;
            let (way, gain) = (-slope.signum(), slope.abs() - if is_at_kink { l1 } else { 0.0 });
            let may = if way > 0.0 { x < high } else { x > low };
            if may && gain > self.unsure(j) {
                gains.push((gain, j, if is_at_kink { way } else { own_sign }));
            }
        }
        gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(_, j, sign) in &gains[..gains.len().div_ceil(2)] {
            self.states[j] = State::Free(sign);
        }
        !gains.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::cost_of;

    /// Numbers in -1..1 by chance.
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        }

        /// The Gram matrix of `columns` columns of `rows` rows, of which the last one may be the sum of so many before, and their
        /// products with another column: a quadratic that has a minimum.
        fn quadratic(&mut self, rows: usize, columns: usize, summed: usize) -> (Symmetric, Vec<f64>) {
            let mut x: Vec<Vec<f64>> = (0..columns).map(|_| (0..rows).map(|_| self.next()).collect()).collect();
            if (1..columns).contains(&summed) {
                let of_row = |row: usize| x[columns - 1 - summed..columns - 1].iter().map(|x| x[row]).sum();
                x[columns - 1] = (0..rows).map(of_row).collect();
            }
            let y: Vec<f64> = (0..rows).map(|_| 3.0 * self.next()).collect();
            let c = x.iter().map(|column| -dot(column, &y)).collect();
            (Symmetric::from_lower(columns, |i, j| dot(&x[i], &x[j])), c)
        }
    }

    fn cost(hessian: &Symmetric, c: &[f64], terms: &[Term], x: &[f64]) -> f64 {
        dot(c, x) + 0.5 * dot(x, &hessian.times(x)) + cost_of(terms, x)
    }

    /// The least cost over all ways to rest at 0, at a bound, or to be free with a sign: of each the minimum of the smooth
    /// quadratic, if it lies where the signs and bounds say. By elimination, without a factor.
    fn by_enumeration(hessian: &Symmetric, c: &[f64], terms: &[Term]) -> f64 {
        let n = c.len();
        let mut least = f64::INFINITY;
        for code in 0..5_usize.pow(n as u32) {
            let way: Vec<usize> = (0..n).map(|j| code / 5_usize.pow(j as u32) % 5).collect();
            let mut x: Vec<f64> = (0..n)
                .map(|j| match way[j] {
                    1 => terms[j].low,
                    2 => terms[j].high,
                    _ => 0.0,
                })
                .collect();
            if x.iter().any(|x| x.is_infinite()) {
                continue;
            }
            let free: Vec<usize> = (0..n).filter(|&j| way[j] > 2).collect();
            let sign = |j: usize| if way[j] == 3 { -1.0 } else { 1.0 };
            let mut rows: Vec<Vec<f64>> = free
                .iter()
                .map(|&i| {
                    let own = |j: usize| if i == j { terms[i].l2 } else { 0.0 };
                    let l1 = if terms[i].l1 > 0.0 { sign(i) * terms[i].l1 } else { 0.0 };
                    let right = -c[i] - l1 - dot(&(0..n).map(|j| hessian.get(i, j)).collect::<Vec<f64>>(), &x);
                    free.iter().map(|&j| hessian.get(i, j) + own(j)).chain([right]).collect()
                })
                .collect();
            let m = free.len();
            // Of dependent columns the best has fewer free.
            let mut is_independent = true;
            for k in 0..m {
                let Some(best) = (k..m).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs())) else { break };
                rows.swap(k, best);
                let pivot = rows[k].clone();
                is_independent &= pivot[k].abs() > 1e-9;
                for (i, row) in rows.iter_mut().enumerate() {
                    if i != k && pivot[k] != 0.0 {
                        let times = row[k] / pivot[k];
                        row.iter_mut().zip(&pivot).for_each(|(a, b)| *a -= times * b);
                    }
                }
            }
            for (k, &j) in free.iter().enumerate() {
                x[j] = rows[k][m] / rows[k][k];
            }
            let fits = (0..n).all(|j| {
                let has_sign = way[j] <= 2 || terms[j].l1 == 0.0 || x[j] * sign(j) >= 0.0;
                x[j].is_finite() && has_sign && (terms[j].low..=terms[j].high).contains(&x[j])
            });
            if fits && is_independent {
                least = least.min(cost(hessian, c, terms, &x));
            }
        }
        least
    }

    /// Random quadratics with penalties, without, with infinite ones, and in boxes, some with more columns than rows and some
    /// with columns that are others or sums of them: the least cost is that of the best of all ways to rest, from any start.
    #[test]
    fn the_minimum_is_the_best_of_all_supports() {
        let mut chance = Chance(7);
        for round in 0..1_600 {
            let n = 1 + round % 4;
            let (hessian, c) = chance.quadratic([2, 7, 30][round % 3], n, [0, 0, 2, 3, 1][round % 5]);
            let terms: Vec<Term> = (0..n)
                .map(|_| {
                    let mut some = |share: f64, most: f64| {
                        if chance.next().abs() < share { most * chance.next().abs() } else { 0.0 }
                    };
                    let l1 = some(0.7, 4.0);
                    // Without any a quadratic of few rows has no minimum of its own.
                    let l2 = some(0.5, 2.0) + if round % 3 == 0 && l1 == 0.0 { 0.1 } else { 0.0 };
                    let [low, high] = [some(0.3, 1.0), some(0.3, 1.0)];
                    Term {
                        l1: if round % 11 == 10 && l1 > 3.0 { f64::INFINITY } else { l1 },
                        l2,
                        low: if low == 0.0 && chance.next() < 0.5 { f64::NEG_INFINITY } else { -low },
                        high: if high == 0.0 && chance.next() < 0.5 { f64::INFINITY } else { high },
                    }
                })
                .collect();
            let enumerated: Vec<Term> = terms
                .iter()
                .map(|term| if term.l1.is_infinite() { Term { l1: 0.0, l2: 0.0, low: 0.0, high: 0.0 } } else { *term })
                .collect();
            let expected = by_enumeration(&hessian, &c, &enumerated);
            for start in 0..3 {
                let start: Vec<f64> = terms
                    .iter()
                    .map(|term| if start == 0 { 0.0 } else { (2.0 * chance.next()).clamp(term.low, term.high) })
                    .collect();
                let found = minimum(&hessian, &c, &terms, &start).expect("definite");
                let reached = cost(&hessian, &c, &terms, &found.point);
                let within = terms.iter().zip(&found.point).all(|(term, x)| (term.low..=term.high).contains(x));
                assert!(
                    within && (reached - expected).abs() <= 1e-11 * (1.0 + expected.abs()),
                    "round {round}: {reached} where {expected} is to be had; {found:?} of {terms:?}"
                );
            }
        }
    }

    /// Of few rows many columns are dependent, and what explains one of them may leave the support later: slopes at the end are those
    /// of a minimum all the same.
    #[test]
    fn what_others_explained_is_looked_at_again() {
        let mut chance = Chance(11);
        for round in 0..3_000 {
            let (rows, n) = (2 + round % 5, 8 + round % 9);
            // Few values, so that sums are exact and columns meet.
            let x: Vec<Vec<f64>> = (0..n).map(|_| (0..rows).map(|_| (2.0 * chance.next()).round()).collect()).collect();
            let y: Vec<f64> = (0..rows).map(|_| (4.0 * chance.next()).round()).collect();
            let hessian = Symmetric::from_lower(n, |i, j| dot(&x[i], &x[j]));
            let c: Vec<f64> = x.iter().map(|column| -dot(column, &y)).collect();
            let term = |_| Term { l1: 0.25 * (1.0 + (2.0 * chance.next()).round().abs()), ..Term::FREE };
            let terms: Vec<Term> = (0..n).map(term).collect();
            let start: Vec<f64> = (0..n).map(|_| if round % 2 == 0 { 0.0 } else { 4.0 * chance.next() }).collect();
            let found = minimum(&hessian, &c, &terms, &start).expect("definite").point;
            let slopes = hessian.times(&found);
            for j in 0..n {
                let (slope, x) = (slopes[j] + c[j], found[j]);
                let off = if x == 0.0 { slope.abs() - terms[j].l1 } else { (slope + terms[j].l1 * x.signum()).abs() };
                assert!(off <= 1e-9, "round {round}, column {j}: {off} of {slope}, at {x}");
            }
        }
    }

    /// Columns that are nearly one another: the sweeps alone would take tens of thousands.
    #[test]
    fn collinear_columns_take_few_solutions() {
        let mut chance = Chance(3);
        let rows = 200_u32;
        let common: Vec<f64> = (0..rows).map(|_| chance.next()).collect();
        let x: Vec<Vec<f64>> =
            (0..60).map(|_| common.iter().map(|common| common + 1e-3 * chance.next()).collect()).collect();
        let y: Vec<f64> = common.iter().map(|common| 2.0 * common + 0.1 * chance.next()).collect();
        let hessian = Symmetric::from_lower(60, |i, j| dot(&x[i], &x[j]) / f64::from(rows));
        let c: Vec<f64> = x.iter().map(|column| -dot(column, &y) / f64::from(rows)).collect();
        let terms = vec![Term { l1: 1e-5, ..Term::FREE }; 60];
        let found = minimum(&hessian, &c, &terms, &[0.0; 60]).expect("definite");
        assert!(found.solved <= 60, "{} solutions", found.solved);
        let slopes = hessian.times(&found.point);
        for (j, (slope, c)) in slopes.iter().zip(&c).enumerate() {
            let (slope, x) = (slope + c, found.point[j]);
            let off = if x == 0.0 { (slope.abs() - 1e-5).max(0.0) } else { (slope + 1e-5 * x.signum()).abs() };
            assert!(off <= 1e-12, "column {j}: {off} of {slope}, at {x}");
        }
    }

    /// Of two columns that are the same the later one rests, unless the start has it alone; what is indefinite has no minimum.
    #[test]
    fn the_earlier_of_equal_columns_is_taken() {
        let hessian = Symmetric::from_lower(2, |_, _| 1.0);
        for (l1, start, taken) in
            [(0.5, [0.0, 0.0], 0), (0.5, [0.0, 3.0], 1), (0.5, [1.0, 0.5], 0), (0.0, [0.0, 0.0], 0)]
        {
            let terms = [Term { l1, ..Term::FREE }; 2];
            let found = minimum(&hessian, &[-2.0, -2.0], &terms, &start).expect("definite").point;
            assert!((found[taken] - (2.0 - l1)).abs() <= 1e-14 && found[1 - taken] == 0.0, "{found:?} from {start:?}");
        }
        let shared = [Term { l1: 0.5, l2: 0.25, ..Term::FREE }; 2];
        let found = minimum(&hessian, &[-2.0, -2.0], &shared, &[0.0; 2]).expect("definite").point;
        assert!(found.iter().all(|x| (x - 1.5 / 2.25).abs() <= 1e-14), "{found:?}");
        let indefinite = Symmetric::from_lower(2, |i, j| if i == j { 1.0 } else { 2.0 });
        assert!(minimum(&indefinite, &[-1.0, 1.0], &[Term::FREE; 2], &[0.0; 2]).is_none());
    }
}
