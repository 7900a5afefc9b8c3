//! Progress bars on a terminal, and interrupts.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
#[cfg(unix)]
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{Global, tell};
use gpu_logreg::error::{Error, Kind};
use gpu_logreg::model::file::abandon;
use gpu_logreg::monitor::Monitor;
use gpu_logreg::train::save_checkpoint;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Somebody ends the process, and nobody else may.
static ENDS: AtomicBool = AtomicBool::new(false);

/// How long an interrupted run may take to the next place where it can stop: a factor of a large matrix, a pass over a
/// large table, or a decompression asks nobody.
const TIME_TO_STOP: Duration = Duration::from_millis(600);

/// The signal that interrupted the process; of an interrupt that is no signal, that of Ctrl-C.
static SIGNAL: AtomicU8 = AtomicU8::new(SIGINT);

const SIGINT: u8 = 2;

/// Whether an interrupted run ends with what it has come to, however long that takes.
static KEEPS: AtomicBool = AtomicBool::new(false);

/// From here on an interrupted run is not ended by the process.
pub(super) fn keep_on_interrupt() {
    KEEPS.store(true, Ordering::Relaxed);
}

/// The iterations have ended. If an interrupt ended them, what is still to be done with what they came to is interrupted by
/// another signal alone.
pub(super) fn forget_interrupt(has_ended_them: bool) {
    KEEPS.store(false, Ordering::Relaxed);
    if has_ended_them {
        INTERRUPTED.store(false, Ordering::Relaxed);
    }
}

/// The exit code for an error: of an interrupt as shells tell of the signal.
pub(super) fn exit_code(error: &Error) -> u8 {
    match error.kind {
        Kind::Interrupted => 128 + SIGNAL.load(Ordering::Relaxed),
        kind => kind.exit_code(),
    }
}

/// How the last error of a process is told that ends before its work does.
static LAST: OnceLock<Box<TellsLast>> = OnceLock::new();

type TellsLast = dyn Fn(&Error) + Send + Sync;

/// Tells the error with which somebody is about to end the process.
pub(super) fn tell_last(error: &Error) {
    if let Some(last) = LAST.get() {
        last(error);
    }
}

/// From here on the first interrupt asks the run to stop, and ends the process itself when it does not in time: it removes
/// what was being written, and calls `last` with the error. The second one ends the process at once.
///
/// # Errors
/// That of the system. Signals end the process then as they end any other.
pub(super) fn listen_for_interrupts(last: impl Fn(&Error) + Send + Sync + 'static) -> std::io::Result<()> {
    // Whoever is here first says how.
    let _ = LAST.set(Box::new(last));
    listen(move |signal| {
        SIGNAL.store(signal, Ordering::Relaxed);
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(128 + i32::from(signal));
        }
        if KEEPS.load(Ordering::Relaxed) {
            return;
        }
        let end = move || {
            std::thread::sleep(TIME_TO_STOP);
            claim_end();
            let mut error = save_checkpoint(Error::interrupted());
            if abandon() {
                error.fact = "interrupted after a file was written".into();
            }
            tell_last(&error);
            std::process::exit(128 + i32::from(signal));
        };
        // Where there is no thread, a second signal waits for this one.
        if std::thread::Builder::new().spawn(end).is_err() {
            end();
        }
    })
}

/// Has `act` called with every signal that asks the process to end, by a thread of its own.
#[cfg(unix)]
fn listen(act: impl Fn(u8) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
    // What was started with nohup goes on when its terminal closes.
    let asked: &[i32] = if is_ignored(SIGHUP) { &[SIGINT, SIGTERM] } else { &[SIGINT, SIGTERM, SIGHUP] };
    let (begun, has_begun) = channel();
    // The thread first: signals that nobody hears would be lost.
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let signals = signal_hook::iterator::Signals::new(asked);
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(cause) => return drop(begun.send(Err(cause))),
        };
        // Whoever waits is there until this comes.
        let _ = begun.send(Ok(()));
        for signal in signals.forever() {
            act(u8::try_from(signal).unwrap_or(self::SIGINT));
        }
    })?;
    has_begun.recv().unwrap_or_else(|_| Err(std::io::Error::other("nobody listens")))
}

/// Whether the process was started with a signal ignored, as far as the system tells.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(not(unix))]
fn listen(act: impl Fn(u8) + Send + 'static) -> std::io::Result<()> {
    ctrlc::set_handler(move || act(SIGINT)).map_err(std::io::Error::other)
}

/// The caller is the one that ends the process; if another one does already, this never returns.
pub(super) fn claim_end() {
    while ENDS.swap(true, Ordering::SeqCst) {
        std::thread::park();
    }
}

/// What takes less than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows a stage as a bar, if stderr is a terminal and the stage takes long; elsewhere as a line now and then.
pub(super) struct Progress {
    wanted: bool,
    stage: Mutex<Option<(Instant, ProgressBar)>>,
    lines: Option<Mutex<Lines>>,
}

/// What a run says where there is no terminal.
struct Lines {
    stage: String,
    begin: Instant,
    done: u64,
    total: Option<u64>,
    message: String,
    /// When it last said something.
    last: Instant,
}

/// How often it does.
const OFTEN: Duration = Duration::from_secs(30);

impl Lines {
    fn new() -> Self {
        let now = Instant::now();
        Self { stage: String::new(), begin: now, done: 0, total: None, message: String::new(), last: now }
    }

    /// The line that is due, if one is.
    fn due(&mut self, now: Instant) -> Option<String> {
        if self.stage.is_empty() || now.duration_since(self.last) < OFTEN {
            return None;
        }
        self.last = now;
        let seconds = now.duration_since(self.begin).as_secs_f64();
        let share = self.total.filter(|total| *total > 0 && self.done > 0).map(|total| self.done as f64 / total as f64);
        let [done, left] = [|share| 100.0 * share, |share| 1.0 / share - 1.0].map(|of: fn(f64) -> f64| share.map(of));
        let parts = [
            Some(format!("{}: {seconds:.0} s", self.stage)),
            done.map(|done| format!("{done:.0} % done")),
            left.map(|left| format!("{:.0} s left", seconds * left)),
            (!self.message.is_empty()).then(|| self.message.clone()),
        ];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

impl Progress {
    pub(super) fn new(global: &Global) -> Self {
        let speaks = !global.quiet && !global.no_progress;
        let is_terminal = std::io::stderr().is_terminal();
        let lines = (speaks && !is_terminal).then(|| Mutex::new(Lines::new()));
        Self { wanted: speaks && !global.json && is_terminal, stage: Mutex::new(None), lines }
    }

    fn with_lines(&self, act: impl FnOnce(&mut Lines)) {
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().expect("nothing panics while it holds this lock");
        act(&mut lines);
        if let Some(line) = lines.due(Instant::now()) {
            tell(&line);
        }
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
        self.with_lines(|lines| {
            let last = lines.last;
            *lines = Lines { stage: stage.to_owned(), total, last, ..Lines::new() };
        });
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
        self.with_lines(|lines| lines.done += units);
        self.with_bar(|bar| bar.inc(units));
    }

    fn say(&self, message: &str) {
        self.with_lines(|lines| message.clone_into(&mut lines.message));
        self.with_bar(|bar| bar.set_message(message.to_owned()));
    }

    fn end(&self) {
        self.with_lines(|lines| lines.stage.clear());
        self.with_bar(ProgressBar::finish_and_clear);
        *self.stage.lock().expect("nothing panics while it holds this lock") = None;
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stage_speaks_now_and_then() {
        let mut lines = Lines::new();
        let after = |lines: &Lines, seconds: u64| lines.begin + Duration::from_secs(seconds);
        assert_eq!(lines.due(after(&lines, 100)), None, "no stage");
        lines.stage = "reading".into();
        assert_eq!(lines.due(after(&lines, 29)), None);
        assert_eq!(lines.due(after(&lines, 31)).as_deref(), Some("reading: 31 s"));
        (lines.done, lines.total) = (25, Some(100));
        assert_eq!(lines.due(after(&lines, 60)), None);
        assert_eq!(lines.due(after(&lines, 62)).as_deref(), Some("reading: 62 s, 25 % done, 186 s left"));
        (lines.total, lines.message) = (None, "iteration 3".into());
        assert_eq!(lines.due(after(&lines, 95)).as_deref(), Some("reading: 95 s, iteration 3"));
    }
}
