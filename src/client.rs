//! The client: [`connect`] gives a [`Connection`]; [`Connector`] makes a new one when it is lost.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use capnp::capability::{FromTypelessPipeline, Request, Response};
use capnp::traits::{Owned, Pipelined};
use capnp_rpc::rpc_twoparty_capnp::Side;
use tokio::time::{sleep, timeout};

use crate::connection::{Connection, Keepalive};
use crate::transport::{Connecting, Stream, Tier};
use crate::{Address, Error, Limits, Result, transport};

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// What the peer may use.
    pub limits: Limits,
    /// How long it may take until the transport is connected.
    pub timeout: Duration,
    /// Finds a peer that hangs; `None` turns it off.
    pub keepalive: Option<Keepalive>,
    /// Over shared memory: how long to look before sleeping; see [`ListenOptions::spin`].
    ///
    /// [`ListenOptions::spin`]: transport::ListenOptions::spin
    pub spin: Duration,
    /// Over shared memory: the strongest tier to take.
    pub tier: Tier,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            limits: Limits::DEFAULT,
            timeout: Duration::from_secs(10),
            keepalive: Some(Keepalive::default()),
            spin: Duration::ZERO,
            tier: Tier::Copy,
        }
    }
}

/// Connects to a server. Must be called on a tokio runtime inside a
/// [`LocalSet`](tokio::task::LocalSet), as everything that a [`Connection`] does.
///
/// # Errors
/// [`Error::Address`] for an address that cannot be understood, [`Error::Unreachable`] when nobody
/// answers there.
pub async fn connect<A>(address: A) -> Result<Connection>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    connect_with(address, &ConnectOptions::default()).await
}

/// Connects to a server, with options.
///
/// # Errors
/// Those of [`connect`].
pub async fn connect_with<A>(address: A, options: &ConnectOptions) -> Result<Connection>
where
    A: TryInto<Address>,
    Error: From<A::Error>,
{
    let address = address.try_into()?;
    let connecting = Connecting { spin: options.spin, tier: options.tier };
    match timeout(options.timeout, transport::connect_within(&address, &connecting, &options.limits)).await {
        Ok(stream) => Ok(connect_stream(stream?, options)),
        Err(_) => {
            let reason = format!("no connection within {:?}", options.timeout);
            Err(Error::Unreachable { address, reason })
        }
    }
}

/// Runs the client's side on a stream that is connected already, such as one half of
/// [`memory::pair`](transport::memory::pair).
pub fn connect_stream(stream: Stream, options: &ConnectOptions) -> Connection {
    Connection::start(stream, Side::Client, None, &options.limits, options.keepalive)
}

/// Calls with a deadline.
pub trait RequestExt {
    /// What the call gives.
    type Results: Owned;

    /// Sends the call and waits for its results, but not longer than `deadline`: then the call is
    /// cancelled, at the server too, and fails with [`Error::Deadline`].
    fn within(self, deadline: Duration) -> impl Future<Output = Result<Response<Self::Results>>>;
}

impl<P, R> RequestExt for Request<P, R>
where
    R: Pipelined + Owned + 'static + Unpin,
    <R as Pipelined>::Pipeline: FromTypelessPipeline,
{
    type Results = R;

    async fn within(self, deadline: Duration) -> Result<Response<R>> {
        // Only the promise is kept: the pipeline would keep the call alive.
        let promise = self.send().promise;
        match timeout(deadline, promise).await {
            Ok(response) => Ok(response?),
            Err(_) => Err(Error::Deadline(deadline)),
        }
    }
}

/// What to do when a connection is lost or cannot be made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reconnect {
    /// Report it. The connector makes no second connection.
    Never,
    /// Try again, with pauses that grow from `first` by `factor` up to `max`, each shortened by a random
    /// part of up to half, so that the clients of a restarted server do not all come at once.
    BackOff {
        /// The first pause.
        first: Duration,
        /// The longest pause.
        max: Duration,
        /// How much longer each pause is than the one before.
        factor: f64,
        /// How many attempts in a row may fail before the last error is reported.
        attempts: u32,
    },
}

impl Reconnect {
    /// From 50 ms to 5 s, doubling; for `attempts` in a row.
    pub fn back_off(attempts: u32) -> Self {
        Reconnect::BackOff { first: Duration::from_millis(50), max: Duration::from_secs(5), factor: 2.0, attempts }
    }
}

/// Gives a live connection to an address, and makes a new one when the last is lost.
///
/// It never repeats a call: those in flight when a connection is lost fail with
/// [`Error::Disconnected`], and only the caller knows whether they may be made again.
pub struct Connector {
    address: Address,
    options: ConnectOptions,
    policy: Reconnect,
    current: RefCell<Option<Connection>>,
    /// One attempt at a time: who comes meanwhile waits for its result.
    attempt: tokio::sync::Mutex<()>,
}

impl Connector {
    /// Makes no connection yet.
    pub fn new(address: Address, options: ConnectOptions, policy: Reconnect) -> Self {
        Connector { address, options, policy, current: RefCell::new(None), attempt: tokio::sync::Mutex::new(()) }
    }

    /// The current connection, or a new one if there is none or it is over.
    ///
    /// # Errors
    /// With [`Reconnect::Never`] the error that ended the first connection; else that of the last attempt.
    pub async fn connection(&self) -> Result<Connection> {
        let _one_at_a_time = self.attempt.lock().await;
        if let Some(current) = &*self.current.borrow() {
            match current.error() {
                None => return Ok(current.clone()),
                Some(error) if self.policy == Reconnect::Never => return Err(error),
                Some(error) => tracing::info!(address = %self.address, %error, "connecting again"),
            }
        }
        let connection = self.try_to_connect().await?;
        self.current.replace(Some(connection.clone()));
        Ok(connection)
    }

    /// The last connection that was made.
    pub(crate) fn current(&self) -> Option<Connection> {
        self.current.borrow().clone()
    }

    async fn try_to_connect(&self) -> Result<Connection> {
        let mut failed = 0;
        loop {
            let error = match connect_with(self.address.clone(), &self.options).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            failed += 1;
            let Some(pause) = self.policy.pause(failed) else { return Err(error) };
            tracing::debug!(address = %self.address, %error, ?pause, "will try again");
            sleep(pause).await;
        }
    }
}

impl Reconnect {
    /// The pause after this many attempts failed in a row; `None`: give up.
    fn pause(&self, failed: u32) -> Option<Duration> {
        match *self {
            Reconnect::BackOff { first, max, factor, attempts } if failed < attempts => {
                let grown = first.as_secs_f64() * factor.powi(failed as i32 - 1);
                let full = Duration::try_from_secs_f64(grown).unwrap_or(max).min(max);
                Some(full - full.mul_f64(random_fraction() / 2.0))
            }
            _ => None,
        }
    }
}

/// A number in 0..1: the standard library's hash keys are random, which is random enough to spread load.
fn random_fraction() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_end() {
        let policy = Reconnect::BackOff {
            first: Duration::from_millis(100),
            max: Duration::from_millis(350),
            factor: 2.0,
            attempts: 5,
        };
        for (failed, full) in [(1, 100), (2, 200), (3, 350), (4, 350)] {
            let pause = policy.pause(failed).unwrap().as_micros();
            assert!((full * 500..=full * 1000).contains(&pause), "{failed}: {pause} us");
        }
        assert_eq!(policy.pause(5), None);
        assert_eq!(Reconnect::Never.pause(1), None);
    }
}
