//! How many instructions a call takes, both sides together: the same on a busy machine as on a quiet one.
//!
//! `cargo bench --bench instructions [-- TRANSPORT …]`
//!
//! Client and server share one thread of one process, which runs under valgrind's callgrind twice, with
//! some calls and with twice as many; the difference is the calls' own. The kernel's part is not in it.

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
mod common;

use std::env;
use std::process::Command;

use common::network::{Client, Network, multiply};
use shipmate::schema::arith_capnp::arith;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

const CALLS: usize = 2_000;
const TRANSPORTS: [&str; 4] = ["memory", "unix", "tcp", "shm"];
const IN_FLIGHT: [usize; 2] = [1, 64];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [order, network, transport, in_flight, calls] = &arguments[..]
        && order == "run"
    {
        let network = Network::named(network).unwrap();
        return run(network, transport, in_flight.parse().unwrap(), calls.parse().unwrap());
    }
    println!("Instructions for each call, in user mode, of both sides:\n");
    println!("| transport | in flight | stock | Shipmate | ratio |");
    println!("|---|---:|---:|---:|---:|");
    for transport in TRANSPORTS.into_iter().filter(|name| arguments.is_empty() || arguments.iter().any(|a| a == name)) {
        for in_flight in IN_FLIGHT {
            let stock = (transport != "shm").then(|| for_each_call(Network::Stock, transport, in_flight));
            let ours = for_each_call(Network::Shipmate, transport, in_flight);
            match stock {
                Some(stock) => {
                    println!("| {transport} | {in_flight} | {stock} | {ours} | {:.2} |", ours as f64 / stock as f64);
                }
                None => println!("| {transport} | {in_flight} | | {ours} | |"),
            }
        }
    }
}

fn for_each_call(network: Network, transport: &str, in_flight: usize) -> usize {
    let count = |calls: usize| instructions(network, transport, in_flight, calls);
    (count(2 * CALLS) - count(CALLS)) / CALLS
}

/// What this program takes for so many calls, and all around them.
fn instructions(network: Network, transport: &str, in_flight: usize, calls: usize) -> usize {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args(["run", network.name(), transport, &in_flight.to_string(), &calls.to_string()])
        .output()
        .expect("valgrind is installed (Debian and Ubuntu: apt-get install valgrind)");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let line = report.lines().find_map(|line| line.split_once("Collected : "));
    line.expect("callgrind says what it collected").1.trim().parse().unwrap()
}

fn run(network: Network, transport: &str, in_flight: usize, calls: usize) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let client = Client::pair(network, transport).await;
        let arith = client.arith().await;
        let mut callers = JoinSet::new();
        for _ in 0..in_flight {
            callers.spawn_local(call(arith.clone(), calls / in_flight));
        }
        callers.join_all().await;
    });
}

async fn call(arith: arith::Client, times: usize) {
    for _ in 0..times {
        multiply(&arith, 6, 7).await;
    }
}
