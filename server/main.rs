//! `shipmated`: hosts Shipmate's services at any number of addresses.

mod config;
mod services;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use sd_notify::NotifyState;
use shipmate::{Keepalive, ListenOptions, Server, ServerOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::services::{Host, Load};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::of_process().unwrap_or_else(|wrong| wrong.exit());
    start_logging(&config);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error is no reason to panic.
            let _ = writeln!(std::io::stderr(), "shipmated: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(config: Config) -> anyhow::Result<()> {
    // Before anyone can know that the server is ready and tell it to stop.
    let mut signals = Signals::listen().map_err(|error| anyhow!("cannot listen for signals: {error}"))?;

    let mut server = Server::new(ServerOptions {
        limits: config.limits.clone(),
        shards: config.shards,
        drain_timeout: config.drain,
        keepalive: config.keepalive.map(|silence| Keepalive { interval: silence, timeout: silence }),
    });
    let stats = server.stats();
    let load = move || Load { connections: stats.connections(), shards: stats.shards(), started: stats.started() };
    let host = Arc::new(Host::new(config.limits, load));

    let options = ListenOptions {
        mode: config.socket_mode,
        upgrade: config.upgrade,
        spin: config.spin,
        tier: config.shm_tier,
        ..Default::default()
    };
    let mut ready = String::new();
    for listen in config.listen {
        let (host, service) = (host.clone(), listen.service);
        let address = server.listen(&listen.address, &options, move |_| service.make(&host)).await?;
        tracing::info!(%address, service = service.name, "listening");
        writeln!(ready, "shipmated: listening at {address} ({})", service.name)?;
    }
    announce(&ready);

    let shutdown = async {
        let signal = tokio::select! {
            name = signals.next() => Some(name),
            () = end_of_stdin(config.until_stdin_ends) => None,
        };
        let cause = signal.unwrap_or("the end of standard input");
        tracing::info!(cause, "shutting down; a second signal ends at once");
        notify(NotifyState::Stopping);
        tokio::spawn(async move {
            if signal.is_none() {
                // Who ends standard input may well send a signal too, and has asked for no more by that.
                signals.next().await;
            }
            let name = signals.next().await;
            tracing::warn!(signal = name, "ending at once");
            std::process::exit(1);
        });
    };
    Ok(server.serve(shutdown).await?)
}

/// Tells a script and the service manager that all listeners are ready. Nobody has to read it.
fn announce(listening: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{listening}shipmated: ready").and_then(|()| stdout.flush());
    notify(NotifyState::Ready);
}

/// Does nothing where there is no service manager.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn start_logging(config: &Config) {
    let filter = match &config.log_level {
        Some(level) => EnvFilter::new(&level.0),
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // To standard error, whose failure it would report.
        .log_internal_errors(false);
    match config.log {
        LogFormat::Plain => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// Resolves at the end of standard input, if that is wanted.
async fn end_of_stdin(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel();
    // Reading may wait for ever, so it gets a thread that the program's end does not wait for.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
