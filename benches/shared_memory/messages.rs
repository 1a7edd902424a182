//! One-way messages between two processes that spin.

use std::time::{Duration, Instant};

use capnp::data;
use capnp::traits::Owned;
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::record_capnp::record;
use shipmate::transport::{Connecting, Tier};
use shipmate::{Address, Limits, ListenOptions};
use tempfile::TempDir;
use tokio::runtime;

use super::common::process::{self, Server};
use super::common::statistics::{median_time, micros, ratio, spread};
use super::{SPIN, ping_pong};

const LARGE_BYTES: usize = 1 << 20;

/// A small message is built and sent, a large one is lent, filled in part and sent. Another process, which waits for
/// nothing else, answers each with a small one; half of the round trip of a small one is what one takes.
pub(crate) async fn measure(rounds: usize, each: Duration) {
    let mut lines = (Line::connect("small").await, Line::connect("large").await);
    let (mut bare, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(micros(ping_pong(each)) / 2.0);
        let back = micros(lines.0.round_trip(each, send_small).await) / 2.0;
        large.push(micros(lines.1.round_trip(each, send_large).await) - back);
        small.push(back);
    }
    println!("\nOne message, one way, between two processes that spin:\n");
    println!("| what | p50 us | / bare | / small |\n|---|---:|---:|---:|");
    println!("| a bare word | {} | 1.0 | |", spread(&bare, 2));
    for (what, took) in [("a small message", &small), ("1 MiB, lent, to who trusts", &large)] {
        println!("| {what} | {} | {:.1} | {:.1} |", spread(took, 2), ratio(took, &bare), ratio(took, &small));
    }
}

/// To a process that answers, and back.
struct Line<T> {
    there: Sender<T>,
    back: Receiver<record::Owned>,
    _server: Server,
    _folder: TempDir,
}

impl<T: Owned> Line<T> {
    async fn connect(kind: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let address = |name: &str| format!("shm:{}/{name}", folder.path().display());
        let mut listener = listen(&address("back")).await;
        let server = Server::start_with(&["answer-messages", kind, &address("there"), &address("back")]);
        let there = sender(&address("there")).await;
        let back = listener.accept().await.unwrap();
        Line { there, back, _server: server, _folder: folder }
    }

    async fn round_trip(&mut self, time: Duration, send: impl AsyncFn(&mut Sender<T>)) -> Duration {
        let mut took = Vec::new();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let start = Instant::now();
            send(&mut self.there).await;
            self.back.recv().await.unwrap().unwrap();
            took.push(start.elapsed());
        }
        median_time(took)
    }
}

async fn send_small(there: &mut Sender<record::Owned>) {
    there.send(|mut record| record.set_value(7)).await.unwrap();
}

async fn send_large(there: &mut Sender<data::Owned>) {
    let mut loan = there.loan_bytes(LARGE_BYTES).unwrap();
    loan[LARGE_BYTES - 1] = 7;
    loan.send().await.unwrap();
}

async fn listen(address: &str) -> Listener {
    let options = ListenOptions { spin: SPIN, tier: Tier::Trusted, ..ListenOptions::default() };
    Listener::bind_with(address, &options, Limits::DEFAULT).await.unwrap()
}

async fn sender<T: Owned>(address: &str) -> Sender<T> {
    let options = Connecting { spin: SPIN, tier: Tier::Trusted };
    Sender::connect_with(address, &options, &Limits::DEFAULT).await.unwrap()
}

/// Runs the other side and does not return, if this process was started to be one.
pub(crate) fn serve_if_asked(arguments: &[String]) {
    let [order, kind, there, back] = arguments else { return };
    if order == "answer-messages" {
        process::report_when_asked();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            match kind.as_str() {
                "small" => answer::<record::Owned>(there, back, |record| record.get_value()).await,
                _ => answer::<data::Owned>(there, back, |data| data[LARGE_BYTES - 1].into()).await,
            }
        });
    }
}

async fn answer<T: Owned>(there: &str, back: &str, value: impl Fn(T::Reader<'_>) -> i64) {
    let mut listener = listen(there).await;
    process::ready(&there.parse::<Address>().unwrap());
    let mut there: Receiver<T> = listener.accept().await.unwrap();
    let mut back: Sender<record::Owned> = sender(back).await;
    while let Some(message) = there.recv().await.unwrap() {
        let value = value(message.get().unwrap());
        assert_eq!(value, 7);
        back.send(|mut record| record.set_value(value)).await.unwrap();
    }
}
