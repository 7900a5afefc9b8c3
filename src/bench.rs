//! Times of everything that a run waits for, beside the bandwidth of the memory it streams from.
//!
//! Every figure is a median of several runs in one process, engines in turn, so that ratios hold when the machine's
//! speed drifts.

use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;

use crate::data::{Column, Design, Shape, Spec, Store, Table, decode_only, load};
use crate::engine::storage::Limits;
use crate::engine::{Device, Engine, TableBuilder};
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
    /// Mean loss where all weights and intercepts are [`POINT`], in the coordinates of the device's columns: that devices
    /// agree in it says that they measure the same thing.
    pub loss: f64,
}

/// Every parameter of the point at which passes are measured.
pub const POINT: f64 = 0.01;

/// What one kernel takes in a stage, by the clock of the GPU.
#[derive(Clone, Debug, Serialize)]
pub struct KernelStage {
    /// The stage.
    pub stage: &'static str,
    /// The device, as `--compare` names it.
    pub device: String,
    /// The kernel.
    pub kernel: &'static str,
    /// Its dispatches in the stage.
    pub dispatches: usize,
    /// Median of the runs, all dispatches together.
    pub seconds: f64,
}

/// All figures of a run of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Rows of the table.
    pub rows: usize,
    /// Features of the table.
    pub features: usize,
    /// Classes, where there are more than two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Runs of each stage.
    pub runs: usize,
    /// The devices.
    pub machines: Vec<Machine>,
    /// The stages of each device.
    pub stages: Vec<Stage>,
    /// The kernels of each stage, on GPUs with a clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<KernelStage>,
}

/// What is measured on.
pub enum Source<'t> {
    /// A file, with what is asked of it.
    File(&'t Table, &'t Spec),
    /// Numbers made up in memory: no file could be written as fast as a GPU takes them.
    Made(Shape),
}

/// A device under test.
struct Subject<'d> {
    name: &'d str,
    device: Device,
    bandwidth: Vec<f64>,
    loss: f64,
    engine: Box<dyn Engine>,
    /// `[stage]`, each `[runs]`.
    seconds: Vec<Vec<f64>>,
    /// Of stage, kernel and dispatches, `[runs]`.
    kernels: Vec<(&'static str, &'static str, usize, Vec<f64>)>,
}

impl Subject<'_> {
    /// Runs a stage once more, with the clock of the device.
    fn profile(&mut self, stage: &'static str, point: &[f64]) -> Result<()> {
        let Self { device, engine, kernels, .. } = self;
        let mut times = Vec::new();
        pass(&mut **engine, stage, point, &mut |work| {
            times = device.profiled(work)?;
            Ok(())
        })?;
        for time in times {
            match kernels.iter_mut().find(|(of_stage, kernel, ..)| (*of_stage, *kernel) == (stage, time.kernel)) {
                Some((_, _, dispatches, seconds)) => {
                    *dispatches = time.dispatches;
                    seconds.push(time.seconds);
                }
                None => kernels.push((stage, time.kernel, time.dispatches, vec![time.seconds])),
            }
        }
        Ok(())
    }
}

/// What is to be measured, and whoever measures it.
type Work<'w> = dyn FnMut() -> Result<()> + 'w;
type Measure<'m> = dyn FnMut(&mut Work<'_>) -> Result<()> + 'm;

/// Hands the pass of a stage over the rows to `measure`, which runs it, once all before it is done.
fn pass(engine: &mut dyn Engine, stage: &str, point: &[f64], measure: &mut Measure<'_>) -> Result<()> {
    let mut direction = point.to_vec();
    match stage {
        "evaluate" => {
            engine.move_to(point, Need::Gradient)?;
            measure(&mut || {
                engine.line(&mut direction, 0.5).map(|line| {
                    std::hint::black_box(line.first());
                })
            })
        }
        "probe" => {
            let mut line = engine.line(&mut direction, 0.5)?;
            measure(&mut || line.probe(&[0.25]).map(drop))
        }
        _ => measure(&mut || engine.scatter().map(drop)),
    }
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

/// The stages that need no file.
const STAGES_MADE: [&str; 4] = ["upload", "evaluate", "probe", "hessian"];

/// The stages that stream from the device's memory.
const PASSES: [&str; 3] = ["evaluate", "probe", "hessian"];

/// Measures `devices` (names and selections), `runs` times each after one run that does not count. On a GPU chunks have at
/// most `chunk` bytes of features, if that is said.
pub fn bench(
    source: &Source<'_>,
    chunk: Option<usize>,
    devices: &[(String, Job)],
    runs: usize,
    monitor: &dyn Monitor,
) -> Result<Figures> {
    let file = match source {
        Source::File(table, spec) => Some(spec.resolve((*table).clone(), monitor)?),
        Source::Made(_) => None,
    };
    let (design, stages) = match (source, &file) {
        (Source::Made(shape), _) => (Design::from(*shape), &STAGES_MADE[..]),
        (_, Some((table, plan))) => (plan.design(table.rows), &STAGES[..]),
        (Source::File(..), None) => unreachable!("resolved above"),
    };
    let shape = design.shape;
    let point = vec![POINT; shape.parameters()];
    let mut subjects = Vec::new();
    for (name, job) in devices {
        let mut device = Device::open(&job.device)?;
        if let Some(bytes) = chunk {
            device = device.in_chunks_of(bytes);
        }
        let mut loading = device.reserve(design.clone(), &job.limits)?;
        let mut engine = match &file {
            Some((table, plan)) => {
                load(table, plan, &*loading.as_store(), &Silent)?;
                loading.finish()?
            }
            None => filled(loading, &design)?,
        };
        let loss = engine.move_to(&point, Need::Gradient)?.value;
        subjects.push(Subject {
            name,
            device,
            loss,
            bandwidth: Vec::new(),
            engine,
            seconds: vec![Vec::new(); stages.len()],
            kernels: Vec::new(),
        });
    }
    monitor.begin("bench", Some(((runs + 1) * subjects.len() * stages.len()) as u64));
    for run in 0..=runs {
        for (subject, (_, job)) in subjects.iter_mut().zip(devices) {
            subject.bandwidth.push(subject.device.bandwidth()?);
            for (index, &stage) in stages.iter().enumerate() {
                monitor.check()?;
                monitor.say(&format!("{stage} on {}", subject.name));
                let seconds = match (stage, &file) {
                    ("upload", _) => upload(&subject.device, &design, &job.limits)?,
                    ("decode", Some((table, plan))) => timed(|| decode_only(table, plan))?,
                    ("read", Some((table, plan))) => timed(|| load(table, plan, &Nowhere, &Silent).map(drop))?,
                    ("train", Some((table, _))) => timed(|| train(table, job, &Silent, &mut |_| {}).map(drop))?,
                    _ => {
                        let mut seconds = 0.0;
                        pass(&mut *subject.engine, stage, &point, &mut |work| {
                            seconds = timed(work)?;
                            Ok(())
                        })?;
                        seconds
                    }
                };
                if run > 0 {
                    subject.seconds[index].push(seconds);
                    if PASSES.contains(&stage) {
                        subject.profile(stage, &point)?;
                    }
                }
                monitor.advance(1);
            }
        }
    }
    monitor.end();
    let Shape { rows, features, classes, .. } = shape;
    let (machines, of_stages, kernels) = (Vec::new(), Vec::new(), Vec::new());
    let mut figures = Figures { rows, features, classes, runs, machines, stages: of_stages, kernels };
    for subject in subjects {
        let bandwidth = median(&subject.bandwidth);
        let state_bytes = match subject.device {
            Device::Cpu => size_of::<f64>(),
            Device::Gpu(_) => size_of::<f32>(),
        };
        for (&stage, seconds) in stages.iter().zip(&subject.seconds) {
            let bytes = (rows * bytes_of_row(stage, shape, state_bytes)) as u64;
            let seconds_of_run = median(seconds);
            // Every pair of classes has a Hessian of its own.
            let bound_by_memory = PASSES.contains(&stage) && (stage != "hessian" || shape.margins() == 1);
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
        for (stage, kernel, dispatches, seconds) in subject.kernels {
            let seconds = median(&seconds);
            figures.kernels.push(KernelStage { stage, device: subject.name.to_owned(), kernel, dispatches, seconds });
        }
        figures.machines.push(Machine {
            device: subject.name.to_owned(),
            description: subject.device.describe(),
            bandwidth,
            loss: subject.loss,
        });
    }
    Ok(figures)
}

/// Bytes that a stage must move for each row: stored columns, labels and row weights in f32, margins as wide as the engine
/// keeps them.
fn bytes_of_row(stage: &str, shape: Shape, state_bytes: usize) -> usize {
    let outcome = 4 * (1 + usize::from(shape.weights));
    let columns = 4 * shape.columns + outcome;
    let state = state_bytes * shape.margins();
    match stage {
        // Reads margins, writes direction margins. Of several classes the sum over a row's classes stands between two
        // passes over its features, with residuals that the first one writes and the second one reads.
        "evaluate" if shape.margins() > 1 => 2 * columns + 4 * state,
        "evaluate" => columns + 2 * state,
        "probe" => outcome + 2 * state,
        "hessian" => columns + state,
        _ => columns,
    }
}

/// Seconds that narrowed columns take from memory into the device's chunks.
fn upload(device: &Device, design: &Design, limits: &Limits) -> Result<f64> {
    let loading = device.reserve(design.clone(), limits)?;
    timed(move || filled(loading, design).map(drop))
}

/// A table of numbers from -1 to 1 that repeat, each feature from another one on, and of labels and levels in turn; row weights
/// are 1 and offsets 0.
fn filled(mut loading: Box<dyn TableBuilder>, design: &Design) -> Result<Box<dyn Engine>> {
    const PIECE: usize = 16_384;
    let shape = design.shape;
    let (rows, plain) = (shape.rows, design.plain());
    let values: Vec<f32> = (0..PIECE + plain).map(|k| (k * k % 251) as f32 / 125.0 - 1.0).collect();
    let codes = |count: usize| (0..PIECE).map(|k| (k % count) as f32).collect::<Vec<f32>>();
    let store = loading.as_store();
    let write = |column: Column, values: &[f32]| {
        (0..rows).step_by(PIECE).try_for_each(|first| store.write(column, first, &values[..PIECE.min(rows - first)]))
    };
    (0..plain).into_par_iter().try_for_each(|feature| write(Column::Feature(feature), &values[feature..]))?;
    for category in design.categories() {
        write(Column::Feature(category.column), &codes(category.features.len() + 1))?;
    }
    write(Column::Label, &codes(shape.class_count()))?;
    let offsets = (0..shape.margins()).map(|margin| (Column::Offset(margin), 0.0));
    for (column, value) in offsets.chain([(Column::Weight, 1.0)]) {
        if shape.has(column) {
            write(column, &vec![value; PIECE])?;
        }
    }
    drop(store);
    loading.finish()
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
