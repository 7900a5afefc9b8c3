//! How much memory the program takes.

use std::process::{Command, Stdio};

use super::running::Running;

/// The most resident memory that a command took, which must end well.
#[cfg(target_os = "linux")]
pub(crate) fn peak(command: &mut Command) -> u64 {
    let mut running = Running::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let status = format!("/proc/{}/status", running.id());
    // The kernel keeps the peak, so nothing between two looks is missed but what comes after the last one.
    let (mut peak, mut looks) = (0_u64, 0);
    while !running.is_over() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024;
            looks += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(running.end().code, Some(0), "{command:?}");
    assert!(looks >= 10, "{looks} looks at {command:?}");
    peak
}
