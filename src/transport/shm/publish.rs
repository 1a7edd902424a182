//! How publishers and subscribers meet, and wait for each other: the I/O around [`broadcast`](super::broadcast).
//!
//! They meet on a Unix socket. The subscriber sends, little-endian,
//!
//! ```text
//! u8 * 12   "SHIPMATE-SUB"
//! u32       version, 1
//! u32       its policy: 1, block; 2, lose the oldest
//! u32       zero
//! ```
//!
//! with its region, and the publisher answers with its own and
//!
//! ```text
//! u8 * 12   "SHIPMATE-PUB"
//! u32       version, 1
//! u32       zero; or, without a region, how many subscribers there may be, and are
//! u32       zero
//! u64       where the subscriber starts in the ring
//! u64       the number of the next message
//! ```
//!
//! From then on the socket carries bells, and its end is the peer's death.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::broadcast::{Holder, Next, Publication, Start, Subscription};
use super::meet::{check_hello, word};
use super::{Region, Waiter, doorbell, layout, passing};
use crate::transport::names::OwnedName;
use crate::transport::{ListenOptions, Policy, unix};
use crate::{Address, Error, Limits, Result};

const HELLO_BYTES: usize = 24;
const HELLO_MAGIC: &[u8; 12] = b"SHIPMATE-SUB";
const ANSWER_BYTES: usize = 40;
const ANSWER_MAGIC: &[u8; 12] = b"SHIPMATE-PUB";
const VERSION: u32 = 1;
/// Subscribers that may be shaking hands at once; further ones wait in the socket's backlog.
const HANDSHAKES_MAX: usize = 64;
/// After this, accepting is tried again: the system was out of descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Publishes messages to all that subscribe at an address.
pub(crate) struct Publisher {
    // Dropped before the listener: once nobody listens, another may take the name.
    _file: Option<OwnedName>,
    _accepting: AbortOnDropHandle<()>,
    shared: Arc<Shared>,
    address: Address,
    message_bytes_max: usize,
}

/// What the publisher and the task that accepts subscribers have in common.
struct Shared {
    publication: Mutex<Publication<Waiter>>,
    region: OwnedFd,
    subscribers_max: usize,
    spin: Duration,
    joined: Notify,
}

/// Subscribes to the messages of a publisher.
pub(crate) struct Subscriber {
    subscription: Subscription,
    waiter: Waiter,
}

impl Publisher {
    pub(crate) fn listen(
        address: &Address,
        options: &ListenOptions,
        limits: &Limits,
        ring_bytes: usize,
    ) -> Result<Self> {
        let (region, file) = Region::create(ring_bytes)?;
        let publication = Publication::new(region);
        let message_bytes_max = publication.message_bytes_max();
        let (name, listener) = unix::bind(address, options)?;
        let shared = Arc::new(Shared {
            publication: Mutex::new(publication),
            region: file,
            subscribers_max: limits.subscribers_max,
            spin: options.spin,
            joined: Notify::new(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::downgrade(&shared), options.handshake_timeout));
        Ok(Publisher {
            _file: name,
            _accepting: AbortOnDropHandle::new(accepting),
            shared,
            address: address.clone(),
            message_bytes_max,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// How many subscribers there are.
    pub(crate) fn subscribers(&self) -> usize {
        let mut publication = self.shared.lock();
        publication.retain(|line| !line.is_gone());
        publication.readers()
    }

    /// Waits until there are this many.
    pub(crate) async fn subscribed(&self, count: usize) {
        loop {
            // Before they are counted: one that joins in between is heard of.
            let joined = self.shared.joined.notified();
            if self.subscribers() >= count {
                return;
            }
            joined.await;
        }
    }

    /// Waits until nobody holds the room for a message of `bytes` bytes.
    pub(crate) async fn room(&mut self, bytes: usize) {
        std::future::poll_fn(|cx| self.poll_room(cx, bytes)).await;
    }

    fn poll_room(&mut self, cx: &mut Context<'_>, bytes: usize) -> Poll<()> {
        let mut publication = self.shared.lock();
        while let Some(Holder { index, line, mut hold }) = publication.holder(bytes) {
            if let Err(error) = ready!(line.poll(cx, &mut hold)) {
                tracing::debug!(%error, "a subscriber is removed");
                publication.remove(index);
            }
        }
        Poll::Ready(())
    }

    /// Publishes a message of up to `bytes` bytes, for which there is [room](Self::room). `fill` writes it
    /// into the space, and gives its length, or a reason to publish nothing.
    pub(crate) fn publish<E>(
        &mut self,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut publication = self.shared.lock();
        let mut space = publication.reserve(bytes);
        let bytes = fill(space.as_mut_slice())?;
        space.publish(bytes, rings);
        Ok(())
    }

    /// Tells all subscribers, behind the last message, that there is no other.
    pub(crate) async fn end(mut self) {
        self.room(0).await;
        self.shared.lock().end(rings);
    }
}

/// `false`: it is gone.
fn rings(line: &mut Waiter) -> bool {
    line.ring().is_ok()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Publication<Waiter>> {
        // Whatever panicked, a message that was being built, left it as it was.
        self.publication.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a subscriber, or tells it that there are too many.
    fn welcome(&self, socket: UnixStream, policy: Policy, memory: Region) -> Result<()> {
        let mut publication = self.lock();
        if publication.readers() >= self.subscribers_max {
            publication.retain(|line| !line.is_gone());
        }
        let full = publication.readers() >= self.subscribers_max;
        let start = publication.start();
        let answer = Answer { full_at: if full { self.subscribers_max as u32 } else { 0 }, start };
        let region = [self.region.as_fd()];
        let socket = socket.into_std().map_err(|e| Error::os("answer a subscriber", e))?;
        // Nothing was sent on this socket, so there is room for it. The answer goes before any bell.
        passing::send_once(&socket, &answer.bytes(), if full { &[] } else { &region })
            .map_err(|e| Error::stream("answer a subscriber", e))?;
        if !full {
            let (line, _) = doorbell(socket, self.spin).map_err(|e| Error::os("answer a subscriber", e))?;
            publication.join(memory, policy, line);
            self.joined.notify_waiters();
        }
        Ok(())
    }
}

/// Accepts subscribers for as long as there is a publisher.
async fn accept(listener: UnixListener, shared: Weak<Shared>, limit: Duration) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            met = handshakes.join_next(), if !handshakes.is_empty() => {
                if let Some(Ok(Err(error))) = met {
                    // A subscriber that cannot shake hands is nobody else's concern.
                    tracing::debug!(%error, "a handshake failed");
                }
            }
            socket = listener.accept(), if handshakes.len() < HANDSHAKES_MAX => match socket {
                Ok((socket, _)) => {
                    let shared = shared.clone();
                    handshakes.spawn(async move {
                        timeout(limit, answer(socket, shared)).await.unwrap_or(Err(Error::Deadline(limit)))
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a subscriber");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

async fn answer(socket: UnixStream, shared: Weak<Shared>) -> Result<()> {
    let mut hello = [0; HELLO_BYTES];
    let descriptors = passing::receive(&socket, &mut hello, 1).await?;
    let policy = parse_hello(&hello)?;
    let memory = Region::receive(&descriptors[0], layout::RING_BYTES_MIN)?;
    let shared = shared.upgrade().ok_or_else(|| Error::disconnected("the publisher has ended"))?;
    shared.welcome(socket, policy, memory)
}

impl Subscriber {
    /// Subscribes to what is published at an address from now on.
    pub(crate) async fn connect(address: &Address, policy: Policy, limit: Duration, spin: Duration) -> Result<Self> {
        let socket = unix::open(address).await?;
        match timeout(limit, ask(socket, policy, spin)).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(Error::Disconnected { .. })) => Err(Error::Unreachable {
                address: address.clone(),
                reason: "what listens there hangs up on a subscriber: it is no publisher, or has just ended".into(),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Unreachable { address: address.clone(), reason: "nobody answers".into() }),
        }
    }

    /// How many messages were lost, in all.
    pub(crate) fn lost(&self) -> u64 {
        self.subscription.lost()
    }

    /// Waits for the next message, and copies it to where `room` says, which gets its length and gives as
    /// many bytes, or refuses. Nothing at the end. Dropping the future loses nothing.
    pub(crate) async fn next<B: AsMut<[u8]>>(&mut self, mut room: impl FnMut(usize) -> Result<B>) -> Result<Option<B>> {
        loop {
            match self.subscription.find()? {
                Next::Message(found) => {
                    let mut bytes = room(found.bytes)?;
                    if self.subscription.take(found, bytes.as_mut())? {
                        self.release_some();
                        return Ok(Some(bytes));
                    }
                }
                Next::Overtaken => {}
                Next::End => return Ok(None),
                Next::Nothing => {
                    self.release();
                    self.waiter.wait(&mut self.subscription).await?;
                    continue;
                }
            }
            // It was overtaken, which may happen again and again: others have their turns meanwhile.
            tokio::task::yield_now().await;
        }
    }

    /// The publisher gets room in good parts of the ring, and not for each message.
    fn release_some(&mut self) {
        if self.subscription.unreleased_bytes() >= self.subscription.ring_bytes() / 8 {
            self.release();
        }
    }

    fn release(&mut self) {
        if self.subscription.release() {
            // A publisher that is gone waits for nothing; what it wrote is still to be read.
            let _ = self.waiter.ring();
        }
    }
}

async fn ask(socket: UnixStream, policy: Policy, spin: Duration) -> Result<Subscriber> {
    // Of its ring nothing is used.
    let (mine, file) = Region::create(layout::RING_BYTES_MIN)?;
    passing::send(&socket, &hello(policy), &[file.as_fd()]).await?;
    let mut bytes = [0; ANSWER_BYTES];
    let descriptors = passing::receive_up_to(&socket, &mut bytes, 1).await?;
    let Answer { full_at, start } = Answer::parse(&bytes)?;
    let Some(region) = descriptors.first() else {
        return Err(Error::Limit {
            limit: "subscribers_max",
            allowed: full_at.into(),
            seen: u64::from(full_at) + 1,
            what: "the subscribers of this publisher",
            advice: "raise the publisher's limit, or wait until another subscriber has left",
        });
    };
    let publisher = Region::receive(region, layout::RING_BYTES_MAX)?;
    let subscription = Subscription::new(mine, publisher, policy, start)?;
    let bells = socket.into_std().and_then(|socket| doorbell(socket, spin));
    let (waiter, _) = bells.map_err(|e| Error::os("subscribe", e))?;
    Ok(Subscriber { subscription, waiter })
}

fn hello(policy: Policy) -> [u8; HELLO_BYTES] {
    let mut hello = [0; HELLO_BYTES];
    let policy: u32 = match policy {
        Policy::Block => 1,
        Policy::LoseOldest => 2,
    };
    hello[..12].copy_from_slice(HELLO_MAGIC);
    hello[12..16].copy_from_slice(&VERSION.to_le_bytes());
    hello[16..20].copy_from_slice(&policy.to_le_bytes());
    hello
}

fn parse_hello(hello: &[u8; HELLO_BYTES]) -> Result<Policy> {
    check_hello(hello, HELLO_MAGIC, VERSION, "publishing", "a publisher listens here, and it does not subscribe")?;
    match word(hello, 16) {
        1 => Ok(Policy::Block),
        2 => Ok(Policy::LoseOldest),
        policy => Err(Error::Protocol { what: format!("it subscribes with the unknown policy {policy}") }),
    }
}

/// What a publisher answers.
struct Answer {
    /// Not zero: there are as many subscribers, and no more are allowed.
    full_at: u32,
    start: Start,
}

impl Answer {
    fn bytes(&self) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        answer[..12].copy_from_slice(ANSWER_MAGIC);
        answer[12..16].copy_from_slice(&VERSION.to_le_bytes());
        answer[16..20].copy_from_slice(&self.full_at.to_le_bytes());
        answer[24..32].copy_from_slice(&self.start.position.to_le_bytes());
        answer[32..].copy_from_slice(&self.start.number.to_le_bytes());
        answer
    }

    fn parse(answer: &[u8; ANSWER_BYTES]) -> Result<Self> {
        check_hello(
            answer,
            ANSWER_MAGIC,
            VERSION,
            "publishing",
            "it does not publish; is this the address of a server?",
        )?;
        let long = |at: usize| u64::from(word(answer, at)) | u64::from(word(answer, at + 4)) << 32;
        Ok(Answer { full_at: word(answer, 16), start: Start { position: long(24), number: long(32) } })
    }
}
