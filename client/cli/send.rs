//! `shipmate send`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use shipmate::Address;
use shipmate::message::Sender;
use shipmate::schema::record_capnp::record;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::record::Record;

/// Send records, one for each line of JSON, to a receiver.
///
/// On a pipe: address it waits for the reader, and makes the FIFO if it is missing. Records before a line
/// that is wrong are delivered.
#[derive(clap::Args)]
#[command(after_help = "Example: echo '{\"name\": \"depth\", \"value\": 42}' | shipmate send pipe:./p")]
pub(crate) struct Send {
    address: Address,
    /// Where the lines are; standard input if it is not given.
    file: Option<PathBuf>,
}

impl Send {
    pub(crate) async fn run(self) -> Result<()> {
        let input: Box<dyn AsyncRead + Unpin> = match &self.file {
            Some(path) => Box::new(File::open(path).await.with_context(|| path.display().to_string())?),
            None => Box::new(tokio::io::stdin()),
        };
        let mut sender = Sender::<record::Owned>::connect(self.address).await?;
        let sent = send_lines(&mut sender, BufReader::new(input)).await;
        // Even after a line that is wrong: what was right before it arrives, and the stream ends cleanly.
        let finished = sender.finish().await;
        sent?;
        Ok(finished?)
    }
}

async fn send_lines(sender: &mut Sender<record::Owned>, mut input: impl AsyncBufReadExt + Unpin) -> Result<()> {
    let (mut line, mut number) = (String::new(), 0u64);
    loop {
        line.clear();
        number += 1;
        let place = || format!("line {number}");
        if input.read_line(&mut line).await.with_context(place)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        let record = Record::from_json(&line).with_context(place)?;
        record.check().with_context(place)?;
        sender.send(|builder| record.build(builder)).await?;
    }
}
