//! Larger and larger messages, and more and more capabilities.

use std::rc::Rc;
use std::time::Instant;

use shipmate::schema::arith_capnp::arith;
use tokio::task::JoinSet;

use crate::common::network::Client;
use crate::common::process::Usage;
use crate::common::statistics::{median, median_time, micros, spread};
use crate::measure::{Bench, Rounds, Timing};

const SIZES: [usize; 7] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];

pub(crate) async fn sizes(transport: &str, timing: Timing) {
    let mut bench = Bench::start(transport, 1);
    let client = bench.connect().await;
    for bytes in SIZES {
        let payload = vec![7; bytes];
        client.echo(&payload).await;
        let (mut rounds, mut p50) = (Rounds::default(), Vec::new());
        for _ in 0..timing.rounds {
            let start = bench.mark();
            let (end, mut took) = (Instant::now() + timing.each, Vec::new());
            while took.is_empty() || Instant::now() < end {
                let sent = Instant::now();
                client.echo(&payload).await;
                took.push(sent.elapsed());
            }
            rounds.add(took.len(), start, bench.mark());
            p50.push(micros(median_time(took)));
        }
        let megabytes: Vec<f64> = rounds.calls_a_second.iter().map(|calls| calls * bytes as f64 / 1e6).collect();
        println!(
            "| {transport} | {bytes} | {} | {} | {} | {:.2} |",
            spread(&p50, 1),
            spread(&megabytes, 0),
            spread(&rounds.cpu_micros_a_call, 1),
            median(&rounds.cpu_micros_a_call) * 1e3 / bytes as f64,
        );
    }
}

const HELD: [usize; 3] = [0, 1_000, 100_000];
const HELD_QUICKLY: [usize; 2] = [0, 1_000];
const IN_FLIGHT: usize = 64;

/// Each is an object of its own at the server.
pub(crate) async fn capabilities(transport: &str, timing: Timing) {
    let mut bench = Bench::start(transport, 1);
    let client = Rc::new(bench.connect().await);
    let services = Rc::new([client.arith().await]) as Rc<[_]>;
    let mut held = Vec::new();
    let mut before = None;
    for &count in if timing.quick { &HELD_QUICKLY[..] } else { &HELD } {
        held.extend(get(&client, count - held.len()).await);
        let rounds = bench.call(&services, IN_FLIGHT, timing).await;
        let resident = [Usage::of_this_process().resident_bytes, bench.server.usage().resident_bytes];
        let before = *before.get_or_insert(resident);
        let each = |side: usize| match count {
            0 => "-".to_owned(),
            _ => format!("{:.0}", resident[side].saturating_sub(before[side]) as f64 / count as f64),
        };
        println!("| {transport} | {count} | {} | {} | {} |", rounds.cells(), each(0), each(1));
    }
}

async fn get(client: &Rc<Client>, count: usize) -> Vec<arith::Client> {
    let mut getting = JoinSet::new();
    for caller in 0..IN_FLIGHT {
        let client = client.clone();
        let count = (caller..count).step_by(IN_FLIGHT).len();
        getting.spawn_local(async move {
            let mut got = Vec::with_capacity(count);
            for _ in 0..count {
                got.push(client.arith().await);
            }
            got
        });
    }
    getting.join_all().await.into_iter().flatten().collect()
}
