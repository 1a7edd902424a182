//! Calls over each transport between two processes: the bare primitive, the network that `capnp-rpc`
//! brings, and Shipmate's, measured in turns in one run.
//!
//! `cargo bench --bench transports -- [--quick] [--apart | --together] [tcp] [unix] [pipe]`
//!
//! With two CPUs the scheduler's choice of one or two of them decides the result of a round trip more
//! than any code does. `--apart` pins the client to CPU 0 and the server to CPU 1, `--together` both to
//! CPU 0; without either the scheduler chooses.

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
#[path = "../common/mod.rs"]
mod common;
mod measure;
mod table;

use std::env;
use std::time::Duration;

use common::network::{Network, address};
use common::process;
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::LocalSet;

use measure::{Bench, Sample, Work};

const WORKS: [Work; 8] = [
    Work::Calls { in_flight: 1 },
    Work::Spaced { micros: 10 },
    Work::Spaced { micros: 100 },
    Work::Calls { in_flight: 16 },
    Work::Calls { in_flight: 64 },
    Work::Calls { in_flight: 256 },
    Work::Echo { bytes: 64 << 10 },
    Work::Echo { bytes: 1 << 20 },
];

fn main() {
    process::serve_if_asked();
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let server_cpu = arguments.iter().find_map(|argument| match argument.as_str() {
        "--apart" => Some(1),
        "--together" => Some(0),
        _ => None,
    });
    if server_cpu.is_some() {
        process::pin(0);
    }
    let asked: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--")).collect();
    let (rounds, each) = if quick { (3, Duration::from_millis(50)) } else { (9, Duration::from_millis(300)) };

    println!("{rounds} rounds of {} ms for each cell: the median, and the lowest and highest round.", each.as_millis());
    for transport in ["tcp", "unix", "pipe"] {
        if asked.is_empty() || asked.contains(&transport) {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let samples = LocalSet::new().block_on(&runtime, run(transport, server_cpu, rounds, each));
            table::print(transport, &samples);
        }
    }
}

/// Every work on every network, `rounds` times over, the networks in another order each time.
async fn run(transport: &str, server_cpu: Option<usize>, rounds: usize, each: Duration) -> Vec<Sample> {
    let folder = TempDir::new().unwrap();
    let mut benches = Vec::new();
    for network in Network::ALL {
        benches.push(Bench::start(network, &address(transport, &folder, network.name()), server_cpu).await);
    }
    for bench in &mut benches {
        for work in WORKS {
            bench.run(work, each / 4).await;
        }
    }
    let mut samples = Vec::new();
    for round in 0..rounds {
        for work in WORKS {
            for turn in 0..benches.len() {
                let turn = (turn + round) % benches.len();
                samples.extend(benches[turn].run(work, each).await);
            }
        }
    }
    samples
}
