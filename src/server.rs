//! [`Server`]: listeners, and the threads that serve what they accept.
//!
//! Cap'n Proto's engine lives on one thread, so the server scales by *shards*: threads, each with a
//! runtime of its own. The thread that listens hands a connection to the shard with the fewest, and from
//! then on everything about it happens there. The bootstrap capability of a connection is made there too,
//! by a factory; state that connections share is in an `Arc` that the factory holds.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use capnp::capability::FromClientHook;
use capnp_rpc::rpc_twoparty_capnp::Side;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info, warn};

use crate::connection::{Connection, Keepalive};
use crate::transport::{self, Accepted, ListenOptions, Listener, Peer};
use crate::{Address, Error, Limits, Result};

/// How a server serves.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What each peer may use, and how many there may be.
    pub limits: Limits,
    /// Threads that serve connections; 0 means one for each CPU.
    pub shards: usize,
    /// How long calls at work may take to finish when the server shuts down.
    pub drain_timeout: Duration,
    /// Finds clients that hang; `None`, the default, leaves that to the transport.
    pub keepalive: Option<Keepalive>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { limits: Limits::DEFAULT, shards: 0, drain_timeout: Duration::from_secs(10), keepalive: None }
    }
}

/// Serves one peer on a stream that is connected already, such as one half of
/// [`memory::pair`](transport::memory::pair), on this thread. The peer's first capability is `bootstrap`.
/// It ends when the connection that this gives is dropped, or the peer's end is.
pub fn serve_stream<C: FromClientHook>(stream: transport::Stream, bootstrap: C, options: &ServerOptions) -> Connection {
    let bootstrap = capnp::capability::Client::new(bootstrap.into_client_hook());
    Connection::start(stream, Side::Server, Some(bootstrap), &options.limits, options.keepalive)
}

/// A server in the making: [`listen`](Self::listen) at some addresses, then [`serve`](Self::serve).
pub struct Server {
    options: ServerOptions,
    listeners: Vec<(Box<dyn Listener>, Bootstrap)>,
    stats: Arc<ServerStats>,
}

/// Counts of a server, for any thread.
#[derive(Debug)]
pub struct ServerStats {
    started: Instant,
    /// Connections on each shard.
    shards: Vec<AtomicUsize>,
}

type Bootstrap = Arc<dyn Fn(&Peer) -> capnp::capability::Client + Send + Sync>;

/// A connection on its way to a shard.
struct Assigned {
    accepted: Accepted,
    bootstrap: Bootstrap,
    _place: Place,
}

/// A connection's place among [`Limits::connections_max`] and in its shard's count.
struct Place {
    stats: Arc<ServerStats>,
    shard: usize,
    _permit: OwnedSemaphorePermit,
}

impl Server {
    /// Listens nowhere yet.
    pub fn new(options: ServerOptions) -> Self {
        let shards = match options.shards {
            0 => thread::available_parallelism().map_or(1, Into::into),
            given => given,
        };
        let shards = (0..shards).map(|_| AtomicUsize::new(0)).collect();
        Server { options, listeners: Vec::new(), stats: Arc::new(ServerStats { started: Instant::now(), shards }) }
    }

    /// Listens at an address, and gives the real one: with the port that the system chose.
    ///
    /// `bootstrap` makes the capability that a client gets first. It is called once for each connection,
    /// on the thread that serves it, and sees who the peer is.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], or [`Error::Os`] when the system refuses.
    pub async fn listen<C: FromClientHook>(
        &mut self,
        address: &Address,
        options: &ListenOptions,
        bootstrap: impl Fn(&Peer) -> C + Send + Sync + 'static,
    ) -> Result<Address> {
        let listener = transport::listen_within(address, options, &self.options.limits).await?;
        let address = listener.address().clone();
        let bootstrap = move |peer: &Peer| capnp::capability::Client::new(bootstrap(peer).into_client_hook());
        self.listeners.push((listener, Arc::new(bootstrap)));
        Ok(address)
    }

    /// Counts that go on while the server serves.
    pub fn stats(&self) -> Arc<ServerStats> {
        self.stats.clone()
    }

    /// Serves until `shutdown` resolves. Then it accepts no more, lets calls at work finish within
    /// [`ServerOptions::drain_timeout`], closes every connection and returns.
    ///
    /// # Errors
    /// [`Error::Os`] when a thread cannot be made.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let Server { options, listeners, stats } = self;
        let stop = CancellationToken::new();
        let mut shards = Vec::new();
        for index in 0..stats.shards.len() {
            shards.push(Shard::start(index, &options, stop.clone())?);
        }
        let places = Arc::new(Semaphore::new(options.limits.connections_max));
        let mut accepting = JoinSet::new();
        for (listener, bootstrap) in listeners {
            let assign: Vec<_> = shards.iter().map(|shard| shard.assign.clone()).collect();
            accepting.spawn(accept(listener, bootstrap, assign, places.clone(), stats.clone()));
        }
        shutdown.await;
        info!(connections = stats.connections(), "shutting down");
        // Dropping the listeners removes their names.
        accepting.shutdown().await;
        stop.cancel();
        for shard in shards {
            shard.finish().await;
        }
        Ok(())
    }
}

impl ServerStats {
    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shards.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Threads that serve connections.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// When the server was made.
    pub fn started(&self) -> Instant {
        self.started
    }
}

/// Accepts until it is dropped.
async fn accept(
    mut listener: Box<dyn Listener>,
    bootstrap: Bootstrap,
    shards: Vec<mpsc::UnboundedSender<Assigned>>,
    places: Arc<Semaphore>,
    stats: Arc<ServerStats>,
) {
    loop {
        // The place first: who finds no place waits in the system's backlog.
        let permit = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok(accepted) => {
                let shard = stats.least_busy();
                let place = Place::take(stats.clone(), shard, permit);
                let _ = shards[shard].send(Assigned { accepted, bootstrap: bootstrap.clone(), _place: place });
            }
            Err(error) => {
                warn!(address = %listener.address(), %error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// After a failed accept, which may well repeat (no descriptor left), the listener waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl ServerStats {
    fn least_busy(&self) -> usize {
        let counts = self.shards.iter().map(|count| count.load(Relaxed)).enumerate();
        counts.min_by_key(|&(_, count)| count).map_or(0, |(index, _)| index)
    }
}

impl Place {
    fn take(stats: Arc<ServerStats>, shard: usize, permit: OwnedSemaphorePermit) -> Self {
        stats.shards[shard].fetch_add(1, Relaxed);
        Place { stats, shard, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stats.shards[self.shard].fetch_sub(1, Relaxed);
    }
}

/// A thread that serves connections.
struct Shard {
    assign: mpsc::UnboundedSender<Assigned>,
    finished: oneshot::Receiver<()>,
    thread: thread::JoinHandle<()>,
}

/// Deep enough for any chain of pipelined calls that the limits allow.
const SHARD_STACK_BYTES: usize = 8 << 20;

impl Shard {
    fn start(index: usize, options: &ServerOptions, stop: CancellationToken) -> Result<Self> {
        let failed = |e| Error::os("start a thread that serves connections", e);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (assign, assigned) = mpsc::unbounded_channel();
        let (done, finished) = oneshot::channel();
        let options = options.clone();
        let thread = thread::Builder::new()
            .name(format!("shard-{index}"))
            .stack_size(SHARD_STACK_BYTES)
            .spawn(move || {
                LocalSet::new().block_on(&runtime, run_shard(assigned, options, stop));
                let _ = done.send(());
            })
            .map_err(failed)?;
        Ok(Shard { assign, finished, thread })
    }

    async fn finish(self) {
        drop(self.assign);
        let _ = self.finished.await;
        if self.thread.join().is_err() {
            warn!("a thread that served connections panicked");
        }
    }
}

async fn run_shard(mut assigned: mpsc::UnboundedReceiver<Assigned>, options: ServerOptions, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Some(Assigned { accepted, bootstrap, _place }) = assigned.recv().await {
        let span = tracing::info_span!("connection", peer = tracing::field::Empty);
        let (options, stop) = (options.clone(), stop.clone());
        let serve = async move {
            serve_connection(accepted, bootstrap, options, stop).await;
            drop(_place);
        };
        connections.spawn_local(serve.instrument(span));
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection(accepted: Accepted, bootstrap: Bootstrap, options: ServerOptions, stop: CancellationToken) {
    let peer = accepted.peer.clone();
    let attached = tokio::select! {
        attached = accepted.attach() => attached,
        () = stop.cancelled() => return,
    };
    let stream = match attached {
        Ok(stream) => stream,
        Err(error @ Error::Os { .. }) => return warn!(%peer, %error, "a connection was not attached"),
        // A client that cannot shake hands is nobody else's concern.
        Err(error) => return debug!(%peer, %error, "a handshake failed"),
    };
    tracing::Span::current().record("peer", tracing::field::display(&stream.peer));
    debug!("open");
    let bootstrap = bootstrap(&stream.peer);
    let connection = serve_stream(stream, bootstrap, &options);
    tokio::select! {
        error = connection.closed() => match error {
            Error::Disconnected { .. } => debug!(%error, "closed"),
            _ => warn!(%error, "closed"),
        },
        () = stop.cancelled() => {
            if !connection.drain(options.drain_timeout).await {
                warn!("calls were still at work after {:?} and are cancelled", options.drain_timeout);
            }
        }
    }
    connection.close().await;
}
