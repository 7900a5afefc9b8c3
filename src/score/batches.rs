//! Predictions as record batches, for a caller of the library.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crate::data::{PredictionBatches, RecordBatch, Table};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::monitor::Monitor;
use crate::score::{Counts, Output, inputs, predict_each};

/// Batches that wait to be taken at most, beside those of the ranges at hand.
const WAITING: usize = 4;

/// Predictions for the rows of a table, in their order: an iterator of record batches. They are made ahead of whoever takes them,
/// some ranges of rows (131,072 at most) for each thread, on threads of their own: as many as the pool of the caller has.
pub struct PredictedBatches {
    /// `None` once nobody wants more.
    batches: Option<Receiver<Result<RecordBatch>>>,
    left: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
    counts: Arc<OnceLock<Counts>>,
}

impl PredictedBatches {
    /// What became of the rows, once all batches were taken: how many have no prediction, and which columns have levels that the
    /// model has not seen, which count as its average.
    pub fn counts(&self) -> Option<&Counts> {
        self.counts.get()
    }
}

/// Interrupts a run whose predictions nobody takes any more.
struct Left(Arc<AtomicBool>);

impl Monitor for Left {
    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Iterator for PredictedBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(batch) = self.batches.as_ref()?.recv() {
            return Some(batch);
        }
        self.batches = None;
        // The sender is gone: at the end, or by a panic.
        let ended = self.worker.take()?.join();
        ended.err().map(|_| Err(Error::internal("the thread that predicts has panicked")))
    }
}

impl Drop for PredictedBatches {
    fn drop(&mut self) {
        self.left.store(true, Ordering::Relaxed);
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            // Whatever it has to say, nobody listens.
            let _ = worker.join();
        }
    }
}

impl Model {
    /// Probabilities of the rows of `table`, in their order: of the positive class in a column `probability`, or of each class
    /// in one of its own.
    ///
    /// [`PredictedBatches::counts`] says afterwards what a value that the model has not seen, or that is missing, came to.
    ///
    /// # Errors
    /// Of kind `Data` if the table lacks a column that the model needs. What is wrong with a row comes in the place of its
    /// batch, and ends the iterator.
    pub fn predict(&self, table: &Table) -> Result<PredictedBatches> {
        self.predict_as(table, Output::Probability, &[])
    }

    /// As [`Model::predict`], of other outputs, beside the columns of the table that are named in `keep`.
    pub fn predict_as(&self, table: &Table, output: Output, keep: &[String]) -> Result<PredictedBatches> {
        let table = table.clone().with_keys_as(|column| self.kind_of(column))?;
        let inputs = inputs(self, &table, None, None, keep)?;
        let of_rows = PredictionBatches::new(&table, &inputs, &output.prediction(self))?;
        let (left, counts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (sender, batches) = sync_channel(WAITING);
        // Whoever waits for batches may be a thread of the pool that would make them.
        let threads = rayon::current_num_threads();
        let counted: Arc<OnceLock<Counts>> = Arc::clone(&counts);
        let (model, monitor) = (self.clone(), Left(Arc::clone(&left)));
        let work = move || {
            let send = |batch| sender.send(batch).map_err(|_| Error::interrupted());
            let columns = of_rows.columns();
            let predict = || {
                predict_each(&model, &table, &inputs, output, columns, &monitor, |kept, predicted| {
                    send(Ok(of_rows.batch(kept, predicted)?))
                })
            };
            // When this thread has ended, so have those of the pool.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let done = pool.build_scoped(rayon::ThreadBuilder::run, |pool| pool.install(predict));
            let done =
                done.unwrap_or_else(|cause| Err(Error::internal(format!("the threads could not be started: {cause}"))));
            // Without a receiver nobody waits for an error, and counts are told once.
            let _ = match done {
                Ok(counts) => counted.set(counts).map_err(drop),
                Err(error) => send(Err(error)).map_err(drop),
            };
        };
        let worker = std::thread::Builder::new().name("predict".into()).spawn(work);
        let worker = worker.map_err(|cause| Error::internal(format!("no thread could be started: {cause}")))?;
        Ok(PredictedBatches { batches: Some(batches), left, worker: Some(worker), counts })
    }
}
