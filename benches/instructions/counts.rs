//! The counts that are kept in the repository, and what may differ from them.

use std::fmt::Write;
use std::process::{Command, ExitCode};
use std::{env, fs};

use crate::Case;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/counts.txt");
const HEAD: &str = "\
# Instructions in user mode that each of these takes, of both sides together, in the release profile.
# `cargo xtask instructions` compares, and is a part of `cargo ci`; with `--write` it writes this file.
";
/// How much of a count is noise, in percent: with the tools that the kept ones were made with, and others.
const ALLOWED: f64 = 5.0;
const ALLOWED_OF_OTHER_TOOLS: f64 = 25.0;

pub(crate) fn write(counted: &[(Case, usize)]) -> ExitCode {
    let mut text = format!("{HEAD}tools: {}\n", tools());
    for (case, count) in counted {
        writeln!(text, "{}: {count}", case.name()).unwrap();
    }
    fs::write(FILE, text).expect("the file of the counts can be written");
    println!("wrote {FILE}");
    ExitCode::SUCCESS
}

/// Fails when one has grown, or is not kept.
pub(crate) fn check(counted: &[(Case, usize)]) -> ExitCode {
    let kept = fs::read_to_string(FILE).unwrap_or_default();
    let kept = |name: &str| kept.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (tools, kept_tools) = (tools(), kept("tools").unwrap_or("unknown"));
    let allowed = if tools == kept_tools {
        ALLOWED
    } else {
        println!("The kept counts are of other tools, so that {ALLOWED_OF_OTHER_TOOLS} % are allowed.");
        println!("kept: {kept_tools}\nhere: {tools}");
        ALLOWED_OF_OTHER_TOOLS
    };
    let (mut bad, mut lower) = (0, 0);
    for (case, count) in counted {
        let name = case.name();
        let Some(before) = kept(&name).and_then(|count| count.parse::<usize>().ok()) else {
            println!("{name}: {count}, not kept yet");
            bad += 1;
            continue;
        };
        let change = (*count as f64 / before as f64 - 1.0) * 100.0;
        let verdict = match change {
            _ if change > allowed => "  GROWN",
            _ if change < -allowed => "  shrunk",
            _ => "",
        };
        println!("{name}: {count}, {change:+.1} %{verdict}");
        bad += usize::from(change > allowed);
        lower += usize::from(change < -allowed);
    }
    if lower > 0 {
        println!("{lower} shrank by more than {allowed} %: keep that with `cargo xtask instructions --write`.");
    }
    if bad > 0 {
        println!(
            "{bad} grew by more than {allowed} %, or are not kept. Find out why (valgrind --tool=callgrind), or, if it \
             is worth it, say so in the commit that has the outcome of `cargo xtask instructions --write`."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What the counts depend on, beside the code.
fn tools() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    format!("{}, {}, {}", said(&rustc, &["--version"]), said("getconf", &["GNU_LIBC_VERSION"]), env::consts::ARCH)
}
