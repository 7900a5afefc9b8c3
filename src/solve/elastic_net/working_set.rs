//! The parameters that a step is solved for: those that are not at rest, and the steepest of the others.

use crate::error::{Error, Result};
use crate::penalty::Term;

/// Parameters of a working set at most: a matrix of 32 MiB, and some times that on the way.
pub const WORKING_SET: usize = 2048;

/// Parameters that join a working set at a time at most.
const JOINING: usize = 256;

/// The parameters that are not at rest at 0, that cost nothing there, or whose slopes are `share` of their strength or more: of those
/// the steepest.
///
/// # Errors
/// As [`grown`].
pub(super) fn working_set(point: &[f64], gradient: &[f64], terms: &[Term], share: f64) -> Result<Vec<usize>> {
    let own = |j: &usize| point[*j] != 0.0 || !terms[*j].has_kink();
    joined((0..terms.len()).filter(own).collect(), gradient, terms, share)
}

/// A working set with the steepest of those that should not be at rest.
///
/// # Errors
/// Of kind `Usage` if it has more than [`WORKING_SET`] then.
pub(super) fn grown(set: &[usize], gradient: &[f64], terms: &[Term]) -> Result<Vec<usize>> {
    joined(set.to_vec(), gradient, terms, 1.0 + AT_REST)
}

fn joined(mut set: Vec<usize>, gradient: &[f64], terms: &[Term], share: f64) -> Result<Vec<usize>> {
    let is_there: std::collections::HashSet<usize> = set.iter().copied().collect();
    let excess = |j: usize| gradient[j].abs() / terms[j].l1;
    let mut steep: Vec<usize> =
        (0..terms.len()).filter(|j| terms[*j].has_kink() && !is_there.contains(j) && excess(*j) >= share).collect();
    steep.sort_by(|&a, &b| excess(b).total_cmp(&excess(a)).then(a.cmp(&b)));
    steep.truncate(JOINING);
    set.extend(steep);
    set.sort_unstable();
    if set.len() > WORKING_SET {
        return Err(Error::usage(
            format!("{} coefficients would have to be solved for at once, and {WORKING_SET} can be", set.len()),
            "Raise ⟦l1⟧, so that fewer are selected; or say ⟦l2⟧ alone, without factors and bounds, which has no limit.",
        ));
    }
    Ok(set)
}

/// Whether all parameters outside a working set have slopes within their strengths.
pub(super) fn is_at_rest_outside(set: &[usize], gradient: &[f64], terms: &[Term]) -> bool {
    let is_at_rest = |j: usize| gradient[j].abs() <= terms[j].l1 * (1.0 + AT_REST) || set.binary_search(&j).is_ok();
    (0..terms.len()).all(is_at_rest)
}

/// A share of its strength by which a slope may be off at rest: what a step leaves at the edge is no reason to go on.
const AT_REST: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    /// The steepest come first, so many at a time; as long as others are too steep, what is outside is not at rest.
    #[test]
    fn a_working_set_grows_by_the_steepest() {
        let gradient: Vec<f64> = (0..700).map(|j| 1.0 + 0.001 * f64::from(j)).collect();
        let terms = vec![Term { l1: 1.1, ..Term::FREE }; 700];
        let mut point = vec![0.0; 700];
        point[3] = 1.0;
        let mut set = working_set(&point, &gradient, &terms, 1.0).expect("a few");
        assert_eq!((set.len(), set[0], set[1]), (257, 3, 700 - 256));
        let mut rounds = 0;
        while !is_at_rest_outside(&set, &gradient, &terms) {
            set = grown(&set, &gradient, &terms).expect("a few");
            rounds += 1;
        }
        // All beyond 1.1, and the one that is not at 0.
        assert_eq!((rounds, set.len()), (2, 600));
        let many = vec![Term { l1: 1e-3, ..Term::FREE }; 3_000];
        let all: Vec<usize> = (0..WORKING_SET).collect();
        let refused = grown(&all, &vec![1.0; 3_000], &many).expect_err("too many").to_string();
        assert!(refused.contains("2304 coefficients"), "{refused}");
    }
}
