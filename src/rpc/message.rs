//! The engine's messages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator, Reader};
use capnp::{OutputSegments, any_pointer};

use super::{Wire, skeleton};
use crate::frame::{Frame, Segments};
use crate::transport::half::Arena;

/// A message that was sent, and waits to be written.
pub(super) enum Message {
    /// The engine may go on reading it.
    Heap(Rc<Builder<HeapAllocator>>),
    /// Its large parts are in memory that is shared with the peer. Boxed, so that the queue of other
    /// messages is no larger for it.
    Shared(Box<Builder<Arena>>),
}

impl Segments for Message {
    fn segments(&self) -> OutputSegments<'_> {
        match self {
            Message::Heap(message) => message.get_segments_for_output(),
            Message::Shared(message) => message.get_segments_for_output(),
        }
    }
}

impl Message {
    pub(super) fn root<'a, T: capnp::traits::FromPointerReader<'a>>(&'a self) -> capnp::Result<T> {
        match self {
            Message::Heap(message) => message.get_root_as_reader(),
            Message::Shared(message) => message.get_root_as_reader(),
        }
    }
}

/// A message that the engine builds and sends.
pub(super) struct Outgoing {
    wire: Rc<Wire>,
    message: Draft,
}

enum Draft {
    Heap(Builder<HeapAllocator>),
    Shared(Box<Builder<Arena>>),
}

impl Outgoing {
    pub(super) fn new(wire: Rc<Wire>, hint_words: u32) -> Self {
        let (words, arena) = wire.memory(hint_words);
        let message = match arena {
            Some(arena) => Draft::Shared(Box::new(Builder::new(arena))),
            None => Draft::Heap(Builder::new(HeapAllocator::new().first_segment_words(words))),
        };
        Outgoing { wire, message }
    }
}

impl capnp_rpc::OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        match &mut self.message {
            Draft::Heap(message) => message.get_root(),
            Draft::Shared(message) => message.get_root(),
        }
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        match &self.message {
            Draft::Heap(message) => message.get_root_as_reader(),
            Draft::Shared(message) => message.get_root_as_reader(),
        }
    }

    fn send(self: Box<Self>) -> (Promise<(), capnp::Error>, Rc<Builder<HeapAllocator>>) {
        let kept = match self.message {
            Draft::Heap(message) => {
                let message = Rc::new(message);
                self.wire.send(Message::Heap(message.clone()));
                message
            }
            Draft::Shared(message) => {
                let kept = skeleton::of_sent(&message);
                self.wire.send(Message::Shared(message));
                kept
            }
        };
        // Nobody waits for this: back-pressure is the gate's work, and `Connection::ready`'s.
        (Promise::ok(()), kept)
    }

    /// The engine asks for the results of a call that was cancelled, of which it reads what it does of a
    /// reply that was sent.
    fn take(self: Box<Self>) -> Builder<HeapAllocator> {
        match self.message {
            Draft::Heap(message) => message,
            Draft::Shared(message) => skeleton::of_results(&message),
        }
    }

    fn size_in_words(&self) -> usize {
        match &self.message {
            Draft::Heap(message) => message.size_in_words(),
            Draft::Shared(message) => message.size_in_words(),
        }
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
