//! The command line: the only place that knows clap. Flags become checked settings here.

mod bench;
mod devices;
mod evaluate;
mod inspect;
mod limits;
mod names;
mod predict;
mod progress;
mod rows;
mod synth;
mod train;
mod watch;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ColorChoice, Parser, Subcommand};

use gpu_logreg::data::Table;
use gpu_logreg::error::{Error, Kind, Result};
use gpu_logreg::model::Model;
use gpu_logreg::report::html::{Quality, RowsFrom};
use gpu_logreg::score::Evaluation;
use gpu_logreg::train::save_checkpoint;
use gpu_logreg::wording::{Setting, counted, flag, plain, with_settings};

#[derive(Parser)]
#[command(name = "gpu-logreg", version, about, long_about = None, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

#[derive(Subcommand)]
enum Command {
    /// Fit a logistic regression to a Parquet file
    Train(Box<train::Train>),
    /// Say what a Parquet file or a model holds, without reading the data
    Inspect(inspect::Inspect),
    /// List the graphics adapters and say which of them can be used
    Devices(devices::Devices),
    /// Say how good a model's probabilities are on Parquet files
    Evaluate(evaluate::Evaluate),
    /// Predict the rows of Parquet files with a model
    Predict(predict::Predict),
    /// Write seeded data of any size, with the true coefficients if you like
    Synth(synth::Synth),
    /// Time every stage on each device, beside the bandwidth of its memory
    Bench(bench::Bench),
}

/// Flags of every sub-command.
#[derive(Args)]
#[command(next_help_heading = "Output")]
#[expect(clippy::struct_excessive_bools, reason = "flags are what a command line has")]
struct Global {
    /// Print one JSON document to stdout, errors included
    #[arg(long, global = true)]
    json: bool,
    /// Print errors and results only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more: all columns of a file, all coefficients of a model, and of a run what its files are
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Print no progress bars
    #[arg(long, global = true)]
    no_progress: bool,
    /// Colour in messages
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N", env = "GPU_LOGREG_THREADS", allow_hyphen_values = true)]
    threads: Option<usize>,
}

/// More threads than any machine has cores only wait for each other.
const MAX_THREADS: usize = 1024;

/// Exit code of a run that did not converge, under `--strict`.
const NOT_CONVERGED: u8 = 4;

/// Runs the program with the arguments of the process.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let global = &cli.global;
    let result = set_up(global).and_then(|()| match &cli.command {
        Command::Train(train) => train::run(train, global),
        Command::Inspect(inspect) => inspect::run(inspect, global),
        Command::Devices(devices) => devices::run(devices, global),
        Command::Evaluate(evaluate) => evaluate::run(evaluate, global),
        Command::Predict(predict) => predict::run(predict, global),
        Command::Synth(synth) => synth::run(synth, global),
        Command::Bench(bench) => bench::run(bench, global),
    });
    progress::claim_end();
    match result {
        Ok(code) => code,
        Err(error) => {
            let error = save_checkpoint(error);
            report(&error, global.json, global.color);
            ExitCode::from(progress::exit_code(&error))
        }
    }
}

fn set_up(global: &Global) -> Result<()> {
    if let Some(threads) = global.threads
        && !(1..=MAX_THREADS).contains(&threads)
    {
        return Err(Error::usage(
            format!("--threads {threads} is out of range"),
            format!("Give a number from 1 to {MAX_THREADS}, or leave it out for all cores."),
        ));
    }
    let (json, color) = (global.json, global.color);
    if let Err(cause) = progress::listen_for_interrupts(move |error| report(error, json, color)) {
        global.warn(&format!("an interrupt ends the program at once: {cause}"));
    }
    start_threads(global)
}

/// Starts the threads of the process: as many as are wanted, or as the system gives.
fn start_threads(global: &Global) -> Result<()> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = global.threads.unwrap_or_else(cores);
    let pool = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads);
    // A pool that cannot be had whole is none, and the process has but one try.
    let mut threads = wanted;
    while threads > 0 && pool(threads).build().is_err() {
        threads /= 2;
    }
    if threads < wanted {
        global.warn(&format!("the system gives {threads} of {wanted} threads more than it began with"));
    }
    let builder = if threads == 0 { pool(1).use_current_thread() } else { pool(threads) };
    builder.build_global().map_err(|cause| Error::internal(format!("the threads could not be started: {cause}")))
}

/// What clap has to say: help and version as they are, usage errors in the form asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let json = std::env::args().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let (fact, help) = text.trim().trim_start_matches("error: ").split_once("\n\n").unwrap_or((text.trim(), ""));
        report(&Error::usage(fact, help), true, ColorChoice::Never);
    } else {
        // Nothing is left to do if the terminal is gone.
        let _ = error.print();
    }
    if error.use_stderr() { ExitCode::from(Kind::Usage.exit_code()) } else { ExitCode::SUCCESS }
}

/// A message with its settings as flags.
fn with_flags(message: &str) -> String {
    with_settings(message, |Setting { name, value, is_proposed }| match value {
        None => format!("--{name}"),
        Some(value) if *is_proposed => flag(&format!("--{name}"), value),
        Some(value) => format!("--{name} {value}"),
    })
}

/// Prints an error: to stderr, or as JSON to stdout.
fn report(error: &Error, json: bool, color: ColorChoice) {
    if json {
        let document = serde_json::json!({ "error": {
            "kind": error.kind.name(),
            "message": with_flags(&error.fact),
            "help": with_flags(&error.way_out),
            "exit_code": progress::exit_code(error),
        }});
        if print(&format!("{document:#}\n")).is_ok() {
            return;
        }
    }
    let help = if error.way_out.is_empty() { String::new() } else { format!("\n  help: {}", error.way_out) };
    tell(&format!("{} {}", tag("error:", "31", color), with_flags(&format!("{}{help}", error.fact))));
}

/// A tag in bold and the colour with this ANSI code, where colour is wanted.
fn tag(text: &str, code: &str, color: ColorChoice) -> String {
    let wanted = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    if wanted { format!("\x1b[1;{code}m{text}\x1b[0m") } else { text.to_owned() }
}

impl Global {
    fn note(&self, text: &str) {
        if !self.quiet {
            tell(&format!("{} {}", tag("note:", "36", self.color), with_flags(text)));
        }
    }

    fn warn(&self, text: &str) {
        tell(&format!("{} {}", tag("warning:", "33", self.color), with_flags(text)));
    }

    /// With `--verbose`, a note on each file.
    fn tell_files(&self, table: &Table) {
        for file in table.files().into_iter().filter(|_| self.verbose) {
            let checksums = match file.page_checksums {
                Some(true) => "pages with checksums",
                Some(false) => "pages without checksums: damage to them may go unseen",
                None => "no pages",
            };
            let written_by = file.created_by.as_deref().map_or("an unknown program".into(), plain);
            let rows = counted(file.rows, "row");
            self.note(&format!("{}: {rows}, written by {written_by}, {checksums}", file.path.display()));
        }
    }
}

/// Prints a line to stderr; if nobody reads it any more, the run goes on.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An error if two of the files that a run reads or writes are the same.
fn check_distinct(files: &[(&str, &Path)]) -> Result<()> {
    let real = |path: &Path| {
        std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
    };
    for (index, (a, path)) in files.iter().enumerate() {
        for (b, other) in &files[index + 1..] {
            if real(path) == real(other) {
                return Err(Error::usage(
                    format!("{a} and {b} are the same file, {}", path.display()),
                    "One would destroy the other; choose another place.",
                ));
            }
        }
    }
    Ok(())
}

/// An error if a file that is written is one of the table.
fn check_outputs(table: &Table, outputs: &[(&str, &Path)]) -> Result<()> {
    for file in table.files() {
        for output in outputs {
            check_distinct(&[("the data", &file.path), *output])?;
        }
    }
    Ok(())
}

/// An error if there is a threshold and the model has several classes, the likeliest of which needs none.
fn check_threshold(model: &Model, threshold: Option<f64>) -> Result<()> {
    match (model.softmax(), threshold) {
        (Some(classes), Some(threshold)) => Err(Error::usage(
            format!(
                "--threshold {threshold}: the model is a softmax over {classes} classes, of which the likeliest counts"
            ),
            "Leave --threshold out.",
        )),
        _ => Ok(()),
    }
}

/// The model, or that at another strength of its path: a number, `min` or `1se`.
fn at_lambda(model: Model, lambda: Option<&str>) -> Result<Model> {
    let Some(text) = lambda else { return Ok(model) };
    let of_folds = model.path.as_ref().and_then(|path| path.cv.as_ref());
    let lambda = match (text, of_folds) {
        ("min", Some(found)) => found.lambda_min,
        ("1se", Some(found)) => found.lambda_1se,
        ("min" | "1se", None) => {
            return Err(Error::usage(
                format!("--lambda {text}: the model was not cross-validated"),
                "Give a number, or train with --folds.",
            ));
        }
        _ => text.parse().map_err(|_| {
            Error::usage(
                format!("--lambda {} is no strength of a penalty", gpu_logreg::wording::plain(text)),
                "Give a number; or min or 1se, of a model that was cross-validated.",
            )
        })?,
    };
    model.at_lambda(lambda)
}

/// What a page says of how good a model is, if the pass has what its pictures need; `weight` is the column of row weights.
fn quality<'e>(found: &'e Evaluation, rows: RowsFrom, weight: Option<&'e str>) -> Option<Quality<'e>> {
    let Evaluation { metrics, counts, profile } = found;
    let (left_out, warnings) = (counts.without, counts.warnings().collect());
    Some(Quality { metrics, profile: profile.as_ref()?, rows, weight, left_out, warnings })
}

/// Prints a text of the library to stdout, its settings as flags.
fn print_text(text: &str) -> Result<()> {
    print(&with_flags(text))
}

/// Prints a result to stdout. A reader that left early (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::output(Path::new("standard output"), cause))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
