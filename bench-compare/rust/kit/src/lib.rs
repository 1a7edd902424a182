//! What all Rust programs here share: the words that the driver and a peer's program exchange, and the
//! loops that make calls. The other languages have the same in `go/kit` and `cpp/kit.h`.
//!
//! ```text
//! PROGRAM [WAY…] server WORK SIZE                   prints `ready ADDRESS`, and ends with its standard input
//! PROGRAM [WAY…] client ADDRESS WORK SIZE SECONDS   prints `start` when it is warm, and its figures in the end
//! ```
//!
//! Figures are one line of JSON: `{"calls", "seconds", "p50_ns", "p99_ns", "cpu_client_ns"}`. For work that
//! goes one way the client is the sender, and the server prints such a line too, with what it received.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use futures::future::join_all;
use rustix::time::{ClockId, clock_gettime};

/// The same for every Rust program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The guide's record.
pub const NAME: &str = "sensor-17";

/// What the driver asks of this program.
pub struct Job {
    /// What was before: which transport, and how.
    pub way: Vec<String>,
    pub part: Part,
    pub work: Work,
}

pub enum Part {
    Server,
    Client { address: String, time: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// This many callers multiply two numbers, each one call after the other.
    Multiply { in_flight: usize },
    /// One caller sends so much and gets a number, one call after the other.
    Blob { bytes: usize },
    /// The guide's record, one way.
    Record,
    /// Messages of this size, one way.
    Bulk { bytes: usize },
}

impl Job {
    /// From the command line.
    pub fn of_this_process() -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let at = arguments.iter().position(|word| word == "server" || word == "client").expect("server or client");
        let way = arguments[..at].to_vec();
        let (part, work) = match &arguments[at..] {
            [part, work, size] if part == "server" => (Part::Server, Work::parse(work, size)),
            [part, address, work, size, seconds] if part == "client" => {
                let time = Duration::from_secs_f64(seconds.parse().unwrap());
                (Part::Client { address: address.clone(), time }, Work::parse(work, size))
            }
            other => panic!("{other:?} is neither `server WORK SIZE` nor `client ADDRESS WORK SIZE SECONDS`"),
        };
        Job { way, part, work }
    }

    /// Whether the way has this word.
    pub fn has(&self, word: &str) -> bool {
        self.way.iter().any(|one| one == word)
    }
}

impl Work {
    fn parse(work: &str, size: &str) -> Self {
        let size = size.parse().expect("a size is a number");
        match work {
            "multiply" => Work::Multiply { in_flight: size },
            "blob" => Work::Blob { bytes: size },
            "record" => Work::Record,
            "bulk" => Work::Bulk { bytes: size },
            other => panic!("{other} is no work"),
        }
    }

    pub fn in_flight(self) -> usize {
        match self {
            Work::Multiply { in_flight } => in_flight,
            _ => 1,
        }
    }

    /// What is sent, beside the small parts of a message.
    pub fn payload(self) -> Vec<u8> {
        match self {
            Work::Blob { bytes } | Work::Bulk { bytes } => vec![7; bytes],
            Work::Multiply { .. } | Work::Record => vec![],
        }
    }
}

/// Of one byte in each 4096.
pub fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(4096).map(|&byte| u64::from(byte)).sum()
}

/// Says where the server listens, once it does, and ends this process with its standard input.
pub fn ready(address: impl std::fmt::Display) {
    thread::spawn(|| {
        until_stdin_ends();
        process::exit(0)
    });
    say(&format!("ready {address}"));
}

/// The same for a server that has to tidy up: it looks at this, which turns true with the end.
pub fn ready_until(address: impl std::fmt::Display) -> &'static AtomicBool {
    static OVER: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        until_stdin_ends();
        OVER.store(true, Ordering::Relaxed);
    });
    say(&format!("ready {address}"));
    &OVER
}

pub fn until_stdin_ends() {
    let _ = io::stdin().read_to_end(&mut vec![]);
}

pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the driver listens");
}

/// Makes calls, so many at a time, and says the figures.
pub async fn call(time: Duration, in_flight: usize, one: impl AsyncFn()) {
    calls(time / 5, in_flight, &one).await;
    let start = Start::now();
    let took = calls(time, in_flight, &one).await;
    start.figures(took);
}

async fn calls(time: Duration, in_flight: usize, one: &impl AsyncFn()) -> Vec<Duration> {
    let end = Instant::now() + time;
    let took = RefCell::new(Vec::new());
    let caller = async || {
        let mut before = Instant::now();
        while before < end {
            one().await;
            let now = Instant::now();
            took.borrow_mut().push(now - before);
            before = now;
        }
    };
    join_all((0..in_flight).map(|_| caller())).await;
    took.into_inner()
}

/// The same for what does not wait in futures: replies come in the order of the calls.
pub fn call_blocking<T>(
    time: Duration,
    in_flight: usize,
    on: &mut T,
    mut send: impl FnMut(&mut T),
    mut receive: impl FnMut(&mut T),
) {
    let mut calls = |time: Duration| {
        let end = Instant::now() + time;
        let mut took = Vec::new();
        let mut sent = std::collections::VecDeque::new();
        for _ in 0..in_flight {
            sent.push_back(Instant::now());
            send(on);
        }
        while let Some(before) = sent.pop_front() {
            receive(on);
            let now = Instant::now();
            took.push(now - before);
            if now < end {
                sent.push_back(now);
                send(on);
            }
        }
        took
    };
    calls(time / 5);
    let start = Start::now();
    let took = calls(time);
    start.figures(took);
}

/// Where measuring begins.
pub struct Start {
    at: Instant,
    cpu: Duration,
}

impl Start {
    /// Now, as the driver is told.
    pub fn now() -> Self {
        say("start");
        Start { at: Instant::now(), cpu: cpu() }
    }

    fn figures(self, mut took: Vec<Duration>) {
        let (elapsed, cpu) = (self.at.elapsed(), cpu() - self.cpu);
        took.sort_unstable();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        figures(took.len() as u64, elapsed, (at(50), at(99)), cpu);
    }
}

/// Of a sender: what to send, until the time is over.
pub struct Sending {
    start: Start,
    end: Instant,
    sent: i64,
    small: bool,
}

impl Sending {
    pub fn begin(work: Work, time: Duration) -> Self {
        let start = Start::now();
        Sending { end: start.at + time, start, sent: 0, small: work == Work::Record }
    }

    /// The next message's value. Of small ones, so many are sent that a look at the clock would count.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<i64> {
        let look = !self.small || self.sent % 16 == 0;
        if look && Instant::now() >= self.end {
            return None;
        }
        self.sent += 1;
        Some(self.sent)
    }

    pub fn figures(&self) {
        figures(self.sent as u64, self.start.at.elapsed(), Default::default(), cpu() - self.start.cpu);
    }
}

/// Counts what is received one way, from the first message to the last.
#[derive(Default)]
pub struct Tally {
    messages: u64,
    first: Option<Instant>,
    seen: u64,
}

impl Tally {
    /// Notes a message whose value and blob were read.
    pub fn note(&mut self, value: i64, blob: &[u8]) {
        self.first.get_or_insert_with(Instant::now);
        self.messages += 1;
        self.seen = self.seen.wrapping_add(value as u64).wrapping_add(sum(blob));
    }

    /// Says what was received, once the sender has ended.
    pub fn figures(self) {
        std::hint::black_box(self.seen);
        let elapsed = self.first.expect("something was sent").elapsed();
        // The first message is where time begins.
        figures(self.messages - 1, elapsed, Default::default(), cpu());
    }
}

fn figures(calls: u64, elapsed: Duration, (p50, p99): (Duration, Duration), cpu: Duration) {
    say(&format!(
        r#"{{"calls":{calls},"seconds":{},"p50_ns":{},"p99_ns":{},"cpu_client_ns":{}}}"#,
        elapsed.as_secs_f64(),
        p50.as_nanos(),
        p99.as_nanos(),
        cpu.as_nanos()
    ));
}

/// What this process has used.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
