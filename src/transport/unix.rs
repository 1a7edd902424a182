//! Unix sockets, in the file system or in Linux's abstract namespace.
//!
//! The socket's file is made with its final permissions (`fchmod` before `bind`), so no one can connect
//! in between. A file that a dead server left is replaced; a live server's never is: whether one lives is
//! found by connecting to it, under a lock on the folder that every Shipmate server takes.
//!
//! A client that asks for shared memory gets it, if the listener is to upgrade: see [`auto`].

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::fs::Mode;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::names::{OwnedName, lock_folder_of};
use super::{Accepted, Credentials, ListenOptions, Listener, Peer, ReadHalf, Stream, WriteHalf, auto, shm};
use crate::{Address, Error, Limits, Result};

/// What may be on its way to the peer, in bytes. The kernel allows as much again for what it keeps beside them, and no
/// more than twice `net.core.wmem_max`. With its own default, 208 KiB, the two sides of a large message would work by
/// turns: the writer is woken only when most of that was read, and by then the reader waits.
const SEND_BUFFER_BYTES: usize = 512 << 10;

struct Unix {
    // Dropped before the listener: once nobody listens, another server may take the name.
    _file: Option<OwnedName>,
    listener: UnixListener,
    address: Address,
    handshake_timeout: Duration,
    /// For upgrades; see [`ListenOptions`].
    host: Option<shm::Host>,
}

/// Listens at a path or an abstract name.
pub fn listen(address: &Address, options: &ListenOptions, limits: &Limits) -> Result<impl Listener + use<>> {
    let (file, listener) = bind(address, options)?;
    let upgrade = options.upgrade || matches!(address, Address::Auto(_));
    let host = upgrade.then(|| shm::Host::new(options, limits));
    let handshake_timeout = options.handshake_timeout;
    Ok(Unix { _file: file, listener, address: address.clone(), handshake_timeout, host })
}

/// Binds a socket, and gives the name of its file, to be dropped before the listener.
pub(super) fn bind(address: &Address, options: &ListenOptions) -> Result<(Option<OwnedName>, UnixListener)> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AddrInUse => Error::AddressInUse { address: address.clone() },
        _ => Error::os(format!("listen at {address}"), e),
    };
    let name = socket_name(address).map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(failed)?;
    let file = match path_of(address) {
        Some(path) => {
            let _guard = lock_folder_of(path).map_err(failed)?;
            clear_stale(path, &name).map_err(failed)?;
            rustix::fs::fchmod(&socket, Mode::from_raw_mode(options.mode)).map_err(|e| failed(e.into()))?;
            socket.bind(&name).map_err(failed)?;
            let file = OwnedName::of(path).map_err(failed)?;
            // The umask may have taken bits away that were asked for.
            std::fs::set_permissions(path, PermissionsExt::from_mode(options.mode)).map_err(failed)?;
            socket.listen(options.backlog).map_err(failed)?;
            Some(file)
        }
        None => {
            socket.bind(&name).map_err(failed)?;
            socket.listen(options.backlog).map_err(failed)?;
            None
        }
    };
    let listener = UnixListener::from_std(StdListener::from(std::os::fd::OwnedFd::from(socket))).map_err(failed)?;
    Ok((file, listener))
}

/// Connects to a path or an abstract name.
pub async fn connect(address: &Address) -> Result<Stream> {
    Ok(stream(open(address).await?))
}

/// Connects a socket.
pub(super) async fn open(address: &Address) -> Result<UnixStream> {
    let unreachable = |reason: String| Error::Unreachable { address: address.clone(), reason };
    let connected = match path_of(address) {
        Some(path) => UnixStream::connect(path).await,
        None => connect_abstract(address).await,
    };
    connected.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => unreachable("there is no such socket; start the server, or check the path".into()),
        io::ErrorKind::ConnectionRefused => {
            unreachable("no server listens on this socket any more; start it again".into())
        }
        io::ErrorKind::PermissionDenied => {
            unreachable("this user may not write to the socket; see the server's option for its mode".into())
        }
        _ => unreachable(e.to_string()),
    })
}

impl Listener for Unix {
    fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>> {
        async {
            let (stream, _) = self.listener.accept().await.map_err(|e| Error::os("accept", e))?;
            let peer = peer(&stream, "unix");
            let stream = stream.into_std().map_err(|e| Error::os("accept", e))?;
            let Some(host) = self.host.clone() else {
                return Ok(Accepted::new(peer, move || Ok(halves(UnixStream::from_std(stream)?))));
            };
            let (client, limit) = (auto::Unsettled::new(stream, host), self.handshake_timeout);
            Ok(Accepted::settling(peer, move |_| client.settle(limit)))
        }
        .boxed()
    }
}

/// Removes the socket that a dead server left; fails with `AddrInUse` when the server lives.
fn clear_stale(path: &Path, name: &SockAddr) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is not a socket is in the way"));
        }
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match probe.connect(name) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Connected, or its backlog is full: somebody listens.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn socket_name(address: &Address) -> io::Result<SockAddr> {
    match (path_of(address), address) {
        (Some(path), _) => SockAddr::unix(path),
        (None, Address::UnixAbstract(name)) => SockAddr::unix(format!("\0{name}")),
        _ => unreachable!("transport/mod.rs sends only Unix addresses here"),
    }
}

/// The socket's file, where it has one.
fn path_of(address: &Address) -> Option<&Path> {
    match address {
        Address::Unix(path) | Address::Shm(path) | Address::Auto(path) => Some(path),
        _ => None,
    }
}

async fn connect_abstract(address: &Address) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&socket_name(address)?)?;
    UnixStream::from_std(std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// Who is at the other end of a socket, as the kernel says.
pub(super) fn peer(stream: &UnixStream, transport: &'static str) -> Peer {
    let credentials = stream.peer_cred().ok().map(|cred| Credentials {
        pid: cred.pid().and_then(|pid| u32::try_from(pid).ok()),
        uid: cred.uid(),
        gid: cred.gid(),
    });
    Peer { credentials, ..Peer::new(transport) }
}

/// The bytes of a socket, as they are.
pub(super) fn stream(socket: UnixStream) -> Stream {
    let peer = peer(&socket, "unix");
    let (reader, writer) = halves(socket);
    Stream { reader, writer, peer }
}

fn halves(stream: UnixStream) -> (ReadHalf, WriteHalf) {
    // Without it large messages are slower, and nothing else.
    let _ = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    let (reader, writer) = stream.into_split();
    (ReadHalf::new(reader), WriteHalf::new(writer))
}
