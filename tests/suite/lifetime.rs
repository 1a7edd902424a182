//! The beginning and the end: of connections, of servers, and of the names that they make.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use rustix::process::Signal;
use shipmate::schema::arith_capnp::arith;
use shipmate::transport::Credentials;
use shipmate::{
    Address, ConnectOptions, Connector, Error, Keepalive, Peer, Reconnect, RequestExt, ServerOptions, connect,
    connect_with,
};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

use crate::calls::multiply;
use crate::harness::{InProcess, Shipmated, Transport, local, ping, shipmated, tcp, unix, until};
use crate::mailbox::{open, post};

on_every_transport! {
    calls_at_work_are_finished, the_drain_ends_at_its_deadline, a_signal_ends_the_server,
    a_second_signal_ends_it_at_once, a_killed_server_leaves_nothing_in_the_way, a_live_server_keeps_its_address,
    a_lost_connection_is_made_again, a_lost_connection_is_reported, a_panic_costs_one_connection,
    the_factory_sees_the_peer,
}

async fn calls_at_work_are_finished(transport: Transport) {
    let gate = Arc::new(Semaphore::new(0));
    let service = Gated(gate.clone());
    let server = InProcess::start(transport, ServerOptions::default(), move |_| arith_client(service.clone())).await;
    let address = server.address.clone();
    let connection = server.connect().await;
    let arith: arith::Client = connection.bootstrap();
    let at_work = arith.divide_request().send().promise;
    multiply(&arith, 1, 1).await.unwrap().unwrap();

    let stopping = spawn_local(server.stop());
    // Calls are answered until the drain begins; from then on they are held.
    let late = loop {
        let mut call = Box::pin(multiply(&arith, 1, 1));
        match tokio::time::timeout(Duration::from_millis(500), &mut call).await {
            Ok(answer) => answer.unwrap().unwrap(),
            Err(_) => break call,
        };
    };
    connect(address).await.unwrap_err();
    gate.add_permits(1);
    let (late, answer) = futures::join!(late, at_work);
    answer.expect("a call that was at work is answered");
    assert!(matches!(late, Err(Error::Disconnected { .. })), "a call is taken up during the drain: {late:?}");
    stopping.await.unwrap();
}

async fn the_drain_ends_at_its_deadline(transport: Transport) {
    let options = ServerOptions { drain_timeout: Duration::from_millis(100), ..Default::default() };
    let service = Gated(Arc::new(Semaphore::new(0)));
    let server = InProcess::start(transport, options, move |_| arith_client(service.clone())).await;
    let connection = server.connect().await;
    let arith: arith::Client = connection.bootstrap();
    let at_work = arith.divide_request().send().promise;
    multiply(&arith, 1, 1).await.unwrap().unwrap();
    server.stop().await;
    let error = Error::from(at_work.await.err().unwrap());
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
}

/// With a call at work that nothing answers: the deadline ends the drain.
async fn a_signal_ends_the_server(transport: Transport) {
    let mut server = Shipmated::start_with(transport, &["--drain", "1"]);
    let connection = server.connect().await;
    let taking = open(&connection, "empty", 0).await.take_request().send().promise;
    ping(&connection, b"the call is at work").await.unwrap();
    server.signal(Signal::TERM);
    let error = Error::from(taking.await.err().unwrap());
    assert!(matches!(error, Error::Disconnected { .. }), "{error}");
    assert_eq!(server.exit().await.code(), Some(0));
    assert_eq!(names(&server), ["log"]);
}

async fn a_second_signal_ends_it_at_once(transport: Transport) {
    let mut server = Shipmated::start_with(transport, &["--drain", "3600"]);
    let connection = server.connect().await;
    let _taking = open(&connection, "empty", 0).await.take_request().send().promise;
    ping(&connection, b"the call is at work").await.unwrap();
    server.signal(Signal::INT);
    while connect(server.address().clone()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.signal(Signal::INT);
    assert_eq!(server.exit().await.code(), Some(1));
    assert_eq!(names(&server), ["log"]);
}

/// Who started the server may do both, and once had it end without a drain.
#[test]
fn a_signal_after_the_end_of_standard_input_is_the_first_one() {
    local(async {
        let mut server = Shipmated::start_with(unix, &["--drain", "1"]);
        let connection = server.connect().await;
        let _taking = open(&connection, "empty", 0).await.take_request().send().promise;
        ping(&connection, b"the call is at work").await.unwrap();
        server.end_standard_input();
        while connect(server.address().clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        server.signal(Signal::TERM);
        assert_eq!(server.exit().await.code(), Some(0));
    });
}

async fn a_killed_server_leaves_nothing_in_the_way(transport: Transport) {
    let mut server = Shipmated::start(transport);
    for _ in 0..3 {
        ping(&server.connect().await, b"served").await.unwrap();
        server.kill();
        let error = connect(server.address().clone()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        server.restart();
    }
}

async fn a_live_server_keeps_its_address(transport: Transport) {
    let server = Shipmated::start(transport);
    let folder = tempfile::tempdir().unwrap();
    let output = shipmated(folder.path(), &["--listen", &server.address().to_string()]).output().unwrap();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("is in use by a live server: stop it or choose another address"), "{log}");
    ping(&server.connect().await, b"not disturbed").await.unwrap();
}

/// The call in flight fails and is not made again: after the restart there is no trace of it.
async fn a_lost_connection_is_made_again(transport: Transport) {
    let mut server = Shipmated::start(transport);
    let connector = Connector::new(server.address().clone(), ConnectOptions::default(), Reconnect::back_off(20));
    let connection = connector.connection().await.unwrap();
    let mailbox = open(&connection, "full", 1).await;
    post(&mailbox, 1).await.unwrap();
    let mut waiting = Box::pin(post(&mailbox, 2));
    assert!(futures::poll!(&mut waiting).is_pending());
    ping(&connection, b"the call is at work").await.unwrap();

    server.kill();
    let error = waiting.await.unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }) && error.is_retryable(), "{error}");
    server.restart();
    let connection = connector.connection().await.unwrap();
    let info = open(&connection, "full", 1).await.info_request().send().promise.await.unwrap();
    assert_eq!(info.get().unwrap().get_info().unwrap().get_posted(), 0);
}

async fn a_lost_connection_is_reported(transport: Transport) {
    let mut server = Shipmated::start(transport);
    let connector = Connector::new(server.address().clone(), ConnectOptions::default(), Reconnect::Never);
    let connection = connector.connection().await.unwrap();
    ping(&connection, b"served").await.unwrap();
    server.kill();
    let ended = connection.closed().await;
    assert!(matches!(ended, Error::Disconnected { .. }), "{ended}");
    server.restart();
    let error = connector.connection().await.unwrap_err();
    assert_eq!(error.to_string(), ended.to_string());
}

async fn a_panic_costs_one_connection(transport: Transport) {
    let server = InProcess::start(transport, ServerOptions::default(), |_| arith_client(Panics)).await;
    let others = join_all((0..4).map(|_| server.connect())).await;
    for round in 0..3 {
        let connection = server.connect().await;
        let arith: arith::Client = connection.bootstrap();
        let at_work = arith.divide_request().send().promise;
        let error = multiply(&arith, 6, 7).await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        let error = Error::from(at_work.await.err().unwrap());
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        for other in &others {
            assert_eq!(multiply(&other.bootstrap(), 2, round).await.unwrap(), Ok(0));
        }
    }
    until(|| server.stats.connections() == others.len()).await;
    drop(others);
    server.stop().await;
}

async fn the_factory_sees_the_peer(transport: Transport) {
    let seen = Arc::new(Mutex::new(None));
    let see = seen.clone();
    let factory = move |peer: &Peer| {
        see.lock().unwrap().replace(peer.clone());
        arith_client(Gated(Arc::new(Semaphore::new(0))))
    };
    let server = InProcess::start(transport, ServerOptions::default(), factory).await;
    let connection = server.connect().await;
    multiply(&connection.bootstrap(), 1, 1).await.unwrap().unwrap();
    let peer = seen.lock().unwrap().take().unwrap();
    let best = match server.address {
        Address::Auto(_) => "shm",
        _ => server.address.transport(),
    };
    assert_eq!((peer.transport, connection.peer().transport), (best, best));
    if let Address::Tcp { .. } = server.address {
        assert!(peer.socket_address.unwrap().ip().is_loopback());
    }
    if let Address::Unix(_) | Address::UnixAbstract(_) | Address::Auto(_) = server.address {
        let this = Credentials {
            pid: Some(std::process::id()),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        assert_eq!(peer.credentials, Some(this));
    }
}

#[test]
fn names_have_the_mode_that_was_asked_for() {
    local(async {
        for (options, mode) in [(&[][..], 0o600), (&["--socket-mode", "662"], 0o662)] {
            for transport in [unix, crate::harness::pipe] {
                let server = Shipmated::start_with(transport, options);
                let (Address::Unix(path) | Address::Pipe(path)) = server.address() else { panic!("has no path") };
                assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
            }
        }
    });
}

/// The system accepts connections for a listener that never does.
#[test]
fn a_silent_peer_is_found() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("silent");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let short = Duration::from_millis(50);
        let keepalive = Some(Keepalive { interval: short, timeout: short });
        let options = ConnectOptions { keepalive, ..Default::default() };
        let connection = connect_with(Address::Unix(path), &options).await.unwrap();
        let error = multiply(&connection.bootstrap(), 1, 1).await.unwrap_err();
        assert!(matches!(&error, Error::Disconnected { reason } if reason.contains("sign of life")), "{error}");
        let error = connection.closed().await;
        assert!(matches!(&error, Error::Disconnected { reason } if reason.contains("sign of life")), "{error}");
    });
}

/// Long calls are no silence: the peer answers the question whether it is there.
#[test]
fn a_busy_peer_is_not_taken_for_a_silent_one() {
    local(async {
        let gate = Arc::new(Semaphore::new(0));
        let service = Gated(gate.clone());
        let server = InProcess::start(unix, ServerOptions::default(), move |_| arith_client(service.clone())).await;
        let keepalive = Some(Keepalive { interval: Duration::from_millis(10), timeout: Duration::from_secs(30) });
        let options = ConnectOptions { keepalive, ..Default::default() };
        let connection = connect_with(server.address.clone(), &options).await.unwrap();
        let arith: arith::Client = connection.bootstrap();
        let error = arith.divide_request().within(Duration::from_millis(200)).await.err().unwrap();
        assert!(matches!(error, Error::Deadline(_)), "{error}");
        assert!(connection.error().is_none());
        multiply(&arith, 1, 1).await.unwrap().unwrap();
    });
}

#[test]
fn nobody_there_is_said_clearly() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = folder.path().display();
        for address in [
            format!("tcp:127.0.0.1:{port}"),
            format!("unix:{folder}/none"),
            format!("unix:@{folder}/none"),
            format!("pipe:{folder}/none"),
        ] {
            let error = connect(address.as_str()).await.unwrap_err();
            assert!(matches!(error, Error::Unreachable { .. }), "{error}");
            assert!(error.to_string().starts_with(&format!("nobody answers at {address}: ")), "{error}");
        }
    });
}

/// In turn, many times, at the same port.
#[test]
fn a_port_is_free_again_at_once() {
    local(async {
        let mut server = Shipmated::start(tcp);
        for _ in 0..5 {
            ping(&server.connect().await, b"a connection that the server closes first").await.unwrap();
            server.signal(Signal::TERM);
            assert_eq!(server.exit().await.code(), Some(0));
            server.restart();
        }
    });
}

/// What the server's folder has in it.
fn names(server: &Shipmated) -> Vec<String> {
    let entries = std::fs::read_dir(server.folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(crate) fn arith_client(server: impl arith::Server + 'static) -> arith::Client {
    capnp_rpc::new_client(server)
}

/// Multiplies (to zero) at once; divides when it is let.
#[derive(Clone)]
pub(crate) struct Gated(pub(crate) Arc<Semaphore>);

impl arith::Server for Gated {
    async fn multiply(
        self: Rc<Self>,
        _: arith::MultiplyParams,
        mut results: arith::MultiplyResults,
    ) -> Result<(), capnp::Error> {
        results.get().init_product().set_value(0);
        Ok(())
    }

    async fn divide(
        self: Rc<Self>,
        _: arith::DivideParams,
        mut results: arith::DivideResults,
    ) -> Result<(), capnp::Error> {
        self.0.acquire().await.unwrap().forget();
        results.get().init_division().init_value();
        Ok(())
    }
}

/// Whatever is multiplied gives 40.
pub(crate) struct Forty;

impl arith::Server for Forty {
    async fn multiply(
        self: Rc<Self>,
        _: arith::MultiplyParams,
        mut results: arith::MultiplyResults,
    ) -> Result<(), capnp::Error> {
        results.get().init_product().set_value(40);
        Ok(())
    }
}

/// Panics at the factor 6; never answers a division.
pub(crate) struct Panics;

impl arith::Server for Panics {
    async fn multiply(
        self: Rc<Self>,
        params: arith::MultiplyParams,
        mut results: arith::MultiplyResults,
    ) -> Result<(), capnp::Error> {
        assert_ne!(params.get()?.get_a(), 6, "this panic is a test's");
        results.get().init_product().set_value(0);
        Ok(())
    }

    async fn divide(self: Rc<Self>, _: arith::DivideParams, _: arith::DivideResults) -> Result<(), capnp::Error> {
        std::future::pending().await
    }
}
