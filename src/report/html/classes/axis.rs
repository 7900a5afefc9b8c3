//! A number over which pictures are drawn, and the margins of the classes along it.

use super::super::shape::almost_all;
use super::super::svg::LABEL_WIDTH;
use super::super::text::shortened;
use super::marks::Marks;
use crate::model::{FeatureInfo, Model};
use crate::sketch::classes::{ColumnSketch, Cut};

pub(super) struct Axis<'m> {
    pub(super) feature: &'m FeatureInfo,
    /// Where almost all of the rows are.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Between them, about as many as asked for.
    pub(super) bins: Vec<Bin>,
}

pub(super) struct Bin {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Rows by slot.
    pub(super) rows: Vec<u64>,
}

impl Bin {
    pub(super) fn total(&self) -> u64 {
        self.rows.iter().sum()
    }
}

impl<'m> Axis<'m> {
    pub(super) fn new(feature: &'m FeatureInfo, column: &ColumnSketch, slots: usize, most: usize) -> Option<Self> {
        let Cut::Bins { low: start, width, beyond } = column.cut else { return None };
        let bins: Vec<&[u64]> = column.counts.chunks_exact(slots).collect();
        let totals: Vec<u64> = bins.iter().map(|bin| bin.iter().sum()).collect();
        let (first, last) = almost_all(&totals, beyond)?;
        let together = (last + 1 - first).div_ceil(most).max(1);
        let at = |index: usize| start + width * index as f64;
        let joined = (first..=last).step_by(together).map(|index| {
            let end = (index + together).min(bins.len());
            let rows = (0..slots).map(|slot| bins[index..end].iter().map(|bin| bin[slot]).sum()).collect();
            Bin { from: at(index), to: at(end), rows }
        });
        let joined: Vec<Bin> = joined.collect();
        Some(Self { feature, low: at(first), high: joined.last()?.to, bins: joined })
    }

    /// The column's name for an axis.
    pub(super) fn label(&self) -> String {
        let unit = self.feature.unit.as_ref().map_or_else(String::new, |unit| format!(", {unit}"));
        shortened(&self.feature.name, LABEL_WIDTH.saturating_sub(unit.len()).max(12)) + &unit
    }

    /// Rows in the fullest bin.
    pub(super) fn most(&self) -> u64 {
        self.bins.iter().map(Bin::total).max().unwrap_or(1).max(1)
    }
}

/// The margins of the classes where all columns are at their means.
pub(super) fn at_means(model: &Model) -> Vec<f64> {
    let of_class = |(class, intercept): (usize, &f64)| {
        intercept + model.features.iter().map(|feature| feature.coefficients[class] * feature.mean).sum::<f64>()
    };
    model.intercepts.iter().enumerate().map(of_class).collect()
}

/// The probabilities of the slots, from the margins of the classes.
pub(super) fn probabilities(margins: impl Iterator<Item = f64> + Clone, marks: &Marks) -> Vec<f64> {
    let top = margins.clone().fold(f64::NEG_INFINITY, f64::max);
    let mut of_slots = vec![0.0; marks.apart.slots()];
    for (class, z) in margins.enumerate() {
        of_slots[marks.apart.slot(class)] += (z - top).exp();
    }
    let sum: f64 = of_slots.iter().sum();
    of_slots.into_iter().map(|p| p / sum).collect()
}
