//! [`Subscriber`]: one of many reading sides.

use std::marker::PhantomData;
use std::time::Duration;

use capnp::message::TypedReader;
use capnp::traits::Owned;

use super::{Policy, publisher};
use crate::frame::{Aligned, Frame};
use crate::transport::shm;
use crate::{Address, Error, Limits, Result};

/// Receives messages of the type `T`, such as `record::Owned`, from one [`Publisher`](super::Publisher),
/// beside others that do.
pub struct Subscriber<T> {
    subscriber: shm::Subscriber,
    limits: Limits,
    receives: PhantomData<fn() -> T>,
}

/// How to subscribe.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeOptions {
    /// How long connecting may take.
    pub timeout: Duration,
    /// How long to look for a message before sleeping; see
    /// [`ListenOptions::spin`](crate::ListenOptions::spin).
    pub spin: Duration,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        SubscribeOptions { timeout: Limits::DEFAULT.handshake_timeout, spin: Duration::ZERO }
    }
}

impl<T: Owned> Subscriber<T> {
    /// Subscribes to what is published at an address from now on.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody publishes there, [`Error::Limit`] when the publisher has as many
    /// subscribers as it takes, [`Error::Misuse`] for an address that is not `shm:`.
    pub async fn connect<A>(address: A, policy: Policy) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Self::connect_with(address, policy, &SubscribeOptions::default(), &Limits::DEFAULT).await
    }

    /// Subscribes, with options and limits.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn connect_with<A>(
        address: A,
        policy: Policy,
        options: &SubscribeOptions,
        limits: &Limits,
    ) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        publisher::check(&address)?;
        let subscriber = shm::Subscriber::connect(&address, policy, options.timeout, options.spin).await?;
        Ok(Subscriber { subscriber, limits: limits.clone(), receives: PhantomData })
    }

    /// The next message, or `None` when the publisher has ended. It is copied out of the publisher's memory
    /// before it is looked at. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the publisher is gone without having ended, after every message that it
    /// had published; [`Error::Protocol`] and [`Error::Limit`] for what is no message or too large a one.
    pub async fn recv(&mut self) -> Result<Option<TypedReader<Frame, T>>> {
        let frame_bytes_max = self.limits.frame_bytes_max;
        let copied = self.subscriber.next(|bytes| Copied::with_room(bytes, frame_bytes_max)).await?;
        let Some(Copied(frame)) = copied else { return Ok(None) };
        let frame = Frame::whole(frame, &self.limits)?;
        Ok(Some(frame.into_reader(&self.limits).into_typed()))
    }

    /// How many messages were lost since the subscription began, before the one that was received last. It
    /// is an exact count; with [`Policy::Block`], it is zero.
    pub fn lost(&self) -> u64 {
        self.subscriber.lost()
    }
}

struct Copied(Aligned);

impl Copied {
    fn with_room(bytes: usize, most: usize) -> Result<Self> {
        if !bytes.is_multiple_of(8) {
            return Err(Error::Protocol { what: format!("{bytes} bytes that are not one frame") });
        }
        if bytes > most {
            return Err(Error::Limit {
                limit: "frame_bytes_max",
                allowed: most as u64,
                seen: bytes as u64,
                what: "a message of the publisher",
                advice: "send less at a time, or raise the limit of the subscriber",
            });
        }
        Ok(Copied(Aligned::zeroed(bytes)))
    }
}

impl AsMut<[u8]> for Copied {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.as_mut()
    }
}
