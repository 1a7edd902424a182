//! `shipmate send`: sends lines of JSON as records.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use shipmate::message::Sender;
use shipmate::schema::record_capnp::record;
use shipmate::transport::Connecting;
use shipmate::{Address, Error, Limits};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::timeout;

use crate::context::Context;
use crate::record::Record;

/// Send records, one for each line of JSON
///
/// Reads standard input, or a file, and sends each line as it comes, to one `shipmate recv` or any other
/// receiver. On a pipe: address it writes to the named pipe itself, and waits for a reader for as long as
/// it takes, or for --timeout if that is given.
///
/// A receiver that ends, or dies, ends it with an error, even while no line comes. A line that is wrong ends it
/// with an error that names the line and the field; the records before it have been sent then. Empty lines
/// are skipped.
#[derive(Args)]
#[command(after_help = r#"Examples:
  echo '{"name": "depth", "value": 42}' | shipmate send pipe:./p
  shipmate send tcp:127.0.0.1:7701 records.jsonl

A record with every field, all of which may be left out (to be written in one line):
  {"name": "buoy 7", "value": -3, "tags": ["sea", "north"],
   "position": {"latitude": 54.5, "longitude": 9.9},
   "readings": [{"sensor": "wind", "timeMillis": 1700000000000, "values": [7.5, "NaN"]}],
   "body": {"text": "calm"}}
A body is {"text": "..."}, {"number": 1.5} or {"bytes": "BASE64"}. Floats may be the texts "NaN",
"Infinity" and "-Infinity"; integers keep all of their 64 bits."#)]
pub(crate) struct Send {
    /// Where the receiver listens
    address: Address,

    /// A file to read; - is standard input
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
}

/// A longer line cannot be a record that may be sent: text takes at most six bytes of JSON for one.
const LINE_BYTES_MAX: u64 = 6 * (64 << 20);

/// A receiver that takes so many records and ends is no failure if that were all: the end of the input,
/// which may be about to come, tells.
const INPUT_END_MAX: Duration = Duration::from_millis(200);

/// Lines that are read ahead.
const LINES_AHEAD: usize = 64;

impl Send {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        // Before connecting, so that a wrong file name costs the receiver nothing.
        let input = open(self.file).await?;
        let mut sender = connect(context, self.address).await?;
        let mut records = records(input)?;
        let sent = send_all(&mut sender, &mut records).await;
        // The receiver gets a proper end even after a wrong line.
        let finished = sender.finish().await;
        sent?;
        Ok(finished?)
    }
}

async fn connect(context: &Context, address: Address) -> anyhow::Result<Sender<record::Owned>> {
    let limit = match address {
        Address::Pipe(_) => context.timeout_given,
        _ => Some(context.timeout),
    };
    let options = Connecting { tier: context.tier, ..Connecting::default() };
    let connecting = Sender::connect_with(address.clone(), &options, &Limits::DEFAULT);
    let Some(limit) = limit else { return Ok(connecting.await?) };
    match timeout(limit, connecting).await {
        Ok(sender) => Ok(sender?),
        Err(_) => Err(Error::Unreachable { address, reason: format!("nobody received within {limit:?}") }.into()),
    }
}

/// Sends records in groups while they come faster than they can be written. A receiver that is gone ends it
/// even while no record comes.
async fn send_all(
    sender: &mut Sender<record::Owned>,
    records: &mut mpsc::Receiver<anyhow::Result<(u64, Record)>>,
) -> anyhow::Result<()> {
    let mut sent = 0;
    loop {
        let (line, record) = match records.try_recv() {
            Ok(record) => record,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                sender.flush().await?;
                let next = tokio::select! {
                    biased;
                    next = records.recv() => next,
                    gone = sender.closed() => match timeout(INPUT_END_MAX, records.recv()).await {
                        Ok(None) => None,
                        _ => return Err(anyhow!("after line {sent}: {gone}")),
                    },
                };
                match next {
                    Some(record) => record,
                    None => return Ok(()),
                }
            }
        }?;
        sender.feed(|to| record.build(to)).await.map_err(|error| match error {
            Error::Limit { .. } => anyhow!("line {line}: {error}"),
            _ => error.into(),
        })?;
        sent = line;
    }
}

/// What records are read from.
type Input = Box<dyn Read + std::marker::Send>;

/// Opens a file, or standard input. On a thread of its own, as that may wait: the file may be a named pipe.
pub(crate) async fn open(file: PathBuf) -> anyhow::Result<Input> {
    let input = tokio::task::spawn_blocking(move || -> anyhow::Result<Input> {
        match file.as_os_str() == "-" {
            true => Ok(Box::new(io::stdin())),
            false => Ok(Box::new(File::open(&file).with_context(|| format!("open {}", file.display()))?)),
        }
    });
    input.await?
}

/// The records of an input, each with the number of its line. Reading may wait for ever, so it gets a
/// thread that the program's end does not wait for.
pub(crate) fn records(input: Input) -> io::Result<mpsc::Receiver<anyhow::Result<(u64, Record)>>> {
    let (to, records) = mpsc::channel(LINES_AHEAD);
    std::thread::Builder::new().name("input".into()).spawn(move || read_records(input, &to))?;
    Ok(records)
}

/// Reads until the end, the first wrong line, or until nobody wants more.
fn read_records(input: impl Read, to: &mpsc::Sender<anyhow::Result<(u64, Record)>>) {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let record = match (&mut input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => parse(&line).map(|record| (number, record)).map_err(|wrong| anyhow!("line {number}: {wrong}")),
            Err(error) => Err(anyhow::Error::new(error).context(format!("read line {number}"))),
        };
        let was_wrong = record.is_err();
        if to.blocking_send(record).is_err() || was_wrong {
            return;
        }
    }
}

fn parse(line: &[u8]) -> Result<Record, String> {
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
    }
    Record::parse(str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an input: the values of the records, and the error.
    fn read(input: &[u8]) -> (Vec<i64>, Option<String>) {
        let (to, mut records) = mpsc::channel(LINES_AHEAD);
        read_records(input, &to);
        drop(to);
        let (mut values, mut error) = (Vec::new(), None);
        while let Ok(record) = records.try_recv() {
            match record {
                Ok((_, record)) => values.push(record.value),
                Err(wrong) => error = Some(wrong.to_string()),
            }
        }
        (values, error)
    }

    #[test]
    fn lines_are_records_and_the_last_needs_no_end() {
        assert_eq!(read(b""), (vec![], None));
        assert_eq!(read(b"{\"value\":1}\n\n  \r\n{\"value\":2}\r\n{\"value\":3}"), (vec![1, 2, 3], None));
    }

    #[test]
    fn the_first_wrong_line_is_named_and_ends_it() {
        let (values, error) = read(b"{\"value\":1}\n\n{\"value\":true}\n{\"value\":4}\n");
        assert_eq!(values, [1]);
        let error = error.unwrap();
        assert!(error.starts_with("line 3: value: invalid type: boolean"), "{error}");
        let (values, error) = read(b"{\"value\":1}\n{\"name\":\"\xff\"}\n");
        assert_eq!(values, [1]);
        assert!(error.unwrap().starts_with("line 2: not UTF-8"));
    }
}
