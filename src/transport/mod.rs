//! The transports: how bytes move between two processes, and nothing else.
//!
//! # The contract
//!
//! A transport is one file. It gives a [`Listener`] and a `connect` function, and both end in a
//! [`Stream`]: two halves, one to read and one to write, that carry bytes in order and without loss, and
//!
//! - **end**: reading gives 0 bytes once the peer has shut down its writing half or is dead, whatever
//!   killed it; writing then fails. A transport needs no timer for this: the kernel closes what the peer
//!   held.
//! - **push back**: a write that the peer does not read becomes pending after a bounded number of bytes.
//! - **cross threads before use**: what a listener accepts ([`Accepted`]) belongs to no runtime until
//!   [`Accepted::attach`] is called on the thread that will serve it. What a stream needs of its peer before
//!   that, and has to wait for, is done there too, so that no peer holds another up.
//! - **leave nothing behind**: a listener that is dropped removes the names that it made, and those only;
//!   one that finds the names of a dead server replaces them; one that finds a live server refuses.
//!
//! A transport knows nothing of Cap'n Proto: frames and calls are above it, in `rpc` and
//! [`message`](crate::message). What else than bytes it may have to offer is in [`half`].

pub mod auto;
pub mod half;
pub mod memory;
mod names;
pub mod pipe;
#[cfg(target_os = "linux")]
pub mod shm;
pub mod tcp;
pub mod unix;

use std::fmt;
use std::io;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

pub use half::{ReadHalf, WriteHalf};

use crate::{Address, Error, Limits, Result};

/// A connected stream of bytes, on the runtime of this thread.
pub struct Stream {
    /// Bytes from the peer.
    pub reader: ReadHalf,
    /// Bytes to the peer.
    pub writer: WriteHalf,
    /// Who the peer is.
    pub peer: Peer,
}

/// Who is at the other end, as far as the transport can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The transport that it came over: `tcp`, `unix`, `pipe`, `shm` or `memory`.
    pub transport: &'static str,
    /// Its IP address and port, over TCP.
    pub socket_address: Option<std::net::SocketAddr>,
    /// Its process and user, where the kernel vouches for them.
    pub credentials: Option<Credentials>,
    /// How large parts of messages are handed over, over shared memory.
    pub tier: Option<Tier>,
}

/// How large parts of messages are handed over, over shared memory: from the one that asks nothing of the
/// peer to the one that copies nothing. What a connection has is the strongest that both sides take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The receiver copies the bytes out before it looks at them: safe with a hostile peer.
    #[default]
    Copy,
    /// What is larger than [4 MiB](Self::SEALED_BYTES_MIN) is written once, sealed by the kernel against any change,
    /// and read in place: as safe, without the copy, but each such message takes fresh memory from the system.
    Sealed,
    /// The receiver reads where the sender has written, and trusts it not to write there meanwhile. Between
    /// processes of one user that both ask for it; otherwise it is as if *sealed* had been asked for.
    Trusted,
}

impl Tier {
    /// What is smaller is copied in the tier *sealed*: to find memory for it, clear it, map it twice and free it takes the
    /// system longer than that. In bytes; lower in this library's own tests, which send many.
    pub const SEALED_BYTES_MIN: usize = if cfg!(test) { 256 << 10 } else { 4 << 20 };
}

/// A process and its user, as the kernel reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process id, where it is known.
    pub pid: Option<u32>,
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
}

/// A connection that was accepted and belongs to no runtime yet.
pub struct Accepted {
    /// Who the peer is, as far as is known before it is attached: the transport may change then.
    pub peer: Peer,
    attach: Box<dyn FnOnce(Peer) -> BoxFuture<'static, Result<Stream>> + Send>,
}

/// Accepts connections at one address.
pub trait Listener: Send {
    /// The address with what the system chose filled in (the port).
    fn address(&self) -> &Address;

    /// The next connection. Dropping the future loses nothing. An error concerns one connection and not
    /// the listener, unless it repeats.
    fn accept(&mut self) -> BoxFuture<'_, Result<Accepted>>;
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Permission bits of the socket or FIFO that is made, as in `0o600` (the default: this user alone).
    pub mode: u32,
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// How long a peer may take over a handshake, for the transports that have one.
    pub handshake_timeout: Duration,
    /// On a Unix socket, whether a client that asks for shared memory gets it (see [`Address::Auto`]); other
    /// clients see no difference. At an `auto:` address it does in any case.
    pub upgrade: bool,
    /// Over shared memory: how long a thread that waits for a peer looks before it sleeps. It answers in
    /// a fraction of the time then, and is busy for as long, so it is for machines with processors to
    /// spare. Zero, the default, never spins.
    pub spin: Duration,
    /// Over shared memory: the strongest tier to take.
    pub tier: Tier,
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connecting {
    /// See [`ListenOptions::spin`].
    pub spin: Duration,
    /// See [`ListenOptions::tier`].
    pub tier: Tier,
}

/// What becomes of messages that are published faster than a subscriber reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The publisher waits for the subscriber, which gets every message.
    Block,
    /// The publisher does not wait. The subscriber loses the oldest messages, and is told how many.
    LoseOldest,
}

impl Default for ListenOptions {
    fn default() -> Self {
        let handshake_timeout = crate::Limits::DEFAULT.handshake_timeout;
        ListenOptions {
            mode: 0o600,
            backlog: 1024,
            handshake_timeout,
            upgrade: true,
            spin: Duration::ZERO,
            tier: Tier::Copy,
        }
    }
}

/// Listens at an address. Must be called on a tokio runtime, as must [`connect`].
pub async fn listen(address: &Address, options: &ListenOptions) -> Result<Box<dyn Listener>> {
    listen_within(address, options, &Limits::DEFAULT).await
}

/// Listens at an address. The limits are those of the transport: of shared memory.
pub async fn listen_within(address: &Address, options: &ListenOptions, limits: &Limits) -> Result<Box<dyn Listener>> {
    Ok(match address {
        Address::Tcp { host, port } => Box::new(tcp::listen(host, *port, options).await?),
        Address::Unix(_) | Address::UnixAbstract(_) | Address::Auto(_) => {
            Box::new(unix::listen(address, options, limits)?)
        }
        Address::Pipe(path) => Box::new(pipe::listen(path, options)?),
        Address::Shm(_) => Box::new(shm::listen(address, options, limits)?),
    })
}

/// Connects to an address.
pub async fn connect(address: &Address) -> Result<Stream> {
    connect_within(address, &Connecting::default(), &Limits::DEFAULT).await
}

/// Connects to an address, with options and the limits that concern the transport.
pub async fn connect_within(address: &Address, options: &Connecting, limits: &Limits) -> Result<Stream> {
    match address {
        Address::Tcp { host, port } => tcp::connect(host, *port).await,
        Address::Unix(_) | Address::UnixAbstract(_) => unix::connect(address).await,
        Address::Pipe(path) => pipe::connect(path).await,
        Address::Shm(_) => shm::connect(address, options, limits).await,
        Address::Auto(_) => auto::connect(address, options, limits).await,
    }
}

impl Accepted {
    /// What a listener gives: the peer, and how to attach its stream to the current runtime.
    pub fn new(peer: Peer, attach: impl FnOnce() -> io::Result<(ReadHalf, WriteHalf)> + Send + 'static) -> Self {
        Accepted::settling(peer, move |peer| {
            let attached = attach().map_err(|e| Error::os("attach a connection", e));
            ready(attached.map(|(reader, writer)| Stream { reader, writer, peer }))
        })
    }

    /// The same for a stream that waits for something of the peer first.
    pub fn settling<F>(peer: Peer, settle: impl FnOnce(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<Stream>> + Send + 'static,
    {
        Accepted { peer, attach: Box::new(move |peer| settle(peer).boxed()) }
    }

    /// Attaches the stream to the runtime of this thread. It may wait for the peer, though not for long:
    /// [`ListenOptions::handshake_timeout`].
    pub async fn attach(self) -> Result<Stream> {
        (self.attach)(self.peer).await
    }
}

impl Peer {
    pub(crate) fn new(transport: &'static str) -> Self {
        Peer { transport, socket_address: None, credentials: None, tier: None }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.transport)?;
        if let Some(tier) = self.tier {
            write!(f, " ({tier})")?;
        }
        if let Some(address) = self.socket_address {
            write!(f, " {address}")?;
        }
        if let Some(Credentials { pid, uid, .. }) = self.credentials {
            match pid {
                Some(pid) => write!(f, " process {pid} of user {uid}")?,
                None => write!(f, " user {uid}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Copy => "copy",
            Tier::Sealed => "sealed",
            Tier::Trusted => "trusted",
        })
    }
}

impl std::str::FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tiers = [Tier::Copy, Tier::Sealed, Tier::Trusted];
        let named = tiers.into_iter().find(|tier| tier.to_string() == text);
        named.ok_or_else(|| "write copy, sealed or trusted".to_owned())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("peer", &self.peer).finish_non_exhaustive()
    }
}
