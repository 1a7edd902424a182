//! Flow control of streams (`-> stream`): how much may be sent ahead of what the peer has handled.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::Promise;
use tokio::sync::Notify;

/// A window of fixed size. A single message may be larger than it: the next one waits.
pub(super) struct Window {
    size_bytes: usize,
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    in_flight_bytes: usize,
    error: Option<capnp::Error>,
}

impl Window {
    pub(super) fn new(size_bytes: usize) -> Self {
        Window { size_bytes, state: RefCell::default(), changed: Notify::new() }
    }

    /// So much was sent. The promise resolves when more may be, or with the first error of the stream.
    pub(super) fn sent(self: Rc<Self>, bytes: usize) -> Promise<(), capnp::Error> {
        self.state.borrow_mut().in_flight_bytes += bytes;
        if let Some(result) = self.room() {
            return Promise::from(result);
        }
        Promise::from_future(async move {
            loop {
                let changed = self.changed.notified();
                if let Some(result) = self.room() {
                    return result;
                }
                changed.await;
            }
        })
    }

    /// The peer has handled so much of it, or has failed to.
    pub(super) fn acknowledged(&self, bytes: usize, result: capnp::Result<()>) {
        let mut state = self.state.borrow_mut();
        state.in_flight_bytes -= bytes;
        if let Err(error) = result {
            state.error.get_or_insert(error);
        }
        self.changed.notify_waiters();
    }

    fn room(&self) -> Option<capnp::Result<()>> {
        let state = self.state.borrow();
        match &state.error {
            Some(error) => Some(Err(error.clone())),
            None => (state.in_flight_bytes < self.size_bytes).then_some(Ok(())),
        }
    }
}
