//! `shipmate demo`: a server and its clients, as real processes, over every transport.

mod server;
mod steps;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use tempfile::TempDir;
use tokio::time::timeout;

use self::server::Server;
use self::steps::{STEPS, Stage};
use crate::context::Context;
use crate::output::Output;

/// See calls and messages at work, between real processes, on every transport
///
/// Starts `shipmated` in a temporary folder, listening at all transports at once, takes every step over
/// each of them, checks the results and prints how long each step took. In the end the server is stopped
/// and the folder removed, after an interrupt too.
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
}

/// The longest that a step may take: a limit for hanging, not for being slow.
const STEP_MAX: Duration = Duration::from_secs(60);

impl Demo {
    pub(crate) async fn run(mut self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let all = Transport::value_variants().iter().copied();
        self.transport = all.filter(|it| self.transport.is_empty() || self.transport.contains(it)).collect();
        let folder = tempfile::Builder::new().prefix("shipmate-").tempdir().context("make a temporary folder")?;
        let started = Instant::now();
        // Dropped before the folder is, whatever happens.
        let mut server = Server::start(self.server.take(), &self.transport, &folder).await?;
        let mut columns = Vec::new();
        for &transport in &self.transport {
            columns.push(take_steps(context, &server, transport, &folder).await?);
        }
        output.line(self.table(&columns).to_string()).await?;
        output.line(self.summary(started.elapsed())).await?;
        if self.keep {
            output.line(server.invitation()).await?;
            server.until_it_ends().await?;
        }
        server.stop().await
    }

    fn table(&self, columns: &[Vec<Duration>]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header(std::iter::once("step").chain(self.transport.iter().map(|transport| transport.name())));
        for (index, step) in STEPS.iter().enumerate() {
            let times = columns.iter().map(|column| format!("{:.1} ms", column[index].as_secs_f64() * 1e3));
            table.add_row(std::iter::once(step.name.to_owned()).chain(times));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn summary(&self, time: Duration) -> String {
        let names: Vec<_> = self.transport.iter().map(|transport| transport.name()).collect();
        format!(
            "All {} steps gave the right results over {} in {:.1} s: the same programs and schema, only the address differs.",
            STEPS.len(),
            names.join(", "),
            time.as_secs_f64()
        )
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
        }
    }

    /// Where to listen, under a name that nothing else in the folder has.
    fn address(self, folder: &Path, name: &str) -> String {
        match self {
            Transport::Tcp => "tcp:127.0.0.1:0".to_owned(),
            Transport::Unix => format!("unix:{}", folder.join(name).with_extension("sock").display()),
            Transport::Pipe => format!("pipe:{}", folder.join(name).with_extension("pipe").display()),
            Transport::Shm => format!("shm:{}", folder.join(name).with_extension("shm").display()),
            Transport::Auto => format!("auto:{}", folder.join(name).with_extension("auto").display()),
        }
    }
}

/// Takes every step over one transport, and gives how long each took.
async fn take_steps(
    context: &Context,
    server: &Server,
    transport: Transport,
    folder: &TempDir,
) -> anyhow::Result<Vec<Duration>> {
    let address = server.address(transport)?.clone();
    let connection = context.connect(&address).await?;
    let stage = Stage { context: *context, connection, address, transport, folder: folder.path() };
    let mut times = Vec::new();
    for step in STEPS {
        let name = || format!("step {:?} over {}", step.name, transport.name());
        let start = Instant::now();
        match timeout(STEP_MAX, (step.take)(&stage)).await {
            Ok(result) => result.with_context(name)?,
            Err(_) => anyhow::bail!("{}: not done within {STEP_MAX:?}", name()),
        }
        times.push(start.elapsed());
    }
    stage.connection.close().await;
    Ok(times)
}
