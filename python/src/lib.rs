//! `gpu_logreg._core`: what the Python package asks of the library. Its own Python is around it and gives it meaning; here are
//! tables out of what lies in Python's memory, runs that can be interrupted, and models.

mod columns;
mod error;
mod memory;
mod model;
mod run;
mod settings;
mod sparse;
mod table;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::columns::Columns;
    #[pymodule_export]
    use crate::model::{Model, Predictions};
    #[pymodule_export]
    use crate::run::{available_memory, devices, run_that_panics, train};
    #[pymodule_export]
    use crate::table::Table;

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
