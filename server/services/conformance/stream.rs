//! Streams, in both directions.

use std::cell::Cell;
use std::rc::Rc;

use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use shipmate::schema::conformance_capnp::sink;

use super::values::sum;

/// Counts what it is given.
#[derive(Default)]
pub(super) struct Sink {
    chunks: Cell<u32>,
    bytes: Cell<u64>,
    sum: Cell<u32>,
}

impl sink::Server for Sink {
    async fn write(self: Rc<Self>, params: sink::WriteParams) -> Result<(), capnp::Error> {
        let chunk = params.get()?.get_chunk()?;
        self.chunks.update(|chunks| chunks.wrapping_add(1));
        self.bytes.update(|bytes| bytes + chunk.len() as u64);
        self.sum.update(|before| before.wrapping_add(sum(chunk)));
        Ok(())
    }

    async fn done(self: Rc<Self>, _: sink::DoneParams, mut results: sink::DoneResults) -> Result<(), capnp::Error> {
        let mut results = results.get();
        results.set_chunks(self.chunks.get());
        results.set_bytes(self.bytes.get());
        results.set_sum(self.sum.get());
        Ok(())
    }
}

/// Streams chunks into a sink and ends with `done`. Gives how many bytes were under way at most.
///
/// Each chunk goes as an ordinary call, which is the same on the wire as `-> stream`: its return says when
/// the sink has handled it, so that what is under way can be counted.
pub(super) async fn pour(sink: &sink::Client, chunks: u32, bytes: u32, window: u64) -> Result<u64, capnp::Error> {
    let at_once = window.div_ceil(u64::from(bytes).max(CALL_BYTES)) as usize;
    let mut unhandled = FuturesUnordered::new();
    let mut most = 0;
    for number in 0..chunks {
        while unhandled.len() >= at_once && unhandled.try_next().await?.is_some() {}
        let mut request = sink.write_request();
        for (index, byte) in (0u32..).zip(request.get().init_chunk(bytes)) {
            *byte = number.wrapping_add(index) as u8;
        }
        unhandled.push(request.hook.send().promise);
        most = most.max(unhandled.len());
    }
    while unhandled.try_next().await?.is_some() {}
    sink.done_request().send().promise.await?;
    Ok(most as u64 * u64::from(bytes))
}

/// What a call takes that carries an empty chunk, about.
const CALL_BYTES: u64 = 512;
