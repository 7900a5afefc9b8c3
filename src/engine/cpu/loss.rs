//! What differs between the logistic model and a softmax: how a row's margins become its loss and their derivatives, and in
//! which loops that goes fastest.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use crate::engine::cpu::columns::{Columns, weigh};

/// Rows of a tile that are evaluated.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Where they stand, `[margins][rows]`.
    pub(super) margins: &'a [f64],
    /// Direction margins `[margins][rows]`, and how far along them.
    pub(super) along: Option<(&'a [f64], f64)>,
    /// `[rows]`.
    pub(super) labels: &'a [f32],
    /// `[rows]`.
    pub(super) row_weights: Option<&'a [f32]>,
}

/// Of what the factors of a product of columns are made, for margins m and l.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Factors {
    /// `p_m ([m = l] - p_l)`: the Hessian. Of a margin with itself at least 0.
    Curvatures,
    /// `r_m r_l`: the scatter.
    Residuals,
}

/// Rows of a block that the cache holds, where they stand, as [`Loss::sums`] left them.
pub(super) struct Tile<'a, L: Loss> {
    pub(super) columns: Columns<'a>,
    pub(super) labels: &'a [f32],
    pub(super) row_weights: Option<&'a [f32]>,
    /// `[margins][rows]`.
    pub(super) margins: &'a [f64],
    pub(super) space: &'a L::Workspace,
}

/// A model of the classes given the margins of a row. M margins; everything below is for the rows of one tile, at most
/// [`Loss::tile_rows`].
pub(super) trait Loss: Copy + Send + Sync + 'static {
    /// What the work on a tile needs, and where it leaves residuals and what factors are made of.
    type Workspace: Send;

    /// M.
    fn margins(self) -> usize;

    /// Rows of a tile of so many columns, a power of two from 32 to 256.
    fn tile_rows(self, columns: usize) -> usize;

    /// For tiles of so many columns.
    fn workspace(self, columns: usize) -> Self::Workspace;

    /// `X w_m + b_m`, `[margins][rows]`, for weights `[margins][wide]`, the intercept last.
    fn linear(self, columns: Columns<'_>, weights: &[f64], margins: &mut [f64], space: &mut Self::Workspace);

    /// Weighted sums of loss, slope and curvature; the last two are 0 unless it goes along a direction. Leaves the weighted
    /// residuals.
    fn sums(self, rows: Rows<'_>, space: &mut Self::Workspace) -> [f64; 3];

    /// The residuals that [`Loss::sums`] left, `[margins][rows]`.
    fn residuals(self, rows: usize, space: &Self::Workspace) -> &[f64];

    /// Adds `X'r_m`, x extended by 1, to `gradient` `[margins][wide]`, for the residuals that [`Loss::sums`] left.
    fn add_gradient(self, columns: Columns<'_>, space: &mut Self::Workspace, gradient: &mut [f64]);

    /// The factors of the rows of a tile for a pair of margins, without the row weights.
    fn factors(self, tile: &Tile<'_, Self>, what: Factors, pair: (usize, usize), factors: &mut [f64]);

    /// [`Loss::factors`] times the row weights.
    #[inline(always)]
    fn weighted_factors(self, tile: &Tile<'_, Self>, what: Factors, pair: (usize, usize), factors: &mut [f64]) {
        self.factors(tile, what, pair, factors);
        if let Some(row_weights) = tile.row_weights {
            weigh(factors, row_weights);
        }
    }
}

/// What is made of each tile of an evaluation beside its sums, while the cache holds it.
pub(super) trait TileSink<L: Loss> {
    fn take(&mut self, tile: &Tile<'_, L>);
}

/// Nothing beside.
pub(super) struct Nothing;

impl<L: Loss> TileSink<L> for Nothing {
    #[inline(always)]
    fn take(&mut self, _: &Tile<'_, L>) {}
}
