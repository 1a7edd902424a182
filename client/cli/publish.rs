//! `shipmate publish`: publishes lines of JSON as records, to many.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use shipmate::message::{PublishOptions, Publisher};
use shipmate::schema::record_capnp::record;
use shipmate::{Address, Error, Limits};
use tokio::sync::mpsc;

use crate::record::Record;
use crate::send;

/// Publish records, one for each line of JSON, to any number of subscribers
///
/// Listens at the shm: address, says so on standard error, waits for the first subscriber, and publishes
/// each line as it comes. Each record is written once, into memory that all subscribers see. One that
/// connects later gets the records from then on.
///
/// Lines are those of `shipmate send`; a wrong one ends it with an error that names the line.
#[derive(Args)]
#[command(after_help = "\
Examples:
  seq 5 | sed 's/.*/{\"value\": &}/' | shipmate publish shm:/tmp/depths
  shipmate publish shm:/tmp/depths records.jsonl --wait 3")]
pub(crate) struct Publish {
    /// Where to listen for subscribers: shm:/path
    address: Address,

    /// A file to read; - is standard input
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,

    /// Publish nothing before there are so many subscribers
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    wait: usize,

    /// The memory that holds the records: a power of two, four times the largest record at least
    #[arg(long, value_name = "BYTES", default_value_t = PublishOptions::default().ring_bytes)]
    ring: usize,
}

impl Publish {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // Before listening, so that a wrong file name costs nobody anything.
        let input = send::open(self.file).await?;
        let options = PublishOptions { ring_bytes: self.ring, ..PublishOptions::default() };
        let mut publisher = Publisher::bind_with(self.address, &options, &Limits::DEFAULT).await?;
        let _ = writeln!(std::io::stderr(), "shipmate: publishing at {}", publisher.address());
        publisher.subscribed(self.wait).await;
        let published = publish_all(&mut publisher, send::records(input)?).await;
        // Subscribers get a proper end even after a wrong line.
        publisher.finish().await;
        published
    }
}

async fn publish_all(
    publisher: &mut Publisher<record::Owned>,
    mut records: mpsc::Receiver<anyhow::Result<(u64, Record)>>,
) -> anyhow::Result<()> {
    while let Some(record) = records.recv().await {
        let (line, record) = record?;
        publisher.send(|to| record.build(to)).await.map_err(|error| match error {
            Error::Limit { .. } => anyhow!("line {line}: {error}"),
            _ => error.into(),
        })?;
    }
    Ok(())
}
