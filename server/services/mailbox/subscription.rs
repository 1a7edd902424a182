//! A subscription: takes records from a mailbox and calls the subscriber with each.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use shipmate::schema::mailbox_capnp::{subscriber, subscription};
use tokio::sync::oneshot;

use super::queue::{Lease, Leases};
use super::registry::Held;

/// What the client holds; the subscription ends when it is dropped.
pub(super) struct Subscription {
    delivered: Rc<Cell<u64>>,
    _alive: oneshot::Sender<Infallible>,
}

/// A place among the mailbox's subscriptions.
struct Place(Arc<Held>);

impl Subscription {
    /// Begins to deliver, on this thread's `LocalSet`.
    pub(super) fn begin(held: &Arc<Held>, subscriber: subscriber::Client, window: u16) -> Result<Self, capnp::Error> {
        held.begin_subscription()?;
        let place = Place(held.clone());
        let window = held.window(window);
        let delivered = Rc::new(Cell::new(0));
        let (alive, ended) = oneshot::channel();
        tokio::task::spawn_local(deliver(place, subscriber, window, delivered.clone(), ended));
        Ok(Subscription { delivered, _alive: alive })
    }
}

impl subscription::Server for Subscription {
    async fn delivered(
        self: Rc<Self>,
        _: subscription::DeliveredParams,
        mut results: subscription::DeliveredResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_count(self.delivered.get());
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.end_subscription();
    }
}

async fn deliver(
    place: Place,
    subscriber: subscriber::Client,
    window: usize,
    delivered: Rc<Cell<u64>>,
    mut ended: oneshot::Receiver<Infallible>,
) {
    let mailbox = &place.0;
    let mut unanswered = Leases::new(mailbox);
    let mut calls = FuturesUnordered::new();
    // One future over all rounds keeps its place in the line of takers.
    let mut next = Box::pin(mailbox.take_for_subscription());
    loop {
        tokio::select! {
            // An answer that came before the end counts.
            biased;
            Some((number, answer)) = calls.next() => match answer {
                Ok(()) => {
                    unanswered.settle(number);
                    delivered.set(delivered.get() + 1);
                }
                Err(error) => {
                    tracing::debug!(mailbox = mailbox.name(), %error, "a subscriber failed");
                    break;
                }
            },
            _ = &mut ended => break,
            lease = &mut next, if unanswered.len() < window => {
                let Ok(lease) = lease else { break };
                next.set(mailbox.take_for_subscription());
                let number = lease.number();
                let call = receive(&subscriber, &lease);
                unanswered.add(lease);
                match call {
                    Ok(call) => calls.push(async move { (number, call.await) }),
                    Err(_) => break,
                }
            }
        }
    }
    // Out of the line before anything goes back, or it would be given the first record again.
    if let Some(Ok(lease)) = next.as_mut().now_or_never() {
        unanswered.add(lease);
    }
    drop(next);
}

/// Calls the subscriber. The request is on its way when this returns, so calls go out in order.
fn receive(
    subscriber: &subscriber::Client,
    lease: &Lease<'_>,
) -> Result<impl Future<Output = Result<(), capnp::Error>> + use<>, capnp::Error> {
    let mut request = subscriber.receive_request();
    request.get().set_record(lease.reader()?)?;
    let promise = request.send().promise;
    Ok(async { promise.await.map(drop) })
}
