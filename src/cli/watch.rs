//! Whoever sees a call of a graphics driver that never returns: nothing in the process can end such a call, so the process ends, or
//! starts over on the CPU.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cli::progress::{claim_end, tell_last};
use gpu_logreg::engine::gpu::longest_call;
use gpu_logreg::error::{Error, Kind};
use gpu_logreg::model::file::abandon;
use gpu_logreg::train::save_checkpoint;

/// Set for a process that another one has left its work to: why.
const STARTED_OVER: &str = "GPU_LOGREG_STARTED_OVER";

/// Why this process began, if another one has left its work to it since a driver hung.
pub(super) fn started_over() -> Option<String> {
    std::env::var(STARTED_OVER).ok()
}

/// From here on no call of a driver lasts longer than `most`: the process ends then, or starts over on the CPU if it may.
pub(super) fn watch_driver(most: Duration, may_start_over: bool) {
    static WATCHES: AtomicBool = AtomicBool::new(false);
    if cfg!(not(feature = "gpu")) || WATCHES.swap(true, Ordering::Relaxed) {
        return;
    }
    let watch = move || {
        loop {
            std::thread::sleep((most / 8).min(Duration::from_millis(500)));
            if longest_call().is_some_and(|call| call > most) {
                give_up(most, may_start_over);
            }
        }
    };
    // Without this thread a driver that hangs is waited for.
    let _ = std::thread::Builder::new().name("driver".into()).spawn(watch);
}

fn give_up(most: Duration, may_start_over: bool) {
    claim_end();
    let fact = format!("the GPU failed: a call of its driver has not returned for {} s", most.as_secs_f64());
    let error = Error::device(&fact, "Run again; if it stays, update the driver or use ⟦device cpu⟧: the same answer.");
    if may_start_over {
        let cause = start_over(&fact);
        tell_last(&Error { way_out: format!("The run could not start over on the CPU: {cause}."), ..error });
    } else {
        let was_written = abandon();
        tell_last(&if was_written { error } else { save_checkpoint(error) });
    }
    std::process::exit(Kind::Device.exit_code().into());
}

/// Puts the same command in the place of this process, with the CPU for its device. It comes back only if that fails.
fn start_over(why: &str) -> std::io::Error {
    abandon();
    match std::env::current_exe() {
        Ok(program) => replaced_by(Command::new(program).args(std::env::args_os().skip(1)).env(STARTED_OVER, why)),
        Err(cause) => cause,
    }
}

#[cfg(unix)]
fn replaced_by(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replaced_by(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(cause) => cause,
    }
}
