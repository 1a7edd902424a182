//! Other people's software: the wire is Cap'n Proto's own, and the checked-in schemas are up to date.

use std::path::Path;

use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use shipmate::Address;
use shipmate::schema::arith_capnp::arith;
use shipmate::schema::calculator_capnp::calculator;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::spawn_local;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::calls::multiply;
use crate::harness::{Shipmated, auto, local, tcp, unix};

#[path = "../../schema/compiled/digest.rs"]
mod digest;

/// `capnp-rpc`'s own network, as its users have it.
#[test]
fn a_stock_client_talks_to_shipmated() {
    local(async {
        for transport in [tcp, unix, auto] {
            let folder = tempfile::tempdir().unwrap();
            let listen = transport(folder.path());
            let server = Shipmated::run(folder, &["--listen", &format!("{listen}=arith")]);
            let arith: arith::Client = stock_bootstrap(server.address()).await;
            assert_eq!(multiply(&arith, 6, 7).await.unwrap(), Ok(42));

            let folder = tempfile::tempdir().unwrap();
            let listen = transport(folder.path());
            let server = Shipmated::run(folder, &["--listen", &format!("{listen}=calculator")]);
            let calculator: calculator::Client = stock_bootstrap(server.address()).await;
            let mut request = calculator.evaluate_request();
            request.get().init_expression().set_literal(123.0);
            let value = request.send().pipeline.get_value().read_request().send().promise.await.unwrap();
            assert_eq!(value.get().unwrap().get_value(), 123.0);
        }
    });
}

#[test]
fn the_checked_in_schemas_are_fresh() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let digest = digest::digest(&digest::schema_files(&schemas).unwrap()).unwrap();
    let checked_in = std::fs::read_to_string(schemas.join("compiled/digest")).unwrap();
    assert_eq!(checked_in.trim(), digest, "a schema has changed: run `cargo xtask schema`");
}

async fn stock_bootstrap<C: capnp::capability::FromClientHook>(address: &Address) -> C {
    match address {
        Address::Tcp { host, port } => {
            let (reader, writer) = TcpStream::connect((host.as_str(), *port)).await.unwrap().into_split();
            stock_client(reader.compat(), writer.compat_write())
        }
        Address::Unix(path) | Address::Auto(path) => {
            let (reader, writer) = UnixStream::connect(path).await.unwrap().into_split();
            stock_client(reader.compat(), writer.compat_write())
        }
        other => panic!("{other} is not for others"),
    }
}

fn stock_client<C: capnp::capability::FromClientHook>(
    reader: impl futures::AsyncRead + Unpin + 'static,
    writer: impl futures::AsyncWrite + Unpin + 'static,
) -> C {
    let network = twoparty::VatNetwork::new(reader, writer, Side::Client, Default::default());
    let mut rpc = RpcSystem::new(Box::new(network), None);
    let client = rpc.bootstrap(Side::Server);
    spawn_local(rpc);
    client
}
