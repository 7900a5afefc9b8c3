//! In place of the GPU engine where the program is built without it: there are no adapters.

#[path = "gpu/figures.rs"]
mod figures;

use std::time::Duration;

use crate::data::Design;
use crate::engine::cpu::CpuTableBuilder;
use crate::engine::storage::Limits;
use crate::error::Result;

pub use figures::{FunctionErrors, KernelTime, Latency, Survey};

/// What there is none of.
#[derive(Clone, Copy, Debug)]
enum Never {}

/// A graphics adapter, of which there is none.
#[derive(Debug)]
pub struct Adapter(Never);

/// None.
pub fn adapters() -> Vec<Adapter> {
    Vec::new()
}

/// None: nobody calls a driver.
pub fn longest_call() -> Option<Duration> {
    None
}

/// A GPU that was opened, of which there is none.
#[derive(Clone, Debug)]
pub struct Gpu(Never);

/// What nobody can call, since nobody has such a value.
macro_rules! never {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(#[doc(hidden)]
        pub fn $name(&self $(, $argument: $type)*) -> $result {
            $(let _ = $argument;)*
            match self.0 {}
        })*
    };
}

impl Adapter {
    never! {
        name() -> String;
        title() -> String;
        is_hardware() -> bool;
        kind() -> &'static str;
        interface() -> &'static str;
        shares_memory() -> bool;
        compiler() -> Option<&'static str>;
        workgroup_bytes() -> u32;
        driver() -> String;
        chunk_bytes() -> u64;
        obstacle() -> Option<String>;
    }
}

impl Gpu {
    #[doc(hidden)]
    pub fn open(adapter: &Adapter) -> Result<Self> {
        match adapter.0 {}
    }

    #[doc(hidden)]
    #[must_use]
    pub fn chosen_before(self, _: Vec<String>) -> Self {
        self
    }

    #[doc(hidden)]
    pub fn profiled<E>(
        &self,
        _: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<KernelTime>, E> {
        match self.0 {}
    }

    #[doc(hidden)]
    pub fn reserve(&self, _: impl Into<Design>, _: &Limits) -> Result<CpuTableBuilder> {
        match self.0 {}
    }

    #[doc(hidden)]
    pub fn reserve_chunked(&self, _: impl Into<Design>, _: usize, _: &Limits) -> Result<CpuTableBuilder> {
        match self.0 {}
    }

    #[doc(hidden)]
    #[must_use]
    pub fn with_large_chunks_of(self, _: usize, _: usize) -> Self {
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub fn with_timeout(self, _: Duration) -> Self {
        self
    }

    never! {
        stop(stops: bool) -> ();
        give_up() -> ();
        describe() -> String;
        describe_choice() -> String;
        copy_bandwidth() -> Result<f64>;
        survey() -> Result<Survey>;
    }
}
