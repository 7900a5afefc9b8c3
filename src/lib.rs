//! Logistic regression on rows of Parquet files or record batches, on any GPU (Vulkan, Metal, `DirectX` 12) or on the CPU,
//! with the same answer.
//!
//! A [`Table`] is rows: of files and folders, or of record batches in memory. A [`Job`] says what to fit. It gives a [`Model`],
//! which predicts, is evaluated, is written and is read.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gpu_logreg::arrow::array::{Float64Array, StringArray};
//! use gpu_logreg::{Job, RecordBatch, Table};
//!
//! let hours = Float64Array::from(vec![0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0]);
//! let passed = StringArray::from(vec!["no", "no", "yes", "no", "yes", "no", "yes", "yes"]);
//! let batch = RecordBatch::try_from_iter([("hours", Arc::new(hours) as _), ("passed", Arc::new(passed) as _)])?;
//!
//! let table = Table::from_batches(vec![batch])?;
//! let model = Job::label("passed").positive("yes").inference(0.95).train(&table)?;
//! for coefficient in model.coefficients() {
//!     println!("{} {:.4} {:?}", coefficient.name, coefficient.value, coefficient.standard_error());
//! }
//! let rows: usize = model.predict(&table)?.map(|batch| Ok(batch?.num_rows())).sum::<gpu_logreg::Result<usize>>()?;
//! assert_eq!(rows, 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this needs is at the root. The modules are the parts, for those who build on them or test them; `ARCHITECTURE.md` has
//! the way of the data, the rooms and the rules. In short: [`data`] reads columns into an engine ([`engine`]), which is an
//! [`objective::Objective`]; [`solve`] minimises it, seen as a [`problem`]; [`train`] puts the parts together.
//!
//! The features of the crate: `gpu` for passes on a graphics card, `report` for texts and the page of a run, `cli` for the
//! program. All are on by default; a library without them has `default-features = false`.

pub mod bench;
pub mod data;
pub mod engine;
pub mod error;
pub mod every_class;
pub mod fold;
pub mod lda;
pub mod logistic;
pub mod matrix;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod objective;
mod panics;
pub mod penalty;
pub mod problem;
pub mod profile;
#[cfg(feature = "report")]
pub mod report;
pub mod score;
pub mod softmax;
pub mod solve;
pub mod standardize;
pub mod subsample;
pub mod sum;
pub mod train;
pub mod vectors;
pub mod wording;

pub use data::{ClassWeight, Nulls, RecordBatch, Table, arrow};
pub use engine::Selection;
pub use engine::storage::Limits;
pub use error::{Error, Result};
pub use model::{Coefficient, Model};
pub use monitor::Monitor;
pub use penalty::PenaltyScale;
pub use score::Output;
pub use solve::Preconditioner;
pub use train::{Init, Job, PathJob, Solver, Strengths};
