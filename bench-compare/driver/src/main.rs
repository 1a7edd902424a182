//! Runs the same work on every peer, in turns, and writes down what came of it.
//!
//! It knows nothing of any peer but its line in the table of [`peers`] and the words of `rust/kit`.

mod chart;
mod peers;
mod report;
mod run;
mod sample;
mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use peers::Way;
use sample::Samples;
use work::{WORKS, Work};

/// How long and how often.
struct Plan {
    rounds: usize,
    each: Duration,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a folder of bench-compare").to_owned();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a word after it")).as_str())
    };
    let plan = match arguments.iter().any(|argument| argument == "--quick") {
        true => Plan { rounds: 1, each: Duration::from_millis(60) },
        false => Plan { rounds: 5, each: Duration::from_millis(300) },
    };
    let only: Option<Vec<&str>> = after("--only").map(|names| names.split(',').collect());
    let docs = after("--docs").map_or(root.join("../docs"), PathBuf::from);

    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.contains(&name));
    let peers: Vec<_> = peers::all().into_iter().filter(|peer| wanted(peer.name)).collect();
    assert!(
        !peers.is_empty(),
        "--only takes {}",
        peers::all().iter().map(|peer| peer.name).collect::<Vec<_>>().join(",")
    );
    let missing: Vec<_> = peers.iter().filter_map(|peer| Some((peer.name, why_missing(&root, peer)?))).collect();
    let there = peers.iter().filter(|peer| missing.iter().all(|(name, _)| *name != peer.name));
    let ways: Vec<&Way> = there.flat_map(|peer| &peer.ways).collect();

    let results: Vec<Samples> = WORKS.iter().map(|work| measure(work, &ways, &plan, &root)).collect();
    report::write(&docs, &root, &plan, &peers, &missing, &results);
    println!("wrote {}", docs.join("benchmarks-peers.md").display());
}

/// What `run` noted when it built the peer, or that there is nothing to run.
fn why_missing(root: &Path, peer: &peers::Peer) -> Option<String> {
    if let Ok(reason) = fs::read_to_string(root.join("target/missing").join(peer.name)) {
        return Some(reason.trim().to_owned());
    }
    (!root.join(peer.program()).exists()).then(|| format!("{} is not built", peer.program()))
}

/// Rounds of all ways: what disturbs the machine for a while disturbs all of them.
fn measure(work: &'static Work, ways: &[&Way], plan: &Plan, root: &Path) -> Samples {
    let mut samples = Samples::new(work, ways.iter().filter(|way| way.does(work)).map(|way| (*way).clone()).collect());
    for round in 0..plan.rounds {
        eprintln!("{}, round {} of {}", work.title, round + 1, plan.rounds);
        for row in &mut samples.rows {
            if row.failed.is_some() {
                continue;
            }
            match run::run(&row.way, work, plan.each, root) {
                Ok(sample) => row.samples.push(sample),
                Err(reason) => {
                    eprintln!("{}: {reason}", row.way.title());
                    row.failed = Some(reason);
                }
            }
        }
    }
    samples
}
