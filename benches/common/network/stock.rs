//! The network that `capnp-rpc` brings, as its documentation advises to set it up: over buffered streams.

use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use capnp_rpc::{RpcSystem, new_client};
use futures::io::{BufReader, BufWriter};
use shipmate::Address;
use shipmate::schema::shipmate_capnp::shipmate as front;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::super::process;
use super::super::service::Front;
use super::{fifos, local_port, make_fifos};

pub(super) async fn connect(address: &Address) -> front::Client {
    match address {
        Address::Tcp { .. } => {
            let stream = TcpStream::connect(local_port(address)).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (reader, writer) = stream.into_split();
            start_client(reader, writer)
        }
        Address::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await.unwrap().into_split();
            start_client(reader, writer)
        }
        Address::Pipe(path) => {
            let (up, down) = fifos(path);
            let writer = pipe::OpenOptions::new().open_sender(up).unwrap();
            start_client(pipe::OpenOptions::new().open_receiver(down).unwrap(), writer)
        }
        other => unreachable!("{other} is not measured"),
    }
}

/// Serves until it is dropped; one client alone over FIFOs.
pub(super) async fn serve(address: &Address) {
    match address {
        Address::Tcp { .. } => {
            let listener = TcpListener::bind(local_port(address)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            process::ready(&Address::Tcp { host: "127.0.0.1".into(), port });
            loop {
                let stream = listener.accept().await.unwrap().0;
                stream.set_nodelay(true).unwrap();
                let (reader, writer) = stream.into_split();
                start_server(reader, writer);
            }
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path).unwrap();
            process::ready(address);
            loop {
                let (reader, writer) = listener.accept().await.unwrap().0.into_split();
                start_server(reader, writer);
            }
        }
        Address::Pipe(path) => {
            let (up, down) = make_fifos(path);
            let reader = pipe::OpenOptions::new().open_receiver(up).unwrap();
            // For reading too, or it could not be opened before the client has.
            let writer = pipe::OpenOptions::new().read_write(true).open_sender(down).unwrap();
            start_server(reader, writer);
            process::ready(address);
            std::future::pending().await
        }
        other => unreachable!("{other} is not measured"),
    }
}

pub(super) fn start_client(
    reader: impl AsyncRead + Unpin + 'static,
    writer: impl AsyncWrite + Unpin + 'static,
) -> front::Client {
    let mut rpc = RpcSystem::new(Box::new(network(reader, writer, Side::Client)), None);
    let bootstrap = rpc.bootstrap(Side::Server);
    spawn_local(rpc);
    bootstrap
}

pub(super) fn start_server(reader: impl AsyncRead + Unpin + 'static, writer: impl AsyncWrite + Unpin + 'static) {
    let bootstrap: front::Client = new_client(Front);
    spawn_local(RpcSystem::new(Box::new(network(reader, writer, Side::Server)), Some(bootstrap.client)));
}

fn network<R: AsyncRead + Unpin + 'static>(
    reader: R,
    writer: impl AsyncWrite + Unpin + 'static,
    side: Side,
) -> VatNetwork<BufReader<tokio_util::compat::Compat<R>>> {
    let (reader, writer) = (BufReader::new(reader.compat()), BufWriter::new(writer.compat_write()));
    VatNetwork::new(reader, writer, side, ReaderOptions::new())
}
