//! `shipmate demo`: real processes, every transport, the programs of every guide to IPC.

mod calls;
mod processes;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use shipmate::{Address, Connection, connect};

use processes::{Folder, Server};

/// Start a server and run calls, records and messages over every transport.
///
/// Each cell of the table is the time that the step took. A step that fails is named, and the exit code
/// is 1.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// The server program; by default the `shipmated` beside this program.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// What a step of the demonstration runs on.
struct Place {
    transport: &'static str,
    connection: Connection,
    /// For further addresses of the same transport.
    folder: PathBuf,
    timeout: Duration,
}

struct Step {
    name: &'static str,
    run: for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<()>>,
}

const STEPS: &[Step] = &[
    Step { name: "a call, waited for", run: |place| calls::synchronous(place).boxed_local() },
    Step { name: "a call, while doing something else", run: |place| calls::asynchronous(place).boxed_local() },
    Step { name: "division by zero, a typed error", run: |place| calls::divide_by_zero(place).boxed_local() },
    Step { name: "1,000 calls in flight", run: |place| calls::many_in_flight(place).boxed_local() },
    Step { name: "a chain of calls in one round trip", run: |place| calls::pipelined(place).boxed_local() },
    Step { name: "a callback from server to client", run: |place| calls::callback(place).boxed_local() },
    Step { name: "100 records, process to process", run: |place| processes::records(place).boxed_local() },
];

impl Demo {
    pub(crate) async fn run(self, timeout: Duration) -> Result<()> {
        let folder = Folder::new()?;
        let path = folder.path().display();
        let mut addresses = vec!["tcp:127.0.0.1:0".to_owned()];
        addresses.extend(["unix", "pipe", "shm"].map(|transport| format!("{transport}:{path}/ship.{transport}")));
        let server = Server::start(self.server, &addresses, timeout).await?;

        let mut rows: Vec<Vec<Result<Duration>>> = STEPS.iter().map(|_| Vec::new()).collect();
        for address in server.addresses() {
            let place = Place {
                transport: address.transport(),
                connection: connect(address.clone()).await.with_context(|| format!("connecting to {address}"))?,
                folder: folder.path().to_owned(),
                timeout,
            };
            for (step, row) in STEPS.iter().zip(&mut rows) {
                let began = Instant::now();
                let outcome = match tokio::time::timeout(timeout, (step.run)(&place)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(anyhow::anyhow!("not done within {timeout:?}")),
                };
                row.push(outcome.map(|()| began.elapsed()));
            }
            place.connection.close().await;
        }
        let named_pipe = named_pipe(&folder, timeout).await;
        let transports = server.addresses().iter().map(Address::transport).collect();
        server.stop().await.context("stopping the server")?;
        report(transports, rows, named_pipe)
    }
}

/// The guide's third program: one writes into a named pipe, another reads from it.
async fn named_pipe(folder: &Folder, timeout: Duration) -> Result<Duration> {
    let began = Instant::now();
    let address: Address = format!("pipe:{}/p", folder.path().display()).parse()?;
    let sent = processes::send_and_receive(&address, 1);
    tokio::time::timeout(timeout, sent).await.context("not done in time")??;
    Ok(began.elapsed())
}

fn report(transports: Vec<&str>, rows: Vec<Vec<Result<Duration>>>, named_pipe: Result<Duration>) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let header = [String::new()].into_iter().chain(transports.iter().map(|transport| format!("{transport}:")));
    table.set_header(header);
    let mut failures = Vec::new();
    for (step, row) in STEPS.iter().zip(rows) {
        let mut cells = vec![Cell::new(step.name)];
        for (outcome, transport) in row.into_iter().zip(&transports) {
            cells.push(cell(&outcome));
            failures.extend(outcome.err().map(|error| format!("{} over {transport}: {error:#}", step.name)));
        }
        table.add_row(cells);
    }
    let mut cells = vec![Cell::new("a message through a named pipe")];
    cells.extend(transports.iter().map(|transport| match *transport {
        "pipe" => cell(&named_pipe),
        _ => Cell::new(""),
    }));
    table.add_row(cells);
    failures.extend(named_pipe.err().map(|error| format!("a message through a named pipe: {error:#}")));

    let mut out = std::io::stdout().lock();
    writeln!(out, "{table}")?;
    writeln!(out, "One schema, one program, one server process; only the address differed between the columns.")?;
    match failures.is_empty() {
        true => Ok(()),
        false => bail!("{} of the steps failed:\n  {}", failures.len(), failures.join("\n  ")),
    }
}

fn cell(outcome: &Result<Duration>) -> Cell {
    match outcome {
        Ok(time) => Cell::new(format!("{:.2} ms", time.as_secs_f64() * 1e3)).set_alignment(CellAlignment::Right),
        Err(_) => Cell::new("failed").set_alignment(CellAlignment::Right),
    }
}
