//! The server process: this same program, started again with the argument `serve`.
//!
//! It says its address on its standard output, answers each line on its standard input with what it has
//! used so far, and exits when its standard input ends: with its parent, that is, however that ends.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use shipmate::Address;

use super::network::{self, Network};

/// A server, and the wires by which it reports. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) address: Address,
}

/// What a process has used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// By all its threads, in user and kernel mode.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
}

impl Server {
    /// Starts one, on this CPU alone if one is given.
    pub(crate) fn start(network: Network, address: &Address, cpu: Option<usize>) -> Self {
        let cpu = cpu.map(|cpu| cpu.to_string());
        let arguments = [Some("serve"), Some(network.name()), Some(&address.to_string()), cpu.as_deref()];
        Self::start_with(&arguments.into_iter().flatten().collect::<Vec<_>>())
    }

    /// Starts this program with these arguments, to be a server that says where it is [`ready`].
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let orders = child.stdin.take();
        let mut reports = BufReader::new(child.stdout.take().unwrap());
        let address = line(&mut reports).parse().expect("the server says its address first");
        Server { child, orders, reports, address }
    }

    pub(crate) fn usage(&mut self) -> Usage {
        self.orders.as_mut().unwrap().write_all(b"usage\n").unwrap();
        let numbers: Vec<u64> = line(&mut self.reports).split(' ').map(|word| word.parse().unwrap()).collect();
        Usage { cpu: Duration::from_nanos(numbers[0]), resident_bytes: numbers[1] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

impl Usage {
    pub(crate) fn of_this_process() -> Self {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        Usage { cpu: Duration::new(used.tv_sec as u64, used.tv_nsec as u32), resident_bytes: kib << 10 }
    }
}

/// Runs the server and does not return, if this process was started to be one.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [serve, network, address, cpu @ ..] = arguments.as_slice() else { return };
    if serve == "serve" {
        if let [cpu] = cpu {
            pin(cpu.parse().unwrap());
        }
        report_when_asked();
        network::serve(Network::named(network).unwrap(), &address.parse().unwrap());
    }
}

/// Keeps this thread, and those that it starts from now on, on one CPU.
pub(crate) fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).expect("there is such a CPU");
}

/// Lets this thread run on these CPUs.
pub(crate) fn pin_to(cpus: &CpuSet) {
    sched_setaffinity(None, cpus).expect("they were allowed before");
}

/// Where this thread may run.
pub(crate) fn cpus() -> CpuSet {
    sched_getaffinity(None).expect("a thread may ask for its own")
}

/// Says where the server listens, once it does.
pub(crate) fn ready(address: &Address) {
    println!("{address}");
}

/// Answers, from now on, each line of the parent with what was used so far, and exits with the parent.
pub(crate) fn report_when_asked() {
    thread::spawn(report);
}

fn report() {
    for _ in io::stdin().lines() {
        let used = Usage::of_this_process();
        println!("{} {}", used.cpu.as_nanos(), used.resident_bytes);
    }
    std::process::exit(0);
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
