//! A server, and how fast it answers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use shipmate::Address;
use shipmate::schema::arith_capnp::arith;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::common::network::{Client, Network, address, multiply};
use crate::common::process::{Server, Usage};
use crate::common::statistics::{micros, spread};

/// How often and how long each cell is measured.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) each: Duration,
}

impl Timing {
    pub(crate) fn new(quick: bool) -> Self {
        let (rounds, each) = if quick { (2, Duration::from_millis(30)) } else { (5, Duration::from_millis(300)) };
        Timing { quick, rounds, each }
    }
}

/// A server at a new address.
pub(crate) struct Bench {
    pub(crate) server: Server,
    _folder: TempDir,
}

/// A moment.
pub(crate) struct Mark {
    at: Instant,
    /// What both processes have used so far.
    cpu: Duration,
}

/// What the rounds of a cell gave.
#[derive(Default)]
pub(crate) struct Rounds {
    pub(crate) calls_a_second: Vec<f64>,
    pub(crate) cpu_micros_a_call: Vec<f64>,
}

impl Bench {
    pub(crate) fn start(transport: &str, shards: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let address = address(transport, &folder, "socket").to_string();
        Bench { server: Server::start_with(&["serve", &address, &shards.to_string()]), _folder: folder }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.server.address
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(Network::Shipmate, self.address()).await
    }

    /// So many callers, each of which goes round the services, for every round and a shorter one before.
    pub(crate) async fn call(&mut self, services: &Rc<[arith::Client]>, in_flight: usize, timing: Timing) -> Rounds {
        call(services, in_flight, timing.each / 4).await;
        let mut rounds = Rounds::default();
        for _ in 0..timing.rounds {
            let start = self.mark();
            let calls = call(services, in_flight, timing.each).await;
            rounds.add(calls, start, self.mark());
        }
        rounds
    }

    pub(crate) fn mark(&mut self) -> Mark {
        let cpu = self.server.usage().cpu + Usage::of_this_process().cpu;
        Mark { at: Instant::now(), cpu }
    }
}

impl Rounds {
    pub(crate) fn add(&mut self, calls: usize, start: Mark, end: Mark) {
        self.calls_a_second.push(calls as f64 / (end.at - start.at).as_secs_f64());
        self.cpu_micros_a_call.push(micros(end.cpu - start.cpu) / calls as f64);
    }

    /// The first warms up.
    pub(crate) fn without_the_first(mut self) -> Self {
        self.calls_a_second.remove(0);
        self.cpu_micros_a_call.remove(0);
        self
    }

    pub(crate) fn cells(&self) -> String {
        format!("{} | {}", spread(&self.calls_a_second, 0), spread(&self.cpu_micros_a_call, 1))
    }
}

/// How many calls were answered in that time.
pub(crate) async fn call(services: &Rc<[arith::Client]>, in_flight: usize, time: Duration) -> usize {
    let end = Instant::now() + time;
    let mut callers = JoinSet::new();
    for first in 0..in_flight {
        let services = services.clone();
        callers.spawn_local(async move {
            let mut calls = 0;
            while Instant::now() < end {
                multiply(&services[(first + calls * in_flight) % services.len()], 6, 7).await;
                calls += 1;
            }
            calls
        });
    }
    callers.join_all().await.into_iter().sum()
}
