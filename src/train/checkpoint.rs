//! What a run keeps in a file while it goes on, so that another one goes on where it was cut off.
//!
//! The file begins with a line of JSON: the settings, what tells the table apart from others, and where the run began. Behind
//! it are the answers of the engine ([`Journal`]), appended as they come, each with a checksum. What a crash leaves half-written
//! at the end is not used.

mod digest;
mod header;
mod tape;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::{Encoded, Shape};
use crate::engine::journal::{Keep, Record};
use crate::error::{Error, Result};
use crate::train::job::{CheckpointJob, Job};
use crate::train::whereabouts::Trail;
pub(super) use digest::{Digest, Digesting};
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
    found: Option<(Header, u64, Vec<Record>)>,
    tape: Option<Arc<Mutex<Tape>>>,
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
                let (header, length, records) = Header::parse(&bytes, &own.path)?;
                header.check_settings(&settings, &own.path)?;
                Some((header, length, records))
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

    /// What the table is told apart by, if there is a checkpoint: it takes time.
    pub(super) fn digest(&self, shape: Shape) -> Option<Digest> {
        self.job.as_ref().map(|_| Digest::new(shape))
    }

    /// The table is read: holds it against that of the run before, begins the file, and has the journal written there.
    pub(super) fn begin(
        &mut self,
        encoded: &Encoded,
        digest: Option<Digest>,
        is_gpu: bool,
        trail: &mut Trail,
    ) -> Result<()> {
        let (Some(job), Some(digest)) = (&self.job, digest) else { return Ok(()) };
        let standing = trail.standing.clone();
        let header = Header::new(self.settings.clone(), encoded, digest.finish(), is_gpu, standing);
        if let Some(tape) = &self.tape {
            // A run that goes on after a failure of its device.
            let mut tape = locked(tape);
            if !trail.journal.is_replaying() {
                tape.start_over(&header.to_bytes()?)?;
            }
        } else {
            let tape = match self.found.take() {
                Some((found, length, records)) => {
                    found.check_table(&header, &job.path)?;
                    let tape = Tape::resume(&job.path, job.every, length, &records)?;
                    trail.standing = found.standing;
                    trail.journal.replay(records);
                    tape
                }
                None => Tape::create(&job.path, job.every, &header.to_bytes()?)?,
            };
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
    pub(super) fn interrupt(self, error: Error) -> Error {
        let Some(tape) = &self.tape else { return error };
        leave(tape);
        saved(tape, error)
    }

    /// The run has ended well. Its checkpoint is of no use any more, unless the caller has still to write the model. Gives what
    /// the user should worry about.
    pub(super) fn finish(self) -> Option<String> {
        let (job, tape) = (self.job?, self.tape?);
        locked(&tape).write();
        if !job.stays {
            leave(&tape);
            remove(&job);
        }
        let tape = locked(&tape);
        tape.fault().map(|fault| format!("there was no checkpoint: {fault}"))
    }

    /// What a run that went on should say; `passes` of it were known.
    pub(super) fn note(&self, passes: u64) -> Option<String> {
        let job = self.job.as_ref().filter(|job| job.resumes)?;
        Some(format!("the run went on from {}, {passes} passes over the data into it", job.path.display()))
    }
}

/// Nobody saves this checkpoint any more.
fn leave(tape: &Arc<Mutex<Tape>>) {
    let mut writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if writing.as_ref().is_some_and(|other| Arc::ptr_eq(other, tape)) {
        *writing = None;
    }
}

fn remove(job: &CheckpointJob) {
    // One that stays is refused by the next run that would overwrite it.
    let _ = std::fs::remove_file(&job.path);
}

/// Removes the checkpoint of a job that ended well, for a caller who has written the model ([`CheckpointJob::stays`]).
pub fn end_checkpoint(job: &Job) {
    if let Some(checkpoint) = &job.checkpoint {
        *WRITING.lock().unwrap_or_else(PoisonError::into_inner) = None;
        remove(checkpoint);
    }
}
