//! Memory: a pair of streams within one process. It needs no name, no file and no system call, and it is
//! deterministic; tests use it first, and threads of one program talk over it.

use super::{Peer, ReadHalf, Stream, WriteHalf};

/// How many bytes each direction holds before a write waits.
const CAPACITY_BYTES: usize = 64 << 10;

/// Two streams: what is written to one is read from the other. They may live on different threads.
pub fn pair() -> (Stream, Stream) {
    let (a, b) = tokio::io::duplex(CAPACITY_BYTES);
    (stream(a), stream(b))
}

fn stream(half: tokio::io::DuplexStream) -> Stream {
    let (reader, writer) = tokio::io::split(half);
    Stream { reader: ReadHalf::new(reader), writer: WriteHalf::new(writer), peer: Peer::new("memory") }
}
