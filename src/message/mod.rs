//! Messages: typed, one way, one after the other. What Go does with gob over a socket or text through a
//! named pipe, for any language: the bytes are Cap'n Proto's standard stream framing, so `capnp decode`
//! and every other implementation can read and write them.
//!
//! ```no_run
//! use shipmate::message::{Listener, Sender};
//! use shipmate::schema::record_capnp::record;
//!
//! # async fn example() -> shipmate::Result<()> {
//! // One process:
//! let mut listener = Listener::bind("unix:/tmp/records").await?;
//! let mut receiver = listener.accept::<record::Owned>().await?;
//! while let Some(message) = receiver.recv().await? {
//!     println!("{}", message.get()?.get_value());
//! }
//! // Another:
//! let mut sender = Sender::<record::Owned>::connect("unix:/tmp/records").await?;
//! sender.send(|mut record| record.set_value(42)).await?;
//! sender.finish().await?;
//! # Ok(()) }
//! ```
//!
//! To many receivers at once: a [`Publisher`], and a [`Subscriber`] for each.
//!
//! On a `pipe:` address the messages travel in the FIFO itself, one writer and one reader. Nothing here
//! needs a [`LocalSet`](tokio::task::LocalSet): senders and receivers may be used on any runtime, and
//! sent to other threads.
//!
//! Messages that are nothing but bytes are of the type `capnp::data::Owned`: see [`Sender::loan_bytes`].

mod bytes;
mod publisher;
mod receiver;
mod segment;
mod sender;
mod subscriber;

use capnp::traits::Owned;

pub use bytes::BytesLoan;
pub use publisher::{PublishOptions, Publisher};
pub use receiver::Receiver;
pub use segment::Segment;
pub use sender::{Loan, Sender};
pub use subscriber::{SubscribeOptions, Subscriber};

pub use crate::transport::Policy;
use crate::transport::{self, ListenOptions, ReadHalf, pipe};
use crate::{Address, Error, Limits, Result};

/// Waits for senders at an address.
pub struct Listener {
    address: Address,
    limits: Limits,
    place: Place,
}

enum Place {
    Transport(Box<dyn transport::Listener>),
    /// A FIFO, and its reading end until a receiver has it.
    Fifo(ListenOptions, Option<ReadHalf>),
}

impl Listener {
    /// Listens with the default options and limits.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::AddressInUse`], or [`Error::Os`] when the system refuses.
    pub async fn bind<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Self::bind_with(address, &ListenOptions::default(), Limits::DEFAULT).await
    }

    /// Listens, with options and limits.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub async fn bind_with<A>(address: A, options: &ListenOptions, limits: Limits) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        if let Address::Pipe(path) = &address {
            let reader = pipe::open_reader(path, options.mode).await?;
            return Ok(Listener { place: Place::Fifo(options.clone(), Some(reader)), address, limits });
        }
        let listener = transport::listen_within(&address, options, &limits).await?;
        Ok(Listener { address: listener.address().clone(), place: Place::Transport(listener), limits })
    }

    /// The address with what the system chose filled in (the port).
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next sender's messages. On a FIFO this does not wait: the first message does.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses.
    pub async fn accept<T: Owned>(&mut self) -> Result<Receiver<T>> {
        match &mut self.place {
            Place::Transport(listener) => Ok(Receiver::accepted(listener.accept().await?, &self.limits)),
            Place::Fifo(options, reader) => {
                let Address::Pipe(path) = &self.address else { unreachable!("bound as a FIFO") };
                let reader = match reader.take() {
                    Some(reader) => reader,
                    None => pipe::open_reader(path, options.mode).await?,
                };
                Ok(Receiver::new(reader, None, &self.limits))
            }
        }
    }
}

/// What the last few messages took, so that the next one gets as much space at once: more of it outgrow too
/// little space, and too much costs time, as Cap'n Proto builds in memory that is zero.
struct Sizes {
    recent_bytes: [usize; 4],
    count: usize,
}

impl Sizes {
    fn new() -> Self {
        Sizes { recent_bytes: [FIRST_BYTES; 4], count: 0 }
    }

    /// A message took so much, in bytes.
    fn note(&mut self, bytes: usize) {
        self.recent_bytes[self.count % 4] = bytes.max(BYTES_MIN);
        self.count += 1;
    }

    /// What to offer the next one.
    fn next_bytes(&self) -> usize {
        self.recent_bytes.into_iter().fold(BYTES_MIN, usize::max)
    }
}

const FIRST_BYTES: usize = 512;
const BYTES_MIN: usize = 64;
