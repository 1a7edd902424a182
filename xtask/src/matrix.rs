//! The matrix: every language's client, over every transport, through every step of the conformance
//! interface, against a real `shipmated` that is killed and started again for the last step.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::languages::Language;
use crate::page::with_table;
use crate::server::{Killed, SILENCE_MAX, Server, lines_of};

const TRANSPORTS: [&str; 4] = ["tcp", "unix", "pipe", "shm"];
const TABLE: &str = "client/README.md";

/// What a step gave: on each transport, in their order.
type Outcomes = BTreeMap<(&'static str, String), [Option<Outcome>; TRANSPORTS.len()]>;

#[derive(Clone, PartialEq)]
enum Outcome {
    Passed,
    Failed(String),
    Unsupported(String),
}

/// Runs all of it and writes the table, or with `check` compares it with the one that is there.
pub(crate) fn matrix(languages: &[Language], check: bool) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("shipmate-matrix-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (mut steps, mut outcomes) = (Vec::new(), Outcomes::new());
    for language in languages {
        for (index, transport) in TRANSPORTS.iter().enumerate() {
            let before = Instant::now();
            let lines =
                run(language, transport, &folder).with_context(|| format!("{} over {transport}", language.name))?;
            let failed = lines.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count();
            let took = before.elapsed().as_secs_f64();
            eprintln!("{} over {transport}: {} steps, {failed} failed, {took:.1} s", language.name, lines.len());
            for (step, outcome) in lines {
                if !steps.contains(&step) {
                    steps.push(step.clone());
                }
                outcomes.entry((language.name, step)).or_default()[index] = Some(outcome);
            }
        }
    }
    fs::remove_dir_all(&folder)?;

    let failures = failures(&outcomes);
    ensure!(failures.is_empty(), "the clients do not agree with the server:\n{failures}");
    let (text, fresh) = with_table(TABLE, "matrix", &table(languages, &steps, &outcomes))?;
    if check {
        ensure!(fresh == text, "the table in client/README.md is not what the clients do: run `cargo xtask matrix`");
        return Ok(());
    }
    fs::write(TABLE, fresh).context("writing client/README.md")
}

/// One client over one transport.
fn run(language: &Language, transport: &str, folder: &Path) -> Result<Vec<(String, Outcome)>> {
    let address = match transport {
        "tcp" => "tcp:127.0.0.1:0".into(),
        _ => format!("{transport}:{}/{}-{transport}", folder.display(), language.name),
    };
    let mut server = Server::start("target/debug/shipmated", &address, "conformance")?;
    let mut client = Killed(
        language
            .conformance()?
            .args([&server.address, "--restart"])
            .env("SHIPMATE_LIBRARY", std::env::current_dir()?.join("target/debug/libshipmate.so"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the client of {}", language.name))?,
    );
    let mut answers = client.0.stdin.take().context("it has a standard input")?;
    let lines = lines_of(client.0.stdout.take().context("it has a standard output")?);
    let mut outcomes = Vec::new();
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) if line == "restart now" => {
                server.restart()?;
                writeln!(answers, "restarted")?;
            }
            Ok(line) => outcomes.push(parse(&line)?),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("it hangs after {} steps", outcomes.len()),
        }
    }
    let status = client.0.wait()?;
    let failed = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    ensure!(status.code() == Some(failed.into()), "it ended with {status}");
    Ok(outcomes)
}

fn parse(line: &str) -> Result<(String, Outcome)> {
    let (verdict, rest) = line.split_once(' ').with_context(|| format!("not a step's line: {line:?}"))?;
    let (step, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let outcome = match verdict {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed(why.into()),
        "unsupported" => Outcome::Unsupported(why.into()),
        _ => bail!("not a step's line: {line:?}"),
    };
    Ok((step.into(), outcome))
}

fn failures(outcomes: &Outcomes) -> String {
    let mut text = String::new();
    for ((language, step), of_transports) in outcomes {
        for (transport, outcome) in TRANSPORTS.iter().zip(of_transports) {
            let why = match outcome {
                Some(Outcome::Failed(why)) => why,
                None => "it was not run",
                _ => continue,
            };
            let _ = writeln!(text, "  {language} over {transport}, {step}: {why}");
        }
    }
    text
}

/// A line for each step, named as the contract's table is not, which the clients' tests read; a column for each
/// language; below it, what is not supported and why.
fn table(languages: &[Language], steps: &[String], outcomes: &Outcomes) -> String {
    let mut text = String::from("| |");
    for language in languages {
        let _ = write!(text, " {} |", language.title);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(languages.len()));
    let mut reasons: Vec<&str> = Vec::new();
    for step in steps {
        let _ = write!(text, "| {step} |");
        for language in languages {
            let cell = match outcomes.get(&(language.name, step.clone())) {
                Some(of_transports) => cell(of_transports, &mut reasons),
                None => "not run".into(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    for (index, reason) in reasons.iter().enumerate() {
        let _ = write!(text, "\n{}. {reason}", index + 1);
    }
    if !reasons.is_empty() {
        text.push('\n');
    }
    text
}

/// The transports over which a step passed, or "all"; the others with the number of the reason.
fn cell<'a>(of_transports: &'a [Option<Outcome>], reasons: &mut Vec<&'a str>) -> String {
    if of_transports.iter().all(|outcome| *outcome == Some(Outcome::Passed)) {
        return "all".into();
    }
    let mut parts = Vec::new();
    for (transport, outcome) in TRANSPORTS.iter().zip(of_transports) {
        match outcome {
            Some(Outcome::Passed) => parts.push((*transport).to_owned()),
            Some(Outcome::Unsupported(why)) => {
                let known = reasons.iter().position(|reason| reason == why);
                let number = known.unwrap_or_else(|| {
                    reasons.push(why);
                    reasons.len() - 1
                });
                parts.push(format!("not {transport} ({})", number + 1));
            }
            Some(Outcome::Failed(_)) | None => {}
        }
    }
    parts.join(", ")
}
