//! One-way messages between two processes that spin.

use std::time::{Duration, Instant};

use capnp::data;
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

/// A small message is built and sent, a large one is lent, filled in part and sent. The other side answers each with a
/// small one; half of that round trip is what one takes.
pub(crate) async fn measure(rounds: usize, each: Duration) {
    let mut line = Line::connect().await;
    let (mut bare, mut small, mut large) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(micros(ping_pong(each)) / 2.0);
        let back = micros(line.small(each).await) / 2.0;
        large.push(micros(line.large(each).await) - back);
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
struct Line {
    small: Sender<record::Owned>,
    large: Sender<data::Owned>,
    back: Receiver<record::Owned>,
    _server: Server,
    _folder: TempDir,
}

impl Line {
    async fn connect() -> Self {
        let folder = TempDir::new().unwrap();
        let address = |name: &str| format!("shm:{}/{name}", folder.path().display());
        let mut listener = listen(&address("back")).await;
        let server = Server::start_with(&["answer-messages", &address("there"), &address("back")]);
        let (small, large) = (sender(&address("there")).await, sender(&address("there")).await);
        let back = listener.accept().await.unwrap();
        Line { small, large, back, _server: server, _folder: folder }
    }

    async fn small(&mut self, time: Duration) -> Duration {
        let mut took = Vec::new();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let start = Instant::now();
            self.small.send(|mut record| record.set_value(7)).await.unwrap();
            self.back.recv().await.unwrap().unwrap();
            took.push(start.elapsed());
        }
        median_time(took)
    }

    async fn large(&mut self, time: Duration) -> Duration {
        let mut took = Vec::new();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let start = Instant::now();
            let mut loan = self.large.loan_bytes(LARGE_BYTES).unwrap();
            loan[LARGE_BYTES - 1] = 7;
            loan.send().await.unwrap();
            self.back.recv().await.unwrap().unwrap();
            took.push(start.elapsed());
        }
        median_time(took)
    }
}

async fn listen(address: &str) -> Listener {
    let options = ListenOptions { spin: SPIN, tier: Tier::Trusted, ..ListenOptions::default() };
    Listener::bind_with(address, &options, Limits::DEFAULT).await.unwrap()
}

async fn sender<T: capnp::traits::Owned>(address: &str) -> Sender<T> {
    let options = Connecting { spin: SPIN, tier: Tier::Trusted };
    Sender::connect_with(address, &options, &Limits::DEFAULT).await.unwrap()
}

/// Runs the other side and does not return, if this process was started to be one.
pub(crate) fn serve_if_asked(arguments: &[String]) {
    let [order, there, back] = arguments else { return };
    if order == "answer-messages" {
        process::report_when_asked();
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(answer(there, back));
    }
}

async fn answer(there: &str, back: &str) {
    let mut listener = listen(there).await;
    process::ready(&there.parse::<Address>().unwrap());
    let mut small: Receiver<record::Owned> = listener.accept().await.unwrap();
    let mut large: Receiver<data::Owned> = listener.accept().await.unwrap();
    let mut back: Sender<record::Owned> = sender(back).await;
    loop {
        let value = tokio::select! {
            message = small.recv() => match message.unwrap() {
                Some(message) => message.get().unwrap().get_value(),
                None => return,
            },
            message = large.recv() => match message.unwrap() {
                Some(message) => message.get().unwrap()[LARGE_BYTES - 1].into(),
                None => return,
            },
        };
        assert_eq!(value, 7);
        back.send(|mut record| record.set_value(value)).await.unwrap();
    }
}
