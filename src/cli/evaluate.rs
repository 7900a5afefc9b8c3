//! `gpu-logreg evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::progress::Progress;
use crate::cli::rows::RowFlags;
use crate::cli::{
    Global, at_lambda, check_distinct, check_outputs, check_threshold, print, print_text, quality, with_flags,
};
use gpu_logreg::error::Result;
use gpu_logreg::metrics::{Accumulator, Decision, Limit};
use gpu_logreg::model::file::{self, Pending};
use gpu_logreg::report;
use gpu_logreg::report::html::{Page, RowsFrom};
use gpu_logreg::score::{Evaluation, decision, evaluate, open};
use gpu_logreg::wording::{counted, flag, plain};

#[derive(Args)]
pub(super) struct Evaluate {
    /// The model that `train` wrote
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Parquet files, folders of them, or patterns; only the model's columns are read
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// The label [default: the model's]
    #[arg(long, value_name = "COL")]
    label: Option<String>,
    /// A column of row weights: a row of weight 2 counts as if it were there twice
    #[arg(long, value_name = "COL")]
    weight: Option<String>,
    /// The probability from which on a row counts as positive, of two classes [default: 0.5]
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    threshold: Option<f64>,
    /// The strength of the penalty, for a model with a path, as in `predict`
    #[arg(long, value_name = "L", allow_hyphen_values = true)]
    lambda: Option<String>,
    /// Write a report with pictures to this file, as one page of HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    rows: RowFlags,
}

pub(super) fn run(arguments: &Evaluate, global: &Global) -> Result<ExitCode> {
    let by_threshold = Decision::Threshold(arguments.threshold.unwrap_or(0.5)).check()?;
    let rows = arguments.rows.check(None)?;
    let model = at_lambda(file::read(&arguments.model)?, arguments.lambda.as_deref())?;
    check_threshold(&model, arguments.threshold)?;
    let table = open(&model, &arguments.data)?;
    table.check_has_rows()?;
    global.tell_files(&table);
    if let Some(report) = &arguments.report {
        check_distinct(&[("--report", report), ("the model", &arguments.model)])?;
        check_outputs(&table, &[("--report", report)])?;
    }
    let page = arguments.report.as_deref().map(Pending::create).transpose()?;
    let monitor = Progress::new(global);
    let table = rows.select(&table, &monitor)?.training;
    let label = arguments.label.as_deref().unwrap_or(&model.label.column);
    let weight = arguments.weight.as_deref();
    let accumulator = Accumulator::new(decision(&model, by_threshold), Limit::default())?;
    let found = evaluate(&model, &table, label, weight, accumulator, page.is_some(), &monitor)?;
    let Evaluation { metrics, counts, .. } = &found;
    if let Some(page) = page {
        let quality = quality(&found, RowsFrom::Evaluated(table.name()), weight);
        let page_of = Page { model: &model, quality, steps: &[], starts_empty: true, show: &with_flags };
        page.finish(page_of.to_html().as_bytes())?;
    }
    let left_out = counts.without;
    for warning in counts.warnings() {
        global.warn(&warning);
    }
    if left_out > 0 {
        let columns = if weight.is_some() { "the label, the weight" } else { "the label" };
        global.warn(&format!(
            "{} left out: {columns} or a value that the model needs is missing there",
            counted(left_out, "row")
        ));
    }
    if let (None, Some(column)) = (weight, &model.training.weight) {
        global.note(&format!(
            "the model was trained with the weights `{}`, and here every row counts once; {} weighs them",
            plain(column),
            flag("--weight", column)
        ));
    }
    if global.json {
        let mut document = serde_json::json!({ "model": arguments.model, "left_out": left_out, "metrics": metrics });
        if let Some(column) = weight {
            document["weight"] = column.into();
        }
        // What lists by class are of.
        if metrics.at_threshold.is_none() {
            document["classes"] = serde_json::json!(model.label.classes);
        }
        print(&format!("{document:#}\n"))?;
    } else {
        print_text(&report::metrics(metrics, &model.label, weight))?;
    }
    Ok(ExitCode::SUCCESS)
}
