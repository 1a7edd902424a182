//! The types of `schema/peer.capnp`, and the one service and caller of all that speak Cap'n Proto in Rust.

use std::rc::Rc;
use std::time::Duration;

use capnp::message::ReaderOptions;
use kit::Work;
use peer_capnp::peer;

#[allow(clippy::all)]
pub mod peer_capnp {
    include!(concat!(env!("OUT_DIR"), "/peer_capnp.rs"));
}

/// Room for the largest argument.
pub const READER_OPTIONS: ReaderOptions = ReaderOptions { traversal_limit_in_words: Some(8 << 20), nesting_limit: 64 };

pub struct Service;

impl peer::Server for Service {
    async fn multiply(
        self: Rc<Self>,
        params: peer::MultiplyParams,
        mut results: peer::MultiplyResults,
    ) -> capnp::Result<()> {
        let params = params.get()?;
        results.get().set_product(params.get_a() * params.get_b());
        Ok(())
    }

    async fn take(self: Rc<Self>, params: peer::TakeParams, mut results: peer::TakeResults) -> capnp::Result<()> {
        results.get().set_sum(kit::sum(params.get()?.get_blob()?));
        Ok(())
    }
}

/// Does the work over a connection.
pub async fn call(peer: peer::Client, work: Work, time: Duration) {
    let blob = work.payload();
    let sum = kit::sum(&blob);
    match work {
        Work::Multiply { in_flight } => kit::call(time, in_flight, async || multiply(&peer).await).await,
        _ => kit::call(time, 1, async || assert_eq!(take(&peer, &blob).await, sum)).await,
    }
}

async fn multiply(peer: &peer::Client) {
    let mut request = peer.multiply_request();
    request.get().set_a(6);
    request.get().set_b(7);
    let response = request.send().promise.await.unwrap();
    assert_eq!(response.get().unwrap().get_product(), 42);
}

async fn take(peer: &peer::Client, blob: &[u8]) -> u64 {
    let mut request = peer.take_request();
    request.get().set_blob(blob);
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_sum()
}
