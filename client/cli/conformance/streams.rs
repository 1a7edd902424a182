//! Streams (`-> stream`), whose sender is held back by what the receiver has handled.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use shipmate::schema::conformance_capnp::{conformance, sink};

use super::{is, is_same};

const CHUNKS: u32 = 200;
const CHUNK_BYTES: u32 = 10_000;
const PEAK_BYTES_MAX: u64 = 1 << 20;

pub(super) async fn up(server: &conformance::Client) -> anyhow::Result<()> {
    let sink = server.open_sink_request().send().promise.await?.get()?.get_sink()?;
    for number in 0..CHUNKS {
        let mut write = sink.write_request();
        write.get().set_chunk(&chunk(number));
        // Resolves when there is room for the next.
        write.send().await?;
    }
    let response = sink.done_request().send().promise.await?;
    let done = response.get()?;
    let sum = (0..CHUNKS).flat_map(chunk).map(u32::from).sum();
    is("the chunks", done.get_chunks(), CHUNKS)?;
    is("the bytes", done.get_bytes(), u64::from(CHUNKS * CHUNK_BYTES))?;
    is("their sum", done.get_sum(), sum)
}

pub(super) async fn down(server: &conformance::Client) -> anyhow::Result<()> {
    let sink = Rc::new(SlowSink::default());
    let mut request = server.pour_request();
    request.get().set_sink(capnp_rpc::new_client_from_rc(sink.clone()));
    request.get().set_chunks(CHUNKS);
    request.get().set_bytes(CHUNK_BYTES);
    let peak = request.send().promise.await?.get()?.get_peak();

    let chunks = sink.chunks.borrow();
    is("the number of chunks", chunks.len(), CHUNKS as usize)?;
    for (number, seen) in (0..).zip(chunks.iter()) {
        is_same(&format!("chunk {number}"), seen, &chunk(number))?;
    }
    ensure!(
        (1..=PEAK_BYTES_MAX).contains(&peak),
        "the bytes under way: expected at most {PEAK_BYTES_MAX} and saw {peak}"
    );
    Ok(())
}

fn chunk(number: u32) -> Vec<u8> {
    (0..CHUNK_BYTES).map(|index| number.wrapping_add(index) as u8).collect()
}

/// Takes its time over each chunk.
#[derive(Default)]
struct SlowSink {
    chunks: RefCell<Vec<Vec<u8>>>,
}

impl sink::Server for SlowSink {
    async fn write(self: Rc<Self>, params: sink::WriteParams) -> Result<(), capnp::Error> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.chunks.borrow_mut().push(params.get()?.get_chunk()?.to_vec());
        Ok(())
    }

    async fn done(self: Rc<Self>, _: sink::DoneParams, mut results: sink::DoneResults) -> Result<(), capnp::Error> {
        let chunks = self.chunks.borrow();
        let mut results = results.get();
        results.set_chunks(chunks.len() as u32);
        results.set_bytes(chunks.iter().map(|chunk| chunk.len() as u64).sum());
        results.set_sum(chunks.iter().flatten().fold(0, |sum, &byte| sum.wrapping_add(byte.into())));
        Ok(())
    }
}
