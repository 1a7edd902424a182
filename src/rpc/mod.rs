//! Cap'n Proto RPC over a [`Stream`](crate::transport::Stream), the same on all transports.
//!
//! ```text
//!   Engine                     engine/: calls, capabilities, promises
//!     |            ^
//!   Outgoing    Incoming       message.rs: one message of the engine, out or in
//!     v            |
//!   Wire  -------  Gate        wire.rs: when to write and read; gate.rs: which call may go on
//!     v            ^
//!   FrameWriter FrameReader    crate::frame
//! ```
//!
//! The bytes are standard Cap'n Proto RPC. Beside what each part says of itself:
//!
//! - Messages that are queued together go out in one vectored write, and one read takes many. While
//!   messages that were read wait to be handled, their replies are written in parts.
//! - Everything is bounded by [`Limits`](crate::Limits). A peer that does not read its replies, or has too many calls
//!   at work, is not read from until that changes; what it may still say meanwhile, so that nothing
//!   locks up, is in [`gate`].
//! - Large parts of messages are built where the transport wants them ([`crate::transport::half`]), if it
//!   shares memory with the peer; what the engine keeps of such a message is in [`skeleton`].
//! - An error of the connection always reaches the calls in flight as `disconnected`, with its reason.

mod engine;
mod gate;
mod head;
mod kind;
mod layout;
mod message;
mod skeleton;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use engine::{Engine, Tables};
pub(crate) use wire::Wire;
