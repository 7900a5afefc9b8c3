//! Fits a model to record batches in memory and prints its coefficients with standard errors.

use std::sync::Arc;

use gpu_logreg::arrow::array::{ArrayRef, Float64Array, StringArray};
use gpu_logreg::{Job, RecordBatch, Result, Table};

fn main() -> Result<()> {
    let model = Job::label("passed").positive("yes").inference(0.95).train(&Table::from_batches(vec![students()])?)?;
    for coefficient in model.coefficients() {
        let error = coefficient.standard_error().unwrap_or(f64::NAN);
        println!("{:<12} {:>9.5} {:>9.5}", coefficient.name, coefficient.value, error);
    }
    Ok(())
}

/// 200 students: hours of study, a course, and whether they passed.
fn students() -> RecordBatch {
    let course = |k: usize| ["evening", "online", "weekend"][k * 7 % 3];
    let hours = |k: usize| (k * 37 % 101) as f64 / 10.0;
    let luck = |k: usize| (k * 53 % 89) as f64 / 10.0;
    let passed = |k: usize| hours(k) + luck(k) + if course(k) == "online" { 1.5 } else { 0.0 } > 9.0;
    let columns: [(&str, ArrayRef); 3] = [
        ("hours", Arc::new(Float64Array::from_iter_values((0..200).map(hours)))),
        ("course", Arc::new(StringArray::from_iter_values((0..200).map(course)))),
        ("passed", Arc::new(StringArray::from_iter_values((0..200).map(|k| if passed(k) { "yes" } else { "no" })))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of the same length")
}
