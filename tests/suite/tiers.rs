//! Large messages over shared memory, in each tier: they arrive, they are bounded, and nothing is left.

use std::collections::VecDeque;
use std::fs;
use std::rc::Rc;

use capnp::any_pointer;
use capnp::private::layout::{PointerBuilder, StructBuilder, StructSize};
use capnp::traits::FromPointerBuilder;
use futures::future::{join_all, try_join_all};
use shipmate::schema::conformance_capnp::{conformance, counter};
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{ConnectOptions, Connection, ListenOptions, ServerOptions, Tier, connect_with};

use crate::harness::{InProcess, Shipmated, ping, shm, until};

/// Makes a test of each step in each tier.
macro_rules! in_every_tier {
    ($($step:ident),+ $(,)?) => {
        $(mod $step {
            #[test]
            fn copy() {
                crate::harness::local(super::$step(super::Tier::Copy));
            }

            #[test]
            fn sealed() {
                crate::harness::local(super::$step(super::Tier::Sealed));
            }

            #[test]
            fn trusted() {
                crate::harness::local(super::$step(super::Tier::Trusted));
            }
        })+
    };
}

in_every_tier! {
    messages_of_all_sizes, many_in_flight, replies_kept_and_dropped_in_any_order, growth_is_bounded_and_given_back,
    capabilities_in_a_large_reply, a_message_larger_than_all_that_is_shared,
}

fn start(tier: Tier, options: &[&str]) -> Shipmated {
    Shipmated::start_with(shm, &[&["--shm-tier", &tier.to_string()], options].concat())
}

async fn connect(server: &Shipmated, tier: Tier) -> Connection {
    let options = ConnectOptions { tier, ..Default::default() };
    let connection = connect_with(server.address().clone(), &options).await.unwrap();
    assert_eq!(connection.peer().tier, Some(tier));
    connection
}

fn payload(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (number ^ index ^ index >> 8) as u8).collect()
}

async fn messages_of_all_sizes(tier: Tier) {
    let server = start(tier, &[]);
    let connection = connect(&server, tier).await;
    for bytes in [0, 1000, 32 << 10, 65_000, 65_536, 300_000, 1 << 20, 5_000_001, 32 << 20, 1 << 20, 100] {
        ping(&connection, &payload(bytes, bytes)).await.unwrap();
    }
}

async fn many_in_flight(tier: Tier) {
    let server = start(tier, &[]);
    let connection = connect(&server, tier).await;
    for _ in 0..3 {
        let payloads: Vec<_> = (0..60).map(|number| payload(number, 1000 << (number % 11))).collect();
        try_join_all(payloads.iter().map(|payload| ping(&connection, payload))).await.unwrap();
    }
}

async fn replies_kept_and_dropped_in_any_order(tier: Tier) {
    let server = start(tier, &[]);
    let connection = connect(&server, tier).await;
    let front: front::Client = connection.bootstrap();
    let mut kept = VecDeque::new();
    for number in 0..60 {
        let mut request = front.ping_request();
        request.get().set_payload(&payload(number, 500_000));
        kept.push_back((number, request.send().promise.await.unwrap()));
        if number % 3 > 0 {
            let (number, response) = kept.swap_remove_back(number * 7 % kept.len()).unwrap();
            assert!(response.get().unwrap().get_payload().unwrap() == payload(number, 500_000));
        }
    }
    connection.close().await;
    // What is read in place outlives its connection.
    for (number, response) in kept {
        assert!(response.get().unwrap().get_payload().unwrap() == payload(number, 500_000));
    }
}

/// What a process has mapped of shared memory, in bytes, and how many descriptors it has open.
fn usage(process: u32) -> (usize, usize) {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let bytes = maps.lines().filter(|line| line.contains("/memfd:shipmate")).map(|line| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        usize::from_str_radix(end, 16).unwrap() - usize::from_str_radix(start, 16).unwrap()
    });
    (bytes.sum(), fs::read_dir(format!("/proc/{process}/fd")).unwrap().count())
}

async fn growth_is_bounded_and_given_back(tier: Tier) {
    const SHARED: usize = 8 << 20;
    const RINGS: usize = 2 * (260 << 10);
    let server = start(tier, &["--max-shared", "8MiB"]);
    // So that all threads of the server are there.
    let connection = connect(&server, tier).await;
    ping(&connection, b"first").await.unwrap();
    connection.close().await;
    until(|| usage(server.pid()).0 == 0).await;
    let (_, descriptors) = usage(server.pid());

    let connection = connect(&server, tier).await;
    let mut most = 0;
    for _ in 0..6 {
        let payload = payload(1, 700_000);
        join_all((0..30).map(|_| ping(&connection, &payload))).await.into_iter().for_each(|pinged| pinged.unwrap());
        most = most.max(usage(server.pid()).0);
    }
    assert!(most > RINGS, "no memory was shared");
    assert!(most <= RINGS + 2 * SHARED, "{most} bytes, both ways, are more than allowed");
    // It stays open, and is not used.
    until(|| usage(server.pid()).0 <= RINGS).await;
    ping(&connection, &payload(2, 700_000)).await.unwrap();
    connection.close().await;
    until(|| usage(server.pid()).0 == 0 && usage(server.pid()).1 <= descriptors).await;
}

async fn a_message_larger_than_all_that_is_shared(tier: Tier) {
    let server = start(tier, &["--max-shared", "1MiB"]);
    let connection = connect(&server, tier).await;
    let sizes = [16 << 20, 900_000, 900_000, 3 << 20, 40_000];
    try_join_all(sizes.map(async |bytes| ping(&connection, &payload(bytes, bytes)).await)).await.unwrap();
}

/// Results with large data beside two capabilities, of which the second was set first.
struct Large;

struct Counter(i64);

impl counter::Server for Counter {
    async fn read(self: Rc<Self>, _: counter::ReadParams, mut results: counter::ReadResults) -> capnp::Result<()> {
        results.get().set_value(self.0);
        Ok(())
    }
}

impl conformance::Server for Large {
    async fn pair(
        self: Rc<Self>,
        _: conformance::PairParams,
        mut results: conformance::PairResults,
    ) -> capnp::Result<()> {
        // As a newer schema may have it.
        let mut fields = results.hook.get()?.initn_as::<Untyped<'_>>(3).0;
        let counter = |value| capnp_rpc::new_client::<counter::Client, _>(Counter(value)).client.hook;
        any_pointer::Builder::new(fields.reborrow().get_pointer_field(1)).set_as_capability(counter(2));
        let data = any_pointer::Builder::new(fields.reborrow().get_pointer_field(2));
        data.initn_as::<capnp::data::Builder<'_>>(3 << 20).fill(7);
        any_pointer::Builder::new(fields.reborrow().get_pointer_field(0)).set_as_capability(counter(1));
        Ok(())
    }
}

struct Untyped<'a>(StructBuilder<'a>);

impl<'a> FromPointerBuilder<'a> for Untyped<'a> {
    fn init_pointer(builder: PointerBuilder<'a>, pointers: u32) -> Self {
        Untyped(builder.init_struct(StructSize { data: 0, pointers: pointers as u16 }))
    }

    fn get_from_pointer(builder: PointerBuilder<'a>, default: Option<&'a [capnp::Word]>) -> capnp::Result<Self> {
        Ok(Untyped(builder.get_struct(StructSize { data: 0, pointers: 0 }, default)?))
    }
}

/// The engine reads a reply again when the peer calls what was in it, before it has read it or after.
async fn capabilities_in_a_large_reply(tier: Tier) {
    let listen = ListenOptions { tier, ..Default::default() };
    let large = |_: &_| capnp_rpc::new_client::<conformance::Client, _>(Large);
    let server = InProcess::start_with(shm, &listen, ServerOptions::default(), large).await;
    let options = ConnectOptions { tier, ..Default::default() };
    let connection = connect_with(server.address.clone(), &options).await.unwrap();
    let client: conformance::Client = connection.bootstrap();
    for _ in 0..10 {
        let sent = client.pair_request().send();
        let (first, second) = (sent.pipeline.get_first(), sent.pipeline.get_second());
        let early = [&first, &second].map(|counter| counter.read_request().send().promise);
        for (expected, read) in (1..).zip(early) {
            assert_eq!(read.await.unwrap().get().unwrap().get_value(), expected);
        }
        let results = sent.promise.await.unwrap();
        let results = results.get().unwrap();
        for (expected, counter) in (1..).zip([results.get_first().unwrap(), results.get_second().unwrap()]) {
            let read = counter.read_request().send().promise.await.unwrap();
            assert_eq!(read.get().unwrap().get_value(), expected);
        }
    }
    drop(client);
    connection.close().await;
    server.stop().await;
}
