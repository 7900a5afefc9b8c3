//! How the features of a table are made of the columns that a store keeps: some are columns as they are, the others are
//! levels of categories, of which the store has one code a row.

use std::ops::Range;
use std::sync::Arc;

use super::Shape;

/// A table's shape, and its categories.
///
/// Stored columns are the plain ones, then one column of codes for each category: 0 for its reference level, 1, 2, ..
/// for the others. Features `[d]` are the plain columns, then the levels but the reference, category by category: 1 in
/// the rows that have the level, 0 elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    /// Rows and columns.
    pub shape: Shape,
    /// Levels of each category beside its reference, each at least 1.
    levels: Arc<[usize]>,
    /// Rows of each cell, if there are several.
    cells: Arc<[usize]>,
}

/// A category of a [`Design`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Index of the stored column that has its codes.
    pub column: usize,
    /// Its features, in the order of the codes from 1 on.
    pub features: Range<usize>,
}

impl From<Shape> for Design {
    fn from(shape: Shape) -> Self {
        Self { shape, levels: Arc::new([]), cells: Arc::new([]) }
    }
}

impl Design {
    /// The design of `shape` with categories of so many levels beside the reference, after its plain columns.
    #[must_use]
    pub fn with_categories(shape: Shape, levels: &[usize]) -> Self {
        let (columns, features) = (shape.columns + levels.len(), shape.features + levels.iter().sum::<usize>());
        Self { levels: levels.into(), ..Self::from(Shape { columns, features, ..shape }) }
    }

    /// The same with rows in cells, of so many each: a part of the rows whose sums are wanted apart, as of a fold. The rows of
    /// a cell lie together, one cell after the other.
    ///
    /// # Panics
    /// If they are not all rows.
    #[must_use]
    pub fn with_cells(self, rows: &[usize]) -> Self {
        assert_eq!(rows.iter().sum::<usize>(), self.shape.rows, "rows of the cells and of the table");
        Self { cells: rows.into(), ..self }
    }

    /// Rows of each cell; one of all rows if nobody asked for several.
    pub fn cells(&self) -> Vec<usize> {
        if self.cells.is_empty() { vec![self.shape.rows] } else { self.cells.to_vec() }
    }

    /// Columns that are features as they are.
    pub fn plain(&self) -> usize {
        self.shape.columns - self.levels.len()
    }

    /// The categories, in the order of their columns.
    pub fn categories(&self) -> impl Iterator<Item = Category> + '_ {
        let plain = self.plain();
        self.levels.iter().enumerate().scan(plain, move |end, (index, levels)| {
            let first = std::mem::replace(end, *end + levels);
            Some(Category { column: plain + index, features: first..*end })
        })
    }

    /// Whether each category is loose: its levels count among those of which a large Hessian keeps only the diagonal
    /// ([`Pattern`](crate::matrix::Pattern)). They are the ones with the most levels, as many as it takes until at most
    /// `most` other features are left; none where all features together are no more.
    pub fn loose(&self, most: usize) -> Vec<bool> {
        let mut by_size: Vec<usize> = (0..self.levels.len()).collect();
        by_size.sort_by_key(|&category| self.levels[category]);
        let mut tight = self.plain();
        let mut loose = vec![false; self.levels.len()];
        for category in by_size {
            tight += self.levels[category];
            loose[category] = tight > most;
        }
        loose
    }

    /// The stored column of each feature, and its code if that is one of codes.
    pub fn sources(&self) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
        let plain = (0..self.plain()).map(|column| (column, None));
        let levels = |category: Category| (1..=category.features.len()).map(move |code| (category.column, Some(code)));
        plain.chain(self.categories().flat_map(levels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_columns_and_then_levels() {
        let design = Design::with_categories(Shape::plain(9, 2), &[3, 1]);
        assert_eq!((design.shape.columns, design.shape.features, design.plain()), (4, 6, 2));
        let categories: Vec<Category> = design.categories().collect();
        assert_eq!(categories, [Category { column: 2, features: 2..5 }, Category { column: 3, features: 5..6 }]);
        let sources: Vec<_> = design.sources().collect();
        assert_eq!(sources, [(0, None), (1, None), (2, Some(1)), (2, Some(2)), (2, Some(3)), (3, Some(1))]);
        assert_eq!(Design::from(Shape::plain(9, 2)).categories().count(), 0);
        let loose = |most| Design::with_categories(Shape::plain(9, 2), &[3, 7, 1]).loose(most);
        assert_eq!(
            [loose(13), loose(12), loose(5), loose(2)],
            [vec![false, false, false], vec![false, true, false], vec![true, true, false], vec![true, true, true]]
        );
    }
}
