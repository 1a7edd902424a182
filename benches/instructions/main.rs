//! How many instructions a call and a message take, both sides together: the same on a busy machine as on a
//! quiet one.
//!
//!     cargo bench --bench instructions [-- NAME …]    # beside the stock network; only what is named so
//!     cargo xtask instructions                        # compare with benches/instructions/counts.txt
//!     cargo xtask instructions --write                # write that file
//!
//! Both sides share one thread of one process, which runs under valgrind's callgrind twice, to do its work so
//! many times and twice as many; the difference is the work's own. The kernel's part is not in it.

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
#[path = "../common/mod.rs"]
mod common;
mod counts;
mod work;

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use common::network::Network;
use work::Work;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", network, work, transport, times] => {
            let network = Network::named(network).unwrap();
            Work::named(work).unwrap().run(network, transport, times.parse().unwrap());
            ExitCode::SUCCESS
        }
        ["--check"] => counts::check(&count(Case::all(Network::Shipmate))),
        ["--write"] => counts::write(&count(Case::all(Network::Shipmate))),
        names => {
            compare(names);
            ExitCode::SUCCESS
        }
    }
}

/// Some work over a transport.
#[derive(Clone, Copy)]
struct Case {
    network: Network,
    work: Work,
    transport: &'static str,
}

impl Case {
    fn all(network: Network) -> Vec<Self> {
        let of = |work: Work| work.transports(network).map(move |transport| Case { network, work, transport });
        Work::ALL.into_iter().flat_map(of).collect()
    }

    fn name(self) -> String {
        format!("{} {}", self.work.name(), self.transport)
    }

    /// For each time that the work is done.
    fn count(self) -> usize {
        let times = self.work.times();
        self.instructions(2 * times).saturating_sub(self.instructions(times)) / times
    }

    /// What this program takes for so many, and for all around them.
    fn instructions(self, times: usize) -> usize {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env::current_exe().unwrap())
            .args(["run", self.network.name(), self.work.name(), self.transport, &times.to_string()])
            .envs(STEADY)
            .output()
            .expect("valgrind is installed (Debian and Ubuntu: apt-get install valgrind)");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {report}", self.name());
        let line = report.lines().find_map(|line| line.split_once("Collected : "));
        line.expect("callgrind says what it collected").1.trim().parse().unwrap()
    }
}

/// The C library's way to copy memory depends on the processor, unless it is told, and the allocator gives
/// memory back after some time, which is nothing to count.
const STEADY: [(&str, &str); 2] = [
    (
        "GLIBC_TUNABLES",
        "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM:\
         glibc.cpu.x86_non_temporal_threshold=0x4000000",
    ),
    ("MIMALLOC_PURGE_DELAY", "-1"),
];

fn compare(names: &[&str]) {
    let named = |case: &Case| names.is_empty() || names.iter().any(|name| case.name().contains(name));
    let ours = count(Case::all(Network::Shipmate).into_iter().filter(named).collect());
    let stock = count(Case::all(Network::Stock).into_iter().filter(named).collect());
    println!("Instructions in user mode, of both sides together, each time:\n");
    println!("| work | transport | stock | Shipmate | Shipmate / stock |");
    println!("|---|---|---:|---:|---:|");
    for (case, ours) in ours {
        let stock = stock.iter().find(|(stock, _)| stock.name() == case.name());
        let cells = stock.map(|&(_, stock)| format!("{stock} | {ours} | {:.2}", ours as f64 / stock as f64));
        let cells = cells.unwrap_or_else(|| format!("- | {ours} | -"));
        println!("| {} | {} | {cells} |", case.work.name(), case.transport);
    }
}

/// Counts as many at a time as there are CPUs, and keeps the order.
fn count(cases: Vec<Case>) -> Vec<(Case, usize)> {
    let next = AtomicUsize::new(0);
    let counted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let count = case.count();
                    counted.lock().unwrap_or_else(PoisonError::into_inner).push((index, *case, count));
                }
            });
        }
    });
    let mut counted = counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    counted.sort_by_key(|&(index, ..)| index);
    counted.into_iter().map(|(_, case, count)| (case, count)).collect()
}
