//! Answers that are received ahead of the engine's turn, by who awaits them.
//!
//! A program that awaits the only call that it has made would go to sleep, for a turn of the runtime and a look at the
//! system, before the engine is polled and finds the answer. A peer in shared memory has answered by then, as a rule:
//! so who awaits it looks, while the connection's reader stays awake, and takes the answer by itself.
//!
//! Only that is handled here. Anything else is set aside for the engine, whose turn it is as soon as the program waits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Tables;
use crate::rpc::kind::Kind;
use crate::rpc::message::Incoming;

/// Who awaits an answer looks no oftener than this between two turns of the engine: others of the thread have theirs then.
const LOOKS_MAX: u32 = 32;

#[derive(Default)]
pub(super) struct Ahead {
    /// How many more looks there may be. None while the engine is polled, or while what it works on comes first.
    left: Cell<u32>,
    /// Boxed, for the engine looks here for each message.
    set_aside: RefCell<Option<Box<Heard>>>,
}

/// A message, the end of the stream or what is wrong with it.
type Heard = capnp::Result<Option<Incoming>>;

impl Ahead {
    /// The engine is polled, or has work to do.
    pub(super) fn forbid(&self) {
        self.left.set(0);
    }

    /// The engine waits for messages and for nothing else.
    pub(super) fn allow(&self) {
        self.left.set(LOOKS_MAX);
    }
}

impl Tables {
    /// The next message for the engine.
    #[inline]
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Heard> {
        match self.ahead.set_aside.take() {
            Some(received) => Poll::Ready(*received),
            None => self.wire.poll_receive(cx),
        }
    }

    /// Receives the answer to the only question, if that pays and it is there soon.
    pub(super) fn receive_ahead(self: &Rc<Self>) {
        let Some(left) = self.ahead.left.get().checked_sub(1) else { return };
        if self.questions.borrow().len() != 1 || !self.wire.stays_awake() {
            return;
        }
        let Some(engine) = self.waker.borrow().clone() else { return };
        self.ahead.left.set(left);
        let set_aside = match self.wire.poll_receive(&mut Context::from_waker(&engine)) {
            Poll::Pending => return,
            Poll::Ready(Ok(Some(incoming))) if matches!(incoming.kind, Kind::Return { .. }) => {
                match self.handle_return(incoming) {
                    Ok(()) => return self.wire.handled(),
                    Err(error) => Err(error),
                }
            }
            Poll::Ready(received) => received,
        };
        self.ahead.forbid();
        self.ahead.set_aside.replace(Some(Box::new(set_aside)));
        engine.wake();
    }
}
