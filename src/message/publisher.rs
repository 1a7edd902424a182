//! [`Publisher`]: one writing side for many reading ones.

use std::convert::Infallible;
use std::marker::PhantomData;

use capnp::message::{Builder, HeapAllocator};
use capnp::serialize::write_message_segments;
use capnp::traits::Owned;

use super::Sizes;
use crate::transport::{ListenOptions, shm};
use crate::{Address, Error, Limits, Result};

/// Publishes messages of the type `T`, such as `record::Owned`, to all that have subscribed: each message is
/// written once, into memory that every [`Subscriber`](super::Subscriber) sees, so one more of them costs
/// the publisher next to nothing.
///
/// A subscriber gets the messages that are published after it has connected. It chooses its own
/// [`Policy`](super::Policy): one that blocks holds the publisher back, and loses nothing; one that loses the
/// oldest does neither. One that dies holds nothing back.
///
/// ```no_run
/// use shipmate::message::{Policy, Publisher, Subscriber};
/// use shipmate::schema::record_capnp::record;
///
/// # async fn example() -> shipmate::Result<()> {
/// let mut publisher = Publisher::<record::Owned>::bind("shm:/tmp/depths").await?;
/// publisher.send(|mut record| record.set_value(42)).await?;
///
/// // In as many other processes as you like:
/// let mut subscriber = Subscriber::<record::Owned>::connect("shm:/tmp/depths", Policy::LoseOldest).await?;
/// while let Some(message) = subscriber.recv().await? {
///     println!("{}, and {} were lost so far", message.get()?.get_value(), subscriber.lost());
/// }
/// # Ok(()) }
/// ```
pub struct Publisher<T> {
    publisher: shm::Publisher,
    frame_bytes_max: usize,
    sizes: Sizes,
    publishes: PhantomData<fn(T)>,
}

/// How to publish.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// How to listen for subscribers.
    pub listen: ListenOptions,
    /// The size of the ring that holds the messages, in bytes: a power of two from 4096 to 2³⁰. The memory
    /// is taken at once. A message may be a quarter of it.
    pub ring_bytes: usize,
}

impl Default for PublishOptions {
    fn default() -> Self {
        PublishOptions { listen: ListenOptions::default(), ring_bytes: 4 << 20 }
    }
}

impl<T: Owned> Publisher<T> {
    /// Publishes at an address, with the default options and limits. It must be a `shm:` address.
    ///
    /// # Errors
    /// [`Error::Misuse`] for an address of another transport, [`Error::AddressInUse`], or [`Error::Os`] when
    /// the system refuses.
    pub async fn bind<A>(address: A) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Self::bind_with(address, &PublishOptions::default(), &Limits::DEFAULT).await
    }

    /// Publishes at an address, with options and limits.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub async fn bind_with<A>(address: A, options: &PublishOptions, limits: &Limits) -> Result<Self>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into()?;
        check(&address)?;
        let publisher = shm::Publisher::listen(&address, &options.listen, limits, options.ring_bytes)?;
        let frame_bytes_max = limits.frame_bytes_max.min(publisher.message_bytes_max());
        Ok(Publisher { publisher, frame_bytes_max, sizes: Sizes::new(), publishes: PhantomData })
    }

    /// The address.
    pub fn address(&self) -> &Address {
        self.publisher.address()
    }

    /// How many subscribers there are now.
    pub fn subscribers(&self) -> usize {
        self.publisher.subscribers()
    }

    /// Waits until there are this many subscribers.
    pub async fn subscribed(&self, count: usize) {
        self.publisher.subscribed(count).await;
    }

    /// Builds a message, in the memory that subscribers see, and publishes it. Before that it waits for
    /// subscribers that block and have not read enough. A future that is dropped has published nothing.
    ///
    /// # Errors
    /// [`Error::Limit`] for a message that is larger than a quarter of
    /// [`ring_bytes`](PublishOptions::ring_bytes), or than [`Limits::frame_bytes_max`]: nothing is published,
    /// and the publisher goes on. Without subscribers, it is no error to publish.
    pub async fn send(&mut self, build: impl FnOnce(T::Builder<'_>)) -> Result<()> {
        let space = (shm::TABLE_BYTES + self.sizes.next_bytes()).min(self.frame_bytes_max / 8 * 8);
        self.publisher.room(space).await;
        let mut bytes = 0;
        let built = self.publisher.publish(space, |space| {
            bytes = shm::build::<T>(space, build)?;
            Ok::<_, Builder<HeapAllocator>>(bytes)
        });
        match built {
            Ok(()) => self.sizes.note(bytes - shm::TABLE_BYTES),
            Err(message) => self.send_message(&message).await?,
        }
        Ok(())
    }

    /// Publishes a message that is built already; its root must be a `T`.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn send_message(&mut self, message: &Builder<HeapAllocator>) -> Result<()> {
        let segments = message.get_segments_for_output();
        let bytes = self.check_frame(&segments)?;
        self.sizes.note(message.size_in_words() * 8);
        self.publish(&segments, bytes).await;
        Ok(())
    }

    /// Publishes a message of these segments, such as another Cap'n Proto library has built, the first of
    /// which starts with the pointer to its root: a `T`. Each has a multiple of 8 bytes.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Error::Misuse`] for what is no message.
    pub async fn send_segments(&mut self, segments: &[&[u8]]) -> Result<()> {
        if segments.is_empty() || segments.iter().any(|segment| !segment.len().is_multiple_of(8)) {
            return Err(Error::Misuse("a message has at least one segment, and each a multiple of 8 bytes".into()));
        }
        let bytes = self.check_frame(segments)?;
        self.publish(segments, bytes).await;
        Ok(())
    }

    /// Publishes a frame of so many bytes once there is room for it.
    async fn publish(&mut self, segments: &[&[u8]], bytes: usize) {
        self.publisher.room(bytes).await;
        let published = self.publisher.publish(bytes, |space| {
            write_message_segments(space, &segments).expect("there is as much space as it takes");
            Ok::<_, Infallible>(bytes)
        });
        let Ok(()) = published;
    }

    /// The size of a frame, which is not too large.
    fn check_frame(&self, segments: &[&[u8]]) -> Result<usize> {
        let table_bytes = (4 * (segments.len() + 1)).next_multiple_of(8);
        let bytes = table_bytes + segments.iter().map(|segment| segment.len()).sum::<usize>();
        if bytes > self.frame_bytes_max {
            let ring = self.publisher.message_bytes_max() == self.frame_bytes_max;
            return Err(Error::Limit {
                limit: if ring { "ring_bytes / 4" } else { "frame_bytes_max" },
                allowed: self.frame_bytes_max as u64,
                seen: bytes as u64,
                what: "the message to publish",
                advice: "split it, or give the publisher a larger ring, or raise the limit on both sides",
            });
        }
        Ok(bytes)
    }

    /// Ends: subscribers get `None` after the last message. A publisher that is dropped, or dies, is gone
    /// for them instead: they get what it has published, and then [`Error::Disconnected`].
    pub async fn finish(self) {
        self.publisher.end().await;
    }
}

/// Only shared memory has it.
pub(super) fn check(address: &Address) -> Result<()> {
    match address {
        Address::Shm(_) => Ok(()),
        other => Err(Error::Misuse(format!(
            "one to many goes over shared memory, and {other} does not: write shm:/path, or use a Sender for each receiver"
        ))),
    }
}
