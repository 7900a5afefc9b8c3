//! The diagonal of the Hessian and its row of the intercept, of each margin with itself.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::engine::cpu::loss::{Factors, Loss, Tile, TileSink};
use crate::fold::{Monoid, add_entries};
use crate::objective::Diagonal;
use crate::vectors::Aligned;
use crate::vectors::dots::{EIGHT, eight_dots};

impl Monoid for Diagonal {
    fn join(&mut self, following: Self) {
        add_entries(&mut self.own, &following.own);
        add_entries(&mut self.with_intercept, &following.with_intercept);
    }
}

/// Sums of `w S_mm x_j^2` and `w S_mm x_j` of each margin, x extended by 1.
pub(super) struct Border<L> {
    loss: L,
    /// Both `[margins][wide]`.
    diagonal: Diagonal,
    /// `[margins][rows]`.
    curvatures: Vec<f64>,
    eight: Aligned,
    squares: Aligned,
}

impl<L: Loss> Border<L> {
    /// For tiles of so many columns and places of a wide vector.
    pub(super) fn new(loss: L, columns: usize, wide: usize) -> Self {
        let (margins, tile) = (loss.margins(), loss.tile_rows(columns));
        let zeros = vec![0.0; margins * wide];
        Self {
            loss,
            diagonal: Diagonal { own: zeros.clone(), with_intercept: zeros },
            curvatures: vec![0.0; margins * tile],
            eight: Aligned::zeros(EIGHT * tile),
            squares: Aligned::zeros(EIGHT * tile),
        }
    }

    pub(super) fn into_diagonal(self) -> Diagonal {
        self.diagonal
    }
}

impl<L: Loss> TileSink<L> for Border<L> {
    #[inline(always)]
    fn take(&mut self, tile: &Tile<'_, L>) {
        let Self { loss, diagonal: Diagonal { own, with_intercept }, curvatures, eight, squares } = self;
        let (columns, n) = (tile.columns, tile.labels.len());
        let (plain, wide) = (columns.lookup.plain(), columns.lookup.wide());
        let curvatures = &mut curvatures[..loss.margins() * n];
        for (m, curvatures) in curvatures.chunks_exact_mut(n).enumerate() {
            loss.weighted_factors(tile, Factors::Curvatures, (m, m), curvatures);
        }
        columns.add_all_products(curvatures, with_intercept, eight);
        for first in (0..plain).step_by(EIGHT) {
            columns.widen_eight(first, squares);
            for x in &mut squares[..EIGHT * n] {
                *x *= *x;
            }
            let eight = std::array::from_fn(|k| &squares[k * n..][..n]);
            for (curvatures, own) in curvatures.chunks_exact(n).zip(own.chunks_exact_mut(wide)) {
                for (sum, product) in own[first..plain].iter_mut().zip(eight_dots(eight, curvatures)) {
                    *sum += product;
                }
            }
        }
        // 1 is its own square.
        for (own, with_intercept) in own.chunks_exact_mut(wide).zip(with_intercept.chunks_exact(wide)) {
            own[plain..].copy_from_slice(&with_intercept[plain..]);
        }
    }
}
