//! How two sides meet: on a Unix socket, where each passes the other its region.
//!
//! The client writes its hello with its region, and the server answers with its own. A hello is 24 bytes,
//! little-endian:
//!
//! ```text
//! u8 * 12   "SHIPMATE-SHM"
//! u32       version, 1
//! u32       the tiers that the side takes: bit 0, copy; bit 1, sealed; bit 2, trusted
//! u32       how much the other side may have attached of blobs at once, in units of 64 KiB
//! ```
//!
//! From then on the socket carries bells, and descriptors of blobs with some of them, and its end is the peer's death.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::net::RecvFlags;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pool::{Budget, Pool};
use super::stream::{Reader, Writer};
use super::{Consumer, Producer, Region, doorbell, layout, link, passing};
use crate::transport::names::OwnedName;
use crate::transport::{Accepted, Connecting, ListenOptions, Listener, Peer, ReadHalf, Stream, Tier, WriteHalf, unix};
use crate::{Address, Error, Limits, Result};

/// Each side's ring.
const RING_BYTES: usize = 256 << 10;
/// Clients that may be shaking hands at once; further ones wait in the socket's backlog.
const HANDSHAKES_MAX: usize = 64;

const HELLO_BYTES: usize = 24;
/// What a hello begins with.
pub(in crate::transport) const HELLO_MAGIC: &[u8; 12] = b"SHIPMATE-SHM";
const VERSION: u32 = 1;
/// What a hello counts blobs in.
const UNIT_BYTES: usize = 64 << 10;

/// What a side says of itself, and what both have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) struct Terms {
    spin: Duration,
    /// A bit for each tier.
    tiers: u32,
    /// What the other side may have attached of blobs, in bytes.
    bytes_max: usize,
}

/// What a listener has for clients that want shared memory.
#[derive(Clone)]
pub(in crate::transport) struct Host {
    terms: Terms,
    bytes_per_user_max: usize,
    /// What each user's connections have of blobs that were made here.
    budgets: Arc<Mutex<HashMap<u32, Weak<Budget>>>>,
}

struct Shm {
    // Dropped before the listener: once nobody listens, another server may take the name.
    _file: Option<OwnedName>,
    listener: UnixListener,
    address: Address,
    handshake_timeout: Duration,
    host: Host,
    handshakes: JoinSet<Result<Accepted>>,
}

/// Listens on the Unix socket of an address.
pub fn listen(address: &Address, options: &ListenOptions, limits: &Limits) -> Result<impl Listener + use<>> {
    let (file, listener) = unix::bind(address, options)?;
    Ok(Shm {
        _file: file,
        listener,
        address: address.clone(),
        handshake_timeout: options.handshake_timeout,
        host: Host::new(options, limits),
        handshakes: JoinSet::new(),
    })
}

/// Connects to the server at an address.
pub async fn connect(address: &Address, options: &Connecting, limits: &Limits) -> Result<Stream> {
    let socket = unix::open(address).await?;
    let terms = Terms::new(options.spin, options.tier, limits);
    let meet = async { ask(socket, terms).await?.answer().await };
    match timeout(Limits::DEFAULT.handshake_timeout, meet).await {
        Ok(met) => met.map_err(|error| explain(address, error)),
        Err(_) => Err(Error::Unreachable { address: address.clone(), reason: "the server does not answer".into() }),
    }
}

/// A client's connection whose server has been sent the hello.
pub(in crate::transport) struct Asked {
    socket: UnixStream,
    peer: Peer,
    terms: Terms,
    mine: Region,
}

/// The client's part of the handshake. It is [`Error::Disconnected`] when the server closed before there was a hello.
pub(in crate::transport) async fn ask(socket: UnixStream, terms: Terms) -> Result<Asked> {
    let peer = unix::peer(&socket, "shm");
    let terms = terms.with(&peer);
    let (mine, file) = Region::create(RING_BYTES)?;
    passing::send(&socket, &terms.hello(), &[file.as_fd()]).await?;
    Ok(Asked { socket, peer, terms, mine })
}

impl Asked {
    /// Waits for the server's part.
    pub(in crate::transport) async fn answer(self) -> Result<Stream> {
        let Asked { socket, mut peer, terms, mine } = self;
        let (theirs, region) = receive_hello(&socket).await?;
        peer.tier = Some(terms.tier_with(&theirs));
        let ends = link(mine, region);
        let attached =
            socket.into_std().and_then(|socket| halves(socket, ends, terms, theirs, Budget::new(usize::MAX)));
        let (reader, writer) = attached.map_err(|e| Error::os("attach a connection", e))?;
        Ok(Stream { reader, writer, peer })
    }
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
                        let (limit, host) = (self.handshake_timeout, self.host.clone());
                        self.handshakes.spawn(async move {
                            timeout(limit, host.answer(socket)).await.unwrap_or(Err(Error::Deadline(limit)))
                        });
                    }
                }
            }
        }
        .boxed()
    }
}

impl Host {
    pub(in crate::transport) fn new(options: &ListenOptions, limits: &Limits) -> Self {
        Host {
            terms: Terms::new(options.spin, options.tier, limits),
            bytes_per_user_max: limits.shared_bytes_per_user_max,
            budgets: Arc::default(),
        }
    }

    /// The server's part of the handshake.
    pub(in crate::transport) async fn answer(&self, socket: UnixStream) -> Result<Accepted> {
        let mut peer = unix::peer(&socket, "shm");
        let budget = self.budget_of(&peer);
        let terms = self.terms.with(&peer);
        let (theirs, region) = receive_hello(&socket).await?;
        let (mine, file) = Region::create(RING_BYTES)?;
        passing::send(&socket, &terms.hello(), &[file.as_fd()]).await?;
        peer.tier = Some(terms.tier_with(&theirs));
        let ends = link(mine, region);
        let socket = socket.into_std().map_err(|e| Error::os("accept", e))?;
        Ok(Accepted::new(peer, move || halves(socket, ends, terms, theirs, budget)))
    }

    /// Answers a client whose hello is there and whom nobody will serve, at once: it gets to the end of the handshake,
    /// and finds the end of the connection there.
    pub(in crate::transport) fn dismiss(&self, socket: impl AsFd) -> Result<()> {
        let failed = |e: io::Error| Error::stream("answer a hello", e);
        // What is left in a socket that is closed is an error to the peer, and not an end.
        rustix::net::recv(&socket, &mut [0; HELLO_BYTES], RecvFlags::DONTWAIT).map_err(|e| failed(e.into()))?;
        let (_, file) = Region::create(layout::RING_BYTES_MIN)?;
        passing::send_once(&socket, &self.terms.hello(), &[file.as_fd()]).map_err(failed)?;
        Ok(())
    }

    /// What the connections of the peer's user share.
    fn budget_of(&self, peer: &Peer) -> Arc<Budget> {
        let fresh = || Budget::new(self.bytes_per_user_max);
        let Some(credentials) = peer.credentials else { return fresh() };
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = budgets.get(&credentials.uid).and_then(Weak::upgrade) {
            return budget;
        }
        let budget = fresh();
        budgets.retain(|_, budget| budget.strong_count() > 0);
        budgets.insert(credentials.uid, Arc::downgrade(&budget));
        budget
    }
}

async fn receive_hello(socket: &UnixStream) -> Result<(Terms, Region)> {
    let mut theirs = [0; HELLO_BYTES];
    let descriptors = passing::receive(socket, &mut theirs, 1).await?;
    let terms = Terms::parse(&theirs)?;
    Ok((terms, Region::receive(&descriptors[0], layout::RING_BYTES_MAX)?))
}

fn halves(
    socket: StdUnixStream,
    (producer, consumer): (Producer, Consumer),
    mine: Terms,
    theirs: Terms,
    budget: Arc<Budget>,
) -> io::Result<(ReadHalf, WriteHalf)> {
    let tier = mine.tier_with(&theirs);
    let (reads, writes) = doorbell(socket, mine.spin)?;
    let pool = Pool::new(producer, writes.bell(), tier, mine.bytes_max.min(theirs.bytes_max), budget);
    let reader = ReadHalf::shared(Reader::new(consumer, reads, tier, mine.bytes_max));
    Ok((reader, WriteHalf::with_pool(Writer::new(pool.clone(), writes), pool)))
}

impl Terms {
    pub(in crate::transport) fn new(spin: Duration, tier: Tier, limits: &Limits) -> Self {
        Terms { spin, tiers: up_to(tier), bytes_max: limits.shared_bytes_max }
    }

    /// Towards this peer: who is not of the same user is not trusted.
    fn with(self, peer: &Peer) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let same = peer.credentials.is_some_and(|credentials| credentials.uid == own);
        Terms { tiers: if same { self.tiers } else { self.tiers & up_to(Tier::Sealed) }, ..self }
    }

    /// The strongest tier that both sides take.
    fn tier_with(&self, theirs: &Terms) -> Tier {
        let both = self.tiers & theirs.tiers;
        let strongest = TIERS.into_iter().rev().find(|tier| both & bit(*tier) != 0);
        strongest.expect("all take copy")
    }

    fn hello(&self) -> [u8; HELLO_BYTES] {
        let mut hello = [0; HELLO_BYTES];
        let units = u32::try_from(self.bytes_max / UNIT_BYTES).unwrap_or(u32::MAX);
        hello[..12].copy_from_slice(HELLO_MAGIC);
        hello[12..16].copy_from_slice(&VERSION.to_le_bytes());
        hello[16..20].copy_from_slice(&self.tiers.to_le_bytes());
        hello[20..24].copy_from_slice(&units.to_le_bytes());
        hello
    }

    fn parse(hello: &[u8; HELLO_BYTES]) -> Result<Self> {
        let stranger = "it does not speak Shipmate's shared memory; is this the address of a unix: server?";
        check_hello(hello, HELLO_MAGIC, VERSION, "shared memory", stranger)?;
        let tiers = word(hello, 16);
        if tiers & bit(Tier::Copy) == 0 {
            return Err(Error::Protocol { what: format!("its tiers {tiers:#b} do not include copy") });
        }
        let bytes_max = (word(hello, 20) as usize).saturating_mul(UNIT_BYTES);
        Ok(Terms { spin: Duration::ZERO, tiers, bytes_max })
    }
}

/// Checks that a hello begins with what such a one begins with, and is of this version of what it speaks.
pub(super) fn check_hello(hello: &[u8], magic: &[u8; 12], version: u32, of: &str, stranger: &str) -> Result<()> {
    let what = match word(hello, 12) {
        _ if &hello[..12] != magic => stranger.into(),
        theirs if theirs == version => return Ok(()),
        theirs => format!("it speaks version {theirs} of {of}, and this side version {version}"),
    };
    Err(Error::Protocol { what })
}

/// The little-endian word at this offset of a hello.
pub(super) fn word(hello: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([hello[at], hello[at + 1], hello[at + 2], hello[at + 3]])
}

const TIERS: [Tier; 3] = [Tier::Copy, Tier::Sealed, Tier::Trusted];

fn bit(tier: Tier) -> u32 {
    1 << tier as u32
}

/// The bits of a tier and all below it.
fn up_to(tier: Tier) -> u32 {
    (bit(tier) << 1) - 1
}

/// A server that hangs up in the handshake is most likely one of another kind.
fn explain(address: &Address, error: Error) -> Error {
    match error {
        Error::Disconnected { reason } => Error::Unreachable { address: address.clone(), reason },
        other => other,
    }
}
