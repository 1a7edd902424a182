//! Everything that a connection can have under way at once, and the service for it: a part of the conformance
//! interface.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use futures::future::{LocalBoxFuture, join_all};
use shipmate::schema::conformance_capnp::{callback, conformance, sink};
use shipmate::{Connection, Error, Result};
use tokio::sync::Semaphore;

/// What is under way on each connection, and counts when it has been once around.
pub(crate) const WORKERS: usize = SIZES.len() * 2 + 3;

/// Payloads of calls: in one record, in several, and more than the ring holds.
const SIZES: [usize; 4] = [100, 4 << 10, 60 << 10, 300 << 10];

/// Uses the connection until it ends, and gives the error of each that used it. What has gone well once adds a
/// permit to `busy`.
pub(crate) async fn load(connection: &Connection, busy: &Semaphore) -> Vec<Error> {
    let server: conformance::Client = connection.bootstrap();
    let mut workers: Vec<LocalBoxFuture<'_, Error>> = Vec::new();
    for worker in 0..2 * SIZES.len() {
        let (server, bytes) = (server.clone(), SIZES[worker % SIZES.len()]);
        workers.push(Box::pin(repeat(busy, async move || echo(&server, &vec![worker as u8; bytes]).await)));
    }
    workers.push(Box::pin(repeat(busy, async || stream(&server).await)));
    workers.push(Box::pin(repeat(busy, async || call_back(&server).await)));
    workers.push(Box::pin(hang(&server, busy)));
    assert_eq!(workers.len(), WORKERS);
    join_all(workers).await
}

pub(crate) async fn echo(server: &conformance::Client, payload: &[u8]) -> Result<()> {
    let mut request = server.data_request();
    request.get().set_value(payload);
    let response = request.send().promise.await?;
    assert!(response.get()?.get_value()? == payload, "{} bytes come back changed", payload.len());
    Ok(())
}

async fn repeat(busy: &Semaphore, mut work: impl AsyncFnMut() -> Result<()>) -> Error {
    let mut around = false;
    loop {
        if let Err(error) = work().await {
            return error;
        }
        if !std::mem::replace(&mut around, true) {
            busy.add_permits(1);
        }
    }
}

async fn stream(server: &conformance::Client) -> Result<()> {
    const CHUNKS: u32 = 20;
    let sink = server.open_sink_request().send().pipeline.get_sink();
    for _ in 0..CHUNKS {
        let mut write = sink.write_request();
        write.get().set_chunk(&[7; 30_000]);
        write.send().await?;
    }
    let done = sink.done_request().send().promise.await?;
    assert_eq!((done.get()?.get_chunks(), done.get()?.get_bytes()), (CHUNKS, u64::from(CHUNKS) * 30_000));
    Ok(())
}

async fn call_back(server: &conformance::Client) -> Result<()> {
    let mut request = server.call_request();
    request.get().set_callback(capnp_rpc::new_client(Twice));
    request.get().set_times(5);
    let response = request.send().promise.await?;
    assert_eq!(response.get()?.get_sum(), 2 * (1 + 2 + 3 + 4));
    Ok(())
}

/// A call that the end of the connection finds at work.
async fn hang(server: &conformance::Client, busy: &Semaphore) -> Error {
    let call = server.hang_request().send().promise;
    busy.add_permits(1);
    match call.await {
        Ok(_) => panic!("a call that is never answered was"),
        Err(error) => error.into(),
    }
}

struct Twice;

impl callback::Server for Twice {
    async fn call(
        self: Rc<Self>,
        params: callback::CallParams,
        mut results: callback::CallResults,
    ) -> std::result::Result<(), capnp::Error> {
        results.get().set_answer(2 * params.get()?.get_number());
        Ok(())
    }
}

/// The service.
pub(crate) struct Service;

impl conformance::Server for Service {
    async fn data(
        self: Rc<Self>,
        params: conformance::DataParams,
        mut results: conformance::DataResults,
    ) -> std::result::Result<(), capnp::Error> {
        results.get().set_value(params.get()?.get_value()?);
        Ok(())
    }

    async fn open_sink(
        self: Rc<Self>,
        _: conformance::OpenSinkParams,
        mut results: conformance::OpenSinkResults,
    ) -> std::result::Result<(), capnp::Error> {
        results.get().set_sink(capnp_rpc::new_client(Sink::default()));
        Ok(())
    }

    async fn call(
        self: Rc<Self>,
        params: conformance::CallParams,
        mut results: conformance::CallResults,
    ) -> std::result::Result<(), capnp::Error> {
        let callback = params.get()?.get_callback()?;
        let mut sum = 0;
        for number in 0..params.get()?.get_times() {
            let mut request = callback.call_request();
            request.get().set_number(number.into());
            sum += request.send().promise.await?.get()?.get_answer();
        }
        results.get().set_sum(sum);
        Ok(())
    }

    async fn hang(
        self: Rc<Self>,
        _: conformance::HangParams,
        _: conformance::HangResults,
    ) -> std::result::Result<(), capnp::Error> {
        pending().await
    }
}

#[derive(Default)]
struct Sink {
    chunks: Cell<u32>,
    bytes: Cell<u64>,
}

impl sink::Server for Sink {
    async fn write(self: Rc<Self>, params: sink::WriteParams) -> std::result::Result<(), capnp::Error> {
        self.chunks.set(self.chunks.get() + 1);
        self.bytes.set(self.bytes.get() + params.get()?.get_chunk()?.len() as u64);
        Ok(())
    }

    async fn done(
        self: Rc<Self>,
        _: sink::DoneParams,
        mut results: sink::DoneResults,
    ) -> std::result::Result<(), capnp::Error> {
        results.get().set_chunks(self.chunks.get());
        results.get().set_bytes(self.bytes.get());
        Ok(())
    }
}
