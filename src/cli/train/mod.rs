//! `gpu-logreg train`: the order of a run.

mod flags;
mod iterations;
mod lasting;
mod lists;
mod measured;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::progress::{Progress, forget_interrupt, keep_on_interrupt};
use crate::cli::watch::{started_over, watch_driver};
use crate::cli::{Global, NOT_CONVERGED, check_distinct, check_outputs, print, print_text, with_flags};
use gpu_logreg::data::{Encoder, Spec, Table, Wanted, check_parts};
use gpu_logreg::engine::Selection;
use gpu_logreg::error::{Error, Result};
use gpu_logreg::model::Model;
use gpu_logreg::model::file::{Pending, finish_all};
use gpu_logreg::report;
use gpu_logreg::report::html::{RowsFrom, Step};
use gpu_logreg::solve::Status;
use gpu_logreg::train::{Init, Job, end_checkpoint, prepare};
use iterations::line;
use lists::references;
use measured::{Measured, page_of, validation};

pub(super) use flags::Train;

/// A device that does not answer is found by whoever waits for it, before its driver is said to hang.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// The job, and somebody who ends the process, or has it start over on the CPU, if a driver hangs.
fn watched_job(arguments: &Train, global: &Global) -> Result<Job> {
    let mut job = arguments.job()?;
    if let Some(why) = started_over() {
        global.warn(&format!("{why}; the run starts over on the CPU"));
        job.start_over();
    }
    watch_driver(job.gpu_timeout + ONCE_MORE, job.device == Selection::Auto);
    if job.keep_on_interrupt {
        keep_on_interrupt();
    }
    Ok(job)
}

pub(super) fn run(arguments: &Train, global: &Global) -> Result<ExitCode> {
    let mut job = watched_job(arguments, global)?;
    let rows = arguments.rows.check(arguments.split)?;
    let outputs = outputs(arguments);
    check_distinct(&outputs)?;
    let table = Table::open_all(&arguments.data)?;
    global.tell_files(&table);
    job.spec.references = references(&arguments.reference, &table)?;
    check_outputs(&table, &outputs)?;
    let monitor = Progress::new(global);
    // What is to be validated on is opened before the work too.
    let others = if arguments.valid.is_empty() {
        None
    } else {
        let kind_of = |name: &str| Some(table.fields[table.find(name).ok()??].kind.name());
        let others = Table::open_all(&arguments.valid)?.with_keys_as(kind_of)?;
        others.check_has_rows()?;
        global.tell_files(&others);
        Some(others)
    };
    let selected = rows.select(&table, &monitor)?;
    let unequal = match (arguments.split, &job.spec.label) {
        (Some(split), Some(label)) => check_parts(&selected, label, split, &monitor)?,
        _ => None,
    };
    let held_back = selected.validation.or(others);
    let prepared = prepare(selected.training, &job, &monitor)?;
    // The report looks at the rows of the training if there are no others.
    let in_sample = prepared.table().clone();
    let held_back = match held_back {
        Some(table) => {
            check_held_back(&table, &job.spec)?;
            Some(job.spec.weighed(table, &monitor)?)
        }
        None => None,
    };
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
        steps.push(Step::of(iteration));
    })?;
    complete(&mut model, unequal);
    let (has_estimates, is_finite) = (model.training.status.has_estimates(), model.is_finite());
    let wanted = |_: &Table| is_finite && (has_estimates || page.is_some());
    let mut measured = None;
    if let Some(table) = held_back.as_ref().filter(|table| wanted(table)) {
        let rows_from = arguments.split.map_or_else(|| table.name(), |part| format!("split {part}"));
        let found = Measured::new(&model, table, RowsFrom::Validation(rows_from.clone()), page.is_some(), &monitor)?;
        model.training.validation = has_estimates.then(|| validation(&found, rows_from));
        model.training.warnings.extend(found.found.counts.warnings().map(|warning| format!("validation: {warning}")));
        measured = Some(found);
    }
    let json = model.to_json();
    let mut files = Vec::new();
    if let (Some(file), Some(covariance)) = (covariance, &model.covariance) {
        let text = serde_json::to_string_pretty(covariance)
            .map_err(|cause| Error::internal(format!("the covariance has no JSON form: {cause}")))?;
        files.push((file, format!("{text}\n").into_bytes()));
    }
    files.extend(history.map(|file| (file, lines.into_bytes())));
    if let Some(page) = page {
        if measured.is_none() && is_finite {
            measured = Some(Measured::new(&model, &in_sample, RowsFrom::Training, true, &monitor)?);
        }
        let starts_empty = job.init == Init::Zero;
        files.push((page, page_of(&model, measured.as_ref(), &steps, starts_empty).into_bytes()));
    }
    files.extend(pending.map(|file| (file, json.clone().into_bytes())));
    put_in_place(files, &job)?;
    model.training.notes.iter().for_each(|note| global.note(note));
    model.training.warnings.iter().for_each(|warning| global.warn(warning));
    if global.json {
        print(&json)?;
    } else {
        print_text(&report::table(&model, global.verbose))?;
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
    let has_converged = model.training.status == Status::Converged;
    Ok(if arguments.strict && !has_converged { ExitCode::from(NOT_CONVERGED) } else { ExitCode::SUCCESS })
}

/// The iterations have ended: what the program knows of the run, and an interrupt that ended them, which is past.
fn complete(model: &mut Model, unequal: Option<String>) {
    forget_interrupt(model.training.status == Status::Interrupted);
    model.training.command = std::env::args().collect();
    model.training.warnings.extend(unequal);
    model.training.notes.extend(started_over().map(|why| format!("{why}; the run started over on the CPU")));
    model.show_settings(with_flags);
}

/// The files of a run come together, the model last: where it is new, the others are. Only then is a checkpoint of no use.
fn put_in_place(files: Vec<(Pending, Vec<u8>)>, job: &Job) -> Result<()> {
    finish_all(files)?;
    end_checkpoint(job);
    Ok(())
}

/// The files that a run writes, by their flags.
fn outputs(arguments: &Train) -> Vec<(&'static str, &Path)> {
    let outputs = [
        ("-o", arguments.output.as_ref()),
        ("--history", arguments.history.as_ref()),
        ("--covariance", arguments.covariance.as_ref()),
        ("--report", arguments.report.as_ref()),
        ("--checkpoint", arguments.lasting.checkpoint.as_ref()),
        ("--resume", arguments.lasting.resume.as_ref()),
    ];
    outputs.into_iter().filter_map(|(name, path)| Some((name, path?.as_path()))).collect()
}

/// What the validation needs beside the features is there: it should not cost a training.
fn check_held_back(table: &Table, spec: &Spec) -> Result<()> {
    Encoder::find(
        table,
        spec.offset_columns(table)?.into_iter().map(Wanted::number),
        spec.label.as_deref().map(|label| (label, [].as_slice())),
        spec.weight.as_deref(),
        &[],
    )
    .map(drop)
}
