//! The flags that say which rows are used.

use clap::Args;

use gpu_logreg::data::{Predicate, Rows};
use gpu_logreg::error::{Error, Result};

#[derive(Args)]
#[command(next_help_heading = "Rows")]
pub(super) struct RowFlags {
    /// Only rows that meet this condition, such as "age >= 18 and country in ('DE', 'AT') and income is not null"
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// About this part of the rows, between 0 and 1, by chance
    #[arg(long, value_name = "F", allow_hyphen_values = true)]
    sample: Option<f64>,
    /// So many rows at most, the first ones
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Makes chance repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

impl RowFlags {
    pub(super) fn check(&self, split: Option<f64>) -> Result<Rows> {
        for (flag, part) in [("--sample", self.sample), ("--split", split)] {
            if let Some(part) = part.filter(|part| !(*part > 0.0 && *part < 1.0)) {
                return Err(Error::usage(
                    format!("{flag} {part} is no part of the rows"),
                    "Give a number between 0 and 1.",
                ));
            }
        }
        if self.limit == Some(0) {
            return Err(Error::usage("--limit 0 leaves no rows", "Give a number from 1 on."));
        }
        Ok(Rows {
            filter: self.filter.as_deref().map(Predicate::parse).transpose()?,
            sample: self.sample,
            limit: self.limit,
            split,
            seed: self.seed,
        })
    }
}
