//! The networks that carry Cap'n Proto RPC: the same client and the same service over both.

use std::future::pending;

use capnp_rpc::new_client;
use shipmate::schema::arith_capnp::{arith, product};
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, Connection, ListenOptions, Server, ServerOptions};
use tokio::runtime;
use tokio::task::LocalSet;

use super::super::process;
use super::super::service::Front;
use super::{Network, stock};

/// A connection and what is called over it.
pub(crate) struct Client {
    front: front::Client,
    /// Shipmate's connection closes when this goes.
    _connection: Option<Connection>,
}

impl Client {
    pub(crate) async fn connect(network: Network, address: &Address) -> Self {
        match network {
            Network::Raw => unreachable!("it carries no RPC"),
            Network::Stock => Client { front: stock::connect(address).await, _connection: None },
            Network::Shipmate => {
                let connection = shipmate::connect(address.clone()).await.unwrap();
                Client { front: connection.bootstrap(), _connection: Some(connection) }
            }
        }
    }

    pub(crate) async fn arith(&self) -> arith::Client {
        let mut request = self.front.get_request();
        request.get().set_name("arith");
        let response = request.send().promise.await.unwrap();
        response.get().unwrap().get_service().get_as_capability().unwrap()
    }

    pub(crate) async fn echo(&self, payload: &[u8]) {
        let mut request = self.front.ping_request();
        request.get().set_payload(payload);
        let response = request.send().promise.await.unwrap();
        assert_eq!(response.get().unwrap().get_payload().unwrap().len(), payload.len());
    }
}

pub(crate) async fn multiply(arith: &arith::Client, a: i64, b: i64) {
    let mut request = arith.multiply_request();
    request.get().set_a(a);
    request.get().set_b(b);
    let response = request.send().promise.await.unwrap();
    match response.get().unwrap().get_product().unwrap().which().unwrap() {
        product::Value(value) => assert_eq!(value, a * b),
        product::Error(_) => panic!("{a} * {b} does not overflow"),
    }
}

pub(super) fn serve(network: Network, address: &Address) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match network {
        Network::Shipmate => runtime.block_on(serve_shipmate(address)),
        _ => LocalSet::new().block_on(&runtime, stock::serve(address)),
    }
}

/// On one shard: one thread, as the stock network has.
async fn serve_shipmate(address: &Address) {
    let mut server = Server::new(ServerOptions { shards: 1, ..Default::default() });
    let bootstrap = |_: &shipmate::Peer| -> front::Client { new_client(Front) };
    let address = server.listen(address, &ListenOptions::default(), bootstrap).await.unwrap();
    process::ready(&address);
    server.serve(pending()).await.unwrap();
}
