//! File descriptors over a Unix socket (`SCM_RIGHTS`, unix(7)), with the bytes that they belong to.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::{Error, Result};

/// The most descriptors that go with one message.
pub const DESCRIPTORS_MAX: usize = 4;

/// Sends bytes (at least one) and descriptors, which stay open here.
pub async fn send(stream: &UnixStream, mut bytes: &[u8], mut descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    if bytes.is_empty() || descriptors.len() > DESCRIPTORS_MAX {
        let what = format!("descriptors go with at least one byte, and at most {DESCRIPTORS_MAX} at once");
        return Err(Error::Misuse(what));
    }
    while !bytes.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || send_once(stream, bytes, descriptors))
            .await
            .map_err(|e| Error::stream("pass descriptors", e))?;
        bytes = &bytes[sent..];
        // They went with the first byte.
        descriptors = &[];
    }
    Ok(())
}

/// Receives exactly as many bytes as there is room for, and the descriptors that came with them: `count`,
/// or the peer broke the protocol. Whatever else comes is closed.
pub async fn receive(stream: &UnixStream, bytes: &mut [u8], count: usize) -> Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    let mut filled = 0;
    while filled < bytes.len() {
        let taken = stream
            .async_io(Interest::READABLE, || receive_once(stream, &mut bytes[filled..], &mut descriptors))
            .await
            .map_err(|e| Error::stream("receive descriptors", e))?;
        match taken {
            Some(0) => return Err(Error::disconnected("the peer left during the handshake")),
            Some(taken) if descriptors.len() <= count => filled += taken,
            _ => return Err(wrong_count(count)),
        }
    }
    if descriptors.len() != count {
        return Err(wrong_count(count));
    }
    Ok(descriptors)
}

fn wrong_count(count: usize) -> Error {
    Error::Protocol { what: format!("it passed more or fewer than {count} descriptors") }
}

fn send_once(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "the space is for DESCRIPTORS_MAX");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?)
}

/// `None`: there were more descriptors than there was space for, and the kernel closed some.
fn receive_once(stream: &UnixStream, bytes: &mut [u8], into: &mut Vec<OwnedFd>) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            into.extend(descriptors);
        }
    }
    Ok((!received.flags.contains(ReturnFlags::CTRUNC)).then_some(received.bytes))
}
