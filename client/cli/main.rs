//! `shipmate`: the command line.

mod arith;
mod bench;
mod calc;
mod completions;
mod conformance;
mod context;
mod demo;
mod generate;
mod info;
mod man;
mod new;
mod output;
mod ping;
mod process;
mod publish;
mod record;
mod recv;
mod send;
mod subscribe;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use shipmate::Tier;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tracing_subscriber::EnvFilter;

use crate::context::{Context, Usage, seconds};
use crate::output::Output;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ABOUT: &str = "\
Calls and messages between processes, from the command line.

An ADDRESS is tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path (the fastest way that
both sides have on the Unix socket there); the commands do the same on all of them.";

const EXAMPLES: &str = "\
Examples:
  shipmate demo                                     see everything at work, on every transport
  shipmate bench                                    which transport is fast enough here
  shipmated --listen unix:/tmp/ship.sock &          a server to try the commands with
  shipmate ping unix:/tmp/ship.sock
  shipmate arith divide 22 7 --at unix:/tmp/ship.sock
  shipmate calc unix:/tmp/ship.sock '2 * (3 + 4)'
  shipmate new hello && hello/run                   a project to begin with
  shipmate generate -l go -o . schema               types of your schemas for another language
  shipmate recv pipe:./p                            and in another terminal:
  echo '{\"name\": \"depth\", \"value\": 42}' | shipmate send pipe:./p

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

#[derive(Parser)]
#[command(name = "shipmate", version, about = "Calls and messages between processes", long_about = ABOUT)]
#[command(after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,

    /// How long connecting and each call may take [default: 10]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Over shared memory, how large messages are handed over: copy, sealed or trusted, as far as the peer
    /// takes it too
    #[arg(long, global = true, value_name = "TIER", default_value = "copy")]
    shm_tier: Tier,

    /// What to log on standard error: off, error, warn, info, debug or trace, or directives as in RUST_LOG
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", value_parser = log_level)]
    log_level: String,
}

#[derive(Subcommand)]
enum Command {
    Ping(ping::Ping),
    Info(info::Info),
    Arith(arith::Arith),
    Calc(calc::Calc),
    Send(send::Send),
    Recv(recv::Recv),
    Publish(publish::Publish),
    Subscribe(subscribe::Subscribe),
    Demo(demo::Demo),
    Bench(bench::Bench),
    #[command(skip)]
    BenchPartner(bench::BenchPartner),
    Generate(generate::Generate),
    New(new::New),
    Conformance(conformance::Conformance),
    Completions(completions::Completions),
    Man(man::Man),
}

fn main() -> ExitCode {
    let command_line = CommandLine::given();
    start_logging(&command_line.log_level);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&anyhow::Error::new(error).context("start the runtime")),
    };
    let result = LocalSet::new().block_on(&runtime, until_interrupted(command_line));
    // A thread may be waiting for standard input or output for ever.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

impl CommandLine {
    /// What the user asks for, or `shipmate bench` of its other process: that is no command of anybody else's, and
    /// no shell should offer to complete it.
    fn given() -> Self {
        match bench::BenchPartner::asked() {
            Some(partner) => CommandLine {
                command: Command::BenchPartner(partner),
                timeout: None,
                shm_tier: Tier::Copy,
                log_level: "warn".to_owned(),
            },
            None => CommandLine::parse(),
        }
    }
}

/// Runs the command. A signal drops it where it is, and what it holds cleans up after itself.
async fn until_interrupted(command_line: CommandLine) -> anyhow::Result<ExitCode> {
    let [mut hangup, mut interrupt, mut terminate] =
        [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    // 128 and the signal's number, as a shell has it.
    tokio::select! {
        biased;
        _ = hangup.recv() => Ok(ExitCode::from(129)),
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
        result = run(command_line) => result.map(|()| ExitCode::SUCCESS),
    }
}

async fn run(CommandLine { command, timeout, shm_tier, log_level: _ }: CommandLine) -> anyhow::Result<()> {
    let (context, mut output) = (Context::new(timeout, shm_tier), Output::stdout());
    match command {
        Command::Ping(ping) => ping.run(&context, &mut output).await,
        Command::Info(info) => info.run(&context, &mut output).await,
        Command::Arith(arith) => arith.run(&context, &mut output).await,
        Command::Calc(calc) => calc.run(&context, &mut output).await,
        Command::Send(send) => send.run(&context).await,
        Command::Recv(recv) => recv.run(&context, &mut output).await,
        Command::Publish(publish) => publish.run().await,
        Command::Subscribe(subscribe) => subscribe.run(&context, &mut output).await,
        Command::New(new) => new.run(&mut output).await,
        Command::Generate(generate) => generate.run(&mut output).await,
        Command::Demo(demo) => demo.run(&context, &mut output).await,
        Command::Bench(bench) => bench.run(&context, &mut output).await,
        Command::BenchPartner(partner) => partner.run().await,
        Command::Conformance(conformance) => conformance.run(&context, &mut output).await,
        Command::Completions(completions) => completions.run(&mut output).await,
        Command::Man(man) => man.run(&mut output).await,
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    if output::is_closed(error) {
        // Who reads our output has seen enough.
        return ExitCode::SUCCESS;
    }
    // A closed standard error is no reason to panic.
    let _ = writeln!(std::io::stderr(), "shipmate: {error:#}");
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn start_logging(level: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // To standard error, whose failure it would report.
        .log_internal_errors(false)
        .init();
}

fn log_level(text: &str) -> Result<String, String> {
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::CommandLine::command().debug_assert();
    }
}
