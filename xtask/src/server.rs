//! A `shipmated`, and the clients that it is started for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A program that says nothing for so long hangs.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A `shipmated` that hosts a service.
pub(crate) struct Server {
    pub(crate) address: String,
    program: String,
    service: String,
    process: Killed,
    /// The server ends with this.
    _input: ChildStdin,
}

impl Server {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(program: &str, address: &str, service: &str) -> Result<Self> {
        let mut process = Killed(
            Command::new(program)
                .env("RUST_LOG", "warn")
                .args(["--until-stdin-ends", "--listen", &format!("{address}={service}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {program}"))?,
        );
        let input = process.0.stdin.take().context("it has a standard input")?;
        let lines = lines_of(process.0.stdout.take().context("it has a standard output")?);
        let mut address = address.to_owned();
        loop {
            let line = lines.recv_timeout(SILENCE_MAX).context("shipmated did not become ready")?;
            match line.strip_prefix("shipmated: listening at ").and_then(|rest| rest.split_once(" (")) {
                // With the port that the system chose, which the next one is to have too.
                Some((listening, _)) => address = listening.to_owned(),
                None if line == "shipmated: ready" => break,
                None => {}
            }
        }
        Ok(Server { address, program: program.into(), service: service.into(), process, _input: input })
    }

    /// Kills it, as a crash would, and starts another at the same address.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process.0.kill()?;
        self.process.0.wait()?;
        *self = Self::start(&self.program, &self.address, &self.service)?;
        Ok(())
    }
}

/// A process that does not outlive this value.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that a process prints.
pub(crate) fn lines_of(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let _ = BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
    });
    lines
}
