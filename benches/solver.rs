//! Passes over the data that each method needs, on nine data sets: `cargo bench --bench solver > table.md`.
//!
//! Prints a Markdown table of the passes until the relative error of the coefficients, on the standardised scale, is
//! at most 1e-6 (the confirming evaluation not counted), against Newton's method in double precision over the same
//! narrowed columns. With `-- --gpu` the GPU engine runs too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array};
use arrow::record_batch::RecordBatch;
use gpu_logreg::data::{Spec, Table};
use gpu_logreg::engine::Selection;
use gpu_logreg::monitor::Silent;
use gpu_logreg::solve::Preconditioner;
use gpu_logreg::train::{Init, Job, Solver, train};
use parquet::arrow::ArrowWriter;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, StudentT};

/// One data set: where it is, and how it is fitted.
struct Set {
    name: &'static str,
    path: PathBuf,
    label: &'static str,
    ignore: Vec<String>,
    l2: f64,
    /// Passes of preconditioned conjugate gradient from zero in an emulation of the method on data of this kind.
    expected: u64,
}

struct Random(ChaCha8Rng);

/// Columns, and the true margins of their rows.
type Draw = (Vec<Vec<f64>>, Vec<f64>);

impl Random {
    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    fn uniform(&mut self) -> f64 {
        self.0.random()
    }
}

/// Columns and the true model; labels are drawn from it.
fn write(path: &Path, columns: Vec<Vec<f64>>, margins: &[f64], random: &mut Random) {
    let labels: BooleanArray = margins.iter().map(|z| Some(random.uniform() < 1.0 / (1.0 + (-z).exp()))).collect();
    let mut named: Vec<(String, ArrayRef)> = columns
        .into_iter()
        .enumerate()
        .map(|(j, column)| (format!("x{}", j + 1), Arc::new(Float64Array::from(column)) as ArrayRef))
        .collect();
    named.push(("y".into(), Arc::new(labels)));
    let batch = RecordBatch::try_from_iter(named).expect("columns of one length");
    let file = std::fs::File::create(path).expect("creates");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("begins");
    writer.write(&batch).expect("writes");
    writer.close().expect("ends");
}

/// `n x d` normal columns with the covariance `A'A`, `A = diag(eigenvalues^1/2) Q` for a random rotation Q.
fn correlated(n: usize, d: usize, condition: f64, random: &mut Random) -> Vec<Vec<f64>> {
    // A rotation from Gram-Schmidt on random vectors.
    let mut rotation: Vec<Vec<f64>> = Vec::new();
    while rotation.len() < d {
        let mut v: Vec<f64> = (0..d).map(|_| random.normal()).collect();
        for q in &rotation {
            let share: f64 = v.iter().zip(q).map(|(v, q)| v * q).sum();
            v.iter_mut().zip(q).for_each(|(v, q)| *v -= share * q);
        }
        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        rotation.push(v.into_iter().map(|v| v / length).collect());
    }
    let deviations: Vec<f64> = (0..d).map(|i| condition.powf(0.5 * i as f64 / (d - 1).max(1) as f64)).collect();
    let mut columns = vec![vec![0.0; n]; d];
    for k in 0..n {
        let e: Vec<f64> = deviations.iter().map(|s| s * random.normal()).collect();
        for (j, column) in columns.iter_mut().enumerate() {
            column[k] = rotation.iter().zip(&e).map(|(q, e)| q[j] * e).sum();
        }
    }
    columns
}

/// Margins `b + sum w_j x_j / sd(x_j)` with random normal weights, scaled to the standard deviation `spread`.
fn margins(columns: &[Vec<f64>], spread: f64, intercept: f64, random: &mut Random) -> Vec<f64> {
    let n = columns[0].len();
    let mut z = vec![0.0; n];
    for column in columns {
        let mean = column.iter().sum::<f64>() / n as f64;
        let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        let w = random.normal();
        z.iter_mut().zip(column).for_each(|(z, x)| *z += w * (x - mean) / deviation);
    }
    let deviation = (z.iter().map(|z| z * z).sum::<f64>() / n as f64).sqrt();
    z.iter().map(|z| intercept + spread * z / deviation).collect()
}

fn sets(folder: &Path) -> Vec<Set> {
    let mut sets = Vec::new();
    let mut seed = 0;
    let mut add = |name: &'static str, expected, make: &dyn Fn(&mut Random) -> Draw| {
        seed += 1;
        let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
        let path = folder.join(format!("{name}.parquet"));
        let (columns, margins) = make(&mut random);
        write(&path, columns, &margins, &mut random);
        sets.push(Set { name, path, label: "y", ignore: Vec::new(), l2: 0.0, expected });
    };
    add("gauss20", 7, &|random| {
        let columns = correlated(200_000, 20, 2.0, random);
        let z = margins(&columns, 1.5, 0.2, random);
        (columns, z)
    });
    add("corr100", 6, &|random| {
        let columns = correlated(100_000, 100, 1e4, random);
        let z = margins(&columns, 1.5, 0.0, random);
        (columns, z)
    });
    // The same table twice: on scales from 1e-3 to 1e4 with offsets, and standardised.
    for (name, expected, raw) in [("raw", 9, true), ("std", 7, false)] {
        add(name, expected, &move |_| {
            let random = &mut Random(ChaCha8Rng::seed_from_u64(100));
            let mut columns = correlated(200_000, 20, 36.0, random);
            let z = margins(&columns, 1.5, 0.0, random);
            for (j, column) in columns.iter_mut().enumerate().filter(|_| raw) {
                let scale = 10.0_f64.powf(-3.0 + 7.0 * j as f64 / 19.0);
                for x in column {
                    *x = scale * (*x + 3.0 * (j % 5) as f64);
                }
            }
            (columns, z)
        });
    }
    add("nearsep", 10, &|random| {
        let columns = correlated(100_000, 20, 4.0, random);
        let z = margins(&columns, 40.0, 0.0, random);
        (columns, z)
    });
    add("imb", 9, &|random| {
        let columns = correlated(200_000, 20, 4.0, random);
        let z = margins(&columns, 1.0, -7.5, random);
        (columns, z)
    });
    add("skew", 14, &|random| {
        let student = StudentT::new(3.0).expect("three degrees of freedom");
        let columns: Vec<Vec<f64>> = (0..40)
            .map(|j| {
                (0..100_000)
                    .map(|_| match j % 3 {
                        0 => random.normal().exp(),
                        1 => student.sample(&mut random.0),
                        _ => f64::from(u8::from(random.uniform() < 0.01)),
                    })
                    .collect()
            })
            .collect();
        let z = margins(&columns, 2.0, -0.5, random);
        (columns, z)
    });
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"));
    for (name, file, label, ignore, rows, expected) in [
        ("bc", "breast_cancer.parquet", "malignant", vec![], 569.0, 12),
        ("dig", "digits.parquet", "odd", vec!["digit".to_owned()], 1797.0, 16),
    ] {
        // scikit-learn's C = 1 on standardised columns.
        sets.push(Set { name, path: examples.join(file), label, ignore, l2: 1.0 / rows, expected });
    }
    sets
}

/// One way of fitting.
#[derive(Clone, Copy)]
struct Way {
    solver: Solver,
    init: Init,
    preconditioner: Option<Preconditioner>,
}

impl Way {
    /// From zero, with what suits the solver.
    const fn of(solver: Solver) -> Self {
        Self { solver, init: Init::Zero, preconditioner: None }
    }
}

/// Passes, Hessian passes among them, and the error at the end of a run.
struct Cost {
    passes: Option<(u64, u64)>,
    best: f64,
}

/// Fits a set and gives the parameters of each iteration with the passes so far.
fn fit(set: &Set, way: Way, device: &Selection, tolerance: f64) -> Vec<(u64, u64, Vec<f64>)> {
    let spec = Spec { label: Some(set.label.into()), ignore: set.ignore.clone(), ..Spec::default() };
    let job = Job {
        solver: way.solver,
        init: way.init,
        preconditioner: way.preconditioner,
        l2: set.l2,
        tolerance,
        max_iterations: 3_000,
        ..Job::new(spec, device.clone())
    };
    let table = Table::open(&set.path).expect("opens");
    let mut points = Vec::new();
    train(&table, &job, &Silent, &mut |iteration| {
        points.push((iteration.passes.data, iteration.passes.hessian, iteration.point.to_vec()));
    })
    .expect("trains");
    points
}

fn cost(set: &Set, way: Way, device: &Selection, reference: &[f64]) -> Cost {
    let (weights, _) = reference.split_at(reference.len() - 1);
    let length = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    let mut best = f64::INFINITY;
    for (data, hessian, point) in fit(set, way, device, 1e-8) {
        assert_eq!(point.len(), reference.len(), "parameters of the reference");
        let error = point.iter().zip(weights).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt() / length;
        best = best.min(error);
        if error <= 1e-6 {
            return Cost { passes: Some((data, hessian)), best };
        }
    }
    Cost { passes: None, best }
}

fn main() {
    let gpu = std::env::args().any(|argument| argument == "--gpu");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cg = Way::of(Solver::Cg);
    let others = [
        ("cg, generative start", Way { init: Init::Generative, ..cg }),
        ("cg, none", Way { preconditioner: Some(Preconditioner::None), ..cg }),
        ("lbfgs", Way::of(Solver::Lbfgs)),
        ("newton", Way::of(Solver::Newton)),
    ];
    let mut header = vec!["data", "emulated", "cg on the CPU"];
    if gpu {
        header.push("cg on the GPU");
    }
    header.extend(others.iter().map(|(name, _)| *name));
    println!("| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len()));
    for set in sets(folder.path()) {
        let (.., reference) =
            fit(&set, Way::of(Solver::Newton), &Selection::Cpu, 1e-9).pop().expect("a start at least");
        let show = |way: Way, device: &Selection| match cost(&set, way, device, &reference) {
            Cost { passes: Some((data, hessian)), .. } => format!("{data} ({hessian}H)"),
            Cost { best, .. } => format!("best {best:.0e}"),
        };
        let mut row = vec![set.name.to_owned(), set.expected.to_string(), show(cg, &Selection::Cpu)];
        if gpu {
            row.push(show(cg, &Selection::Gpu));
        }
        row.extend(others.iter().map(|(_, way)| show(*way, &Selection::Cpu)));
        println!("| {} |", row.join(" | "));
    }
}
