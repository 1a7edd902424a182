//! `shipmate recv`.

use std::io::Write;

use anyhow::{Context, Result};
use shipmate::message::Listener;
use shipmate::schema::record_capnp::record;
use shipmate::{Address, Limits, ListenOptions};

use crate::record::Record;

/// Receive records from one sender and print each as a line of JSON.
///
/// It ends when the sender does. On a pipe: address it makes the FIFO if it is missing; on others it
/// listens, and says where on standard error.
#[derive(clap::Args)]
#[command(after_help = "Example: shipmate recv pipe:./p")]
pub(crate) struct Recv {
    address: Address,
    /// End after this many records.
    #[arg(long, short, value_name = "N")]
    count: Option<u64>,
}

impl Recv {
    pub(crate) async fn run(self) -> Result<()> {
        let mut listener = Listener::bind_with(self.address, &ListenOptions::default(), Limits::DEFAULT).await?;
        let _ = writeln!(std::io::stderr(), "shipmate: receiving at {}", listener.address());
        let mut receiver = listener.accept::<record::Owned>().await?;
        let mut received = 0;
        while self.count.is_none_or(|count| received < count) {
            let Some(message) = receiver.recv().await? else { break };
            received += 1;
            let record = Record::from_message(message.get()?).with_context(|| format!("record {received}"))?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", record.to_json()?)?;
            out.flush()?;
        }
        Ok(())
    }
}
