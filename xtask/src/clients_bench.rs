//! What a call costs in each language: our package, and beside it the library that it is built on, by turns in
//! the same run and at the same server.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::languages::{Bench, Language};
use crate::page::with_table;
use crate::run;
use crate::server::{Killed, SILENCE_MAX, Server, lines_of};

const PAGE: &str = "docs/clients.md";

/// How long it is measured, and at which server.
struct Plan {
    server: &'static str,
    rounds: usize,
    calls: usize,
}

const WHOLE: Plan = Plan { server: "target/release/shipmated", rounds: 9, calls: 10_000 };
const QUICK: Plan = Plan { server: "target/debug/shipmated", rounds: 2, calls: 500 };

/// One run of one program.
#[derive(Clone, Copy)]
struct Round {
    p50_us: f64,
    calls_per_s: f64,
}

/// Measures the clients and writes the table in docs/clients.md; with `--quick` only prints one.
pub(crate) fn measure(languages: &[Language], arguments: &[&str]) -> Result<()> {
    let (plan, quick) = match arguments {
        [] => (WHOLE, false),
        ["--quick"] => (QUICK, true),
        _ => bail!("usage: cargo xtask clients-bench [--quick]"),
    };
    let build: &[&str] = if quick { &["build", "--workspace"] } else { &["build", "--release", "--bin", "shipmated"] };
    run("cargo", build)?;
    let folder = std::env::temp_dir().join(format!("shipmate-clients-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let server = Server::start(plan.server, &format!("unix:{}/arith", folder.display()), "arith")?;
    let mut text = String::from(
        "| | p50 in us: ours | the library | ratio | calls/s: ours | the library | ratio | the library |\n\
         |---|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for language in languages {
        if let Some(bench) = &language.bench {
            let rounds = rounds_of(language, bench, &plan, &server.address)
                .with_context(|| format!("{}: run `cargo xtask languages` first, which installs", language.title))?;
            text += &row(language.title, bench, &rounds);
        }
    }
    drop(server);
    fs::remove_dir_all(&folder)?;
    println!("{text}");
    if quick {
        return Ok(());
    }
    let (_, fresh) = with_table(PAGE, "clients-bench", &text)?;
    fs::write(PAGE, fresh).context("writing docs/clients.md")
}

/// The rounds of our package, each with that of the library, if it has one.
fn rounds_of(language: &Language, bench: &Bench, plan: &Plan, address: &str) -> Result<Vec<(Round, Option<Round>)>> {
    for line in bench.build {
        let status = language.command(line)?.stdout(Stdio::null()).status().with_context(|| line.join(" "))?;
        ensure!(status.success(), "`{}` ended with {status}", line.join(" "));
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        let one = |which| round(language, bench, &[which, address, &plan.calls.to_string()]);
        // By turns, so that neither is always the first.
        let (ours, stock) = match bench.beside {
            Err(_) => (one("shipmate")?, None),
            Ok(_) if number % 2 == 0 => {
                let stock = one("stock")?;
                (one("shipmate")?, Some(stock))
            }
            Ok(_) => (one("shipmate")?, Some(one("stock")?)),
        };
        eprintln!("{}, round {number}: p50 {:.1} us, {:.0} calls/s", language.title, ours.p50_us, ours.calls_per_s);
        rounds.push((ours, stock));
    }
    Ok(rounds)
}

/// Runs the program once, for the line of JSON that it prints.
fn round(language: &Language, bench: &Bench, arguments: &[&str]) -> Result<Round> {
    let mut command = language.command(bench.program)?;
    let mut process = Killed(command.args(arguments).stdout(Stdio::piped()).spawn().context("starting its bench")?);
    let lines = lines_of(process.0.stdout.take().context("it has a standard output")?);
    let line = lines.recv_timeout(SILENCE_MAX).context("its bench printed nothing")?;
    let status = process.0.wait()?;
    ensure!(status.success(), "its bench ended with {status}");
    let figures: Value = serde_json::from_str(&line).with_context(|| format!("its bench printed {line:?}"))?;
    let figure = |name: &str| figures[name].as_f64().with_context(|| format!("no {name} in {line:?}"));
    Ok(Round { p50_us: figure("p50_us")?, calls_per_s: figure("calls_per_s")? })
}

fn row(title: &str, bench: &Bench, rounds: &[(Round, Option<Round>)]) -> String {
    let mut text = format!("| {title} |");
    for (measure, decimals) in [((|round| round.p50_us) as fn(Round) -> f64, 1), (|round| round.calls_per_s, 0)] {
        let ours = median(rounds.iter().map(|(ours, _)| measure(*ours)));
        let _ = write!(text, " {ours:.decimals$} |");
        let pairs = || rounds.iter().filter_map(|(ours, stock)| Some((measure(*ours), measure((*stock)?))));
        match bench.beside {
            Ok(_) => {
                let stock = median(pairs().map(|(_, stock)| stock));
                let ratio = median(pairs().map(|(ours, stock)| ours / stock));
                let _ = write!(text, " {stock:.decimals$} | {ratio:.2} |");
            }
            Err(_) => text += " - | - |",
        }
    }
    let (Ok(beside) | Err(beside)) = bench.beside;
    let _ = writeln!(text, " {beside} |");
    text
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
