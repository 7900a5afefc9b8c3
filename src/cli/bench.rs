//! `gpu-logreg bench`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::limits::{LimitFlags, size};
use crate::cli::progress::Progress;
use crate::cli::watch::watch_driver;
use crate::cli::{Global, print};
use gpu_logreg::bench::{Figures, Source, bench};
use gpu_logreg::data::synth::{Recipe, write};
use gpu_logreg::data::{Shape, Spec, Table};
use gpu_logreg::engine::storage::human;
use gpu_logreg::engine::{DEFAULT_TIMEOUT, Selection, without_panic};
use gpu_logreg::error::{Error, Result};
use gpu_logreg::train::Job;
use gpu_logreg::wording::counted;

#[derive(Args)]
pub(super) struct Bench {
    /// A Parquet file to measure on [default: seeded data of the given size]
    #[arg(requires = "label")]
    data: Option<PathBuf>,
    /// The label of that file
    #[arg(long, value_name = "COL", requires = "data")]
    label: Option<String>,
    /// Rows of the seeded data
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: usize,
    /// Features of the seeded data
    #[arg(long, value_name = "D", default_value_t = 28)]
    features: usize,
    /// Classes of the seeded data
    #[arg(long, value_name = "K", default_value_t = 2, requires = "no_file")]
    classes: usize,
    /// Make numbers up in memory and write no file: upload, evaluate, probe and hessian alone, at any size
    #[arg(long, conflicts_with = "data")]
    no_file: bool,
    /// Columns of a GPU in pieces of at most this size; no result depends on it
    #[arg(long, value_name = "SIZE", hide = true)]
    chunk: Option<String>,
    /// The devices, as for --device [default: cpu, and gpu if there is a hardware one]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    compare: Vec<String>,
    /// Runs of each stage; their medians are printed
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    limits: LimitFlags,
}

pub(super) fn run(arguments: &Bench, global: &Global) -> Result<ExitCode> {
    if arguments.runs == 0 {
        return Err(Error::usage("--runs 0 measures nothing", "Give a number from 1 on."));
    }
    if arguments.rows == 0 || arguments.features == 0 || arguments.classes < 2 {
        return Err(Error::usage(
            format!(
                "{} rows, {} features and {} classes are no table",
                arguments.rows, arguments.features, arguments.classes
            ),
            "Give a row and a feature at least, and two classes.",
        ));
    }
    let chunk = arguments.chunk.as_deref().map(|text| size("--chunk", text)).transpose()?.map(|bytes| bytes as usize);
    let monitor = watched(global);
    let folder = tempfile::tempdir()
        .map_err(|cause| Error::place(&std::env::temp_dir(), format!("no temporary folder can be made: {cause}")))?;
    let (path, label) = if arguments.no_file {
        (PathBuf::new(), String::new())
    } else if let (Some(data), Some(label)) = (&arguments.data, &arguments.label) {
        (data.clone(), label.clone())
    } else {
        let path = folder.path().join("seeded.parquet");
        let recipe = Recipe { rows: arguments.rows, features: arguments.features, ..Recipe::default() };
        recipe.check()?;
        let file = std::fs::File::create(&path).map_err(|cause| Error::place(&path, cause))?;
        write(&recipe, std::io::BufWriter::new(file), &path, &monitor)?;
        (path, "y".to_owned())
    };
    let table = if arguments.no_file { None } else { Some(Table::open(&path)?) };
    let spec = Spec { label: Some(label), ..Spec::default() };
    let mut names = arguments.compare.clone();
    if names.is_empty() {
        names.push("cpu".into());
        if gpu_logreg::engine::gpu::adapters().iter().any(gpu_logreg::engine::gpu::Adapter::is_hardware) {
            names.push("gpu".into());
        }
    }
    let devices = names
        .into_iter()
        .map(|name| {
            let device: Selection = name.parse().map_err(|cause| {
                Error::usage(format!("--compare {name}: {cause}"), "For example: --compare cpu,gpu")
            })?;
            let limits = arguments.limits.check()?;
            Ok((name, Job { limits, ..Job::new(spec.clone(), device) }))
        })
        .collect::<Result<Vec<_>>>()?;
    let source = match &table {
        Some(table) => Source::File(table, &spec),
        None => Source::Made(Shape {
            classes: (arguments.classes > 2).then_some(arguments.classes),
            ..Shape::plain(arguments.rows, arguments.features)
        }),
    };
    let figures = without_panic(|| bench(&source, chunk, &devices, arguments.runs, &monitor))?;
    if global.json {
        print(&format!("{:#}\n", serde_json::to_value(&figures).unwrap_or_default()))?;
    } else {
        print(&text(&figures))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A monitor, and somebody who ends the process if a driver hangs.
fn watched(global: &Global) -> Progress {
    watch_driver(DEFAULT_TIMEOUT, false);
    Progress::new(global)
}

fn text(figures: &Figures) -> String {
    let mut text = format!(
        "{}, {}{}, medians of {}\n",
        counted(figures.rows as u64, "row"),
        counted(figures.features as u64, "feature"),
        figures.classes.map_or_else(String::new, |classes| format!(", {classes} classes")),
        counted(figures.runs as u64, "run")
    );
    let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("writing to a string");
    for machine in &figures.machines {
        line(format_args!(
            "{}: {}, memory at {:.1} GB/s",
            machine.device,
            machine.description,
            machine.bandwidth / 1e9
        ));
    }
    line(format_args!(
        "\n{:<10} {:<8} {:>10} {:>21} {:>10} {:>8} {:>10}",
        "stage", "device", "ms", "fastest - slowest", "bytes", "GB/s", "bandwidth"
    ));
    for stage in &figures.stages {
        let share = stage.share.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share));
        line(format_args!(
            "{:<10} {:<8} {:>10.2} {:>10.2} -{:>9.2} {:>10} {:>8.2} {:>10}",
            stage.stage,
            stage.device,
            1e3 * stage.seconds,
            1e3 * stage.fastest,
            1e3 * stage.slowest,
            human(stage.bytes),
            stage.bytes as f64 / stage.seconds / 1e9,
            share
        ));
    }
    if !figures.kernels.is_empty() {
        line(format_args!("\n{:<10} {:<8} {:<16} {:>10} {:>10}", "stage", "device", "kernel", "dispatches", "ms"));
    }
    for kernel in &figures.kernels {
        line(format_args!(
            "{:<10} {:<8} {:<16} {:>10} {:>10.3}",
            kernel.stage,
            kernel.device,
            kernel.kernel,
            kernel.dispatches,
            1e3 * kernel.seconds
        ));
    }
    text
}
