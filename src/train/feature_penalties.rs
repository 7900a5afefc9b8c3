//! What settings say of single columns: factors of the penalty, and bounds of coefficients.

use crate::data::{FeatureName, matching_features};
use crate::error::{Error, Result};
use crate::train::Job;
use crate::wording::{listed, nearest, plain};

/// Factors of the penalty and bounds, of each feature.
pub(super) struct FeaturePenalties {
    /// What the strengths of the penalty are multiplied by; infinite for a feature that is left out.
    pub(super) factors: Vec<f64>,
    /// The least and the greatest coefficient, on the original scale.
    pub(super) bounds: Vec<[f64; 2]>,
}

impl FeaturePenalties {
    /// Of features with these names.
    ///
    /// # Errors
    /// Of kind `Usage` if a number makes no sense or nothing is left to penalise, of kind `Data` if a name is no feature's.
    pub(super) fn new(job: &Job, names: &[FeatureName]) -> Result<Self> {
        let low = if job.nonnegative { 0.0 } else { f64::NEG_INFINITY };
        let mut penalties = Self { factors: vec![1.0; names.len()], bounds: vec![[low, f64::INFINITY]; names.len()] };
        for (name, factor) in &job.penalty_factors {
            if *factor < 0.0 || factor.is_nan() {
                return Err(Error::usage(
                    format!("⟦penalty-factor {}={factor}⟧ is no factor of a penalty", plain(name)),
                    "Give a number from 0 (not penalised) on, or inf (left out).",
                ));
            }
        }
        for (place, factor) in said("⟦penalty-factor⟧", &job.penalty_factors, names)? {
            penalties.factors[place] = factor;
        }
        for (name, bounds) in &job.bounds {
            let [low, high] = bounds;
            if !(*low <= 0.0 && *high >= 0.0 && low < high) {
                return Err(Error::usage(
                    format!(
                        "the bounds {low} and {high} of `{}` leave no room around 0, where a coefficient begins",
                        plain(name)
                    ),
                    "Give a lower bound up to 0 and an upper one from 0 on, not both 0. ⟦penalty-factor⟧ inf leaves a column out.",
                ));
            }
        }
        for (place, bounds) in said("⟦bounds⟧", &job.bounds, names)? {
            penalties.bounds[place] = bounds;
        }
        penalties.check(job, names)?;
        Ok(penalties)
    }

    /// The bounds of a feature that has some; a side without one is `None`.
    pub(super) fn bounds_of(&self, place: usize) -> Option<[Option<f64>; 2]> {
        let bounds = self.bounds[place].map(|bound| bound.is_finite().then_some(bound));
        bounds.iter().any(Option::is_some).then_some(bounds)
    }

    /// What the penalty of a feature is multiplied by, if that is not 1.
    #[expect(clippy::float_cmp, reason = "a factor of exactly 1 is none")]
    pub(super) fn factor_of(&self, place: usize) -> Option<f64> {
        Some(self.factors[place]).filter(|factor| *factor != 1.0)
    }

    /// An error if there is nothing to penalise, or a coefficient without a penalty that only one bound holds.
    fn check(&self, job: &Job, names: &[FeatureName]) -> Result<()> {
        if job.has_elastic_net() && !job.is_penalised() {
            return Err(Error::usage(
                "⟦penalty-factor⟧, ⟦bounds⟧ and ⟦nonnegative⟧ go with a penalty",
                "Add ⟦l1⟧ or ⟦l2⟧, a small one such as ⟦l2 1e-6⟧ if none is wanted.",
            ));
        }
        if !names.is_empty() && self.factors.iter().all(|factor| *factor == 0.0 || factor.is_infinite()) {
            return Err(Error::usage(
                "⟦penalty-factor⟧ leaves no feature that is in the model and penalised",
                "Leave the penalty out, or give a feature a finite factor above 0.",
            ));
        }
        let is_half = |bounds: &[f64; 2]| bounds[0].is_finite() != bounds[1].is_finite();
        let half: Vec<&str> = (0..names.len())
            .filter(|&j| self.factors[j] == 0.0 && is_half(&self.bounds[j]))
            .map(|j| names[j].own.as_str())
            .collect();
        if half.is_empty() {
            return Ok(());
        }
        Err(Error::usage(
            format!(
                "without a penalty a coefficient needs both bounds or none, for it may have no finite value: {}",
                listed(&half)
            ),
            "Give the other bound too, or a factor above 0 (⟦penalty-factor⟧).",
        ))
    }
}

/// What a setting says of features by their places. What says it better comes later: patterns, then columns, which may be all levels of a
/// category, then the names of features.
///
/// # Errors
/// Of kind `Data` if a name is no feature's, of kind `Usage` if two entries of one kind speak of one feature.
fn said<T: Copy>(setting: &str, list: &[(String, T)], names: &[FeatureName]) -> Result<Vec<(usize, T)>> {
    let rank = |name: &str| {
        let is_one = |of: &dyn Fn(&FeatureName) -> bool| usize::from(names.iter().any(of));
        2 * is_one(&|feature| feature.own == name) + is_one(&|feature| feature.column == name)
    };
    let mut all = Vec::new();
    for wanted in 0..4 {
        let first = all.len();
        for (name, value) in list.iter().filter(|(name, _)| rank(name) == wanted) {
            for place in matching(setting, name, names)? {
                if all[first..].iter().any(|(other, _)| *other == place) {
                    return Err(Error::usage(
                        format!("{setting} speaks of `{}` twice", plain(&names[place].own)),
                        "Say it once; a name goes before a pattern, and a level before its column.",
                    ));
                }
                all.push((place, *value));
            }
        }
    }
    Ok(all)
}

/// The places of the features that a name or a pattern means, of which there must be one.
fn matching(setting: &str, name: &str, names: &[FeatureName]) -> Result<Vec<usize>> {
    let found = matching_features(names, name);
    if !found.is_empty() {
        return Ok(found);
    }
    let known = || names.iter().flat_map(|feature| [feature.column.as_str(), feature.own.as_str()]);
    let meant = nearest(name, known()).map_or_else(String::new, |near| format!("Did you mean {}? ", plain(near)));
    let all: Vec<&str> = names.iter().map(|feature| feature.own.as_str()).collect();
    Err(Error::data(
        format!("{setting} names `{}`, which is no feature", plain(name)),
        format!("{meant}The features are: {}", listed(&all)),
    ))
}
