//! Where the passes over the data run: the CPU backend, the GPU backend, and the choice between them; and the
//! exact pass over the file that either can be held against.

pub mod cpu;
pub mod exact;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
pub mod gpu;
pub mod layout;
pub mod storage;
pub mod work;

use std::sync::Arc;

use crate::backend::storage::{Limits, Placement};
use crate::backend::work::{CellSums, Work};
use crate::data::{Column, Design, Shape, Store};
use crate::error::{Error, Result};
use crate::generative::Moments;
use crate::matrix::FewRows;
use crate::objective::{Evaluation, Need, Objective};

/// A table on its way to a device: columns are written to it, then it becomes an objective.
pub trait Loading {
    /// The table as a store, to write columns to.
    fn as_store(&mut self) -> Box<dyn Store + '_>;

    /// Where its chunks are kept.
    fn placement(&self) -> Placement;

    /// All columns are written; from here on the table does not change. An error if a row weight is negative or no
    /// finite number.
    fn finish(self: Box<Self>) -> Result<Box<dyn Backend>>;
}

/// An [`Objective`] in the device's coordinates: the mean cross-entropy `1/N sum w_k (softplus(z_k) - t_k z_k)` as a
/// function of the weights `[features]` of the narrowed columns and the intercept, which comes last; with K classes
/// `1/N sum w_k (ln sum_c exp(z_kc) - z_kt)`, `z_k0 = 0`, as a function of such a vector for each of the classes 1 to
/// K - 1, one after the other. Offsets are in the
/// margins `z_k` and in no direction margin; all sums over rows have the row weights, and all means divide by N.
pub trait Backend: Objective {
    /// N, the sum of the row weights as they are stored, in f32: the number of rows where rows have none. Where it is 0,
    /// all sums are, and so are their means.
    fn weight(&self) -> f64;

    /// Where the rows of each class lie, by their weights: one pass over the features, whatever the point.
    fn moments(&mut self) -> Result<Moments>;

    /// Margins of a row, M.
    fn margins(&self) -> usize;

    /// The sums of the row weights of each cell, as [`Backend::weight`] is that of all.
    fn cell_weights(&mut self) -> Result<Vec<f64>> {
        Ok(vec![self.weight()])
    }

    /// Evaluates several points, each on the rows of the cells that it takes: its sums over each of them,
    /// `[work][cells that it takes]`. In one pass over the features where the engine has such a pass: then
    /// [`MARGINS_OF_A_PASS`](work::MARGINS_OF_A_PASS) margins count as one, and the objective stays where it stands. An engine
    /// that has none goes from point to point, ends at the last one, and keeps all rows in one cell.
    fn run(&mut self, work: &[Work<'_>]) -> Result<Vec<Vec<CellSums>>> {
        work.iter().map(|work| one_by_one(self, work)).collect()
    }

    /// An error of the device unless it still holds what was sent to it. No pass over the data: it is not counted.
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    /// The rows themselves, if the table keeps them for those who calculate with them.
    fn kept_rows(&mut self) -> Result<Option<KeptRows>> {
        Ok(None)
    }

    /// What each row holds where the objective stands now; for diagnosis and tests.
    fn row_terms(&mut self) -> Result<RowTerms>;
}

/// The places of the parameters `columns` of each margin among all `parameters`.
fn in_all_margins(columns: &[usize], parameters: usize, margins: usize) -> Vec<usize> {
    let of_margin = parameters / margins;
    (0..margins).flat_map(|margin| columns.iter().map(move |column| margin * of_margin + column)).collect()
}

/// The sums of a point by an evaluation of its own, of a table with one cell.
fn one_by_one<B: Backend + ?Sized>(engine: &mut B, work: &Work<'_>) -> Result<Vec<CellSums>> {
    if !work.takes(0) {
        return Ok(Vec::new());
    }
    let need = if work.takes_hessian { Need::Hessian } else { Need::Gradient };
    let Evaluation { value, mut gradient, hessian, .. } = engine.move_to(work.point, need)?;
    let weight = engine.weight();
    for g in &mut gradient {
        *g *= weight;
    }
    let hessian = hessian.map(|mut hessian| {
        hessian.scale(weight);
        match work.columns {
            None => hessian,
            Some(columns) => hessian.restricted(&in_all_margins(columns, hessian.size(), engine.margins())),
        }
    });
    Ok(vec![CellSums { cell: 0, loss: weight * value, gradient, hessian }])
}

/// Rows as they are, in the device's coordinates.
#[derive(Clone, Debug)]
pub struct KeptRows {
    /// Their columns, x extended by 1, `[columns][rows]`.
    pub columns: Arc<FewRows>,
    /// Labels `[rows]`.
    pub labels: Vec<f64>,
    /// Row weights `[rows]`.
    pub weights: Vec<f64>,
    /// Offsets `[rows]`.
    pub offsets: Vec<f64>,
}

/// Vectors over all rows of the table, `[rows]` each; with several margins a row `[margins][rows]`.
#[derive(Clone, Debug, Default)]
pub struct RowTerms {
    /// Margins `z` at the point where the objective stands, offsets included.
    pub margins: Vec<f64>,
    /// Direction margins `u = X p` of the last line.
    pub direction_margins: Vec<f64>,
    /// Residuals `L - t` of the last evaluation, without the row weights; of rows of weight 0 nothing that means anything.
    pub residuals: Vec<f64>,
}

/// What the user asked for with `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A hardware GPU if there is one, else the CPU backend.
    Auto,
    /// Any adapter, a software one too; an error if there is none.
    Gpu,
    /// The CPU backend.
    Cpu,
    /// The adapter at this index of `gpu-logreg devices`.
    Index(usize),
    /// The first adapter whose name contains this, whatever the case.
    Name(String),
}

impl std::str::FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            "gpu" => Self::Gpu,
            "cpu" => Self::Cpu,
            "" => return Err("expected auto, gpu, cpu, an index or a part of a name".into()),
            _ => text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index),
        })
    }
}

/// The first adapter that can be used; if none can, the first one, which says why. The `others` are told by what they are.
fn first(adapters: impl Iterator<Item = gpu::Adapter>, others: &mut Vec<String>) -> Option<gpu::Adapter> {
    let mut adapters: Vec<gpu::Adapter> = adapters.collect();
    adapters.sort_by_key(|adapter| adapter.obstacle().is_some());
    let mut adapters = adapters.into_iter();
    let chosen = adapters.next();
    others.extend(adapters.map(|other| other.title()));
    chosen
}

/// A device that was chosen and is ready to take a table. Clones are the same device.
#[derive(Clone)]
pub enum Device {
    /// All cores, f64 arithmetic.
    Cpu,
    /// One adapter.
    Gpu(gpu::Gpu),
}

impl Device {
    /// Chooses and opens the device.
    pub fn open(selection: &Selection) -> Result<Self> {
        if *selection == Selection::Cpu {
            return Ok(Self::Cpu);
        }
        let adapters = gpu::adapters();
        let mut others = Vec::new();
        let chosen = match selection {
            Selection::Cpu => unreachable!("handled above"),
            Selection::Auto => match first(adapters.into_iter().filter(gpu::Adapter::is_hardware), &mut others) {
                Some(adapter) => adapter,
                None => return Ok(Self::Cpu),
            },
            Selection::Gpu => first(adapters.into_iter(), &mut others).ok_or_else(no_adapter)?,
            Selection::Index(index) => {
                let count = adapters.len();
                adapters.into_iter().nth(*index).ok_or_else(|| match count {
                    0 => no_adapter(),
                    _ => Error::device(
                        format!("there is no adapter {index}: {count} found, numbered from 0"),
                        "List them with `gpu-logreg devices`.",
                    ),
                })?
            }
            Selection::Name(name) => {
                let names: Vec<String> = adapters.iter().map(gpu::Adapter::name).collect();
                let wanted = name.to_lowercase();
                adapters.into_iter().find(|a| a.name().to_lowercase().contains(&wanted)).ok_or_else(|| {
                    if names.is_empty() {
                        no_adapter()
                    } else {
                        Error::device(
                            format!("no adapter's name contains `{name}`; found: {}", names.join(", ")),
                            "List them with `gpu-logreg devices`.",
                        )
                    }
                })?
            }
        };
        Ok(Self::Gpu(gpu::Gpu::open(&chosen)?.chosen_before(others)))
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu(_))
    }

    /// What the user is told about the device.
    pub fn describe(&self) -> String {
        match self {
            Self::Cpu => match rayon::current_num_threads() {
                1 => "CPU, 1 thread".into(),
                n => format!("CPU, {n} threads"),
            },
            Self::Gpu(gpu) => gpu.describe(),
        }
    }

    /// As [`Device::describe`], with what it was chosen before.
    pub fn describe_choice(&self) -> String {
        match self {
            Self::Gpu(gpu) => gpu.describe_choice(),
            Self::Cpu => self.describe(),
        }
    }

    /// The bias of the device's logistic functions, in standard errors of one row: `sqrt(n)` times this is the distance
    /// from the optimum that it alone can make. 0 for the CPU. Measured with the kernels that serve a table of this shape;
    /// a GPU on which the sums of a known pass by these are wrong is an error.
    pub fn bias(&self, shape: Shape) -> Result<f64> {
        let Self::Gpu(gpu) = self else { return Ok(0.0) };
        // Two classes are enough for a softmax: its functions are the same, and what they should be is known.
        let classes = shape.classes.map(|_| 2);
        let reserve = |shape: Shape| -> Result<Box<dyn Loading>> {
            Ok(Box::new(gpu.reserve_chunked(Shape { classes, ..shape }, usize::MAX, &Limits::default())?))
        };
        self_test(reserve)?;
        logistic_bias(reserve(Shape::plain(BIAS_ROWS, 1))?)
    }

    /// With tables on a GPU in chunks of at most so many bytes of features, for a benchmark; no result depends on it.
    #[must_use]
    pub fn in_chunks_of(self, bytes: usize) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Gpu(gpu) => Self::Gpu(gpu.with_large_chunks_of(bytes, bytes)),
        }
    }

    /// What each kernel takes by the clock of the GPU while `work` runs; nothing where there is none.
    pub fn profiled(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<gpu::KernelTime>> {
        match self {
            Self::Cpu => work().map(|()| Vec::new()),
            Self::Gpu(gpu) => gpu.profiled(work),
        }
    }

    /// Bytes a second: of reading from memory for the CPU, of reading and writing in a copy for a GPU.
    pub fn bandwidth(&self) -> Result<f64> {
        match self {
            Self::Cpu => Ok(cpu::read_bandwidth()),
            Self::Gpu(gpu) => gpu.copy_bandwidth(),
        }
    }

    /// Reserves room for a table within `limits`.
    pub fn reserve(&self, design: impl Into<Design>, limits: &Limits) -> Result<Box<dyn Loading>> {
        Ok(match self {
            Self::Cpu => Box::new(cpu::CpuTable::within(design, limits)?),
            Self::Gpu(gpu) => Box::new(gpu.reserve(design, limits)?),
        })
    }
}

fn no_adapter() -> Error {
    if cfg!(not(feature = "gpu")) {
        return Error::device(
            "this program was built without the part that runs on graphics cards",
            "Build it with the feature `gpu`. Or run on the CPU with ⟦device cpu⟧: the same answer.",
        );
    }
    Error::device(
        "no GPU adapter was found (Vulkan, Metal or DirectX 12)",
        "Install the driver of your graphics card; on Debian or Ubuntu the package mesa-vulkan-drivers also brings a \
         software adapter. Or run on the CPU with ⟦device cpu⟧: the same answer.",
    )
}

/// The sum of the row weights of a block, in f64 and in their order; NaN if one is negative. Blocks do not depend on
/// chunks and threads, and their sums are added in their order, so N has the same bits wherever its rows are kept.
fn weight_of_block(row_weights: &[f32]) -> f64 {
    row_weights.iter().map(|&w| if w >= 0.0 { f64::from(w) } else { f64::NAN }).sum()
}

/// N, if it is a number: else some row weight was none, or negative.
fn checked_weight(weight: f64) -> Result<f64> {
    if weight.is_finite() {
        return Ok(weight);
    }
    Err(Error::data(
        "a row weight is negative or no finite number",
        "Row weights are numbers from 0 on; correct that column upstream.",
    ))
}

/// What sums over rows are divided by for their means.
fn divisor(weight: f64) -> f64 {
    if weight > 0.0 { weight } else { 1.0 }
}

/// Rows of the grid on which the bias is measured.
const BIAS_ROWS: usize = 4_096;

/// A bias that no rounding makes: functions in f32 are some 1e-8 off.
const MOST_BIAS: f64 = 1e-4;

/// Mean error of the residual against f64 over margins that spread evenly over -8..8, in units of the standard error
/// of one row, `1 / sqrt(mean S)`. A fresh evaluation on the same device repeats this error, so no evaluation shows it.
pub fn logistic_bias(mut table: Box<dyn Loading>) -> Result<f64> {
    let margins: Vec<f32> = (0..BIAS_ROWS).map(|k| (k as f32 + 0.5) / 256.0 - 8.0).collect();
    let labels: Vec<f32> = (0..BIAS_ROWS).map(|k| f32::from(u8::from((k * 7) % 13 < 6))).collect();
    let store = table.as_store();
    store.write(Column::Feature(0), 0, &margins)?;
    store.write(Column::Label, 0, &labels)?;
    drop(store);
    let mut backend = table.finish()?;
    backend.move_to(&[1.0, 0.0], Need::Gradient)?;
    let found = backend.row_terms()?.residuals;
    let (mut error, mut curvature) = (0.0, 0.0);
    for ((z, t), found) in margins.iter().zip(&labels).zip(found) {
        let row = crate::logistic::terms(f64::from(*z), f64::from(*t));
        error += found - row.residual;
        curvature += row.curvature;
    }
    let n = BIAS_ROWS as f64;
    let bias = (error / n).abs() / (curvature / n).sqrt();
    if bias <= MOST_BIAS {
        return Ok(bias);
    }
    Err(Error::device(
        format!("probabilities on the device are off by {bias:.1e} standard errors of a row on average"),
        "Update the driver, choose another adapter or use ⟦device cpu⟧.",
    ))
}

/// Runs a pass whose sums are known in closed form and proves that the device gets them.
///
/// At weights 0 and intercept 0 every probability is 1/2, so the mean loss is ln 2 and the gradient of a
/// column is its mean of `x (1/2 - t)`. Columns are small integers, with a mean of their own each.
pub fn self_test(reserve: impl FnOnce(Shape) -> Result<Box<dyn Loading>>) -> Result<()> {
    const ROWS: usize = 5_003; // several blocks, the last one not full
    const FEATURES: usize = 5;
    let mut table = reserve(Shape::plain(ROWS, FEATURES))?;
    let store = table.as_store();
    let cell = |row: usize, feature: usize| ((row * (feature + 2)) % (feature + 7)) as f32;
    let label = |row: usize| f32::from(u8::from(row.is_multiple_of(3)));
    for feature in 0..FEATURES {
        let column: Vec<f32> = (0..ROWS).map(|row| cell(row, feature)).collect();
        store.write(Column::Feature(feature), 0, &column)?;
    }
    store.write(Column::Label, 0, &(0..ROWS).map(label).collect::<Vec<f32>>())?;
    drop(store);
    let found = table.finish()?.move_to(&[0.0; FEATURES + 1], Need::Gradient)?;
    let mut expected: Vec<f64> = (0..FEATURES)
        .map(|feature| {
            (0..ROWS).map(|row| f64::from(cell(row, feature) * (0.5 - label(row)))).sum::<f64>() / ROWS as f64
        })
        .collect();
    expected.push((0..ROWS).map(|row| f64::from(0.5 - label(row))).sum::<f64>() / ROWS as f64);
    let values = std::iter::once((found.value, std::f64::consts::LN_2)).chain(found.gradient.into_iter().zip(expected));
    for (index, (found, expected)) in values.enumerate() {
        let error = (found - expected).abs();
        if error.is_nan() || error > 1e-6 {
            return Err(Error::device(
                format!("sum {index} of a known pass is {found}, not {expected}"),
                "Update the driver, choose another adapter or use ⟦device cpu⟧.",
            ));
        }
    }
    Ok(())
}
