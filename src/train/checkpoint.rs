//! What a run keeps in a file while it goes on, so that another one goes on where it was cut off.
//!
//! The file begins with a line of JSON: the settings, what tells the table apart from others, and where the run began. Behind
//! it are the answers of the engine ([`Journal`]), appended as they come, each with a checksum. What a crash leaves half-written
//! at the end is not used.

mod header;
mod tape;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::Encoded;
use crate::engine::journal::{Keep, Record};
use crate::error::{Error, Result};
use crate::train::job::{CheckpointJob, Job};
use crate::train::whereabouts::Trail;
use header::{Header, settings_of};
use tape::Tape;

/// The checkpoint that this process is writing.
static WRITING: Mutex<Option<Arc<Mutex<Tape>>>> = Mutex::new(None);

fn locked(tape: &Arc<Mutex<Tape>>) -> MutexGuard<'_, Tape> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what waits, and adds to an error how a run goes on from there.
fn saved(tape: &Arc<Mutex<Tape>>, error: Error) -> Error {
    let mut tape = locked(tape);
    tape.write();
    let shown = tape.path().display();
    let way_out = if let Some(fault) = tape.fault() {
        format!("The checkpoint is not whole: {fault}.")
    } else {
        let passes = tape.passes();
        format!("{shown} has what {passes} passes over the data came to: go on with ⟦resume={shown}⟧.")
    };
    Error { way_out: format!("{} {way_out}", error.way_out).trim().to_owned(), ..error }
}

/// Writes the checkpoint of the run that is under way, if there is one, for a process that is about to end, and adds to its
/// error how a run goes on from there.
pub fn save_checkpoint(error: Error) -> Error {
    let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match writing {
        Some(tape) => saved(&tape, error),
        None => error,
    }
}

/// Keeps the checkpoint of a run, if it is to have one.
#[derive(Default)]
pub(super) struct Keeper {
    job: Option<CheckpointJob>,
    settings: Vec<(String, String)>,
    /// What the file holds from a run before.
    found: Option<(Header, Vec<Record>)>,
    tape: Option<Arc<Mutex<Tape>>>,
    /// How many answers were there when the run went on.
    resumed: usize,
}

impl Keeper {
    /// For a job; reads what a run before has kept.
    ///
    /// # Errors
    /// Of kind `Usage` if the settings are others, or if a file is there that nobody said to go on from; of kind `Data` if the
    /// file is no checkpoint.
    pub(super) fn new(job: &Job) -> Result<Self> {
        let Some(own) = &job.checkpoint else { return Ok(Self::default()) };
        let shown = own.path.display();
        let settings = settings_of(job);
        let found = match std::fs::read(&own.path) {
            Ok(_) if !own.resumes => {
                return Err(Error::usage(
                    format!("{shown} is there already, and this run would overwrite it"),
                    format!("Go on from it with ⟦resume={shown}⟧, remove it, or choose another place."),
                ));
            }
            Ok(bytes) => {
                let (header, records) = Header::parse(&bytes, &own.path)?;
                header.check_settings(&settings, &own.path)?;
                Some((header, records))
            }
            Err(_) if !own.resumes => None,
            Err(cause) => {
                return Err(Error::data(
                    format!("{shown} cannot be read: {cause}"),
                    "Name a file that a run with ⟦checkpoint⟧ wrote.",
                ));
            }
        };
        Ok(Self { job: Some(own.clone()), settings, found, ..Self::default() })
    }

    /// The table is read: holds it against that of the run before, begins the file, and has the journal written there.
    pub(super) fn begin(&mut self, encoded: &Encoded, is_gpu: bool, trail: &mut Trail) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        if let Some(tape) = &self.tape {
            // A run that goes on after a failure of its device.
            let mut tape = locked(tape);
            if !trail.journal.is_replaying() {
                let header = Header::new(self.settings.clone(), encoded, is_gpu, trail.standing.clone());
                tape.start_over(&header.to_bytes()?)?;
            }
        } else {
            let mut header = Header::new(self.settings.clone(), encoded, is_gpu, trail.standing.clone());
            let records = match self.found.take() {
                Some((found, records)) => {
                    found.check_table(&header, &job.path)?;
                    trail.standing.clone_from(&found.standing);
                    header = found;
                    records
                }
                None => Vec::new(),
            };
            self.resumed = records.len();
            let tape = Tape::new(&job.path, job.every, &header.to_bytes()?, &records)?;
            trail.journal.replay(records);
            let tape = Arc::new(Mutex::new(tape));
            *WRITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tape));
            self.tape = Some(tape);
        }
        if let Some(tape) = &self.tape {
            let tape: Arc<Mutex<dyn Keep + Send>> = Arc::<Mutex<Tape>>::clone(tape);
            trail.journal.keep_in(tape);
        }
        Ok(())
    }

    /// Writes what waits, before a run ends early: says how one goes on, if one can.
    pub(super) fn interrupt(&self, error: Error) -> Error {
        match &self.tape {
            Some(tape) => saved(tape, error),
            None => error,
        }
    }

    /// The run has ended well: its checkpoint is of no use any more. Gives what the user should worry about.
    pub(super) fn finish(self) -> Option<String> {
        let (job, tape) = (self.job?, self.tape?);
        *WRITING.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let fault = locked(&tape).fault().map(|fault| format!("there was no checkpoint: {fault}"));
        // One that stays is refused by the next run that would overwrite it.
        let _ = std::fs::remove_file(&job.path);
        fault
    }

    /// What a run that went on should say.
    pub(super) fn note(&self) -> Option<String> {
        let job = self.job.as_ref().filter(|job| job.resumes)?;
        Some(format!("the run went on from {}, with {} answers of its passes", job.path.display(), self.resumed))
    }
}
