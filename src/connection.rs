//! [`Connection`]: one peer, from the first byte to the last.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook;
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::FutureExt;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until, timeout};

use crate::rpc::{Engine, Tables, Wire};
use crate::transport::{Peer, Stream};
use crate::{Error, Limits};

/// Finds a peer that is connected and silent: one that hangs, or a host that vanished.
///
/// When nothing has come from the peer for `interval` it is asked for its bootstrap capability, which
/// every implementation of Cap'n Proto RPC answers; when nothing at all has come `timeout` later the
/// connection ends with [`Error::Disconnected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long the peer may be silent before it is asked.
    pub interval: Duration,
    /// How long it may then take to answer.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive { interval: Duration::from_secs(30), timeout: Duration::from_secs(30) }
    }
}

/// A connection to one peer, with Cap'n Proto RPC running on it.
///
/// It belongs to the thread that made it, which must run a [`LocalSet`](tokio::task::LocalSet); a
/// [`Handle`](crate::Handle) can be used from any thread. Clones are the same connection. **The
/// connection closes when the last clone is dropped**: calls in flight then fail with
/// [`Error::Disconnected`].
#[derive(Clone)]
pub struct Connection {
    shared: Rc<Shared>,
}

struct Shared {
    wire: Rc<Wire>,
    peer: Peer,
    bootstrap: capnp::capability::Client,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wire.fail(closed_here());
    }
}

impl Connection {
    /// Starts RPC on a stream. The client's side asks for the peer's bootstrap capability at once.
    pub(crate) fn start(
        stream: Stream,
        side: Side,
        offered: Option<capnp::capability::Client>,
        limits: &Limits,
        keepalive: Option<Keepalive>,
    ) -> Self {
        let Stream { reader, writer, peer } = stream;
        let wire = Rc::new(Wire::new(reader, writer, limits));
        let engine = Engine::new(wire.clone(), offered);
        let bootstrap = match side {
            Side::Client => engine.tables().bootstrap(),
            Side::Server => capnp_rpc::new_broken_cap(capnp::Error::unimplemented(
                "a server does not ask its clients for a bootstrap capability: take callbacks as parameters".into(),
            )),
        };
        spawn_local(run(engine, wire.clone(), keepalive));
        Connection { shared: Rc::new(Shared { wire, peer, bootstrap }) }
    }

    /// The peer's bootstrap capability, as a client of the interface that it is known to have. It can be
    /// called at once; what the peer does not implement fails with `unimplemented`.
    pub fn bootstrap<C: FromClientHook>(&self) -> C {
        C::new(self.shared.bootstrap.hook.add_ref())
    }

    /// Who the peer is, as far as the transport can tell.
    pub fn peer(&self) -> &Peer {
        &self.shared.peer
    }

    /// Waits until there is room to send: less than [`Limits::outgoing_bytes_max`] waits to be written.
    /// A program that makes many or large calls without waiting for replies awaits this before each.
    pub async fn ready(&self) {
        self.shared.wire.until(|wire| wire.is_ready() || wire.cause().is_some()).await;
    }

    /// Waits until the connection is over and says why.
    pub async fn closed(&self) -> Error {
        self.shared.wire.until_over(|wire| wire.cause().is_some()).await;
        self.shared.wire.cause().expect("waited for it")
    }

    /// Why the connection is over; `None` while it is not.
    pub fn error(&self) -> Option<Error> {
        self.shared.wire.cause()
    }

    /// Closes the connection: what is queued is written, calls in flight fail with
    /// [`Error::Disconnected`].
    pub async fn close(self) {
        self.shared.wire.fail(closed_here());
        self.shared.wire.until_over(Wire::is_finished).await;
    }

    /// Takes up no further call of the peer, and waits until those at work are done and their replies
    /// written, but not longer than `deadline`. Says whether all were.
    pub(crate) async fn drain(&self, deadline: Duration) -> bool {
        self.shared.wire.drain();
        let idle = self.shared.wire.until(|wire| wire.is_idle() || wire.cause().is_some());
        timeout(deadline, idle).await.is_ok()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.shared.peer).field("error", &self.error()).finish()
    }
}

fn closed_here() -> Error {
    Error::disconnected("it was closed on purpose")
}

/// Runs the engine until the connection is over. A panic of a service ends it like any other error.
async fn run(mut engine: Engine, wire: Rc<Wire>, keepalive: Option<Keepalive>) {
    // Tasks of their own: the engine's is polled for every message, and should do nothing else then.
    let watching = keepalive.map(|keepalive| spawn_local(watch(engine.tables().clone(), wire.clone(), keepalive)));
    let driven = wire.clone();
    let driving = spawn_local(poll_fn(move |cx| driven.poll_drive(cx)));
    if AssertUnwindSafe(&mut engine).catch_unwind().await.is_err() {
        tracing::error!("a service panicked; its connection is closed, the server goes on");
        let error = capnp::Error::disconnected("a service panicked".into());
        let _ = catch_unwind(AssertUnwindSafe(|| engine.tables().disconnect(error)));
    }
    // Cancels the calls that are still at work.
    drop(engine);
    let _ = driving.await;
    if let Some(watching) = watching {
        watching.abort();
    }
    wire.ended(Error::disconnected("it was closed"));
    wire.finished();
}

/// Asks a silent peer for a sign of life, and ends the connection when there is none.
async fn watch(tables: Rc<Tables>, wire: Rc<Wire>, keepalive: Keepalive) {
    let mut watch = Watch { keepalive, asked_at: None };
    loop {
        sleep_until(watch.look_again(&wire)).await;
        match watch.look(&wire) {
            Look::Fine => {}
            Look::Ask => drop(tables.bootstrap()),
            Look::Hung(error) => return wire.fail(error),
        }
    }
}

/// The state of keepalive.
struct Watch {
    keepalive: Keepalive,
    /// When the peer was asked and has not been heard since.
    asked_at: Option<Instant>,
}

enum Look {
    Fine,
    Ask,
    Hung(Error),
}

impl Watch {
    fn look_again(&self, wire: &Wire) -> Instant {
        match self.asked_at {
            Some(asked_at) => asked_at + self.keepalive.timeout,
            None => wire.received_at() + self.keepalive.interval,
        }
    }

    fn look(&mut self, wire: &Wire) -> Look {
        let (now, heard_at) = (Instant::now(), wire.received_at());
        match self.asked_at {
            Some(asked_at) if heard_at >= asked_at => {
                self.asked_at = None;
                Look::Fine
            }
            Some(_) => Look::Hung(Error::disconnected(format!(
                "the peer was asked for a sign of life and gave none within {:?}: it hangs or is unreachable",
                self.keepalive.timeout
            ))),
            None if now >= heard_at + self.keepalive.interval => {
                self.asked_at = Some(now);
                Look::Ask
            }
            None => Look::Fine,
        }
    }
}
