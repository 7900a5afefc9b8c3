//! A number over which pictures are drawn, and the margins along it.

use maud::{Markup, html};

use super::marks::Marks;
use super::text::shortened;
use crate::model::{FeatureInfo, Model};
use crate::profile::{ColumnProfile, Cut, Profile};

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

/// Rows on either side that a picture may leave out, of all.
const LEFT_OUT: f64 = 0.002;

/// The first and the last bin with almost all of the rows between them, where `beyond` lie on either side of all bins.
fn almost_all(totals: &[u64], beyond: [u64; 2]) -> Option<(usize, usize)> {
    let limit = (LEFT_OUT * (totals.iter().sum::<u64>() + beyond[0] + beyond[1]) as f64) as u64;
    let end = |beyond: u64, mut bins: &mut dyn Iterator<Item = (usize, &u64)>| {
        let mut so_far = beyond.min(limit);
        let mut is_reached = |rows: u64| {
            so_far += rows;
            so_far > limit
        };
        Iterator::find(&mut bins, |(_, rows)| is_reached(**rows)).map(|(index, _)| index)
    };
    let first = end(beyond[0], &mut totals.iter().enumerate())?;
    let last = end(beyond[1], &mut totals.iter().enumerate().rev())?;
    (first <= last).then_some((first, last))
}

impl<'m> Axis<'m> {
    pub(super) fn new(feature: &'m FeatureInfo, column: &ColumnProfile, most: usize) -> Option<Self> {
        let Cut::Bins { low: start, width, .. } = column.cut else { return None };
        let bins = column.rows();
        let totals: Vec<u64> = bins.iter().map(|bin| bin.iter().sum()).collect();
        let (first, last) = almost_all(&totals, column.beyond())?;
        let together = (last + 1 - first).div_ceil(most).max(1);
        let at = |index: usize| start + width * index as f64;
        let joined = (first..=last).step_by(together).map(|index| {
            let end = (index + together).min(bins.len());
            let sum = |slot: usize| bins[index..end].iter().map(|bin| bin[slot]).sum();
            let rows = (0..bins[index].len()).map(sum).collect();
            Bin { from: at(index), to: at(end), rows }
        });
        let joined: Vec<Bin> = joined.collect();
        Some(Self { feature, low: at(first), high: joined.last()?.to, bins: joined })
    }

    /// The column's name for an axis.
    pub(super) fn label(&self, width: usize) -> String {
        let unit = self.feature.unit.as_ref().map_or_else(String::new, |unit| format!(", {unit}"));
        shortened(&self.feature.name, width.saturating_sub(unit.len()).max(12)) + &unit
    }

    /// Rows in the fullest bin.
    pub(super) fn most(&self) -> u64 {
        self.bins.iter().map(Bin::total).max().unwrap_or(1).max(1)
    }
}

/// The places of the points of a slot, between the ends of both axes.
pub(super) fn points<'a>(
    profile: &'a Profile,
    slot: usize,
    [x, y]: [&'a Axis<'_>; 2],
) -> impl Iterator<Item = (f64, f64)> + 'a {
    let of_slot = profile.points.iter().filter(move |point| point.slot == slot);
    let places = of_slot.map(|point| (point.values[0], point.values[1]));
    places.filter(|(a, b)| (x.low..=x.high).contains(a) && (y.low..=y.high).contains(b))
}

/// What to think of observed shares beside a model that was fitted to weighted rows.
pub(super) fn of_weighted(model: &Model) -> Markup {
    let training = &model.training;
    html! {
        @if training.weight.is_some() || training.class_weight.is_some() {
            " The model was fitted to weighted rows; what was observed counts each row once, and need not agree with it."
        }
    }
}

/// The margins where all columns are at their means.
pub(super) fn at_means(model: &Model) -> Vec<f64> {
    let of_margin = |(margin, intercept): (usize, &f64)| {
        intercept + model.features.iter().map(|feature| feature.coefficients[margin] * feature.mean).sum::<f64>()
    };
    model.intercepts.iter().enumerate().map(of_margin).collect()
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
