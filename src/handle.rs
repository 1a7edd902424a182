//! [`Handle`]: a connection that any thread can use.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use capnp::capability::FromClientHook;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use crate::client::{ConnectOptions, Connector, Reconnect};
use crate::connection::Connection;
use crate::{Address, Error, Result};

/// Uses a connection from any thread, and from any task of any runtime: `Send`, `Sync` and cheap to clone.
///
/// Cap'n Proto's engine lives on one thread. The handle owns such a thread; [`call`](Self::call) sends a
/// closure there, which makes calls with real clients and gives back what is `Send`. The thread ends, and
/// the connection closes, when the last clone is dropped and the closures at work are done.
///
/// ```no_run
/// use shipmate::schema::arith_capnp::arith;
///
/// # async fn example() -> shipmate::Result<()> {
/// let ship = shipmate::Handle::connect("unix:/run/ship.sock").await?;
/// let product = ship
///     .call(async |arith: arith::Client| {
///         let mut request = arith.multiply_request();
///         request.get().set_a(6);
///         request.get().set_b(7);
///         let response = request.send().promise.await?;
///         match response.get()?.get_product()?.which()? {
///             shipmate::schema::arith_capnp::product::Value(value) => Ok(value),
///             shipmate::schema::arith_capnp::product::Error(_) => Ok(i64::MAX),
///         }
///     })
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Handle {
    jobs: Arc<mpsc::UnboundedSender<Job>>,
}

type Job = Box<dyn FnOnce(Rc<Connector>) -> LocalBoxFuture<'static, ()> + Send>;

impl Handle {
    /// Connects, on a thread of its own. If the connection is lost, calls fail.
    ///
    /// # Errors
    /// Those of [`connect`](crate::connect).
    pub async fn connect<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Self::connect_with(address, ConnectOptions::default(), Reconnect::Never).await
    }

    /// Connects, with options, and with what to do when the connection is lost.
    ///
    /// # Errors
    /// Those of [`connect`](crate::connect); with a back-off, after its last attempt.
    pub async fn connect_with<A>(address: A, options: ConnectOptions, policy: Reconnect) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let handle = Self::start(address.try_into()?, options, policy)?;
        handle.run(async |_| Ok(())).await?;
        Ok(handle)
    }

    /// The same, for a program without a runtime: waits.
    ///
    /// # Errors
    /// Those of [`connect_with`](Self::connect_with).
    ///
    /// # Panics
    /// When called on a thread of an asynchronous runtime.
    pub fn connect_blocking<A>(address: A, options: ConnectOptions, policy: Reconnect) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let handle = Self::start(address.try_into()?, options, policy)?;
        handle.run_blocking(async |_| Ok(()))?;
        Ok(handle)
    }

    /// Runs a closure with the peer's bootstrap capability, on the connection's thread. Closures run
    /// concurrently. Dropping the future that this gives cancels the closure and its calls.
    ///
    /// # Errors
    /// The closure's; [`Error::Disconnected`] when there is no connection and the policy makes none.
    pub async fn call<C, T, F>(&self, work: F) -> Result<T>
    where
        C: FromClientHook + 'static,
        T: Send + 'static,
        F: AsyncFnOnce(C) -> Result<T> + Send + 'static,
    {
        self.run(async move |connection: Connection| work(connection.bootstrap()).await).await
    }

    /// The blocking form of [`call`](Self::call).
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    ///
    /// # Panics
    /// When called on a thread of an asynchronous runtime.
    pub fn call_blocking<C, T, F>(&self, work: F) -> Result<T>
    where
        C: FromClientHook + 'static,
        T: Send + 'static,
        F: AsyncFnOnce(C) -> Result<T> + Send + 'static,
    {
        self.run_blocking(async move |connection: Connection| work(connection.bootstrap()).await)
    }

    fn start(address: Address, options: ConnectOptions, policy: Reconnect) -> Result<Self> {
        let failed = |e| Error::os("start a connection's thread", e);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (jobs, mut todo) = mpsc::unbounded_channel::<Job>();
        let work = move || {
            LocalSet::new().block_on(&runtime, async move {
                let connector = Rc::new(Connector::new(address, options, policy));
                let mut at_work = JoinSet::new();
                while let Some(job) = todo.recv().await {
                    at_work.spawn_local(job(connector.clone()));
                    while at_work.try_join_next().is_some() {}
                }
                at_work.join_all().await;
                if let Some(connection) = connector.current() {
                    drop(connector);
                    connection.close().await;
                }
            });
        };
        thread::Builder::new().name("shipmate".into()).spawn(work).map_err(failed)?;
        Ok(Handle { jobs: Arc::new(jobs) })
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Connection) -> Result<T> + Send + 'static,
    {
        self.submit(work).await.unwrap_or_else(|_| Err(thread_gone()))
    }

    fn run_blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Connection) -> Result<T> + Send + 'static,
    {
        self.submit(work).blocking_recv().unwrap_or_else(|_| Err(thread_gone()))
    }

    fn submit<T, F>(&self, work: F) -> oneshot::Receiver<Result<T>>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Connection) -> Result<T> + Send + 'static,
    {
        let (mut done, result) = oneshot::channel();
        let job: Job = Box::new(move |connector| {
            async move {
                let work = async { work(connector.connection().await?).await };
                tokio::select! {
                    () = done.closed() => {}
                    result = work => drop(done.send(result)),
                }
            }
            .boxed_local()
        });
        let _ = self.jobs.send(job);
        result
    }
}

fn thread_gone() -> Error {
    Error::disconnected("the work panicked, or the connection's thread did")
}
