//! The project's own commands: see [`USAGE`].

mod clients_bench;
#[path = "../../schema/compiled/digest.rs"]
mod digest;
mod languages;
mod matrix;
mod page;
mod server;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use languages::LANGUAGES;

const USAGE: &str = "\
cargo demo [ARGS]     build both programs and run `shipmate demo` with these arguments
cargo ci              install what the tests need, then check formatting, lints and docs and run all tests
cargo xtask schema    compile schema/*.capnp with the `capnp` tool and check in the result
cargo xtask languages check the clients in every language, and the matrix
cargo xtask matrix    run every language's client over every transport, and write the table in client/README.md
cargo xtask instructions [--write]
                      count the instructions of calls and messages, and compare with, or write, what is kept in
                      benches/instructions/counts.txt
cargo xtask clients-bench [--quick]
                      measure the clients in other languages, and write the table in docs/clients.md; --quick is
                      a look, with the server as it is built for tests, and writes nothing
cargo xtask sanitize  run what is hostile to shared memory where every access is watched: AddressSanitizer with
                      a nightly compiler, or else valgrind";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask/ lies in the root")?;
    std::env::set_current_dir(root)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["demo", rest @ ..] => demo(rest),
        ["ci"] => ci(),
        ["schema"] => schema(),
        ["languages"] => {
            install_tools()?;
            check_languages()?;
            matrix::matrix(&LANGUAGES, true)
        }
        ["clients-bench", rest @ ..] => clients_bench::measure(&LANGUAGES, rest),
        ["matrix"] => {
            run("cargo", &["build", "--workspace"])?;
            matrix::matrix(&LANGUAGES, false)
        }
        ["instructions"] => instructions("--check"),
        ["instructions", "--write"] => instructions("--write"),
        ["sanitize"] => sanitize(),
        _ => bail!("usage:\n{USAGE}"),
    }
}

/// `shipmate demo` starts `shipmated`, so both are built first.
fn demo(arguments: &[&str]) -> Result<()> {
    run("cargo", &["build", "--release", "--bins"])?;
    run("target/release/shipmate", &[&["demo"], arguments].concat())
}

/// The cheap steps come first.
fn ci() -> Result<()> {
    let steps: [Step; 9] = [
        ("what the tests need", install_tools),
        ("formatting", || run("cargo", &["fmt", "--all", "--check"])),
        ("lints", lint),
        ("documentation", || {
            let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
            run_with("cargo", &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
        }),
        // It is what a newcomer has; the library is all that schemas are compiled for.
        ("the build without the `capnp` tool", || {
            let arguments = ["check", "--lib", "--no-default-features", "--target-dir", "target/no-tool"];
            run_with("cargo", &arguments, &[("CAPNP", "/nonexistent/capnp")])
        }),
        ("tests", || run("cargo", &["test", "--workspace"])),
        ("instructions of calls and messages", || instructions("--check")),
        ("the other languages", check_languages),
        ("every language over every transport", || matrix::matrix(&LANGUAGES, true)),
    ];
    in_turn(&steps)
}

fn lint() -> Result<()> {
    run("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    // A library user has none of the programs' dependencies.
    run("cargo", &["clippy", "--no-default-features", "--lib", "--", "-D", "warnings"])
}

/// Calls and messages take no more instructions than they did. Without the programs, which are not measured.
fn instructions(order: &str) -> Result<()> {
    if !is_there("valgrind") {
        install(&["valgrind"])?;
    }
    run("cargo", &["bench", "--no-default-features", "--bench", "instructions", "--", order])
}

/// The clients in other languages: what each checks of itself.
fn check_languages() -> Result<()> {
    run("cargo", &["build", "--workspace"])?;
    for language in &LANGUAGES {
        let before = Instant::now();
        language.check()?;
        eprintln!("{}: checked in {:.0} s", language.title, before.elapsed().as_secs_f64());
    }
    Ok(())
}

type Step = (&'static str, fn() -> Result<()>);

/// Carries out the steps one after the other, and says how long each took.
fn in_turn(steps: &[Step]) -> Result<()> {
    let start = Instant::now();
    for (index, (name, step)) in steps.iter().enumerate() {
        eprintln!("== {}/{}: {name}", index + 1, steps.len());
        let before = Instant::now();
        step()?;
        eprintln!("== {name}: {:.0} s", before.elapsed().as_secs_f64());
    }
    eprintln!("== all is well after {:.1} minutes", start.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

/// What the tests need beyond Rust: the `capnp` tool with its standard imports, compilers of C and C++ to use the C
/// library with, and what the other languages need, for their own checks and for the projects that `shipmate new` makes.
fn install_tools() -> Result<()> {
    let own = [
        ("capnp", "capnproto libcapnp-dev"),
        ("cc", "gcc"),
        ("c++", "g++"),
        ("make", "make"),
        ("pkg-config", "pkg-config"),
    ];
    let tools = own.iter().chain(LANGUAGES.iter().flat_map(|language| language.tools));
    let missing = tools.filter(|(program, _)| !is_there(program));
    let packages: Vec<&str> = missing.flat_map(|(_, packages)| packages.split(' ')).collect();
    if packages.is_empty() { Ok(()) } else { install(&packages) }
}

/// Installs packages of Debian.
fn install(packages: &[&str]) -> Result<()> {
    ensure!(is_there("apt-get"), "install {} by hand (Debian's names), then run this again", packages.join(", "));
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo"] };
    for arguments in [&["update"][..], &[&["install", "-y"], packages].concat()] {
        let line = [sudo, &["apt-get"], arguments].concat();
        run(line[0], &line[1..])?;
    }
    Ok(())
}

/// The tests of dead and hostile peers over shared memory, with an allocator that does not hide a wrong access.
fn sanitize() -> Result<()> {
    // Optimized, for a test of hostility is one of speed, but with all checks on.
    let test = ["test", "--profile", "sanitize", "--no-default-features", "--features", "cli,server"];
    let nightly = Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).output();
    match nightly {
        Ok(output) if output.status.success() => {
            let output = String::from_utf8(output.stdout)?;
            let host = output.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
            // With a target of its own, build scripts are not instrumented.
            let test = [&["run", "nightly", "cargo"], &test[..], &["--target", host]].concat();
            let address = [("RUSTFLAGS", "-Zsanitizer=address"), ("CARGO_TARGET_DIR", "target/asan")];
            run_with("rustup", &[&test[..], &["--test", "shm_death"]].concat(), &address)?;
            // The models have memory of their own, and loom keeps some of it.
            let parts = ["--lib", "transport::shm", "--", "--skip", "tests::model"];
            run_with("rustup", &[&test[..], &parts].concat(), &address)
        }
        _ if is_there("valgrind") => {
            let valgrind = [("SHIPMATE_TEST_UNDER", "valgrind --quiet --error-exitcode=99")];
            run_with("cargo", &[&test[..], &["--test", "shm_death", "hostile"]].concat(), &valgrind)
        }
        _ => bail!("this takes a nightly compiler (`rustup toolchain install nightly`) or valgrind; install either"),
    }
}

/// Whether a program can be run: with `--version`, if nothing else is said.
fn is_there(command: &str) -> bool {
    let (program, arguments) = command.split_once(' ').unwrap_or((command, "--version"));
    Command::new(program).args(arguments.split(' ')).output().is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Checks in the CodeGeneratorRequest of the schemas, so that they build without the `capnp` tool.
fn schema() -> Result<()> {
    let files = digest::schema_files(Path::new("schema"))?;
    let output = Command::new("capnp")
        .args(["compile", "-o-", "--src-prefix=schema", "--import-path=schema"])
        .args(&files)
        .env_remove("PWD")
        .output()
        .context("running `capnp`: install capnproto and libcapnp-dev")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write("schema/compiled/request.bin", output.stdout)?;
    std::fs::write("schema/compiled/digest", digest::digest(&files)? + "\n")?;
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    run_with(program, arguments, &[])
}

fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("+ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("running {program}"))?;
    match status.code() {
        Some(0) => Ok(()),
        // The command has said what is wrong.
        Some(code) => std::process::exit(code),
        None => bail!("{program} {} was killed", arguments.join(" ")),
    }
}
