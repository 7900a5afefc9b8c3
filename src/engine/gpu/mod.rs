//! The GPU engine: adapters, the open device, and its errors. Only this folder knows wgpu.

mod buffers;
mod checksums;
mod chunks;
mod device_chunk;
mod dispatch;
mod driver;
mod engine;
pub mod fault;
mod figures;
mod fused;
pub mod kernels;
mod moments;
mod patience;
mod profile;
mod shared;
mod slots;
mod staged;
mod stamp;
mod survey;
mod table;
mod transfer;
mod upload;

use std::sync::{Arc, Mutex};

use crate::data::Design;
use crate::engine::device::DEFAULT_TIMEOUT;
use crate::engine::gpu::dispatch::SUBMISSION_PRODUCTS;
use crate::engine::gpu::driver::driver;
use crate::engine::gpu::fault::{Faults, Operation};
use crate::engine::gpu::kernels::Kernels;
use crate::engine::gpu::patience::{Held, Patience};
use crate::engine::gpu::profile::Profile;
use crate::engine::layout::Layout;
use crate::engine::storage::Limits;
use crate::error::{Error, Result};

pub use driver::longest_call;
pub use figures::{FunctionErrors, KernelTime, Latency, Survey};
pub use table::GpuTableBuilder;

/// A graphics adapter of this machine.
pub struct Adapter {
    adapter: wgpu::Adapter,
    info: wgpu::AdapterInfo,
}

/// The adapters of this machine, those first that are likely to be the fastest; of one kind in the order of the system.
pub fn adapters() -> Vec<Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let found = driver(|| {
        let instance = wgpu::Instance::new(descriptor);
        pollster::block_on(instance.enumerate_adapters(backends))
    });
    let mut adapters: Vec<Adapter> =
        found.into_iter().map(|adapter| Adapter { info: adapter.get_info(), adapter }).collect();
    adapters.sort_by_key(|adapter| rank(adapter.info.device_type));
    adapters
}

/// Cards of their own before those that share the host's memory, and software last: the system often lists an integrated
/// one first.
fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::VirtualGpu => 1,
        wgpu::DeviceType::Other => 2,
        wgpu::DeviceType::IntegratedGpu => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

impl Adapter {
    /// The name that the driver gives.
    pub fn name(&self) -> String {
        self.info.name.clone()
    }

    /// Its name, what it is, and how it is spoken to.
    pub fn title(&self) -> String {
        format!("{} ({}, {})", self.name(), self.kind(), self.interface())
    }

    /// Whether it is a piece of hardware and not a software adapter such as lavapipe or WARP.
    pub fn is_hardware(&self) -> bool {
        self.info.device_type != wgpu::DeviceType::Cpu
    }

    /// Discrete GPU, integrated GPU, software, ...
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete GPU",
            wgpu::DeviceType::IntegratedGpu => "integrated GPU",
            wgpu::DeviceType::VirtualGpu => "virtual GPU",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
    }

    /// The graphics interface: Vulkan, Metal or `DirectX` 12.
    pub fn interface(&self) -> &'static str {
        match self.info.backend {
            wgpu::Backend::Vulkan => "Vulkan",
            wgpu::Backend::Metal => "Metal",
            wgpu::Backend::Dx12 => "DirectX 12",
            _ => "other",
        }
    }

    /// Whether its memory is the host's: what it takes is taken from there, and a driver may promise more than there is.
    pub fn shares_memory(&self) -> bool {
        let is_shared = matches!(self.info.device_type, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu);
        is_shared || self.info.backend == wgpu::Backend::Metal
    }

    /// What compiles its shaders, where that is not the driver.
    pub fn compiler(&self) -> Option<&'static str> {
        (self.info.backend == wgpu::Backend::Dx12).then_some("FXC, or DXC if dxcompiler.dll is on the PATH")
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        self.adapter.limits().max_compute_workgroup_storage_size
    }

    /// The driver and its version.
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info).trim().to_owned()
    }

    /// Bytes that one chunk of features may have.
    pub fn chunk_bytes(&self) -> u64 {
        let limits = self.adapter.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Why this adapter cannot be used, if it cannot.
    pub fn obstacle(&self) -> Option<String> {
        let limits = self.adapter.limits();
        let needs: [(&str, u64, u64); 5] = [
            (
                "invocations of a workgroup",
                u64::from(kernels::GROUP),
                limits.max_compute_invocations_per_workgroup.into(),
            ),
            ("bytes of workgroup memory", kernels::WORKGROUP_BYTES, limits.max_compute_workgroup_storage_size.into()),
            (
                "storage buffers of a shader",
                kernels::STORAGE_BUFFERS,
                limits.max_storage_buffers_per_shader_stage.into(),
            ),
            ("workgroups of a dispatch", 65_535, limits.max_compute_workgroups_per_dimension.into()),
            ("bytes of a storage buffer", 128 << 20, self.chunk_bytes()),
        ];
        needs
            .into_iter()
            .find(|(_, need, has)| has < need)
            .map(|(what, need, has)| format!("{what}: {has}, needed {need}"))
    }
}

/// The error for a device of which something went wrong.
pub(super) fn failed(what: &str) -> Error {
    Error::device(
        format!("the GPU failed: {what}"),
        "Run again; if it stays, update the driver or use ⟦device cpu⟧: the same answer.",
    )
}

/// The first thing that went wrong on a device; the callbacks of wgpu write it, every call reads it.
#[derive(Clone, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn is_there(&self) -> bool {
        self.0.lock().expect("nothing panics while it holds this lock").is_some()
    }

    fn note(&self, what: String) {
        let mut first = self.0.lock().expect("nothing panics while it holds this lock");
        first.get_or_insert(what);
    }

    fn check(&self) -> Result<()> {
        match &*self.0.lock().expect("nothing panics while it holds this lock") {
            None => Ok(()),
            Some(what) => Err(failed(what)),
        }
    }
}

/// An adapter that was opened, with its pipelines.
#[derive(Clone)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    kernels: Arc<Kernels>,
    /// Dropped as the last of what keeps the device.
    #[expect(dead_code, reason = "it is there for what happens when it is dropped")]
    held: Arc<Held>,
    trouble: Trouble,
    patience: Patience,
    memory: Memory,
    faults: Faults,
    profile: Profile,
    description: String,
    /// What it was chosen before.
    others: Vec<String>,
    shares_memory: bool,
    chunk_bytes: usize,
    /// Bytes of a chunk of a table that stays on the device as a whole, where that may be more.
    large_chunk_bytes: Option<usize>,
    /// Multiplications and additions of products of columns in a submission at most.
    products: usize,
    /// Bytes of a chunk at most, where only a test says so.
    cut: usize,
}

/// Memory of the device, as far as it is known: only a test pretends that there is an end.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Option<u64>>>);

impl Memory {
    /// Takes `bytes`, if they are there.
    fn take(&self, bytes: u64) -> bool {
        let mut left = self.0.lock().expect("nothing panics while it holds this lock");
        match &mut *left {
            Some(left) if *left < bytes => false,
            Some(left) => {
                *left -= bytes;
                true
            }
            None => true,
        }
    }

    fn give_back(&self, bytes: u64) {
        if let Some(left) = &mut *self.0.lock().expect("nothing panics while it holds this lock") {
            *left += bytes;
        }
    }
}

/// A chunk takes at most this much: what every device can bind, and what may wait on the host.
const MAX_CHUNK_BYTES: u64 = 128 << 20;

/// A chunk that never visits may take this much where the device binds it: fewer dispatches for the host to describe, and
/// more workgroups in each.
const LARGE_CHUNK_BYTES: u64 = 1 << 30;

/// An error if rows lie in several cells: the kernels' sums are of all rows.
fn check_cells(design: &Design) -> Result<()> {
    match design.cells().len() {
        1 => Ok(()),
        cells => Err(Error::device(
            format!("the rows lie in {cells} cells, whose sums the GPU does not keep apart"),
            "Use ⟦device cpu⟧.",
        )),
    }
}

impl Gpu {
    /// Opens `adapter` with the shaders of this crate.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        Self::open_with(adapter, kernels::SOURCES)
    }

    /// As [`Gpu::open`], with other shader texts; the tests' negative controls edit them.
    pub fn open_with(adapter: &Adapter, sources: kernels::Sources<'_>) -> Result<Self> {
        if let Some(obstacle) = adapter.obstacle() {
            return Err(Error::device(
                format!("adapter {} cannot be used: {obstacle}", adapter.name()),
                "Choose another one (`gpu-logreg devices`) or ⟦device cpu⟧: the same answer.",
            ));
        }
        let description = adapter.title();
        let chunk_bytes = adapter.chunk_bytes().min(MAX_CHUNK_BYTES) as usize;
        // Memory that is the host's has neither so many processors to feed nor a gigabyte in one piece to spare.
        let large = adapter.chunk_bytes().min(LARGE_CHUNK_BYTES) as usize;
        let large_chunk_bytes = (large > chunk_bytes && !adapter.shares_memory()).then_some(large);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("logreg"),
            required_features: Profile::features(&adapter.adapter),
            required_limits: adapter.adapter.limits(),
            ..Default::default()
        };
        let opened = driver(|| pollster::block_on(adapter.adapter.request_device(&descriptor)));
        let (device, queue) = opened.map_err(|cause| {
            Error::device(
                format!("adapter {} could not be opened: {cause}", adapter.name()),
                "Update the driver, choose another adapter (`gpu-logreg devices`) or use ⟦device cpu⟧: the same answer.",
            )
        })?;
        let (trouble, patience) = (Trouble::default(), Patience::new(DEFAULT_TIMEOUT));
        let held = Arc::new(Held::new(&device, &queue, &trouble, &patience));
        let on_error = trouble.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| on_error.note(error.to_string())));
        let on_loss = trouble.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Dropping the device is how every run ends.
            if reason != wgpu::DeviceLostReason::Destroyed {
                on_loss.note(format!("the device was lost ({reason:?}): {message}"));
            }
        });
        let kernels = Arc::new(Kernels::new(&device, sources));
        let profile = Profile::new(&device);
        let gpu = Self {
            device,
            queue,
            kernels,
            held,
            trouble,
            patience,
            memory: Memory::default(),
            faults: Faults::default(),
            profile,
            description,
            others: Vec::new(),
            shares_memory: adapter.shares_memory(),
            chunk_bytes,
            large_chunk_bytes,
            products: SUBMISSION_PRODUCTS,
            cut: usize::MAX,
        };
        gpu.check()?;
        Ok(gpu)
    }

    /// What the user is told about the device.
    pub fn describe(&self) -> String {
        self.description.clone()
    }

    /// Chosen before `others`, which the user is told.
    #[must_use]
    pub fn chosen_before(self, others: Vec<String>) -> Self {
        Self { others, ..self }
    }

    /// As [`Gpu::describe`], with what it was chosen before.
    pub fn describe_choice(&self) -> String {
        if self.others.is_empty() {
            return self.description.clone();
        }
        format!("{}, chosen before {}", self.description, self.others.join(" and "))
    }

    /// As if the device had only `bytes` of memory; the tests' way to see it refuse.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: Memory(Arc::new(Mutex::new(Some(bytes)))), ..self }
    }

    /// With tables in chunks of at most `bytes` of features; the tests' way to cut a small one.
    #[must_use]
    pub fn with_chunks_of(self, bytes: usize) -> Self {
        Self { cut: bytes, large_chunk_bytes: None, ..self }
    }

    /// With chunks of at most `bytes` of features where a table stays on the device as a whole, and of `visiting` where it
    /// does not.
    #[must_use]
    pub fn with_large_chunks_of(self, bytes: usize, visiting: usize) -> Self {
        Self { cut: visiting, large_chunk_bytes: Some(bytes), ..self }
    }

    /// With so many multiplications and additions of products of columns in a submission at most; the tests' way to see a
    /// large one cut.
    #[must_use]
    pub fn with_products_of(self, products: usize) -> Self {
        Self { products, ..self }
    }

    /// As if the device left out what `faults` says; the tests' way to see a device that lies.
    #[must_use]
    pub fn with_faults(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Adds a copy of `bytes` from a place in a buffer to one in another.
    fn copy(
        &self,
        operation: Operation,
        encoder: &mut wgpu::CommandEncoder,
        (source, from): (&wgpu::Buffer, u64),
        (target, to): (&wgpu::Buffer, u64),
        bytes: u64,
    ) {
        if !self.faults.leave_out(operation) {
            encoder.copy_buffer_to_buffer(source, from, target, to, bytes);
        }
    }

    /// For commands that go to the device together.
    fn encoder(&self) -> wgpu::CommandEncoder {
        driver(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("logreg") }))
    }

    /// Writes to a small buffer from its start on, before what is submitted next.
    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        if !self.faults.leave_out(Operation::Write) {
            driver(|| self.queue.write_buffer(buffer, 0, bytes));
        }
    }

    /// Reserves room for a table within `limits`: on the device as far as it goes, the rest on the host.
    pub fn reserve(&self, design: impl Into<Design>, limits: &Limits) -> Result<GpuTableBuilder> {
        let design = design.into();
        check_cells(&design)?;
        if let (Some(bytes), None) = (self.large_chunk_bytes, limits.device)
            && let Some(table) = self.reserve_whole(&design, bytes)?
        {
            return Ok(table);
        }
        // Where the table does not fit, the two chunks that visit in turn should be a small part of the device.
        let most = limits.device.or_else(|| self.shares_memory.then(|| Limits::default().host_bytes()));
        let share = most.map_or(self.chunk_bytes, |most| (most / 16).max(1 << 20) as usize);
        self.reserve_chunked(design, share.min(self.cut), limits)
    }

    /// Room for the whole table on the device in chunks of at most `chunk_bytes`; `None` where there is none.
    fn reserve_whole(&self, design: &Design, chunk_bytes: usize) -> Result<Option<GpuTableBuilder>> {
        let shape = design.shape;
        let limits = self.device.limits();
        let bound = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) as usize;
        // The row state of a chunk comes to the host in one piece.
        let chunk_bytes = chunk_bytes.min(bound).min(self.chunk_bytes / shape.margins() * shape.columns);
        self.kernels.prepare(&self.device, shape);
        self.check()?;
        GpuTableBuilder::whole(self, Layout::new(shape, chunk_bytes), design)
    }

    /// As [`Gpu::reserve`], in chunks of at most `chunk_bytes`; no result depends on it.
    pub fn reserve_chunked(
        &self,
        design: impl Into<Design>,
        chunk_bytes: usize,
        limits: &Limits,
    ) -> Result<GpuTableBuilder> {
        let design = design.into();
        check_cells(&design)?;
        let shape = design.shape;
        // A host chunk has the other columns and three numbers a row and margin beside the features, and goes through one
        // buffer.
        let of_row = shape.columns + shape.columns_beside() + 1 + 3 * shape.margins();
        let chunk_bytes = chunk_bytes.min(self.chunk_bytes / of_row * shape.columns.max(shape.margins()));
        self.kernels.prepare(&self.device, shape);
        self.check()?;
        GpuTableBuilder::new(self, Layout::new(shape, chunk_bytes), &design, limits)
    }

    /// Drops the last `count` chunks and waits until their memory is free.
    fn give_back(&self, chunks: &mut Vec<device_chunk::DeviceChunk>, count: usize) -> Result<()> {
        for chunk in chunks.drain(chunks.len() - count..) {
            self.memory.give_back(chunk.bytes());
        }
        self.wait()
    }

    /// Bytes a second that copies on the device read and write.
    pub fn copy_bandwidth(&self) -> Result<f64> {
        const COPIES: usize = 8;
        let bytes = self.chunk_bytes;
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let source = buffers::buffer(self, "source", bytes, usage)?;
        let target = buffers::buffer(self, "target", bytes, usage)?;
        let mut seconds = Vec::new();
        for _ in 0..5 {
            let mut encoder = self.encoder();
            for _ in 0..COPIES {
                encoder.copy_buffer_to_buffer(&source, 0, &target, 0, bytes as u64);
            }
            let begin = std::time::Instant::now();
            self.submit(Some(encoder));
            self.wait()?;
            seconds.push(begin.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        Ok((2 * COPIES * bytes) as f64 / seconds[2])
    }
}
