//! The engine's messages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator, Reader};

use super::Wire;
use crate::frame::Frame;

/// A message that was sent: the engine may go on reading it while it waits to be written.
pub(super) type Message = Rc<Builder<HeapAllocator>>;

/// A message that the engine builds and sends.
pub(super) struct Outgoing {
    wire: Rc<Wire>,
    message: Builder<HeapAllocator>,
}

impl Outgoing {
    pub(super) fn new(wire: Rc<Wire>, hint_words: u32) -> Self {
        let words = wire.first_segment_words(hint_words);
        Outgoing { wire, message: Builder::new(HeapAllocator::new().first_segment_words(words)) }
    }
}

impl capnp_rpc::OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.message.get_root()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.message.get_root_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), capnp::Error>, Message) {
        let message = Rc::new(self.message);
        self.wire.send(message.clone());
        // Nobody waits for this: back-pressure is the gate's work, and `Connection::ready`'s.
        (Promise::ok(()), message)
    }

    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        self.message
    }

    fn size_in_words(&self) -> usize {
        self.message.size_in_words()
    }
}

/// A message that was received, read in place. A call's counts against the connection's limits until the
/// service lets go of its parameters.
pub(super) struct Incoming {
    pub(super) message: Reader<Frame>,
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) charge: Option<Charge>,
}

impl capnp_rpc::IncomingMessage for Incoming {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.message.get_root()
    }
}

/// Bytes of calls that are at work, and who waits for them to become fewer.
#[derive(Default)]
pub(super) struct Charged {
    bytes: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
}

/// A part of [`Charged`], given back when dropped.
pub(super) struct Charge {
    of: Rc<Charged>,
    bytes: usize,
}

impl Charged {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn charge(self: &Rc<Self>, bytes: usize) -> Charge {
        self.bytes.set(self.bytes.get() + bytes);
        Charge { of: self.clone(), bytes }
    }

    pub(super) fn wake_when_less(&self, waker: &Waker) {
        self.waiting.replace(Some(waker.clone()));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.of.bytes.set(self.of.bytes.get() - self.bytes);
        if let Some(waker) = self.of.waiting.take() {
            waker.wake();
        }
    }
}
