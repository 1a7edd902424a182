//! One-way bytes over one plain FIFO.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::TryFutureExt;
use futures::future::BoxFuture;
use rustix::fs::OFlags;
use rustix::io::Errno;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::fifo::{self, READ, Reader, WRITE, Writer};
use crate::transport::names::OwnedName;
use crate::transport::{Peer, ReadHalf, Stream, WriteHalf};
use crate::{Address, Error, Result};

/// Between two looks for a reader; there is no way to be told.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
/// See [`PAUSE_FIRST`], which doubles up to this.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A FIFO that was made to write to, and that no reader was seen at so far.
struct Waiting(Option<OwnedName>);

/// Opens the FIFO at `path` to read, at once. The first read waits for a writer; the end comes when the
/// last of the writers has closed it.
///
/// A missing FIFO is made, with the permission bits `mode`, and removed again by whichever side made it:
/// with this function, when the half is dropped.
pub async fn open_reader(path: &Path, mode: u32) -> Result<ReadHalf> {
    let failed = |e| cannot_open(path, "read", e);
    let mut name = None;
    let fifo = loop {
        match fifo::open(path, READ) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => name = make_missing(path, mode).map_err(failed)?,
            opened => break opened.map_err(failed)?,
        }
    };
    let receiver = Receiver::from_owned_fd_unchecked(fifo).map_err(failed)?;
    Ok(ReadHalf::new(Reader::new(name, receiver)))
}

/// Opens the FIFO at `path` to write, once somebody reads it: until then it waits. Dropping the future
/// ends that.
///
/// A missing FIFO is made, with the permission bits `mode`, and removed again by whichever side made it:
/// with this function, when the half is dropped or shut down, or the future before it is done. The reader
/// has it open by then, and reads to the end; the next reader and writer make another.
///
/// The stream's reader never gives a byte; it ends when nobody reads the FIFO any more.
pub async fn open_writer(path: &Path, mode: u32) -> Result<Stream> {
    let failed = |e| cannot_open(path, "write", e);
    let mut name = None;
    let mut pause = PAUSE_FIRST;
    let fifo = loop {
        match fifo::open(path, WRITE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                name = make_missing(path, mode).map_err(failed)?.map(|name| Waiting(Some(name)));
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
                tokio::time::sleep(pause).await;
                pause = PAUSE_MAX.min(pause * 2);
            }
            opened => break opened.map_err(failed)?,
        }
    };
    let watched = fifo.try_clone().and_then(Sender::from_owned_fd_unchecked).map_err(failed)?;
    let sender = Sender::from_owned_fd_unchecked(fifo).map_err(failed)?;
    let writer = Writer::new(name.and_then(|mut waiting| waiting.0.take()), sender);
    let (reader, writer) = (ReadHalf::new(Unread::watch(watched)), WriteHalf::new(writer));
    Ok(Stream { reader, writer, peer: Peer::new("pipe") })
}

/// Ends when nobody reads the FIFO any more.
struct Unread(BoxFuture<'static, io::Result<()>>);

impl Unread {
    fn watch(sender: Sender) -> Self {
        Unread(Box::pin(async move { sender.ready(Interest::ERROR).map_ok(drop).await }))
    }
}

impl AsyncRead for Unread {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.as_mut().poll(cx)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(name) = self.0.take() else { return };
        // A reader may come while the name goes, and would wait at a FIFO that no writer can find any more.
        // So it is made to see a writer come and go: opened for both, a FIFO needs no other side.
        let _writer = fifo::open(name.path(), OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC);
        drop(name);
    }
}

/// Makes the FIFO; None when the other side was faster.
fn make_missing(path: &Path, mode: u32) -> io::Result<Option<OwnedName>> {
    match fifo::make(path, mode) {
        Ok(name) => Ok(Some(name)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match std::fs::read_link(path) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::NotFound, "it is a link to a file that does not exist")),
            Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

fn cannot_open(path: &Path, to: &str, error: io::Error) -> Error {
    let address = Address::Pipe(path.to_owned());
    match error.kind() {
        io::ErrorKind::InvalidInput => Error::Misuse(format!("{address}: {error}")),
        _ => Error::os(format!("open {address} to {to}"), error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Stdio;

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::process::Command;

    use super::super::tests::{mkfifo, read_exactly, read_to_end, scene, within};
    use super::*;

    /// Both sides of a plain FIFO, once each has seen the other.
    async fn one_way(path: &Path) -> (ReadHalf, Stream) {
        let reader = open_reader(path, 0o640).await.unwrap();
        (reader, within(open_writer(path, 0o640)).await.unwrap())
    }

    #[tokio::test]
    async fn a_reader_waits_for_its_first_writer_and_ends_with_the_last() {
        let scene = scene();
        let mut reader = open_reader(&scene.path, 0o640).await.unwrap();
        assert_eq!(fs::metadata(&scene.path).unwrap().permissions().mode() & 0o777, 0o640);
        let mut buffer = [0; 16];
        for _ in 0..3 {
            assert!(reader.read(&mut buffer).now_or_never().is_none(), "no writer, no end");
            tokio::task::yield_now().await;
        }
        let mut first = within(open_writer(&scene.path, 0o600)).await.unwrap();
        let second = within(open_writer(&scene.path, 0o600)).await.unwrap();
        first.writer.write_all(b"one").await.unwrap();
        drop(first);
        assert_eq!(read_exactly(&mut reader, 3).await, b"one");
        assert!(reader.read(&mut buffer).now_or_never().is_none(), "one writer is left");
        drop(second);
        assert_eq!(read_to_end(&mut reader).await, b"");
        assert_eq!(scene.names(), ["a chat"]);
        drop(reader);
        assert_eq!(scene.names(), [""; 0]);
    }

    #[tokio::test]
    async fn a_writer_waits_for_a_reader_and_what_it_wrote_is_read_after_it_is_gone() {
        let scene = scene();
        let path = scene.path.clone();
        let writer = tokio::spawn(async move {
            let mut writer = open_writer(&path, 0o600).await.unwrap();
            writer.writer.write_all(b"all of it").await.unwrap();
            writer.writer.shutdown().await.unwrap();
        });
        scene.only(&["a chat"]).await;
        assert!(!writer.is_finished());
        let mut reader = open_reader(&scene.path, 0o600).await.unwrap();
        assert_eq!(read_to_end(&mut reader).await, b"all of it");
        within(writer).await.unwrap();
        assert_eq!(scene.names(), [""; 0]);
    }

    #[tokio::test]
    async fn a_writer_learns_that_its_last_reader_is_gone() {
        let scene = scene();
        let (reader, mut writer) = one_way(&scene.path).await;
        let second = open_reader(&scene.path, 0o640).await.unwrap();
        let mut buffer = [0; 1];
        drop(reader);
        writer.writer.write_all(b"bytes that nobody takes").await.unwrap();
        for _ in 0..3 {
            assert!(writer.reader.read(&mut buffer).now_or_never().is_none(), "one reader is left");
            tokio::task::yield_now().await;
        }
        drop(second);
        assert_eq!(within(writer.reader.read(&mut buffer)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_leaves_no_reader_waiting() {
        let scene = scene();
        let waiting = Box::pin(open_writer(&scene.path, 0o600));
        let mut waiting = Some(waiting);
        assert!(waiting.as_mut().unwrap().as_mut().now_or_never().is_none());
        assert_eq!(scene.names(), ["a chat"]);
        let mut reader = open_reader(&scene.path, 0o600).await.unwrap();
        waiting = None;
        assert!(waiting.is_none() && scene.names().is_empty());
        assert_eq!(read_to_end(&mut reader).await, b"");
    }

    #[tokio::test]
    async fn a_fifo_that_neither_made_stays() {
        let scene = scene();
        mkfifo(&scene.path);
        let (mut reader, mut writer) = one_way(&scene.path).await;
        writer.writer.write_all(b"bytes").await.unwrap();
        drop(writer);
        assert_eq!(read_to_end(&mut reader).await, b"bytes");
        drop(reader);
        assert_eq!(scene.names(), ["a chat"]);
    }

    #[tokio::test]
    async fn the_other_side_may_be_any_program() {
        let scene = scene();
        let mut reader = open_reader(&scene.path, 0o600).await.unwrap();
        let mut echo = Command::new("sh").arg("-c").arg("echo hello > \"$0\"").arg(&scene.path).spawn().unwrap();
        assert_eq!(read_to_end(&mut reader).await, b"hello\n");
        within(echo.wait()).await.unwrap();
        drop(reader);

        mkfifo(&scene.path);
        let cat = Command::new("cat").arg(&scene.path).stdout(Stdio::piped()).spawn().unwrap();
        let mut writer = within(open_writer(&scene.path, 0o600)).await.unwrap();
        writer.writer.write_all(b"hello, cat").await.unwrap();
        drop(writer);
        assert_eq!(within(cat.wait_with_output()).await.unwrap().stdout, b"hello, cat");
    }
}
