//! `shipmate recv`: prints the records that a sender sends.

use std::io::Write;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use shipmate::message::Listener;
use shipmate::schema::record_capnp::record;
use shipmate::{Address, Limits, ListenOptions};

use crate::context::Context;
use crate::output::Output;
use crate::record::Record;

/// Receive records and print each as a line of JSON
///
/// Listens at the address, says so on standard error, and takes the records of the first sender until
/// that one ends. On a pipe: address it reads the named pipe itself, which is made if it is missing and
/// removed afterwards if it was made. Floats that JSON does not have are the texts "NaN", "Infinity" and
/// "-Infinity"; bytes are base64.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate recv pipe:./p                 the reader of a named pipe; `shipmate send pipe:./p` writes
  shipmate recv tcp:127.0.0.1:0          any free port; standard error tells which
  shipmate recv unix:/tmp/r --count 1    one record")]
pub(crate) struct Recv {
    /// Where to listen
    address: Address,

    /// Stop after so many records; it is an error when the sender ends before
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End when standard input does: for a program that starts this one and may be killed
    #[arg(long)]
    until_stdin_ends: bool,
}

impl Recv {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let input_ends = end_of_stdin(self.until_stdin_ends);
        tokio::select! {
            biased;
            received = self.receive(context, output) => received,
            () = input_ends => bail!("standard input ended before the sender did"),
        }
    }

    async fn receive(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let options = ListenOptions { tier: context.tier, ..ListenOptions::default() };
        let mut listener = Listener::bind_with(self.address, &options, Limits::DEFAULT).await?;
        if !matches!(listener.address(), Address::Pipe(_)) {
            let _ = writeln!(std::io::stderr(), "shipmate: listening at {}", listener.address());
        }
        let mut receiver = listener.accept::<record::Owned>().await?;
        // A second sender learns at once that nobody waits for it.
        drop(listener);
        let mut received = 0;
        while self.count != Some(received) {
            let Some(message) = receiver.recv().await? else { break };
            received += 1;
            let record = Record::read(message.get().map_err(shipmate::Error::from)?);
            let record = record.with_context(|| format!("record {received} cannot be printed"))?;
            output.line(record.to_json()).await?;
        }
        let expected = self.count.unwrap_or(received);
        ensure!(received == expected, "the sender ended after {received} of {expected} records");
        Ok(())
    }
}

/// Resolves at the end of standard input, if that is wanted.
async fn end_of_stdin(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}
