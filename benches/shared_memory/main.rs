//! Shared memory beside the socket that it is met on, the transport within a process, and the bare
//! hand-over of a word between two CPUs: measured in turns in one run.
//!
//! `cargo bench --bench shared_memory -- [--quick] [WAY …]`
//!
//! Sides that sleep are on two CPUs, or on one, as the row says: what waking costs depends on that most. Those
//! that spin have what CPUs the scheduler gives them: a thread that may use one alone never spins.

#[path = "../common/mod.rs"]
#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
mod common;
mod floor;
mod messages;

use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, hint, thread};

use common::process::{self, Server, Usage};
use common::statistics::{median_time, micros, ratio, spread};
use shipmate::schema::conformance_capnp::conformance;
use shipmate::transport::{Tier, memory};
use shipmate::{Address, ConnectOptions, Connection, ListenOptions, ServerOptions, connect_with};
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::LocalSet;

const ARGUMENT_BYTES: usize = 1 << 20;
/// Long enough for any answer here, for who spins.
const SPIN: Duration = Duration::from_millis(1);

/// A way to the server.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    transport: &'static str,
    /// The server's CPU, where the client has [`CLIENT_CPU`]; none: both have all.
    cpu: Option<usize>,
    spin: Duration,
    tier: Tier,
}

const CLIENT_CPU: usize = 0;

const fn sleeping(name: &'static str, transport: &'static str, tier: Tier, cpu: usize) -> Way {
    Way { name, transport, cpu: Some(cpu), spin: Duration::ZERO, tier }
}

const fn spinning(name: &'static str, tier: Tier) -> Way {
    Way { name, transport: "shm", cpu: None, spin: SPIN, tier }
}

const WAYS: [Way; 9] = [
    sleeping("memory, one thread", "memory", Tier::Copy, CLIENT_CPU),
    sleeping("unix, two CPUs", "unix", Tier::Copy, 1),
    sleeping("shm sleeping, two CPUs", "shm", Tier::Copy, 1),
    sleeping("unix, one CPU", "unix", Tier::Copy, CLIENT_CPU),
    sleeping("shm sleeping, one CPU", "shm", Tier::Copy, CLIENT_CPU),
    spinning("shm spinning", Tier::Copy),
    spinning("shm sealed, spinning", Tier::Sealed),
    spinning("shm trusted, spinning", Tier::Trusted),
    sleeping("shm trusted, sleeping, two CPUs", "shm", Tier::Trusted, 1),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [order, address, cpu, spin, tier] = &arguments[..]
        && order == "serve-shared-memory"
    {
        let spin = Duration::from_micros(spin.parse().unwrap());
        return serve(&address.parse().unwrap(), cpu.parse().ok(), spin, tier.parse().unwrap());
    }
    messages::serve_if_asked(&arguments);
    let (options, wanted): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument.starts_with('-'));
    let quick = options.iter().any(|option| option == "--quick");
    let (rounds, each) = if quick { (3, Duration::from_millis(50)) } else { (9, Duration::from_millis(300)) };
    let is_wanted = |way: &Way| wanted.is_empty() || wanted.iter().any(|part| way.name.contains(part));
    let ways = WAYS.into_iter().enumerate().filter(|(index, way)| *index < 2 || is_wanted(way));
    println!(
        "{rounds} rounds of {} ms for each cell: the median, and the lowest and highest round.\n",
        each.as_millis()
    );
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        measure(ways.map(|(_, way)| way).collect(), rounds, each).await;
        messages::measure(rounds, each).await;
    });
}

async fn measure(ways: Vec<Way>, rounds: usize, each: Duration) {
    let folder = TempDir::new().unwrap();
    let mut lines = Vec::new();
    for (index, way) in ways.into_iter().enumerate() {
        lines.push(Line::connect(way, &folder, index).await);
    }
    let payload = vec![7; ARGUMENT_BYTES];
    let (mut bare, mut sealed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(micros(ping_pong(each)));
        sealed.push(micros(floor::sealed_file(&payload, each)));
        for line in &mut lines {
            let cpus = process::cpus();
            if line.way.cpu.is_some() {
                process::pin(CLIENT_CPU);
            }
            for (argument, took) in Argument::ALL.into_iter().zip(&mut line.took) {
                took.push(micros(argument.call(&line.client, &payload, each).await));
            }
            process::pin_to(&cpus);
        }
    }

    println!(
        "| way | call, p50 us | / memory | unix / it | 1 MiB copied in, p50 us | / unix | filled in place, p50 us | / unix |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    println!("| bare ping-pong of two threads | {} | | | | | | |", spread(&bare, 2));
    println!("| bare sealed file, written, mapped, read | | | | {} | | | |", spread(&sealed, 0));
    let [memory, _, _] = &lines[0].took;
    for line in &lines {
        // Who spins is on two CPUs.
        let beside = |unix: &&Line| unix.way.transport == "unix" && unix.way.cpu == line.way.cpu.or(Some(1));
        let unix = lines.iter().find(beside).unwrap_or(&lines[1]);
        let [small, copied, filled] = &line.took;
        let [unix_small, unix_copied, unix_filled] = &unix.took;
        println!(
            "| {} | {} | {:.2} | {:.1} | {} | {:.1} | {} | {:.1} |",
            line.way.name,
            spread(small, 1),
            ratio(small, memory),
            ratio(unix_small, small),
            spread(copied, 0),
            ratio(unix_copied, copied),
            spread(filled, 0),
            ratio(unix_filled, filled),
        );
    }
    println!("\n\"/ unix\" of an argument is how many times the bandwidth it is.");

    println!("\nCPU time of both sides in a second without a call, us:\n\n| way | us |\n|---|---:|");
    for line in lines.iter_mut().filter(|line| line.server.is_some()) {
        let idle = line.idle().await.as_micros();
        println!("| {} | {idle} |", line.way.name);
    }
}

/// A connection, its server, and what was measured on it.
struct Line {
    way: Way,
    client: conformance::Client,
    server: Option<Server>,
    _connections: Vec<Connection>,
    /// The median of each round with each argument, in microseconds.
    took: [Vec<f64>; Argument::ALL.len()],
}

impl Line {
    async fn connect(way: Way, folder: &TempDir, index: usize) -> Self {
        let options = ConnectOptions { spin: way.spin, tier: way.tier, ..Default::default() };
        let (server, connections) = if way.transport == "memory" {
            let (near, far) = memory::pair();
            let bootstrap: conformance::Client = capnp_rpc::new_client(Sink);
            let server = shipmate::serve_stream(far, bootstrap, &ServerOptions::default());
            (None, vec![shipmate::connect_stream(near, &options), server])
        } else {
            let address = format!("{}:{}/{index}", way.transport, folder.path().display());
            let spin = way.spin.as_micros().to_string();
            let cpu = way.cpu.map_or("any".to_owned(), |cpu| cpu.to_string());
            let server = Server::start_with(&["serve-shared-memory", &address, &cpu, &spin, &way.tier.to_string()]);
            let connection = connect_with(server.address.clone(), &options).await.unwrap();
            (Some(server), vec![connection])
        };
        let client = connections[0].bootstrap();
        Line { way, client, server, _connections: connections, took: Default::default() }
    }

    async fn idle(&mut self) -> Duration {
        let server = self.server.as_mut().expect("asked of those that have one");
        let before = server.usage().cpu + Usage::of_this_process().cpu;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.usage().cpu + Usage::of_this_process().cpu - before
    }
}

/// What a call takes along.
#[derive(Clone, Copy)]
enum Argument {
    /// Next to nothing.
    Small,
    /// [`ARGUMENT_BYTES`] bytes, which are somewhere else.
    CopiedIn,
    /// As many, which are written where they are sent from.
    FilledInPlace,
}

impl Argument {
    const ALL: [Self; 3] = [Self::Small, Self::CopiedIn, Self::FilledInPlace];

    /// Calls again and again, one at a time, and gives the median of how long each took.
    async fn call(self, client: &conformance::Client, payload: &[u8], time: Duration) -> Duration {
        let end = Instant::now() + time;
        let sum = if matches!(self, Argument::Small) { 0 } else { sum(payload) };
        let mut took = Vec::new();
        while took.is_empty() || Instant::now() < end {
            let start = Instant::now();
            let mut request = client.data_request();
            match self {
                Argument::Small => {}
                Argument::CopiedIn => request.get().set_value(payload),
                Argument::FilledInPlace => request.get().init_value(payload.len() as u32).fill(payload[0]),
            }
            let response = request.send().promise.await.unwrap();
            assert_eq!(response.get().unwrap().get_sum(), sum);
            took.push(start.elapsed());
        }
        median_time(took)
    }
}

/// Takes an argument, looks at one byte of each page, and answers with a number.
struct Sink;

impl conformance::Server for Sink {
    async fn data(
        self: Rc<Self>,
        params: conformance::DataParams,
        mut results: conformance::DataResults,
    ) -> capnp::Result<()> {
        results.get().set_sum(sum(params.get()?.get_value()?));
        Ok(())
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().step_by(4096).map(|&byte| u32::from(byte)).sum()
}

fn serve(address: &Address, cpu: Option<usize>, spin: Duration, tier: Tier) {
    if let Some(cpu) = cpu {
        process::pin(cpu);
    }
    process::report_when_asked();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = shipmate::Server::new(ServerOptions { shards: 1, ..Default::default() });
        let options = ListenOptions { spin, tier, ..Default::default() };
        let bootstrap = |_: &shipmate::Peer| -> conformance::Client { capnp_rpc::new_client(Sink) };
        process::ready(&server.listen(address, &options, bootstrap).await.unwrap());
        server.serve(pending()).await.unwrap();
    });
}

/// A word in shared memory, on a cache line of its own.
#[repr(align(128))]
struct Word(AtomicU64);

/// What a round trip costs between two CPUs that do nothing else than look: the limit of all of this.
fn ping_pong(time: Duration) -> Duration {
    let (there, back) = (Word(AtomicU64::new(0)), Word(AtomicU64::new(0)));
    thread::scope(|scope| {
        scope.spawn(|| {
            process::pin(1);
            for turn in 1.. {
                let seen = wait_for(&there, turn);
                back.0.store(seen, Ordering::Release);
                if seen == u64::MAX {
                    return;
                }
            }
        });
        let (start, mut turns) = (Instant::now(), 0);
        while start.elapsed() < time {
            for _ in 0..1000 {
                turns += 1;
                there.0.store(turns, Ordering::Release);
                wait_for(&back, turns);
            }
        }
        let took = start.elapsed() / turns as u32;
        there.0.store(u64::MAX, Ordering::Release);
        took
    })
}

fn wait_for(word: &Word, turn: u64) -> u64 {
    loop {
        match word.0.load(Ordering::Acquire) {
            seen if seen >= turn => return seen,
            _ => hint::spin_loop(),
        }
    }
}
