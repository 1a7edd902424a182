//! [`Error`]: what went wrong, whose fault it is and what to do next.

use std::io;
use std::time::Duration;

use crate::Address;

/// A result whose error is Shipmate's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. [`Error::fault`] says whose fault it is, [`Error::is_retryable`]
/// whether the same thing may work when it is tried again on a new connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address that cannot be understood.
    #[error("{given:?} is not an address: write {expected}")]
    Address {
        /// What was given.
        given: String,
        /// The right form.
        expected: &'static str,
    },

    /// Nobody can be reached at the address.
    #[error("nobody answers at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: Address,
        /// Why, and what to do.
        reason: String,
    },

    /// A live server has the address already.
    #[error("{address} is in use by a live server: stop it or choose another address")]
    AddressInUse {
        /// Where.
        address: Address,
    },

    /// The connection is over: the peer closed it, died or could not be reached any more.
    #[error("the connection is gone: {reason}")]
    Disconnected {
        /// How it ended.
        reason: String,
    },

    /// The peer sent something that the protocol does not allow; the connection is closed.
    #[error("the peer broke the protocol: {what}")]
    Protocol {
        /// What it sent.
        what: String,
    },

    /// A bound of [`Limits`](crate::Limits) was reached.
    #[error("the limit {limit} is {allowed}, and {what} would take {seen}: {advice}")]
    Limit {
        /// The field of `Limits`.
        limit: &'static str,
        /// Its value.
        allowed: u64,
        /// What would have passed it.
        seen: u64,
        /// Whose value that is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },

    /// The time allowed is over; the work was cancelled.
    #[error("no answer within {0:?}: the call was cancelled")]
    Deadline(Duration),

    /// The service answered with an error (`failed`, `overloaded` or `unimplemented`).
    #[error("the service answered: {kind}: {reason}")]
    Service {
        /// Which of Cap'n Proto's kinds of error.
        kind: ServiceErrorKind,
        /// The service's own words.
        reason: String,
    },

    /// Shipmate was used in a way that cannot work.
    #[error("{0}")]
    Misuse(String),

    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Os {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::sync::Arc<io::Error>,
    },
}

/// The kinds of error that a service can answer with (Cap'n Proto's `rpc.capnp`, `Exception.Type`;
/// its `disconnected` is [`Error::Disconnected`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceErrorKind {
    /// The call failed; trying again would fail again.
    Failed,
    /// The service has too much to do; try again later.
    Overloaded,
    /// The service does not know this method.
    Unimplemented,
}

/// Whose fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's: the same call fails again.
    Caller,
    /// The peer's: it broke the protocol or passed a limit.
    Peer,
    /// The service's, in its own words.
    Service,
    /// Nobody's: a peer or a network that went away, or time that ran out.
    Circumstance,
    /// The operating system's.
    System,
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Address { .. } | Error::Misuse(_) | Error::AddressInUse { .. } => Fault::Caller,
            Error::Protocol { .. } | Error::Limit { .. } => Fault::Peer,
            Error::Service { .. } => Fault::Service,
            Error::Unreachable { .. } | Error::Disconnected { .. } | Error::Deadline(_) => Fault::Circumstance,
            Error::Os { .. } => Fault::System,
        }
    }

    /// Whether trying again, on a new connection, may work. It says nothing about whether the call was
    /// carried out before the connection ended: only the caller knows whether it may be repeated.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. }
                | Error::Disconnected { .. }
                | Error::Deadline(_)
                | Error::Service { kind: ServiceErrorKind::Overloaded, .. }
        )
    }

    /// An error of the operating system while `doing` something.
    pub(crate) fn os(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Error::Os { doing: doing.into(), source: std::sync::Arc::new(source.into()) }
    }

    pub(crate) fn disconnected(reason: impl Into<String>) -> Self {
        Error::Disconnected { reason: reason.into() }
    }

    /// An error of a read or write on a connected stream: the transport's own, or the peer is gone, or the
    /// system failed.
    pub(crate) fn stream(doing: &str, source: io::Error) -> Self {
        use io::ErrorKind::*;
        let source = match source.downcast() {
            Ok(own) => return own,
            Err(source) => source,
        };
        match source.kind() {
            BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected | UnexpectedEof | TimedOut => {
                Error::disconnected(format!("{doing}: {source}"))
            }
            _ => Error::os(doing, source),
        }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<capnp::NotInSchema> for Error {
    fn from(unknown: capnp::NotInSchema) -> Self {
        Error::Protocol { what: format!("{unknown}: it has a newer schema") }
    }
}

/// capnp-rpc puts this before the text of an error that came from the peer.
const REMOTE_PREFIX: &str = "remote exception: ";

impl From<capnp::Error> for Error {
    fn from(error: capnp::Error) -> Self {
        use capnp::ErrorKind;
        let remote = error.extra.strip_prefix(REMOTE_PREFIX);
        let kind = match error.kind {
            ErrorKind::Disconnected => return Error::disconnected(remote.unwrap_or(&error.extra)),
            ErrorKind::Failed => ServiceErrorKind::Failed,
            ErrorKind::Overloaded => ServiceErrorKind::Overloaded,
            ErrorKind::Unimplemented => ServiceErrorKind::Unimplemented,
            // The other kinds are about the bytes of a message: a pointer out of bounds, a wrong type.
            _ => return Error::Protocol { what: error.to_string() },
        };
        Error::Service { kind, reason: remote.unwrap_or(&error.extra).to_owned() }
    }
}

impl From<Error> for capnp::Error {
    /// How the error crosses the wire: its kind, and a text with its reason and advice.
    fn from(error: Error) -> Self {
        match error {
            Error::Service { kind, reason } => match kind {
                ServiceErrorKind::Failed => capnp::Error::failed(reason),
                ServiceErrorKind::Overloaded => capnp::Error::overloaded(reason),
                ServiceErrorKind::Unimplemented => capnp::Error::unimplemented(reason),
            },
            Error::Disconnected { reason } => capnp::Error::disconnected(reason),
            Error::Unreachable { .. } => capnp::Error::disconnected(error.to_string()),
            Error::Limit { .. } | Error::Deadline(_) => capnp::Error::overloaded(error.to_string()),
            other => capnp::Error::failed(other.to_string()),
        }
    }
}

impl std::fmt::Display for ServiceErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ServiceErrorKind::Failed => "failed",
            ServiceErrorKind::Overloaded => "overloaded",
            ServiceErrorKind::Unimplemented => "unimplemented",
        })
    }
}
