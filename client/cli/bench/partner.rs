//! The other process: this same program, started again for this. It obeys lines on its standard
//! input, and ends with that, however its parent ends.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Once, mpsc};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{ClockId, Timespec, clock_gettime};
use shipmate::Tier;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{calls, raw, stream};
use crate::process::Process;

/// What the partner is told at its start.
#[derive(Parser, Clone, Debug)]
pub(crate) struct BenchPartner {
    role: Role,
    /// Where the other side is to be met.
    pub(super) address: String,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    pub(super) tier: Tier,
    #[arg(long, value_parser = micros)]
    pub(super) spin: Duration,
    #[arg(long)]
    pub(super) size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Role {
    /// Answers calls.
    Serve,
    /// Sends messages for as long as they are taken.
    Send,
    /// The same without Shipmate.
    RawServe,
    RawSend,
    /// Gives back a word in shared memory, spinning if there is a time for that.
    RawWord,
}

/// A partner of this process. It ends when this is dropped, and its folder is removed.
pub(super) struct Partner {
    process: Process,
    _folder: TempDir,
}

/// How long the partner may take over what takes it no time.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Folders of this name are removed by either side.
const FOLDER_PREFIX: &str = "shipmate-bench-";

/// The first argument of who is to be one.
const ORDER: &str = "bench-partner";

impl BenchPartner {
    /// What this process was told, if it is one.
    pub(crate) fn asked() -> Option<Self> {
        let mut arguments = env::args_os().skip(1).peekable();
        let asked = arguments.peek().is_some_and(|argument| argument == ORDER);
        asked.then(|| Self::parse_from(arguments))
    }

    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let (runs, rounds) = mpsc::channel();
        let folder = self.folder.clone();
        thread::spawn(move || obey(&runs, &folder));
        let result = match self.role {
            Role::Serve => calls::serve(&self).await,
            Role::Send => stream::send(&self).await,
            Role::RawServe => raw::streams::serve(&self),
            Role::RawSend => raw::streams::send(&self),
            Role::RawWord => raw::words::answer(&self, &rounds),
        };
        // A parent that is gone breaks every connection, and nobody wants to be told.
        let result = if parent_is_gone() { Ok(()) } else { result };
        remove(&self.folder);
        result
    }
}

/// Says that the partner can be talked to, and where.
pub(super) fn ready(address: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{address}")
}

/// Does what the parent says, and ends with it.
fn obey(runs: &mpsc::Sender<()>, folder: &Path) {
    for line in io::stdin().lines().map_while(Result::ok) {
        let obeyed = match line.as_str() {
            "usage" => writeln!(io::stdout(), "{}", cpu_of_this_process().as_nanos()).is_ok(),
            _ => runs.send(()).is_ok(),
        };
        if !obeyed {
            break;
        }
    }
    remove(folder);
    // Whatever this process waits for just now.
    std::process::exit(0);
}

/// The parent may have been killed, and cannot do it. Whoever comes second waits until it is done.
fn remove(folder: &Path) {
    static REMOVED: Once = Once::new();
    let name = folder.file_name().unwrap_or_default();
    if name.to_string_lossy().starts_with(FOLDER_PREFIX) {
        REMOVED.call_once(|| drop(fs::remove_dir_all(folder)));
    }
}

/// Its end closes the standard input of this process, sooner or later than it closes connections.
fn parent_is_gone() -> bool {
    let stdin = io::stdin();
    let mut stdin = [PollFd::new(&stdin, PollFlags::empty())];
    let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    poll(&mut stdin, Some(&moment)).is_ok() && stdin[0].revents().contains(PollFlags::HUP)
}

impl Partner {
    /// A folder for what the two sides meet at.
    pub(super) fn folder() -> anyhow::Result<TempDir> {
        tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().context("make a temporary folder")
    }

    /// Starts one. It is [ready](Self::ready) a little later.
    pub(super) fn start(
        role: Role,
        address: &str,
        folder: TempDir,
        tier: Tier,
        spin: Duration,
        size: usize,
    ) -> anyhow::Result<Self> {
        let role = role.to_possible_value().context("each role has a name")?;
        let mut arguments: Vec<OsString> = [ORDER, role.get_name(), address, "--folder"].map(Into::into).into();
        arguments.push(folder.path().into());
        let options = [format!("--tier={tier}"), format!("--spin={}", spin.as_micros()), format!("--size={size}")];
        arguments.extend(options.map(Into::into));
        let program = env::current_exe().context("find this program")?;
        Ok(Partner { process: Process::start(&program, &arguments, false)?, _folder: folder })
    }

    /// Waits until it is ready, and gives the address that it says.
    pub(super) async fn ready(&mut self) -> anyhow::Result<String> {
        self.line().await.context("wait until the other process is ready")
    }

    /// The processor time that it has used so far.
    pub(super) async fn cpu(&mut self) -> anyhow::Result<Duration> {
        self.order("usage").await?;
        Ok(Duration::from_nanos(self.line().await?.parse()?))
    }

    /// Has it take part in a round, if it waits to be told.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        self.order("run").await
    }

    async fn order(&mut self, order: &str) -> anyhow::Result<()> {
        use tokio::io::AsyncWriteExt;
        let stdin = self.process.stdin.as_mut().context("no standard input")?;
        stdin.write_all(format!("{order}\n").as_bytes()).await.context("tell the other process what to do")
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let lines = self.process.stdout.as_mut().context("no standard output")?;
        let line = timeout(ANSWER_MAX, lines.next_line()).await.context("the other process does not answer")??;
        ensure!(line.is_some(), "the other process has ended");
        Ok(line.unwrap_or_default())
    }
}

/// The processor time of all threads, in user and kernel mode.
pub(super) fn cpu_of_this_process() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// A time that is the same in all processes of the machine.
pub(super) fn now() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

pub(super) fn micros(text: &str) -> Result<Duration, String> {
    let micros = text.parse().map_err(|_| "write a number of microseconds, as in 50".to_owned())?;
    Ok(Duration::from_micros(micros))
}
