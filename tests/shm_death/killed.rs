//! SIGKILL, of either side, with everything under way that a connection can have.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use shipmate::schema::conformance_capnp::conformance;
use shipmate::{Address, ConnectOptions, Error, connect, connect_with};
use tokio::sync::Semaphore;

use crate::harness::Random;
use crate::load::{WORKERS, echo, load};
use crate::peers::{Peer, SPIN, addresses};
use crate::usage::Usage;
use crate::{alone, seeded, within};

/// Clients at a time.
const LANES: usize = 4;
const CLIENT_KILLS: usize = 120;
const SERVER_KILLS: usize = 100;

/// Those who are not killed are served all the while.
#[test]
fn killed_clients_leave_nothing_at_the_server() {
    alone(async {
        let mut random = seeded();
        let folder = tempfile::tempdir().unwrap();
        let addresses = addresses(folder.path());
        let server = Peer::server(folder.path()).await;
        let witnesses = join_all(addresses.iter().map(|address| connect(address.clone()))).await;
        let witnesses: Vec<conformance::Client> = witnesses.iter().map(|it| it.as_ref().unwrap().bootstrap()).collect();
        for witness in &witnesses {
            echo(witness, b"before").await.unwrap();
        }
        let before = Usage::of(server.pid());

        let lanes = join_all((0..LANES).map(|_| kill_clients(&addresses, Random(random.next()))));
        let witness = async {
            loop {
                for witness in &witnesses {
                    within(echo(witness, &[1; 5000])).await.unwrap();
                }
            }
        };
        tokio::select! {
            _ = lanes => {}
            () = witness => {}
        }
        before.returns(server.pid()).await;
        assert!(server.end().await.success());
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

/// Half of them in the handshake or soon after it, half of them when everything is under way.
async fn kill_clients(addresses: &[Address], mut random: Random) {
    for kill in 0..CLIENT_KILLS / LANES {
        let address = &addresses[kill % addresses.len()];
        let mut client = Peer::client(address, random.below(2) == 0).await;
        if random.below(2) == 0 {
            client.says("ready").await;
        }
        client.kill_after(Duration::from_micros(random.below(8000) as u64)).await;
    }
}

/// Every call in flight, every stream and every callback ends with `disconnected`, and the next server takes
/// the place of the dead one.
#[test]
fn a_killed_server_is_gone_at_once_for_all_its_clients() {
    alone(async {
        let mut random = seeded();
        let folder = tempfile::tempdir().unwrap();
        let addresses = addresses(folder.path());
        Peer::server(folder.path()).await.kill_after(Duration::ZERO).await;
        // With the threads that this test needs.
        let before = Usage::of(std::process::id());
        for _ in 0..SERVER_KILLS {
            let server = Peer::server(folder.path()).await;
            let clients = addresses.iter().flat_map(|address| [(address, Duration::ZERO), (address, SPIN)]);
            let connections = join_all(clients.map(async |(address, spin)| {
                connect_with(address.clone(), &ConnectOptions { spin, ..Default::default() }).await.unwrap()
            }));
            let connections = connections.await;
            let busy = Semaphore::new(0);
            let kill = async {
                if random.below(2) == 0 {
                    within(busy.acquire_many((connections.len() * WORKERS) as u32)).await.unwrap().forget();
                }
                server.kill_after(Duration::from_micros(random.below(8000) as u64)).await;
            };
            let loads = join_all(connections.iter().map(|connection| load(connection, &busy)));
            let (errors, others, ()) = futures::join!(within(loads), within(come_and_go(&addresses[0])), kill);
            for error in errors.iter().flatten() {
                assert!(matches!(error, Error::Disconnected { .. }), "{error}");
            }
            assert!(matches!(others, Error::Disconnected { .. } | Error::Unreachable { .. }), "{others}");
            assert_eq!(names(folder.path()), ["sleeps", "spins"]);
        }
        before.returns(std::process::id()).await;
        assert!(Peer::server(folder.path()).await.end().await.success());
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

/// Connects, calls and leaves, again and again, until there is no server.
async fn come_and_go(address: &Address) -> Error {
    loop {
        let come_and_go = async {
            let connection = connect(address.clone()).await?;
            echo(&connection.bootstrap(), b"hello").await
        };
        if let Err(error) = come_and_go.await {
            return error;
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
