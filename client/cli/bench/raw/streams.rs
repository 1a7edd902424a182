//! Sockets and pipes with blocking reads and writes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use rustix::pipe::{PipeFlags, pipe_with};
use shipmate::{Address, Tier};

use super::super::measure::{Meter, Round};
use super::super::partner::{self, BenchPartner, Partner, Role, now};
use super::super::plan::{Case, Pattern, Transport, Way};

/// This side, and the partner's.
pub(crate) struct Raw {
    // The first to go.
    partner: Partner,
    line: Line,
    payload: Vec<u8>,
    pattern: Pattern,
    in_flight: usize,
}

struct Line {
    reader: Box<dyn Read>,
    writer: Box<dyn Write>,
}

/// What is answered to a request.
const ANSWER_BYTES: usize = 8;

impl Raw {
    pub(crate) async fn start(way: Way, case: &Case) -> anyhow::Result<Self> {
        let role = if case.pattern == Pattern::OneWay { Role::RawSend } else { Role::RawServe };
        let folder = Partner::folder()?;
        let met = Meeting::new(&way, folder.path())?;
        let mut partner = Partner::start(role, &met.address()?, folder, Tier::Copy, Duration::ZERO, case.size)?;
        // Once it is ready it has connected: nothing here has to wait.
        partner.ready().await?;
        let (line, payload) = (met.line()?, vec![7; case.size]);
        Ok(Raw { partner, line, payload, pattern: case.pattern, in_flight: case.in_flight })
    }

    pub(crate) async fn round(&mut self, time: Duration, into: &mut Histogram<u64>) -> anyhow::Result<Round> {
        if self.pattern == Pattern::OneWay {
            let begin = now();
            while self.next()? < begin {}
        }
        let meter = Meter::start(&mut self.partner).await?;
        let (mut count, end) = (0, Instant::now() + time);
        while count == 0 || Instant::now() < end {
            count += self.turn(into)?;
        }
        meter.stop(count, &mut self.partner).await
    }

    fn turn(&mut self, into: &mut Histogram<u64>) -> anyhow::Result<u64> {
        if self.pattern == Pattern::OneWay {
            let sent = self.next()?;
            into.saturating_record(now().saturating_sub(sent).as_nanos() as u64);
            return Ok(1);
        }
        let start = Instant::now();
        for _ in 0..self.in_flight {
            self.line.writer.write_all(&self.payload)?;
        }
        for _ in 0..self.in_flight {
            self.line.reader.read_exact(&mut [0; ANSWER_BYTES])?;
        }
        let calls = self.in_flight as u64;
        into.saturating_record_n(start.elapsed().as_nanos() as u64, calls);
        Ok(calls)
    }

    /// Receives a message, and says when it was sent.
    fn next(&mut self) -> anyhow::Result<Duration> {
        self.line.reader.read_exact(&mut self.payload)?;
        let time = self.payload.first_chunk().context("each message has its time")?;
        Ok(Duration::from_nanos(u64::from_ne_bytes(*time)))
    }
}

/// The partner's side of calls.
pub(crate) fn serve(partner: &BenchPartner) -> anyhow::Result<()> {
    let mut line = Line::connect(&partner.address)?;
    partner::ready(&partner.address)?;
    let mut payload = vec![0; partner.size];
    loop {
        line.reader.read_exact(&mut payload)?;
        line.writer.write_all(&[7; ANSWER_BYTES])?;
    }
}

/// The partner's side of messages: each begins with the time at which it was sent.
pub(crate) fn send(partner: &BenchPartner) -> anyhow::Result<()> {
    let mut line = Line::connect(&partner.address)?;
    partner::ready(&partner.address)?;
    let mut payload = vec![7; partner.size];
    loop {
        let time = (now().as_nanos() as u64).to_ne_bytes();
        payload[..time.len()].copy_from_slice(&time);
        line.writer.write_all(&payload)?;
    }
}

/// Where this side waits for the partner.
enum Meeting {
    Tcp(TcpListener),
    Unix(UnixListener, Address),
    /// Two pipes; the partner opens its ends by way of `/proc`.
    Pipe {
        up: (OwnedFd, OwnedFd),
        down: (OwnedFd, OwnedFd),
    },
}

impl Meeting {
    fn new(way: &Way, folder: &std::path::Path) -> anyhow::Result<Self> {
        Ok(match way.transport {
            Transport::Tcp => Meeting::Tcp(TcpListener::bind("127.0.0.1:0")?),
            Transport::Unix => {
                let path = folder.join("socket");
                Meeting::Unix(UnixListener::bind(&path)?, Address::Unix(path))
            }
            Transport::Pipe => {
                Meeting::Pipe { up: pipe_with(PipeFlags::CLOEXEC)?, down: pipe_with(PipeFlags::CLOEXEC)? }
            }
            Transport::Shm => unreachable!("shared memory has words, and is no stream"),
        })
    }

    fn address(&self) -> anyhow::Result<String> {
        Ok(match self {
            Meeting::Tcp(listener) => format!("tcp:{}", listener.local_addr()?),
            Meeting::Unix(_, address) => address.to_string(),
            Meeting::Pipe { up, down } => format!("fd:{},{}", proc_path(&up.0), proc_path(&down.1)),
        })
    }

    /// This side's end, when the partner has connected.
    fn line(self) -> anyhow::Result<Line> {
        match self {
            Meeting::Tcp(listener) => Line::over_tcp(listener.accept()?.0),
            Meeting::Unix(listener, _) => Line::over_unix(listener.accept()?.0),
            Meeting::Pipe { up, down } => {
                Ok(Line { reader: Box::new(File::from(down.0)), writer: Box::new(File::from(up.1)) })
            }
        }
    }
}

impl Line {
    fn connect(address: &str) -> anyhow::Result<Self> {
        if let Some((up, down)) = address.strip_prefix("fd:").and_then(|paths| paths.split_once(',')) {
            let writer = OpenOptions::new().write(true).open(down)?;
            return Ok(Line { reader: Box::new(File::open(up)?), writer: Box::new(writer) });
        }
        match address.parse()? {
            Address::Tcp { host, port } => Line::over_tcp(TcpStream::connect((host.as_str(), port))?),
            Address::Unix(path) => Line::over_unix(UnixStream::connect(path)?),
            other => anyhow::bail!("{other} is no raw stream"),
        }
    }

    fn over_tcp(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Line { reader: Box::new(stream.try_clone()?), writer: Box::new(stream) })
    }

    fn over_unix(stream: UnixStream) -> anyhow::Result<Self> {
        Ok(Line { reader: Box::new(stream.try_clone()?), writer: Box::new(stream) })
    }
}

/// How another process of this user opens a descriptor of this one.
pub(super) fn proc_path(descriptor: &impl AsRawFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd())
}
