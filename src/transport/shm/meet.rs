//! How two sides meet: on a Unix socket, where each passes the other its region.
//!
//! The client writes its hello with its region, and the server answers with its own. A hello is 24 bytes,
//! little-endian:
//!
//! ```text
//! u8 * 12   "SHIPMATE-SHM"
//! u32       version, 1
//! u32       the tiers that the side has: bit 0, copy; bit 1, sealed; bit 2, trusted
//! u32       zero
//! ```
//!
//! From then on the socket carries bells only, and its end is the peer's death.

use std::os::fd::AsFd;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::stream::{Reader, Writer};
use super::{Consumer, Producer, Region, doorbell, layout, link, passing};
use crate::transport::names::OwnedName;
use crate::transport::{Accepted, ListenOptions, Listener, ReadHalf, Stream, WriteHalf, unix};
use crate::{Address, Error, Limits, Result};

/// Each side's ring.
const RING_BYTES: usize = 256 << 10;
/// Clients that may be shaking hands at once; further ones wait in the socket's backlog.
const HANDSHAKES_MAX: usize = 64;

const HELLO_BYTES: usize = 24;
/// What a hello begins with.
pub(in crate::transport) const HELLO_MAGIC: &[u8; 12] = b"SHIPMATE-SHM";
const VERSION: u32 = 1;
const TIER_COPY: u32 = 1;

struct Shm {
    // Dropped before the listener: once nobody listens, another server may take the name.
    _file: Option<OwnedName>,
    listener: UnixListener,
    address: Address,
    handshake_timeout: Duration,
    spin: Duration,
    handshakes: JoinSet<Result<Accepted>>,
}

/// Listens on the Unix socket of an address.
pub fn listen(address: &Address, options: &ListenOptions) -> Result<impl Listener + use<>> {
    let (file, listener) = unix::bind(address, options)?;
    let ListenOptions { handshake_timeout, spin, .. } = *options;
    let handshakes = JoinSet::new();
    Ok(Shm { _file: file, listener, address: address.clone(), handshake_timeout, spin, handshakes })
}

/// Connects to the server at an address.
pub async fn connect(address: &Address, spin: Duration) -> Result<Stream> {
    let socket = unix::open(address).await?;
    match timeout(Limits::DEFAULT.handshake_timeout, ask(socket, spin)).await {
        Ok(met) => met.map_err(|error| explain(address, error)),
        Err(_) => Err(Error::Unreachable { address: address.clone(), reason: "the server does not answer".into() }),
    }
}

/// The client's part of the handshake.
pub(in crate::transport) async fn ask(socket: UnixStream, spin: Duration) -> Result<Stream> {
    let peer = unix::peer(&socket, "shm");
    let (mine, file) = Region::create(RING_BYTES)?;
    passing::send(&socket, &hello(), &[file.as_fd()]).await?;
    let (producer, consumer) = link(mine, receive_region(&socket).await?);
    let (reader, writer) = halves(socket, producer, consumer, spin);
    Ok(Stream { reader, writer, peer })
}

impl Listener for Shm {
    fn address(&self) -> &Address {
        &self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>> {
        async {
            loop {
                tokio::select! {
                    met = self.handshakes.join_next(), if !self.handshakes.is_empty() => match met {
                        Some(Ok(Ok(accepted))) => return Ok(accepted),
                        // A client that cannot shake hands is nobody else's concern.
                        Some(Ok(Err(error))) => tracing::debug!(%error, "a handshake failed"),
                        Some(Err(error)) => tracing::warn!(%error, "a handshake panicked"),
                        None => {}
                    },
                    socket = self.listener.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                        let (socket, _) = socket.map_err(|e| Error::os("accept", e))?;
                        let (limit, spin) = (self.handshake_timeout, self.spin);
                        self.handshakes.spawn(async move {
                            timeout(limit, answer(socket, spin)).await.unwrap_or(Err(Error::Deadline(limit)))
                        });
                    }
                }
            }
        }
        .boxed()
    }
}

/// The server's part of the handshake.
pub(in crate::transport) async fn answer(socket: UnixStream, spin: Duration) -> Result<Accepted> {
    let peer = unix::peer(&socket, "shm");
    let theirs = receive_region(&socket).await?;
    let (mine, file) = Region::create(RING_BYTES)?;
    passing::send(&socket, &hello(), &[file.as_fd()]).await?;
    let (producer, consumer) = link(mine, theirs);
    let socket = socket.into_std().map_err(|e| Error::os("accept", e))?;
    Ok(Accepted::new(peer, move || Ok(halves(UnixStream::from_std(socket)?, producer, consumer, spin))))
}

async fn receive_region(socket: &UnixStream) -> Result<Region> {
    let mut theirs = [0; HELLO_BYTES];
    let descriptors = passing::receive(socket, &mut theirs, 1).await?;
    check_hello(&theirs)?;
    Region::receive(&descriptors[0], layout::RING_BYTES_MAX)
}

fn halves(socket: UnixStream, producer: Producer, consumer: Consumer, spin: Duration) -> (ReadHalf, WriteHalf) {
    let (reads, writes) = doorbell(socket, spin);
    (Box::new(Reader::new(consumer, reads)), Box::new(Writer::new(producer, writes)))
}

fn hello() -> [u8; HELLO_BYTES] {
    let mut hello = [0; HELLO_BYTES];
    hello[..12].copy_from_slice(HELLO_MAGIC);
    hello[12..16].copy_from_slice(&VERSION.to_le_bytes());
    hello[16..20].copy_from_slice(&TIER_COPY.to_le_bytes());
    hello
}

fn check_hello(hello: &[u8; HELLO_BYTES]) -> Result<()> {
    let word = |at: usize| u32::from_le_bytes([hello[at], hello[at + 1], hello[at + 2], hello[at + 3]]);
    let refuse = |what: String| Err(Error::Protocol { what });
    if &hello[..12] != HELLO_MAGIC {
        return refuse("it does not speak Shipmate's shared memory; is this the address of a unix: server?".into());
    }
    match (word(12), word(16)) {
        (VERSION, tiers) if tiers & TIER_COPY != 0 => Ok(()),
        (VERSION, tiers) => refuse(format!("its tiers {tiers:#b} do not include copy")),
        (version, _) => {
            refuse(format!("it speaks version {version} of shared memory, and this side version {VERSION}"))
        }
    }
}

/// A server that hangs up in the handshake is most likely one of another kind.
fn explain(address: &Address, error: Error) -> Error {
    match error {
        Error::Disconnected { reason } => Error::Unreachable { address: address.clone(), reason },
        other => other,
    }
}
