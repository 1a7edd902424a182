//! Many connections, and many threads that serve them.

use std::fs;
use std::rc::Rc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use rustix::process::{Resource, getrlimit};
use shipmate::Address;
use tokio::runtime;
use tokio::task::LocalSet;

use crate::common::network::{Client, Network};
use crate::measure::{Bench, Rounds, Timing, call};

const CONNECTIONS: [usize; 5] = [1, 10, 100, 1_000, 5_000];
const CONNECTIONS_QUICKLY: [usize; 3] = [1, 10, 100];
const IN_FLIGHT: usize = 64;

/// All to one server, more and more of them.
pub(crate) async fn connections(transport: &str, timing: Timing) {
    let mut bench = Bench::start(transport, 1);
    let counts: &[usize] = if timing.quick { &CONNECTIONS_QUICKLY } else { &CONNECTIONS };
    let descriptors_before = descriptors();
    let (mut clients, mut services) = (Vec::new(), Vec::new());
    let mut descriptors_each = 1;
    // The first connection pays for what all share.
    let mut of_the_first = None;
    for &count in counts {
        // The server has as many to a connection, and some of its own.
        let needed = descriptors_before + count * descriptors_each + 64;
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if needed as u64 > allowed {
            println!(
                "| {transport} | {count} | {needed} descriptors are needed, the hard limit is {allowed} | - | - | - |"
            );
            break;
        }
        while clients.len() < count {
            let client = bench.connect().await;
            services.push(client.arith().await);
            clients.push(client);
        }
        descriptors_each = (descriptors() - descriptors_before).div_ceil(count);
        let all: Rc<[_]> = services.clone().into();
        let rounds = bench.call(&all, IN_FLIGHT, timing).await;
        let resident = bench.server.usage().resident_bytes;
        let shared = *of_the_first.get_or_insert(resident);
        let each = match count {
            1 => "-".to_owned(),
            _ => format!("{:.1}", resident.saturating_sub(shared) as f64 / (count - 1) as f64 / 1024.0),
        };
        println!("| {transport} | {count} | {} | {:.1} | {each} |", rounds.cells(), resident as f64 / 1048576.0);
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const SHARDS: [usize; 3] = [1, 2, 4];
const CLIENT_THREADS: usize = 4;
const CONNECTIONS_A_THREAD: usize = 8;
const IN_FLIGHT_A_THREAD: usize = 8 * CONNECTIONS_A_THREAD;

pub(crate) fn shards(transport: &str, timing: Timing) {
    for shards in SHARDS {
        let mut bench = Bench::start(transport, shards);
        let address = bench.address().clone();
        // Passed when a round starts, and when it is over.
        let barrier = Barrier::new(CLIENT_THREADS + 1);
        let answered = AtomicUsize::new(0);
        let mut rounds = Rounds::default();
        thread::scope(|scope| {
            for _ in 0..CLIENT_THREADS {
                scope.spawn(|| client(&address, timing, &barrier, &answered));
            }
            for _ in 0..=timing.rounds {
                barrier.wait();
                let start = bench.mark();
                barrier.wait();
                rounds.add(answered.swap(0, Relaxed), start, bench.mark());
            }
        });
        println!("| {transport} | {shards} | {} |", rounds.without_the_first().cells());
    }
}

fn client(address: &Address, timing: Timing, barrier: &Barrier, answered: &AtomicUsize) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (mut clients, mut services) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS_A_THREAD {
            let client = Client::connect(Network::Shipmate, address).await;
            services.push(client.arith().await);
            clients.push(client);
        }
        let services = services.into();
        for _ in 0..=timing.rounds {
            barrier.wait();
            answered.fetch_add(call(&services, IN_FLIGHT_A_THREAD, timing.each).await, Relaxed);
            barrier.wait();
        }
    });
}
