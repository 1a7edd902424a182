//! Mailboxes and the calculator of a real `shipmated`: back-pressure, and the server calling the client.

use std::cell::RefCell;
use std::rc::Rc;

use shipmate::schema::calculator_capnp::calculator;
use shipmate::schema::mailbox_capnp::{box_, mailbox, subscriber};
use shipmate::{Connection, Error};

use crate::harness::{Shipmated, Transport, ping, service};

on_every_transport! {
    records_pass_between_connections, a_full_mailbox_holds_its_senders_back, a_subscriber_is_called,
    the_calculator_calls_a_function_of_the_client,
}

async fn records_pass_between_connections(transport: Transport) {
    let server = Shipmated::start(transport);
    let (here, there) = (server.connect().await, server.connect().await);
    let (from, to) = (open(&here, "box", 0).await, open(&there, "box", 0).await);
    let taking = to.take_request().send().promise;
    for value in 0..100 {
        post(&from, value).await.unwrap();
    }
    assert_eq!(taking.await.unwrap().get().unwrap().get_record().unwrap().get_value(), 0);
    for value in 1..100 {
        assert_eq!(take(&to).await, value);
    }
}

async fn a_full_mailbox_holds_its_senders_back(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    let mailbox = open(&connection, "small", 2).await;
    post(&mailbox, 0).await.unwrap();
    post(&mailbox, 1).await.unwrap();
    let mut third = Box::pin(post(&mailbox, 2));
    assert!(futures::poll!(&mut third).is_pending());
    ping(&connection, b"sent after the third, answered before it").await.unwrap();
    assert!(futures::poll!(&mut third).is_pending());
    assert_eq!(take(&mailbox).await, 0);
    third.await.unwrap();
    assert_eq!((take(&mailbox).await, take(&mailbox).await), (1, 2));
}

async fn a_subscriber_is_called(transport: Transport) {
    const COUNT: i64 = 200;
    let server = Shipmated::start(transport);
    let (here, there) = (server.connect().await, server.connect().await);
    let (from, to) = (open(&here, "news", 16).await, open(&there, "news", 16).await);
    let received = Rc::new(RefCell::new(Vec::new()));
    let mut subscribe = to.subscribe_request();
    subscribe.get().set_subscriber(capnp_rpc::new_client(Received(received.clone())));
    let subscription = subscribe.send().promise.await.unwrap().get().unwrap().get_subscription().unwrap();
    for value in 0..COUNT {
        post(&from, value).await.unwrap();
    }
    loop {
        let delivered = subscription.delivered_request().send().promise.await.unwrap();
        if delivered.get().unwrap().get_count() == COUNT as u64 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(*received.borrow(), (0..COUNT).collect::<Vec<_>>());
    drop(subscription);
}

/// `17 + twice(21)`, where `twice` is here and the rest is at the server.
async fn the_calculator_calls_a_function_of_the_client(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    let calculator: calculator::Client = service(&connection, "calculator");
    let mut operator = calculator.get_operator_request();
    operator.get().set_op(calculator::Operator::Add);
    let add = operator.send().pipeline.get_func();

    let mut request = calculator.evaluate_request();
    let mut sum = request.get().init_expression().init_call();
    sum.set_function(add);
    let mut terms = sum.init_params(2);
    terms.reborrow().get(0).set_literal(17.0);
    let mut twice = terms.get(1).init_call();
    twice.set_function(capnp_rpc::new_client(Twice));
    twice.init_params(1).get(0).set_literal(21.0);
    let value = request.send().pipeline.get_value().read_request().send().promise.await.unwrap();
    assert_eq!(value.get().unwrap().get_value(), 59.0);
}

struct Received(Rc<RefCell<Vec<i64>>>);

impl subscriber::Server for Received {
    async fn receive(
        self: Rc<Self>,
        params: subscriber::ReceiveParams,
        _: subscriber::ReceiveResults,
    ) -> Result<(), capnp::Error> {
        self.0.borrow_mut().push(params.get()?.get_record()?.get_value());
        Ok(())
    }
}

struct Twice;

impl calculator::function::Server for Twice {
    async fn call(
        self: Rc<Self>,
        params: calculator::function::CallParams,
        mut results: calculator::function::CallResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_value(2.0 * params.get()?.get_params()?.get(0));
        Ok(())
    }
}

pub(crate) async fn open(connection: &Connection, name: &str, capacity: u32) -> box_::Client {
    let mailbox: mailbox::Client = service(connection, "mailbox");
    let mut request = mailbox.open_request();
    request.get().set_name(name);
    request.get().set_capacity(capacity);
    let response = request.send().promise.await.unwrap();
    response.get().unwrap().get_box().unwrap()
}

pub(crate) async fn post(mailbox: &box_::Client, value: i64) -> Result<(), Error> {
    let mut request = mailbox.post_request();
    request.get().init_record().set_value(value);
    request.send().promise.await?;
    Ok(())
}

pub(crate) async fn take(mailbox: &box_::Client) -> i64 {
    let response = mailbox.take_request().send().promise.await.unwrap();
    response.get().unwrap().get_record().unwrap().get_value()
}
