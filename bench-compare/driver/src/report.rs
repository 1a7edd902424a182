//! `docs/benchmarks-peers.md`, and the pictures that it shows.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use crate::peers::{Kind, Peer, Version};
use crate::sample::{Row, Samples, highest, lowest, median};
use crate::work::Figure;
use crate::{Plan, chart};

/// Less than this much slower is called equal.
const EQUAL: f64 = 0.97;

pub fn write(docs: &Path, root: &Path, plan: &Plan, peers: &[Peer], missing: &[(&str, String)], results: &[Samples]) {
    let mut text = String::new();
    text.push_str(HEAD);
    let _ = writeln!(text, "{}\n", machine(plan));
    text.push_str(&losses(results));
    fs::create_dir_all(docs.join("img")).expect("the folder of the documents can be written to");
    for samples in results.iter().filter(|samples| samples.measured().next().is_some()) {
        let picture = format!("img/peers-{}.svg", samples.work.file);
        fs::write(docs.join(&picture), chart::draw(samples)).unwrap();
        let work = samples.work;
        let _ = writeln!(text, "## {}\n\n![{}, {}]({picture})\n", work.title, work.title, work.figure.unit());
        text.push_str(&table(samples));
    }
    text.push_str(&settings(peers, missing, root));
    fs::write(docs.join("benchmarks-peers.md"), text).unwrap();
}

const HEAD: &str = "\
# Benchmarks of peers

The same work on Shipmate and on others, in one run, made by `bench-compare/run`; this whole page is what it wrote.
How it works, and how to add a peer, is in [bench-compare/README.md](../bench-compare/README.md).

Each peer is two processes, a client and a server (D-Bus has its daemon besides). A **call** multiplies two
integers; one **with** so many bytes has them as its argument, of which the server adds up one in each 4096 and
returns the sum; a record **one way** has the name \"sensor-17\" and an integer, and is counted where it is received.
**raw** is the same kind of descriptor, or shared memory, with no types at all: what a peer on it can pass only by
sending many messages in one write.

A cell is the median of the rounds, with the lowest and the highest in brackets. CPU time is that of all processes
together for each call or message. **/ best** is how many times as fast as the best peer of the same kind of transport
that is not Shipmate (senders that were told to collect messages, which are called fed, are no rivals of those that
were not), and **/ raw** how many times as fast as raw: over 1 is faster, and both are the medians of the
rounds' own ratios. Shared memory that sleeps is compared with the raw Unix socket over which its sides wake each
other. A row of Shipmate's marked ▼ is slower than the best peer of its kind.

";

fn machine(plan: &Plan) -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    format!(
        "**The machine**: {cpus} CPUs ({}), Linux {}. **The rounds**: {} of {} ms for each cell, all peers in turns, \
         after a fifth of that to warm up. The client is on CPU 0 and the server on CPU 1; spinning ways are on \
         whichever the scheduler gives them. All Rust programs: `opt-level = 3`, no LTO, mimalloc; Go: its defaults; \
         C++: `-O2`.",
        name.map_or("of an unknown kind", |(_, name)| name.trim()),
        kernel.trim(),
        plan.rounds,
        plan.each.as_millis(),
    )
}

/// Every row of ours that another of its kind beats, worst first.
fn losses(results: &[Samples]) -> String {
    let mut found = Vec::new();
    for samples in results {
        for row in samples.measured() {
            if let Some(factor) = loss(samples, row) {
                let best = samples.best_peer(row).expect("a loss is to somebody");
                let line = format!(
                    "| {} | {} | {} | {} | {factor:.2} |",
                    samples.work.title,
                    row.way.kind.title(),
                    row.way.title(),
                    best.way.title()
                );
                found.push((factor, line));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = "## Where Shipmate is slower\n\n".to_owned();
    if found.is_empty() {
        text.push_str("Nowhere, in this run.\n\n");
        return text;
    }
    text.push_str("| work | transport | Shipmate's way | the best peer | / best |\n|---|---|---|---|---:|\n");
    for (_, line) in found {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    text
}

fn loss(samples: &Samples, row: &Row) -> Option<f64> {
    let best = samples.best_peer(row)?;
    let factor = samples.faster(row, best);
    (row.way.is_ours() && factor < EQUAL).then_some(factor)
}

fn table(samples: &Samples) -> String {
    let work = samples.work;
    let mut text = String::new();
    let (more, line) = match work.figure {
        Figure::Latency => ("p99, us | calls/s | ", "---:|---:|"),
        Figure::Bandwidth if !work.one_way => ("p50, us | ", "---:|"),
        _ => ("", ""),
    };
    let unit = work.figure.unit();
    let each = if work.one_way { "message" } else { "call" };
    let _ = writeln!(text, "| transport | peer | {unit} | {more}CPU us/{each} | / best | / raw |");
    let _ = writeln!(text, "|---|---|---:|{line}---:|---:|---:|");
    for kind in Kind::ALL {
        let mut rows: Vec<&Row> = samples.measured().filter(|row| row.way.kind == kind).collect();
        rows.sort_by(|a, b| median(&a.figures(work)).total_cmp(&median(&b.figures(work))));
        if !work.figure.less_is_better() {
            rows.reverse();
        }
        for row in rows {
            text.push_str(&cells(samples, row));
        }
    }
    for row in samples.rows.iter().filter(|row| row.failed.is_some()) {
        let reason = row.failed.as_deref().unwrap_or_default();
        let _ = writeln!(text, "\n{} over {} failed: {reason}.", row.way.title(), row.way.kind.title());
    }
    text.push('\n');
    text
}

fn cells(samples: &Samples, row: &Row) -> String {
    let work = samples.work;
    let mut text = format!("| {} | {} | {} |", row.way.kind.title(), name(row), spread(&row.figures(work)));
    match work.figure {
        Figure::Latency => {
            let _ =
                write!(text, " {} | {} |", spread(&row.each(|s| s.p99_us)), spread(&row.each(|s| s.calls_a_second)));
        }
        Figure::Bandwidth if !work.one_way => {
            let _ = write!(text, " {} |", spread(&row.each(|s| s.p50_us)));
        }
        _ => {}
    }
    let _ = write!(text, " {} |", short(median(&row.each(|s| s.cpu_us))));
    let best = samples.best_peer(row).map(|best| samples.faster(row, best));
    let mark = if loss(samples, row).is_some() { " ▼" } else { "" };
    let ratio = |of: Option<f64>| of.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    let raw = samples.raw(row).map(|raw| samples.faster(row, raw));
    let _ = writeln!(text, " {}{mark} | {} |", ratio(best), ratio(raw));
    text
}

fn name(row: &Row) -> String {
    if row.way.is_ours() { format!("**{}**", row.way.title()) } else { row.way.title() }
}

fn spread(values: &[f64]) -> String {
    format!("{} ({}-{})", short(median(values)), short(lowest(values)), short(highest(values)))
}

/// Three digits or more.
pub fn short(value: f64) -> String {
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

fn settings(peers: &[Peer], missing: &[(&str, String)], root: &Path) -> String {
    let mut text = "## Peers and their settings\n\n| peer | version | settings |\n|---|---|---|\n".to_owned();
    for peer in peers {
        let _ = writeln!(text, "| {} | {} | {} |", peer.name, version(&peer.version, root), peer.settings);
    }
    if !missing.is_empty() {
        text.push_str("\nNot measured:\n\n");
        for (name, reason) in missing {
            let _ = writeln!(text, "- {name}: {reason}");
        }
    }
    text
}

fn version(version: &Version, root: &Path) -> String {
    let found = match version {
        Version::Ours => Some("this repository's".to_owned()),
        Version::Crate(name) => {
            let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
            let after = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).map(|(_, after)| after);
            after.and_then(|after| after.split_once('"')).map(|(version, _)| format!("{name} {version}"))
        }
        Version::Module(name) => {
            let modules = fs::read_to_string(root.join("go/go.mod")).unwrap_or_default();
            let line = modules.lines().find(|line| line.trim_start_matches("require ").trim().starts_with(name));
            line.map(|line| {
                line.trim_start_matches("require ").trim().trim_end_matches("// indirect").trim().to_owned()
            })
        }
        Version::Command(words) => {
            let output = Command::new(words[0]).args(&words[1..]).output().ok();
            let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            said.and_then(|said| Some(said.lines().next()?.to_owned()))
        }
        Version::Both(one, other) => Some(format!("{}, {}", self::version(one, root), self::version(other, root))),
    };
    found.unwrap_or_else(|| "unknown".into())
}
