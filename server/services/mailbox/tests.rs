//! Mailboxes through their interface, in process and over a connection.

use capnp::capability::Request;
use capnp::traits::{HasTypeId, Imbue};
use shipmate::schema::mailbox_capnp::{subscriber, subscription};
use shipmate::schema::record_capnp::record;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::*;

/// A record that is told apart by its value.
pub(super) fn record(value: i64) -> StoredRecord {
    let mut message = capnp::message::Builder::new_default();
    let mut record: record::Builder<'_> = message.init_root();
    record.set_name("north mast");
    record.set_value(value);
    record.reborrow().init_readings(1).get(0).set_sensor("log");
    StoredRecord::copy(record.into_reader(), usize::MAX).unwrap()
}

type Handled = oneshot::Sender<Result<(), capnp::Error>>;

/// Passes what it receives to the test, which answers when it likes.
struct Probe(mpsc::UnboundedSender<(i64, Handled)>);

impl subscriber::Server for Probe {
    async fn receive(
        self: Rc<Self>,
        params: subscriber::ReceiveParams,
        _: subscriber::ReceiveResults,
    ) -> Result<(), capnp::Error> {
        let (handled, answer) = oneshot::channel();
        let value = params.get()?.get_record()?.get_value();
        self.0.send((value, handled)).map_err(|_| capnp::Error::failed("the test is over".into()))?;
        answer.await.unwrap_or_else(|_| Err(capnp::Error::failed("refused".into())))
    }
}

fn service() -> mailbox::Client {
    capnp_rpc::new_client(Mailbox::new(Arc::new(Mailboxes::new(MailboxLimits::default()))))
}

async fn open(service: &mailbox::Client, name: &str, capacity: u32) -> box_::Client {
    let mut request = service.open_request();
    request.get().set_name(name);
    request.get().set_capacity(capacity);
    let response = request.send().promise.await.unwrap();
    assert!(response.get().unwrap().get_opened());
    response.get().unwrap().get_box().unwrap()
}

fn post(mailbox: &box_::Client, value: i64) -> impl Future<Output = Result<(), capnp::Error>> + use<> {
    let mut request = mailbox.post_request();
    request.get().set_record(record(value).reader().unwrap()).unwrap();
    let promise = request.send().promise;
    async { promise.await.map(drop) }
}

async fn take(mailbox: &box_::Client) -> i64 {
    let response = mailbox.take_request().send().promise.await.unwrap();
    response.get().unwrap().get_record().unwrap().get_value()
}

async fn length(mailbox: &box_::Client) -> u32 {
    let response = mailbox.info_request().send().promise.await.unwrap();
    response.get().unwrap().get_info().unwrap().get_length()
}

async fn subscribe(
    mailbox: &box_::Client,
    window: u16,
) -> (subscription::Client, mpsc::UnboundedReceiver<(i64, Handled)>) {
    let (sender, received) = mpsc::unbounded_channel();
    let mut request = mailbox.subscribe_request();
    request.get().set_subscriber(capnp_rpc::new_client(Probe(sender)));
    request.get().set_window(window);
    let response = request.send().promise.await.unwrap();
    (response.get().unwrap().get_subscription().unwrap(), received)
}

async fn delivered(subscription: &subscription::Client) -> u64 {
    let response = subscription.delivered_request().send().promise.await.unwrap();
    response.get().unwrap().get_count()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

#[test]
fn a_record_comes_out_as_it_went_in() {
    run(async {
        let service = service();
        let (mailbox, same) = (open(&service, "a", 2).await, open(&service, "a", 9).await);
        post(&mailbox, 7).await.unwrap();
        let response = same.take_request().send().promise.await.unwrap();
        let record = response.get().unwrap().get_record().unwrap();
        assert_eq!((record.get_name().unwrap().to_str(), record.get_value()), (Ok("north mast"), 7));
        assert_eq!(record.get_readings().unwrap().get(0).get_sensor().unwrap().to_str(), Ok("log"));

        let response = same.try_take_request().send().promise.await.unwrap();
        assert!(!response.get().unwrap().get_found());
        post(&mailbox, 8).await.unwrap();
        let response = same.try_take_request().send().promise.await.unwrap();
        assert!(response.get().unwrap().get_found());
    });
}

#[test]
fn list_gives_the_figures_of_every_mailbox() {
    run(async {
        let service = service();
        let (later, _empty) = (open(&service, "b", 3).await, open(&service, "a", 0).await);
        post(&later, 1).await.unwrap();
        post(&later, 2).await.unwrap();
        take(&later).await;
        let response = service.list_request().send().promise.await.unwrap();
        let boxes = response.get().unwrap().get_boxes().unwrap();
        let names: Vec<_> = boxes.iter().map(|info| info.get_name().unwrap().to_string().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        let info = boxes.get(1);
        assert_eq!((info.get_capacity(), info.get_length(), info.get_posted(), info.get_taken()), (3, 1, 2, 1));
        assert_eq!(boxes.get(0).get_capacity(), 1024);
    });
}

#[test]
fn a_refused_mailbox_is_null() {
    run(async {
        let service = service();
        let mut request = service.open_request();
        request.get().set_name("n".repeat(300));
        let response = request.send().promise.await.unwrap();
        let opened = response.get().unwrap();
        assert_eq!(opened.get_refusal(), Ok(Refusal::NameTooLong));
        assert!(!opened.get_opened() && !opened.has_box());
    });
}

#[test]
fn a_subscriber_gets_records_in_order_within_its_window() {
    run(async {
        let mailbox = open(&service(), "a", 10).await;
        for value in 1..=4 {
            post(&mailbox, value).await.unwrap();
        }
        let (subscription, mut received) = subscribe(&mailbox, 2).await;
        let (first, first_handled) = received.recv().await.unwrap();
        let (second, _second_handled) = received.recv().await.unwrap();
        assert_eq!((first, second), (1, 2));
        assert_eq!(delivered(&subscription).await, 0);
        assert!(received.try_recv().is_err(), "the window is two");

        first_handled.send(Ok(())).unwrap();
        assert_eq!(received.recv().await.unwrap().0, 3);
        assert_eq!(delivered(&subscription).await, 1);
    });
}

#[test]
fn a_slow_subscriber_slows_the_posts_down() {
    run(async {
        let mailbox = open(&service(), "a", 1).await;
        let (_subscription, mut received) = subscribe(&mailbox, 8).await;
        post(&mailbox, 1).await.unwrap();
        let (_, handled) = received.recv().await.unwrap();
        let mut second = std::pin::pin!(post(&mailbox, 2));
        for _ in 0..20 {
            tokio::task::yield_now().await;
            assert!(futures::poll!(&mut second).is_pending());
        }
        handled.send(Ok(())).unwrap();
        second.await.unwrap();
        assert_eq!(received.recv().await.unwrap().0, 2);
    });
}

#[test]
fn a_subscriber_that_fails_gives_everything_back_in_order() {
    run(async {
        let mailbox = open(&service(), "a", 10).await;
        for value in 1..=5 {
            post(&mailbox, value).await.unwrap();
        }
        let (_subscription, mut received) = subscribe(&mailbox, 3).await;
        let mut unanswered = Vec::new();
        for _ in 0..3 {
            unanswered.push(received.recv().await.unwrap().1);
        }
        unanswered.remove(1).send(Err(capnp::Error::failed("no more".into()))).unwrap();
        assert_eq!(received.recv().await.map(|(value, _)| value), None, "the subscription is over");
        for value in 1..=5 {
            assert_eq!(take(&mailbox).await, value);
        }
    });
}

/// Who waits already when the records come back gets them in order too.
#[test]
fn what_goes_back_is_handed_on_in_order() {
    run(async {
        let mailbox = open(&service(), "a", 10).await;
        let (subscription, mut received) = subscribe(&mailbox, 3).await;
        post(&mailbox, 1).await.unwrap();
        post(&mailbox, 2).await.unwrap();
        let _unanswered = (received.recv().await.unwrap(), received.recv().await.unwrap());
        let takes = futures::future::join3(take(&mailbox), take(&mailbox), take(&mailbox));
        let end = async {
            length(&mailbox).await;
            drop(subscription);
            while received.recv().await.is_some() {}
            post(&mailbox, 3).await.unwrap();
        };
        let (taken, ()) = futures::join!(takes, end);
        assert_eq!(taken, (1, 2, 3));
    });
}

#[test]
fn dropping_the_subscription_ends_it() {
    run(async {
        let mailbox = open(&service(), "a", 10).await;
        let (subscription, mut received) = subscribe(&mailbox, 2).await;
        for value in 1..=3 {
            post(&mailbox, value).await.unwrap();
        }
        let (_, first) = received.recv().await.unwrap();
        let (_, _second) = received.recv().await.unwrap();
        first.send(Ok(())).unwrap();
        drop(subscription);
        // Ends when the task has let go of the subscriber; what was on its way may come first.
        while received.recv().await.is_some() {}
        assert_eq!(take(&mailbox).await, 2, "the first was answered, the second was not");
        assert_eq!(take(&mailbox).await, 3);
        assert_eq!(length(&mailbox).await, 0);
    });
}

#[test]
fn a_subscription_keeps_its_mailbox() {
    run(async {
        let service = service();
        let (subscription, mut received) = subscribe(&open(&service, "a", 1).await, 1).await;
        post(&open(&service, "a", 9).await, 1).await.unwrap();
        let (value, handled) = received.recv().await.unwrap();
        assert_eq!(value, 1);
        handled.send(Ok(())).unwrap();
        drop(subscription);
        while received.recv().await.is_some() {}
        let response = service.list_request().send().promise.await.unwrap();
        assert_eq!(response.get().unwrap().get_boxes().unwrap().len(), 0);
    });
}

/// The client lives on, but its connection does not.
#[test]
fn a_connection_that_dies_gives_back_what_it_had() {
    run(async {
        let service = service();
        let mailbox = open(&service, "a", 4).await;
        let (remote, wire) = connect(service);
        let (_subscription, mut received) = subscribe(&open(&remote, "a", 4).await, 2).await;
        for value in 1..=2 {
            post(&mailbox, value).await.unwrap();
        }
        let _unanswered = (received.recv().await.unwrap(), received.recv().await.unwrap());
        let remote_box = open(&remote, "a", 4).await;
        wire.abort();
        for value in 1..=2 {
            assert_eq!(take(&mailbox).await, value);
        }
        assert!(post(&remote_box, 9).await.is_err());
    });
}

#[test]
fn a_call_that_is_cancelled_over_a_connection_posts_and_takes_nothing() {
    run(async {
        let service = service();
        let mailbox = open(&service, "a", 1).await;
        let remote = open(&connect(service).0, "a", 1).await;

        let mut waiting_take = Box::pin(remote.take_request().send().promise);
        // An answer to a later call shows that the earlier one has arrived.
        length(&remote).await;
        assert!(futures::poll!(&mut waiting_take).is_pending());
        drop(waiting_take);
        length(&remote).await;
        post(&mailbox, 1).await.unwrap();
        assert_eq!(length(&mailbox).await, 1);

        let waiting_post = post(&remote, 2);
        length(&remote).await;
        drop(waiting_post);
        length(&remote).await;
        assert_eq!(take(&mailbox).await, 1);
        assert_eq!(length(&mailbox).await, 0);
    });
}

/// The schema has no capability in a record, but a peer may put one there.
#[test]
fn a_capability_in_a_record_is_refused() {
    run(async {
        let service = service();
        let mailbox = open(&service, "a", 4).await;
        // Parameters of one pointer, to a record of one pointer, to the first capability.
        let words = [1u64 << 48, 1 << 48, 3].map(u64::to_le_bytes).concat();
        let segments: &[&[u8]] = &[&words];
        let message = capnp::message::Reader::new(
            capnp::message::SegmentArray::new(segments),
            capnp::message::ReaderOptions::new(),
        );
        let mut params: capnp::any_pointer::Reader<'_> = message.get_root().unwrap();
        let capabilities = vec![Some(service.client.hook.add_ref())];
        params.imbue(&capabilities);
        let mut call: Request<capnp::any_pointer::Owned, capnp::any_pointer::Owned> =
            mailbox.client.new_call(box_::Client::TYPE_ID, 0, None);
        call.get().set_as(params).unwrap();
        let refused = call.send().promise.await.err().unwrap();
        assert!(refused.extra.contains("capability"), "{refused}");
    });
}

/// The service seen through a connection, and the task that is its wire.
fn connect(service: mailbox::Client) -> (mailbox::Client, tokio::task::JoinHandle<()>) {
    use capnp_rpc::rpc_twoparty_capnp::Side;
    use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

    const CAPACITY_BYTES: usize = 4096;
    let (client_end, mut client_wire) = tokio::io::duplex(CAPACITY_BYTES);
    let (server_end, mut server_wire) = tokio::io::duplex(CAPACITY_BYTES);
    let wire = tokio::task::spawn_local(async move {
        let _ = tokio::io::copy_bidirectional(&mut client_wire, &mut server_wire).await;
    });
    let system = |end, side, bootstrap| {
        let (reader, writer) = tokio::io::split(end);
        let network =
            capnp_rpc::twoparty::VatNetwork::new(reader.compat(), writer.compat_write(), side, Default::default());
        capnp_rpc::RpcSystem::new(Box::new(network), bootstrap)
    };
    let mut client = system(client_end, Side::Client, None);
    let remote = client.bootstrap(Side::Server);
    tokio::task::spawn_local(client);
    tokio::task::spawn_local(system(server_end, Side::Server, Some(service.client)));
    (remote, wire)
}
