//! The objects that the service makes, and recognizes when it gets them back.

use std::cell::Cell;
use std::rc::Rc;

use capnp_rpc::CapabilityServerSet;
use shipmate::schema::conformance_capnp::{counter, node};

/// The counters that one object of the service made.
#[derive(Default)]
pub(super) struct Counters {
    set: CapabilityServerSet<Counter, counter::Client>,
    made: u64,
}

pub(super) struct Counter {
    value: Cell<i64>,
}

pub(super) struct Node {
    pub(super) depth: u32,
}

/// The set keeps a trace of each counter that the client has released, until it is cleaned.
const MADE_BETWEEN_CLEANINGS: u64 = 256;

impl Counters {
    pub(super) fn make(&mut self, start: i64) -> counter::Client {
        self.made += 1;
        if self.made.is_multiple_of(MADE_BETWEEN_CLEANINGS) {
            self.set.gc();
        }
        self.set.new_client(Counter { value: Cell::new(start) })
    }

    /// The very object, if it is one of these. The client must be resolved.
    pub(super) fn own(&self, client: &counter::Client) -> Option<Rc<Counter>> {
        self.set.get_local_server_of_resolved(client)
    }
}

impl Counter {
    pub(super) fn value(&self) -> i64 {
        self.value.get()
    }
}

impl counter::Server for Counter {
    async fn add(
        self: Rc<Self>,
        params: counter::AddParams,
        mut results: counter::AddResults,
    ) -> Result<(), capnp::Error> {
        let amount = params.get()?.get_amount();
        self.value.update(|value| value.wrapping_add(amount));
        results.get().set_value(self.value());
        Ok(())
    }

    async fn read(
        self: Rc<Self>,
        _: counter::ReadParams,
        mut results: counter::ReadResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_value(self.value());
        Ok(())
    }
}

impl node::Server for Node {
    async fn next(self: Rc<Self>, _: node::NextParams, mut results: node::NextResults) -> Result<(), capnp::Error> {
        results.get().set_node(capnp_rpc::new_client(Node { depth: self.depth.wrapping_add(1) }));
        Ok(())
    }

    async fn depth(self: Rc<Self>, _: node::DepthParams, mut results: node::DepthResults) -> Result<(), capnp::Error> {
        results.get().set_depth(self.depth);
        Ok(())
    }
}
