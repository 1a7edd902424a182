//! The processes to kill: this program again, as a server or as a client. Neither outlives the test, since its
//! standard input, or its server, ends with it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shipmate::schema::conformance_capnp::conformance;
use shipmate::{Address, ConnectOptions, ListenOptions, Server, ServerOptions, connect_with};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use crate::harness::local;
use crate::load::{Service, WORKERS, load};
use crate::within;

/// How long those look for their peer that do, before they sleep.
pub(crate) const SPIN: Duration = Duration::from_micros(50);

/// Where the server listens: with threads that sleep at once, and with threads that spin before.
pub(crate) fn addresses(folder: &Path) -> [Address; 2] {
    ["sleeps", "spins"].map(|name| Address::Shm(folder.join(name)))
}

/// Not a test: started as a process to kill.
#[test]
#[ignore = "is started by other tests"]
fn server() {
    let Some(folder) = std::env::var_os("SHIPMATE_TEST_FOLDER") else { return };
    local(async {
        let options = ServerOptions { shards: 2, drain_timeout: Duration::from_secs(1), ..Default::default() };
        let mut server = Server::new(options);
        let service = |_: &_| -> conformance::Client { capnp_rpc::new_client(Service) };
        for (address, spin) in addresses(folder.as_ref()).iter().zip([Duration::ZERO, SPIN]) {
            let options = ListenOptions { spin, ..Default::default() };
            server.listen(address, &options, service).await.unwrap();
        }
        println!("\nready");
        let told = async { drop(tokio::io::stdin().read(&mut [0]).await) };
        server.serve(told).await.unwrap();
    });
}

/// Not a test: started as a process to kill.
#[test]
#[ignore = "is started by other tests"]
fn client() {
    let Ok(address) = std::env::var("SHIPMATE_TEST_ADDRESS") else { return };
    let spin = if std::env::var_os("SHIPMATE_TEST_SPIN").is_some() { SPIN } else { Duration::ZERO };
    local(async {
        println!("\nstarts");
        let options = ConnectOptions { spin, ..Default::default() };
        let connection = connect_with(address.as_str(), &options).await.unwrap();
        let busy = Semaphore::new(0);
        let tell = async {
            let _ = busy.acquire_many(WORKERS as u32).await.unwrap();
            println!("\nready");
        };
        futures::join!(load(&connection, &busy), tell);
    });
}

/// A process that was started.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// A server that listens.
    pub(crate) async fn server(folder: &Path) -> Self {
        let mut peer = Peer::start("server", |command| command.env("SHIPMATE_TEST_FOLDER", folder));
        peer.says("ready").await;
        peer
    }

    /// A client that is about to connect.
    pub(crate) async fn client(address: &Address, spins: bool) -> Self {
        let mut peer = Peer::start("client", |command| {
            if spins {
                command.env("SHIPMATE_TEST_SPIN", "");
            }
            command.env("SHIPMATE_TEST_ADDRESS", address.to_string())
        });
        peer.says("starts").await;
        peer
    }

    fn start(role: &str, tell: impl Fn(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("peers::{role}"), "--ignored", "--nocapture"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = tell(&mut command).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Peer { stdin: child.stdin.take(), child, lines }
    }

    pub(crate) async fn says(&mut self, line: &str) {
        while within(self.lines.next_line()).await.unwrap().expect("the process ended") != line {}
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// By SIGKILL, after this time, whatever the others do meanwhile.
    pub(crate) async fn kill_after(mut self, time: Duration) {
        let pid = Pid::from_raw(self.pid().cast_signed()).unwrap();
        let kill = move || {
            thread::sleep(time);
            kill_process(pid, Signal::KILL).unwrap();
        };
        tokio::task::spawn_blocking(kill).await.unwrap();
        within(self.child.wait()).await.unwrap();
    }

    /// As it should.
    pub(crate) async fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        within(self.child.wait()).await.unwrap()
    }
}
