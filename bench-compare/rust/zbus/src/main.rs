//! D-Bus by zbus, over a `dbus-daemon` of its own, on one current-thread runtime on each side.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kit::{Job, Part, Work};
use serde_bytes::{ByteBuf, Bytes};
use tokio::runtime;
use zbus::connection::Builder;
use zbus::{interface, proxy};

const NAME: &str = "shipmate.BenchCompare";
const PATH: &str = "/peer";

struct Service;

#[interface(name = "shipmate.BenchCompare.Peer")]
impl Service {
    fn multiply(&self, a: i64, b: i64) -> i64 {
        a * b
    }

    fn take(&self, blob: ByteBuf) -> u64 {
        kit::sum(&blob)
    }
}

#[proxy(interface = "shipmate.BenchCompare.Peer", default_service = "shipmate.BenchCompare", default_path = "/peer")]
trait Peer {
    fn multiply(&self, a: i64, b: i64) -> zbus::Result<i64>;
    fn take(&self, blob: &Bytes) -> zbus::Result<u64>;
}

fn main() {
    let job = Job::of_this_process();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match &job.part {
            Part::Server => serve().await,
            Part::Client { address, time } => {
                let connection = Builder::address(address.as_str()).build().await.unwrap();
                call(PeerProxy::new(&connection).await.unwrap(), job.work, *time).await;
            }
        }
    });
}

async fn serve() {
    let (mut daemon, address) = start_daemon();
    let connection = Builder::address(address.as_str()).name(NAME).serve_at(PATH, Service);
    let _connection = connection.build().await.unwrap();
    let over = tokio::task::spawn_blocking(move || {
        kit::say(&format!("ready {address}"));
        kit::until_stdin_ends();
    });
    over.await.unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    std::process::exit(0);
}

/// On a socket in the current folder.
fn start_daemon() -> (Child, String) {
    let mut daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path=peer"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("dbus-daemon is installed (Debian and Ubuntu: apt-get install dbus)");
    let mut address = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (daemon, address.trim().to_owned())
}

async fn call(peer: PeerProxy<'_>, work: Work, time: Duration) {
    let blob = work.payload();
    let sum = kit::sum(&blob);
    let multiply = async || assert_eq!(peer.multiply(6, 7).await.unwrap(), 42);
    let take = async || assert_eq!(peer.take(Bytes::new(&blob)).await.unwrap(), sum);
    match work {
        Work::Multiply { in_flight } => kit::call(time, in_flight, multiply).await,
        _ => kit::call(time, 1, take).await,
    }
}
