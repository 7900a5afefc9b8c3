//! Runs that last: what a run that was cut off leaves another one to go on from, how one ends early with what it has come to, and what
//! becomes of one whose graphics card fails.

mod common {
    pub(crate) mod adapter;
    pub(crate) mod data;
    pub(crate) mod process;
    pub(crate) mod random;
    #[cfg(target_os = "linux")]
    pub(crate) mod running;
    pub(crate) mod says;
}

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use gpu_logreg::data::{Dealing, FoldSpec};
use gpu_logreg::error::Kind;
use gpu_logreg::monitor::Monitor;
use gpu_logreg::train::{CheckpointJob, Every, PathJob, Solver, Strengths};
use gpu_logreg::{Error, Job, Model, Selection, Table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use common::adapter::has_adapter;
#[cfg(target_os = "linux")]
use common::adapter::skipped;
use common::data::write_parquet;
use common::process::{Place, number};
use common::random::Random;
#[cfg(target_os = "linux")]
use common::running::Running;
use common::says::assert_says;

/// `data.parquet`: columns, and labels of two classes, `y`, and of four, `kind`.
fn write_data(path: &Path, rows: usize, columns: usize, seed: u64) {
    write_correlated(path, rows, columns, seed, 3.0);
}

/// The same, whose columns share all but so much of themselves.
fn write_correlated(path: &Path, rows: usize, columns: usize, seed: u64, own: f64) {
    let mut random = Random(seed);
    let mut all: Vec<(String, ArrayRef)> = Vec::new();
    let shared: Vec<f64> = (0..rows).map(|_| random.symmetric()).collect();
    let mut margins = vec![0.0; rows];
    for j in 0..columns {
        let column: Vec<f64> = shared.iter().map(|shared| shared + own * random.symmetric() + j as f64).collect();
        let weight = 1.5 / (1.0 + j as f64);
        margins.iter_mut().zip(&column).for_each(|(z, x)| *z += weight * (x - j as f64));
        all.push((format!("x{j}"), Arc::new(Float64Array::from(column))));
    }
    let labels: Vec<i64> = margins.iter().map(|z| i64::from(random.unit() < 1.0 / (1.0 + (1.0 - z).exp()))).collect();
    let kinds: Vec<String> = margins
        .iter()
        .map(|z| format!("k{}", ((z + 3.0 * random.symmetric()) / 2.0 + 1.5).clamp(0.0, 3.0) as u8))
        .collect();
    all.push(("y".into(), Arc::new(Int64Array::from(labels))));
    all.push(("kind".into(), Arc::new(StringArray::from(kinds))));
    let named: Vec<(&str, ArrayRef)> = all.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect();
    write_parquet(path, &named, 500);
}

/// The same rows, two of which have changed their labels.
fn write_swapped(from: &Path, to: &Path) {
    let file = fs::File::open(from).expect("it is there");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).expect("a reader").with_batch_size(1 << 20).build();
    let batch = batches.expect("a reader").next().expect("rows").expect("a batch");
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let mut column = Arc::clone(column);
        if field.name() == "y" {
            let mut labels = column.as_primitive::<Int64Type>().values().to_vec();
            let [zero, one] = [0, 1].map(|label| labels.iter().position(|own| *own == label).expect("both classes"));
            labels.swap(zero, one);
            column = Arc::new(Int64Array::from(labels));
        }
        (field.name().clone(), column)
    });
    let columns: Vec<(String, ArrayRef)> = columns.collect();
    let named: Vec<(&str, ArrayRef)> = columns.iter().map(|(name, array)| (name.as_str(), Arc::clone(array))).collect();
    write_parquet(to, &named, 500);
}

/// Interrupts a run when it asks for the n-th time whether it should stop.
struct Interrupts {
    asked: AtomicU64,
    at: u64,
}

impl Monitor for Interrupts {
    fn interrupted(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1 >= self.at
    }
}

fn coefficients(model: &Model) -> Vec<f64> {
    let features = model.features.iter().flat_map(|feature| feature.coefficients.iter().copied());
    features.chain(model.intercepts.iter().copied()).collect()
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    assert!(!a.is_empty() && a.iter().chain(b).all(|x| x.is_finite()), "{a:?} {b:?}");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The jobs whose runs are cut off.
fn jobs(device: &Selection) -> Vec<(&'static str, Job)> {
    let of = |label: &str| {
        let other = if label == "y" { "kind" } else { "y" };
        Job { device: device.clone(), ..Job::label(label) }.ignore([other])
    };
    let path = PathJob { strengths: Strengths::Grid { count: 12, ratio: Some(1e-2) }, ..PathJob::default() };
    let mut of_folds = of("y");
    of_folds.path = Some(path.clone());
    of_folds.spec.folds = Some(FoldSpec { count: 3, seed: 1, dealing: Dealing::default() });
    let mut jobs = vec![
        ("conjugate gradients", of("y")),
        ("limited memory", Job { solver: Solver::Lbfgs, ..of("y") }),
        ("several classes", of("kind")),
        ("a lasso", Job { l1: 3e-3, ..of("y") }),
        ("standard errors", of("y").inference(0.95)),
        ("a path", Job { path: Some(path), ..of("y") }),
    ];
    if *device == Selection::Cpu {
        jobs.push(("a path with folds", of_folds));
    }
    jobs
}

/// Cuts runs off wherever they can be, and goes on: the model is that of a run that nobody cut off, in as many passes and
/// two more at most. Gives how many were cut off, and the most passes that a
/// run that went on knew.
fn cut_off_everywhere(table: &Table, place: &Place, job: &Job, name: &str, step: u64) -> (u64, u64) {
    let undisturbed = job.train(table).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected = coefficients(&undisturbed);
    let path = place.path("run.checkpoint");
    let mut job = job.clone();
    let (mut count, mut most) = (0, 0);
    for at in (1..).step_by(step as usize) {
        job.checkpoint =
            Some(CheckpointJob { path: path.clone(), every: Every::Passes(1), resumes: false, stays: false });
        let cut = job.train_watched(table, &Interrupts { asked: AtomicU64::new(0), at });
        let Err(error) = cut else { break };
        assert_eq!(error.kind, Kind::Interrupted, "{name}: {error}");
        if !path.exists() {
            // It had not read the table.
            continue;
        }
        assert_says(&error.way_out, &["run.checkpoint", "go on with", "resume"]);
        job.checkpoint =
            Some(CheckpointJob { path: path.clone(), every: Every::Passes(1), resumes: true, stays: false });
        let model = job.train(table).unwrap_or_else(|error| panic!("{name}, cut off at {at}: {error}"));
        assert!(!path.exists(), "{name}: a run that ended well leaves no checkpoint");
        let distance = far(&coefficients(&model), &expected);
        let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(distance <= 1e-5 * largest, "{name}, cut off at {at}: {distance} away");
        let (passes, all) = (model.training.passes.data, undisturbed.training.passes.data);
        assert!(passes <= all + 2, "{name}, cut off at {at}: {passes} passes for {all}");
        let note = model.training.notes.iter().find(|note| note.contains("went on from")).expect("a note").clone();
        let known = note.split_whitespace().find_map(|word| word.parse().ok()).expect("how many passes");
        (count, most) = (count + 1, most.max(known));
    }
    (count, most)
}

fn cut_off(device: &Selection, step: u64) {
    let place = Place::new();
    write_data(&place.path("data.parquet"), 3000, 6, 1);
    let table = Table::open(place.path("data.parquet")).expect("a table");
    let (mut cut, mut most) = (0, 0);
    for (name, job) in jobs(device) {
        let (count, known) = cut_off_everywhere(&table, &place, &job, name, step);
        assert!(count >= 1 && known >= 1, "{name}: cut off {count} times, {known} passes known at most");
        (cut, most) = (cut + count, most.max(known));
    }
    assert!(cut >= 20 && most >= 8, "cut off {cut} times, {most} passes known at most");
}

#[test]
fn a_run_that_was_cut_off_goes_on() {
    cut_off(&Selection::Cpu, 1);
}

#[test]
fn a_run_on_a_gpu_that_was_cut_off_goes_on() {
    if has_adapter() {
        cut_off(&Selection::Gpu, 3);
    }
}

/// A checkpoint of a run that was cut off late.
fn checkpoint(table: &Table, path: &Path, job: &Job) -> Job {
    let kept = |resumes| Some(CheckpointJob { path: path.to_owned(), every: Every::Passes(1), resumes, stays: false });
    let mut job = Job { checkpoint: kept(false), ..job.clone() };
    for at in (1..1000).rev() {
        let _ = fs::remove_file(path);
        if job.train_watched(table, &Interrupts { asked: AtomicU64::new(0), at }).is_err() {
            break;
        }
    }
    assert!(path.exists(), "a run was cut off");
    job.checkpoint = kept(true);
    job
}

/// What a crash leaves at the end is not used, and damage is found: the model is the same, or the file is refused.
#[test]
fn a_checkpoint_that_is_not_whole_misleads_nobody() {
    let place = Place::new();
    write_data(&place.path("data.parquet"), 800, 4, 2);
    let table = Table::open(place.path("data.parquet")).expect("a table");
    let path = place.path("run.checkpoint");
    let job = Job { device: Selection::Cpu, ..Job::label("y") }.ignore(["kind"]);
    let expected = coefficients(&job.train(&table).expect("a model"));
    let job = checkpoint(&table, &path, &job);
    let whole = fs::read(&path).expect("it is there");
    let (mut refused, mut same) = (0, 0);
    let mut random = Random(3);
    for round in 0..160 {
        let mut bytes = whole.clone();
        let at = (random.unit() * bytes.len() as f64) as usize;
        if round % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (round / 2 % 8);
        }
        fs::write(&path, &bytes).expect("it is written");
        match job.train(&table) {
            Ok(model) => {
                assert!(far(&coefficients(&model), &expected) <= 1e-6, "{round}: damaged at {at}");
                same += 1;
            }
            Err(Error { kind: Kind::Data | Kind::Usage, fact, .. }) => {
                assert_says(&fact, &["run.checkpoint"]);
                refused += 1;
            }
            Err(error) => panic!("{round}: damaged at {at}: {error:?}"),
        }
    }
    assert!(refused >= 10 && same >= 10, "{refused} refused, {same} the same");
}

#[test]
fn another_table_and_other_settings_are_refused() {
    let place = Place::new();
    write_data(&place.path("data.parquet"), 800, 4, 2);
    write_data(&place.path("other.parquet"), 800, 4, 3);
    write_data(&place.path("more.parquet"), 800, 5, 2);
    write_swapped(&place.path("data.parquet"), &place.path("swapped.parquet"));
    let open = |name: &str| Table::open(place.path(name)).expect("a table");
    let path = place.path("run.checkpoint");
    let plain = Job { device: Selection::Cpu, ..Job::label("y") }.ignore(["kind"]);
    let job = checkpoint(&open("data.parquet"), &path, &plain);
    let before = fs::read(&path).expect("it is there");
    let refused = |job: &Job, data: &str, kind: Kind, words: &[&str]| {
        let error = job.train(&open(data)).expect_err("another run");
        assert_eq!(error.kind, kind, "{error}");
        assert_says(&error.to_string(), words);
        assert_eq!(fs::read(&path).expect("it is there"), before, "a refused run leaves the checkpoint as it is");
    };
    refused(&Job { l2: 1e-3, ..job.clone() }, "data.parquet", Kind::Usage, &["another l2", "0.0", "0.001"]);
    refused(&job.clone().inference(0.9), "data.parquet", Kind::Usage, &["another inference", "0.9"]);
    refused(&job.clone().ignore(["kind", "x1"]), "data.parquet", Kind::Usage, &["another ignore", "x1"]);
    refused(&job, "other.parquet", Kind::Data, &["another table", "class 0 weighed"]);
    refused(&job, "more.parquet", Kind::Data, &["another table"]);
    // Every mean and every class is the same; two rows have changed their labels.
    refused(&job, "swapped.parquet", Kind::Data, &["another table", "labels, or their order"]);
    let model = |l2: f64| Job { l2, ..plain.clone() }.train(&open("data.parquet")).expect("a model");
    refused(&job.clone().start(model(0.0)), "data.parquet", Kind::Usage, &["another init"]);
    let anew = |checkpoint| Job { checkpoint: Some(checkpoint), ..plain.clone() };
    let kept = CheckpointJob { path: path.clone(), every: Every::default(), resumes: false, stays: false };
    refused(&anew(kept.clone()), "data.parquet", Kind::Usage, &["is there already", "resume"]);
    fs::write(place.path("text"), "no checkpoint\n").expect("it is written");
    for (name, words) in [("text", "is no checkpoint"), ("nothing", "cannot be read")] {
        let other = CheckpointJob { path: place.path(name), resumes: true, ..kept.clone() };
        refused(&anew(other), "data.parquet", Kind::Data, &[name, words]);
    }
    // The control: the same run is not refused, and may have more iterations.
    Job { max_iterations: 2000, ..job }.train(&open("data.parquet")).expect("it goes on");
}

/// A model as the start: the same answer in fewer passes, with columns that it does not know, and of other classes not at all.
#[test]
fn a_run_begins_with_a_model() {
    let place = Place::new();
    write_data(&place.path("data.parquet"), 4000, 8, 4);
    let flags = "--label y --ignore kind --device cpu --json";
    let passes = |model: &Value| number(model, "/training/passes/data");
    let solver = "--solver gradient-descent --tolerance 1e-2 --max-iterations 20000";
    place.done(&format!("train data.parquet {flags} -o all.json"));
    place.done("train data.parquet --label y --ignore kind,x5 --device cpu -o fewer.json");
    place.done("train data.parquet --label kind --ignore y --device cpu -o kinds.json");
    let far_from_0 = place.done(&format!("train data.parquet {flags} {solver}")).json();
    let near = place.done(&format!("train data.parquet {flags} {solver} --init fewer.json")).json();
    let nearest = place.done(&format!("train data.parquet {flags} {solver} --init all.json")).json();
    assert!(passes(&nearest) < passes(&near) && passes(&near) < passes(&far_from_0), "{near:#}");
    let again = place.done(&format!("train data.parquet {flags} --init all.json")).json();
    let all: Value = serde_json::from_slice(&place.read("all.json")).expect("JSON");
    assert!(passes(&again) <= 4.0 && passes(&all) > 4.0, "{again:#}");
    let value = |model: &Value, index: usize| number(model, &format!("/features/{index}/coefficient"));
    for index in 0..8 {
        assert!((value(&again, index) - value(&all, index)).abs() <= 1e-4, "{again:#}");
    }
    let run = place.run(&format!("train data.parquet {flags} --init kinds.json"));
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_says(&run.stdout, &["tells k0, k1, k2, k3 apart", "0, 1"]);
    // Several classes begin with theirs.
    let kinds = "train data.parquet --label kind --ignore y --device cpu --json";
    let [cold, warm] = ["", "--init kinds.json"].map(|init| place.done(&format!("{kinds} {init}")).json());
    assert!(passes(&warm) < passes(&cold), "{warm:#}");
    for wrong in [
        "--init nowhere.json",
        "--init data.parquet",
        "--init all.json --l1 0.01",
        "--init all.json --solver generative",
    ] {
        let run = place.run(&format!("train data.parquet {flags} {wrong}"));
        assert!(matches!(run.code, Some(2 | 3)), "{wrong}: {run:?}");
    }
}

#[test]
fn a_run_whose_time_is_over_has_a_model() {
    let place = Place::new();
    write_data(&place.path("data.parquet"), 4000, 8, 4);
    let arguments = "train data.parquet --label y --ignore kind --device cpu --time-limit 1ms --report page.html";
    let run = place.run(&format!("{arguments} -o model.json --strict"));
    assert_eq!(run.code, Some(4), "{run:?}");
    assert_says(&run.stderr, &["time_limit", "--time-limit", "--init"]);
    let model: Value = serde_json::from_slice(&place.read("model.json")).expect("JSON");
    assert_eq!(model["training"]["status"], "time_limit");
    assert_says(&String::from_utf8_lossy(&place.read("page.html")), &["the time was over"]);
    assert_eq!(place.run(arguments).code, Some(0));
    for wrong in
        ["--time-limit 5", "--time-limit 0s", "--checkpoint-every 3", "--path --time-limit 1h", "--gpu-timeout -1s"]
    {
        let run = place.run(&format!("train data.parquet --label y --ignore kind --device cpu {wrong}"));
        assert_eq!(run.code, Some(2), "{wrong}: {run:?}");
    }
}

/// A run that does not end by itself for a while.
#[cfg(target_os = "linux")]
const LONG: &str = "train data.parquet --label y --ignore kind --device cpu --solver gradient-descent --tolerance 1e-13 \
                    --max-iterations 100000000";

/// Waits until something is so.
#[cfg(target_os = "linux")]
fn wait_for(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came to that");
}

/// Exit codes are those that shells give for the signal; a checkpoint is written at it, and a run goes on from there.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_run_as_shells_expect() {
    let place = Place::new();
    write_correlated(&place.path("data.parquet"), 20_000, 8, 4, 0.01);
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let mut running =
            Running::start(&mut place.command(&format!("{LONG} --checkpoint run.checkpoint -o model.json")));
        wait_for(|| place.path("run.checkpoint").exists());
        std::thread::sleep(std::time::Duration::from_millis(200));
        running.send(signal);
        let run = running.end();
        assert_eq!(run.code, Some(code), "{run:?}");
        assert_says(&run.stderr, &["interrupted", "run.checkpoint", "--resume run.checkpoint"]);
        assert_eq!(place.files(), ["data.parquet", "run.checkpoint"]);
        let kept = fs::metadata(place.path("run.checkpoint")).expect("it is there").len();
        assert!(kept > 4000, "{signal}: {kept} bytes");
        let mut running = Running::start(&mut place.command(&format!("{LONG} --resume run.checkpoint -o model.json")));
        let size = || fs::metadata(place.path("run.checkpoint")).map_or(0, |file| file.len());
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.send("-TERM");
        assert_eq!(running.end().code, Some(143));
        assert!(size() > kept, "{signal}: the run goes on writing");
        fs::remove_file(place.path("run.checkpoint")).expect("it is there");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_run_keeps_what_it_has_come_to() {
    let place = Place::new();
    write_correlated(&place.path("data.parquet"), 20_000, 8, 4, 0.01);
    // What comes after the iterations is not interrupted by the same signal.
    let arguments = format!(
        "{LONG} --keep-on-interrupt --checkpoint run.checkpoint -o model.json --report page.html --valid data.parquet"
    );
    let mut running = Running::start(&mut place.command(&arguments));
    wait_for(|| place.path("run.checkpoint").exists());
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.send("-TERM");
    let run = running.end();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_says(&run.stderr, &["interrupted", "--init"]);
    let model: Value = serde_json::from_slice(&place.read("model.json")).expect("JSON");
    assert_eq!(model["training"]["status"], "interrupted");
    assert!(number(&model, "/training/iterations") >= 2.0, "{model:#}");
    assert!(number(&model, "/training/validation/rows") > 0.0, "{model:#}");
    assert_eq!(place.files(), ["data.parquet", "model.json", "page.html"]);
}

/// The checkpoint is there until the model is: a run whose model finds no place loses nothing. Two runs do not write one.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_stays_until_the_model_is_written() {
    let place = Place::new();
    write_correlated(&place.path("data.parquet"), 20_000, 8, 4, 0.01);
    let arguments = format!("{LONG} --keep-on-interrupt --checkpoint run.checkpoint -o model.json");
    let mut running = Running::start(&mut place.command(&arguments));
    wait_for(|| place.path("run.checkpoint").exists());
    std::thread::sleep(std::time::Duration::from_millis(200));
    let second = place.run(&format!("{LONG} --resume run.checkpoint"));
    assert_eq!(second.code, Some(2), "{second:?}");
    assert_says(&second.stderr, &["run.checkpoint is being written by another run"]);
    fs::create_dir(place.path("model.json")).expect("a folder where the model is to be");
    running.send("-TERM");
    let run = running.end();
    assert_eq!(run.code, Some(6), "{run:?}");
    assert_says(&run.stderr, &["model.json could not be written", "--resume run.checkpoint"]);
    fs::remove_dir(place.path("model.json")).expect("the folder");
    let mut running = Running::start(
        &mut place.command(&format!("{LONG} --keep-on-interrupt --resume run.checkpoint -o model.json")),
    );
    std::thread::sleep(std::time::Duration::from_millis(400));
    running.send("-INT");
    let run = running.end();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(place.files(), ["data.parquet", "model.json"]);
}

// ---- graphics cards that fail ---------------------------------------------------------------------------------

/// A layer between the program and its driver that has a call fail; `None` where there is no C compiler for it.
#[cfg(target_os = "linux")]
fn layer(place: &mut Place) -> Option<()> {
    let of_repository = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sabotage").join(name);
    let library = place.path("libgpu_fault.so");
    let built = std::process::Command::new("cc")
        .args(["-std=gnu11", "-shared", "-fPIC", "-O2", "-pthread", "-o"])
        .arg(&library)
        .arg(of_repository("vulkan_layer.c"))
        .status();
    match built {
        Err(_) => {
            skipped("no C compiler, so no driver fails");
            return None;
        }
        Ok(status) => assert!(status.success(), "the layer is built"),
    }
    let manifest = fs::read_to_string(of_repository("vulkan_layer.json.in")).expect("it is there");
    let manifest = manifest.replace("@LIBRARY@", &library.to_string_lossy());
    fs::write(place.path("gpu_fault.json"), manifest).expect("it is written");
    place.environment.extend([("VK_INSTANCE_LAYERS", "VK_LAYER_gpu_fault"), ("NODEVICE_SELECT", "1")]);
    Some(())
}

/// Calls of the driver that fail, from the first ones to the last ones of a run.
#[cfg(target_os = "linux")]
const CALLS: [u64; 6] = [1, 40, 150, 400, 550, 700];

/// A run whose driver fails ends with the model of a run on the CPU, or says that the GPU failed; and where it may take any
/// device, with the model.
#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_graphics_card_fails_loses_nothing() {
    let mut place = Place::new();
    if !has_adapter() || layer(&mut place).is_none() {
        return;
    }
    write_data(&place.path("data.parquet"), 3000, 5, 5);
    let expected = place.done("train data.parquet --label y --ignore kind --device cpu --json").json();
    let folder = place.path("");
    let run = |device: &str, fault: &str, call: u64| {
        let arguments = format!(
            "train data.parquet --label y --ignore kind --device {device} --json --gpu-timeout 3s --history steps.jsonl"
        );
        let mut command = place.command(&arguments);
        command.env("VK_LAYER_PATH", &folder).env("GPU_FAULT_DISCRETE", "1");
        common::process::Run::of(
            command.env("GPU_FAULT", fault).env("GPU_FAULT_AT", call.to_string()).output().expect("it starts"),
        )
    };
    let agrees = |run: &common::process::Run, what: &str| {
        let model = run.json();
        for index in 0..5 {
            let path = format!("/features/{index}/coefficient");
            let far = (number(&model, &path) - number(&expected, &path)).abs();
            assert!(far <= 1e-4, "{what}: {far} away: {model:#}");
        }
        // No iteration is told twice, whatever was replayed.
        let steps = String::from_utf8(place.read("steps.jsonl")).expect("text");
        let numbers =
            steps.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["iteration"].as_u64());
        let numbers: Vec<u64> = numbers.map(|number| number.expect("a number")).collect();
        assert!(numbers.len() >= 3 && numbers.iter().copied().eq(0..numbers.len() as u64), "{what}: {numbers:?}");
        model["training"]["warnings"].as_array().expect("a list").len()
    };
    assert_eq!(agrees(&run("auto", "lost", 0), "the control"), 0);
    let (mut recovered, mut refused) = (0, 0);
    for (fault, calls) in [
        ("lost", &CALLS[..]),
        ("memory", &CALLS),
        ("drop", &CALLS[1..]),
        ("hang", &CALLS[3..4]),
        ("stuck", &CALLS[3..4]),
    ] {
        for &call in calls {
            let what = format!("{fault} at {call}");
            let any = run("auto", fault, call);
            assert_eq!(any.code, Some(0), "{what}: {any:?}");
            recovered += agrees(&any, &what);
            let gpu = run("gpu", fault, call);
            match gpu.code {
                Some(0) => {
                    agrees(&gpu, &what);
                }
                Some(5) => {
                    assert_says(&gpu.stdout, &["\"exit_code\": 5"]);
                    refused += 1;
                }
                _ => panic!("{what}: {gpu:?}"),
            }
        }
    }
    assert!(recovered >= 8 && refused >= 2, "{recovered} recovered, {refused} refused");
}
