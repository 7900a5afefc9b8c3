//! What is measured of a device.

use serde::Serialize;

/// What the dispatches of a kernel took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelTime {
    /// The name of the kernel.
    pub kernel: &'static str,
    /// How many dispatches there were.
    pub dispatches: usize,
    /// From the begin to the end of each, added up. Those of one submission may overlap.
    pub seconds: f64,
}

/// Seconds until the host knows that the device is done, medians of [`Survey::RUNS`].
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// A dispatch of one workgroup.
    pub dispatch: f64,
    /// A copy of 4 KiB on the device.
    pub copy: f64,
    /// A copy of 4 KiB to the host, mapped there.
    pub readback: f64,
}

/// The largest errors of the device's functions, in units of the last place of an f32.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FunctionErrors {
    /// Of `exp(x)`, x from -87 to 0, as parts of the `3 + 2 |x|` units that Vulkan allows.
    pub exp_of_allowed: f64,
    /// The same in units.
    pub exp: f64,
    /// Of `log(x)`, x from 2 to 2^24.
    pub log: f64,
    /// Of quotients of numbers from 2^-20 to 2^20.
    pub division: f64,
}

/// Both.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Survey {
    /// How long it takes to answer.
    pub latency: Latency,
    /// How exact its functions are.
    pub errors: FunctionErrors,
}

impl Survey {
    /// Repetitions of each latency.
    pub const RUNS: usize = 100;
}
