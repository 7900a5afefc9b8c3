//! `gpu-logreg devices`.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::watch::watch_driver;
use crate::cli::{Global, print};
use gpu_logreg::engine::gpu::{Adapter, Gpu, Survey, adapters};
use gpu_logreg::engine::storage::Limits;
use gpu_logreg::engine::{DEFAULT_TIMEOUT, TableBuilder, self_test, without_panic};
use gpu_logreg::error::{Error, Result};

#[derive(Args)]
pub(super) struct Devices {
    /// Run a pass with known sums on each adapter
    #[arg(long)]
    test: bool,
}

/// One adapter, as `--json` prints it.
#[derive(Serialize)]
struct Entry {
    index: usize,
    name: String,
    kind: &'static str,
    interface: &'static str,
    driver: String,
    software: bool,
    chunk_bytes: u64,
    workgroup_bytes: u32,
    shares_memory: bool,
    /// Bytes that a table takes at most by default, where the memory is the host's.
    budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compiler: Option<&'static str>,
    usable: bool,
    obstacle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<String>,
    /// Latencies, and the errors of the device's functions; with the test.
    #[serde(skip_serializing_if = "Option::is_none")]
    survey: Option<Survey>,
}

const PASSED: &str = "passed";

impl Entry {
    fn new(index: usize, adapter: &Adapter, test: bool) -> Self {
        let obstacle = adapter.obstacle();
        let tested = (test && obstacle.is_none()).then(|| test_of(adapter));
        let survey = tested.as_ref().and_then(|tested| tested.as_ref().ok()).copied();
        let test = tested.map(|tested| tested.map_or_else(|error| error.fact, |_| PASSED.to_owned()));
        Self {
            index,
            name: adapter.name(),
            kind: adapter.kind(),
            interface: adapter.interface(),
            driver: adapter.driver(),
            software: !adapter.is_hardware(),
            chunk_bytes: adapter.chunk_bytes(),
            workgroup_bytes: adapter.workgroup_bytes(),
            shares_memory: adapter.shares_memory(),
            budget: adapter.shares_memory().then(|| Limits::default().host_bytes()),
            compiler: adapter.compiler(),
            usable: obstacle.is_none(),
            obstacle,
            test,
            survey,
        }
    }

    fn text(&self) -> String {
        let mut text =
            format!("{}: {}\n   {}, {}, driver {}\n", self.index, self.name, self.kind, self.interface, self.driver);
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "   {line}").expect("writing to a string");
        line(format_args!(
            "columns are stored in pieces of up to {} MiB; {} KiB of workgroup memory",
            self.chunk_bytes >> 20,
            self.workgroup_bytes >> 10
        ));
        match self.budget {
            Some(budget) => line(format_args!(
                "memory: the host's; a table takes {} MiB of it at most, three quarters of what is available",
                budget >> 20
            )),
            None => line(format_args!(
                "memory: its own; a table takes as much as the driver gives (--gpu-memory limits it)"
            )),
        }
        if let Some(compiler) = self.compiler {
            line(format_args!("shaders are compiled by {compiler}"));
        }
        match (&self.obstacle, self.software) {
            (Some(obstacle), _) => line(format_args!("not usable: {obstacle}")),
            (None, true) => line(format_args!("usable; software, so it runs only when asked for (--device gpu)")),
            (None, false) => line(format_args!("usable")),
        }
        match self.test.as_deref() {
            None => {}
            Some(PASSED) => line(format_args!("test passed: the sums of a known pass are right")),
            Some(fact) => line(format_args!("test FAILED: {fact}")),
        }
        if let Some(Survey { latency, errors }) = self.survey {
            let [dispatch, copy, readback] =
                [latency.dispatch, latency.copy, latency.readback].map(|seconds| 1e6 * seconds);
            line(format_args!("a dispatch takes {dispatch:.0} us, a copy {copy:.0} us, a read-back {readback:.0} us"));
            line(format_args!(
                "errors in units of the last place: exp {:.1}, log {:.1}, division {:.1}",
                errors.exp, errors.log, errors.division
            ));
        }
        text
    }
}

pub(super) fn run(arguments: &Devices, global: &Global) -> Result<ExitCode> {
    watch_driver(DEFAULT_TIMEOUT, false);
    let entries: Vec<Entry> =
        adapters().iter().enumerate().map(|(index, adapter)| Entry::new(index, adapter, arguments.test)).collect();
    if global.json {
        print(&format!("{:#}\n", serde_json::json!({ "devices": entries })))?;
    } else if cfg!(not(feature = "gpu")) {
        print("this program was built without the part that runs on graphics cards; --device auto runs on the CPU\n")?;
    } else if entries.is_empty() {
        print(
            "no GPU adapter was found (Vulkan, Metal or DirectX 12); --device auto runs on the CPU\n  \
             help: install the driver of your graphics card; on Debian or Ubuntu the package mesa-vulkan-drivers also \
             brings a software adapter\n",
        )?;
    } else {
        print(&entries.iter().map(Entry::text).collect::<String>())?;
    }
    let failed: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.test.as_deref().is_some_and(|test| test != PASSED))
        .map(|entry| entry.name.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::device(
        format!("the test failed on {}", failed.join(", ")),
        "Update the driver, and do not use the adapter until the test passes.",
    ))
}

fn test_of(adapter: &Adapter) -> Result<Survey> {
    without_panic(|| {
        let gpu = Gpu::open(adapter)?;
        self_test(|shape| Ok(Box::new(gpu.reserve(shape, &Limits::default())?) as Box<dyn TableBuilder>))?;
        gpu.survey()
    })
}
