//! Progress bars on a terminal, and interrupts.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Global;
use gpu_logreg::error::{Error, Result};
use gpu_logreg::model::file::abandon;
use gpu_logreg::monitor::Monitor;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Somebody ends the process, and nobody else may.
static ENDS: AtomicBool = AtomicBool::new(false);

/// How long an interrupted run may take to the next place where it can stop: a factor of a large matrix, a pass over a
/// large table, or a decompression asks nobody.
const TIME_TO_STOP: Duration = Duration::from_millis(600);

/// From here on the first interrupt asks the run to stop, and ends the process itself when it does not in time: it removes
/// what was being written, and calls `last` with the error. The second one ends the process at once.
pub(super) fn listen_for_interrupts(last: impl Fn(&Error) + Send + Sync + 'static) -> Result<()> {
    let last = Arc::new(last);
    ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        let last = Arc::clone(&last);
        std::thread::spawn(move || {
            std::thread::sleep(TIME_TO_STOP);
            claim_end();
            let error = Error::interrupted();
            let fact = if abandon() { "interrupted after a file was written".into() } else { error.fact.clone() };
            last(&Error { fact, ..error });
            std::process::exit(130);
        });
    })
    .map_err(|cause| Error::internal(format!("interrupts cannot be handled: {cause}")))
}

/// The caller is the one that ends the process; if another one does already, this never returns.
pub(super) fn claim_end() {
    while ENDS.swap(true, Ordering::SeqCst) {
        std::thread::park();
    }
}

/// What takes less than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows a stage as a bar, if stderr is a terminal and the stage takes long.
pub(super) struct Progress {
    wanted: bool,
    stage: Mutex<Option<(Instant, ProgressBar)>>,
}

impl Progress {
    pub(super) fn new(global: &Global) -> Self {
        let wanted = !global.quiet && !global.no_progress && !global.json && std::io::stderr().is_terminal();
        Self { wanted, stage: Mutex::new(None) }
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if !self.wanted {
            return;
        }
        let stage = self.stage.lock().expect("nothing panics while it holds this lock");
        if let Some((begin, bar)) = &*stage {
            act(bar);
            if bar.is_hidden() && begin.elapsed() >= PATIENCE {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(200));
            }
        }
    }
}

impl Monitor for Progress {
    fn begin(&self, stage: &str, total: Option<u64>) {
        if !self.wanted {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let style = match total {
            Some(_) => ProgressStyle::with_template("{prefix} [{bar:40}] {percent}% {eta} left"),
            None => ProgressStyle::with_template("{prefix} {spinner} {msg} ({elapsed})"),
        };
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(stage.to_owned());
        *self.stage.lock().expect("nothing panics while it holds this lock") = Some((Instant::now(), bar));
    }

    fn advance(&self, units: u64) {
        self.with_bar(|bar| bar.inc(units));
    }

    fn say(&self, message: &str) {
        self.with_bar(|bar| bar.set_message(message.to_owned()));
    }

    fn end(&self) {
        self.with_bar(ProgressBar::finish_and_clear);
        *self.stage.lock().expect("nothing panics while it holds this lock") = None;
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
