//! What the tests share: transports, a `shipmated` process, a server in this process, a runner.

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use capnp::capability::FromClientHook;
use rustix::process::{Pid, Signal, kill_process};
use shipmate::schema::shipmate_capnp;
use shipmate::{Address, Connection, ListenOptions, Peer, Server, ServerOptions, connect};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// No step takes nearly as long; one that does hangs.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// How a transport's address is written, for a server with this folder to itself.
pub(crate) type Transport = fn(&Path) -> String;

/// Makes a test of each step on each transport.
macro_rules! on_every_transport {
    ($($step:ident),+ $(,)?) => {
        $(on_every_transport!(@ $step: tcp unix unix_abstract pipe shm auto);)+
    };
    (@ $step:ident: $($transport:ident)+) => {
        mod $step {
            $(
                #[test]
                fn $transport() {
                    crate::harness::local(super::$step(crate::harness::$transport));
                }
            )+
        }
    };
}

pub(crate) fn tcp(_: &Path) -> String {
    "tcp:127.0.0.1:0".into()
}

pub(crate) fn unix(folder: &Path) -> String {
    format!("unix:{}/socket", folder.display())
}

pub(crate) fn unix_abstract(folder: &Path) -> String {
    format!("unix:@{}", folder.display())
}

pub(crate) fn pipe(folder: &Path) -> String {
    format!("pipe:{}/pipe", folder.display())
}

pub(crate) fn shm(folder: &Path) -> String {
    format!("shm:{}/shm", folder.display())
}

pub(crate) fn auto(folder: &Path) -> String {
    format!("auto:{}/auto", folder.display())
}

/// Runs a step as a client's thread does: one thread, a `LocalSet`, and a time limit.
pub(crate) fn local(step: impl Future<Output = ()>) {
    local_within(STEP_TIMEOUT, step);
}

/// The same, with another time limit.
pub(crate) fn local_within(limit: Duration, step: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(limit, step).await.expect("the step hangs");
    });
}

/// Waits until something holds. The step's time limit ends it.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A `shipmated` process with a folder to itself. It is killed when dropped.
pub(crate) struct Shipmated {
    child: Child,
    pub(crate) addresses: Vec<Address>,
    /// What each listener serves.
    services: Vec<String>,
    pub(crate) folder: TempDir,
}

impl Shipmated {
    /// Serves the front door.
    pub(crate) fn start(transport: Transport) -> Self {
        Self::start_with(transport, &[])
    }

    /// The same, with further options.
    pub(crate) fn start_with(transport: Transport, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = transport(folder.path());
        Self::run(folder, &[&["--listen", &listen], options].concat())
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn run(folder: TempDir, options: &[&str]) -> Self {
        let (child, addresses, services) = start_process(folder.path(), options);
        Shipmated { child, addresses, services, folder }
    }

    /// Starts another in the place of the one that was killed.
    pub(crate) fn restart(&mut self) {
        let listeners = self.addresses.iter().zip(&self.services);
        let listen: Vec<_> = listeners.map(|(address, service)| format!("--listen={address}={service}")).collect();
        let listen: Vec<_> = listen.iter().map(String::as_str).collect();
        (self.child, self.addresses, self.services) = start_process(self.folder.path(), &listen);
    }

    pub(crate) fn address(&self) -> &Address {
        &self.addresses[0]
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(self.address().clone()).await.unwrap()
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn end_standard_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Shipmated {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the log of shipmated:\n{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
        }
    }
}

/// `shipmated` with these options; its log goes to a file in the folder. However this process ends, the
/// server's standard input ends then, and so does the server.
pub(crate) fn shipmated(folder: &Path, options: &[&str]) -> Command {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = program();
    command.arg("--until-stdin-ends").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    command
}

/// The program, under whatever it is to be run under, such as `valgrind --error-exitcode=1`.
fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_shipmated");
    let Ok(under) = std::env::var("SHIPMATE_TEST_UNDER") else { return Command::new(program) };
    let mut words = under.split_whitespace();
    let mut command = Command::new(words.next().expect("a command in SHIPMATE_TEST_UNDER"));
    command.args(words).arg(program);
    command
}

fn start_process(folder: &Path, options: &[&str]) -> (Child, Vec<Address>, Vec<String>) {
    let mut child = shipmated(folder, options).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (line, lines) = mpsc::channel();
    // A thread, so that waiting for a line has a time limit.
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|text| drop(line.send(text))));
    let (mut addresses, mut services) = (Vec::new(), Vec::new());
    loop {
        let Ok(text) = lines.recv_timeout(STEP_TIMEOUT / 2) else {
            let _ = child.kill();
            child.wait().unwrap();
            panic!("shipmated is not ready:\n{}", fs::read_to_string(folder.join("log")).unwrap());
        };
        if text == "shipmated: ready" {
            return (child, addresses, services);
        }
        let listening = text.strip_prefix("shipmated: listening at ").expect("what it says before it is ready");
        let (address, service) = listening.rsplit_once(" (").unwrap();
        addresses.push(address.parse().unwrap());
        services.push(service.trim_end_matches(')').to_owned());
    }
}

/// A server in this process, on threads of its own.
pub(crate) struct InProcess {
    pub(crate) address: Address,
    pub(crate) stats: std::sync::Arc<shipmate::ServerStats>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<shipmate::Result<()>>,
    _folder: TempDir,
}

impl InProcess {
    pub(crate) async fn start<C: FromClientHook>(
        transport: Transport,
        options: ServerOptions,
        bootstrap: impl Fn(&Peer) -> C + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(transport, &ListenOptions::default(), options, bootstrap).await
    }

    pub(crate) async fn start_with<C: FromClientHook>(
        transport: Transport,
        listen: &ListenOptions,
        options: ServerOptions,
        bootstrap: impl Fn(&Peer) -> C + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::new(ServerOptions { shards: 2, ..options });
        let address = transport(folder.path()).parse().unwrap();
        let address = server.listen(&address, listen, bootstrap).await.unwrap();
        let stats = server.stats();
        let (stop, stopped) = oneshot::channel();
        let serving = spawn_local(server.serve(async {
            let _ = stopped.await;
        }));
        InProcess { address, stats, stop, serving, _folder: folder }
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(self.address.clone()).await.unwrap()
    }

    /// Shuts it down and waits for its end.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
    }
}

/// A service of `shipmated`, used before the reply has come.
pub(crate) fn service<C: FromClientHook>(connection: &Connection, name: &str) -> C {
    let front: shipmate_capnp::shipmate::Client = connection.bootstrap();
    let mut request = front.get_request();
    request.get().set_name(name);
    C::new(request.send().pipeline.get_service().as_cap())
}

/// A round trip, which gives back what it was given.
pub(crate) async fn ping(connection: &Connection, payload: &[u8]) -> shipmate::Result<()> {
    let front: shipmate_capnp::shipmate::Client = connection.bootstrap();
    let mut request = front.ping_request();
    request.get().set_payload(payload);
    let response = request.send().promise.await?;
    assert!(response.get()?.get_payload()? == payload, "{} bytes come back changed", payload.len());
    Ok(())
}

/// SplitMix64: the same numbers for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
