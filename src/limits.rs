//! [`Limits`]: every bound of the library, in one struct, each with its unit in its name.

use std::time::Duration;

/// What one connection, and one server, may use. Nothing in Shipmate waits, allocates or queues without
/// a bound from here. A bound that is reached slows the peer down before it ever disconnects it, and an
/// error names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame (segment table and segments) that is accepted from a peer, in bytes. Memory for
    /// it is taken as its bytes arrive, never at once from the length that it announces.
    pub frame_bytes_max: usize,

    /// The most segments in a frame. The C++ implementation refuses more than 512.
    pub segments_max: usize,

    /// How deeply pointers may nest in a message.
    pub nesting_max: u16,

    /// While more than this waits to be written to a slow peer, no further call of that peer is taken up.
    pub outgoing_bytes_max: usize,

    /// While the calls of a peer that are being worked on hold more than this, no further one is taken up.
    pub incoming_call_bytes_max: usize,

    /// While this many calls of a peer are being worked on, no further one is taken up.
    pub calls_in_flight_max: usize,

    /// A peer that leaves more than this many answers unfinished (Cap'n Proto's `Finish`) is disconnected.
    pub answers_open_max: usize,

    /// A connection on which more than this waits to be written is closed: the local program queues
    /// without waiting ([`Connection::ready`](crate::Connection::ready)) or the peer reads nothing.
    pub queue_bytes_max: usize,

    /// The window of a stream (`-> stream`), in bytes: how much may be sent ahead of what was handled.
    pub stream_window_bytes: usize,

    /// Over shared memory: what one connection may have of memory that is handed over by reference, in each
    /// direction, in bytes. Beyond it messages are copied through the ring.
    pub shared_bytes_max: usize,

    /// The same for what a listener makes for all connections of one user together.
    pub shared_bytes_per_user_max: usize,

    /// Subscribers that a [`Publisher`](crate::message::Publisher) has at once. Further ones are refused.
    pub subscribers_max: usize,

    /// Connections that a server has open at once. Further ones wait in the system's backlog.
    pub connections_max: usize,

    /// How long a handshake or the last bytes of a closing connection may take.
    pub handshake_timeout: Duration,
}

impl Limits {
    /// The defaults, usable in constants.
    pub const DEFAULT: Limits = Limits {
        frame_bytes_max: 64 << 20,
        segments_max: 512,
        nesting_max: 64,
        outgoing_bytes_max: 4 << 20,
        incoming_call_bytes_max: 64 << 20,
        calls_in_flight_max: 1024,
        answers_open_max: 64 << 10,
        queue_bytes_max: 256 << 20,
        stream_window_bytes: 256 << 10,
        shared_bytes_max: 64 << 20,
        shared_bytes_per_user_max: 1 << 30,
        subscribers_max: 256,
        connections_max: 10_000,
        handshake_timeout: Duration::from_secs(5),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
