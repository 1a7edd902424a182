//! Calls within one process, over [`memory::pair`]: what the transports do that have a server.

use std::sync::Arc;
use std::time::Duration;

use capnp::capability::FromClientHook;
use futures::future::join_all;
use shipmate::schema::arith_capnp::arith;
use shipmate::transport::memory;
use shipmate::{ConnectOptions, Connection, Error, RequestExt, ServerOptions, connect_stream, serve_stream};
use tokio::sync::Semaphore;

use crate::calls::multiply;
use crate::harness::local;
use crate::lifetime::{Gated, Panics, arith_client};

/// Both ends of a connection, and the client's bootstrap capability.
fn pair<C: FromClientHook>(bootstrap: C) -> (Connection, Connection, arith::Client) {
    let (here, there) = memory::pair();
    let server = serve_stream(there, bootstrap, &ServerOptions::default());
    let client = connect_stream(here, &ConnectOptions::default());
    let arith = client.bootstrap();
    (client, server, arith)
}

#[test]
fn a_thousand_calls_in_flight() {
    local(async {
        let (client, server, arith) = pair(arith_client(Gated(Arc::new(Semaphore::new(0)))));
        for product in join_all((0..1000).map(|n| multiply(&arith, n, 7))).await {
            assert_eq!(product.unwrap(), Ok(0));
        }
        assert_eq!((client.peer().transport, server.peer().transport), ("memory", "memory"));
    });
}

/// Both what waits and what is at work.
#[test]
fn the_end_of_either_side_ends_the_calls() {
    local(async {
        let (_client, server, arith) = pair(arith_client(Gated(Arc::new(Semaphore::new(0)))));
        let at_work = arith.divide_request().send().promise;
        multiply(&arith, 1, 1).await.unwrap().unwrap();
        drop(server);
        let error = Error::from(at_work.await.err().unwrap());
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");

        let (client, server, arith) = pair(arith_client(Gated(Arc::new(Semaphore::new(0)))));
        let at_work = arith.divide_request().send().promise;
        multiply(&arith, 1, 1).await.unwrap().unwrap();
        client.close().await;
        let error = Error::from(at_work.await.err().unwrap());
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        assert!(matches!(server.closed().await, Error::Disconnected { .. }));
    });
}

/// If it did not cancel, the permit would go to the call that gave up.
#[test]
fn a_deadline_cancels_at_the_server() {
    local(async {
        let gate = Arc::new(Semaphore::new(0));
        let (_client, _server, arith) = pair(arith_client(Gated(gate.clone())));
        let error = arith.divide_request().within(Duration::from_millis(50)).await.err().unwrap();
        assert!(matches!(error, Error::Deadline(_)), "{error}");
        multiply(&arith, 1, 1).await.unwrap().unwrap();
        gate.add_permits(1);
        arith.divide_request().send().promise.await.unwrap();
    });
}

#[test]
fn a_panic_costs_one_connection() {
    local(async {
        let (_client, _server, arith) = pair(arith_client(Panics));
        let (_other_client, _other_server, other) = pair(arith_client(Panics));
        let error = multiply(&arith, 6, 7).await.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error}");
        assert_eq!(multiply(&other, 2, 7).await.unwrap(), Ok(0));
    });
}
