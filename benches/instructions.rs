//! How many instructions a call takes, and a one-way message, both sides together: the same on a busy machine as on a
//! quiet one.
//!
//! `cargo bench --bench instructions [-- TRANSPORT … messages]`
//!
//! Client and server share one thread of one process, which runs under valgrind's callgrind twice, with
//! some calls and with twice as many; the difference is the calls' own. The kernel's part is not in it.

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
mod common;

use std::env;
use std::process::Command;

use capnp::data;
use common::network::{Client, Network, multiply};
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::arith_capnp::arith;
use shipmate::schema::record_capnp::record;
use shipmate::transport::{Connecting, Tier};
use shipmate::{Limits, ListenOptions};
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

const CALLS: usize = 2_000;
const TRANSPORTS: [&str; 4] = ["memory", "unix", "tcp", "shm"];
const IN_FLIGHT: [usize; 2] = [1, 64];
const SMALL: &str = "small";
const LENT: &str = "1 MiB of bytes, lent";
const MESSAGES: [&str; 3] = [SMALL, LENT, "1 MiB, built in a loan"];
const LARGE_BYTES: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [order, network, transport, in_flight, calls] = &arguments[..]
        && order == "run"
    {
        let network = Network::named(network).unwrap();
        return run(network, transport, in_flight.parse().unwrap(), calls.parse().unwrap());
    }
    if let [order, what, count] = &arguments[..]
        && order == "run-messages"
    {
        return run_messages(what, count.parse().unwrap());
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
    if arguments.is_empty() || arguments.iter().any(|argument| argument == "messages") {
        count_messages();
    }
}

/// One message at a time, over shared memory, to who trusts.
fn count_messages() {
    println!("\nInstructions for each one-way message:\n\n| message | instructions | / small |\n|---|---:|---:|");
    let each = MESSAGES.map(|what| {
        let count = |times: usize| instructions(&["run-messages", what, &times.to_string()]);
        (what, (count(2 * CALLS) - count(CALLS)) / CALLS)
    });
    for (what, count) in each {
        println!("| {what} | {count} | {:.1} |", count as f64 / each[0].1 as f64);
    }
}

fn for_each_call(network: Network, transport: &str, in_flight: usize) -> usize {
    let count =
        |calls: usize| instructions(&["run", network.name(), transport, &in_flight.to_string(), &calls.to_string()]);
    (count(2 * CALLS) - count(CALLS)) / CALLS
}

/// What this program takes with these arguments.
fn instructions(arguments: &[&str]) -> usize {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .args(arguments)
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

fn run_messages(what: &str, count: usize) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match what {
            SMALL => {
                let (mut sender, mut receiver) = connected::<record::Owned>().await;
                for _ in 0..count {
                    sender.send(|mut record| record.set_value(7)).await.unwrap();
                    assert_eq!(receiver.recv().await.unwrap().unwrap().get().unwrap().get_value(), 7);
                }
            }
            LENT => {
                let (mut sender, mut receiver) = connected::<data::Owned>().await;
                for _ in 0..count {
                    let mut loan = sender.loan_bytes(LARGE_BYTES).unwrap();
                    loan[LARGE_BYTES - 1] = 7;
                    loan.send().await.unwrap();
                    let message = receiver.recv().await.unwrap().unwrap();
                    assert_eq!(message.get().unwrap()[LARGE_BYTES - 1], 7);
                }
            }
            _ => {
                let (mut sender, mut receiver) = connected::<record::Owned>().await;
                for _ in 0..count {
                    let mut loan = sender.loan(LARGE_BYTES as u32 / 8 + 64);
                    loan.init_root().init_body().init_bytes(LARGE_BYTES as u32)[LARGE_BYTES - 1] = 7;
                    loan.send().await.unwrap();
                    receiver.recv().await.unwrap().unwrap();
                }
            }
        }
    });
}

async fn connected<T: capnp::traits::Owned>() -> (Sender<T>, Receiver<T>) {
    let folder = TempDir::new().unwrap();
    let address = format!("shm:{}/socket", folder.path().display());
    let options = ListenOptions { tier: Tier::Trusted, ..ListenOptions::default() };
    let mut listener = Listener::bind_with(address.as_str(), &options, Limits::DEFAULT).await.unwrap();
    let options = Connecting { tier: Tier::Trusted, ..Connecting::default() };
    let connecting = Sender::connect_with(address.as_str(), &options, &Limits::DEFAULT);
    let (sender, receiver) = tokio::join!(connecting, listener.accept());
    (sender.unwrap(), receiver.unwrap())
}

async fn call(arith: arith::Client, times: usize) {
    for _ in 0..times {
        multiply(&arith, 6, 7).await;
    }
}
