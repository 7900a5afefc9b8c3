//! `gpu-logreg predict`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};

use crate::cli::names::names;
use crate::cli::progress::Progress;
use crate::cli::rows::RowFlags;
use crate::cli::{Global, at_lambda, check_distinct, check_outputs, check_threshold};
use gpu_logreg::data::{Form, Predictions};
use gpu_logreg::error::{Error, Result};
use gpu_logreg::model::file::{self, Pending};
use gpu_logreg::score::{Output, inputs, open, predict};
use gpu_logreg::wording::counted;

#[derive(Args)]
pub(super) struct Predict {
    /// The model that `train` wrote
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Parquet files, folders of them, or patterns; only the model's columns are read
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Where to write, by the ending: .parquet, .csv or .jsonl; `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    output_file: PathBuf,
    /// What to write for each row
    #[arg(long, value_name = "WHAT", default_value = "probability")]
    output: What,
    /// The probability from which on the label is the positive class, of two [default: 0.5]
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    threshold: Option<f64>,
    /// The strength of the penalty, for a model with a path: between two of it the coefficients on the line that joins theirs
    #[arg(long, value_name = "L", allow_hyphen_values = true)]
    lambda: Option<String>,
    /// Columns of the data to write beside the prediction: names or patterns, as the features of `train`
    #[arg(long, value_name = "LIST")]
    keep: Vec<String>,
    /// How to write, if the ending does not say it [default for standard output: csv]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormName>,
    #[command(flatten)]
    rows: RowFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// The probability of the positive class, or of each class of a softmax in a column of its own
    Probability,
    /// The likelier class (see --threshold), or the likeliest
    Label,
    /// The log odds, or the margin of each class
    Margin,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    Parquet,
    Csv,
    Jsonl,
}

impl Predict {
    /// How to write to the output.
    fn form(&self) -> Result<Form> {
        let ending = self.output_file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        Ok(match (self.format, ending.as_deref()) {
            (Some(FormName::Parquet), _) | (None, Some("parquet" | "parq" | "pq")) => Form::Parquet,
            (Some(FormName::Csv), _) | (None, Some("csv")) => Form::Csv,
            (Some(FormName::Jsonl), _) | (None, Some("jsonl" | "ndjson")) => Form::JsonLines,
            (None, None) if self.output_file == Path::new("-") => Form::Csv,
            (None, _) => {
                return Err(Error::usage(
                    format!("-o {}: the ending does not say how to write", self.output_file.display()),
                    "End the name in .parquet, .csv or .jsonl, or give --format.",
                ));
            }
        })
    }
}

/// Standard output, and whether its reader has left.
struct Pipe<'b> {
    broken: &'b AtomicBool,
}

impl Pipe<'_> {
    fn note<T>(&self, done: std::io::Result<T>) -> std::io::Result<T> {
        done.inspect_err(|cause| self.broken.store(cause.kind() == std::io::ErrorKind::BrokenPipe, Ordering::Relaxed))
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.note(std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.note(std::io::stdout().flush())
    }
}

pub(super) fn run(arguments: &Predict, global: &Global) -> Result<ExitCode> {
    let threshold = arguments.threshold.unwrap_or(0.5);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(Error::usage(format!("--threshold {threshold} is no probability"), "Give a number from 0 to 1."));
    }
    let output = match arguments.output {
        What::Probability => Output::Probability,
        What::Label => Output::Label(threshold),
        What::Margin => Output::Margin,
    };
    let form = arguments.form()?;
    let path = arguments.output_file.as_path();
    let rows = arguments.rows.check(None)?;
    let keep = names("--keep", &arguments.keep)?;
    let model = at_lambda(file::read(&arguments.model)?, arguments.lambda.as_deref())?;
    check_threshold(&model, arguments.threshold)?;
    let table = open(&model, &arguments.data)?;
    global.tell_files(&table);
    let to_stdout = path == Path::new("-");
    if !to_stdout {
        check_distinct(&[("the model", &arguments.model), ("-o", path)])?;
        check_outputs(&table, &[("-o", path)])?;
    }
    let monitor = Progress::new(global);
    let table = rows.select(&table, &monitor)?.training;
    let inputs = inputs(&model, &table, None, None, &keep)?;
    let prediction = output.prediction(&model);
    let counts = if to_stdout {
        let broken = AtomicBool::new(false);
        let out = BufWriter::new(Pipe { broken: &broken });
        let done = Predictions::new(out, Path::new("standard output"), form, &table, &inputs, &prediction)
            .and_then(|out| predict(&model, &table, &inputs, output, out, &monitor));
        // A reader that left early (`| head`) is no error.
        match done {
            Err(_) if broken.load(Ordering::Relaxed) => return Ok(ExitCode::SUCCESS),
            done => done?,
        }
    } else {
        let mut pending = Pending::create(path)?;
        let out = Predictions::new(BufWriter::new(pending.writer()), path, form, &table, &inputs, &prediction)?;
        let counts = predict(&model, &table, &inputs, output, out, &monitor)?;
        pending.commit()?;
        global.note(&format!(
            "{} {} in {}",
            counted(counts.rows, "prediction"),
            if counts.rows == 1 { "is" } else { "are" },
            path.display()
        ));
        counts
    };
    for warning in counts.warnings() {
        global.warn(&warning);
    }
    if counts.without > 0 {
        global.warn(&format!(
            "{} of {} {} no prediction: a value that the model needs is missing or infinite there",
            counts.without,
            counted(counts.rows, "row"),
            if counts.without == 1 { "has" } else { "have" }
        ));
    }
    Ok(ExitCode::SUCCESS)
}
