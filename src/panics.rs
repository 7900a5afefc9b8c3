//! Panics of other crates, as errors: a decoder has some for damaged files, and a graphics interface for a device that fails.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Which panics of a thread are not printed, since they become errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quiet {
    None,
    All,
    /// Those of the graphics interface; others are faults of this program.
    Graphics,
}

thread_local! {
    static QUIET: Cell<Quiet> = const { Cell::new(Quiet::None) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A panic that was caught.
pub(crate) struct Panic {
    pub(crate) message: String,
    /// The file and the line.
    pub(crate) place: String,
}

impl Panic {
    /// Whether it is one of the crates that speak to graphics cards.
    pub(crate) fn is_of_graphics(&self) -> bool {
        is_of_graphics(&self.place)
    }
}

fn is_of_graphics(place: &str) -> bool {
    ["/wgpu", "\\wgpu", "/gpu-allocator", "\\gpu-allocator"].iter().any(|crates| place.contains(crates))
}

fn caught<T>(quiet: Quiet, work: impl FnOnce() -> T) -> std::result::Result<T, Panic> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
            let is_quiet = match QUIET.get() {
                Quiet::None => false,
                Quiet::All => true,
                Quiet::Graphics => is_of_graphics(&place),
            };
            PLACE.set(place);
            if !is_quiet {
                loud(info);
            }
        }));
    });
    let outer = QUIET.replace(quiet);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Panic { message: text.unwrap_or_else(|| "a panic without a message".into()), place: PLACE.take() }
    })
}

/// Runs `work` and turns a panic into its message, without the panic being printed.
pub(crate) fn without_panic<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    caught(Quiet::All, work).map_err(|panic| panic.message)
}

/// Runs `work`, and catches a panic, which is printed unless it is one of the graphics interface.
pub(crate) fn catch_graphics<T>(work: impl FnOnce() -> T) -> std::result::Result<T, Panic> {
    caught(Quiet::Graphics, work)
}
