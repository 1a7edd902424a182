//! Auto: the fastest way that both sides have, from one Unix socket.
//!
//! A client that wants shared memory says so first, with the hello of `shm:`. A listener looks at the first
//! bytes of a connection without taking them: the hello cannot be Cap'n Proto, whose first word would
//! announce some 1.3 billion segments, so there is no doubt, and a program that knows nothing of this finds
//! a Unix socket with the standard protocol. A server that knows nothing of this closes, answers otherwise
//! or stays silent; the client then connects once more, as to any Unix socket.
//!
//! So a listener never just closes on a client that wants shared memory: the client would connect once more, to wait
//! where nobody may ever accept it. See `Unsettled`.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use rustix::net::{RecvFlags, Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Connecting, Stream, shm, unix};
use crate::{Address, Error, Limits, Result};

/// How long a server may take to answer the hello: one that never will must leave time for the other way.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Connects to the server at an address, over shared memory if the server has it.
pub async fn connect(address: &Address, options: &Connecting, limits: &Limits) -> Result<Stream> {
    let socket = unix::open(address).await?;
    let terms = shm::Terms::new(options.spin, options.tier, limits);
    let answer = match shm::ask(socket, terms).await {
        Ok(asked) => timeout(ANSWER_MAX, asked.answer()).await,
        // It was not the hello that made it close.
        Err(Error::Disconnected { .. }) => return Err(Error::disconnected("the server closed before the handshake")),
        Err(error) => Ok(Err(error)),
    };
    match answer {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => tracing::debug!(%address, %error, "no shared memory, so the socket itself"),
        Err(_) => tracing::debug!(%address, "no answer about shared memory, so the socket itself"),
    }
    unix::connect(address).await
}

/// A client that was accepted, before it is known what it wants.
///
/// Dropped, it takes no more bytes, so that a client that has not asked yet finds that it cannot; one that has asked
/// is answered, and then its connection ends, as any does.
pub(super) struct Unsettled<S: AsFd> {
    socket: Option<S>,
    host: shm::Host,
}

impl<S: AsFd> Unsettled<S> {
    pub(super) fn new(socket: S, host: shm::Host) -> Self {
        Unsettled { socket: Some(socket), host }
    }

    fn take(&mut self) -> S {
        self.socket.take().expect("it is taken once, and then this is dropped")
    }
}

impl Unsettled<StdUnixStream> {
    /// Finds out what the client wants, and gives it that. Silence is no error, for the standard protocol lets the
    /// server speak first: after `limit` it counts as a wish for the socket itself.
    pub(super) async fn settle(mut self, limit: Duration) -> Result<Stream> {
        let socket = UnixStream::from_std(self.take()).map_err(|e| Error::os("attach a connection", e))?;
        let mut client = Unsettled::new(socket, self.host.clone());
        let deadline = Instant::now() + limit;
        let asked = timeout_at(deadline, client.asks()).await.unwrap_or(Ok(false));
        let socket = client.take();
        if !asked.map_err(|e| Error::stream("read from the peer", e))? {
            return Ok(unix::stream(socket));
        }
        // Where all of the hello is there, this does not wait, and so is not dropped in the middle.
        match timeout_at(deadline, client.host.answer(socket)).await {
            Ok(accepted) => accepted?.attach().await,
            Err(_) => Err(Error::disconnected(format!("its handshake was not done within {limit:?}"))),
        }
    }
}

impl Unsettled<UnixStream> {
    /// Waits for the first bytes, and says whether they are those of a hello.
    async fn asks(&self) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        loop {
            let ready = socket.ready(Interest::READABLE).await?;
            let looked = socket.try_io(Interest::READABLE, || match look(socket)? {
                First::Hello => Ok(true),
                // Tells tokio to wait for more, which comes unless that was all.
                First::PartOfHello if !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(false),
            });
            match looked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return looked,
            }
        }
    }
}

impl<S: AsFd> Drop for Unsettled<S> {
    fn drop(&mut self) {
        let Some(socket) = &self.socket else { return };
        // First, or it might ask after we have looked.
        let _ = shutdown(socket, Shutdown::Read);
        if let Ok(First::Hello) = look(socket)
            && let Err(error) = self.host.dismiss(socket)
        {
            tracing::debug!(%error, "a client that nobody serves was not answered");
        }
    }
}

/// What a client's first bytes are.
enum First {
    Hello,
    PartOfHello,
    Other,
}

/// Looks at the first bytes, and leaves them in the socket.
fn look(socket: impl AsFd) -> io::Result<First> {
    let mut first = [0; shm::HELLO_MAGIC.len()];
    let (count, _) = rustix::net::recv(socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    Ok(match shm::HELLO_MAGIC.starts_with(&first[..count]) {
        true if count == first.len() => First::Hello,
        true => First::PartOfHello,
        false => First::Other,
    })
}
