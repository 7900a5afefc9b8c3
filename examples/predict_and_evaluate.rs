//! Trains on some Parquet files, keeps the model, and applies it to others.
//!
//! ```text
//! cargo run --release --example predict_and_evaluate -- train/ LABEL test/
//! ```

use gpu_logreg::{Job, Model, Table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [training, label, test] = arguments.as_slice() else { return Err("train/ LABEL test/".into()) };
    let model = Job::label(label).l2(1e-3).train(&Table::open(training)?)?;
    model.write("model.json")?;

    let (model, test) = (Model::read("model.json")?, Table::open(test)?);
    let found = model.evaluate(&test)?;
    println!("log loss {:.4}, AUC {:?}", found.metrics.log_loss, found.metrics.auc);
    for batch in model.predict(&test)? {
        let batch = batch?;
        println!("{} rows with {:?}", batch.num_rows(), batch.schema().field(0).name());
    }
    Ok(())
}
