//! Flow control of streams (`-> stream`): how much may be sent ahead of what the peer has handled.

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::Promise;
use capnp_rpc::OutgoingMessage;
use futures::channel::mpsc;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, select_biased};
use tokio::sync::Notify;

type Acknowledgement = Promise<(), capnp::Error>;

/// A window of fixed size. A single message may be larger than it: the next one waits.
pub(super) struct Window {
    shared: Rc<Shared>,
    unacknowledged: mpsc::UnboundedSender<(usize, Acknowledgement)>,
}

struct Shared {
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
    /// A window, and the promise that takes acknowledgements for it while it is polled.
    pub(super) fn new(size_bytes: usize) -> (Self, Promise<(), capnp::Error>) {
        let shared = Rc::new(Shared { size_bytes, state: RefCell::default(), changed: Notify::new() });
        let (unacknowledged, mut sent) = mpsc::unbounded::<(usize, Acknowledgement)>();
        let window = Window { shared: shared.clone(), unacknowledged };
        let acknowledge = async move {
            let mut in_flight = FuturesUnordered::new();
            loop {
                select_biased! {
                    (bytes, result) = in_flight.select_next_some() => shared.acknowledged(bytes, result),
                    next = sent.next() => match next {
                        Some((bytes, ack)) => in_flight.push(ack.map(move |result| (bytes, result))),
                        None => break,
                    },
                }
            }
            while let Some((bytes, result)) = in_flight.next().await {
                shared.acknowledged(bytes, result);
            }
            Ok(())
        };
        (window, Promise::from_future(acknowledge))
    }
}

impl capnp_rpc::FlowController for Window {
    fn send(&mut self, message: Box<dyn OutgoingMessage>, ack: Acknowledgement) -> Promise<(), capnp::Error> {
        let bytes = message.size_in_words() * 8;
        // Sent now, whatever the window says, so that order is kept; what waits is the caller.
        let _ = message.send();
        self.shared.state.borrow_mut().in_flight_bytes += bytes;
        let _ = self.unacknowledged.unbounded_send((bytes, ack));
        self.shared.clone().until(|shared, in_flight| in_flight < shared.size_bytes)
    }

    fn wait_all_acked(&mut self) -> Promise<(), capnp::Error> {
        self.shared.clone().until(|_, in_flight| in_flight == 0)
    }
}

impl Shared {
    fn acknowledged(&self, bytes: usize, result: capnp::Result<()>) {
        let mut state = self.state.borrow_mut();
        state.in_flight_bytes -= bytes;
        if let Err(error) = result {
            state.error.get_or_insert(error);
        }
        self.changed.notify_waiters();
    }

    /// Resolves when the bytes in flight satisfy the condition, or with the stream's first error.
    fn until(self: Rc<Self>, condition: fn(&Shared, usize) -> bool) -> Promise<(), capnp::Error> {
        let check = move |shared: &Shared| {
            let state = shared.state.borrow();
            match &state.error {
                Some(error) => Some(Err(error.clone())),
                None => condition(shared, state.in_flight_bytes).then_some(Ok(())),
            }
        };
        if let Some(result) = check(&self) {
            return Promise::from(result);
        }
        Promise::from_future(async move {
            loop {
                let changed = self.changed.notified();
                if let Some(result) = check(&self) {
                    return result;
                }
                changed.await;
            }
        })
    }
}
