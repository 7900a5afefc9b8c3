//! `gpu-logreg evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::progress::Progress;
use crate::cli::rows::RowFlags;
use crate::cli::{Global, RANKING_BYTES, check_distinct, check_threshold, print};
use crate::error::Result;
use crate::metrics::{Accumulator, ClassAccumulator, Limit};
use crate::model::file::{self, Pending};
use crate::report;
use crate::report::html::classes::{ClassPage, ClassQuality};
use crate::report::html::{Page, Quality, RowsFrom};
use crate::score::{evaluate_and_sketch, evaluate_and_sketch_classes, open};
use crate::sketch::Sketch;
use crate::sketch::classes::ClassSketch;
use crate::wording::{counted, flag, plain};

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
    /// Write a report with pictures to this file, as one page of HTML
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    rows: RowFlags,
}

pub(super) fn run(arguments: &Evaluate, global: &Global) -> Result<ExitCode> {
    let accumulator = Accumulator::new(arguments.threshold.unwrap_or(0.5), Limit::new(RANKING_BYTES))?;
    let rows = arguments.rows.check(None)?;
    let model = file::read(&arguments.model)?;
    check_threshold(&model, arguments.threshold)?;
    let table = open(&model, &arguments.data)?;
    table.check_has_rows()?;
    global.tell_files(&table);
    if let Some(report) = &arguments.report {
        check_distinct(&[("--report", report), ("the model", &arguments.model)])?;
        for file in table.files() {
            check_distinct(&[("the data", &file.path), ("--report", report)])?;
        }
    }
    let page = arguments.report.as_deref().map(Pending::create).transpose()?;
    let monitor = Progress::new(global);
    let table = rows.select(&table, &monitor)?.training;
    let label = arguments.label.as_deref().unwrap_or(&model.label.column);
    let weight = arguments.weight.as_deref();
    let (text, metrics, counts) = if let Some(classes) = model.softmax() {
        let accumulator = ClassAccumulator::new(classes, &Limit::new(RANKING_BYTES))?;
        let mut sketch = page.as_ref().map(|_| ClassSketch::new(&model, table.rows));
        let (metrics, counts) =
            evaluate_and_sketch_classes(&model, &table, label, weight, accumulator, sketch.as_mut(), &monitor)?;
        if let (Some(page), Some(sketch)) = (page, &sketch) {
            let rows = RowsFrom::Evaluated(table.name());
            let (left_out, warnings) = (counts.without, counts.warnings().collect());
            let quality = ClassQuality { metrics: &metrics, sketch, rows, weight, left_out, warnings };
            page.finish(
                ClassPage { model: &model, quality: Some(quality), steps: &[], starts_empty: true }
                    .to_html()
                    .as_bytes(),
            )?;
        }
        (report::class_metrics(&metrics, &model.label, weight), serde_json::json!(metrics), counts)
    } else {
        let mut sketch = page.as_ref().map(|_| Sketch::new(&model, table.rows));
        let (metrics, counts) =
            evaluate_and_sketch(&model, &table, label, weight, accumulator, sketch.as_mut(), &monitor)?;
        if let (Some(page), Some(sketch)) = (page, &sketch) {
            let rows = RowsFrom::Evaluated(table.name());
            let (left_out, warnings) = (counts.without, counts.warnings().collect());
            let quality = Quality { metrics: &metrics, sketch, rows, weight, left_out, warnings };
            let page_of = Page { model: &model, quality: Some(quality), steps: &[], starts_empty: true };
            page.finish(page_of.to_html().as_bytes())?;
        }
        (report::metrics(&metrics, weight), serde_json::json!(metrics), counts)
    };
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
        if model.softmax().is_some() {
            document["classes"] = serde_json::json!(model.label.classes);
        }
        print(&format!("{document:#}\n"))?;
    } else {
        print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}
