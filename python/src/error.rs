//! Errors as Python's exceptions, their settings by the names of Python's arguments.

use std::collections::HashMap;

use gpu_logreg::error::{Error, Kind};
use gpu_logreg::wording::{Setting, with_settings};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// What settings are called by whoever reads a message, where it is not their own name: `l2` is `C` to scikit-learn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(pub(crate) HashMap<String, String>);

impl Words {
    /// A message of the library as the user of Python reads it.
    pub(crate) fn show(&self, message: &str) -> String {
        with_settings(message, |Setting { name, value, is_proposed }| {
            if *name == "no-intercept" {
                return "`fit_intercept=False`".into();
            }
            if let Some(word) = self.0.get(*name) {
                return format!("`{word}`");
            }
            let name = name.replace('-', "_");
            match value {
                None => format!("`{name}`"),
                Some(value) if *is_proposed || !is_literal(value) => format!("`{name}={value:?}`"),
                Some(value) => format!("`{name}={value}`"),
            }
        })
    }

    /// The exception that an error becomes.
    pub(crate) fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let class = match error.kind {
            Kind::Interrupted => return PyKeyboardInterrupt::new_err(()),
            Kind::Usage => "UsageError",
            Kind::Data => "DataError",
            Kind::Device => "DeviceError",
            Kind::Output => "OutputError",
            Kind::Internal => "InternalError",
        };
        let way_out = if error.way_out.is_empty() { String::new() } else { format!("\n{}", error.way_out) };
        exception(py, class, &self.show(&format!("{}{way_out}", error.fact)))
    }
}

/// Whether Python reads a value as it stands.
fn is_literal(value: &str) -> bool {
    value.parse::<f64>().is_ok() || matches!(value, "True" | "False" | "None")
}

/// An exception of one of the package's classes.
pub(crate) fn exception(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made = || PyErr::from_value(py.import("gpu_logreg._errors")?.getattr(class)?.call1((message,))?).into_ok();
    made().unwrap_or_else(|error| error)
}

/// An exception as the result of what makes it.
trait IntoOk: Sized {
    fn into_ok(self) -> PyResult<Self> {
        Ok(self)
    }
}

impl IntoOk for PyErr {}
