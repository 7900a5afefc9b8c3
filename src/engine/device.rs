//! Which device a run takes, and whether that can be trusted: passes whose sums are known.

use std::time::Duration;

use crate::data::{Column, Design, Shape};
use crate::engine::storage::Limits;
use crate::engine::{TableBuilder, cpu, gpu};
use crate::error::{Error, Result};
use crate::objective::Need;
use crate::panics::catch_graphics;

/// How long a GPU may take for a piece of work, of 50 ms as a rule, before it counts as hanging.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// What the user asked for with `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// A hardware GPU if there is one, else the CPU engine.
    Auto,
    /// Any adapter, a software one too; an error if there is none.
    Gpu,
    /// The CPU engine.
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
        without_panic(|| Ok(Self::Gpu(gpu::Gpu::open(&chosen)?.chosen_before(others))))
    }

    /// With another time that a GPU may take for a piece of work, of 50 ms as a rule, before it counts as hanging
    /// ([`DEFAULT_TIMEOUT`]).
    #[must_use]
    pub fn with_timeout(self, most: Duration) -> Self {
        match self {
            Self::Cpu => Self::Cpu,
            Self::Gpu(gpu) => Self::Gpu(gpu.with_timeout(most)),
        }
    }

    /// Whether all waits for a GPU end, with an error of kind `Interrupted`.
    pub fn stop(&self, stops: bool) {
        if let Self::Gpu(gpu) = self {
            gpu.stop(stops);
        }
    }

    /// A GPU that failed is of no use any more, and nothing of it is waited for when it is dropped.
    pub fn give_up(&self) {
        if let Self::Gpu(gpu) = self {
            gpu.give_up();
        }
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
        let reserve = |shape: Shape| -> Result<Box<dyn TableBuilder>> {
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
    pub fn reserve(&self, design: impl Into<Design>, limits: &Limits) -> Result<Box<dyn TableBuilder>> {
        Ok(match self {
            Self::Cpu => Box::new(cpu::CpuTableBuilder::within(design, limits)?),
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

/// Rows of the grid on which the bias is measured.
const BIAS_ROWS: usize = 4_096;

/// A bias that no rounding makes: functions in f32 are some 1e-8 off.
const MOST_BIAS: f64 = 1e-4;

/// Mean error of the residual against f64 over margins that spread evenly over -8..8, in units of the standard error
/// of one row, `1 / sqrt(mean S)`. A fresh evaluation on the same device repeats this error, so no evaluation shows it.
pub fn logistic_bias(mut table: Box<dyn TableBuilder>) -> Result<f64> {
    let margins: Vec<f32> = (0..BIAS_ROWS).map(|k| (k as f32 + 0.5) / 256.0 - 8.0).collect();
    let labels: Vec<f32> = (0..BIAS_ROWS).map(|k| f32::from(u8::from((k * 7) % 13 < 6))).collect();
    let store = table.as_store();
    store.write(Column::Feature(0), 0, &margins)?;
    store.write(Column::Label, 0, &labels)?;
    drop(store);
    let mut engine = table.finish()?;
    engine.move_to(&[1.0, 0.0], Need::Gradient)?;
    let found = engine.row_terms()?.residuals;
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

/// Does `work` with a device. A panic of the graphics interface is an error of the device.
pub fn without_panic<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_graphics(work).unwrap_or_else(|panic| {
        Err(if panic.is_of_graphics() {
            Error::device(
                format!("the GPU failed: {}", panic.message),
                "Run again; if it stays, update the driver or use ⟦device cpu⟧: the same answer.",
            )
        } else {
            Error::internal(format!("panicked at {}: {}", panic.place, panic.message))
        })
    })
}

/// Runs a pass whose sums are known in closed form and proves that the device gets them.
///
/// At weights 0 and intercept 0 every probability is 1/2, so the mean loss is ln 2 and the gradient of a
/// column is its mean of `x (1/2 - t)`. Columns are small integers, with a mean of their own each.
pub fn self_test(reserve: impl FnOnce(Shape) -> Result<Box<dyn TableBuilder>>) -> Result<()> {
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
