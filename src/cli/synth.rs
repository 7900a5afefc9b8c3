//! `gpu-logreg synth`.

use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::progress::Progress;
use crate::cli::{Global, check_distinct, print};
use gpu_logreg::data::synth::{Recipe, write};
use gpu_logreg::error::Result;
use gpu_logreg::model::file::Pending;
use gpu_logreg::wording::counted;

#[derive(Args)]
pub(super) struct Synth {
    /// Where to write the Parquet file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Rows
    #[arg(long, value_name = "N")]
    rows: usize,
    /// Features, called x1, x2, ...; the label is y
    #[arg(long, value_name = "D")]
    features: usize,
    /// Classes; with more than two the label is a text: c1, c2, ...
    #[arg(long, value_name = "K", default_value_t = 2)]
    classes: usize,
    /// Correlation of every two features
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    correlation: f64,
    /// Share of positive labels
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    imbalance: f64,
    /// Let the sign of the margin decide the label, so that no finite answer exists
    #[arg(long)]
    separable: bool,
    /// Share of null cells in the features
    #[arg(long, value_name = "F", default_value_t = 0.0)]
    nulls: f64,
    /// The seed: the same seed gives the same file
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where to write the true coefficients, as JSON
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

pub(super) fn run(arguments: &Synth, global: &Global) -> Result<ExitCode> {
    let recipe = Recipe {
        rows: arguments.rows,
        features: arguments.features,
        classes: arguments.classes,
        correlation: arguments.correlation,
        positives: arguments.imbalance,
        separable: arguments.separable,
        nulls: arguments.nulls,
        seed: arguments.seed,
    };
    recipe.check()?;
    if let Some(truth) = &arguments.truth {
        check_distinct(&[("-o", &arguments.output), ("--truth", truth)])?;
    }
    let mut pending = Pending::create(&arguments.output)?;
    let truth_file = arguments.truth.as_deref().map(Pending::create).transpose()?;
    let monitor = Progress::new(global);
    let truth = write(&recipe, BufWriter::new(pending.writer()), &arguments.output, &monitor)?;
    pending.commit()?;
    let document = format!("{:#}\n", serde_json::to_value(&truth).unwrap_or_default());
    if let Some(truth_file) = truth_file {
        truth_file.finish(document.as_bytes())?;
    }
    if global.json {
        let about = serde_json::json!({ "file": arguments.output, "rows": recipe.rows, "features": recipe.features, "seed": recipe.seed });
        print(&format!("{about:#}\n"))?;
    } else {
        print(&format!(
            "{}: {}, {} x1 .. x{}, label y\n",
            arguments.output.display(),
            counted(recipe.rows as u64, "row"),
            counted(recipe.features as u64, "feature"),
            recipe.features
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
