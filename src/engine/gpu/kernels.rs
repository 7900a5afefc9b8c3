//! The compute pipelines: shader texts, bindings and the description of a pass.
//!
//! `tests/shaders.rs` parses the assembled texts and proves that the constants, the binding order and
//! [`Pass`] here are those of the shaders.

use std::sync::OnceLock;

use crate::data::{Column, Shape};
use crate::engine::gpu::driver::driver;
use crate::engine::layout;

/// Invocations of a workgroup.
pub const GROUP: u32 = 256;
/// Bytes of workgroup memory of the largest kernel: the tree's scratch and the residuals of a tile.
pub const WORKGROUP_BYTES: u64 = 2 * 16 * GROUP as u64;
/// Storage buffers of the largest kernel: as many as every WebGPU device has.
pub const STORAGE_BUFFERS: u64 = 8;
/// Steps that one probe takes.
pub const PROBES: usize = 4;
/// Columns on the left of the Hessian's product beside the features: S, residual, loss.
pub const LEFT_EXTRA: usize = 3;
/// Columns of a piece of the Hessian.
pub const EDGE: usize = 32;
/// Rows that an accumulator runs over.
pub const PART: usize = layout::PART;
/// Levels of the Hessian's tree over parts.
pub const LEVELS: u32 = 8;
/// Classes of a piece of the class sums, and margins that an invocation makes at a time.
pub const EIGHT: usize = 8;
/// Entries of an evaluation's slot before the gradient: loss, slope, curvature, sum of residuals.
pub const SLOT_HEAD: usize = 4;

const _: () = assert!(layout::MAX_BLOCK_ROWS <= PART << (LEVELS - 1), "the tree over parts has room for a block");
const _: () = assert!(layout::TILE == 4 * GROUP as usize, "a group handles four rows for each invocation");

/// What one dispatch over one chunk needs to know; the struct `Pass` of the prelude.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Pass {
    /// Rows of the chunk that hold data.
    pub rows: u32,
    /// Vec4s from one column of the chunk to the next.
    pub stride: u32,
    /// Columns.
    pub features: u32,
    /// Rows of a block.
    pub block_rows: u32,
    /// 1: compute direction margins; 0: there is no direction.
    pub reads_direction: u32,
    /// The direction's intercept.
    pub intercept: f32,
    /// Block that the first workgroup takes.
    pub first_block: u32,
    /// Which [`Product`] is made.
    pub product: u32,
    /// Margins of a row.
    pub margins: u32,
    /// Rows of a Hessian block, for the kernels that sum the columns of each class.
    pub hessian_rows: u32,
    /// Pair of margins that the first workgroup takes.
    pub first_pair: u32,
    /// Steps to probe; of a softmax 0 is to evaluate at the first.
    pub probes: u32,
    /// Of this dispatch, which no other has.
    pub stamp: u32,
    /// Vec4s of margins, direction margins or residuals before their stamp.
    pub state: u32,
    /// Elements of the parameters before their stamp.
    pub inputs: u32,
    /// Elements of the factors, or of the centres, before their stamp.
    pub others: u32,
    /// Piece that the first workgroup takes.
    pub first_piece: u32,
    /// Nothing: the steps begin at a multiple of 16 bytes.
    pub unused: [u32; 3],
    /// Steps to probe; an evaluation uses the first.
    pub steps: [f32; PROBES],
}

/// What is made of the products of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `X'SX` with gradient and loss.
    Hessian = 0,
    /// `X'R^2X`, the scatter of the rows' gradients.
    Scatter = 1,
    /// The diagonal of the Hessian and the row of the intercept: of two classes the pieces of `X'SX` that have them; of a
    /// softmax the sums of `x` and `x^2`, times `p (1 - p)` of each margin.
    Border = 2,
    /// The scatter of the rows of each class about its centre; of class sums those of `x` about that centre.
    Within = 3,
    /// Of class sums those of `x` itself.
    Classes = 4,
}

/// The kernels, each one shader file with one entry point `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Margins afresh.
    Margin,
    /// Loss, slope, curvature and gradient.
    Evaluate,
    /// Loss, slope and curvature at several steps, from cached margins.
    Probe,
    /// Margins move to an accepted step.
    Advance,
    /// Hessian, gradient and loss, from cached margins.
    Hessian,
    /// Direction margins of a softmax, or the low halves of its margins.
    SoftmaxMargin,
    /// Loss, slope and curvature of a softmax, and the residuals or `p (1 - p)`, from cached margins.
    SoftmaxTerms,
    /// What the products of columns of a softmax have for each row.
    SoftmaxFactor,
    /// Sums of the columns for each class.
    ClassSums,
    /// Weighted Gram matrices of the columns.
    Gram,
    /// Sums of the bits of the columns.
    Checksum,
    /// Exponentials, logarithms and quotients, to be held against the host's.
    Functions,
}

impl Kernel {
    /// All kernels, in the order of [`Sources`].
    pub const ALL: [Self; KERNELS] = [
        Self::Margin,
        Self::Evaluate,
        Self::Probe,
        Self::Advance,
        Self::Hessian,
        Self::SoftmaxMargin,
        Self::SoftmaxTerms,
        Self::SoftmaxFactor,
        Self::ClassSums,
        Self::Gram,
        Self::Checksum,
        Self::Functions,
    ];

    /// The name of the shader file, the CPU function, the label and the benchmark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Margin => "margin",
            Self::Evaluate => "evaluate",
            Self::Probe => "probe",
            Self::Advance => "advance",
            Self::Hessian => "hessian",
            Self::SoftmaxMargin => "softmax_margin",
            Self::SoftmaxTerms => "softmax_terms",
            Self::SoftmaxFactor => "softmax_factor",
            Self::ClassSums => "class_sums",
            Self::Gram => "gram",
            Self::Checksum => "checksum",
            Self::Functions => "functions",
        }
    }

    /// The bindings in their order, by the names that the shader uses.
    pub fn bindings(self) -> &'static [Binding] {
        use Binding::{Pass, Read, Write};
        match self {
            Self::Margin => &[Pass, Read("features"), Read("parameters"), Read("offsets"), Write("margins")],
            Self::Evaluate => &[
                Pass,
                Read("features"),
                Read("labels"),
                Read("row_weights"),
                Read("parameters"),
                Read("margins"),
                Write("direction_margins"),
                Write("residuals"),
                Write("slots"),
            ],
            Self::Probe => {
                &[Pass, Read("labels"), Read("row_weights"), Read("margins"), Read("direction_margins"), Write("slots")]
            }
            Self::Advance => &[Pass, Read("direction_margins"), Write("margins")],
            Self::Hessian => &[
                Pass,
                Read("features"),
                Read("labels"),
                Read("row_weights"),
                Read("parameters"),
                Read("margins"),
                Write("residuals"),
                Write("pieces"),
            ],
            Self::SoftmaxMargin => &[
                Pass,
                Read("features"),
                Read("parameters"),
                Read("sources"),
                Read("offsets"),
                Write("direction_margins"),
            ],
            Self::SoftmaxTerms => &[
                Pass,
                Read("labels"),
                Read("row_weights"),
                Read("margins"),
                Read("direction_margins"),
                Write("residuals"),
                Write("slots"),
            ],
            Self::SoftmaxFactor => &[Pass, Read("row_weights"), Read("margins"), Read("residuals"), Write("factors")],
            Self::ClassSums => &[
                Pass,
                Read("features"),
                Read("labels"),
                Read("row_weights"),
                Read("sources"),
                Read("residuals"),
                Read("centres"),
                Write("class_slots"),
            ],
            Self::Gram => &[
                Pass,
                Read("features"),
                Read("labels"),
                Read("row_weights"),
                Read("sources"),
                Read("factors"),
                Read("centres"),
                Write("pieces"),
            ],
            Self::Checksum => &[Pass, Read("columns"), Write("checksums")],
            Self::Functions => &[Pass, Read("arguments"), Write("values")],
        }
    }

    /// Whether every pass over a table of that shape may need the kernel. Those that only the moments of the classes
    /// need are made when these are, that of the checksums with the table, and that of the functions when somebody asks.
    pub fn serves(self, shape: Shape) -> bool {
        match self {
            Self::Margin | Self::Evaluate | Self::Probe | Self::Hessian => shape.classes.is_none(),
            Self::Advance => true,
            Self::SoftmaxMargin | Self::SoftmaxTerms | Self::SoftmaxFactor | Self::ClassSums | Self::Gram => {
                shape.classes.is_some()
            }
            Self::Checksum | Self::Functions => false,
        }
    }

    /// The column that the kernel reads if the table has it, and the constant of the pipeline that says so.
    pub fn optional_column(self) -> Option<(Column, &'static str)> {
        match self {
            Self::Margin | Self::SoftmaxMargin => Some((Column::Offset(0), "HAS_OFFSETS")),
            Self::Evaluate
            | Self::Probe
            | Self::Hessian
            | Self::SoftmaxTerms
            | Self::SoftmaxFactor
            | Self::ClassSums
            | Self::Gram => Some((Column::Weight, "HAS_ROW_WEIGHTS")),
            Self::Advance | Self::Checksum | Self::Functions => None,
        }
    }

    /// Whether the kernel reads features, and so must know whether some are levels of categories.
    pub fn reads_features(self) -> bool {
        self.bindings().contains(&Binding::Read("features"))
    }

    /// Which constants of its pipeline are true for a table.
    fn constants(self, shape: Shape) -> [Option<&'static str>; 2] {
        let optional = self.optional_column().filter(|(column, _)| shape.has(*column)).map(|(_, constant)| constant);
        [optional, (self.reads_features() && shape.has_levels()).then_some(HAS_LEVELS)]
    }
}

/// The constant of the pipeline that says whether features are made of other columns than those of their own number.
pub const HAS_LEVELS: &str = "HAS_LEVELS";

/// One binding of a kernel; its index is its place in [`Kernel::bindings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The uniform [`Pass`].
    Pass,
    /// A storage buffer that the kernel reads.
    Read(&'static str),
    /// A storage buffer that the kernel writes.
    Write(&'static str),
}

/// How many kernels there are.
const KERNELS: usize = 12;

/// Shader texts, prelude included, in the order of [`Kernel::ALL`].
pub type Sources<'a> = [&'a str; KERNELS];

/// A shader text: the prelude, and the parts that it is made of.
macro_rules! shader {
    ($($part:literal),+) => {
        concat!(
            include_str!("../../../shaders/prelude.wgsl"),
            $(include_str!(concat!("../../../shaders/", $part, ".wgsl"))),+
        )
    };
}

/// The shader texts of this crate.
pub const SOURCES: Sources<'static> = [
    shader!("margin"),
    shader!("evaluate"),
    shader!("probe"),
    shader!("advance"),
    shader!("product", "hessian"),
    shader!("softmax_margin"),
    shader!("softmax_terms"),
    shader!("softmax_factor"),
    shader!("class_sums"),
    shader!("product", "gram"),
    shader!("checksum"),
    shader!("functions"),
];

/// A kernel on a device.
pub(super) struct Program {
    kernel: Kernel,
    module: wgpu::ShaderModule,
    layout: wgpu::PipelineLayout,
    pub(super) bindings: wgpu::BindGroupLayout,
    pub(super) label: String,
    /// For each choice of [`Kernel::constants`]; made when the first table comes that needs it.
    pipelines: [OnceLock<wgpu::ComputePipeline>; 4],
}

impl Program {
    /// The pipeline for a table.
    pub(super) fn pipeline(&self, device: &wgpu::Device, shape: Shape) -> &wgpu::ComputePipeline {
        let chosen = self.kernel.constants(shape);
        let index = usize::from(chosen[0].is_some()) + 2 * usize::from(chosen[1].is_some());
        let constants: Vec<(&str, f64)> = chosen.into_iter().flatten().map(|constant| (constant, 1.0)).collect();
        self.pipelines[index]
            .get_or_init(|| driver(|| pipeline(device, &self.label, &self.layout, &self.module, &constants)))
    }
}

/// All kernels of a device.
pub(super) struct Kernels {
    sources: [String; KERNELS],
    /// Made when the first table comes that needs them.
    programs: [OnceLock<Program>; KERNELS],
}

impl Kernels {
    pub(super) fn new(device: &wgpu::Device, sources: Sources<'_>) -> Self {
        let programs = std::array::from_fn(|_| OnceLock::new());
        let kernels = Self { sources: sources.map(str::to_owned), programs };
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.serves(Shape::plain(1, 1))) {
            kernels.get(device, kernel);
        }
        kernels
    }

    pub(super) fn get(&self, device: &wgpu::Device, kernel: Kernel) -> &Program {
        let index = kernel as usize;
        self.programs[index].get_or_init(|| driver(|| compile(device, kernel, &self.sources[index])))
    }

    /// Makes the pipelines that a table needs, where they are not made yet.
    pub(super) fn prepare(&self, device: &wgpu::Device, shape: Shape) {
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.serves(shape)) {
            self.get(device, kernel).pipeline(device, shape);
        }
    }
}

fn pipeline(
    device: &wgpu::Device,
    label: &str,
    layout: &wgpu::PipelineLayout,
    module: &wgpu::ShaderModule,
    constants: &[(&str, f64)],
) -> wgpu::ComputePipeline {
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(layout),
        module,
        entry_point: Some("main"),
        // Every kernel writes what it reads of workgroup memory, as `tests/shaders.rs` proves. Clearing it before would be a
        // loop of one invocation on many devices, and hundreds of stores that a compiler of HLSL takes minutes for.
        compilation_options: wgpu::PipelineCompilationOptions { constants, zero_initialize_workgroup_memory: false },
        cache: None,
    })
}

fn compile(device: &wgpu::Device, kernel: Kernel, source: &str) -> Program {
    let label = format!("logreg.{}", kernel.name());
    let entries: Vec<wgpu::BindGroupLayoutEntry> = kernel
        .bindings()
        .iter()
        .zip(0..)
        .map(|(binding, index)| wgpu::BindGroupLayoutEntry {
            binding: index,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match binding {
                    Binding::Pass => wgpu::BufferBindingType::Uniform,
                    Binding::Read(_) => wgpu::BufferBindingType::Storage { read_only: true },
                    Binding::Write(_) => wgpu::BufferBindingType::Storage { read_only: false },
                },
                has_dynamic_offset: *binding == Binding::Pass,
                min_binding_size: std::num::NonZeroU64::new(match binding {
                    Binding::Pass => size_of::<Pass>() as u64,
                    Binding::Read(_) | Binding::Write(_) => 16,
                }),
            },
            count: None,
        })
        .collect();
    let bindings =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(&label),
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(&label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipelines = std::array::from_fn(|_| OnceLock::new());
    Program { kernel, module, layout, bindings, label, pipelines }
}
