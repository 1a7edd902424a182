//! The networks that carry Cap'n Proto RPC: the same client and the same service over both.

use std::future::pending;

use capnp_rpc::new_client;
use shipmate::schema::arith_capnp::{arith, product};
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::transport::{self, Connecting, Stream, Tier, memory};
use shipmate::{Address, ConnectOptions, Connection, Limits, ListenOptions, Server, ServerOptions};
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::LocalSet;

use super::super::process;
use super::super::service::Front;
use super::{Network, address, stock};

/// A connection and what is called over it.
pub(crate) struct Client {
    front: front::Client,
    /// Shipmate's connections close when these go.
    _connections: Vec<Connection>,
}

impl Client {
    pub(crate) async fn connect(network: Network, address: &Address) -> Self {
        match network {
            Network::Raw => unreachable!("it carries no RPC"),
            Network::Stock => Client { front: stock::connect(address).await, _connections: vec![] },
            Network::Shipmate => {
                let connection = shipmate::connect(address.clone()).await.unwrap();
                Client { front: connection.bootstrap(), _connections: vec![connection] }
            }
        }
    }

    /// A client of a server on this very thread, over `memory` or a transport that has addresses.
    pub(crate) async fn pair(network: Network, transport: &str, tier: Tier) -> Self {
        let folder = TempDir::new().unwrap();
        let (near, far) = match transport {
            "memory" => memory::pair(),
            _ => connected(&address(transport, &folder, "socket"), tier).await,
        };
        match network {
            Network::Raw => unreachable!("it carries no RPC"),
            Network::Stock => {
                stock::start_server(far.reader, far.writer);
                Client { front: stock::start_client(near.reader, near.writer), _connections: vec![] }
            }
            Network::Shipmate => {
                let bootstrap: front::Client = new_client(Front);
                let server = shipmate::serve_stream(far, bootstrap, &ServerOptions::default());
                let client = shipmate::connect_stream(near, &ConnectOptions::default());
                Client { front: client.bootstrap(), _connections: vec![client, server] }
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

/// Both ends of a connection.
async fn connected(address: &Address, tier: Tier) -> (Stream, Stream) {
    let options = ListenOptions { tier, ..Default::default() };
    let mut listener = transport::listen(address, &options).await.unwrap();
    let address = listener.address().clone();
    let connecting = Connecting { tier, ..Default::default() };
    let near = transport::connect_within(&address, &connecting, &Limits::DEFAULT);
    let (near, accepted) = tokio::join!(near, listener.accept());
    (near.unwrap(), accepted.unwrap().attach().await.unwrap())
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
    if network == Network::Shipmate {
        // One thread, as the stock network has.
        return serve_on(address, 1);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, stock::serve(address));
}

/// Shipmate's, on so many shards.
pub(crate) fn serve_on(address: &Address, shards: usize) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut server = Server::new(ServerOptions { shards, ..Default::default() });
        let bootstrap = |_: &shipmate::Peer| -> front::Client { new_client(Front) };
        let address = server.listen(address, &ListenOptions::default(), bootstrap).await.unwrap();
        process::ready(&address);
        server.serve(pending()).await.unwrap();
    });
}
