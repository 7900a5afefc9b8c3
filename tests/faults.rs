//! A GPU that lies: each upload, write, dispatch and copy of a run is left out in turn, as a driver might do it, without an
//! error. Then the run must end with an error of the device, or with the right model. Controls: the same with a host that
//! believes what comes back must lead to wrong models, and a device that does nothing at all must be found out.

#[allow(dead_code, reason = "each test file uses its part of the harness")]
mod harness;

mod common {
    pub(crate) mod random;
}

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow::record_batch::RecordBatch;
use common::random::Random;
use gpu_logreg::data::{Spec, Table};
use gpu_logreg::engine::gpu::fault::{Faults, Operation};
use gpu_logreg::engine::gpu::{Adapter, Gpu};
use gpu_logreg::engine::{Device, Selection};
use gpu_logreg::error::Kind;
use gpu_logreg::model::Model;
use gpu_logreg::monitor::Silent;
use gpu_logreg::solve::Preconditioner;
use gpu_logreg::train::{ExactJob, InferenceJob, Init, Job, Solver, prepare_on, train};
use harness::{Check, Suite};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

const ROWS: usize = 2_500;

/// Into how many chunks a table of up to three stored columns is cut.
#[derive(Clone, Copy)]
enum Cut {
    None,
    InTwo,
    /// More than there are seats for those that visit: each seat has another one's rows before.
    InThree,
}

impl Cut {
    /// Bytes of the features of a chunk at most.
    fn chunk_bytes(self) -> usize {
        match self {
            Self::None => usize::MAX,
            Self::InTwo => 2_048 * 3 * 4,
            Self::InThree => 1_024 * 3 * 4,
        }
    }
}

/// Numbers a and b, a category g of four levels, row weights w, offsets o, a label y of two classes and one c of three.
fn write_table(path: &Path) {
    let mut random = Random(2_026);
    let mut numbers = [const { Vec::new() }; 4];
    let (mut levels, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..ROWS {
        let (a, b) = (3.0 + 2.0 * (random.unit() + random.unit() - 1.0), random.unit() - 0.4);
        let (weight, offset) = (0.5 + random.unit(), 0.6 * (random.unit() - 0.5));
        let level = ((random.unit() * 4.0) as usize).min(3);
        for (column, value) in numbers.iter_mut().zip([a, b, weight, offset]) {
            column.push(value);
        }
        levels.push(["p", "q", "r", "s"][level]);
        // Rows do not come in the order of the classes, nor evenly: what is missing anywhere counts.
        let drift = row as f64 / ROWS as f64 - 0.5;
        let margin = 0.7 * (a - 3.0) - 1.1 * b + [0.0, 0.8, -0.6, 0.3][level] + offset + drift;
        labels.push(random.unit() < 1.0 / (1.0 + (-margin).exp()));
        let odds = [1.0, margin.exp(), (0.4 - 0.5 * margin + 0.9 * b).exp()];
        let mut draw = random.unit() * odds.iter().sum::<f64>();
        let class = odds.iter().position(|odds| {
            draw -= odds;
            draw < 0.0
        });
        classes.push(["c1", "c2", "c3"][class.unwrap_or(2)]);
    }
    let [a, b, w, o] = numbers.map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
    let columns: [(&str, ArrayRef); 7] = [
        ("a", a),
        ("b", b),
        ("g", Arc::new(StringArray::from(levels))),
        ("w", w),
        ("o", o),
        ("y", Arc::new(BooleanArray::from(labels))),
        ("c", Arc::new(StringArray::from(classes))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = std::fs::File::create(path).expect("the file is created");
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(2_000)).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(groups)).expect("a schema for Parquet");
    writer.write(&batch).expect("the rows are written");
    writer.close().expect("the footer is written");
}

/// The table, written once for all trials.
fn table() -> Table {
    static FOLDER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rows.parquet");
        write_table(&path);
        (folder, path)
    });
    Table::open(path).expect("it is Parquet")
}

/// A way to train.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    label: &'static str,
    /// Whether there are the category, weights and offsets.
    category: bool,
    weights: bool,
    offsets: bool,
    robust: bool,
    solver: Solver,
    init: Init,
    preconditioner: Option<Preconditioner>,
    cut: Cut,
    /// Whether the iterations run out after two, where each has many passes.
    stops_early: bool,
    /// Whether all chunks are kept on the host and visit the device.
    streams: bool,
}

const TWO_CLASSES: Case = Case {
    name: "two_classes",
    label: "y",
    category: true,
    weights: false,
    offsets: false,
    robust: false,
    solver: Solver::Cg,
    init: Init::Zero,
    preconditioner: None,
    cut: Cut::InTwo,
    stops_early: false,
    streams: false,
};

const CASES: [Case; 9] = [
    TWO_CLASSES,
    Case { name: "weights_offsets_robust", weights: true, offsets: true, robust: true, ..TWO_CLASSES },
    Case { name: "subsample", preconditioner: Some(Preconditioner::Subsample), cut: Cut::None, ..TWO_CLASSES },
    Case { name: "several_classes", label: "c", weights: true, robust: true, ..TWO_CLASSES },
    Case {
        name: "bound",
        label: "c",
        category: false,
        init: Init::Generative,
        preconditioner: Some(Preconditioner::Bound),
        cut: Cut::None,
        stops_early: true,
        ..TWO_CLASSES
    },
    Case { name: "generative", category: false, cut: Cut::InThree, solver: Solver::Generative, ..TWO_CLASSES },
    Case { name: "generative_several_classes", label: "c", weights: true, solver: Solver::Generative, ..TWO_CLASSES },
    Case { name: "streamed", weights: true, offsets: true, cut: Cut::InThree, streams: true, ..TWO_CLASSES },
    Case {
        name: "streamed_several_classes",
        label: "c",
        category: false,
        cut: Cut::InThree,
        stops_early: true,
        streams: true,
        ..TWO_CLASSES
    },
];

impl Case {
    fn job(&self) -> Job {
        let mut features = vec!["a".to_owned(), "b".to_owned()];
        if self.category {
            features.push("g".into());
        }
        let spec = Spec {
            label: Some(self.label.into()),
            features: Some(features),
            weight: self.weights.then(|| "w".into()),
            offsets: self.offsets.then(|| "o".into()).into_iter().collect(),
            ..Spec::default()
        };
        let mut job = Job {
            solver: self.solver,
            init: self.init,
            preconditioner: self.preconditioner,
            ..Job::new(spec, Selection::Cpu)
        };
        if self.solver != Solver::Generative {
            job.inference = Some(InferenceJob { confidence: 0.95, robust: self.robust });
        }
        if self.stops_early {
            job.max_iterations = 2;
        }
        if self.streams {
            job.limits.device = Some(0);
        }
        job
    }

    /// The model on a GPU with faults.
    fn run(&self, gpu: &Gpu, faults: &Faults) -> gpu_logreg::Result<Model> {
        self.run_as(gpu, faults, &self.job())
    }

    fn run_as(&self, gpu: &Gpu, faults: &Faults, job: &Job) -> gpu_logreg::Result<Model> {
        let gpu = gpu.clone().with_chunks_of(self.cut.chunk_bytes()).with_faults(faults);
        prepare_on(|| Ok(Device::Gpu(gpu)), table(), job, &Silent)?.train(&Silent, &mut |_| {})
    }

    /// Standard errors of the maximum of the likelihood, the measure for coefficients, whatever they are made of.
    fn measure(&self) -> Vec<f64> {
        let mut job = self.job();
        (job.solver, job.init, job.preconditioner) = (Solver::Cg, Init::Zero, None);
        job.max_iterations = 100;
        job.inference = Some(InferenceJob { confidence: 0.95, robust: false });
        standard_errors(&train(&table(), &job, &Silent, &mut |_| {}).expect("the CPU trains"))
    }
}

/// What is not of the reference, of which several margins have one.
fn estimated<T>(of_margins: &[T]) -> &[T] {
    &of_margins[usize::from(of_margins.len() > 1)..]
}

/// All coefficients of a model, the intercepts last; those of a reference that are 0 whatever comes left out.
fn coefficients(model: &Model) -> Vec<f64> {
    let of_features = model.features.iter().flat_map(|f| estimated(&f.coefficients));
    of_features.chain(estimated(&model.intercepts)).copied().collect()
}

/// Their standard errors.
fn standard_errors(model: &Model) -> Vec<f64> {
    let of_features = model.features.iter().flat_map(|f| estimated(&f.inference));
    let of_all = of_features.chain(estimated(&model.intercepts_inference));
    of_all.flatten().map(|inference| inference.standard_error).collect()
}

/// An error unless a model is as another: coefficients within 2e-4 standard errors, these within a thousandth, and the
/// same status.
fn same(found: &Model, expected: &Model, measure: &[f64]) -> Check {
    if found.training.status != expected.training.status {
        return Err(format!("{:?} instead of {:?}", found.training.status, expected.training.status));
    }
    let (here, there) = (coefficients(found), coefficients(expected));
    if here.len() != measure.len() || there.len() != measure.len() {
        return Err(format!("{} and {} coefficients, {} standard errors", here.len(), there.len(), measure.len()));
    }
    for (index, ((here, there), error)) in here.iter().zip(&there).zip(measure).enumerate() {
        let apart = (here - there).abs() / error;
        if apart.is_nan() || apart > 2e-4 {
            return Err(format!("coefficient {index} is {here}, not {there}: {apart:.1e} standard errors apart"));
        }
    }
    let (here, there) = (standard_errors(found), standard_errors(expected));
    if here.len() != there.len() {
        return Err(format!("{} standard errors, not {}", here.len(), there.len()));
    }
    for (index, (here, there)) in here.iter().zip(&there).enumerate() {
        let apart = (here / there - 1.0).abs();
        if apart.is_nan() || apart > 1e-3 {
            return Err(format!("standard error {index} is {here}, not {there}"));
        }
    }
    Ok(())
}

/// What came of leaving operations out.
#[derive(Debug, Default)]
struct Outcomes {
    tried: usize,
    device_errors: usize,
    right_models: usize,
    /// Wrong models, other statuses and other errors.
    wrong: Vec<String>,
}

impl Outcomes {
    fn note(&mut self, what: &str, result: gpu_logreg::Result<Model>, expected: &Model, measure: &[f64]) {
        self.tried += 1;
        match result {
            Ok(model) => match same(&model, expected, measure) {
                Ok(()) => self.right_models += 1,
                Err(how) => self.wrong.push(format!("{what}: {how}")),
            },
            Err(error) if error.kind == Kind::Device && !error.way_out.is_empty() => self.device_errors += 1,
            Err(error) => self.wrong.push(format!("{what}: {:?}: {error}", error.kind)),
        }
    }
}

/// Which operations a case is sure to have.
fn is_in(case: &Case, operation: Operation) -> bool {
    match operation {
        Operation::Upload => !case.streams,
        Operation::Send | Operation::BringBack => case.streams,
        Operation::Write | Operation::Dispatch | Operation::ReadBack => true,
    }
}

/// Leaves out each operation of a run in turn.
fn each_left_out(adapter: &Adapter, case: &Case) -> Check {
    let gpu = Gpu::open(adapter).map_err(|e| e.to_string())?;
    let measure = case.measure();
    let untouched = Faults::none();
    let expected = case.run(&gpu, &untouched).map_err(|e| e.to_string())?;
    let again = case.run(&gpu, &Faults::none()).map_err(|e| e.to_string())?;
    same(&again, &expected, &measure).map_err(|how| format!("the same run twice: {how}"))?;
    let mut all = Outcomes::default();
    for operation in Operation::ALL {
        let count = untouched.count(operation);
        // What the host knows of the device at the start is all that a run that streams uploads.
        if (count > 0) != is_in(case, operation) && operation != Operation::Upload {
            return Err(format!("{count} operations {operation:?}"));
        }
        let mut outcomes = Outcomes::default();
        for number in 0..count {
            let faults = Faults::one(operation, number);
            let result = case.run(&gpu, &faults);
            if faults.count(operation) <= number {
                return Err(format!("{operation:?} {number} of {count} never came"));
            }
            outcomes.note(&format!("{operation:?} {number} of {count}"), result, &expected, &measure);
        }
        println!(
            "{}: {operation:?}: {} left out in turn, {} errors of the device, {} right models, {} wrong",
            case.name,
            outcomes.tried,
            outcomes.device_errors,
            outcomes.right_models,
            outcomes.wrong.len()
        );
        all.tried += outcomes.tried;
        all.device_errors += outcomes.device_errors;
        all.wrong.extend(outcomes.wrong);
    }
    // Not on nothing, and not by healing alone.
    if all.tried < 60 || 2 * all.device_errors < all.tried {
        return Err(format!("{} tried, {} errors of the device", all.tried, all.device_errors));
    }
    if all.wrong.is_empty() { Ok(()) } else { Err(all.wrong.join("\n")) }
}

/// A driver that runs nothing.
fn nothing_runs(adapter: &Adapter) -> Check {
    let gpu = Gpu::open(adapter).map_err(|e| e.to_string())?;
    for case in CASES {
        match case.run(&gpu, &Faults::all()) {
            Err(error) if error.kind == Kind::Device => {}
            Err(error) => return Err(format!("{}: {:?}: {error}", case.name, error.kind)),
            Ok(model) => return Err(format!("{}: {:?}", case.name, model.training.status)),
        }
    }
    Ok(())
}

/// Where nothing is checked, a fault is not found out, and so these trials can fail: wrong models come of what is left out.
fn believed_faults_make_wrong_models(adapter: &Adapter) -> Check {
    let gpu = Gpu::open(adapter).map_err(|e| e.to_string())?;
    // What a chunk brings along comes anew with every visit, so the next pass heals a single one that was left out there.
    for (case, operation) in [(CASES[0], Operation::Upload), (CASES[1], Operation::Dispatch)] {
        let measure = case.measure();
        let untouched = Faults::none();
        let expected = case.run(&gpu, &untouched).map_err(|e| e.to_string())?;
        let mut outcomes = Outcomes::default();
        for number in 0..untouched.count(operation) {
            let result = case.run(&gpu, &Faults::one(operation, number).believed());
            outcomes.note(&format!("{operation:?} {number}"), result, &expected, &measure);
        }
        println!(
            "{} believed: {operation:?}: {} left out in turn, {} wrong",
            case.name,
            outcomes.tried,
            outcomes.wrong.len()
        );
        if outcomes.wrong.is_empty() {
            return Err(format!("{}: {operation:?} left out and believed makes no wrong model", case.name));
        }
    }
    Ok(())
}

/// What the checks on the device do not see, the file does: a pass over it refuses a wrong model that claims to be right.
fn the_file_disagrees_with_believed_faults(adapter: &Adapter) -> Check {
    let gpu = Gpu::open(adapter).map_err(|e| e.to_string())?;
    let (case, measure) = (TWO_CLASSES, TWO_CLASSES.measure());
    let job = Job { exact: ExactJob::Verify, ..case.job() };
    let untouched = Faults::none();
    let expected = case.run_as(&gpu, &untouched, &job).map_err(|e| e.to_string())?;
    let mut refused = 0;
    for number in 0..untouched.count(Operation::Upload) {
        match case.run_as(&gpu, &Faults::one(Operation::Upload, number).believed(), &job) {
            Err(error) if error.fact.contains("do not agree with double precision") => refused += 1,
            Err(error) => println!("upload {number} believed: {error}"),
            Ok(model) if model.training.status.is_success() => {
                let apart = coefficients(&model)
                    .iter()
                    .zip(coefficients(&expected))
                    .zip(&measure)
                    .map(|((here, there), error)| (here - there).abs() / error)
                    .fold(0.0, f64::max);
                // As near as the exact pass lets through.
                if apart.is_nan() || apart > 0.06 {
                    return Err(format!("upload {number}: {apart:.1e} standard errors apart, and verified"));
                }
            }
            Ok(_) => {}
        }
    }
    println!("two_classes believed and verified: {refused} refused");
    if refused == 0 { Err("the file never disagreed".into()) } else { Ok(()) }
}

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for case in CASES {
        suite.gpu(&format!("each_left_out::{}", case.name), move |adapter| each_left_out(adapter, &case));
    }
    suite.gpu("nothing_runs", nothing_runs);
    suite.gpu("believed_faults_make_wrong_models", believed_faults_make_wrong_models);
    suite.gpu("the_file_disagrees_with_believed_faults", the_file_disagrees_with_believed_faults);
    suite.run()
}
