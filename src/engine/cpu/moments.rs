//! Where the rows of each class lie: means, and the scatter about them.
//!
//! Rows are summed in runs of blocks, each in two sweeps: first the means of its classes, then products of what is centred
//! about them. Runs are merged by the formula of Chan and others, so nothing is squared before it is centred, and a
//! column that lies close about means far apart keeps its digits. Shares of levels are sums of ones: those of two levels
//! are centred at the end.

#![expect(clippy::inline_always, reason = "what is not inlined into `in_vectors` is not compiled for its registers")]

use std::sync::Arc;

use crate::engine::cpu::block::Block;
use crate::engine::cpu::lookup::Lookup;
use crate::engine::cpu::product::{Entries, edge, rows_at_once};
use crate::engine::cpu::softmax::tile_rows;
use crate::engine::cpu::stored::Stored;
use crate::engine::divisor;
use crate::engine::storage::{Access, Part};
use crate::error::Result;
use crate::fold::Monoid;
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;
use crate::vectors::dots::EIGHT;
use crate::vectors::{Aligned, in_vectors};

const COLUMNS: Access = Access { reads: &[Part::Features, Part::Labels, Part::RowWeights], writes: &[] };

/// The moments of the rows of a table: one pass over the features.
pub(super) fn of(stored: &mut Stored) -> Result<ClassMoments> {
    let lookup = Arc::clone(&stored.lookup);
    let classes = stored.layout.shape.class_count();
    let none = Run::new(&lookup, classes);
    let jobs = stored.together(none.bytes());
    let mut runs = stored.segments(jobs, none.bytes());
    let work = |blocks: &mut [Block<'_>]| {
        let mut run = Run::new(&lookup, classes);
        in_vectors(
            #[inline(always)]
            || run.take(blocks),
        );
        run
    };
    stored.pass(COLUMNS, jobs, work, |run| runs.push(run))?;
    Ok(runs.finish().unwrap_or(none).moments(stored.divisor()))
}

/// What is known of some rows.
struct Run<'t> {
    lookup: &'t Lookup,
    /// `[classes]`.
    weights: Vec<f64>,
    /// `[classes][wide]`.
    means: Vec<f64>,
    /// Products of columns that are centred about the means of each row's class; those of two levels are as they are.
    entries: Entries<'t>,
}

impl<'t> Run<'t> {
    fn new(lookup: &'t Lookup, classes: usize) -> Self {
        let means = vec![0.0; classes * lookup.wide()];
        Self { lookup, weights: vec![0.0; classes], means, entries: Entries::new(lookup) }
    }

    fn bytes(&self) -> usize {
        8 * self.means.len() + self.entries.bytes()
    }

    /// Takes the rows of blocks, once.
    #[inline(always)]
    fn take(&mut self, blocks: &[Block<'_>]) {
        self.take_means(blocks);
        let wide = self.lookup.wide();
        let plain = self.lookup.plain();
        let at_once = rows_at_once(edge(self.lookup));
        let mut columns = Aligned::zeros(edge(self.lookup) * at_once);
        let mut left = Aligned::zeros(EIGHT * at_once);
        let mut weights = vec![1.0; at_once];
        for block in blocks {
            for first in (0..block.labels.len()).step_by(at_once) {
                let rows = at_once.min(block.labels.len() - first);
                let part = block.columns.part(first, rows);
                let labels = &block.labels[first..first + rows];
                for (j, target) in columns.chunks_exact_mut(at_once).enumerate().take(plain) {
                    for ((target, x), t) in target.iter_mut().zip(part.column(j)).zip(labels) {
                        *target = f64::from(*x) - self.means[*t as usize * wide + j];
                    }
                }
                columns[plain * at_once..][..rows].fill(1.0);
                if let Some(row_weights) = block.row_weights {
                    for (weight, w) in weights.iter_mut().zip(&row_weights[first..first + rows]) {
                        *weight = f64::from(*w);
                    }
                }
                let weights = &weights[..rows];
                let codes: Vec<_> = part.codes().collect();
                for j in (0..=plain).step_by(EIGHT) {
                    for (k, left) in left.chunks_exact_mut(at_once).enumerate() {
                        for ((left, x), w) in left.iter_mut().zip(&columns[(j + k) * at_once..]).zip(weights) {
                            *left = x * w;
                        }
                    }
                    let eight: [&[f64]; EIGHT] = std::array::from_fn(|k| &left[k * at_once..][..rows]);
                    self.entries.add_eight(j, eight, &columns, at_once);
                    for (k, terms) in eight.iter().enumerate().take(plain + 1 - j) {
                        self.entries.add_by_levels(j + k, &codes, terms);
                    }
                }
                self.entries.add_by_pairs(&codes, weights);
            }
        }
    }

    /// Weights and means of the classes among the rows of blocks: the products of all columns with a vector for each
    /// class, the weights of its rows and else 0.
    #[inline(always)]
    #[expect(clippy::float_cmp, reason = "codes of classes")]
    fn take_means(&mut self, blocks: &[Block<'_>]) {
        let (classes, wide) = (self.weights.len(), self.lookup.wide());
        let tile = tile_rows(self.lookup.plain() + self.lookup.count(), classes);
        let mut vectors = vec![0.0; classes * tile];
        let mut eight = Aligned::zeros(EIGHT * tile);
        for block in blocks {
            for first in (0..block.labels.len()).step_by(tile) {
                let rows = tile.min(block.labels.len() - first);
                let labels = &block.labels[first..first + rows];
                let vectors = &mut vectors[..classes * rows];
                for (class, vector) in (0_u32..).zip(vectors.chunks_exact_mut(rows)) {
                    for (value, t) in vector.iter_mut().zip(labels) {
                        *value = if f64::from(*t) == f64::from(class) { 1.0 } else { 0.0 };
                    }
                    if let Some(row_weights) = block.row_weights {
                        for (value, w) in vector.iter_mut().zip(&row_weights[first..first + rows]) {
                            *value *= f64::from(*w);
                        }
                    }
                }
                block.columns.part(first, rows).add_all_products(vectors, &mut self.means, &mut eight);
            }
        }
        for (weight, means) in self.weights.iter_mut().zip(self.means.chunks_exact_mut(wide)) {
            *weight = means[wide - 1];
            for mean in means {
                *mean /= divisor(*weight);
            }
        }
    }

    fn moments(&self, n: f64) -> ClassMoments {
        let (wide, plain) = (self.lookup.wide(), self.lookup.plain());
        let places: Vec<usize> = self.lookup.of_parameters().collect();
        let features = self.lookup.parameters() - 1;
        let entries = self.entries.by_parameters();
        let within = Symmetric::from_lower(features, |i, j| {
            let entry = entries(i, j);
            if j < plain {
                return entry / n;
            }
            let means = self.means.chunks_exact(wide).map(|means| means[places[i]] * means[places[j]]);
            (entry - self.weights.iter().zip(means).map(|(weight, square)| weight * square).sum::<f64>()) / n
        });
        let means = self.means.chunks_exact(wide).map(|means| places[..features].iter().map(|&place| means[place]));
        ClassMoments { weights: self.weights.clone(), means: means.map(Iterator::collect).collect(), within }
    }
}

impl Monoid for Run<'_> {
    fn join(&mut self, following: Self) {
        let wide = self.lookup.wide();
        let classes = self.weights.iter_mut().zip(&following.weights);
        let means = self.means.chunks_exact_mut(wide).zip(following.means.chunks_exact(wide));
        self.entries.join(following.entries);
        for ((weight, more), (means, others)) in classes.zip(means) {
            let total = *weight + more;
            if *more == 0.0 {
                continue;
            }
            let apart: Vec<f64> = others.iter().zip(&*means).map(|(other, mean)| other - mean).collect();
            for (mean, apart) in means.iter_mut().zip(&apart) {
                *mean += apart * (more / total);
            }
            self.entries.add_square(&apart[..wide - 1], *weight * more / total);
            *weight = total;
        }
    }
}
