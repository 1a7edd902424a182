//! `shipmate subscribe`: prints the records that a publisher publishes.

use std::io::Write;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use shipmate::message::{Policy, SubscribeOptions, Subscriber};
use shipmate::schema::record_capnp::record;
use shipmate::{Address, Limits};

use crate::context::Context;
use crate::output::Output;
use crate::record::Record;

/// Print the records that a publisher publishes, each as a line of JSON
///
/// Any number of subscribers may listen to one `shipmate publish`, or any other publisher, and each gets
/// the records that are published after it has connected. It ends with the publisher.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate subscribe shm:/tmp/depths                       every record; the publisher waits for this one
  shipmate subscribe shm:/tmp/depths --policy lose-oldest  the publisher waits for nobody")]
pub(crate) struct Subscribe {
    /// Where the publisher listens: shm:/path
    address: Address,

    /// What happens when the publisher is faster
    #[arg(short, long, value_name = "POLICY", default_value = "block")]
    policy: PolicyName,

    /// Stop after so many records; it is an error when the publisher ends before
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PolicyName {
    /// It waits, and every record is printed
    Block,
    /// It does not wait; records are lost, the oldest first, and standard error says how many
    LoseOldest,
}

impl Subscribe {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let policy = match self.policy {
            PolicyName::Block => Policy::Block,
            PolicyName::LoseOldest => Policy::LoseOldest,
        };
        let options = SubscribeOptions { timeout: context.timeout, ..SubscribeOptions::default() };
        let mut subscriber = Subscriber::connect_with(self.address, policy, &options, &Limits::DEFAULT).await?;
        let _ = writeln!(std::io::stderr(), "shipmate: subscribed");
        let printed = print(&mut subscriber, self.count, output).await;
        if subscriber.lost() > 0 {
            let _ = writeln!(std::io::stderr(), "shipmate: {} records were lost", subscriber.lost());
        }
        printed
    }
}

async fn print(
    subscriber: &mut Subscriber<record::Owned>,
    count: Option<u64>,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut received = 0;
    while count != Some(received) {
        let Some(message) = subscriber.recv().await? else { break };
        received += 1;
        let record = Record::read(message.get().map_err(shipmate::Error::from)?);
        let record = record.with_context(|| format!("record {received} cannot be printed"))?;
        output.line(record.to_json()).await?;
    }
    let expected = count.unwrap_or(received);
    ensure!(received == expected, "the publisher ended after {received} of {expected} records");
    Ok(())
}
