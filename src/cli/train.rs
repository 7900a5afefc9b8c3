//! `gpu-logreg train`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::backend::Selection;
use crate::cli::limits::LimitFlags;
use crate::cli::progress::Progress;
use crate::cli::rows::RowFlags;
use crate::cli::{Global, NOT_CONVERGED, RANKING_BYTES, check_distinct, print};
use crate::data::{ClassWeight, DEFAULT_MAX_LEVELS, Inputs, MOST_LEVELS, Nulls, Request, Table, Wanted};
use crate::error::{Error, Result};
use crate::metrics::{Accumulator, ClassAccumulator, ClassMetrics, Limit, Metrics};
use crate::model::file::Pending;
use crate::model::{Model, Validation};
use crate::objective::Probe;
use crate::penalty::PenaltyScale;
use crate::report;
use crate::report::html::classes::{ClassPage, ClassQuality};
use crate::report::html::{Page, Quality, RowsFrom, Search, Step, Trial};
use crate::score::{Counts, evaluate_and_sketch, evaluate_and_sketch_classes};
use crate::sketch::Sketch;
use crate::sketch::classes::ClassSketch;
use crate::solve::{DEFAULT_MAX_ITERATIONS, DEFAULT_TOLERANCE, Iteration, Preconditioner};
use crate::train::{ExactJob, InferenceJob, Init, Job, Solver, prepare};

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what a command line has")]
pub(super) struct Train {
    /// Parquet files, folders of them, or patterns; all with the same columns
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Where to write the model [default: only print it]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The label: boolean, 0/1, -1/1, any column with two values and --positive, or the classes of a softmax
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    label: Option<String>,
    /// The value of the label that counts as positive
    #[arg(long, value_name = "VALUE", help_heading = "Columns", allow_hyphen_values = true)]
    positive: Option<String>,
    /// A softmax over the values of the label, however many there are [default: for texts of three values or more]
    #[arg(long, help_heading = "Columns")]
    multinomial: bool,
    /// The features, separated by commas; `*` and `?` stand for any characters [default: all numbers, booleans and
    /// texts]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Columns")]
    features: Vec<String>,
    /// Columns to leave out, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Columns")]
    ignore: Vec<String>,
    /// Columns that are categories although they are no text, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Columns")]
    categorical: Vec<String>,
    /// The level of a category that the others are compared with, or the class of a softmax [default: the first one]
    #[arg(long, value_name = "COL=LEVEL", help_heading = "Columns")]
    reference: Vec<String>,
    /// Levels that a category may have
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_LEVELS, help_heading = "Columns")]
    max_levels: usize,
    /// A column of row weights: a row of weight 2 counts as if it were there twice
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    weight: Option<String>,
    /// A column that adds to the log odds with a coefficient of 1
    #[arg(long, value_name = "COL", help_heading = "Columns")]
    offset: Option<String>,
    /// Weights of the classes: `balanced`, or V=W,... by the value of the label
    #[arg(long, value_name = "W", help_heading = "Columns")]
    class_weight: Option<String>,
    /// What is done about missing values, nulls and NaN
    #[arg(long, value_name = "POLICY", default_value = "error", help_heading = "Columns")]
    nulls: NullsName,

    #[command(flatten)]
    rows: RowFlags,
    /// Hold about this part of the rows back, between 0 and 1, by chance, and validate the model on it
    #[arg(long, value_name = "F", conflicts_with = "valid", help_heading = "Rows", allow_hyphen_values = true)]
    split: Option<f64>,
    /// Validate the model on these files
    #[arg(long, value_name = "DATA", num_args = 1.., help_heading = "Rows")]
    valid: Vec<PathBuf>,

    /// Strength of the L2 penalty on the mean loss; never on the intercept
    #[arg(long, value_name = "X", default_value_t = 0.0, help_heading = "Model", allow_hyphen_values = true)]
    l2: f64,
    /// Which weights the penalty takes: those of standardised columns (as glmnet), or the original ones
    /// (as scikit-learn, whose C is 1 / (rows * l2))
    #[arg(long, value_name = "SCALE", default_value = "standardized", help_heading = "Model")]
    penalty_scale: Scale,
    /// Fit no intercept
    #[arg(long, help_heading = "Model")]
    no_intercept: bool,

    /// The method
    #[arg(long, value_name = "NAME", default_value = "cg", help_heading = "Solver")]
    solver: SolverName,
    /// Where the solver begins
    #[arg(long, value_name = "NAME", default_value = "zero", help_heading = "Solver")]
    init: InitName,
    /// What stands in for the inverse Hessian
    #[arg(long, value_name = "NAME", default_value = "auto", help_heading = "Solver")]
    preconditioner: PreconditionerName,
    /// Distance to the optimum, in standard errors, that counts as converged
    #[arg(long, value_name = "X", default_value_t = DEFAULT_TOLERANCE, help_heading = "Solver", allow_hyphen_values = true)]
    tolerance: f64,
    /// Stop at this largest component of the gradient instead (standardised columns), as scipy does
    #[arg(long, value_name = "X", help_heading = "Solver", allow_hyphen_values = true)]
    gradient_tolerance: Option<f64>,
    /// Iterations at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_ITERATIONS, help_heading = "Solver")]
    max_iterations: u64,
    /// Standard errors, z, p, confidence limits, odds ratios and the likelihood
    #[arg(long, help_heading = "Results")]
    inference: bool,
    /// Standard errors that hold if the model is wrong (White's sandwich, HC0); implies --inference
    #[arg(long, help_heading = "Results")]
    robust: bool,
    /// Probability that a confidence interval covers
    #[arg(long, value_name = "P", default_value_t = 0.95, help_heading = "Results")]
    confidence: f64,
    /// Write the covariance of the estimates to this file, as JSON; implies --inference
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    covariance: Option<PathBuf>,
    /// One more pass, in double precision over the file itself: loss, gradient and distance as the file sees them
    #[arg(long, help_heading = "Results")]
    verify: bool,
    /// Refine the coefficients with passes in double precision until its last digit is reached; implies --verify
    #[arg(long, help_heading = "Results")]
    refine: bool,
    /// Write one JSON line for each iteration to this file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    history: Option<PathBuf>,
    /// Write a report with pictures to this file, as one page of HTML; takes one more pass over the file
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    report: Option<PathBuf>,
    /// Print what the run would do, and where the table would be kept, and do nothing
    #[arg(long, help_heading = "Memory")]
    dry_run: bool,
    /// Exit with code 4 if the solver did not converge
    #[arg(long, help_heading = "Solver")]
    strict: bool,

    /// auto (a hardware GPU, else the CPU), gpu (any adapter), cpu, or an index or part of a name of
    /// `gpu-logreg devices`
    #[arg(long, value_name = "WHICH", default_value = "auto", env = "GPU_LOGREG_DEVICE", help_heading = "Device")]
    device: Selection,
    #[command(flatten)]
    limits: LimitFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum NullsName {
    /// They are an error
    Error,
    /// A row with a missing value is left out
    DropRow,
    /// The mean of the column's other values stands in
    Mean,
    /// As mean, and a feature of its own says where
    Indicator,
}

#[derive(Clone, Copy, ValueEnum)]
enum SolverName {
    /// Preconditioned nonlinear conjugate gradient: fewest passes
    Cg,
    /// Newton's method: a Hessian pass an iteration
    Newton,
    /// Limited-memory BFGS
    Lbfgs,
    /// Gradient descent, for comparison
    GradientDescent,
    /// The generative model: Gaussian classes with one covariance, in closed form
    Generative,
}

#[derive(Clone, Copy, ValueEnum)]
enum InitName {
    /// Weights 0, and the log odds of the classes
    Zero,
    /// Along the generative model, as far as the loss falls
    Generative,
}

#[derive(Clone, Copy, ValueEnum)]
enum PreconditionerName {
    /// What suits the solver: for cg the Hessian, beyond 1024 features (with several classes 256 parameters, unless the
    /// table is small) that of a subsample, and for still more classes the bound; for lbfgs nothing
    Auto,
    /// Nothing: plain conjugate gradient
    None,
    /// The diagonal of the Hessian
    Diagonal,
    /// The Cholesky factor of the Hessian
    Hessian,
    /// That of a subsample of the rows (at most 64 MiB), with the diagonal of all
    Subsample,
    /// Of several classes: Böhning's bound on the Hessian, one matrix for all of them, with the exact diagonal
    Bound,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scale {
    Standardized,
    Original,
}

impl Train {
    fn job(&self) -> Result<Job> {
        if !(self.l2 >= 0.0 && self.l2.is_finite()) {
            return Err(Error::usage(
                format!("--l2 {} is no strength of a penalty", self.l2),
                "Give a number from 0 on.",
            ));
        }
        for (flag, value) in [("--tolerance", Some(self.tolerance)), ("--gradient-tolerance", self.gradient_tolerance)]
        {
            if let Some(value) = value
                && !(value > 0.0 && value.is_finite())
            {
                return Err(Error::usage(format!("{flag} {value} can never be met"), "Give a positive number."));
            }
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(Error::usage(
                format!("--confidence {} is no probability", self.confidence),
                "Give a number between 0 and 1, such as 0.95.",
            ));
        }
        Ok(Job {
            request: Request {
                label: self.label.clone(),
                positive: self.positive.clone(),
                multinomial: self.multinomial,
                features: names("--features", &self.features)?,
                categorical: names("--categorical", &self.categorical)?,
                references: Vec::new(),
                max_levels: check_max_levels(self.max_levels)?,
                ignore: names("--ignore", &self.ignore)?,
                weight: self.weight.clone(),
                offset: self.offset.clone(),
                class_weight: self.class_weight.as_deref().map_or(Ok(ClassWeight::Equal), class_weight)?,
                nulls: match self.nulls {
                    NullsName::Error => Nulls::Error,
                    NullsName::DropRow => Nulls::DropRow,
                    NullsName::Mean => Nulls::Mean,
                    NullsName::Indicator => Nulls::Indicator,
                },
            },
            device: self.device.clone(),
            limits: self.limits.check()?,
            l2: self.l2,
            penalty_scale: match self.penalty_scale {
                Scale::Standardized => PenaltyScale::Standardized,
                Scale::Original => PenaltyScale::Original,
            },
            intercept: !self.no_intercept,
            solver: match self.solver {
                SolverName::Cg => Solver::Cg,
                SolverName::Newton => Solver::Newton,
                SolverName::Lbfgs => Solver::Lbfgs,
                SolverName::GradientDescent => Solver::GradientDescent,
                SolverName::Generative => Solver::Generative,
            },
            init: match self.init {
                InitName::Zero => Init::Zero,
                InitName::Generative => Init::Generative,
            },
            preconditioner: match self.preconditioner {
                PreconditionerName::Auto => None,
                PreconditionerName::None => Some(Preconditioner::None),
                PreconditionerName::Diagonal => Some(Preconditioner::Diagonal),
                PreconditionerName::Hessian => Some(Preconditioner::Hessian),
                PreconditionerName::Subsample => Some(Preconditioner::Subsample),
                PreconditionerName::Bound => Some(Preconditioner::Bound),
            },
            tolerance: self.tolerance,
            gradient_tolerance: self.gradient_tolerance,
            max_iterations: self.max_iterations,
            inference: (self.inference || self.robust || self.covariance.is_some())
                .then_some(InferenceJob { confidence: self.confidence, robust: self.robust }),
            exact: match (self.refine, self.verify) {
                (true, _) => ExactJob::Refine,
                (false, true) => ExactJob::Verify,
                (false, false) => ExactJob::None,
            },
        })
    }
}

/// `COL=LEVEL` of `table`, each column once.
fn references(texts: &[String], table: &Table) -> Result<Vec<(String, String)>> {
    let references: Vec<(String, String)> =
        texts.iter().map(|text| reference(text, |column| table.find(column).is_some())).collect::<Result<_>>()?;
    for (index, (column, _)) in references.iter().enumerate() {
        if references[..index].iter().any(|(other, _)| other == column) {
            return Err(Error::usage(format!("--reference names `{column}` twice"), "A category has one reference."));
        }
    }
    Ok(references)
}

/// A column and a level; either may have a `=` in its name, so the first cut counts that leaves a column which `is_there`.
fn reference(text: &str, is_there: impl Fn(&str) -> bool) -> Result<(String, String)> {
    let cuts = || text.match_indices('=').map(|(at, _)| (text[..at].trim(), &text[at + 1..]));
    let (column, level) = cuts().find(|(column, _)| is_there(column)).or_else(|| cuts().next()).ok_or_else(|| {
        Error::usage(format!("--reference {text} names no level"), "Say COL=LEVEL, such as --reference city=Berlin.")
    })?;
    Ok((column.to_owned(), level.to_owned()))
}

fn check_max_levels(levels: usize) -> Result<usize> {
    if (2..=MOST_LEVELS).contains(&levels) {
        return Ok(levels);
    }
    Err(Error::usage(
        format!("--max-levels {levels} is out of range"),
        format!("Give a number from 2 to {MOST_LEVELS}."),
    ))
}

/// `balanced` or `V=W,...`.
fn class_weight(text: &str) -> Result<ClassWeight> {
    if text == "balanced" {
        return Ok(ClassWeight::Balanced);
    }
    let pair = |pair: &str| {
        let (class, weight) = pair.rsplit_once('=')?;
        let weight: f64 = weight.trim().parse().ok()?;
        (weight > 0.0 && weight.is_finite()).then(|| (class.trim().to_owned(), weight))
    };
    text.split(',').map(pair).collect::<Option<Vec<_>>>().map(ClassWeight::Given).ok_or_else(|| {
        Error::usage(
            format!("--class-weight {text} is not understood"),
            "Say `balanced`, or a positive weight for each value of the label, such as --class-weight true=10,false=1.",
        )
    })
}

/// The names of a list, without the blanks around them.
fn names(flag: &str, list: &[String]) -> Result<Vec<String>> {
    let names: Vec<String> = list.iter().map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(Error::usage(format!("{flag} has an empty name"), "Separate the names with single commas."));
    }
    Ok(names)
}

pub(super) fn run(arguments: &Train, global: &Global) -> Result<ExitCode> {
    let mut job = arguments.job()?;
    let rows = arguments.rows.check(arguments.split)?;
    let outputs = [
        ("-o", arguments.output.as_ref()),
        ("--history", arguments.history.as_ref()),
        ("--covariance", arguments.covariance.as_ref()),
        ("--report", arguments.report.as_ref()),
    ];
    let outputs: Vec<_> = outputs.into_iter().filter_map(|(name, path)| Some((name, path?.as_path()))).collect();
    check_distinct(&outputs)?;
    let table = Table::open_all(&arguments.data)?;
    job.request.references = references(&arguments.reference, &table)?;
    for output in &outputs {
        for file in &table.files {
            check_distinct(&[("the data", &file.path), *output])?;
        }
    }
    let monitor = Progress::new(global);
    // What is to be validated on is opened before the work too.
    let others = if arguments.valid.is_empty() { None } else { Some(Table::open_all(&arguments.valid)?) };
    let selected = rows.select(&table, &monitor)?;
    let held_back = selected.validation.or(others);
    // The report looks at the rows of the training if there are no others.
    let in_sample = selected.training.clone();
    let prepared = prepare(selected.training, &job, &monitor)?;
    if let Some(table) = &held_back {
        check_held_back(table, &job.request)?;
    }
    let plan = prepared.plan();
    if arguments.dry_run {
        print(&if global.json {
            format!("{:#}\n", serde_json::json!({ "plan": plan }))
        } else {
            format!("{}\n", report::plan(&plan))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the work: a place that cannot be written to should not cost a training.
    let pending = arguments.output.as_deref().map(Pending::create).transpose()?;
    let covariance = arguments.covariance.as_deref().map(Pending::create).transpose()?;
    let history = arguments.history.as_deref().map(Pending::create).transpose()?;
    let page = arguments.report.as_deref().map(Pending::create).transpose()?;
    let (mut lines, mut steps) = (String::new(), Vec::new());
    global.note(&report::plan(&plan));
    let begin = Instant::now();
    let mut model = prepared.train(&monitor, &mut |iteration| {
        lines += &line(iteration, begin);
        steps.push(step(iteration));
    })?;
    model.training.command = std::env::args().collect();
    let (has_estimates, is_finite) = (model.training.status.has_estimates(), is_finite(&model));
    let wanted = |_: &Table| has_estimates || page.is_some() && is_finite;
    let mut measured = None;
    if let Some(table) = held_back.as_ref().filter(|table| wanted(table)) {
        let rows_from = arguments.split.map_or_else(|| table.name(), |part| format!("split {part}"));
        let found = Measured::new(&model, table, RowsFrom::Validation(rows_from.clone()), page.is_some(), &monitor)?;
        model.training.validation = has_estimates.then(|| validation(&found, rows_from));
        model.training.warnings.extend(found.counts.warnings().map(|warning| format!("validation: {warning}")));
        measured = Some(found);
    }
    let json = model.to_json();
    if let Some(pending) = pending {
        pending.finish(json.as_bytes())?;
    }
    if let (Some(file), Some(covariance)) = (covariance, &model.covariance) {
        let text = serde_json::to_string_pretty(covariance)
            .map_err(|cause| Error::internal(format!("the covariance has no JSON form: {cause}")))?;
        file.finish(format!("{text}\n").as_bytes())?;
    }
    if let Some(history) = history {
        history.finish(lines.as_bytes())?;
    }
    if let Some(page) = page {
        if measured.is_none() && is_finite {
            measured = Some(Measured::new(&model, &in_sample, RowsFrom::Training, true, &monitor)?);
        }
        let starts_empty = job.init == Init::Zero;
        page.finish(page_of(&model, measured.as_ref(), &steps, starts_empty).as_bytes())?;
    }
    for note in &model.training.notes {
        global.note(note);
    }
    for warning in &model.training.warnings {
        global.warn(warning);
    }
    if global.json {
        print(&json)?;
    } else {
        print(&report::table(&model))?;
        // What the model does not keep is no part of the result.
        let losses: Vec<f64> = steps.iter().map(|step| step.value).collect();
        if let Some(way) = report::way_down(&losses) {
            global.note(&way);
        }
        if let Some(in_sample) = measured.as_ref().and_then(Measured::in_sample) {
            global.note(&in_sample);
        }
        if let Some(path) = &arguments.output {
            global.note(&format!("the model is in {}", path.display()));
        }
    }
    let success = model.training.status.is_success();
    Ok(if arguments.strict && !success { ExitCode::from(NOT_CONVERGED) } else { ExitCode::SUCCESS })
}

/// What the validation needs beside the features is there: it should not cost a training.
fn check_held_back(table: &Table, request: &Request) -> Result<()> {
    let offset = request.offset.as_deref();
    let offset = offset.map(|column| Wanted { column, kind: "numeric", indicates: false, fill: None, levels: &[] });
    Inputs::find(
        table,
        offset.into_iter(),
        request.label.as_deref().map(|label| (label, [].as_slice())),
        request.weight.as_deref(),
        &[],
    )
    .map(drop)
}

/// Whether the model gives every row a probability.
fn is_finite(model: &Model) -> bool {
    let intercepts = model.intercept.iter().chain(&model.intercepts);
    let of_features = model.features.iter().flat_map(|feature| feature.coefficient.iter().chain(&feature.coefficients));
    intercepts.chain(of_features).all(|coefficient| coefficient.is_finite())
}

/// How good the model is on rows that it has not seen.
fn validation(Measured { found, counts, .. }: &Measured, rows_from: String) -> Validation {
    let left_out = counts.without;
    match found {
        Found::Two { metrics, .. } => Validation {
            rows_from,
            rows: metrics.rows,
            left_out,
            prevalence: Some(metrics.prevalence),
            log_loss: metrics.log_loss,
            skill: metrics.skill,
            brier: metrics.brier,
            accuracy: metrics.accuracy,
            auc: metrics.auc.map(|auc| auc.value),
            average_precision: metrics.average_precision.map(|precision| precision.value),
        },
        Found::Classes { metrics, .. } => Validation {
            rows_from,
            rows: metrics.rows,
            left_out,
            prevalence: None,
            log_loss: metrics.log_loss,
            skill: metrics.skill,
            brier: metrics.brier,
            accuracy: metrics.accuracy,
            auc: metrics.macro_auc.map(|auc| auc.value),
            average_precision: metrics.macro_average_precision.map(|precision| precision.value),
        },
    }
}

/// What a pass over some rows found.
struct Measured {
    found: Found,
    counts: Counts,
    rows: RowsFrom,
}

/// How good the probabilities are: of two classes, with what pictures need if a page is wanted, or of several.
enum Found {
    Two { metrics: Box<Metrics>, sketch: Option<Sketch> },
    Classes { metrics: ClassMetrics, sketch: Option<ClassSketch> },
}

impl Measured {
    /// Rows weigh what their column of weights says if the model was trained with one; weights of classes are for the
    /// training alone.
    fn new(model: &Model, table: &Table, rows: RowsFrom, with_sketch: bool, monitor: &Progress) -> Result<Self> {
        let (label, weight) = (&model.label.column, model.training.weight.as_deref());
        let limit = Limit::new(RANKING_BYTES);
        let (found, counts) = if let Some(classes) = model.softmax() {
            let accumulator = ClassAccumulator::new(classes, &limit)?;
            let mut sketch = with_sketch.then(|| ClassSketch::new(model, table.rows));
            let (metrics, counts) =
                evaluate_and_sketch_classes(model, table, label, weight, accumulator, sketch.as_mut(), monitor)?;
            (Found::Classes { metrics, sketch }, counts)
        } else {
            let accumulator = Accumulator::new(0.5, limit)?;
            let mut sketch = with_sketch.then(|| Sketch::new(model, table.rows));
            let (metrics, counts) =
                evaluate_and_sketch(model, table, label, weight, accumulator, sketch.as_mut(), monitor)?;
            (Found::Two { metrics: Box::new(metrics), sketch }, counts)
        };
        Ok(Self { found, counts, rows })
    }

    /// How good the model is on the rows of its training, if these are they.
    fn in_sample(&self) -> Option<String> {
        match &self.found {
            _ if self.rows != RowsFrom::Training => None,
            Found::Two { metrics, .. } => Some(report::in_sample(metrics)),
            Found::Classes { metrics, .. } => Some(report::in_sample_of_classes(metrics)),
        }
    }
}

/// The page of a model, with what a pass over some rows found.
fn page_of(model: &Model, measured: Option<&Measured>, steps: &[Step], starts_empty: bool) -> String {
    let rows =
        |measured: &Measured| (measured.rows.clone(), measured.counts.without, measured.counts.warnings().collect());
    if model.softmax().is_some() {
        let quality = measured.and_then(|measured| {
            let Found::Classes { metrics, sketch: Some(sketch) } = &measured.found else { return None };
            let (rows, left_out, warnings) = rows(measured);
            let weight = model.training.weight.as_deref();
            Some(ClassQuality { metrics, sketch, rows, weight, left_out, warnings })
        });
        return ClassPage { model, quality, steps, starts_empty }.to_html();
    }
    let quality = measured.and_then(|measured| {
        let Found::Two { metrics, sketch: Some(sketch) } = &measured.found else { return None };
        let (rows, left_out, warnings) = rows(measured);
        let weight = model.training.weight.as_deref();
        Some(Quality { metrics, sketch, rows, weight, left_out, warnings })
    });
    Page { model, quality, steps, starts_empty }.to_html()
}

/// An iteration as the report has it.
fn step(iteration: &Iteration<'_>) -> Step {
    let Iteration { value, delta, gradient_norm, passes, point, step: taken, search, .. } = *iteration;
    let search = search.map(|search| Search {
        value: search.value,
        slope: search.slope,
        taken,
        tried: search.tried.iter().map(|&Probe { step, value, slope, .. }| Trial { step, value, slope }).collect(),
    });
    // What nothing draws is not kept: runs may be long.
    let point = if point.len() == 2 { point.to_vec() } else { Vec::new() };
    Step { value, delta, gradient_norm, passes: passes.data, point, search }
}

/// An iteration as a line of the history.
fn line(iteration: &Iteration<'_>, begin: Instant) -> String {
    let search = iteration.search.map(|search| {
        let tried = search.tried.iter().map(
            |probe| serde_json::json!({ "step": probe.step, "loss": probe.value, "slope": probe.slope, "curvature": probe.curvature }),
        );
        serde_json::json!({ "loss": search.value, "slope": search.slope, "tried": tried.collect::<Vec<_>>() })
    });
    let document = serde_json::json!({
        "iteration": iteration.number,
        "loss": iteration.value,
        "delta": iteration.delta,
        "gradient_norm": iteration.gradient_norm,
        "step": iteration.step,
        "search": search,
        "passes": iteration.passes,
        "seconds": begin.elapsed().as_secs_f64(),
    });
    format!("{document}\n")
}
