//! Times of everything that a run waits for, beside the bandwidth of the memory it streams from.
//!
//! Every figure is a median of several runs in one process, backends in turn, so that ratios hold when the machine's
//! speed drifts.

use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use crate::backend::storage::Limits;
use crate::backend::{Backend, Device};
use crate::data::{Column, Request, Shape, Store, Table, decode_only, load};
use crate::error::Result;
use crate::monitor::{Monitor, Silent};
use crate::objective::Need;
use crate::train::{Job, train};

/// What one stage costs on one device.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// decode, read, upload, evaluate, probe, hessian, train.
    pub stage: &'static str,
    /// The device, as `--compare` names it.
    pub device: String,
    /// Median of the runs.
    pub seconds: f64,
    /// The fastest run.
    pub fastest: f64,
    /// The slowest run.
    pub slowest: f64,
    /// Bytes that the stage streams: of features, labels and the rows' state.
    pub bytes: u64,
    /// Share of the device's bandwidth that `bytes / seconds` is, where bandwidth is what bounds it.
    pub share: Option<f64>,
}

/// A device and the bandwidth of its memory.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As `--compare` names it.
    pub device: String,
    /// What it is.
    pub description: String,
    /// Bytes a second: of reading on the host, of reading and writing in a copy on a GPU.
    pub bandwidth: f64,
}

/// All figures of a run of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Rows of the table.
    pub rows: usize,
    /// Features of the table.
    pub features: usize,
    /// Runs of each stage.
    pub runs: usize,
    /// The devices.
    pub machines: Vec<Machine>,
    /// The stages of each device.
    pub stages: Vec<Stage>,
}

/// A device under test.
struct Subject<'d> {
    name: &'d str,
    device: Device,
    bandwidth: Vec<f64>,
    backend: Box<dyn Backend>,
    /// `[stage]`, each `[runs]`.
    seconds: Vec<Vec<f64>>,
}

/// Takes columns and forgets them: what is left is decoding, sample, moments and narrowing.
struct Nowhere;

impl Store for Nowhere {
    fn write(&self, _: Column, _: usize, values: &[f32]) -> Result<()> {
        std::hint::black_box(values);
        Ok(())
    }
}

const STAGES: [&str; 7] = ["decode", "read", "upload", "evaluate", "probe", "hessian", "train"];

/// Measures `devices` (names and selections) on `table`, `runs` times each after one run that does not count.
pub fn bench(
    table: &Table,
    request: &Request,
    devices: &[(String, Job)],
    runs: usize,
    monitor: &dyn Monitor,
) -> Result<Figures> {
    let (table, plan) = request.resolve(table.clone(), monitor)?;
    let table = &table;
    let (rows, features) = (table.rows, plan.features());
    let mut subjects = Vec::new();
    for (name, job) in devices {
        let device = Device::open(&job.device)?;
        let mut loading = device.reserve(Shape::plain(rows, features), &job.limits)?;
        load(table, &plan, &*loading.as_store(), &Silent)?;
        let backend = loading.finish()?;
        subjects.push(Subject {
            name,
            device,
            bandwidth: Vec::new(),
            backend,
            seconds: vec![Vec::new(); STAGES.len()],
        });
    }
    monitor.begin("bench", Some(((runs + 1) * subjects.len() * STAGES.len()) as u64));
    let point = vec![0.01; features + 1];
    for run in 0..=runs {
        for (subject, (_, job)) in subjects.iter_mut().zip(devices) {
            subject.bandwidth.push(subject.device.bandwidth()?);
            for (index, stage) in STAGES.iter().enumerate() {
                monitor.check()?;
                monitor.say(&format!("{stage} on {}", subject.name));
                let seconds = match *stage {
                    "decode" => timed(|| decode_only(table, &plan))?,
                    "read" => timed(|| load(table, &plan, &Nowhere, &Silent).map(drop))?,
                    "upload" => upload(&subject.device, rows, features, &job.limits)?,
                    "evaluate" => {
                        subject.backend.move_to(&point, Need::Gradient)?;
                        let mut direction = point.clone();
                        timed(|| {
                            subject.backend.line(&mut direction, 0.5).map(|line| {
                                std::hint::black_box(line.first());
                            })
                        })?
                    }
                    "probe" => {
                        let mut direction = point.clone();
                        let mut line = subject.backend.line(&mut direction, 0.5)?;
                        timed(|| line.probe(&[0.25]).map(drop))?
                    }
                    "hessian" => timed(|| subject.backend.scatter().map(drop))?,
                    _ => timed(|| train(table, job, &Silent, &mut |_| {}).map(drop))?,
                };
                if run > 0 {
                    subject.seconds[index].push(seconds);
                }
                monitor.advance(1);
            }
        }
    }
    monitor.end();
    let mut figures = Figures { rows, features, runs, machines: Vec::new(), stages: Vec::new() };
    for subject in subjects {
        let bandwidth = median(&subject.bandwidth);
        let state_bytes = match subject.device {
            Device::Cpu => size_of::<f64>(),
            Device::Gpu(_) => size_of::<f32>(),
        };
        for (stage, seconds) in STAGES.into_iter().zip(&subject.seconds) {
            let bytes = (rows * bytes_of_row(stage, features, state_bytes)) as u64;
            let seconds_of_run = median(seconds);
            let bound_by_memory = matches!(stage, "evaluate" | "probe" | "hessian");
            figures.stages.push(Stage {
                stage,
                device: subject.name.to_owned(),
                seconds: seconds_of_run,
                fastest: seconds.iter().copied().fold(f64::INFINITY, f64::min),
                slowest: seconds.iter().copied().fold(0.0, f64::max),
                bytes,
                share: bound_by_memory.then(|| bytes as f64 / seconds_of_run / bandwidth),
            });
        }
        figures.machines.push(Machine {
            device: subject.name.to_owned(),
            description: subject.device.describe(),
            bandwidth,
        });
    }
    Ok(figures)
}

/// Bytes that a stage must move for each row: features and labels in f32, margins as wide as the backend keeps them.
fn bytes_of_row(stage: &str, features: usize, state_bytes: usize) -> usize {
    let columns = 4 * (features + 1);
    match stage {
        // Reads margins, writes direction margins.
        "evaluate" => columns + 2 * state_bytes,
        "probe" => 4 + 2 * state_bytes,
        "hessian" => columns + state_bytes,
        _ => columns,
    }
}

/// Seconds that narrowed columns take from memory into the device's chunks.
fn upload(device: &Device, rows: usize, features: usize, limits: &Limits) -> Result<f64> {
    const PIECE: usize = 16_384;
    let values: Vec<f32> = (0..PIECE).map(|k| (k % 101) as f32).collect();
    let mut loading = device.reserve(Shape::plain(rows, features), limits)?;
    timed(move || {
        let store = loading.as_store();
        (0..features).into_par_iter().try_for_each(|feature| {
            (0..rows)
                .step_by(PIECE)
                .try_for_each(|first| store.write(Column::Feature(feature), first, &values[..PIECE.min(rows - first)]))
        })?;
        let labels = vec![1.0; rows];
        store.write(Column::Label, 0, &labels)?;
        drop(store);
        loading.finish().map(drop)
    })
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { 0.5 * (sorted[middle - 1] + sorted[middle]) } else { sorted[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() == 0.0);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() == 0.0);
    }
}
