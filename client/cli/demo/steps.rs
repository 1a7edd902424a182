//! The steps of the demo, each of which checks what it gets.

use std::fmt::Debug;
use std::path::Path;

use anyhow::{Context as _, ensure};
use futures::future::{LocalBoxFuture, try_join, try_join_all};
use shipmate::schema::arith_capnp::{ArithError, arith};
use shipmate::schema::calculator_capnp::calculator;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, ConnectOptions, Connection, Error, Handle, Reconnect, RequestExt};
use tokio::io::AsyncWriteExt;

use super::Transport;
use crate::context::Context;
use crate::process::Process;
use crate::record::{Body, Float, Position, Reading, Record};
use crate::{arith as calls, calc};

/// What a step has to work with.
pub(super) struct Stage<'a> {
    pub(super) context: Context,
    /// To the server's front door.
    pub(super) connection: Connection,
    /// Where the server listens, unless it is in this process.
    pub(super) address: Option<Address>,
    pub(super) transport: Transport,
    pub(super) folder: &'a Path,
}

pub(super) struct Step {
    pub(super) name: &'static str,
    /// Whether it can be taken where there is one process and no address.
    pub(super) within_process: bool,
    pub(super) take: for<'a> fn(&'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>,
}

/// Every step, in order.
pub(super) static STEPS: &[Step] = &[
    Step { name: "synchronous call", within_process: false, take: |stage| Box::pin(synchronous_call(stage)) },
    Step { name: "asynchronous call", within_process: true, take: |stage| Box::pin(asynchronous_call(stage)) },
    Step { name: "division by zero", within_process: true, take: |stage| Box::pin(division_by_zero(stage)) },
    Step { name: "1,000 calls in flight", within_process: true, take: |stage| Box::pin(calls_in_flight(stage)) },
    Step { name: "promise pipelining", within_process: true, take: |stage| Box::pin(promise_pipelining(stage)) },
    Step { name: "callback", within_process: true, take: |stage| Box::pin(callback(stage)) },
    Step { name: "1,000 records, process to process", within_process: false, take: |stage| Box::pin(records(stage)) },
    Step {
        name: "text message, process to process",
        within_process: false,
        take: |stage| Box::pin(text_message(stage)),
    },
];

/// For a program that has no runtime and waits for each result.
async fn synchronous_call(stage: &Stage<'_>) -> anyhow::Result<()> {
    let (address, timeout) = (stage.address.clone().context("no address")?, stage.context.timeout);
    let call = move || {
        let options = ConnectOptions { timeout, ..ConnectOptions::default() };
        let ship = Handle::connect_blocking(address, options, Reconnect::Never)?;
        ship.call_blocking(async move |front: front::Client| {
            let mut request = front.ping_request();
            request.get().set_payload(b"ahoy");
            Ok::<_, Error>(request.within(timeout).await?.get()?.get_payload()?.to_vec())
        })
    };
    is("the echo", tokio::task::spawn_blocking(call).await??, b"ahoy".to_vec())
}

/// One that is under way while something else is done.
async fn asynchronous_call(stage: &Stage<'_>) -> anyhow::Result<()> {
    let Stage { context, .. } = stage;
    stage
        .arith(async |arith| {
            let product = calls::multiply(context, &arith, 6, 7);
            let quotient = calls::divide(context, &arith, 22, 7);
            let (product, quotient) = try_join(product, quotient).await?;
            is("6 * 7", product, Ok(42))?;
            is("22 / 7", quotient, Ok((3, 1)))
        })
        .await
}

/// An error that a program can tell from others without reading its text.
async fn division_by_zero(stage: &Stage<'_>) -> anyhow::Result<()> {
    let quotient = stage.arith(async |arith| Ok(calls::divide(&stage.context, &arith, 1, 0).await?)).await?;
    is("1 / 0", quotient, Err(ArithError::DivideByZero))
}

async fn calls_in_flight(stage: &Stage<'_>) -> anyhow::Result<()> {
    let products = stage.arith(async |arith| {
        let calls = (0..1000).map(|n| calls::multiply(&stage.context, &arith, n, n + 1));
        Ok(try_join_all(calls).await?)
    });
    is("n * (n + 1)", products.await?, (0..1000).map(|n| Ok(n * (n + 1))).collect())
}

/// The front door's `get`, the calculator's `getOperator` and `evaluate` and the value's `read` are all
/// sent before the first of them is answered.
async fn promise_pipelining(stage: &Stage<'_>) -> anyhow::Result<()> {
    is("2 * (3 + 4) / 7", stage.calculate("2 * (3 + 4) / 7").await?, 2.0)
}

/// The server calls a function of this process to work the expression out.
async fn callback(stage: &Stage<'_>) -> anyhow::Result<()> {
    is("pow(2, 10) - 1", stage.calculate("pow(2, 10) - 1").await?, 1023.0)
}

async fn records(stage: &Stage<'_>) -> anyhow::Result<()> {
    let record = |n: i64| Record {
        name: format!("buoy {n}"),
        value: i64::MAX - n,
        tags: vec!["sea".to_owned(), "north".to_owned()],
        position: Some(Position { latitude: Float(54.5), longitude: Float(n as f64 / 7.0) }),
        readings: vec![Reading {
            sensor: "wind".to_owned(),
            time_millis: n,
            values: vec![Float(7.5), Float(f64::NAN)],
        }],
        body: Some(Body::Bytes(n.to_le_bytes().to_vec())),
    };
    stage.relay(&(0..1000).map(record).collect::<Vec<_>>()).await
}

/// What the guide's programs say through a named pipe, if that is the transport.
async fn text_message(stage: &Stage<'_>) -> anyhow::Result<()> {
    let body = Some(Body::Text("Ahoy from another process!".to_owned()));
    stage.relay(&[Record { body, ..Record::default() }]).await
}

impl Stage<'_> {
    async fn arith<T>(&self, calls: impl AsyncFn(arith::Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.context.with_service(&self.connection, "arith", calls).await
    }

    async fn calculate(&self, expression: &str) -> anyhow::Result<f64> {
        let evaluate =
            async |calculator: calculator::Client| calc::evaluate(&self.context, &calculator, expression).await;
        self.context.with_service(&self.connection, "calculator", evaluate).await
    }

    /// Has one process send the records to another, and sees that the same ones arrive.
    async fn relay(&self, records: &[Record]) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("find this program")?;
        let address = self.transport.address(self.folder, "records").context("no address")?;
        let mut receiver = Process::start(&program, &["recv", &address, "--until-stdin-ends"], true)?;
        let address = match self.transport {
            // Its writer waits for the reader.
            Transport::Pipe => address,
            _ => listening_at(&mut receiver).await?,
        };
        let mut sender = Process::start(&program, &["send", &address], true)?;

        let send = async {
            let mut stdin = sender.stdin.take().context("no standard input")?;
            for record in records {
                stdin.write_all(format!("{}\n", record.to_json()).as_bytes()).await?;
            }
            drop(stdin);
            sender.finish().await
        };
        let receive = async {
            let mut lines = receiver.stdout.take().context("no standard output")?;
            let mut received = Vec::new();
            while let Some(line) = lines.next_line().await? {
                received.push(Record::parse(&line).map_err(anyhow::Error::msg)?);
            }
            receiver.finish().await?;
            Ok(received)
        };
        let ((), received) = try_join(send, receive).await?;
        is("the number of records", received.len(), records.len())?;
        received.iter().zip(records).try_for_each(|(received, sent)| is("a record", received, sent))
    }
}

/// What a receiver says first.
async fn listening_at(receiver: &mut Process) -> anyhow::Result<String> {
    let lines = receiver.stderr.as_mut().context("no standard error")?;
    let line = lines.next_line().await?.context("the receiver ended before it listened")?;
    let address = line.strip_prefix("shipmate: listening at ");
    Ok(address.with_context(|| format!("the receiver said: {line}"))?.to_owned())
}

fn is<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> anyhow::Result<()> {
    ensure!(got == expected, "{what} should be {expected:?} and was {got:?}");
    Ok(())
}
