//! `shipmate demo`: a server and its clients, as real processes, over every transport.

mod server;
// What `shipmated` hosts, for the transport that does not leave this process.
#[path = "../../../server/services/mod.rs"]
mod services;
mod steps;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use shipmate::connect_stream;
use shipmate::transport::memory;
use tempfile::TempDir;
use tokio::time::timeout;

use self::server::Server;
use self::steps::{STEPS, Stage};
use crate::context::{Context, Usage};
use crate::output::Output;

/// See calls and messages at work, between real processes, on every transport
///
/// Starts `shipmated` in a temporary folder, listening at all transports at once, takes every step over
/// each of them, checks the results and prints how long each step took. `memory` is the transport within one
/// process: its server is in this one, and a step that needs a second process or an address has a dash. In the
/// end the server is stopped and the folder removed, after an interrupt too; SIGKILL leaves the folder, empty.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate demo
  shipmate demo --transport unix,pipe
  shipmate demo --keep                  leaves the server running, to try other commands with")]
pub(crate) struct Demo {
    /// Which transports; may be repeated [default: all]
    #[arg(short, long, value_delimiter = ',')]
    transport: Vec<Transport>,

    /// Leave the server running until you interrupt
    #[arg(short, long)]
    keep: bool,

    /// The server's program [default: shipmated beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// A transport to show; a further one is a line here and a line in [`address`](Transport::address).
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    Unix,
    Pipe,
    Shm,
    Auto,
    Memory,
}

/// The longest that a step may take: a limit for hanging, not for being slow.
const STEP_MAX: Duration = Duration::from_secs(60);

impl Demo {
    pub(crate) async fn run(mut self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let all = Transport::value_variants().iter().copied();
        self.transport = all.filter(|it| self.transport.is_empty() || self.transport.contains(it)).collect();
        let elsewhere = self.transport.iter().any(|it| !it.is_within_process());
        if self.keep && !elsewhere {
            return Err(Usage("--keep: there is no server over memory for another command to reach".into()).into());
        }
        let folder = tempfile::Builder::new().prefix("shipmate-").tempdir().context("make a temporary folder")?;
        let started = Instant::now();
        // Dropped before the folder is, whatever happens.
        let mut server = match elsewhere {
            true => Some(Server::start(self.server.take(), &self.transport, &folder).await?),
            false => None,
        };
        let mut columns = Vec::new();
        for &transport in &self.transport {
            columns.push(take_steps(context, server.as_ref(), transport, &folder).await?);
        }
        output.line(self.table(&columns).to_string()).await?;
        output.line(self.summary(started.elapsed())).await?;
        let Some(mut server) = server.take() else { return Ok(()) };
        if self.keep {
            output.line(server.invitation()).await?;
            server.until_it_ends().await?;
        }
        server.stop().await
    }

    fn table(&self, columns: &[Vec<Option<Duration>>]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header(std::iter::once("step").chain(self.transport.iter().map(|transport| transport.name())));
        for (index, step) in STEPS.iter().enumerate() {
            let times = columns.iter().map(|column| match column[index] {
                Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
                None => "-".to_owned(),
            });
            table.add_row(std::iter::once(step.name.to_owned()).chain(times));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn summary(&self, time: Duration) -> String {
        let elsewhere: Vec<_> =
            self.transport.iter().filter(|it| !it.is_within_process()).map(|it| it.name()).collect();
        let (all, within) = (STEPS.len(), STEPS.iter().filter(|step| step.within_process).count());
        let mut results = format!("All {all} steps gave the right results over {}", elsewhere.join(", "));
        if elsewhere.is_empty() {
            results = format!("{within} of {all} steps gave the right results over memory");
        } else if elsewhere.len() < self.transport.len() {
            results += &format!(", and {within} of them over memory,");
        }
        let seconds = time.as_secs_f64();
        format!("{results} in {seconds:.1} s: the same programs and schema, only the address differs.")
    }
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Unix => "unix",
            Transport::Pipe => "pipe",
            Transport::Shm => "shm",
            Transport::Auto => "auto",
            Transport::Memory => "memory",
        }
    }

    fn is_within_process(self) -> bool {
        self == Transport::Memory
    }

    /// Where to listen, under a name that nothing else in the folder has, unless there is no such place.
    fn address(self, folder: &Path, name: &str) -> Option<String> {
        let place = |extension| folder.join(name).with_extension(extension);
        Some(match self {
            Transport::Tcp => "tcp:127.0.0.1:0".to_owned(),
            Transport::Unix => format!("unix:{}", place("sock").display()),
            Transport::Pipe => format!("pipe:{}", place("pipe").display()),
            Transport::Shm => format!("shm:{}", place("shm").display()),
            Transport::Auto => format!("auto:{}", place("auto").display()),
            Transport::Memory => return None,
        })
    }
}

/// Takes every step that there is over one transport, and gives how long each took.
async fn take_steps(
    context: &Context,
    server: Option<&Server>,
    transport: Transport,
    folder: &TempDir,
) -> anyhow::Result<Vec<Option<Duration>>> {
    let (address, connection, _server) = match server.filter(|_| !transport.is_within_process()) {
        Some(server) => {
            let address = server.address(transport)?.clone();
            (Some(address.clone()), context.connect(&address).await?, None)
        }
        None => {
            let (here, there) = memory::pair();
            let server = server::serve_within(there);
            (None, connect_stream(here, &context.options()), Some(server))
        }
    };
    let stage = Stage { context: *context, connection, address, transport, folder: folder.path() };
    let mut times = Vec::new();
    for step in STEPS {
        let name = || format!("step {:?} over {}", step.name, transport.name());
        if transport.is_within_process() && !step.within_process {
            times.push(None);
            continue;
        }
        let start = Instant::now();
        match timeout(STEP_MAX, (step.take)(&stage)).await {
            Ok(result) => result.with_context(name)?,
            Err(_) => anyhow::bail!("{}: not done within {STEP_MAX:?}", name()),
        }
        times.push(Some(start.elapsed()));
    }
    stage.connection.close().await;
    Ok(times)
}
