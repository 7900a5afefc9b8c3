//! The flags of runs that last: how they end early, and what another one goes on from.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use gpu_logreg::error::{Error, Result};
use gpu_logreg::train::{CheckpointJob, Every, Job};

#[derive(Args)]
#[command(next_help_heading = "Long runs")]
pub(super) struct LastingFlags {
    /// Where the run writes down what its passes came to, for another one to go on from; removed when the run ends well
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,
    /// How often it does: a time such as 30s or 5m, or a number of passes over the data [default: 1m]
    #[arg(long, value_name = "TIME|N")]
    checkpoint_every: Option<String>,
    /// Go on from a checkpoint, with the same table and settings; the run keeps it up
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub(super) resume: Option<PathBuf>,
    /// End with the model that the run has come to after this time, such as 90s, 10m or 2h; its status is then `time_limit`
    #[arg(long, value_name = "TIME")]
    time_limit: Option<String>,
    /// At an interrupt end with the model that the run has come to
    #[arg(long)]
    pub(super) keep_on_interrupt: bool,
    /// How long the GPU may take for a piece of work, of 50 ms as a rule, before it counts as hanging [default: 60s]
    #[arg(long, value_name = "TIME")]
    gpu_timeout: Option<String>,
}

impl LastingFlags {
    /// Adds them to a job.
    pub(super) fn add_to(&self, job: &mut Job) -> Result<()> {
        if let Some(text) = &self.time_limit {
            job.time_limit = Some(time("--time-limit", text)?);
        }
        if let Some(text) = &self.gpu_timeout {
            job.gpu_timeout = time("--gpu-timeout", text)?;
        }
        job.keep_on_interrupt = self.keep_on_interrupt;
        let every = match &self.checkpoint_every {
            None => Every::default(),
            Some(text) => match text.trim().parse() {
                Ok(0) | Err(_) => Every::Time(time("--checkpoint-every", text)?),
                Ok(passes) => Every::Passes(passes),
            },
        };
        let (path, resumes) = match (&self.checkpoint, &self.resume) {
            (Some(path), _) => (path, false),
            (None, Some(path)) => (path, true),
            (None, None) if self.checkpoint_every.is_some() => {
                return Err(Error::usage("--checkpoint-every without a checkpoint", "Say --checkpoint FILE too."));
            }
            (None, None) => return Ok(()),
        };
        job.checkpoint = Some(CheckpointJob { path: path.clone(), every, resumes, stays: true });
        Ok(())
    }
}

/// A time with a unit: ms, s, m, h or d.
fn time(flag: &str, text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit.trim() {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let seconds = number.parse::<f64>().map_or(f64::NAN, |number| number * factor);
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(Error::usage(
            format!("{flag} {} is no time", gpu_logreg::wording::plain(text)),
            "Give a number with a unit, such as 500ms, 30s, 5m, 2h or 1d.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [("90s", 90_000), ("1.5m", 90_000), ("2h", 7_200_000), (" 1 d", 86_400_000), ("250ms", 250)] {
            assert_eq!(time("--time-limit", text).expect("a time"), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "10", "s", "-1s", "0s", "1w", "1e400s", "nan", "99999999999999999999999d"] {
            assert!(time("--time-limit", text).is_err(), "{text}");
        }
    }
}
