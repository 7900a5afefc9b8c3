//! Models as Python holds them.

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchIterator};
use arrow::datatypes::Float64Type;
use gpu_logreg::metrics::{Accumulator, Decision, Limit};
use gpu_logreg::monitor::Monitor;
use gpu_logreg::report::html::{Page, Quality, RowsFrom, Step};
use gpu_logreg::report::{metrics as metrics_text, table as table_text};
use gpu_logreg::score::{Counts, Evaluation, decision, evaluate};
use gpu_logreg::{Output, Result};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::Words;
use crate::memory;
use crate::run::watched;
use crate::table::Table;

/// A fitted model, and the way to it if it was fitted here.
#[pyclass(frozen, module = "gpu_logreg._core")]
pub(crate) struct Model {
    fitted: gpu_logreg::Model,
    steps: Vec<Step>,
    plan: Option<String>,
}

impl Model {
    pub(crate) fn new(model: gpu_logreg::Model, steps: Vec<Step>, plan: String) -> Self {
        Self { fitted: model, steps, plan: Some(plan) }
    }
}

/// Predictions of rows with other columns of theirs: a stream of Arrow for whoever asks.
#[pyclass(frozen, module = "gpu_logreg._core")]
pub(crate) struct Predictions {
    batches: Vec<RecordBatch>,
}

#[pymethods]
impl Predictions {
    /// The stream, by the Arrow `PyCapsule` interface.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Whoever asks for other types casts them: the interface leaves that open.
        let _ = requested_schema;
        let schema = self.batches[0].schema();
        memory::capsule(py, Box::new(RecordBatchIterator::new(self.batches.clone().into_iter().map(Ok), schema)))
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What is predicted, by its name.
fn output(name: &str) -> PyResult<Output> {
    match name {
        "probability" => Ok(Output::Probability),
        "margin" => Ok(Output::Margin),
        "label" => Ok(Output::Label(0.5)),
        _ => Err(PyValueError::new_err(format!("{name:?} is no output: say \"probability\", \"margin\" or \"label\""))),
    }
}

#[pymethods]
impl Model {
    /// The model in the text of its file.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        let fitted = gpu_logreg::Model::from_json(text).map_err(|error| Words::default().exception(py, &error))?;
        Ok(Self { fitted, steps: Vec::new(), plan: None })
    }

    /// The text of its file.
    fn to_json(&self) -> String {
        self.fitted.to_json()
    }

    /// Writes its file, whole or not at all.
    fn write(&self, py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
        py.detach(|| self.fitted.write(path)).map_err(|error| Words::default().exception(py, &error))
    }

    /// What the run was going to do, if the model was fitted here.
    #[getter]
    fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }

    /// Names of the estimates and their covariance, row by row, if there is one.
    fn covariance(&self) -> Option<(Vec<String>, Vec<Vec<f64>>)> {
        let covariance = self.fitted.covariance.as_ref()?;
        Some((covariance.coefficients.clone(), covariance.covariance.clone()))
    }

    /// The model at another strength of its path.
    fn at_lambda(&self, py: Python<'_>, strength: f64) -> PyResult<Self> {
        let fitted = self.fitted.at_lambda(strength).map_err(|error| Words::default().exception(py, &error))?;
        Ok(Self { fitted, steps: Vec::new(), plan: None })
    }

    /// The table for a terminal.
    fn text(&self, all: bool) -> String {
        Words::default().show(&table_text(&self.fitted, all))
    }

    /// Writes probabilities or margins of the rows of a table to an array `[rows x columns]`: NaN where a row has none. Gives what
    /// there is to know of the rows.
    fn predict_into(
        &self,
        py: Python<'_>,
        table: &Table,
        output_name: &str,
        array: &Bound<'_, PyAny>,
        threads: Option<usize>,
    ) -> PyResult<Vec<String>> {
        let of = output(output_name)?;
        let (batches, warnings) = self.batches(py, table, of, Vec::new(), threads)?;
        let mut values = Vec::with_capacity(batches.iter().map(|batch| batch.num_rows() * batch.num_columns()).sum());
        for batch in &batches {
            let columns: Vec<_> = batch.columns().iter().map(AsArray::as_primitive::<Float64Type>).collect();
            for row in 0..batch.num_rows() {
                values.extend(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { f64::NAN }));
            }
        }
        PyBuffer::<f64>::get(array)?.copy_from_slice(py, &values)?;
        Ok(warnings)
    }

    /// Predictions beside columns of the table, as a stream of Arrow, and what there is to know of the rows.
    fn predict_stream(
        &self,
        py: Python<'_>,
        table: &Table,
        output_name: &str,
        keep: Vec<String>,
        threads: Option<usize>,
    ) -> PyResult<(Predictions, Vec<String>)> {
        let (batches, warnings) = self.batches(py, table, output(output_name)?, keep, threads)?;
        if batches.is_empty() {
            return Err(PyValueError::new_err("the table has no rows to predict"));
        }
        Ok((Predictions { batches }, warnings))
    }

    /// How good the probabilities are on a table: figures as JSON, as text, and what there is to know of the rows.
    fn evaluate(
        &self,
        py: Python<'_>,
        table: &Table,
        label: String,
        weight: Option<&str>,
        threads: Option<usize>,
    ) -> PyResult<(String, String, Vec<String>)> {
        let (model, rows, of_weight) = (self.fitted.clone(), table.table.clone(), weight.map(str::to_owned));
        let found = watched(py, &Words::default(), threads, None, move |monitor| {
            let rows = rows.with_keys_as(|column| model.kind_of(column))?;
            let accumulator = Accumulator::new(decision(&model, Decision::Threshold(0.5)), Limit::default())?;
            evaluate(&model, &rows, &label, of_weight.as_deref(), accumulator, false, monitor)
        })?;
        let Evaluation { metrics, counts, .. } = &found;
        let json = serde_json::to_string(metrics).map_err(|cause| PyValueError::new_err(cause.to_string()))?;
        let text = Words::default().show(&metrics_text(metrics, &self.fitted.label, weight));
        Ok((json, text, told(counts)))
    }

    /// The report as a page of HTML, with pictures of the rows of a table if one is given.
    fn report(
        &self,
        py: Python<'_>,
        table: Option<&Table>,
        label: String,
        weight: Option<&str>,
        is_training: bool,
        threads: Option<usize>,
    ) -> PyResult<String> {
        let (model, of_weight) = (self.fitted.clone(), weight.map(str::to_owned));
        let found = match table.filter(|_| self.fitted.is_finite()) {
            None => None,
            Some(table) => {
                let rows = table.table.clone();
                Some(watched(py, &Words::default(), threads, None, move |monitor| {
                    let rows = rows.with_keys_as(|column| model.kind_of(column))?;
                    let accumulator = Accumulator::new(decision(&model, Decision::Threshold(0.5)), Limit::default())?;
                    evaluate(&model, &rows, &label, of_weight.as_deref(), accumulator, true, monitor)
                })?)
            }
        };
        let quality = found.as_ref().and_then(|Evaluation { metrics, counts, profile }| {
            let rows = if is_training {
                RowsFrom::Training
            } else {
                RowsFrom::Evaluated(table.map(|table| table.table.name()).unwrap_or_default())
            };
            let (left_out, warnings) = (counts.without, counts.warnings().collect());
            Some(Quality { metrics, profile: profile.as_ref()?, rows, weight, left_out, warnings })
        });
        let words = Words::default();
        let show = |text: &str| words.show(text);
        Ok(Page { model: &self.fitted, quality, steps: &self.steps, starts_empty: true, show: &show }.to_html())
    }
}

/// What there is to know of rows.
fn told(counts: &Counts) -> Vec<String> {
    counts.warnings().collect()
}

impl Model {
    /// Predictions of the rows of a table, in their order.
    fn batches(
        &self,
        py: Python<'_>,
        table: &Table,
        output: Output,
        keep: Vec<String>,
        threads: Option<usize>,
    ) -> PyResult<(Vec<RecordBatch>, Vec<String>)> {
        let (model, rows) = (self.fitted.clone(), table.table.clone());
        watched(py, &Words::default(), threads, None, move |monitor| {
            let mut predicted = model.predict_as(&rows, output, &keep)?;
            let mut batches = Vec::new();
            for batch in &mut predicted {
                monitor.check()?;
                batches.push(batch?);
            }
            let warnings = predicted.counts().map(told).unwrap_or_default();
            Result::Ok((batches, warnings))
        })
    }
}
