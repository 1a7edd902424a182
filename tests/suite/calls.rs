//! Calls to a real `shipmated`.

use std::time::Duration;

use futures::future::join_all;
use shipmate::schema::arith_capnp::{ArithError, arith, division, product};
use shipmate::schema::mailbox_capnp;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Error, RequestExt};

use crate::harness::{Shipmated, Transport, local, ping, service, unix};

on_every_transport! {
    pings, front_door, arithmetic, a_thousand_calls_in_flight, methods_and_services_that_do_not_exist,
    one_connection_after_another, clients_that_leave_in_the_middle, many_clients_at_once,
    a_deadline_cancels_at_the_server,
}

async fn pings(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    for size in [0, 1 << 10, 1 << 20, 32 << 20] {
        let payload: Vec<u8> = (0..size).map(|n: u32| (n >> 8 ^ n) as u8).collect();
        ping(&connection, &payload).await.unwrap();
    }
}

async fn front_door(transport: Transport) {
    let server = Shipmated::start_with(transport, &["--shards", "3", "--max-segments", "99"]);
    let connection = server.connect().await;
    let front: front::Client = connection.bootstrap();
    let (info, list) = futures::join!(front.info_request().send().promise, front.list_request().send().promise);

    let info = info.unwrap();
    let info = info.get().unwrap().get_info().unwrap();
    assert_eq!(info.get_version().unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!((info.get_connections(), info.get_shards()), (1, 3));
    assert_eq!(info.get_limits().unwrap().get_segments_max(), 99);

    let list = list.unwrap();
    let services = list.get().unwrap().get_services().unwrap();
    let names: Vec<_> = services.iter().map(|service| service.get_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["arith", "calculator", "conformance", "mailbox", "shipmate"]);
}

async fn arithmetic(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    let arith = service(&connection, "arith");
    assert_eq!(multiply(&arith, 6, 7).await.unwrap(), Ok(42));
    assert_eq!(multiply(&arith, i64::MAX, 2).await.unwrap(), Err(ArithError::Overflow));
    assert_eq!(divide(&arith, -7, 2).await.unwrap(), Ok((-3, -1)));
    assert_eq!(divide(&arith, 1, 0).await.unwrap(), Err(ArithError::DivideByZero));
    assert_eq!(divide(&arith, i64::MIN, -1).await.unwrap(), Err(ArithError::Overflow));
}

async fn a_thousand_calls_in_flight(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    let arith = service(&connection, "arith");
    let products = join_all((0..1000).map(|n| multiply(&arith, n, 7))).await;
    for (n, product) in products.into_iter().enumerate() {
        assert_eq!(product.unwrap(), Ok(n as i64 * 7));
    }
}

async fn methods_and_services_that_do_not_exist(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;

    // The bootstrap is the front door, which knows nothing of multiplication.
    let not_arith: arith::Client = connection.bootstrap();
    let error = multiply(&not_arith, 1, 1).await.unwrap_err();
    assert!(matches!(&error, Error::Service { kind: shipmate::error::ServiceErrorKind::Unimplemented, .. }), "{error}");

    let front: front::Client = connection.bootstrap();
    let mut request = front.get_request();
    request.get().set_name("no such service");
    let response = request.send().promise.await.unwrap();
    assert!(!response.get().unwrap().get_found());
    let missing: arith::Client = service(&connection, "no such service");
    multiply(&missing, 1, 1).await.unwrap_err();

    ping(&connection, b"still there").await.unwrap();
}

async fn one_connection_after_another(transport: Transport) {
    let server = Shipmated::start(transport);
    for n in 0..100_u8 {
        let connection = server.connect().await;
        ping(&connection, &[n]).await.unwrap();
        connection.close().await;
    }
    assert_eq!(open_connections(&server, 1).await, 1);
}

/// Each has a call at work that is never answered, and vanishes with it.
async fn clients_that_leave_in_the_middle(transport: Transport) {
    let server = Shipmated::start(transport);
    for n in 0..20 {
        let connection = server.connect().await;
        let mailbox: mailbox_capnp::mailbox::Client = service(&connection, "mailbox");
        let mut open = mailbox.open_request();
        open.get().set_name("empty");
        let mut taking = open.send().pipeline.get_box().take_request().send().promise;
        ping(&connection, b"the call is there by now").await.unwrap();
        assert!(futures::poll!(&mut taking).is_pending());
        if n % 2 == 0 {
            drop(connection);
            assert!(matches!(Error::from(taking.await.err().unwrap()), Error::Disconnected { .. }));
        } else {
            connection.close().await;
        }
    }
    assert_eq!(open_connections(&server, 1).await, 1);
}

async fn many_clients_at_once(transport: Transport) {
    let server = Shipmated::start(transport);
    let connections = join_all((0..50).map(|_| server.connect())).await;
    let pings = connections.iter().enumerate().map(|(n, connection)| async move {
        ping(connection, &vec![n as u8; n * 1000]).await.unwrap();
    });
    join_all(pings).await;
    assert_eq!(open_connections(&server, 51).await, 51);
}

/// If it did not, the record that is posted later would go to the call that gave up.
async fn a_deadline_cancels_at_the_server(transport: Transport) {
    let server = Shipmated::start(transport);
    let connection = server.connect().await;
    let mailbox: mailbox_capnp::mailbox::Client = service(&connection, "mailbox");
    let mut open = mailbox.open_request();
    open.get().set_name("late");
    let mailbox = open.send().promise.await.unwrap().get().unwrap().get_box().unwrap();

    let deadline = Duration::from_millis(50);
    let error = mailbox.take_request().within(deadline).await.err().unwrap();
    assert!(matches!(error, Error::Deadline(given) if given == deadline), "{error}");

    let mut post = mailbox.post_request();
    post.get().init_record().set_value(11);
    post.send().promise.await.unwrap();
    let taken = mailbox.try_take_request().send().promise.await.unwrap();
    let taken = taken.get().unwrap();
    assert!(taken.get_found());
    assert_eq!(taken.get_record().unwrap().get_value(), 11);
}

/// Started by the test below as a client to kill: it makes a call that is not answered and says so.
#[test]
#[ignore = "is started by another test"]
fn client_to_kill() {
    let Ok(address) = std::env::var("SHIPMATE_TEST_ADDRESS") else { return };
    local(async {
        let connection = shipmate::connect(address.as_str()).await.unwrap();
        let mailbox: mailbox_capnp::mailbox::Client = service(&connection, "mailbox");
        let taking = mailbox.open_request().send().pipeline.get_box().take_request().send().promise;
        ping(&connection, &[]).await.unwrap();
        println!("\nat work");
        let _ = taking.await;
    });
}

async fn a_client_that_is_killed(transport: Transport) {
    use std::io::BufRead;
    let server = Shipmated::start(transport);
    for _ in 0..3 {
        let mut client = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "calls::client_to_kill", "--ignored", "--nocapture"])
            .env("SHIPMATE_TEST_ADDRESS", server.address().to_string())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(client.stdout.take().unwrap()).lines();
        let reached = lines.any(|line| line.unwrap() == "at work");
        client.kill().unwrap();
        client.wait().unwrap();
        assert!(reached);
    }
    assert_eq!(open_connections(&server, 1).await, 1);
}

on_every_transport! { a_client_that_is_killed }

#[test]
fn several_listeners_each_with_its_service() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let front = unix(folder.path());
        let calculators = format!("pipe:{}/arith=arith", folder.path().display());
        let server = Shipmated::run(
            folder,
            &["--listen", &front, "--listen", "tcp:127.0.0.1:0=arith", "--listen", &calculators],
        );
        assert_eq!(server.addresses.len(), 3);
        ping(&server.connect().await, b"front door").await.unwrap();
        for address in &server.addresses[1..] {
            let connection = shipmate::connect(address.clone()).await.unwrap();
            assert_eq!(multiply(&connection.bootstrap(), 3, 4).await.unwrap(), Ok(12));
        }
    });
}

pub(crate) async fn multiply(arith: &arith::Client, a: i64, b: i64) -> shipmate::Result<Result<i64, ArithError>> {
    let mut request = arith.multiply_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.send().promise.await?;
    Ok(match response.get()?.get_product()?.which()? {
        product::Value(value) => Ok(value),
        product::Error(error) => Err(error?),
    })
}

async fn divide(arith: &arith::Client, a: i64, b: i64) -> shipmate::Result<Result<(i64, i64), ArithError>> {
    let mut request = arith.divide_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.send().promise.await?;
    Ok(match response.get()?.get_division()?.which()? {
        division::Value(value) => Ok((value.get_quotient(), value.get_remainder())),
        division::Error(error) => Err(error?),
    })
}

/// How many connections the server has, with the one that asks; waits for those on their way out.
async fn open_connections(server: &Shipmated, expected: u32) -> u32 {
    let connection = server.connect().await;
    let front: front::Client = connection.bootstrap();
    loop {
        let response = front.info_request().send().promise.await.unwrap();
        let open = response.get().unwrap().get_info().unwrap().get_connections();
        if open <= expected {
            return open;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
