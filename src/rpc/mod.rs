//! Cap'n Proto RPC over a [`Stream`](crate::transport::Stream): the [`VatNetwork`](capnp_rpc::VatNetwork) that all transports share.
//!
//! ```text
//!   capnp_rpc::RpcSystem       calls, capabilities, promises
//!        |            ^
//!   Outgoing       Incoming    message.rs: one message of the engine, out or in
//!        v            |
//!      Wire  ------  Gate      wire.rs: when to write and read; gate.rs: which call may go on
//!        v            ^
//!   FrameWriter  FrameReader   crate::frame
//! ```
//!
//! The bytes are standard Cap'n Proto RPC. What this network adds to the one of `capnp-rpc`:
//!
//! - Messages that are queued together go out in one vectored write, and one read takes many. While
//!   messages that were read wait to be handled, their replies are written in parts.
//! - Everything is bounded by [`Limits`]. A peer that does not read its replies, or has too many calls
//!   at work, is not read from until that changes; what it may still say meanwhile, so that nothing
//!   locks up, is in [`gate`].
//! - Large parts of messages are built where the transport wants them ([`crate::transport::half`]), if it
//!   shares memory with the peer; what the engine keeps of such a message is in [`skeleton`].
//! - An error of the connection always reaches the calls in flight as `disconnected`, with its reason.

mod gate;
mod kind;
mod layout;
mod message;
mod skeleton;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::rc::{Rc, Weak};

use capnp::capability::Promise;
use capnp_rpc::rpc_twoparty_capnp::Side;

pub(crate) use wire::Wire;

use crate::Limits;
use crate::transport::{ReadHalf, WriteHalf};
use message::{Incoming, Outgoing};
use stream::Window;

/// The network of two vats at the ends of one stream.
pub(crate) struct Network {
    wire: Rc<Wire>,
    side: Side,
    /// Until the engine accepts it.
    connection: Option<VatConnection>,
    alive: Weak<Alive>,
}

impl Network {
    pub(crate) fn new(reader: ReadHalf, writer: WriteHalf, side: Side, limits: &Limits) -> Self {
        let wire = Rc::new(Wire::new(reader, writer, limits));
        let alive = Rc::new(Alive(wire.clone()));
        let connection = VatConnection { wire: wire.clone(), side, alive: alive.clone() };
        Network { wire, side, alive: Rc::downgrade(&alive), connection: Some(connection) }
    }

    pub(crate) fn wire(&self) -> &Rc<Wire> {
        &self.wire
    }
}

impl capnp_rpc::VatNetwork<Side> for Network {
    fn connect(&mut self, host: Side) -> Option<Box<dyn capnp_rpc::Connection<Side>>> {
        if host == self.side {
            return None;
        }
        // After the end of the connection the engine gets one that fails at once.
        let alive = self.alive.upgrade().unwrap_or_else(|| Rc::new(Alive(self.wire.clone())));
        Some(Box::new(VatConnection { wire: self.wire.clone(), side: self.side, alive }))
    }

    fn accept(&mut self) -> Promise<Box<dyn capnp_rpc::Connection<Side>>, capnp::Error> {
        match self.connection.take() {
            Some(connection) => Promise::ok(Box::new(connection)),
            None => Promise::from_future(std::future::pending()),
        }
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), capnp::Error> {
        let wire = self.wire.clone();
        Promise::from_future(std::future::poll_fn(move |cx| wire.poll_drive(cx)))
    }
}

/// The engine's hold on the wire. When the last one goes, the network may end.
struct VatConnection {
    wire: Rc<Wire>,
    side: Side,
    #[expect(dead_code, reason = "held for its drop")]
    alive: Rc<Alive>,
}

struct Alive(Rc<Wire>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl capnp_rpc::Connection<Side> for VatConnection {
    fn get_peer_vat_id(&self) -> Side {
        match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    fn new_outgoing_message(&mut self, first_segment_words: u32) -> Box<dyn capnp_rpc::OutgoingMessage> {
        Box::new(Outgoing::new(self.wire.clone(), first_segment_words))
    }

    fn receive_incoming_message(&mut self) -> Promise<Option<Box<dyn capnp_rpc::IncomingMessage>>, capnp::Error> {
        let boxed = |message: Incoming| Box::new(message) as Box<dyn capnp_rpc::IncomingMessage>;
        if let Some(message) = self.wire.try_receive() {
            return Promise::ok(Some(boxed(message)));
        }
        let wire = self.wire.clone();
        Promise::from_future(async move {
            let received = std::future::poll_fn(|cx| wire.poll_receive(cx)).await?;
            Ok(received.map(boxed))
        })
    }

    fn new_stream(&mut self) -> (Box<dyn capnp_rpc::FlowController>, Promise<(), capnp::Error>) {
        let (window, acknowledge) = Window::new(self.wire.stream_window_bytes());
        (Box::new(window), acknowledge)
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), capnp::Error> {
        self.wire.shutdown(result)
    }
}
