//! What is kept of a large matrix.

use nalgebra::DVector;

/// Which parameters of a [`Symmetric`](super::Symmetric) are loose: of those nothing is kept but their own entries on the
/// diagonal and what they have in common with the others, which are tight. Levels of a category are so, because no row has
/// two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Parameters that are tight, and those that are loose, ascending.
    pub(super) tight: Vec<usize>,
    pub(super) loose: Vec<usize>,
    /// Of each parameter: its index among its like, and whether it is loose.
    pub(super) places: Vec<(usize, bool)>,
    /// The group of each loose parameter. Those of one group have nothing in common; what those of two groups have is left
    /// out.
    pub(super) groups: Vec<usize>,
    /// Whether the last parameter is an intercept, with which a loose one has all its rows in common.
    pub(super) has_intercept: bool,
}

impl Pattern {
    /// From the group of each parameter, if it is loose. The last parameter is an intercept if there is one; it is tight.
    pub fn new(groups: &[Option<usize>], has_intercept: bool) -> Self {
        let (mut tight, mut loose) = (Vec::new(), Vec::new());
        let places = groups.iter().enumerate().map(|(index, group)| {
            let like = if group.is_some() { &mut loose } else { &mut tight };
            like.push(index);
            (like.len() - 1, group.is_some())
        });
        Self {
            places: places.collect(),
            tight,
            loose,
            groups: groups.iter().flatten().copied().collect(),
            has_intercept,
        }
    }

    /// The group of a parameter, if it is loose.
    pub fn group(&self, index: usize) -> Option<usize> {
        let (place, is_loose) = self.places[index];
        is_loose.then(|| self.groups[place])
    }

    /// The number of groups of loose parameters.
    pub(super) fn count(&self) -> usize {
        let mut groups = self.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    }

    /// The tight and the loose part of a vector.
    pub(super) fn split(&self, v: &[f64]) -> (DVector<f64>, DVector<f64>) {
        let part = |indices: &[usize]| DVector::from_iterator(indices.len(), indices.iter().map(|&i| v[i]));
        (part(&self.tight), part(&self.loose))
    }

    pub(super) fn join(&self, tight: &DVector<f64>, loose: &DVector<f64>) -> Vec<f64> {
        self.places.iter().map(|&(index, is_loose)| if is_loose { loose[index] } else { tight[index] }).collect()
    }
}
