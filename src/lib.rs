//! Logistic regression from a Parquet file, on any GPU (Vulkan, Metal, `DirectX` 12) or on the CPU, with the
//! same answer.
//!
//! The way of the data, the files and the rules are in `ARCHITECTURE.md`. In short: [`data`] reads columns
//! into a [`backend`], which is an [`objective::Objective`]; [`solve`] minimises it, seen through the decorators
//! [`standardize`] and [`penalty`]; [`train::train`] puts the parts together and gives a [`model::Model`].

pub mod approximation;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod data;
pub mod error;
pub mod fold;
pub mod generative;
pub mod logistic;
pub mod matrix;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod objective;
pub mod penalty;
pub mod profile;
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

pub use error::{Error, Result};
