//! `shipmate bench` as a user has it. No test here says how fast anything is.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// A limit for what hangs.
const LONG: Duration = Duration::from_secs(100);

/// A run of the bench, with a folder of its own for all that it makes.
struct Bench {
    child: Child,
    temporary: TempDir,
}

impl Bench {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_shipmate"))
            .arg("bench")
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Bench { child, temporary }
    }

    /// Waits for the end, which must be a good one and leave nothing, and gives what it printed.
    async fn finish(self) -> String {
        let output = timeout(LONG, self.child.wait_with_output()).await.expect("it hangs").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        // On no terminal there is no progress bar.
        assert_eq!((output.status.code(), text(output.stderr)), (Some(0), String::new()));
        assert_eq!(names(self.temporary.path()), [""; 0]);
        text(output.stdout)
    }

    /// Waits until it has started the other process of every way for small payloads, and gives these.
    async fn partners(&self) -> Vec<Pid> {
        let spins = std::thread::available_parallelism().unwrap().get() > 1;
        let count = if spins { 10 } else { 8 };
        let own = self.child.id().unwrap();
        let children = || std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
        let pids = async {
            loop {
                let pids: Vec<Pid> = children().split(' ').filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
                if pids.len() >= count {
                    return pids;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, pids).await.expect("it starts no other processes")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().unwrap() as i32).unwrap(), signal).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether it does more than wait for its new parent, which may never ask for it.
fn runs(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

async fn all_end(processes: &[Pid]) {
    let ended = async {
        while processes.iter().any(|&process| runs(process)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, ended).await.expect("a process was left behind");
}

fn number(row: &Value, pointer: &str) -> f64 {
    row.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {pointer} in {row}"))
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("no text {field} in {row}"))
}

/// What must be true of any row, however fast the machine is.
fn check(row: &Value, rows: &[Value]) {
    let latencies = ["p50", "p90", "p99", "p99_9", "max"].map(|it| number(row, &format!("/latency_ns/{it}")));
    assert!(latencies.is_sorted() && latencies[0] > 0.0, "{row}");
    let quantiles: Vec<(f64, f64)> = serde_json::from_value(row["quantiles"].clone()).unwrap();
    assert!(quantiles.is_sorted(), "{row}");
    assert!(quantiles.is_sorted_by_key(|&(_, nanos)| nanos), "{row}");
    assert!(number(row, "/count") >= 1.0 && number(row, "/seconds") > 0.0, "{row}");
    let rates = ["/per_second_lowest", "/per_second", "/per_second_highest"].map(|it| number(row, it));
    assert!(rates.is_sorted() && rates[0] > 0.0, "{row}");
    let bytes = number(row, "/bytes_per_second") / (rates[1] * number(row, "/size_bytes"));
    assert!((bytes - 1.0).abs() < 1e-9, "{row}");
    assert!(number(row, "/cpu_ns_each") > 0.0, "{row}");
    assert!((0.0..=3.0).contains(&number(row, "/copies")), "{row}");
    if text(row, "network") == "shipmate" {
        let same_case = |other: &&Value| other["pattern"] == row["pattern"] && other["size_bytes"] == row["size_bytes"];
        let limits: Vec<&Value> = rows.iter().filter(same_case).filter(|other| other["way"] == row["raw"]).collect();
        assert_eq!(limits.len(), 1, "{row}");
        assert!(number(row, "/times_raw") > 0.0, "{row}");
    }
}

#[tokio::test]
async fn every_way_in_every_pattern_is_measured_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html");
    let report = report.to_str().unwrap();
    let arguments = ["--quick", "--rounds=2", "--duration=0.1", "--size=64,300000", "--json", "--report", report];
    let document: Value = serde_json::from_str(&Bench::start(&arguments).finish().await).unwrap();
    assert_eq!(document["format"], "shipmate-bench-1");
    let rows = document["rows"].as_array().unwrap();
    rows.iter().for_each(|row| check(row, rows));

    let not_run = document["not_run"].as_array().unwrap();
    assert!(not_run.iter().all(|it| !text(it, "reason").is_empty()));
    let seen: HashSet<(&str, &str, u64)> = rows
        .iter()
        .chain(not_run)
        .map(|it| (text(it, "way"), text(it, "pattern"), it["size_bytes"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen.len(), rows.len() + not_run.len(), "each once");
    let shm = ["copy", "sealed", "trusted"].map(|tier| ["sleeping", "spinning"].map(|it| format!("shm {tier}, {it}")));
    let ways = ["tcp", "unix", "pipe"].map(str::to_owned).into_iter().chain(shm.into_iter().flatten());
    for way in ways {
        for pattern in ["sequential", "in-flight", "one-way"] {
            for size in [64, 300_000] {
                assert!(seen.contains(&(way.as_str(), pattern, size)), "{way}, {pattern}, {size}");
            }
        }
    }
    let raw: HashSet<&str> = rows.iter().map(|row| text(row, "way")).filter(|way| way.starts_with("raw ")).collect();
    let spinning = document["machine"]["cpus"].as_u64().unwrap() > 1;
    assert_eq!(raw.len(), if spinning { 5 } else { 4 }, "{raw:?}");

    // A piece of advice for each pattern and size, which names a way that was measured.
    let advice = document["advice"].as_array().unwrap();
    assert_eq!(advice.len(), 6);
    assert!(advice.iter().all(|it| rows.iter().any(|row| row["way"] == it["way"])));
    well_formed(&std::fs::read_to_string(report).unwrap(), rows);
}

/// The page needs nothing beside it, and its elements are closed in the order in which they were opened.
fn well_formed(page: &str, rows: &[Value]) {
    for elsewhere in ["http:", "https:", "src=", "@import", "url(", "<link", "NaN", "inf "] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    assert!(rows.iter().all(|row| page.contains(text(row, "way"))));
    let body = page.split_once("<body>").unwrap().1.split_once("<script>").unwrap().0;
    let mut open = Vec::new();
    for tag in body.split('<').skip(1).map(|tag| tag.split_once('>').expect("tags end").0) {
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
            _ if tag.ends_with('/') || name == "br" => {}
            _ => open.push(name),
        }
    }
    assert_eq!(open, [""; 0]);
    // A chart has a line for each row; the legend and the table have samples.
    assert!(body.matches("class=\"chart\"").count() >= 12);
}

#[tokio::test]
async fn tables_end_with_what_to_use() {
    let arguments = ["--quick", "--rounds=1", "--duration=0.1", "-t", "unix,tcp", "-p", "sequential,one-way"];
    let text = Bench::start(&arguments).finish().await;
    assert!(text.contains("One call at a time, 64 B") && text.contains("One-way messages, 64 B"), "{text}");
    assert!(!text.contains("calls in flight") && !text.contains("shm"), "{text}");
    let advice: Vec<&str> = text.lines().filter(|line| line.starts_with("→ ")).collect();
    assert_eq!(advice.len(), 2, "{text}");
    assert!(advice.iter().all(|line| line.contains("use unix:/path") || line.contains("use tcp:HOST:PORT")), "{text}");
}

#[tokio::test]
async fn an_interrupt_leaves_nothing_behind() {
    let bench = Bench::start(&["--duration=100", "--pattern=sequential"]);
    let partners = bench.partners().await;
    bench.signal(Signal::INT);
    let Bench { child, temporary } = bench;
    let output = timeout(LONG, child.wait_with_output()).await.expect("it hangs").unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0));
    all_end(&partners).await;
    assert_eq!(names(temporary.path()), [""; 0]);
}

#[tokio::test]
async fn a_killed_bench_leaves_nothing_behind() {
    for pattern in ["sequential", "one-way"] {
        let mut bench = Bench::start(&["--duration=100", "--pattern", pattern]);
        let partners = bench.partners().await;
        assert!(partners.iter().all(|&partner| runs(partner)));
        bench.signal(Signal::KILL);
        timeout(LONG, bench.child.wait()).await.expect("it hangs").unwrap();
        all_end(&partners).await;
        assert_eq!(names(bench.temporary.path()), [""; 0], "{pattern}");
    }
}

#[tokio::test]
async fn wrong_usage_is_said_before_anything_is_measured() {
    let cases: [(&[&str], &str); 4] = [
        (&["--size", "3"], "from 8 B to 48 MiB"),
        (&["--size", "64", "--sweep"], "cannot be used with"),
        (&["--in-flight", "0"], "1..=1024"),
        (&["--report", "/nowhere/report.html"], "write /nowhere/report.html"),
    ];
    for (arguments, expected) in cases {
        let bench = Bench::start(arguments);
        let output = timeout(LONG, bench.child.wait_with_output()).await.expect("it hangs").unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{arguments:?}: {error}");
    }
}
