//! TCP, over IPv4 and IPv6: without Nagle's delay, and with the system's keepalive.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::{Accepted, ListenOptions, Listener, Peer, ReadHalf, Stream, WriteHalf};
use crate::{Address, Error, Result};

/// A silent peer is probed after 30 s, every 10 s, and given up after 3 probes without an answer.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

struct Tcp {
    listener: TcpListener,
    address: Address,
}

/// Listens at the first address that the host resolves to and that can be bound.
pub async fn listen(host: &str, port: u16, options: &ListenOptions) -> Result<impl Listener + use<>> {
    let asked = Address::Tcp { host: host.to_owned(), port };
    let mut last = None;
    for address in resolve(host, port, &asked).await? {
        match bind(address, options.backlog) {
            Ok(listener) => {
                let port = listener.local_addr().map_err(|e| Error::os("read the bound address", e))?.port();
                return Ok(Tcp { listener, address: Address::Tcp { host: host.to_owned(), port } });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(Error::AddressInUse { address: asked });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(Error::os(format!("listen at {asked}"), last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
}

/// Connects to the first address that the host resolves to and that answers.
pub async fn connect(host: &str, port: u16) -> Result<Stream> {
    let asked = Address::Tcp { host: host.to_owned(), port };
    let mut reason = "the name has no address".to_owned();
    for address in resolve(host, port, &asked).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let peer = Peer { socket_address: Some(address), ..Peer::new("tcp") };
                let (reader, writer) = halves(stream).map_err(|e| Error::os("set the socket's options", e))?;
                return Ok(Stream { reader, writer, peer });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                reason = "no server listens on this port; start one, or check host and port".to_owned();
            }
            Err(error) => reason = error.to_string(),
        }
    }
    Err(Error::Unreachable { address: asked, reason })
}

impl Listener for Tcp {
    fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>> {
        async {
            let (stream, address) = self.listener.accept().await.map_err(|e| Error::os("accept", e))?;
            let stream = stream.into_std().map_err(|e| Error::os("accept", e))?;
            let peer = Peer { socket_address: Some(address), ..Peer::new("tcp") };
            Ok(Accepted::new(peer, move || halves(TcpStream::from_std(stream)?)))
        }
        .boxed()
    }
}

async fn resolve(host: &str, port: u16, asked: &Address) -> Result<Vec<SocketAddr>> {
    let found = lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(|e| Error::Unreachable { address: asked.clone(), reason: e.to_string() })
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A restarted server takes its port again at once; on Linux this cannot steal a live listener's.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

fn halves(stream: TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    let (reader, writer) = stream.into_split();
    Ok((ReadHalf::new(reader), WriteHalf::new(writer)))
}
