//! One cell: some work, over one network, for a while.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shipmate::Address;
use shipmate::schema::arith_capnp::arith;
use tokio::task::JoinSet;

use crate::common::network::raw::Line;
use crate::common::network::{Client, Network, multiply};
use crate::common::process::{Server, Usage};

/// What the clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// This many callers multiply, each one call after the other.
    Calls { in_flight: usize },
    /// One caller multiplies, and works for so long before the next call, as a program does that has a use for calls.
    Spaced { micros: u64 },
    /// One caller has this much sent back, one after the other.
    Echo { bytes: usize },
}

/// A client and its server.
pub(crate) struct Bench {
    network: Network,
    server: Server,
    client: Connected,
}

enum Connected {
    Raw(Line),
    Rpc { client: Client, arith: arith::Client },
}

/// What one round of some work gave.
pub(crate) struct Sample {
    pub(crate) network: Network,
    pub(crate) work: Work,
    pub(crate) calls: usize,
    pub(crate) elapsed: Duration,
    /// Of both processes.
    pub(crate) cpu: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Bench {
    pub(crate) async fn start(network: Network, address: &Address, server_cpu: Option<usize>) -> Self {
        let server = Server::start(network, address, server_cpu);
        let client = match network {
            Network::Raw => Connected::Raw(Line::connect(&server.address)),
            Network::Stock | Network::Shipmate => {
                let client = Client::connect(network, &server.address).await;
                let arith = client.arith().await;
                Connected::Rpc { client, arith }
            }
        };
        Bench { network, server, client }
    }

    /// Gives nothing for work that the network does not do.
    pub(crate) async fn run(&mut self, work: Work, time: Duration) -> Option<Sample> {
        let cpu_before = self.cpu();
        let start = Instant::now();
        let end = start + time;
        let mut took = match (&mut self.client, work) {
            (Connected::Raw(line), Work::Calls { in_flight: 1 }) => ping(line, end, Duration::ZERO),
            (Connected::Raw(line), Work::Spaced { micros }) => ping(line, end, Duration::from_micros(micros)),
            (Connected::Raw(_), _) => return None,
            (Connected::Rpc { arith, .. }, Work::Calls { in_flight }) => {
                call(arith, in_flight, end, Duration::ZERO).await
            }
            (Connected::Rpc { arith, .. }, Work::Spaced { micros }) => {
                call(arith, 1, end, Duration::from_micros(micros)).await
            }
            (Connected::Rpc { client, .. }, Work::Echo { bytes }) => echo(client, bytes, end).await,
        };
        let elapsed = start.elapsed();
        let cpu = self.cpu() - cpu_before;
        took.sort_unstable();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        let (p50, p99) = (at(50), at(99));
        Some(Sample { network: self.network, work, calls: took.len(), elapsed, cpu, p50, p99 })
    }

    fn cpu(&mut self) -> Duration {
        self.server.usage().cpu + Usage::of_this_process().cpu
    }
}

fn ping(line: &mut Line, end: Instant, between: Duration) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut before = Instant::now();
    while before < end {
        line.round_trip();
        lap(&mut before, &mut took);
        work(&mut before, between);
    }
    took
}

async fn call(arith: &arith::Client, in_flight: usize, end: Instant, between: Duration) -> Vec<Duration> {
    let took = Rc::new(RefCell::new(Vec::new()));
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (arith, took) = (arith.clone(), took.clone());
        callers.spawn_local(async move {
            let mut before = Instant::now();
            while before < end {
                multiply(&arith, 6, 7).await;
                lap(&mut before, &mut took.borrow_mut());
                work(&mut before, between);
            }
        });
    }
    callers.join_all().await;
    took.take()
}

async fn echo(client: &Client, bytes: usize, end: Instant) -> Vec<Duration> {
    let payload = vec![7; bytes];
    let mut took = Vec::new();
    let mut before = Instant::now();
    while before < end {
        client.echo(&payload).await;
        lap(&mut before, &mut took);
    }
    took
}

/// Works for so long, which is no part of the next lap.
fn work(before: &mut Instant, time: Duration) {
    if !time.is_zero() {
        while before.elapsed() < time {
            std::hint::spin_loop();
        }
        *before = Instant::now();
    }
}

fn lap(before: &mut Instant, took: &mut Vec<Duration>) {
    let now = Instant::now();
    took.push(now - *before);
    *before = now;
}
