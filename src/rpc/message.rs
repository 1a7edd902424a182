//! The engine's messages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use capnp::OutputSegments;
use capnp::message::{Builder, HeapAllocator, Reader, ReaderSegments};
use capnp::traits::FromPointerReader;
use capnp_rpc::rpc_capnp::message;

use super::kind::Kind;
use super::skeleton;
use crate::frame::{Frame, Segments};
use crate::transport::half::Arena;

/// A message that is being built.
pub(super) enum Outgoing {
    Heap(Builder<HeapAllocator>),
    /// Its large parts are in memory that is shared with the peer. Boxed, so that other messages are no
    /// larger for it.
    Shared(Box<Builder<Arena>>),
}

impl Outgoing {
    /// Of a first segment of so many words.
    pub(super) fn of_words(words: u32) -> Self {
        Outgoing::Heap(Builder::new(HeapAllocator::new().first_segment_words(words)))
    }

    /// One that is not sent.
    pub(super) fn kept_here() -> Self {
        Outgoing::Heap(Builder::new_default())
    }

    pub(super) fn init(&mut self) -> message::Builder<'_> {
        match self {
            Outgoing::Heap(message) => message.init_root(),
            Outgoing::Shared(message) => message.init_root(),
        }
    }

    pub(super) fn root(&mut self) -> capnp::Result<message::Builder<'_>> {
        match self {
            Outgoing::Heap(message) => message.get_root(),
            Outgoing::Shared(message) => message.get_root(),
        }
    }

    /// What is kept of it when it is not sent: what the engine reads of a reply that was.
    pub(super) fn into_kept(self) -> Rc<Builder<HeapAllocator>> {
        match self {
            Outgoing::Heap(message) => Rc::new(message),
            Outgoing::Shared(message) => Rc::new(skeleton::of_results(&message)),
        }
    }

    pub(super) fn size_in_words(&self) -> usize {
        match self {
            Outgoing::Heap(message) => message.size_in_words(),
            Outgoing::Shared(message) => message.size_in_words(),
        }
    }
}

/// A message that was sent, and waits to be written.
pub(super) enum Message {
    Sent(Outgoing),
    /// The engine goes on reading it.
    Kept(Rc<Builder<HeapAllocator>>),
}

impl Segments for Message {
    fn segments(&self) -> OutputSegments<'_> {
        match self {
            Message::Sent(Outgoing::Heap(message)) => message.get_segments_for_output(),
            Message::Sent(Outgoing::Shared(message)) => message.get_segments_for_output(),
            Message::Kept(message) => message.get_segments_for_output(),
        }
    }
}

/// A message that was received, read in place. A call's counts against the connection's limits until the
/// service lets go of its parameters.
pub(super) struct Incoming {
    pub(super) kind: Kind,
    pub(super) message: Reader<Frame>,
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) charge: Option<Charge>,
}

impl Incoming {
    /// The segment with the root.
    pub(super) fn first_segment(&self) -> &[u8] {
        self.message.get_segments().get_segment(0).unwrap_or_default()
    }

    pub(super) fn root<'a, T: FromPointerReader<'a>>(&'a self) -> capnp::Result<T> {
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
