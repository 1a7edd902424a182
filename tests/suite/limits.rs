//! Every bound bites, slows down before it disconnects, and locks nothing up.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::join_all;
use shipmate::schema::calculator_capnp::calculator;
use shipmate::transport::{self, ReadHalf, Stream};
use shipmate::{ConnectOptions, Error, Limits, connect_stream, connect_with};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::harness::{Shipmated, Transport, ping, service};
use crate::hostile::{send_raw, words};
use crate::mailbox::open;

on_every_transport! {
    replies_that_nobody_reads_are_bounded, an_announcement_costs_nothing, refusals_name_the_limit,
    a_reply_too_large_for_the_client, callbacks_go_past_held_calls, a_cancelled_call_makes_room,
    one_connection_too_many_waits, the_least_room_for_replies_is_enough,
}

/// 400 MiB of replies: without a bound the server would hold them all.
async fn replies_that_nobody_reads_are_bounded(transport: Transport) {
    const CALLS: usize = 400;
    const GROWTH_BYTES_MAX: usize = 64 << 20;
    let server = Shipmated::start(transport);
    let witness = server.connect().await;
    ping(&witness, &vec![1; 1 << 20]).await.unwrap();
    let before = server.peak_bytes();

    let stream = transport::connect(server.address()).await.unwrap();
    let tap = Arc::new(Tap::default());
    let reader = ReadHalf::new(Tapped { half: stream.reader, tap: tap.clone() });
    let slow = connect_stream(Stream { reader, ..stream }, &ConnectOptions { keepalive: None, ..Default::default() });
    let sent = Rc::new(Cell::new(0));
    let calls = spawn_local({
        let (slow, sent) = (slow.clone(), sent.clone());
        async move {
            let mut calls = Vec::new();
            for n in 0..CALLS {
                slow.ready().await;
                let slow = slow.clone();
                calls.push(spawn_local(async move { ping(&slow, &vec![n as u8; 1 << 20]).await }));
                tokio::task::yield_now().await;
                sent.set(n + 1);
            }
            for call in calls {
                call.await.unwrap().unwrap();
            }
        }
    });
    // Until the server has stopped taking calls. To look too soon makes the test weaker, not wrong.
    let mut same = 0;
    while same < 50 {
        let before = sent.get();
        ping(&witness, b"meanwhile").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        same = if sent.get() == before { same + 1 } else { 0 };
    }
    assert!(sent.get() < CALLS, "the client was never slowed down");

    tap.open();
    calls.await.unwrap();
    let grown = server.peak_bytes() - before;
    assert!(grown < GROWTH_BYTES_MAX, "the server grew by {} MiB", grown >> 20);
}

async fn an_announcement_costs_nothing(transport: Transport) {
    const CLIENTS: usize = 32;
    const GROWTH_BYTES_MAX: usize = 40 << 20;
    let server = Shipmated::start(transport);
    ping(&server.connect().await, &[]).await.unwrap();
    let before = server.peak_bytes();
    let announcement = words(&[0, (64 << 17) - 1]);
    let connections = join_all((0..CLIENTS).map(|_| transport::connect(server.address()))).await;
    let mut connections: Vec<_> = connections.into_iter().map(|stream| stream.unwrap()).collect();
    for stream in &mut connections {
        stream.writer.write_all(&announcement).await.unwrap();
    }
    for mut stream in connections {
        stream.writer.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.reader.read_to_end(&mut answer).await.unwrap();
        assert!(says(&answer, "of the 67108856 bytes"), "the announcement was not seen: {answer:?}");
    }
    let grown = server.peak_bytes() - before;
    assert!(grown < GROWTH_BYTES_MAX, "the server grew by {} KiB", grown >> 10);
}

async fn refusals_name_the_limit(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--max-frame", "1MiB", "--max-segments", "8"]);
    for (bytes, limit) in [
        (words(&[0, (1 << 17) - 1]), "of the 1048568 bytes"),
        (words(&[0, 1 << 17]), "frame_bytes_max"),
        (words(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0]), ""),
        (words(&[8, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "segments_max"),
    ] {
        let answer = send_raw(server.address(), &bytes).await.expect("the connection ends");
        assert!(says(&answer, limit), "{limit}: {}", String::from_utf8_lossy(&answer));
    }
    let connection = server.connect().await;
    ping(&connection, &vec![0; 1_000_000]).await.unwrap();
    let error = ping(&connection, &vec![0; 2 << 20]).await.unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    ping(&server.connect().await, b"a new connection").await.unwrap();
}

async fn a_reply_too_large_for_the_client(transport: Transport) {
    let server = Shipmated::start(transport);
    let limits = Limits { frame_bytes_max: 1 << 20, ..Limits::DEFAULT };
    let options = ConnectOptions { limits, ..Default::default() };
    let connection = connect_with(server.address().clone(), &options).await.unwrap();
    let error = ping(&connection, &vec![0; 2 << 20]).await.unwrap_err();
    assert!(matches!(&error, Error::Disconnected { reason } if reason.contains("frame_bytes_max")), "{error}");
    let error = connection.closed().await;
    assert!(matches!(error, Error::Limit { limit: "frame_bytes_max", allowed: 0x10_0000, .. }), "{error}");
}

/// The answers to callbacks come after calls that are held back, and the calls at work wait for them.
async fn callbacks_go_past_held_calls(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--calls-in-flight", "4"]);
    let connection = server.connect().await;
    let calculator: calculator::Client = service(&connection, "calculator");
    // Its own call is over when this is answered.
    calculator.get_operator_request().send().promise.await.unwrap();

    let crowd = Rc::new(Crowd::default());
    let evaluations = join_all((0..100).map(|_| {
        let mut request = calculator.evaluate_request();
        let mut call = request.get().init_expression().init_call();
        call.set_function(capnp_rpc::new_client(Member(crowd.clone())));
        call.init_params(0);
        request.send().promise
    }))
    .await;
    for evaluation in evaluations {
        evaluation.unwrap();
    }
    assert_eq!(crowd.most.get(), 4);
}

async fn a_cancelled_call_makes_room(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--calls-in-flight", "4"]);
    let connection = server.connect().await;
    let mailbox = open(&connection, "empty", 0).await;
    let mut taking: Vec<_> = (0..4).map(|_| mailbox.take_request().send().promise).collect();
    let mut fifth = Box::pin(ping(&connection, b"held"));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut fifth).await;
    assert!(early.is_err(), "a fifth call was taken up");
    taking.pop();
    fifth.await.unwrap();
}

/// Each call is held until the reply before it is written, which often happens at once.
async fn the_least_room_for_replies_is_enough(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--max-outgoing", "1"]);
    let connection = server.connect().await;
    let pings = join_all((0..200).map(|n| {
        let connection = connection.clone();
        async move { ping(&connection, &vec![n; 4096]).await }
    }));
    for ping in pings.await {
        ping.unwrap();
    }
}

async fn one_connection_too_many_waits(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--max-connections", "2"]);
    let (first, second) = (server.connect().await, server.connect().await);
    ping(&first, b"1").await.unwrap();
    ping(&second, b"2").await.unwrap();
    let mut third = Box::pin(async { ping(&server.connect().await, b"3").await });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut third).await;
    assert!(early.is_err(), "a third connection was accepted");
    first.close().await;
    third.await.unwrap();
    ping(&second, b"2").await.unwrap();
}

fn says(answer: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(answer).contains(text)
}

/// Functions at work at the same time. The first of them wait until there are four.
#[derive(Default)]
struct Crowd {
    now: Cell<usize>,
    most: Cell<usize>,
    four: Notify,
}

struct Member(Rc<Crowd>);

impl calculator::function::Server for Member {
    async fn call(
        self: Rc<Self>,
        _: calculator::function::CallParams,
        mut results: calculator::function::CallResults,
    ) -> Result<(), capnp::Error> {
        let crowd = &self.0;
        crowd.now.set(crowd.now.get() + 1);
        crowd.most.set(crowd.most.get().max(crowd.now.get()));
        let four = crowd.four.notified();
        match crowd.most.get() {
            4.. => crowd.four.notify_waiters(),
            _ => four.await,
        }
        crowd.now.set(crowd.now.get() - 1);
        results.get().set_value(1.0);
        Ok(())
    }
}

/// A stream that is not read until the tap is opened.
struct Tapped {
    half: ReadHalf,
    tap: Arc<Tap>,
}

#[derive(Default)]
struct Tap {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Tap {
    fn open(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.tap.state.lock().unwrap();
        if !state.0 {
            state.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        Pin::new(&mut self.half).poll_read(cx, buffer)
    }
}
