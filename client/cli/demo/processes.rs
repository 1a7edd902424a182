//! The processes of the demonstration, and the steps that are about them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use shipmate::Address;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::Place;
use crate::record::{Body, Position, Record};

/// A private folder for sockets and FIFOs, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("shipmate-demo-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server process; killed when dropped, unless it was stopped.
pub(crate) struct Server {
    process: Child,
    addresses: Vec<Address>,
}

impl Server {
    /// Starts `shipmated` and waits until it is ready.
    pub(crate) async fn start(program: Option<PathBuf>, listen: &[String], timeout: Duration) -> Result<Self> {
        let program = match program {
            Some(program) => program,
            None => std::env::current_exe()?.with_file_name("shipmated"),
        };
        let mut command = Command::new(&program);
        command.args(listen.iter().flat_map(|address| ["--listen", address]));
        command.args(["--log-level", "warn"]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| {
            format!("starting {}: build it with `cargo build --bins`, or name it with --server", program.display())
        })?;
        let stdout = process.stdout.take().context("its standard output")?;
        let ready = tokio::time::timeout(timeout, ready_addresses(stdout)).await;
        Ok(Server {
            process,
            addresses: ready.with_context(|| format!("the server was not ready within {timeout:?}"))??,
        })
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Asks it to end, as a service manager would, and waits for it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.process.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            kill_process(pid, Signal::TERM)?;
        }
        let status = self.process.wait().await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

/// The addresses that the server says it listens at, once it says that it is ready.
async fn ready_addresses(stdout: impl tokio::io::AsyncRead + Unpin) -> Result<Vec<Address>> {
    let mut lines = BufReader::new(stdout).lines();
    let mut addresses = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line == "shipmated: ready" {
            return Ok(addresses);
        }
        // "shipmated: listening at ADDRESS (SERVICE)"
        if let Some((_, rest)) = line.split_once("listening at ")
            && let Some((address, _)) = rest.rsplit_once(" (")
        {
            addresses.push(address.parse()?);
        }
    }
    bail!("the server ended before it was ready; its log is above")
}

/// Records from one process to another, over an address of this transport.
pub(crate) async fn records(place: &Place) -> Result<()> {
    let address = match place.transport {
        "tcp" => "tcp:127.0.0.1:0".to_owned(),
        other => format!("{other}:{}/records", place.folder.display()),
    };
    send_and_receive(&address.parse()?, 100).await
}

/// Runs `shipmate recv` and `shipmate send`, and compares what comes out with what went in.
pub(crate) async fn send_and_receive(address: &Address, count: i64) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut receiver = Command::new(&program)
        .args(["recv", &address.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = BufReader::new(receiver.stderr.take().context("its standard error")?);
    let mut line = String::new();
    said.read_line(&mut line).await?;
    let Some((_, address)) = line.trim().split_once("receiving at ") else { bail!("the receiver said {line:?}") };
    let mut sender = Command::new(&program).args(["send", address]).stdin(Stdio::piped()).kill_on_drop(true).spawn()?;

    let lines = (0..count).map(|number| sample(number).to_json()).collect::<Result<Vec<_>>>()?;
    let sent = lines.join("\n") + "\n";
    let mut input = sender.stdin.take().context("its standard input")?;
    input.write_all(sent.as_bytes()).await?;
    drop(input);

    let mut received = String::new();
    receiver.stdout.take().context("its standard output")?.read_to_string(&mut received).await?;
    for (name, process) in [("sender", &mut sender), ("receiver", &mut receiver)] {
        let status = process.wait().await?;
        ensure!(status.success(), "the {name} ended with {status}");
    }
    ensure!(received == sent, "other records were received than were sent");
    Ok(())
}

fn sample(number: i64) -> Record {
    Record {
        name: format!("sounding {number}"),
        value: number,
        tags: vec!["harbour".into(), "night".into()],
        position: Some(Position { latitude: crate::record::Float(54.3), longitude: crate::record::Float(10.1) }),
        body: Some(Body::Text("calm".into())),
        ..Default::default()
    }
}
