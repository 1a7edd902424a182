//! References to objects, of the server and of this program.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use anyhow::ensure;
use capnp_rpc::CapabilityServerSet;
use futures::join;
use shipmate::schema::conformance_capnp::{callback, conformance, counter, reentrant};

use super::{is, is_same};

pub(super) async fn capability(server: &conformance::Client) -> anyhow::Result<()> {
    let (one, other) = (new_counter(server, 10).await?, new_counter(server, 100).await?);
    is("10 + 5", add(&one, 5).await?, 15)?;
    is("100 - 1", add(&other, -1).await?, 99)?;
    is("the one", read(&one).await?, 15)?;
    is("the other", read(&other).await?, 99)
}

/// An object is known again when it comes back to where it lives.
pub(super) async fn identity(server: &conformance::Client) -> anyhow::Result<()> {
    let theirs = new_counter(server, 11).await?;
    is("a counter of the server: own, and its value", identify(server, &theirs).await?, (true, 11))?;

    let mut ours = CapabilityServerSet::<Counter, counter::Client>::new();
    let object = Rc::new(Counter { value: Cell::new(22), reads: Cell::new(0) });
    let client = ours.new_client_from_rc(object.clone());
    is("a counter of ours: own, and its value", identify(server, &client).await?, (false, 22))?;
    is("how often it was read", object.reads.get(), 1)?;

    let mut request = server.echo_counter_request();
    request.get().set_counter(client);
    let echoed = request.send().promise.await?.get()?.get_counter()?;
    is("22 + 3", add(&echoed, 3).await?, 25)?;
    is("the object that was called", object.value.get(), 25)?;
    let known = ours.get_local_server(&echoed).await;
    ensure!(known.is_some_and(|known| Rc::ptr_eq(&known, &object)), "the counter that came back is not our object");
    Ok(())
}

async fn new_counter(server: &conformance::Client, start: i64) -> anyhow::Result<counter::Client> {
    let mut request = server.new_counter_request();
    request.get().set_start(start);
    Ok(request.send().promise.await?.get()?.get_counter()?)
}

async fn identify(server: &conformance::Client, counter: &counter::Client) -> anyhow::Result<(bool, i64)> {
    let mut request = server.identify_request();
    request.get().set_counter(counter.clone());
    let response = request.send().promise.await?;
    let identified = response.get()?;
    Ok((identified.get_own(), identified.get_value()))
}

async fn add(counter: &counter::Client, amount: i64) -> anyhow::Result<i64> {
    let mut request = counter.add_request();
    request.get().set_amount(amount);
    Ok(request.send().promise.await?.get()?.get_value())
}

async fn read(counter: &counter::Client) -> anyhow::Result<i64> {
    Ok(counter.read_request().send().promise.await?.get()?.get_value())
}

/// A counter of this program.
struct Counter {
    value: Cell<i64>,
    reads: Cell<u32>,
}

impl counter::Server for Counter {
    async fn add(
        self: Rc<Self>,
        params: counter::AddParams,
        mut results: counter::AddResults,
    ) -> Result<(), capnp::Error> {
        self.value.set(self.value.get().wrapping_add(params.get()?.get_amount()));
        results.get().set_value(self.value.get());
        Ok(())
    }

    async fn read(
        self: Rc<Self>,
        _: counter::ReadParams,
        mut results: counter::ReadResults,
    ) -> Result<(), capnp::Error> {
        self.reads.set(self.reads.get() + 1);
        results.get().set_value(self.value.get());
        Ok(())
    }
}

/// The server calls an object of ours.
pub(super) async fn callback(server: &conformance::Client) -> anyhow::Result<()> {
    let doubler = Rc::new(Doubler::default());
    let mut request = server.call_request();
    request.get().set_callback(capnp_rpc::new_client_from_rc(doubler.clone()));
    request.get().set_times(100);
    let sum = request.send().promise.await?.get()?.get_sum();
    is_same("the numbers it was called with", &doubler.numbers.borrow(), &(0..100).collect::<Vec<_>>())?;
    is("the sum of what it answered", sum, 9900)
}

#[derive(Default)]
struct Doubler {
    numbers: RefCell<Vec<i64>>,
}

impl callback::Server for Doubler {
    async fn call(
        self: Rc<Self>,
        params: callback::CallParams,
        mut results: callback::CallResults,
    ) -> Result<(), capnp::Error> {
        let number = params.get()?.get_number();
        self.numbers.borrow_mut().push(number);
        results.get().set_answer(number.wrapping_mul(2));
        Ok(())
    }
}

/// The server calls us, and before we answer we call the server, and so on.
pub(super) async fn reentrant(server: &conformance::Client) -> anyhow::Result<()> {
    let calls = Rc::new(Reentrant::default());
    let mut request = server.reenter_request();
    request.get().set_callback(capnp_rpc::new_client_from_rc(calls.clone()));
    request.get().set_depth(5);
    let depth = request.send().promise.await?.get()?.get_depth();
    is("the depth", depth, 5)?;
    is("the depths it was called with", &*calls.depths.borrow(), &vec![4, 3, 2, 1, 0])
}

#[derive(Default)]
struct Reentrant {
    depths: RefCell<Vec<u32>>,
}

impl reentrant::Server for Reentrant {
    async fn call(
        self: Rc<Self>,
        params: reentrant::CallParams,
        mut results: reentrant::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let depth = params.get_depth();
        self.depths.borrow_mut().push(depth);
        let mut request = params.get_server()?.reenter_request();
        request.get().set_callback(capnp_rpc::new_client_from_rc(self));
        request.get().set_depth(depth);
        results.get().set_depth(request.send().promise.await?.get()?.get_depth());
        Ok(())
    }
}

/// Calls on what has not been returned yet: all five are on their way before the first is answered.
pub(super) async fn pipelining(server: &conformance::Client) -> anyhow::Result<()> {
    let mut node = server.node_request().send().pipeline.get_node();
    for _ in 0..3 {
        node = node.next_request().send().pipeline.get_node();
    }
    let depth = node.depth_request().send().promise.await?.get()?.get_depth();
    is("the depth of the fourth node", depth, 3)
}

/// Two results of one call, used before it returned. The server sets the second first.
pub(super) async fn out_of_order(server: &conformance::Client) -> anyhow::Result<()> {
    let pair = server.pair_request().send().pipeline;
    let (first, second) = (pair.get_first(), pair.get_second());
    let (first, second) = join!(read(&first), read(&second));
    is("first", first?, 1)?;
    is("second", second?, 2)
}
