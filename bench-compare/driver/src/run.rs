//! One round of one way: a server, a client, and what both report.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::peers::Way;
use crate::sample::Sample;
use crate::work::Work;

/// For whatever may be slow to start.
const PATIENCE: Duration = Duration::from_secs(20);
const CLIENT_CPU: &str = "0";
const SERVER_CPU: &str = "1";

/// What a program says in the end.
#[derive(Deserialize)]
struct Figures {
    calls: u64,
    seconds: f64,
    p50_ns: u64,
    p99_ns: u64,
    cpu_client_ns: u64,
}

pub fn run(way: &Way, work: &Work, time: Duration, root: &Path) -> Result<Sample, String> {
    let folder = folder();
    let size = work.size.to_string();
    let mut server = Program::start(way, SERVER_CPU, &["server", work.name, &size], root, folder.path())?;
    let ready = server.line(PATIENCE)?;
    let address = ready.strip_prefix("ready ").ok_or_else(|| format!("the server began with {ready:?}"))?;
    let seconds = time.as_secs_f64().to_string();
    let arguments = ["client", address, work.name, &size, &seconds];
    let mut client = Program::start(way, CLIENT_CPU, &arguments, root, folder.path())?;
    match client.line(PATIENCE)?.as_str() {
        "start" => {}
        other => return Err(format!("the client began with {other:?}")),
    }
    let before = server.cpu();
    if work.one_way {
        let sent = client.figures(time + PATIENCE).map_err(|e| format!("the client: {e}"))?;
        let received = server.figures(PATIENCE).map_err(|e| format!("the server: {e}"))?;
        let cpu = server.cpu() - before + Duration::from_nanos(sent.cpu_client_ns);
        return Ok(sample(&received, cpu, sent.calls));
    }
    let called = client.figures(time + PATIENCE).map_err(|e| format!("the client: {e}"))?;
    let cpu = server.cpu() - before + Duration::from_nanos(called.cpu_client_ns);
    Ok(sample(&called, cpu, called.calls))
}

fn sample(figures: &Figures, cpu: Duration, calls: u64) -> Sample {
    Sample {
        calls_a_second: figures.calls as f64 / figures.seconds,
        p50_us: figures.p50_ns as f64 / 1e3,
        p99_us: figures.p99_ns as f64 / 1e3,
        cpu_us: cpu.as_secs_f64() * 1e6 / calls as f64,
    }
}

/// The programs' current folder, in memory where there is such a place: sockets, FIFOs and shared files.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a temporary folder can be made")
}

/// A process that is one side, and what it starts.
struct Program {
    child: Child,
    lines: Receiver<String>,
    complaints: PathBuf,
}

impl Program {
    fn start(way: &Way, cpu: &str, arguments: &[&str], root: &Path, folder: &Path) -> Result<Self, String> {
        let program = root.join(way.program);
        let mut command = match way.kind.spins() {
            true => Command::new(program),
            false => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", cpu]).arg(program);
                command
            }
        };
        let complaints = folder.join(format!("{}.stderr", arguments[0]));
        let mut child = command
            .args(&way.arguments)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints).expect("the folder can be written to"))
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", way.program))?;
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, lines) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Ok(Program { child, lines, complaints })
    }

    fn line(&mut self, patience: Duration) -> Result<String, String> {
        self.lines.recv_timeout(patience).map_err(|_| {
            let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
            let last: Vec<&str> = complaints.lines().filter(|line| !line.starts_with("note:")).collect();
            let last = last.last().copied().unwrap_or_default();
            match self.child.try_wait() {
                Ok(Some(status)) => format!("it ended ({status}) and said {last:?}"),
                _ => format!("it gave no answer within {patience:?} and said {last:?}"),
            }
        })
    }

    fn figures(&mut self, patience: Duration) -> Result<Figures, String> {
        let line = self.line(patience)?;
        let figures: Figures = serde_json::from_str(&line).map_err(|e| format!("{line:?} are no figures: {e}"))?;
        if figures.calls == 0 {
            return Err("nothing was done in the time".into());
        }
        Ok(figures)
    }

    /// What the process and all that it has started have used.
    fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }
}

impl Drop for Program {
    /// It ends with its standard input, or else is ended.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// To the nanosecond, where `stat` counts in ticks: of the threads that live, as those of a server do.
fn cpu(process: u32) -> Duration {
    let mut sum = Duration::ZERO;
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return sum };
    for thread in threads.flatten() {
        let used = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        sum += Duration::from_nanos(used.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0));
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        sum += children.split_whitespace().filter_map(|child| child.parse().ok()).map(cpu).sum();
    }
    sum
}
