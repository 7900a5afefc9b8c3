//! What a model makes of the values of rows: their margins.

use crate::data::{Piece, UNSEEN_LEVEL};
use crate::logistic::sigmoid;
use crate::model::{FeatureInfo, Model, ModelColumn};

/// The coefficients of a margin, ready to be applied.
pub(super) struct Weights {
    /// About the columns' means, where nothing large cancels.
    centred: f64,
    /// Of each column.
    terms: Vec<Term>,
}

/// What a column adds to the margin.
enum Term {
    /// The coefficient times the distance from the mean.
    Linear { coefficient: f64, mean: f64 },
    /// Of each level, less what the levels add on average: that is what a level adds that the model has not seen.
    Levels(Vec<f64>),
}

impl Weights {
    /// Of each margin of a model.
    pub(super) fn of(model: &Model) -> Vec<Self> {
        (0..model.intercepts.len()).map(|margin| Self::new(model, margin)).collect()
    }

    fn new(model: &Model, margin: usize) -> Self {
        let coefficient = |feature: &FeatureInfo| feature.coefficients[margin];
        let average: f64 = model.features.iter().map(|feature| coefficient(feature) * feature.mean).sum();
        let mut terms: Vec<Term> = model
            .columns()
            .map(|column| match column {
                ModelColumn::Feature(feature) => Term::Linear { coefficient: coefficient(feature), mean: feature.mean },
                ModelColumn::Category(_, levels) => {
                    let average: f64 = levels.iter().map(|level| coefficient(level) * level.mean).sum();
                    let reference = std::iter::once(-average);
                    Term::Levels(reference.chain(levels.iter().map(|level| coefficient(level) - average)).collect())
                }
            })
            .collect();
        // Of the columns of offsets behind the features, its own.
        let offsets = model.offsets.iter().enumerate().filter(|(_, column)| column.is_some());
        let own = |of: usize| if of == margin { 1.0 } else { 0.0 };
        terms.extend(offsets.map(|(of, _)| Term::Linear { coefficient: own(of), mean: 0.0 }));
        Self { centred: model.intercepts[margin] + average, terms }
    }

    /// The margins of the rows of a piece; not finite where a value is missing or infinite.
    pub(super) fn margins(&self, piece: &Piece) -> Vec<f64> {
        let mut margins = vec![self.centred; piece.rows];
        for (term, values) in self.terms.iter().zip(&piece.features) {
            let rows = margins.iter_mut().zip(values);
            match term {
                Term::Linear { coefficient, mean } => rows.for_each(|(z, x)| *z += coefficient * (x - mean)),
                Term::Levels(of_levels) => rows.for_each(|(z, &level)| {
                    *z += if level.is_nan() {
                        f64::NAN
                    } else if level == UNSEEN_LEVEL {
                        0.0
                    } else {
                        of_levels[level as usize]
                    };
                }),
            }
        }
        margins
    }
}

/// The margins of rows: of two classes the log odds of the positive one, else one of each class.
pub(super) struct Margins {
    /// `[margins][rows]`.
    pub(super) of_rows: Vec<Vec<f64>>,
    /// The largest of each row; not finite where one of them is not.
    pub(super) tops: Vec<f64>,
}

impl Margins {
    pub(super) fn of(weights: &[Weights], piece: &Piece) -> Self {
        Self::new(weights.iter().map(|weights| weights.margins(piece)).collect())
    }

    fn new(of_rows: Vec<Vec<f64>>) -> Self {
        let mut tops = of_rows[0].clone();
        for margins in &of_rows[1..] {
            for (top, z) in tops.iter_mut().zip(margins) {
                // What is not finite stays.
                *top = if !z.is_finite() || !top.is_finite() { f64::NAN } else { top.max(*z) };
            }
        }
        Self { of_rows, tops }
    }

    /// The probabilities, of the positive class, or `[classes][rows]`: `exp(z_k - max z) / sum exp(z_l - max z)`, where
    /// nothing overflows.
    pub(super) fn into_probabilities(self) -> Vec<Vec<f64>> {
        let Self { mut of_rows, tops } = self;
        // Beside the margin of the positive class stands that of the other, 0.
        if let [margins] = of_rows.as_mut_slice() {
            for z in margins {
                *z = sigmoid(*z);
            }
            return of_rows;
        }
        let mut sums = vec![0.0; tops.len()];
        for margins in &mut of_rows {
            for ((z, top), sum) in margins.iter_mut().zip(&tops).zip(&mut sums) {
                *z = (*z - top).exp();
                *sum += *z;
            }
        }
        for margins in &mut of_rows {
            margins.iter_mut().zip(&sums).for_each(|(z, sum)| *z /= sum);
        }
        of_rows
    }

    /// The class of each row: the positive one from the probability `threshold` on, or the likeliest, of equal ones the
    /// first; `None` where a margin is not finite.
    pub(super) fn decided(&self, threshold: f64) -> Vec<Option<usize>> {
        if let [margins] = self.of_rows.as_slice() {
            let decided = |z: &f64| z.is_finite().then(|| usize::from(sigmoid(*z) >= threshold));
            return margins.iter().map(decided).collect();
        }
        let mut found: Vec<Option<usize>> = vec![None; self.tops.len()];
        for (class, margins) in self.of_rows.iter().enumerate() {
            for ((found, z), top) in found.iter_mut().zip(margins).zip(&self.tops) {
                // Of NaN nothing is at least.
                if found.is_none() && z >= top {
                    *found = Some(class);
                }
            }
        }
        found
    }

    /// The margins of these rows, `[rows][margins]`.
    pub(super) fn by_row(mut self, rows: &[usize]) -> Vec<f64> {
        match self.of_rows.as_mut_slice() {
            [margins] if rows.len() == margins.len() => std::mem::take(margins),
            of_rows => {
                let mut by_row = Vec::with_capacity(rows.len() * of_rows.len());
                for &row in rows {
                    by_row.extend(of_rows.iter().map(|margins| margins[row]));
                }
                by_row
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_margins_have_probabilities_and_the_first_of_equal_ones_wins() {
        let inf = f64::INFINITY;
        let rows = [[1000.0, 999.0, -1000.0], [-2000.0, -2000.0, -2001.0], [0.0, f64::NAN, 1.0], [0.0, 1.0, inf]];
        let margins = Margins::new((0..3).map(|class| rows.iter().map(|row| row[class]).collect()).collect());
        assert_eq!(margins.decided(0.5), [Some(0), Some(0), None, None]);
        let found = Margins::new(margins.of_rows.clone()).into_probabilities();
        assert_eq!(margins.by_row(&[1, 0]), [rows[1], rows[0]].concat());
        let e = (-1.0_f64).exp();
        let expected = [[1.0 / (1.0 + e), e / (1.0 + e), 0.0], [1.0 / (2.0 + e), 1.0 / (2.0 + e), e / (2.0 + e)]];
        for (row, expected) in expected.iter().enumerate() {
            for (class, expected) in expected.iter().enumerate() {
                assert!((found[class][row] - expected).abs() <= 1e-15, "{class} {row}: {found:?}");
            }
        }
        assert!(found.iter().all(|class| class[2].is_nan() && class[3].is_nan()));
    }
}
