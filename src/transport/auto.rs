//! Auto: the fastest way that both sides have, from one Unix socket.
//!
//! A client that wants shared memory says so first, with the hello of `shm:`. A listener looks at the first
//! bytes of a connection without taking them: the hello cannot be Cap'n Proto, whose first word would
//! announce some 1.3 billion segments, so there is no doubt, and a program that knows nothing of this finds
//! a Unix socket with the standard protocol. A server that knows nothing of this closes, answers otherwise
//! or stays silent; the client then connects once more, as to any Unix socket.

use std::io;
use std::time::Duration;

use rustix::net::RecvFlags;
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
    match timeout(ANSWER_MAX, shm::ask(socket, terms)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => tracing::debug!(%address, %error, "no shared memory, so the socket itself"),
        Err(_) => tracing::debug!(%address, "no answer about shared memory, so the socket itself"),
    }
    unix::connect(address).await
}

/// Finds out what a client that was accepted wants, and gives it that. Silence is no error, for the standard
/// protocol lets the server speak first: after `limit` it counts as a wish for the socket itself.
pub(super) async fn settle(socket: UnixStream, limit: Duration, host: &shm::Host) -> Result<Stream> {
    let deadline = Instant::now() + limit;
    let asked = timeout_at(deadline, begins_with_hello(&socket)).await.unwrap_or(Ok(false));
    if !asked.map_err(|e| Error::stream("read from the peer", e))? {
        return Ok(unix::stream(socket));
    }
    match timeout_at(deadline, host.answer(socket)).await {
        Ok(accepted) => accepted?.attach().await,
        Err(_) => Err(Error::disconnected(format!("its handshake was not done within {limit:?}"))),
    }
}

/// Waits for the first bytes, and leaves them in the socket.
async fn begins_with_hello(socket: &UnixStream) -> io::Result<bool> {
    loop {
        let ready = socket.ready(Interest::READABLE).await?;
        let looked = socket.try_io(Interest::READABLE, || {
            let mut first = [0; shm::HELLO_MAGIC.len()];
            let (count, _) = rustix::net::recv(socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
            let part = &first[..count];
            match shm::HELLO_MAGIC.starts_with(part) {
                true if count == first.len() => Ok(true),
                // Tells tokio to wait for more, which comes unless that was all.
                true if !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(false),
            }
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}
