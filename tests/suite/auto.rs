//! One Unix socket for two transports: who asks for shared memory gets it, and whoever does not know of it
//! finds the standard protocol.

use std::os::fd::AsFd;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::future::join_all;
use futures::poll;
use shipmate::message::{Listener, Sender};
use shipmate::schema::arith_capnp::arith;
use shipmate::schema::record_capnp::record;
use shipmate::transport::shm::{Region, passing};
use shipmate::{Address, Error, Keepalive, ListenOptions, ServerOptions, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{spawn_local, yield_now};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::calls::multiply;
use crate::harness::{InProcess, Shipmated, auto, local, ping, unix};
use crate::lifetime::Forty;

#[test]
fn each_client_gets_what_it_asks_for_and_the_server_has() {
    local(async {
        for (listen, upgrade, client, got) in [
            ("auto", "true", "auto", "shm"),
            ("auto", "true", "unix", "unix"),
            ("auto", "true", "shm", "shm"),
            ("unix", "true", "auto", "shm"),
            ("unix", "true", "unix", "unix"),
            ("unix", "false", "auto", "unix"),
            ("unix", "false", "unix", "unix"),
            ("auto", "false", "auto", "shm"),
            ("shm", "false", "auto", "shm"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket").display().to_string();
            let _server = Shipmated::run(folder, &["--listen", &format!("{listen}:{path}"), "--upgrade", upgrade]);
            let connection = connect(format!("{client}:{path}").as_str()).await.unwrap();
            ping(&connection, &[7; 100_000]).await.unwrap();
            let case = format!("a client at {client}: of a server at {listen}: that upgrades: {upgrade}");
            assert_eq!(connection.peer().transport, got, "{case}");
        }
    });
}

/// As `capnp-rpc`'s users have it.
#[test]
fn a_stock_server_is_called_over_the_socket() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        spawn_local(async move {
            loop {
                let (reader, writer) = listener.accept().await.unwrap().0.into_split();
                let (reader, writer) = (reader.compat(), writer.compat_write());
                let network = twoparty::VatNetwork::new(reader, writer, Side::Server, Default::default());
                let forty: arith::Client = capnp_rpc::new_client(Forty);
                // Ends with an error on the connection that begins with a hello.
                spawn_local(RpcSystem::new(Box::new(network), Some(forty.client)));
            }
        });
        let connection = connect(Address::Auto(path)).await.unwrap();
        assert_eq!(multiply(&connection.bootstrap(), 1, 1).await.unwrap(), Ok(40));
        assert_eq!(connection.peer().transport, "unix");
    });
}

#[test]
fn a_server_that_does_not_answer_the_hello_is_asked_once() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let silent = async {
            let (_asked, _) = listener.accept().await.unwrap();
            let (mut plain, _) = listener.accept().await.unwrap();
            let mut first = [0; 8];
            plain.read_exact(&mut first).await.unwrap();
            first
        };
        let (connection, first) = futures::join!(connect(Address::Auto(path)), silent);
        assert_eq!(connection.unwrap().peer().transport, "unix");
        assert_eq!(first[..4], [0; 4], "a frame of one segment");
    });
}

#[test]
fn nobody_there_is_said_at_once() {
    local(async {
        let error = connect("auto:/nonexistent/socket").await.unwrap_err();
        assert!(error.to_string().starts_with("nobody answers at auto:/nonexistent/socket: there is no"), "{error}");
    });
}

/// More of them than there are handshakes at once on an address of shared memory alone.
#[test]
fn silent_clients_hold_nobody_up() {
    local(async {
        let server = Shipmated::start(auto);
        let silent = join_all((0..200).map(|_| raw(server.address()))).await;
        for _ in 0..3 {
            let connection = server.connect().await;
            ping(&connection, b"meanwhile").await.unwrap();
            assert_eq!(connection.peer().transport, "shm");
        }
        drop(silent);
    });
}

/// The standard protocol lets the server speak first, as it does here to find out whether the client lives.
#[test]
fn a_client_that_is_silent_for_long_is_served() {
    local(async {
        let short = Duration::from_millis(20);
        let listen = ListenOptions { handshake_timeout: short, ..Default::default() };
        let keepalive = Some(Keepalive { interval: short, timeout: Duration::from_secs(60) });
        let options = ServerOptions { keepalive, ..Default::default() };
        let forty = |_: &_| -> arith::Client { capnp_rpc::new_client(Forty) };
        let server = InProcess::start_with(unix, &listen, options, forty).await;
        let mut silent = raw(&server.address).await;
        let mut question = [0; 8];
        silent.read_exact(&mut question).await.unwrap();
        assert_eq!(question[..4], [0; 4], "a frame of one segment");
        // Too late for a hello: that is no frame, and ends the connection.
        silent.write_all(&hello()).await.unwrap();
        let _ = silent.read_to_end(&mut Vec::new()).await;
        server.stop().await;
    });
}

#[test]
fn a_hello_may_come_in_pieces() {
    local(async {
        let server = Shipmated::start(unix);
        let socket = raw(server.address()).await;
        let (_region, file) = Region::create(4096).unwrap();
        let hello = hello();
        passing::send(&socket, &hello[..1], &[]).await.unwrap();
        // The server has seen the first piece by then, or will see both at once.
        ping(&server.connect().await, b"meanwhile").await.unwrap();
        passing::send(&socket, &hello[1..12], &[]).await.unwrap();
        passing::send(&socket, &hello[12..], &[file.as_fd()]).await.unwrap();
        let mut answer = [0; 24];
        assert_eq!(passing::receive(&socket, &mut answer, 1).await.unwrap().len(), 1);
        assert_eq!(&answer[..12], b"SHIPMATE-SHM");
    });
}

#[test]
fn a_broken_hello_costs_its_own_connection() {
    local(async {
        let server = Shipmated::start(unix);
        let witness = connect(Address::Auto(path(server.address()).into())).await.unwrap();
        let hello = hello();
        let wrong_version = [&hello[..12], &[9; 12]].concat();
        let no_memory = tempfile::tempfile().unwrap();
        let with_file = [no_memory.as_fd(), no_memory.as_fd()];
        for (name, bytes, descriptors) in [
            ("its first byte", &hello[..1], 0),
            ("a part of its first word", &hello[..3], 0),
            ("most of its first words", &hello[..11], 0),
            ("its first words", &hello[..12], 0),
            ("all but the last byte", &hello[..23], 1),
            ("no descriptor", &hello[..], 0),
            ("two descriptors", &hello[..], 2),
            ("a file", &hello[..], 1),
            ("another version", &wrong_version[..], 1),
        ] {
            let mut socket = raw(server.address()).await;
            passing::send(&socket, bytes, &with_file[..descriptors]).await.unwrap();
            socket.shutdown().await.unwrap();
            // The end, or a reset where the server did not want to read it all.
            let _ = socket.read_to_end(&mut Vec::new()).await;
            ping(&witness, name.as_bytes()).await.unwrap();
        }
    });
}

/// The receiver is told who comes next, whether or not that one has anything to say.
#[test]
fn a_silent_sender_holds_no_other_up() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::bind(auto(folder.path()).as_str()).await.unwrap();
        let silent = raw(listener.address()).await;
        let mut first = listener.accept::<record::Owned>().await.unwrap();
        let connecting = Sender::<record::Owned>::connect(listener.address().clone());
        let (sender, second) = futures::join!(connecting, listener.accept::<record::Owned>());
        let (mut sender, mut second) = (sender.unwrap(), second.unwrap());
        sender.send(|mut record| record.set_value(2)).await.unwrap();
        assert_eq!(second.recv().await.unwrap().unwrap().get().unwrap().get_value(), 2);
        drop(silent);
        assert!(first.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_sender_whose_handshake_fails_is_reported_again_and_again() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::bind(auto(folder.path()).as_str()).await.unwrap();
        let socket = raw(listener.address()).await;
        passing::send(&socket, &hello(), &[]).await.unwrap();
        let mut receiver = listener.accept::<record::Owned>().await.unwrap();
        let error = receiver.recv().await.err().unwrap();
        assert!(matches!(error, Error::Protocol { .. }), "{error}");
        for _ in 0..2 {
            receiver.recv().await.err().unwrap();
        }
    });
}

/// It once took such a receiver for one that knows nothing of shared memory, connected again, and waited for ever to be
/// accepted.
#[test]
fn a_receiver_that_closes_before_the_handshake_ends_the_sender() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::bind(auto(folder.path()).as_str()).await.unwrap();
        for turns in 0..5 {
            let connecting = spawn_local(Sender::<record::Owned>::connect(listener.address().clone()));
            let receiver = listener.accept::<record::Owned>().await.unwrap();
            for _ in 0..turns {
                yield_now().await;
            }
            drop(receiver);
            let ended = async {
                match connecting.await.unwrap() {
                    Ok(mut sender) => sender.closed().await,
                    Err(error) => error,
                }
            };
            tokio::select! {
                error = ended => assert!(matches!(error, Error::Disconnected { .. }), "{turns}: {error}"),
                _ = listener.accept::<record::Owned>() => panic!("{turns}: it connects again"),
            }
        }
    });
}

/// Whether it asked before it was accepted or when the first bytes were waited for.
#[test]
fn a_client_that_has_asked_is_answered_though_nobody_wants_it() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::bind(auto(folder.path()).as_str()).await.unwrap();
        for asks_late in [false, true] {
            let mut socket = raw(listener.address()).await;
            let (_region, file) = Region::create(4096).unwrap();
            if !asks_late {
                passing::send(&socket, &hello(), &[file.as_fd()]).await.unwrap();
            }
            let receiver = listener.accept::<record::Owned>().await.unwrap();
            if asks_late {
                yield_now().await;
                passing::send(&socket, &hello(), &[file.as_fd()]).await.unwrap();
            }
            drop(receiver);
            let mut answer = [0; 24];
            assert_eq!(passing::receive(&socket, &mut answer, 1).await.unwrap().len(), 1);
            assert_eq!(&answer[..12], b"SHIPMATE-SHM");
            assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

/// A silent one, which may be one of the standard protocol, gets nothing but the end.
#[test]
fn a_client_that_has_not_asked_finds_the_end_at_once() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::bind(auto(folder.path()).as_str()).await.unwrap();
        for turns in 0..2 {
            let mut silent = raw(listener.address()).await;
            let receiver = listener.accept::<record::Owned>().await.unwrap();
            for _ in 0..turns {
                yield_now().await;
            }
            drop(receiver);
            assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_server_that_closes_before_the_hello_is_not_asked_again() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut connecting = pin!(connect(Address::Auto(path)));
        // The socket is connected, and whether it can be written to is not known yet.
        assert!(poll!(&mut connecting).is_pending());
        drop(listener.accept().unwrap());
        let error = connecting.await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it connects again");
    });
}

fn hello() -> [u8; 24] {
    let mut hello = [0; 24];
    hello[..12].copy_from_slice(b"SHIPMATE-SHM");
    (hello[12], hello[16]) = (1, 1);
    hello
}

async fn raw(address: &Address) -> UnixStream {
    UnixStream::connect(path(address)).await.unwrap()
}

fn path(address: &Address) -> &Path {
    match address {
        Address::Unix(path) | Address::Auto(path) => path,
        other => panic!("{other} has no socket"),
    }
}
