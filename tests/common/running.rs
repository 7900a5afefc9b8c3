//! The program while it runs.

use std::process::{Child, Command, Stdio};

use super::process::Run;

/// A process that is killed if it is dropped before its end, so that a check that fails leaves none behind.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts `command`; what it prints is kept for [`Running::end`].
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(Some(command.spawn().expect("the program starts")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("only the end takes it")
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().expect("only the end takes it").id()
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child().try_wait().expect("it was started").is_some()
    }

    /// Sends it a signal, such as `-INT` as the user does with Ctrl-C, while it still runs.
    pub(crate) fn send(&mut self, signal: &str) {
        assert!(!self.is_over(), "it ended before it got a signal");
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status().expect("kill starts");
        assert!(sent.success());
    }

    /// What it leaves behind, once it has ended.
    pub(crate) fn end(mut self) -> Run {
        let child = self.0.take().expect("only the end takes it");
        Run::of(child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // No assertion: one that fails while another one is reported would abort and hide it.
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
