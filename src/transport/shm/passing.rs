//! File descriptors over a Unix socket (`SCM_RIGHTS`, unix(7)), with the bytes that they belong to.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
    let descriptors = receive_up_to(stream, bytes, count).await?;
    if descriptors.len() != count {
        return Err(wrong_count(count));
    }
    Ok(descriptors)
}

/// The same, with `most` descriptors or fewer.
pub async fn receive_up_to(stream: &UnixStream, bytes: &mut [u8], most: usize) -> Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    let mut filled = 0;
    while filled < bytes.len() {
        let taken = stream
            .async_io(Interest::READABLE, || receive_once(stream, &mut bytes[filled..], &mut descriptors))
            .await
            .map_err(|e| Error::stream("receive descriptors", e))?;
        match taken {
            Some(0) => return Err(Error::disconnected("the peer left during the handshake")),
            Some(taken) if descriptors.len() <= most => filled += taken,
            _ => return Err(wrong_count(most)),
        }
    }
    Ok(descriptors)
}

fn wrong_count(count: usize) -> Error {
    Error::Protocol { what: format!("it passed more or fewer than {count} descriptors") }
}

/// One try, without waiting.
pub(super) fn send_once(stream: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "the space is for DESCRIPTORS_MAX");
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?)
}

/// One try, without waiting. `None`: there were more descriptors than there was space for, and the kernel
/// closed some.
pub(super) fn receive_once(stream: impl AsFd, bytes: &mut [u8], into: &mut Vec<OwnedFd>) -> io::Result<Option<usize>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Descriptors of pipes: what was passed is open for as long as the reading end sees no end.
    fn pipes(count: usize) -> (Vec<std::io::PipeReader>, Vec<OwnedFd>) {
        (0..count).map(|_| std::io::pipe().unwrap()).map(|(reader, writer)| (reader, OwnedFd::from(writer))).unzip()
    }

    fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
        descriptors.iter().map(|descriptor| descriptor.as_fd()).collect()
    }

    #[tokio::test]
    async fn descriptors_arrive_with_their_bytes_and_in_order() {
        let (a, b) = UnixStream::pair().unwrap();
        let (readers, writers) = pipes(3);
        send(&a, b"hello", &borrowed(&writers)).await.unwrap();
        drop(writers);
        let mut bytes = [0; 5];
        let received = receive(&b, &mut bytes, 3).await.unwrap();
        assert_eq!(&bytes, b"hello");
        for (index, writer) in received.into_iter().enumerate() {
            assert!(rustix::io::fcntl_getfd(&writer).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            rustix::io::write(&writer, &[index as u8]).unwrap();
        }
        for (index, mut reader) in readers.into_iter().enumerate() {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, [index as u8]);
        }
    }

    #[tokio::test]
    async fn bytes_that_come_in_pieces_are_put_together() {
        let (a, b) = UnixStream::pair().unwrap();
        let (_readers, writers) = pipes(2);
        send(&a, b"he", &borrowed(&writers[..1])).await.unwrap();
        send(&a, b"llo", &borrowed(&writers[1..])).await.unwrap();
        let mut bytes = [0; 5];
        assert_eq!(receive(&b, &mut bytes, 2).await.unwrap().len(), 2);
        assert_eq!(&bytes, b"hello");
    }

    #[tokio::test]
    async fn a_wrong_number_of_descriptors_is_refused_and_all_are_closed() {
        for (passed, expected) in [(1, 0), (3, 2), (DESCRIPTORS_MAX, 1), (1, 2), (0, 1)] {
            let (a, b) = UnixStream::pair().unwrap();
            let (readers, writers) = pipes(passed);
            send(&a, b"hello", &borrowed(&writers)).await.unwrap();
            drop(writers);
            let received = receive(&b, &mut [0; 5], expected).await;
            assert!(matches!(received, Err(Error::Protocol { .. })), "{passed} of {expected}: {received:?}");
            for mut reader in readers {
                assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the writing end is still open");
            }
        }
    }

    #[tokio::test]
    async fn more_descriptors_than_there_is_space_for_are_refused_and_all_are_closed() {
        let (a, b) = UnixStream::pair().unwrap();
        let (readers, writers) = pipes(DESCRIPTORS_MAX * 4);
        let fds = borrowed(&writers);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX * 4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        rustix::net::sendmsg(&a, &[IoSlice::new(b"hello")], &mut control, SendFlags::empty()).unwrap();
        drop(writers);
        let received = receive(&b, &mut [0; 5], DESCRIPTORS_MAX).await;
        assert!(matches!(received, Err(Error::Protocol { .. })), "{received:?}");
        for mut reader in readers {
            assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the writing end is still open");
        }
    }

    #[tokio::test]
    async fn a_peer_that_leaves_is_no_breach_of_the_protocol() {
        let (a, b) = UnixStream::pair().unwrap();
        send(&a, b"he", &[]).await.unwrap();
        drop(a);
        assert!(matches!(receive(&b, &mut [0; 5], 0).await, Err(Error::Disconnected { .. })));
    }
}
