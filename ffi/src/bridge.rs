//! A connection as a socket: one end is the caller's, the other is carried over the transport.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use shipmate::transport::{self, ReadHalf, Stream, WriteHalf};
use shipmate::{Address, Error, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::{Failure, Result};
use crate::options::Options;
use crate::runtime::Runtime;

/// How much is carried at a time, in each direction.
const CARRY_BYTES: usize = 32 << 10;

/// How long a peer that still writes is listened to after the caller has closed: to close a socket on
/// bytes that were not read would take back what the peer has not read either.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// Connects, and gives the caller's end.
pub(crate) fn connect(address: Address, options: &Options) -> Result<OwnedFd> {
    let runtime = Runtime::current()?;
    let time = options.connect_timeout();
    runtime.wait(async {
        let stream =
            match timeout(time, transport::connect_within(&address, &options.connecting(), &Limits::DEFAULT)).await {
                Ok(stream) => stream?,
                Err(_) => {
                    return Err(Error::Unreachable { address, reason: format!("no connection within {time:?}") }.into());
                }
            };
        let failed = |error| Failure::os("make a socket", error);
        let (near, far) = StdUnixStream::pair().map_err(failed)?;
        far.set_nonblocking(true).map_err(failed)?;
        tokio::spawn(carry_both(UnixStream::from_std(far).map_err(failed)?, stream, runtime));
        Ok(near.into())
    })
}

/// Carries bytes in both directions until the caller has closed, or both sides have ended.
async fn carry_both(far: UnixStream, stream: Stream, runtime: &Runtime) {
    let Stream { mut reader, mut writer, peer: _ } = stream;
    {
        let mut up = pin!(carry_up(&far, &mut writer, runtime));
        let mut down = pin!(carry_down(&mut reader, &far));
        tokio::select! {
            () = &mut down => up.await,
            // The caller has closed, or has only ended its side and still listens.
            () = &mut up => tokio::select! {
                () = &mut down => {}
                () = until_closed(&far) => {}
            },
        }
    }
    drop(far);
    let _ = timeout(CLOSE_LINGER, discard(&mut reader)).await;
}

/// From the caller to the peer, to the caller's end. If the peer takes no more, the caller learns it from
/// its next write.
async fn carry_up(far: &UnixStream, to_peer: &mut WriteHalf, runtime: &Runtime) {
    let _undelivered = runtime.undelivered.token();
    // Of what is written already nothing is lost by this, and then comes the end.
    let take_no_more = || shutdown(far, Shutdown::Read);
    let carry = async {
        let mut buffer = vec![0; CARRY_BYTES];
        // A caller that closes without having read everything looks like an error, which comes after all
        // that it had written.
        while let Ok(count @ 1..) = read(far, &mut buffer).await {
            to_peer.write_all(&buffer[..count]).await?;
            to_peer.flush().await?;
        }
        to_peer.shutdown().await
    };
    let carry_until_exit = async {
        let mut carry = pin!(carry);
        tokio::select! {
            done = &mut carry => done,
            () = runtime.exiting.cancelled() => {
                let _ = take_no_more();
                carry.await
            }
        }
    };
    if carry_until_exit.await.is_err() {
        let _ = take_no_more();
    }
}

/// From the peer to the caller, to the peer's end.
async fn carry_down(from_peer: &mut ReadHalf, far: &UnixStream) {
    let mut buffer = vec![0; CARRY_BYTES];
    while let Ok(count @ 1..) = from_peer.read(&mut buffer).await {
        if write_all(far, &buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = shutdown(far, Shutdown::Write);
}

async fn discard(from_peer: &mut ReadHalf) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = from_peer.read(&mut buffer).await {}
}

async fn read(far: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        far.readable().await?;
        match far.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write_all(far: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        far.writable().await?;
        match far.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until the caller has closed its end altogether, which it may do long after it has ended its side.
async fn until_closed(far: &UnixStream) {
    let closed = async {
        // Registered once more, so that the readiness that `write_all` relies on is not cleared here.
        let watched = UnixStream::from_std(far.as_fd().try_clone_to_owned()?.into())?;
        while !watched.ready(Interest::WRITABLE).await?.is_write_closed() {
            let clear = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
            let _ = watched.try_io(Interest::WRITABLE, clear);
        }
        io::Result::Ok(())
    };
    if closed.await.is_err() {
        // No descriptor is left to watch with; the next write to the caller will tell.
        pending::<()>().await;
    }
}
