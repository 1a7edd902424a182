//! What grows with what: the cost of a call with connections, shards, the size of messages and capabilities
//! held, and latency with load. Shipmate alone, between two processes.
//!
//! `cargo bench --bench scale -- [--quick] [connections] [shards] [load] [sizes] [capabilities] [TRANSPORT …]`
//!
//! Each table's rows of a transport come from a process of their own, so that none has the memory of another.

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
#[path = "../common/mod.rs"]
mod common;
mod connections;
mod growth;
mod load;
mod measure;

use std::env;
use std::process::Command;

use common::{network, process};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;
use tokio::task::LocalSet;

use measure::Timing;

/// One table.
struct Part {
    name: &'static str,
    title: &'static str,
    head: &'static str,
    transports: &'static [&'static str],
}

const PARTS: [Part; 5] = [
    Part {
        name: "connections",
        title: "Connections: 64 calls in flight, spread over all of them, one shard",
        head: "| transport | connections | calls/s | CPU us/call | server, MiB | KiB a further one |\n\
               |---|---:|---:|---:|---:|---:|",
        transports: &["unix", "tcp", "shm"],
    },
    Part {
        name: "shards",
        title: "Shards: four client threads with eight connections each, eight calls in flight on each",
        head: "| transport | shards | calls/s | CPU us/call |\n|---|---:|---:|---:|",
        transports: &["unix", "tcp", "shm"],
    },
    Part {
        name: "load",
        title: "Latency under a steady load, in microseconds after the time at which the call was due",
        head: "| transport | of the most | calls/s | p50 | p90 | p99 | p99.9 |\n|---|---:|---:|---:|---:|---:|---:|",
        transports: &["unix", "tcp", "shm"],
    },
    Part {
        name: "sizes",
        title: "Size: an echo of so much, one after the other",
        head: "| transport | bytes | p50, us | MB/s each way | CPU us/call | CPU ns a byte, each way |\n\
               |---|---:|---:|---:|---:|---:|",
        transports: &["unix", "tcp", "pipe", "shm"],
    },
    Part {
        name: "capabilities",
        title: "Capabilities held by the client, 64 calls in flight",
        head: "| transport | held | calls/s | CPU us/call | client, bytes each | server, bytes each |\n\
               |---|---:|---:|---:|---:|---:|",
        transports: &["unix", "shm"],
    },
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", address, shards] = arguments[..] {
        process::report_when_asked();
        return network::serve_on(&address.parse().unwrap(), shards.parse().unwrap());
    }
    // The server inherits it.
    raise_descriptor_limit();
    let quick = arguments.contains(&"--quick");
    if let ["rows", part, transport, ..] = arguments[..] {
        return rows(part, transport, Timing::new(quick));
    }
    let asked = |names: &[&str]| !names.iter().any(|name| arguments.contains(name));
    let every_part = asked(&PARTS.map(|part| part.name));
    let every_transport = asked(&["unix", "tcp", "pipe", "shm"]);
    let timing = Timing::new(quick);
    println!(
        "{} rounds of {} ms for each cell: the median, and the lowest and highest round.",
        timing.rounds,
        timing.each.as_millis()
    );
    for part in PARTS.iter().filter(|part| every_part || arguments.contains(&part.name)) {
        println!("\n### {}\n\n{}", part.title, part.head);
        for transport in part.transports.iter().filter(|name| every_transport || arguments.contains(*name)) {
            let quick = quick.then_some("--quick");
            let mut rows = Command::new(env::current_exe().unwrap());
            let status = rows.args(["rows", part.name, transport]).args(quick).status().unwrap();
            assert!(status.success(), "{} over {transport}: {status}", part.name);
        }
    }
}

fn rows(part: &str, transport: &str, timing: Timing) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        match part {
            "connections" => connections::connections(transport, timing).await,
            "shards" => connections::shards(transport, timing),
            "load" => load::load(transport, timing).await,
            "sizes" => growth::sizes(transport, timing).await,
            "capabilities" => growth::capabilities(transport, timing).await,
            _ => unreachable!("{part} is none of the parts"),
        }
    });
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("a process may raise its limit up to the hard one");
}
