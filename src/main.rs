//! The program: the command line over the library.

mod cli;

// Pages of a Parquet file are megabytes that come and go. The system's allocators hand such blocks back at once and
// have the next one cleared by the kernel; this one keeps them, which takes an eighth off a whole run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(unsafe_code, reason = "no other thread runs yet, so nothing reads the environment meanwhile")]
fn main() -> std::process::ExitCode {
    // Mesa's device-selection layer looks for a display whenever adapters are listed. Without one, as on every
    // server, that costs half a second and prints an error that has nothing to do with us.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    cli::run()
}
