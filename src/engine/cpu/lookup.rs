//! Parameters as the CPU engine looks them up: wide vectors, in which every category has a table with a place for each
//! of its levels, the reference too. A code is then an index, and no row needs a case of its own.

use std::ops::Range;

use crate::data::Design;
use crate::matrix::Pattern;

/// The places of a wide vector: the plain columns, a table for each category, the intercept.
#[derive(Clone)]
pub(super) struct Lookup {
    plain: usize,
    /// First place of each table, and the place of the intercept.
    starts: Vec<usize>,
    /// Whether a Hessian keeps only the diagonal of each table's levels.
    is_loose: Vec<bool>,
}

impl Lookup {
    /// Of the categories that are `loose`, Hessians keep only what a [`Pattern`] does.
    pub(super) fn new(design: &Design, loose: Vec<bool>) -> Self {
        let plain = design.plain();
        let ends = design.categories().scan(plain, |end, category| {
            *end += category.features.len() + 1;
            Some(*end)
        });
        Self { plain, starts: std::iter::once(plain).chain(ends).collect(), is_loose: loose }
    }

    /// Whether a Hessian keeps only the diagonal of a table's levels.
    pub(super) fn is_loose(&self, table: usize) -> bool {
        self.is_loose[table]
    }

    /// The pattern of Hessians by parameters, if they are not kept whole.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        let group = |table: usize| self.is_loose[table].then_some(table);
        let levels = (0..self.count()).flat_map(|table| vec![group(table); self.levels(table) - 1]);
        let groups: Vec<Option<usize>> = vec![None; self.plain].into_iter().chain(levels).chain([None]).collect();
        self.is_loose.contains(&true).then(|| Pattern::new(&groups, true))
    }

    /// Places of a wide vector.
    pub(super) fn wide(&self) -> usize {
        self.intercept() + 1
    }

    /// The plain columns.
    pub(super) fn plain(&self) -> usize {
        self.plain
    }

    /// The number of tables.
    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of parameters.
    pub(super) fn parameters(&self) -> usize {
        self.wide() - self.count()
    }

    /// Places of all tables together.
    pub(super) fn places_of_levels(&self) -> usize {
        self.intercept() - self.plain
    }

    /// The first place of a table.
    pub(super) fn start(&self, table: usize) -> usize {
        self.starts[table]
    }

    /// The levels of a table, the reference too.
    pub(super) fn levels(&self, table: usize) -> usize {
        self.starts[table + 1] - self.starts[table]
    }

    /// The place of the intercept.
    pub(super) fn intercept(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The places of each table.
    pub(super) fn places(&self) -> impl Iterator<Item = Range<usize>> + Clone + '_ {
        self.starts.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// The place of each parameter, in their order.
    pub(super) fn of_parameters(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.plain).chain(self.places().flat_map(|table| table.skip(1))).chain([self.intercept()])
    }

    /// Parameters as a wide vector; 0 for the reference levels.
    pub(super) fn widen(&self, parameters: &[f64]) -> Vec<f64> {
        let mut wide = vec![0.0; self.wide()];
        for (place, value) in self.of_parameters().zip(parameters) {
            wide[place] = *value;
        }
        wide
    }

    /// What a wide vector says of the parameters.
    pub(super) fn narrow(&self, wide: &[f64]) -> Vec<f64> {
        self.of_parameters().map(|place| wide[place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    #[test]
    fn every_level_has_a_place() {
        let lookup = Lookup::new(&Design::with_categories(Shape::plain(9, 2), &[2, 1]), vec![false; 2]);
        let parameters = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let wide = lookup.widen(&parameters);
        assert_eq!(wide, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 5.0, 6.0]);
        assert_eq!(lookup.narrow(&wide), parameters);
        assert_eq!(lookup.places().collect::<Vec<_>>(), [2..5, 5..7]);
        assert_eq!(Lookup::new(&Shape::plain(9, 2).into(), Vec::new()).widen(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
    }
}
