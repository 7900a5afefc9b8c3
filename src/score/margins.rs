//! What a model makes of the values of rows: a margin, or of a softmax one for each class.

use crate::data::{Piece, UNSEEN_LEVEL};
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
        terms.extend(model.offset.iter().map(|_| Term::Linear { coefficient: 1.0, mean: 0.0 }));
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

/// The margins of rows under a softmax.
pub(super) struct ClassMargins {
    /// `[classes][rows]`.
    pub(super) of_classes: Vec<Vec<f64>>,
    /// The largest of each row; NaN where one of them is not finite.
    pub(super) tops: Vec<f64>,
}

impl ClassMargins {
    pub(super) fn of(weights: &[Weights], piece: &Piece) -> Self {
        Self::new(weights.iter().map(|weights| weights.margins(piece)).collect())
    }

    fn new(of_classes: Vec<Vec<f64>>) -> Self {
        let mut tops = vec![f64::NEG_INFINITY; of_classes.first().map_or(0, Vec::len)];
        for margins in &of_classes {
            for (top, z) in tops.iter_mut().zip(margins) {
                // A NaN stays one: nothing is larger.
                *top = if !z.is_finite() || top.is_nan() { f64::NAN } else { top.max(*z) };
            }
        }
        Self { of_classes, tops }
    }

    /// The probabilities, `[classes][rows]`: `exp(z_k - max z) / sum exp(z_l - max z)`, where nothing overflows.
    pub(super) fn into_probabilities(self) -> Vec<Vec<f64>> {
        let Self { mut of_classes, tops } = self;
        let mut sums = vec![0.0; tops.len()];
        for margins in &mut of_classes {
            for ((z, top), sum) in margins.iter_mut().zip(&tops).zip(&mut sums) {
                *z = (*z - top).exp();
                *sum += *z;
            }
        }
        for margins in &mut of_classes {
            margins.iter_mut().zip(&sums).for_each(|(z, sum)| *z /= sum);
        }
        of_classes
    }

    /// The likeliest class of each row, of equal ones the first; `None` where a margin is not finite.
    pub(super) fn likeliest(&self) -> Vec<Option<usize>> {
        let mut found: Vec<Option<usize>> = vec![None; self.tops.len()];
        for (class, margins) in self.of_classes.iter().enumerate() {
            for ((found, z), top) in found.iter_mut().zip(margins).zip(&self.tops) {
                // Of NaN nothing is at least.
                if found.is_none() && z >= top {
                    *found = Some(class);
                }
            }
        }
        found
    }

    /// The margins of these rows, `[rows][classes]`.
    pub(super) fn by_row(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().flat_map(|&row| self.of_classes.iter().map(move |margins| margins[row])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_margins_have_probabilities_and_the_first_of_equal_ones_wins() {
        let inf = f64::INFINITY;
        let rows = [[1000.0, 999.0, -1000.0], [-2000.0, -2000.0, -2001.0], [0.0, f64::NAN, 1.0], [0.0, 1.0, inf]];
        let margins = ClassMargins::new((0..3).map(|class| rows.iter().map(|row| row[class]).collect()).collect());
        assert_eq!(margins.likeliest(), [Some(0), Some(0), None, None]);
        assert_eq!(margins.by_row(&[1, 0]), [rows[1], rows[0]].concat());
        let found = margins.into_probabilities();
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
