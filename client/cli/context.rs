//! What the subcommands share: the time allowed, connecting, and finding a service.

use std::time::Duration;

use capnp::capability::FromClientHook;
use shipmate::error::ServiceErrorKind;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, ConnectOptions, Connection, Error, Tier};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// What every subcommand is given.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    /// How long connecting and each call may take.
    pub(crate) timeout: Duration,
    /// The same, if it was asked for: for what may otherwise wait for ever.
    pub(crate) timeout_given: Option<Duration>,
    /// Over shared memory: the strongest tier to take.
    pub(crate) tier: Tier,
}

/// The command was used wrongly, in a way that only shows when its arguments are put together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Context {
    pub(crate) fn new(timeout_given: Option<Duration>, tier: Tier) -> Self {
        Context { timeout: timeout_given.unwrap_or(TIMEOUT_DEFAULT), timeout_given, tier }
    }

    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions { timeout: self.timeout, tier: self.tier, ..ConnectOptions::default() }
    }

    pub(crate) async fn connect(&self, address: &Address) -> shipmate::Result<Connection> {
        shipmate::connect_with(address.clone(), &self.options()).await
    }

    /// Waits for the results of a call whose pipeline is used meanwhile, as
    /// [`within`](shipmate::RequestExt::within) does for others.
    pub(crate) async fn wait<T>(&self, promise: impl Future<Output = Result<T, capnp::Error>>) -> shipmate::Result<T> {
        match tokio::time::timeout(self.timeout, promise).await {
            Ok(response) => Ok(response?),
            Err(_) => Err(Error::Deadline(self.timeout)),
        }
    }

    /// Calls the service `name`, of a server's front door or of a listener that serves it alone.
    ///
    /// Which of both it is takes no extra round trip to learn: `call` is given a service that the front
    /// door is still being asked for. A listener without a front door does not know that question, so
    /// nothing was carried out, and `call` is made once more with what the listener does serve.
    pub(crate) async fn with_service<C: FromClientHook, T>(
        &self,
        connection: &Connection,
        name: &str,
        call: impl AsyncFn(C) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let front: front::Client = connection.bootstrap();
        let mut get = front.get_request();
        get.get().set_name(name);
        let sent = get.send();
        let service = C::new(sent.pipeline.get_service().as_cap());
        let (found, result) = futures::join!(self.wait(sent.promise), call(service));
        match found {
            Ok(response) if response.get()?.get_found() => result,
            Ok(_) => anyhow::bail!("the server has no service {name:?}: `shipmate info ADDRESS` lists what it has"),
            Err(error) if is_unimplemented(&error) => {
                let result = call(connection.bootstrap()).await;
                result.map_err(|error| match error.downcast_ref() {
                    Some(cause) if is_unimplemented(cause) => {
                        anyhow::anyhow!("what listens there is neither a front door nor the service {name:?}")
                    }
                    _ => error,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What an error of a call to the front door means.
pub(crate) fn of_front_door(error: Error) -> anyhow::Error {
    match is_unimplemented(&error) {
        true => anyhow::anyhow!("what listens there has no front door, it serves another service alone"),
        false => error.into(),
    }
}

/// An address and, where it leaves that open, the transport that was got there.
pub(crate) fn reached(address: &Address, connection: &Connection) -> String {
    match address {
        Address::Auto(_) => format!("{address} ({})", connection.peer().transport),
        _ => address.to_string(),
    }
}

fn is_unimplemented(error: &Error) -> bool {
    matches!(error, Error::Service { kind: ServiceErrorKind::Unimplemented, .. })
}

/// A time in seconds, as an argument.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, as in 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
