//! A process of ours, which does not outlive us.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A child, with its standard streams. However it is let go of, it is told to end and waited for.
pub(crate) struct Process {
    name: String,
    child: Child,
    /// Ends when this process does, even by SIGKILL.
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<Lines<BufReader<ChildStdout>>>,
    pub(crate) stderr: Option<Lines<BufReader<ChildStderr>>>,
}

/// How long a process may take to end after it is told to; then it is killed.
const END_MAX: Duration = Duration::from_secs(5);

impl Process {
    /// Starts a program. What it says on standard error is for us too if `watch` is set.
    pub(crate) fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A], watch: bool) -> anyhow::Result<Self> {
        use tokio::io::AsyncBufReadExt;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if watch { Stdio::piped() } else { Stdio::inherit() })
            // An interrupt from the terminal is for us alone, and we end the others in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Process {
            name: program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(|out| BufReader::new(out).lines()),
            stderr: child.stderr.take().map(|err| BufReader::new(err).lines()),
            child,
        })
    }

    /// Waits until it ends by itself, which must be with success.
    pub(crate) async fn finish(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let mut said = String::new();
        if let Some(stderr) = self.stderr.take() {
            // To the end, or it might wait for us.
            stderr.into_inner().read_to_string(&mut said).await?;
        }
        let status = self.child.wait().await?;
        self.must_be_success(status, &said)
    }

    /// Tells it to end, which it must do in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        match tokio::time::timeout(END_MAX, self.child.wait()).await {
            Ok(status) => self.must_be_success(status?, ""),
            Err(_) => bail!("{} did not end within {END_MAX:?} after SIGTERM", self.name),
        }
    }

    fn must_be_success(&self, status: ExitStatus, said: &str) -> anyhow::Result<()> {
        match status.success() {
            true => Ok(()),
            false => bail!("{} ended with {status} {}", self.name, said.trim()),
        }
    }

    fn terminate(&self) {
        // There is no id once it has been waited for, and until then the id is its own.
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // For one that ends by that, and may be too busy for a signal.
        drop(self.stdin.take());
        self.terminate();
        let until = Instant::now() + END_MAX;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > until {
                let _ = self.child.start_kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
