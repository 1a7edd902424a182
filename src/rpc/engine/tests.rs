//! The engine against a peer that says just what a test wants, against itself, and against the engine of `capnp-rpc`.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use capnp::capability::{FromClientHook, Promise, Response};
use capnp::message::{Builder, Reader};
use capnp::serialize;
use capnp::traits::{HasTypeId, ImbueMut};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, return_};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::channel::oneshot;
use futures::poll;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::frame::{Frame, FrameReader};
use crate::patience::is_alone;
use crate::schema::conformance_capnp::{conformance, counter};
use crate::transport::{self, Connecting, ListenOptions, Stream, memory};
use crate::{ConnectOptions, Connection, Limits, ServerOptions, connect_stream, serve_stream};

#[tokio::test]
async fn who_awaits_the_only_answer_takes_it_ahead_of_the_engine() {
    in_shared_memory(async |client, mut peer| {
        let (mut response, question) = ask(&client, &mut peer).await;
        peer.answer(question).await;
        assert!(matches!(poll!(&mut response), Poll::Ready(Ok(_))));
        // Not one of two.
        let (mut one, mut other) = (client.node_request().send().promise, client.node_request().send().promise);
        assert!(poll!(&mut one).is_pending() && poll!(&mut other).is_pending());
        let questions = [peer.question_of_call().await, peer.question_of_call().await];
        for question in questions {
            peer.answer(question).await;
        }
        assert!(poll!(&mut one).is_pending() && poll!(&mut other).is_pending());
        one.await.unwrap();
        other.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_comes_before_the_answer_is_left_to_the_engine() {
    in_shared_memory(async |client, mut peer| {
        let (mut response, question) = ask(&client, &mut peer).await;
        peer.send(|root| root.init_bootstrap().set_question_id(0)).await;
        peer.answer(question).await;
        assert!(poll!(&mut response).is_pending());
        response.await.unwrap();
        assert_eq!(peer.returned(0).await, "results");
        // So is an answer that is wrong.
        let (mut response, question) = ask(&client, &mut peer).await;
        peer.answer(question + 1).await;
        assert!(poll!(&mut response).is_pending());
        let error = response.await.err().unwrap();
        assert!(error.to_string().contains("Invalid question ID"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn who_awaits_one_answer_after_another_lets_the_engine_have_its_turn() {
    in_shared_memory(async |client, mut peer| {
        let mut ahead = 0;
        let response = loop {
            let mut response = client.node_request().send().promise;
            assert!(poll!(&mut response).is_pending());
            let Poll::Ready(question) = poll!(pin!(peer.question_of_call())) else { break response };
            peer.answer(question).await;
            match poll!(&mut response) {
                Poll::Ready(answer) => drop(answer.unwrap()),
                Poll::Pending => break response,
            }
            ahead += 1;
        };
        assert!((8..100).contains(&ahead), "{ahead} answers");
        drop(response);
    })
    .await;
}

/// What each side of a connection is run by.
#[derive(Clone, Copy, Debug)]
enum By {
    Shipmate,
    CapnpRpc,
}

/// The first calls go by way of the peer, the last does not, since its target has turned out to be here.
#[tokio::test]
async fn calls_keep_their_order_when_a_promise_comes_back() {
    for (client, server) in [(By::Shipmate, By::Shipmate), (By::Shipmate, By::CapnpRpc), (By::CapnpRpc, By::Shipmate)] {
        LocalSet::new().run_until(calls_in_order(client, server)).await;
    }
}

async fn calls_in_order(client: By, server: By) {
    let (answer, answered) = oneshot::channel();
    let service = Service { answer: RefCell::new(Some(answered)), ..Service::default() };
    let (client, _held) = connected(client, server, capnp_rpc::new_client(service));
    let added = Rc::new(RefCell::new(Vec::new()));
    let counter: counter::Client = capnp_rpc::new_client(Counter(added.clone()));
    let mut request = client.echo_counter_request();
    request.get().set_counter(counter);
    let response = request.send();
    let echoed = response.pipeline.get_counter();
    let mut sums: Vec<_> = (1..=3).map(|amount| spawn_local(add(&echoed, amount))).collect();
    for _ in 0..20 {
        yield_now().await;
    }
    answer.send(()).unwrap();
    let response = response.promise.await.unwrap();
    // Two ways to it, neither of which may overtake.
    sums.push(spawn_local(add(&echoed, 4)));
    sums.push(spawn_local(add(&response.get().unwrap().get_counter().unwrap(), 5)));
    for sum in sums {
        sum.await.unwrap().unwrap();
    }
    assert_eq!(*added.borrow(), [1, 2, 3, 4, 5], "{server:?}");
}

/// The peer is told, so that it may use the id again, and the service's work is dropped.
#[tokio::test]
async fn a_cancelled_call_is_returned_as_such() {
    raw(Service::default(), async |peer, service| {
        peer.call(1, 24).await;
        while service.hanging.get() == 0 {
            yield_now().await;
        }
        peer.send(|root| root.init_finish().set_question_id(1)).await;
        assert_eq!(peer.returned(1).await, "canceled");
        assert_eq!(service.hanging.get(), 0);
        peer.call(1, 16).await;
        assert_eq!(peer.returned(1).await, "results");
    })
    .await;
}

/// As C++ does for a tail call: the results of the peer's question are the answer to one of this side, whether they
/// are there already or not.
#[tokio::test]
async fn results_are_taken_from_another_question() {
    for there_already in [true, false] {
        LocalSet::new().run_until(results_taken(there_already)).await;
    }
}

async fn results_taken(there_already: bool) {
    let (answer, answered) = oneshot::channel();
    let (client, mut peer) = client_and_peer(Service { answer: RefCell::new(Some(answered)), ..Service::default() });
    let request = client.new_counter_request().send();
    let counter = request.pipeline.get_counter();
    let question = peer.question_of_call().await;
    // The peer passes the call on to the object that this side offers.
    peer.send(|root| root.init_bootstrap().set_question_id(7)).await;
    assert_eq!(peer.returned(7).await, "results");
    peer.send(|root| {
        let mut call = root.init_call();
        call.set_question_id(8);
        call.set_interface_id(conformance::Client::TYPE_ID);
        call.set_method_id(12);
        call.reborrow().init_target().set_imported_cap(0);
        call.reborrow().init_params().init_content().init_as::<conformance::new_counter_params::Builder<'_>>();
        call.get_send_results_to().set_yourself(());
    })
    .await;
    if there_already {
        answer.send(()).unwrap();
        assert_eq!(peer.returned(8).await, "resultsSentElsewhere");
        peer.take_from(question, 8).await;
    } else {
        peer.take_from(question, 8).await;
        for _ in 0..20 {
            yield_now().await;
        }
        answer.send(()).unwrap();
        assert_eq!(peer.returned(8).await, "resultsSentElsewhere");
    }
    let response = request.promise.await.unwrap();
    let same = response.get().unwrap().get_counter().unwrap();
    // It is an object of this side: nobody else answers.
    assert_eq!(add(&same, 2).await.unwrap(), 2);
    assert_eq!(add(&counter, 3).await.unwrap(), 5);
}

#[tokio::test]
async fn what_parameters_export_is_released_with_the_return_if_the_peer_says_so() {
    LocalSet::new()
        .run_until(async {
            let (client, mut peer) = client_and_peer(Service::default());
            let added = Rc::new(RefCell::new(Vec::new()));
            let counter: counter::Client = capnp_rpc::new_client(Counter(added.clone()));
            let mut request = client.identify_request();
            request.get().set_counter(counter);
            let response = spawn_local(request.send().promise);
            let question = peer.question_of_call().await;
            assert_eq!(Rc::strong_count(&added), 2);
            peer.reply(question, |mut answer| {
                answer.set_release_param_caps(true);
                answer.init_results();
            })
            .await;
            response.await.unwrap().unwrap();
            while Rc::strong_count(&added) > 1 {
                yield_now().await;
            }
        })
        .await;
}

/// The peer need not keep the answer, whatever the program does with the response.
#[tokio::test]
async fn a_question_is_finished_when_it_is_answered() {
    LocalSet::new()
        .run_until(async {
            let (client, mut peer) = client_and_peer(Service::default());
            let response = spawn_local(client.new_counter_request().send().promise);
            let question = peer.question_of_call().await;
            peer.reply(question, |answer| {
                let mut payload = answer.init_results();
                payload.reborrow().init_cap_table(1).get(0).set_sender_hosted(3);
            })
            .await;
            let _response = response.await.unwrap().unwrap();
            let finish = peer.next().await;
            let message::Finish(finish) = finish.get_root::<message::Reader<'_>>().unwrap().which().unwrap() else {
                panic!("no finish")
            };
            let finish = finish.unwrap();
            assert_eq!((finish.get_question_id(), finish.get_release_result_caps()), (question, false));
        })
        .await;
}

/// Who waits for such a return does not wait for ever.
#[tokio::test]
async fn a_malformed_return_ends_the_connection_and_the_call() {
    LocalSet::new()
        .run_until(async {
            let (client, mut peer) = client_and_peer(Service::default());
            let response = spawn_local(client.new_counter_request().send().promise);
            let question = peer.question_of_call().await;
            peer.reply(question, |answer| {
                answer.init_results().init_cap_table(1).get(0).init_third_party_hosted();
            })
            .await;
            assert!(response.await.unwrap().is_err());
            peer.connection.closed().await;
        })
        .await;
}

#[tokio::test]
async fn a_second_return_ends_the_connection() {
    LocalSet::new()
        .run_until(async {
            let (client, mut peer) = client_and_peer(Service::default());
            let response = client.identify_request().send().promise;
            let question = peer.question_of_call().await;
            for _ in 0..2 {
                peer.reply(question, |_| {}).await;
            }
            // The first was good.
            response.await.unwrap();
            let error = client.identify_request().send().promise.await.err().unwrap();
            assert!(error.extra.contains("Return message"), "{error}");
        })
        .await;
}

/// Whoever calls such a promise, or waits for it, is told; nothing goes round for ever.
#[tokio::test]
async fn promises_that_lead_to_themselves() {
    // The peer's promises 1, 2, … are parameters that come back as results: of questions 1, 2, …
    for chain in 1..5 {
        raw(Service::default(), async |peer, _| {
            for promise in 1..=chain {
                peer.echo(promise, |mut descriptor| descriptor.set_sender_promise(promise)).await;
                assert_eq!(peer.returned(promise).await, "results");
            }
            for promise in 1..=chain {
                peer.send(|root| {
                    let mut resolve = root.init_resolve();
                    resolve.set_promise_id(promise);
                    let mut answer = resolve.init_cap().init_receiver_answer();
                    answer.set_question_id(promise % chain + 1);
                    answer.init_transform(1).get(0).set_get_pointer_field(0);
                })
                .await;
            }
            // It calls the counter that it is given.
            let answer = |descriptor: cap_descriptor::Builder<'_>| {
                let mut answer = descriptor.init_receiver_answer();
                answer.set_question_id(1);
                answer.init_transform(1).get(0).set_get_pointer_field(0);
            };
            peer.pass(99, 13, answer).await;
            assert_eq!(peer.returned(99).await, "exception");
        })
        .await;
    }
}

/// However many promises lead to each other, what is kept of them does not grow.
#[tokio::test]
async fn long_chains_of_promises() {
    raw(Service::default(), async |peer, _| {
        peer.echo(1, |mut descriptor| descriptor.set_sender_promise(1)).await;
        assert_eq!(peer.returned(1).await, "results");
        for promise in 1..20_000 {
            peer.send(|root| {
                let mut resolve = root.init_resolve();
                resolve.set_promise_id(promise);
                resolve.init_cap().set_sender_promise(promise + 1);
            })
            .await;
            // It is released, and all that is kept of it gone.
            let message = peer.next().await;
            let message = message.get_root::<message::Reader<'_>>().unwrap().which().unwrap();
            let message::Release(release) = message else { panic!("no release") };
            assert_eq!(release.unwrap().get_id(), promise);
        }
        peer.send(|root| root.init_finish().set_question_id(1)).await;
        peer.echo(2, |mut descriptor| descriptor.set_sender_hosted(0)).await;
        assert_eq!(peer.returned(2).await, "results");
    })
    .await;
}

/// A message that a peer may send. What it is about was mostly said before, but need not have been.
#[derive(Clone, Copy, Debug)]
enum Said {
    Call {
        target: Target,
        method: u16,
        passes: u32,
        elsewhere: bool,
    },
    /// A question that is in use, perhaps.
    Bootstrap(u32),
    Return {
        question: u32,
        what: u8,
    },
    Finish {
        question: u32,
        release: bool,
    },
    Resolve(u32, u32),
    Release(u32),
    Disembargo {
        id: u32,
        target: u32,
        back: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Export(u32),
    /// The answer to a question, or its first field.
    Answer(u32, bool),
}

fn said() -> impl Strategy<Value = Said> {
    let target = prop_oneof![
        1 => (0u32..4).prop_map(Target::Export),
        2 => (any::<u32>(), any::<bool>()).prop_map(|(question, field)| Target::Answer(question, field)),
    ];
    let method = prop_oneof![Just(0u16), Just(12), Just(13), Just(14), Just(24)];
    prop_oneof![
        60 => (target, method, 0u32..6, prop::bool::weighted(0.1)).prop_map(
            |(target, method, passes, elsewhere)| Said::Call { target, method, passes, elsewhere }
        ),
        1 => any::<u32>().prop_map(Said::Bootstrap),
        1 => (any::<u32>(), any::<u8>()).prop_map(|(question, what)| Said::Return { question, what }),
        30 => (any::<u32>(), any::<bool>()).prop_map(|(question, release)| Said::Finish { question, release }),
        10 => (0u32..4, 0u32..4).prop_map(|(promise, to)| Said::Resolve(promise, to)),
        3 => (0u32..4).prop_map(Said::Release),
        2 => (0u32..2, any::<u32>(), any::<bool>()).prop_map(|(id, target, back)| Said::Disembargo { id, target, back }),
    ]
}

impl Said {
    /// As the message with this number, which is also that of a call's question.
    fn write(self, number: u32, root: message::Builder<'_>) {
        let earlier = |question: u32| question % number;
        match self {
            Said::Bootstrap(question) => root.init_bootstrap().set_question_id(earlier(question)),
            Said::Call { target, method, passes, elsewhere } => {
                let mut call = root.init_call();
                call.set_question_id(number);
                let counter = matches!(target, Target::Answer(_, true));
                call.set_interface_id(if counter { counter::Client::TYPE_ID } else { conformance::Client::TYPE_ID });
                call.set_method_id(method);
                let mut to = call.reborrow().init_target();
                match target {
                    Target::Export(id) => to.set_imported_cap(id),
                    Target::Answer(question, field) => {
                        let mut answer = to.init_promised_answer();
                        answer.set_question_id(earlier(question));
                        if field {
                            answer.init_transform(1).get(0).set_get_pointer_field(0);
                        }
                    }
                }
                if elsewhere {
                    call.reborrow().get_send_results_to().set_yourself(());
                }
                with_counter(call.init_params(), |mut descriptor| match passes {
                    0 => descriptor.set_sender_hosted(1),
                    1 => descriptor.set_sender_promise(2),
                    2 => descriptor.set_receiver_hosted(0),
                    3 => descriptor.init_receiver_answer().set_question_id(number - 1),
                    4 => descriptor.set_none(()),
                    // That of which this is a parameter.
                    _ => descriptor.init_receiver_answer().set_question_id(number),
                });
            }
            Said::Return { question, what } => {
                let mut answer = root.init_return();
                answer.set_answer_id(question % 2);
                match what % 4 {
                    0 => drop(answer.init_results()),
                    1 => answer.init_exception().set_reason("no reason"),
                    2 => answer.set_take_from_other_question(earlier(question)),
                    _ => answer.set_canceled(()),
                }
            }
            Said::Finish { question, release } => {
                let mut finish = root.init_finish();
                finish.set_question_id(earlier(question));
                finish.set_release_result_caps(release);
            }
            Said::Resolve(promise, to) => {
                let mut resolve = root.init_resolve();
                resolve.set_promise_id(promise);
                resolve.init_cap().set_receiver_hosted(to);
            }
            Said::Release(id) => {
                let mut release = root.init_release();
                release.set_id(id);
                release.set_reference_count(1);
            }
            Said::Disembargo { id, target, back } => {
                let mut disembargo = root.init_disembargo();
                disembargo.reborrow().init_target().init_promised_answer().set_question_id(earlier(target));
                match back {
                    true => disembargo.init_context().set_receiver_loopback(id),
                    false => disembargo.init_context().set_sender_loopback(id),
                }
            }
        }
    }
}

/// Parameters whose first field is a capability that is described so.
fn with_counter(mut payload: payload::Builder<'_>, describe: impl FnOnce(cap_descriptor::Builder<'_>)) {
    let mut content = payload.reborrow().init_content();
    let mut table = Vec::new();
    content.imbue_mut(&mut table);
    let mut params: conformance::echo_counter_params::Builder<'_> = content.init_as();
    params.set_counter(capnp_rpc::new_broken_cap(capnp::Error::failed("a place".into())).cast_to());
    describe(payload.init_cap_table(1).get(0));
}

proptest! {
    /// Nothing that a peer says makes it panic; and the connection ends, with nothing left of it, or goes on.
    #[test]
    fn whatever_a_peer_says(messages in prop::collection::vec(said(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (client, mut server) = memory::pair();
            let service = Rc::new(Service::default());
            let bootstrap: conformance::Client = capnp_rpc::new_client_from_rc(service.clone());
            let connection = serve_stream(client, bootstrap, &ServerOptions::default());
            let bootstrap = frame(|root| root.init_bootstrap().set_question_id(0));
            let said = messages.iter().zip(1..).map(|(said, number)| frame(|root| said.write(number, root)));
            for bytes in std::iter::once(bootstrap).chain(said) {
                if server.writer.write_all(&bytes).await.is_err() {
                    break;
                }
                yield_now().await;
            }
            for _ in 0..50 {
                yield_now().await;
            }
            if let Some(error) = connection.error() {
                assert!(!error.to_string().contains("panicked"), "{error}");
            }
            drop(server);
            connection.closed().await;
            connection.close().await;
            assert_eq!(Rc::strong_count(&service), 1, "something of the connection is left");
        });
    }
}

/// Keeps what was added, in order.
struct Counter(Rc<RefCell<Vec<i64>>>);

impl counter::Server for Counter {
    async fn add(self: Rc<Self>, params: counter::AddParams, mut results: counter::AddResults) -> capnp::Result<()> {
        let amount = params.get()?.get_amount();
        self.0.borrow_mut().push(amount);
        results.get().set_value(self.0.borrow().iter().sum());
        Ok(())
    }
}

fn add(counter: &counter::Client, amount: i64) -> impl Future<Output = capnp::Result<i64>> + use<> {
    let mut request = counter.add_request();
    request.get().set_amount(amount);
    let response = request.send().promise;
    async move { Ok(response.await?.get()?.get_value()) }
}

#[derive(Default)]
struct Service {
    hanging: Rc<Cell<usize>>,
    /// When a call that gives a counter may answer, if not at once.
    answer: RefCell<Option<oneshot::Receiver<()>>>,
}

impl Service {
    async fn may_answer(&self) -> capnp::Result<()> {
        let answer = self.answer.take();
        match answer {
            Some(answer) => answer.await.map_err(|_| capnp::Error::failed("the test is over".into())),
            None => Ok(()),
        }
    }
}

/// Counts one less when dropped.
struct Hanging(Rc<Cell<usize>>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl conformance::Server for Service {
    async fn new_counter(
        self: Rc<Self>,
        _: conformance::NewCounterParams,
        mut results: conformance::NewCounterResults,
    ) -> capnp::Result<()> {
        self.may_answer().await?;
        results.get().set_counter(capnp_rpc::new_client(Counter(Rc::default())));
        Ok(())
    }

    async fn echo_counter(
        self: Rc<Self>,
        params: conformance::EchoCounterParams,
        mut results: conformance::EchoCounterResults,
    ) -> capnp::Result<()> {
        self.may_answer().await?;
        results.get().set_counter(params.get()?.get_counter()?);
        Ok(())
    }

    async fn identify(
        self: Rc<Self>,
        params: conformance::IdentifyParams,
        mut results: conformance::IdentifyResults,
    ) -> capnp::Result<()> {
        let counter = params.get()?.get_counter()?;
        // This follows the promise, too.
        counter.client.hook.when_resolved().await?;
        let value = counter.read_request().send().promise.await?.get()?.get_value();
        results.get().set_value(value);
        Ok(())
    }

    async fn node(self: Rc<Self>, _: conformance::NodeParams, _: conformance::NodeResults) -> capnp::Result<()> {
        Ok(())
    }

    async fn hang(self: Rc<Self>, _: conformance::HangParams, _: conformance::HangResults) -> capnp::Result<()> {
        self.hanging.set(self.hanging.get() + 1);
        let _hanging = Hanging(self.hanging.clone());
        std::future::pending().await
    }
}

/// A client of a service; what keeps the connection comes with it.
fn connected(client: By, server: By, service: conformance::Client) -> (conformance::Client, Vec<Connection>) {
    let (near, far) = memory::pair();
    let mut held = Vec::new();
    match server {
        By::Shipmate => held.push(serve_stream(far, service, &ServerOptions::default())),
        By::CapnpRpc => drop(spawn_local(stock(far, Side::Server, Some(service.client)))),
    }
    let client = match client {
        By::Shipmate => {
            let connection = connect_stream(near, &ConnectOptions::default());
            let client = connection.bootstrap();
            held.push(connection);
            client
        }
        By::CapnpRpc => {
            let mut rpc = stock(near, Side::Client, None);
            let client = rpc.bootstrap(Side::Server);
            spawn_local(rpc);
            client
        }
    };
    (client, held)
}

fn stock(stream: Stream, side: Side, offered: Option<capnp::capability::Client>) -> RpcSystem<Side> {
    let (reader, writer) = (stream.reader.compat(), stream.writer.compat_write());
    RpcSystem::new(Box::new(twoparty::VatNetwork::new(reader, writer, side, Default::default())), offered)
}

/// A peer that is no engine.
struct Peer {
    reader: FrameReader,
    writer: crate::transport::WriteHalf,
    connection: Connection,
}

impl Peer {
    fn new(stream: Stream, connection: Connection) -> Self {
        Peer { reader: FrameReader::new(stream.reader, &Limits::DEFAULT), writer: stream.writer, connection }
    }

    async fn send(&mut self, build: impl FnOnce(message::Builder<'_>)) {
        self.writer.write_all(&frame(build)).await.unwrap();
    }

    async fn next(&mut self) -> Reader<Frame> {
        self.reader.next().await.unwrap().expect("the other side goes on").into_reader(&Limits::DEFAULT)
    }

    /// Calls a method of the bootstrap capability, which question 0 has asked for.
    async fn call(&mut self, question: u32, method: u16) {
        self.send(|root| {
            let mut call = root.init_call();
            call.set_question_id(question);
            call.set_interface_id(conformance::Client::TYPE_ID);
            call.set_method_id(method);
            call.reborrow().init_target().init_promised_answer().set_question_id(0);
            call.init_params().init_content().init_as::<conformance::node_params::Builder<'_>>();
        })
        .await;
    }

    /// Calls `echo_counter` with what is described so.
    async fn echo(&mut self, question: u32, describe: impl FnOnce(cap_descriptor::Builder<'_>)) {
        self.pass(question, 14, describe).await;
    }

    /// Calls a method of the bootstrap capability with a counter that is described so.
    async fn pass(&mut self, question: u32, method: u16, describe: impl FnOnce(cap_descriptor::Builder<'_>)) {
        self.send(|root| {
            let mut call = root.init_call();
            call.set_question_id(question);
            call.set_interface_id(conformance::Client::TYPE_ID);
            call.set_method_id(method);
            call.reborrow().init_target().init_promised_answer().set_question_id(0);
            with_counter(call.init_params(), describe);
        })
        .await;
    }

    /// What the answer to a question is, skipping what else is said.
    async fn returned(&mut self, question: u32) -> &'static str {
        loop {
            let message = self.next().await;
            let message::Return(answer) = message.get_root::<message::Reader<'_>>().unwrap().which().unwrap() else {
                continue;
            };
            let answer = answer.unwrap();
            if answer.get_answer_id() != question {
                continue;
            }
            return match answer.which().unwrap() {
                return_::Results(_) => "results",
                return_::Exception(_) => "exception",
                return_::Canceled(()) => "canceled",
                return_::ResultsSentElsewhere(()) => "resultsSentElsewhere",
                _ => "something else",
            };
        }
    }

    /// The question of the next call.
    async fn question_of_call(&mut self) -> u32 {
        loop {
            let message = self.next().await;
            if let message::Call(call) = message.get_root::<message::Reader<'_>>().unwrap().which().unwrap() {
                return call.unwrap().get_question_id();
            }
        }
    }

    /// With results that say nothing.
    async fn answer(&mut self, question: u32) {
        self.reply(question, |answer| {
            answer.init_results();
        })
        .await;
    }

    async fn reply(&mut self, question: u32, write: impl FnOnce(return_::Builder<'_>)) {
        self.send(|root| {
            let mut answer = root.init_return();
            answer.set_answer_id(question);
            write(answer);
        })
        .await;
    }

    async fn take_from(&mut self, question: u32, other: u32) {
        self.reply(question, |mut answer| answer.set_take_from_other_question(other)).await;
    }
}

/// Calls, awaits the answer once and in vain, and gives what the peer has to answer.
async fn ask(
    client: &conformance::Client,
    peer: &mut Peer,
) -> (Promise<Response<conformance::node_results::Owned>, capnp::Error>, u32) {
    let mut response = client.node_request().send().promise;
    assert!(poll!(&mut response).is_pending());
    (response, peer.question_of_call().await)
}

/// Runs a test of a client that looks for its peer in shared memory, and of that, which has answered the question for the
/// bootstrap capability and heard that this is over. Nothing of the test may wait, unless it is to give the engine its
/// turn.
async fn in_shared_memory(test: impl AsyncFnOnce(conformance::Client, Peer)) {
    const SPIN: Duration = Duration::from_secs(60);
    if is_alone() {
        return;
    }
    let run = async {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("shm:{}/ahead", folder.path().display()).parse().unwrap();
        let mut listener = transport::listen(&address, &ListenOptions::default()).await.unwrap();
        let connecting = Connecting { spin: SPIN, ..Connecting::default() };
        let (near, far) = tokio::join!(transport::connect_within(&address, &connecting, &Limits::DEFAULT), async {
            listener.accept().await.unwrap().attach().await
        });
        let (client, mut peer) = client_and_peer_over(near.unwrap(), far.unwrap(), Service::default());
        peer.next().await;
        let capability = |answer: return_::Builder<'_>| {
            let mut table = Vec::new();
            let mut payload = answer.init_results();
            payload.reborrow().init_cap_table(1).get(0).set_sender_hosted(3);
            let mut content = payload.reborrow().get_content();
            content.imbue_mut(&mut table);
            content.set_as_capability(capnp_rpc::new_broken_cap(capnp::Error::failed("an index".into())).hook);
        };
        peer.reply(0, capability).await;
        client.client.hook.when_resolved().await.unwrap();
        peer.next().await;
        yield_now().await;
        test(client, peer).await;
    };
    LocalSet::new().run_until(run).await;
}

/// Runs a test as the peer of this service, whose bootstrap capability question 0 has asked for.
async fn raw(service: Service, test: impl AsyncFnOnce(&mut Peer, Rc<Service>)) {
    LocalSet::new()
        .run_until(async {
            let (near, far) = memory::pair();
            let service = Rc::new(service);
            let bootstrap: conformance::Client = capnp_rpc::new_client_from_rc(service.clone());
            let connection = serve_stream(far, bootstrap, &ServerOptions::default());
            let mut peer = Peer::new(near, connection);
            peer.send(|root| root.init_bootstrap().set_question_id(0)).await;
            assert_eq!(peer.returned(0).await, "results");
            test(&mut peer, service).await;
            assert!(peer.connection.error().is_none());
        })
        .await;
}

/// A client, which offers this service itself, and its peer, which has answered the question for the bootstrap
/// capability.
fn client_and_peer(service: Service) -> (conformance::Client, Peer) {
    let (near, far) = memory::pair();
    client_and_peer_over(near, far, service)
}

fn client_and_peer_over(near: Stream, far: Stream, service: Service) -> (conformance::Client, Peer) {
    let offered: conformance::Client = capnp_rpc::new_client(service);
    let connection = Connection::start(near, Side::Client, Some(offered.client), &Limits::DEFAULT, None);
    (connection.bootstrap(), Peer::new(far, connection))
}

fn frame(build: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut message = Builder::new_default();
    build(message.init_root());
    serialize::write_message_to_words(&message)
}
