//! `shipmate`: the command line. One file for each subcommand; this one only composes.

mod arith;
mod calc;
mod completions;
mod demo;
mod expression;
mod info;
mod man;
mod ping;
mod record;
mod recv;
mod send;
mod service;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Talk to Shipmate servers, and send and receive typed records.
///
/// An ADDRESS is tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path or shm:/path.
#[derive(Parser)]
#[command(name = "shipmate", version, after_long_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// How long an answer may take, in seconds.
    #[arg(long, global = true, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,
    /// What is logged, to standard error: error, warn, info, debug or trace, or a filter as in RUST_LOG.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Ping(ping::Ping),
    Info(info::Info),
    Arith(arith::Arith),
    Send(send::Send),
    Recv(recv::Recv),
    Calc(calc::Calc),
    Completions(completions::Completions),
    Man(man::Man),
}

const EXAMPLES: &str = "\
Examples:
  shipmate demo                                   watch real processes talk over every transport
  shipmate ping unix:/tmp/ship.sock
  shipmate arith divide 22 7 --at tcp:127.0.0.1:7700
  shipmate calc unix:/tmp/ship.sock '2 * (3 + 4)'
  shipmate recv pipe:./p                          the reader of a named pipe, and in another terminal
  echo '{\"name\": \"depth\", \"value\": 42}' | shipmate send pipe:./p

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

/// What a shell gives for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.global.log_level.as_deref());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            result = run(cli) => Some(result),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Some(Err(error)) => fail(&error),
        None => ExitCode::from(INTERRUPTED),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let timeout = cli.global.timeout;
    match cli.command {
        Command::Demo(demo) => demo.run(timeout).await,
        Command::Ping(ping) => ping.run(timeout).await,
        Command::Info(info) => info.run(timeout).await,
        Command::Arith(arith) => arith.run(timeout).await,
        Command::Send(send) => send.run().await,
        Command::Recv(recv) => recv.run().await,
        Command::Calc(calc) => calc.run(timeout).await,
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "shipmate: {error:#}");
    ExitCode::FAILURE
}

/// Whoever read our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn start_logging(level: Option<&str>) {
    let filter = level.map(EnvFilter::new).or_else(|| EnvFilter::try_from_default_env().ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 10 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
