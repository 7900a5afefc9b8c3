//! Tables as Python holds them.

use std::path::PathBuf;

use gpu_logreg::data::{Predicate, Rows};
use gpu_logreg::monitor::Silent;
use pyo3::prelude::*;

use crate::error::Words;
use crate::run::in_pool;

/// Rows of files, or of what lies in memory.
#[pyclass(frozen, module = "gpu_logreg._core")]
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) table: gpu_logreg::Table,
}

#[pymethods]
impl Table {
    /// The Parquet files, folders and patterns at some paths as one table.
    #[staticmethod]
    #[expect(clippy::needless_pass_by_value, reason = "paths are made for the call")]
    fn open(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Self> {
        let opened = py.detach(|| in_pool(None, || gpu_logreg::Table::open_all(&paths)));
        opened?.map(|table| Self { table }).map_err(|error| Words::default().exception(py, &error))
    }

    /// How many rows there are.
    #[getter]
    fn rows(&self) -> usize {
        self.table.rows
    }

    /// Names and kinds of the columns.
    #[getter]
    fn columns(&self) -> Vec<(String, &'static str)> {
        self.table.fields.iter().map(|field| (field.name.clone(), field.kind.name())).collect()
    }

    /// Only rows that meet a condition, then a part of them by chance, then so many of them at most.
    #[pyo3(signature = (condition, sample, limit, seed))]
    fn select(
        &self,
        py: Python<'_>,
        condition: Option<&str>,
        sample: Option<f64>,
        limit: Option<usize>,
        seed: u64,
    ) -> PyResult<Self> {
        let selected: gpu_logreg::Result<_> = py.detach(|| {
            let filter = condition.map(Predicate::parse).transpose()?;
            let rows = Rows { filter, sample, limit, split: None, seed };
            Ok(in_pool(None, || rows.select(&self.table, &Silent)))
        });
        let selected = selected.map_err(|error| Words::default().exception(py, &error))?;
        selected?
            .map(|selected| Self { table: selected.training })
            .map_err(|error| Words::default().exception(py, &error))
    }
}
