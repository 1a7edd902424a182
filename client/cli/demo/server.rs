//! The servers of the demo: a `shipmated` of its own, and one within this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use shipmate::transport::Stream;
use shipmate::{Address, Connection, Limits, ServerOptions, serve_stream};
use tempfile::TempDir;
use tokio::time::timeout;

use super::Transport;
use super::services::{DEFAULT_SERVICE, Host, Load, Service};
use crate::process::Process;

/// A running server and where it listens.
pub(super) struct Server {
    process: Process,
    addresses: Vec<Address>,
}

/// How long it may take until the server is ready.
const READY_MAX: Duration = Duration::from_secs(30);

impl Server {
    /// Starts the server and waits until it is ready.
    pub(super) async fn start(
        program: Option<PathBuf>,
        transports: &[Transport],
        folder: &TempDir,
    ) -> anyhow::Result<Self> {
        let program = match program {
            Some(program) => program,
            None => beside_this_program()?,
        };
        // The service is named since a path may have an equals sign in it.
        let places = transports.iter().filter_map(|it| it.address(folder.path(), "ship"));
        let listen = places.map(|address| format!("--listen={address}=shipmate"));
        // Its standard input ends with this process, however that ends.
        let options = ["--log-level=warn", "--drain=2", "--until-stdin-ends"].map(str::to_owned);
        let arguments: Vec<_> = listen.chain(options).collect();
        let mut process = Process::start(&program, &arguments, false)?;
        match timeout(READY_MAX, until_ready(&mut process)).await {
            Ok(Ok(addresses)) => Ok(Server { process, addresses }),
            Ok(Err(error)) => Err(error.context("wait for the server to be ready")),
            Err(_) => bail!("the server was not ready within {READY_MAX:?}"),
        }
    }

    pub(super) fn address(&self, transport: Transport) -> anyhow::Result<&Address> {
        let address = self.addresses.iter().find(|address| address.transport() == transport.name());
        address.with_context(|| format!("the server did not say where it listens over {}", transport.name()))
    }

    /// How to try the commands.
    pub(super) fn invitation(&self) -> String {
        let tries = self.addresses.iter().map(|address| format!("\n  shipmate ping {address}"));
        format!("The server goes on until you interrupt (Ctrl-C). Try:{}", tries.collect::<String>())
    }

    /// Waits for an end that nobody asked for.
    pub(super) async fn until_it_ends(&mut self) -> anyhow::Result<()> {
        // Its standard output closes with it.
        let lines = self.process.stdout.as_mut().context("no standard output")?;
        while lines.next_line().await?.is_some() {}
        bail!("the server ended")
    }

    /// Tells the server to end, and waits until it has.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// Serves what `shipmated` does over the transport that needs no address, on this thread.
pub(super) fn serve_within(stream: Stream) -> Connection {
    let started = Instant::now();
    let load = move || Load { connections: 1, shards: 1, started };
    let host = Arc::new(Host::new(Limits::DEFAULT, load));
    let front = Service::named(DEFAULT_SERVICE).expect("there is a front door").make(&host);
    serve_stream(stream, front, &ServerOptions::default())
}

fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?.with_file_name("shipmated");
    ensure!(
        Path::is_file(&program),
        "there is no server at {}: put shipmated there (cargo build --bins) or say where it is with --server PATH",
        program.display()
    );
    Ok(program)
}

/// Reads what the server says until it is ready, and gives where it listens.
async fn until_ready(process: &mut Process) -> anyhow::Result<Vec<Address>> {
    let lines = process.stdout.as_mut().context("no standard output")?;
    let mut addresses = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let said = line.strip_prefix("shipmated: ").unwrap_or_default();
        if said == "ready" {
            return Ok(addresses);
        }
        if let Some(address) = said.strip_prefix("listening at ").and_then(|rest| rest.strip_suffix(" (shipmate)")) {
            addresses.push(address.parse()?);
        }
    }
    Err(anyhow!("it ended before"))
}
