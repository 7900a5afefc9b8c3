//! The model of a fit: estimates on the original scale of the columns, and how they came about.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::time::UNIX_EPOCH;

use crate::data::{Class, ClassWeight, Encoded, Label, SourceFile, Table, Totals};
use crate::lda::ClassMoments;
use crate::matrix::Symmetric;
use crate::model::inference::{Inference, InferenceInfo, Likelihood};
use crate::model::{
    CategoryInfo, Covariance, FORMAT, FeatureInfo, FileInfo, GenerativeInfo, INTERCEPT, LabelInfo, Model, PathInfo,
    Seconds, SeparationInfo, Training, VERSION,
};
use crate::penalty::settle;
use crate::solve::Status;
use crate::solve::elastic_net::PathPoint;
use crate::standardize::Coordinates;
use crate::train::feature_penalties::FeaturePenalties;
use crate::train::fit::{Fit, Walked};
use crate::train::{ExactJob, Job};
use crate::wording::{counted, listed, plain};

/// The model of a fit; `null` is the mean loss of the model without features, if it has no closed form.
#[expect(clippy::too_many_arguments, reason = "all that a model tells of")]
pub(super) fn model(
    table: &Table,
    job: &Job,
    penalties: &FeaturePenalties,
    encoded: Encoded,
    fit: &Fit,
    null: Option<f64>,
    device: String,
    seconds: Seconds,
) -> Model {
    let Fit { coordinates, outcome, .. } = fit;
    let is_softmax = encoded.label.is_softmax;
    let estimates = Estimates::of(fit, job, usize::from(!is_softmax)..encoded.label.classes.len());
    let is_weighted = encoded.weight.is_some() || encoded.class_weight.is_some();
    let features: Vec<FeatureInfo> = encoded
        .features
        .into_iter()
        .enumerate()
        .map(|(index, feature)| {
            let active = coordinates.active().iter().position(|&column| column == index);
            let (coefficients, inference) = estimates.of_feature(index, active);
            FeatureInfo {
                kind: if feature.level.is_some() { "level".into() } else { feature.kind.name().into() },
                category: feature.level.map(|(category, _)| encoded.categories[category].name.clone()),
                name: feature.name,
                unit: feature.unit.map(Into::into),
                indicates: feature.indicates,
                fill: feature.fill,
                missing: feature.missing,
                coefficients,
                mean: feature.scale.mean,
                scale: feature.scale.scale,
                aliased: fit.aliased.contains(&index),
                penalty_factor: penalties.factor_of(index),
                bounds: penalties.bounds_of(index),
                inference,
            }
        })
        .collect();
    let (intercepts, intercepts_inference) = estimates.of_intercept();
    let mut notes = encoded.notes;
    notes.extend(about_aliased(fit, &features));
    let mut warnings = encoded.warnings;
    warnings.extend(doubt_about_counts(job, &encoded.totals, table.rows));
    if job.exact != ExactJob::None && fit.verified.is_none() {
        warnings.push("not verified: the run ended without estimates, so there is nothing to verify".into());
    }
    warnings.extend(without_errors(job, fit));
    if outcome.status != Status::Converged {
        let advice = advice(job, outcome.status);
        warnings.push(format!("{}: {advice}", outcome.status.name()));
    }
    warnings.extend(fit.path().into_iter().flat_map(|path| left_of_path(path, job)));
    if let Some(separation) = &fit.separation {
        warnings.extend(explanations(separation, &encoded.label));
    }
    let names_of = |parameters: &[usize]| estimates.names(parameters, &features, &encoded.label.classes);
    let existence = (!job.is_penalised() && fit.moments.is_none() && outcome.status != Status::Separated)
        .then(|| if outcome.is_proved { "proved" } else { "not proved" }.into());
    let kind = kind_of_errors(job);
    let likelihood = job.inference.and_then(|_| {
        // A mean of f32 terms holds about seven digits; the CPU's is in f64.
        let digits = (fit.settings.bias > 0.0 && fit.verified.is_none()).then_some(7);
        // Factors of classes are no part of the sample; without them the loss comes with the covariance.
        let (loss, mut totals, digits) = match &encoded.class_weight {
            None => (fit.loss, encoded.totals.classes.clone(), digits),
            Some(_) => (fit.covariance.as_ref()?.loss?, encoded.totals.by_column.clone(), None),
        };
        let is_sample = job.takes_sampling_weights();
        if is_sample {
            let unit = table.rows as f64 / totals.iter().sum::<f64>();
            for total in &mut totals {
                *total *= unit;
            }
        }
        let found = Likelihood::new(loss, &totals, job.intercept, null, outcome.parameters.len(), digits);
        Some(Likelihood { kind: kind_of_likelihood(job), aic: if is_sample { f64::NAN } else { found.aic }, ..found })
    });
    Model {
        covariance: estimates.covariance(&features, &encoded.label.classes, kind),
        format: FORMAT.into(),
        version: VERSION,
        intercepts,
        intercepts_inference,
        path: fit.path().map(|path| path_info(path, &estimates, job, &names_of)),
        generative: fit.moments.as_ref().map(|moments| generative(moments, coordinates)),
        nulls: job.spec.nulls,
        offsets: if is_softmax && !encoded.offsets.is_empty() {
            // The reference has none.
            std::iter::once(None).chain(encoded.offsets).collect()
        } else {
            encoded.offsets
        },
        training: Training {
            rows: table.rows,
            positives: (!is_softmax).then(|| encoded.label.counts[1]),
            class_rows: if is_softmax { encoded.label.counts } else { Vec::new() },
            identification: is_softmax.then(|| estimates.identification.name().into()),
            weight: encoded.weight,
            class_weight: encoded.class_weight,
            weight_kind: job.spec.weight.as_ref().and(job.spec.weight_kind).unwrap_or_default(),
            weights: is_weighted.then_some(fit.weight),
            left_out: encoded.left_out,
            loss: fit.loss,
            solver: if job.has_elastic_net() { "proximal-newton".into() } else { job.solver.name().into() },
            status: outcome.status,
            iterations: outcome.iterations,
            passes: outcome.passes,
            delta: outcome.delta,
            existence,
            separation: fit.separation.clone(),
            delta_is_approximate: fit.settings.approximate && !outcome.is_bounded && fit.verified.is_none(),
            delta_floor: outcome.delta_floor,
            tolerance: job.tolerance,
            gradient_norm: outcome.gradient_norm(),
            gradient_tolerance: job.gradient_tolerance,
            inference: job.inference.zip(fit.covariance.as_ref()).map(|(inference, covariance)| InferenceInfo {
                kind: kind.into(),
                confidence: inference.confidence,
                relative_error: covariance.relative_error,
            }),
            verified: fit.verified,
            likelihood,
            validation: None,
            device,
            l1: fit.path().map_or(job.l1, |path| path.alpha * path.selected),
            l2: fit.path().map_or(job.l2, |path| (1.0 - path.alpha) * path.selected),
            gap: fit.gap.as_ref().map(|gap| gap.left / gap.null),
            gap_tolerance: fit.gap.as_ref().map(|_| job.gap_tolerance),
            on_edge: fit.gap.as_ref().map_or_else(Vec::new, |gap| names_of(&gap.on_edge)),
            penalty_scale: job.penalty_scale,
            fit_intercept: job.intercept,
            seconds,
            files: files(table),
            program: concat!("gpu-logreg ", env!("CARGO_PKG_VERSION")).into(),
            command: Vec::new(),
            notes,
            warnings,
        },
        label: LabelInfo {
            column: encoded.label.column,
            positive: (!is_softmax).then(|| encoded.label.classes[1].clone()),
            classes: encoded.label.classes,
        },
        features,
        categories: encoded
            .categories
            .into_iter()
            .map(|category| CategoryInfo {
                column: category.name,
                kind: category.kind.name().into(),
                levels: category.levels,
                rows: category.rows,
            })
            .collect(),
    }
}

/// The files that were read.
fn files(table: &Table) -> Vec<FileInfo> {
    let info = |file: &SourceFile| FileInfo {
        path: file.path.display().to_string(),
        bytes: file.bytes,
        modified: file.modified.and_then(|time| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())),
        page_checksums: file.page_checksums,
    };
    table.files().into_iter().map(info).collect()
}

/// A note if columns were left out that others explain.
fn about_aliased(fit: &Fit, features: &[FeatureInfo]) -> Option<String> {
    let names: Vec<&str> = fit.aliased.iter().map(|&column| features[column].name.as_str()).collect();
    let note =
        || format!("aliased, coefficient 0: {} (the columns before them explain them completely)", listed(&names));
    (!names.is_empty()).then(note)
}

/// What a status other than `converged` means for the user of this job.
fn advice(job: &Job, status: Status) -> &'static str {
    match status {
        Status::Separated if job.is_penalised() => {
            "columns that nothing holds tell the classes apart perfectly, at least for some rows, so these coefficients are no \
             estimates; give them a ⟦penalty-factor⟧ above 0 or ⟦bounds⟧ on both sides, or leave them out"
        }
        _ if !job.has_elastic_net() => status.advice(),
        Status::F32Limit if job.exact == ExactJob::Refine => {
            "as near as the sums of this device tell; try ⟦device cpu⟧, or raise ⟦gap-tolerance⟧"
        }
        Status::F32Limit => {
            "as near as the sums of this device tell, where columns are nearly collinear; ⟦refine⟧ goes on in double precision \
             over the file, or raise ⟦gap-tolerance⟧"
        }
        Status::LineSearchFailed | Status::Stalled => {
            "no step came nearer; look for extreme values, raise ⟦gap-tolerance⟧ or the penalty, or try ⟦l2⟧ alone"
        }
        status => status.advice(),
    }
}

/// What the standard errors are.
fn kind_of_errors(job: &Job) -> &'static str {
    let of_classes = job.spec.class_weight != ClassWeight::Equal;
    let is_robust = job.inference.is_some_and(|inference| inference.robust);
    match (job.takes_sampling_weights(), of_classes, is_robust, job.l2 > 0.0) {
        (true, true, ..) => "robust (sampling weights, weights of classes)",
        (true, false, ..) => "robust (sampling weights)",
        (false, true, ..) => "robust (HC0, weights of classes)",
        (false, false, true, _) => "robust (HC0)",
        (false, false, false, true) => "penalised",
        (false, false, false, false) => "maximum likelihood",
    }
}

/// What the likelihood is of, where it is not that of the rows by their counts under the loss that was minimised.
fn kind_of_likelihood(job: &Job) -> Option<Cow<'static, str>> {
    let of_classes = job.spec.class_weight != ClassWeight::Equal;
    match (job.takes_sampling_weights(), of_classes) {
        (false, false) => None,
        (false, true) => Some("without the weights of the classes".into()),
        (true, false) => Some("pseudo-likelihood, weights scaled to a mean of 1".into()),
        (true, true) => {
            Some("pseudo-likelihood, weights scaled to a mean of 1, without the weights of the classes".into())
        }
    }
}

/// Rows and their mean weight from which whole numbers are rarely counts: what was counted is in few rows.
const MANY_ROWS: usize = 1_000;
const LARGE_COUNT: f64 = 10.0;

/// A warning if errors are asked for and the weights, whose kind nobody said, do not look like counts of rows.
fn doubt_about_counts(job: &Job, totals: &Totals, rows: usize) -> Option<String> {
    let (column, sum) = (job.spec.weight.as_ref()?, totals.by_column.iter().sum::<f64>());
    let mean = sum / rows as f64;
    let are_large = rows > MANY_ROWS && mean >= LARGE_COUNT;
    if job.inference.is_none() || job.spec.weight_kind.is_some() || totals.are_whole && !are_large {
        return None;
    }
    let what = if totals.are_whole { "are large for counts" } else { "are no whole numbers" };
    Some(format!(
        "the weights `{}` {what} (mean {}), and the standard errors take them for counts: {} as {}. Say \
         ⟦weight-kind sampling⟧ if each row was observed once, or ⟦weight-kind count⟧ if they are counts",
        plain(column),
        five_digits(mean),
        counted(rows as u64, "row"),
        five_digits(sum),
    ))
}

/// A positive number with five significant digits.
fn five_digits(x: f64) -> String {
    let decimals = (4.0 - x.log10().floor()).clamp(0.0, 300.0) as usize;
    format!("{x:.decimals$}")
}

/// Causes that the warnings spell out; the model has all of them.
const SPELT_OUT: usize = 20;

/// What separates the classes, in sentences.
fn explanations(separation: &SeparationInfo, label: &Label) -> Vec<String> {
    let names: Vec<&str> = {
        let mut seen = HashSet::new();
        let all = separation.causes.iter().flat_map(|cause| &cause.columns);
        all.filter(|name| seen.insert(name.as_str())).map(String::as_str).collect()
    };
    let mut sentences = vec![format!("the columns that separate: {}", listed(&names))];
    for cause in separation.causes.iter().take(SPELT_OUT) {
        // What the causes before leave on the edge may be of one class.
        let is_constant = cause.columns.is_empty();
        let columns = if is_constant { "the intercept".into() } else { listed(&cause.columns) };
        let (rows, together) = (counted(cause.rows, "row"), if cause.columns.len() > 1 { " together" } else { "" });
        let of_class = match (&cause.class, &cause.lacks) {
            (_, Some(class)) if label.is_softmax => format!(" from `{}`", plain(&class.to_string())),
            (Some(class), _) => format!(", all of them `{}`", plain(&class.to_string())),
            _ => String::new(),
        };
        let verb = if cause.columns.len() > 1 { "tell" } else { "tells" };
        let edge = if cause.on_edge == 0 && !is_constant { ", which is every row".into() } else { String::new() };
        sentences.push(format!("{columns}{together} {verb} {rows} apart{of_class}{edge}"));
    }
    if separation.causes.len() > SPELT_OUT {
        sentences.push(format!("and {} more, in the model", separation.causes.len() - SPELT_OUT));
    }
    sentences
}

/// The coefficients of a feature or the intercepts, and what is inferred of each, if anything is.
type Estimate = (Vec<f64>, Vec<Option<Inference>>);

/// What makes the coefficients of several classes unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identification {
    /// Those of the first class are 0.
    Reference,
    /// Those of all classes add up to 0, as their squares have them.
    Centred,
    /// Each costs by itself. What costs nothing adds up to 0 over the classes.
    Penalised,
}

impl Identification {
    const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Centred => "centred",
            Self::Penalised => "penalised",
        }
    }
}

/// Weights of all columns and the intercept of each margin that parameters of the fit have, on the original scale.
fn on_original_scale(fit: &Fit, parameters: &[f64]) -> Vec<(Vec<f64>, f64)> {
    let (coordinates, terms) = (&fit.coordinates, fit.penalty.terms());
    let size = coordinates.dimension();
    let original = |parameters: &[f64]| -> Vec<(Vec<f64>, f64)> {
        parameters.chunks(size).map(|margin| coordinates.to_original(margin)).collect()
    };
    // One of the parameters of every class has a term of its own.
    if parameters.len() == size || terms.len() != parameters.len() {
        return original(parameters);
    }
    let mut settled = parameters.to_vec();
    settle(&mut settled, &terms, size);
    let mut margins = original(&settled);
    let centre = |of_classes: &mut dyn Iterator<Item = &mut f64>| {
        let mut all: Vec<&mut f64> = of_classes.collect();
        let mean = all.iter().map(|x| **x).sum::<f64>() / all.len() as f64;
        for x in &mut all {
            **x -= mean;
        }
    };
    if coordinates.has_intercept() {
        centre(&mut margins.iter_mut().map(|(_, intercept)| intercept));
    }
    for (&column, term) in coordinates.active().iter().zip(&terms[size..]) {
        if term.is_free() {
            centre(&mut margins.iter_mut().map(|(weights, _)| &mut weights[column]));
        }
    }
    margins
}

/// The estimates on the original scale.
struct Estimates<'f> {
    fit: &'f Fit,
    /// The classes that the model has a margin of: all of a softmax, the positive one of two.
    classes: Range<usize>,
    /// Of each margin of the fit, which has none of the first class unless every class is penalised by itself: weights of all
    /// columns and the intercept.
    margins: Vec<(Vec<f64>, f64)>,
    identification: Identification,
    /// Probability that a confidence interval covers, if something is inferred.
    confidence: Option<f64>,
    /// Of the coefficients of each class that are estimated, the intercept of each first.
    covariance: Option<Symmetric>,
}

impl<'f> Estimates<'f> {
    fn of(fit: &'f Fit, job: &Job, classes: Range<usize>) -> Self {
        let margins = on_original_scale(fit, &fit.outcome.parameters);
        let confidence = job.inference.filter(|_| fit.covariance.is_some()).map(|inference| inference.confidence);
        // With two classes the penalty is that of the binary model, on their difference.
        let identification = match classes.end {
            end if end > 2 && margins.len() == end => Identification::Penalised,
            end if end > 2 && job.l2 > 0.0 => Identification::Centred,
            _ => Identification::Reference,
        };
        let mut estimates = Self { fit, classes, margins, identification, confidence, covariance: None };
        // A coefficient on the original scale is linear in the solver's parameters. One product serves all variances and
        // covariances: with thousands of features one for each pair takes minutes.
        estimates.covariance = fit.covariance.as_ref().map(|covariance| {
            let maps: Vec<Vec<(usize, f64)>> =
                estimates.order().into_iter().map(|(class, place)| estimates.map(class, place)).collect();
            covariance.matrix.along(&maps)
        });
        estimates
    }

    /// The first class that is estimated.
    fn first(&self) -> usize {
        usize::from(self.identification == Identification::Reference)
    }

    /// Class and active column of each coefficient that is estimated, `None` for the intercept.
    fn order(&self) -> Vec<(usize, Option<usize>)> {
        let coordinates = &self.fit.coordinates;
        let intercept = coordinates.has_intercept().then_some(None);
        let places = || intercept.into_iter().chain((0..coordinates.active().len()).map(Some));
        let classes = self.first()..self.classes.end;
        classes.flat_map(|class| places().map(move |place| (class, place))).collect()
    }

    fn variance(&self, class: usize, place: Option<usize>) -> Option<f64> {
        let has_intercept = self.fit.coordinates.has_intercept();
        let within = place.map_or(0, |active| active + usize::from(has_intercept));
        let index = class.checked_sub(self.first())? * self.fit.coordinates.dimension() + within;
        Some(self.covariance.as_ref()?.get(index, index))
    }

    /// Of the margins, one after the other, what the coefficient of class `class` is made of.
    fn shares(&self, class: usize) -> Vec<f64> {
        let share = |margin: usize| {
            let is = |class_of_margin: usize| f64::from(u8::from(class_of_margin == class));
            match self.identification {
                Identification::Reference => is(margin + 1),
                // Intercepts are not penalised; they are centred with the rest.
                Identification::Centred => is(margin + 1) - 1.0 / self.classes.end as f64,
                Identification::Penalised => is(margin),
            }
        };
        (0..self.margins.len()).map(share).collect()
    }

    /// The vector over the solver's parameters whose product with them is a coefficient: that of the active column, or of
    /// the intercept for `None`, in the margin of `class`. Its entries that are not 0: place and value.
    fn map(&self, class: usize, active: Option<usize>) -> Vec<(usize, f64)> {
        let of_margin = self.fit.coordinates.coefficient_map(active);
        let of_margins = self.shares(class).into_iter().enumerate().flat_map(|(margin, share)| {
            let first = margin * self.fit.coordinates.dimension();
            of_margin.iter().map(move |&(place, x)| (first + place, share * x))
        });
        of_margins.filter(|(_, x)| *x != 0.0).collect()
    }

    fn of_feature(&self, column: usize, active: Option<usize>) -> Estimate {
        let values: Vec<f64> = self.margins.iter().map(|(weights, _)| weights[column]).collect();
        self.estimate(&values, active.is_some(), active)
    }

    fn of_intercept(&self) -> Estimate {
        let values: Vec<f64> = self.margins.iter().map(|(_, intercept)| *intercept).collect();
        self.estimate(&values, self.fit.coordinates.has_intercept(), None)
    }

    /// The coefficients of the classes that are made of those of the margins.
    fn of_classes(&self, values: &[f64]) -> Vec<f64> {
        let of_class = |class: usize| {
            let shares = self.shares(class);
            // The reference has no part in any margin, and no -0.
            let parts = shares.iter().zip(values).map(|(share, v)| if *share == 0.0 { 0.0 } else { share * v });
            parts.reduce(|sum, part| sum + part).unwrap_or(0.0)
        };
        self.classes.clone().map(of_class).collect()
    }

    /// From the coefficients of the margins: of the active column, or of the intercept for `None`, if it is estimated.
    fn estimate(&self, values: &[f64], is_estimated: bool, active: Option<usize>) -> Estimate {
        let infer = |class: usize, coefficient: f64| {
            let variance = self.variance(class, active).filter(|_| is_estimated)?;
            Some(Inference::new(coefficient, variance.sqrt(), self.confidence?))
        };
        let coefficients = self.of_classes(values);
        if self.confidence.is_none() {
            return (coefficients, Vec::new());
        }
        let of_class = self.classes.clone().zip(&coefficients);
        let inference = of_class.map(|(class, coefficient)| infer(class, *coefficient)).collect();
        (coefficients, inference)
    }

    /// The names of parameters of the fit: of features, and of their class too if there is more than one margin.
    fn names(&self, parameters: &[usize], features: &[FeatureInfo], classes: &[Class]) -> Vec<String> {
        let (active, size) = (self.fit.coordinates.active(), self.fit.coordinates.dimension());
        let name = |&parameter: &usize| {
            let name = &features[*active.get(parameter % size)?].name;
            Some(if self.classes.len() > 1 {
                format!("{}: {name}", classes[parameter / size + self.first()])
            } else {
                name.clone()
            })
        };
        parameters.iter().filter_map(name).collect()
    }

    /// The covariance of the estimates of the margins, the intercept of each first.
    fn covariance(&self, features: &[FeatureInfo], classes: &[Class], kind: &'static str) -> Option<Covariance> {
        let covariance = self.covariance.as_ref()?;
        let active = self.fit.coordinates.active();
        let order = self.order();
        let name = |&(class, place): &(usize, Option<usize>)| {
            let name = place.map_or(INTERCEPT, |place| features[active[place]].name.as_str());
            if self.classes.len() > 1 { format!("{}: {name}", classes[class]) } else { name.to_owned() }
        };
        let row = |i: usize| (0..order.len()).map(|j| covariance.get(i, j)).collect();
        Some(Covariance {
            coefficients: order.iter().map(name).collect(),
            kind,
            covariance: (0..order.len()).map(row).collect(),
        })
    }
}

/// A warning if errors are asked for and there are none.
fn without_errors(job: &Job, fit: &Fit) -> Option<String> {
    let is_without = job.inference.is_some() && fit.covariance.is_none();
    let why = "no standard errors: the Hessian at the end has no inverse, or the run ended without estimates";
    is_without.then(|| why.into())
}

/// Warnings if models of a path, or of folds along it, are not as near as was asked for.
fn left_of_path(Walked { outcome, validated, .. }: &Walked, job: &Job) -> Vec<String> {
    let share = |point: &PathPoint| point.gap / outcome.null;
    let left: Vec<f64> =
        outcome.points.iter().map(share).filter(|gap| gap.is_nan() || *gap > job.gap_tolerance).collect();
    let worst = left.iter().copied().fold(0.0, f64::max);
    let of_path = (!left.is_empty()).then(|| {
        format!(
            "{} of {} models of the path are not within ⟦gap-tolerance⟧: up to {worst:.1e} of the null deviance is left to gain",
            left.len(),
            outcome.points.len()
        )
    });
    let of_folds = validated.as_ref().and_then(|validated| validated.left(outcome.null, job.gap_tolerance));
    of_path.into_iter().chain(of_folds).collect()
}

/// The path on the original scale of the columns. The model itself stands in it as it was fitted last.
fn path_info(
    Walked { alpha, selected, outcome, validated }: &Walked,
    estimates: &Estimates<'_>,
    job: &Job,
    names_of: &dyn Fn(&[usize]) -> Vec<String>,
) -> PathInfo {
    let (fit, points) = (estimates.fit, &outcome.points);
    let is_selected = |point: &PathPoint| point.strength.total_cmp(selected).is_eq();
    let of_point = |point: &PathPoint| {
        let parameters = if is_selected(point) { &fit.outcome.parameters } else { &point.parameters };
        on_original_scale(fit, parameters)
    };
    let originals: Vec<Vec<(Vec<f64>, f64)>> = points.iter().map(of_point).collect();
    let selected_of = |margins: &Vec<(Vec<f64>, f64)>| {
        let of_column = |column: usize| {
            let of_margins: Vec<f64> = margins.iter().map(|(weights, _)| weights[column]).collect();
            (column, estimates.of_classes(&of_margins))
        };
        let columns = (0..fit.coordinates.columns().len()).map(of_column);
        columns.filter(|(_, weights): &(usize, Vec<f64>)| weights.iter().any(|weight| *weight != 0.0)).collect()
    };
    let intercepts_of = |margins: &Vec<(Vec<f64>, f64)>| {
        estimates.of_classes(&margins.iter().map(|(_, intercept)| *intercept).collect::<Vec<_>>())
    };
    let coefficients: Vec<Vec<(usize, Vec<f64>)>> = originals.iter().map(selected_of).collect();
    let share = |left: f64| left / outcome.null;
    let own = |point: &PathPoint| fit.gap.as_ref().filter(|_| is_selected(point));
    let of_edge = |point: &PathPoint| names_of(own(point).map_or(&point.on_edge, |gap| &gap.on_edge));
    let on_edge: Vec<Vec<String>> = points.iter().map(of_edge).collect();
    PathInfo {
        alpha: *alpha,
        lambdas: points.iter().map(|point| point.strength).collect(),
        selected: *selected,
        null_loss: outcome.null,
        explained: points
            .iter()
            .map(|point| 1.0 - share(if is_selected(point) { fit.loss } else { point.loss }))
            .collect(),
        columns: coefficients.iter().map(Vec::len).collect(),
        gaps: points.iter().map(|point| share(own(point).map_or(point.gap, |gap| gap.left))).collect(),
        intercepts: originals.iter().map(intercepts_of).collect(),
        coefficients,
        on_edge: if on_edge.iter().all(Vec::is_empty) { Vec::new() } else { on_edge },
        cv: validated
            .as_ref()
            .zip(job.spec.folds.as_ref())
            .map(|(found, folds)| found.info(folds, outcome, &fit.coordinates, job.gap_tolerance)),
    }
}

/// The moments on the original scale of the columns.
fn generative(moments: &ClassMoments, coordinates: &Coordinates) -> GenerativeInfo {
    let columns = coordinates.columns();
    let mean = |mean: &Vec<f64>| {
        mean.iter().zip(columns).map(|(x, column)| column.device_mean + column.device_scale * x).collect()
    };
    let entry = |i: usize, j: usize| columns[i].device_scale * columns[j].device_scale * moments.within.get(i, j);
    let row = |i: usize| (0..columns.len()).map(|j| entry(i, j)).collect();
    GenerativeInfo {
        priors: moments.priors(),
        means: moments.means.iter().map(mean).collect(),
        covariance: (0..columns.len()).map(row).collect(),
    }
}
