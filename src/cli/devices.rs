//! `gpu-logreg devices`.

use std::process::ExitCode;

use clap::Args;

use crate::backend::gpu::{Adapter, Gpu, adapters};
use crate::backend::{Loading, self_test};
use crate::cli::{Global, print};
use crate::error::{Error, Result};

#[derive(Args)]
pub(super) struct Devices {
    /// Run a pass with known sums on each adapter
    #[arg(long)]
    test: bool,
}

pub(super) fn run(arguments: &Devices, global: &Global) -> Result<ExitCode> {
    let adapters = adapters();
    let mut failed = Vec::new();
    let mut documents = Vec::new();
    let mut text = String::new();
    if adapters.is_empty() {
        text += "no GPU adapter was found (Vulkan, Metal or DirectX 12); `--device auto` runs on the CPU\n";
        text += "  help: install the driver of your graphics card; on Debian or Ubuntu the package mesa-vulkan-drivers\n";
        text += "        also brings a software adapter\n";
    }
    for (index, adapter) in adapters.into_iter().enumerate() {
        let name = adapter.name();
        let obstacle = adapter.obstacle();
        let mut document = serde_json::json!({
            "index": index, "name": name, "kind": adapter.kind(), "interface": adapter.interface(),
            "driver": adapter.driver(), "chunk_bytes": adapter.chunk_bytes(), "usable": obstacle.is_none(), "obstacle": obstacle,
        });
        text += &format!("{index}: {name}\n");
        text += &format!("   {}, {}, driver {}\n", adapter.kind(), adapter.interface(), adapter.driver());
        text += &format!("   columns are stored in pieces of up to {} MiB\n", adapter.chunk_bytes() >> 20);
        text += &match &obstacle {
            Some(obstacle) => format!("   not usable: {obstacle}\n"),
            None if adapter.is_hardware() => "   usable\n".to_owned(),
            None => "   usable; software, so it runs only when asked for (--device gpu)\n".to_owned(),
        };
        if arguments.test && obstacle.is_none() {
            let result = test(adapter);
            text += &match &result {
                Ok(()) => "   test passed: the sums of a known pass are right\n".to_owned(),
                Err(error) => format!("   test FAILED: {}\n", error.fact),
            };
            document["test"] = match &result {
                Ok(()) => "passed".into(),
                Err(error) => error.fact.clone().into(),
            };
            if result.is_err() {
                failed.push(name);
            }
        }
        documents.push(document);
    }
    if global.json {
        print(&format!("{:#}\n", serde_json::json!({ "devices": documents })))?;
    } else {
        print(&text)?;
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::device(format!("wrong sums on {}", failed.join(", ")), "Update the driver, and do not use the adapter until the test passes."))
}

fn test(adapter: Adapter) -> Result<()> {
    let gpu = Gpu::open(adapter)?;
    self_test(|rows, features| Ok(Box::new(gpu.reserve(rows, features)?) as Box<dyn Loading>))
}
