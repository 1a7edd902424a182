//! How to sleep until the peer has done something, and how to wake a peer that sleeps.
//!
//! # The protocol
//!
//! Who waits for an index of the peer writes into its own region how far that index has to get (its
//! *wish*), looks at the index again, and sleeps. Who moves an index writes it, looks at the peer's wish,
//! and rings if the index has got there. Each side has a sequentially consistent fence between its write
//! and its look, so at least one of the two sees what the other wrote: the waiter does not sleep, or it is
//! rung. Nobody clears a wish: it is over once the index has passed it, and each is answered once.
//!
//! # The bell
//!
//! It is a byte on the Unix socket that the two sides met on, for reasons of safety. An eventfd is a
//! little faster, but its flags and its counter are shared with the peer, who can clear `O_NONBLOCK` and
//! fill the counter, and the next ring never returns. `send` has `MSG_DONTWAIT` for each call, and a full
//! socket is a peer that has been rung already. A futex is faster too, and nobody who sleeps on it notices
//! that the peer died; who sleeps on the socket sees its end. It also costs no further descriptor.
//!
//! A bell may bring a descriptor along: that of a blob, of which a record tells that is published next.
//! So who reads that record finds the descriptor here already, whichever half took the bell.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::passing;
use super::sync::Memory;
use crate::patience::{Patience, is_alone};
use crate::{Error, Result};

/// Something of the peer's that can be waited for.
pub trait Condition {
    /// Whether it holds. Once it does, it holds until this side acts.
    fn holds(&mut self) -> Result<bool>;

    /// Asks the peer to ring once it holds. Whoever calls this looks once more before sleeping.
    fn wish(&mut self);
}

/// Writes the wish to be rung once the peer's index is at least `index`.
pub(super) fn wish<M: Memory>(mine: &M, offset: usize, index: u64) {
    mine.store(offset, index);
    // Before the index is looked at again; its partner is in `is_due`.
    M::fence(Ordering::SeqCst);
}

/// One of the peer's wishes, and how far it has been answered.
pub(super) struct PeerWish {
    offset: usize,
    answered: u64,
}

impl PeerWish {
    pub(super) fn at(offset: usize) -> Self {
        PeerWish { offset, answered: 0 }
    }

    /// Whether the peer has to be rung, now that this side's index is `index`. It sleeps only on an index
    /// that it has not seen reached, so its next wish is always for more than the last that was answered.
    pub(super) fn is_due<M: Memory>(&mut self, peer: &M, index: u64) -> bool {
        // After the index was written; its partner is in `wish`.
        M::fence(Ordering::SeqCst);
        self.is_due_after_fence(peer, index)
    }

    /// The same where the fence was passed already: one does for the wishes of many peers.
    pub(super) fn is_due_after_fence<M: Memory>(&mut self, peer: &M, index: u64) -> bool {
        let wished = peer.load(self.offset);
        let due = self.answered < wished && wished <= index;
        if due {
            self.answered = wished;
        }
        due
    }
}

/// Makes the two waiters of a connection out of the socket that it was made on: one for who reads and
/// one for who writes. They can be on different threads. Each looks for up to `spin` before it sleeps; its
/// thread stays busy for as long, though its other tasks have their turns. Must be called on a tokio
/// runtime.
pub fn doorbell(socket: UnixStream, spin: Duration) -> io::Result<(Waiter, Waiter)> {
    // Not to write: the socket has news about that whenever the peer takes a bell, and who sleeps would wake up.
    // SAFETY: the standard library's sockets own their descriptors and keep them.
    let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
    let wakers = Arc::new(Wakers::default());
    let both = Waker::from(wakers.clone());
    let (ended, spoke) = (AtomicBool::new(false), AtomicBool::new(false));
    let shared = Arc::new(Shared { socket, wakers, both, ended, spoke, passed: Mutex::default() });
    let waiter = |slot| Waiter { shared: shared.clone(), slot, spin: Spin::new(spin), state: State::Awake };
    Ok((waiter(0), waiter(1)))
}

/// Waits, and rings, for one half of a connection.
pub struct Waiter {
    shared: Arc<Shared>,
    /// Which of the wakers is ours.
    slot: usize,
    spin: Spin,
    state: State,
}

/// What a waiter does, and since when.
#[derive(Clone, Copy)]
enum State {
    Awake,
    /// After so many turns of the runtime, since the first of them.
    Spinning {
        since: Option<Instant>,
        turns: u32,
    },
    Asleep(Instant),
}

/// Looks to be made in one go.
#[derive(Clone, Copy)]
struct Looks {
    count: u32,
    ahead: Option<Ahead>,
}

/// Why to look ahead of a turn of the runtime.
#[derive(Clone, Copy)]
enum Ahead {
    /// The wait has just begun.
    First,
    /// This side has spoken, and is likely to be answered.
    Spoken,
}

struct Shared {
    socket: AsyncFd<UnixStream>,
    wakers: Arc<Wakers>,
    both: Waker,
    /// The socket has ended.
    ended: AtomicBool,
    /// The peer was shown something since this side last looked whether it has answered.
    spoke: AtomicBool,
    /// Descriptors that came with bells, oldest first. Locked while the socket is read, so that one that
    /// was taken from there is found here.
    passed: Mutex<VecDeque<OwnedFd>>,
}

/// The most descriptors that wait for their records. An honest peer waits for them to be used.
pub(super) const DESCRIPTORS_WAITING_MAX: usize = 8;

/// Rings the peer, from any thread.
#[derive(Clone)]
pub(super) struct Bell(Arc<Shared>);

impl Bell {
    /// Whether the peer is known to be gone.
    pub(super) fn has_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// Notes that the peer was shown something, to which it may answer.
    pub(super) fn spoke(&self) {
        self.0.spoke.store(true, Ordering::Relaxed);
    }

    /// Wakes the peer, and never blocks.
    pub(super) fn ring(&self) -> Result<()> {
        ring(&self.0.socket)
    }

    /// Passes the peer a descriptor, if the socket has room for it now.
    pub(super) fn pass(&self, descriptor: BorrowedFd<'_>) -> Result<bool> {
        match passing::send_once(&self.0.socket, &[1], &[descriptor]) {
            Ok(_) => Ok(true),
            Err(error) => match Errno::from_io_error(&error) {
                // The last two: too many are on their way already.
                Some(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS | Errno::MFILE) => Ok(false),
                Some(Errno::PIPE | Errno::CONNRESET) => Err(gone()),
                _ => Err(Error::os("pass the peer shared memory", error)),
            },
        }
    }
}

/// The tasks of both halves. The socket keeps one waker for its readers, so it gets one that wakes both.
#[derive(Default)]
struct Wakers([AtomicWaker; 2]);

impl Waiter {
    /// Waits for the condition. Fails when the peer is gone and the condition does not hold, and never will.
    /// A wait that is given up costs at most one ring that nobody waits for.
    pub async fn wait(&mut self, condition: &mut impl Condition) -> Result<()> {
        self.state = State::Awake;
        std::future::poll_fn(|cx| self.poll(cx, condition)).await
    }

    /// [`wait`](Self::wait), for who writes a future by hand.
    pub fn poll(&mut self, cx: &mut Context<'_>, condition: &mut impl Condition) -> Poll<Result<()>> {
        if condition.holds()? {
            return self.awake();
        }
        if let Some(looks) = self.spins() {
            for _ in 0..looks.count {
                std::hint::spin_loop();
                if condition.holds()? {
                    self.looked(looks, true);
                    return self.awake();
                }
            }
            self.looked(looks, false);
            // Other tasks of the thread have their turns between two looks: what the peer is waited for
            // may well be what one of them is about to ask it. Yielding wakes this task after all of
            // them; waking it directly would let a `LocalSet` poll it again and again before the others.
            let _ = std::pin::pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        // Before the condition is looked at: the other half may take the byte that is meant for this one.
        self.shared.wakers.0[self.slot].register(cx.waker());
        loop {
            // Before the condition, too: what the peer did before it died still counts.
            let ended = self.shared.ended.load(Ordering::Acquire);
            if holds_or_wish(condition)? {
                return self.awake();
            }
            if ended {
                return Poll::Ready(Err(gone()));
            }
            match self.shared.socket.poll_read_ready(&mut Context::from_waker(&self.shared.both)) {
                Poll::Ready(ready) => {
                    let ready = ready.map_err(|e| Error::os("wait for the peer", e))?;
                    let taken = self.shared.take_bytes(ready);
                    self.shared.wakers.0[1 - self.slot].wake();
                    taken?;
                }
                Poll::Pending => {
                    // Who never spins has nothing to learn from the clock.
                    if !self.spin.max.is_zero() && !matches!(self.state, State::Asleep(_)) {
                        self.state = State::Asleep(Instant::now());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether it does not sleep, and would not yet. After a wait that is pending: whether it looks again.
    pub(super) fn stays_awake(&self) -> bool {
        !self.spin.budget.is_zero() && !matches!(self.state, State::Asleep(_))
    }

    /// What was waited for was there when this side looked by itself.
    pub(super) fn found(&mut self) {
        if !matches!(self.state, State::Awake) {
            let _ = self.awake();
        }
    }

    /// The condition holds.
    fn awake(&mut self) -> Poll<Result<()>> {
        if let State::Asleep(since) = self.state {
            self.spin.slept(since.elapsed());
        }
        self.state = State::Awake;
        Poll::Ready(Ok(()))
    }

    /// How often to look again, now, instead of sleeping. A turn of the runtime takes as long as many looks; so
    /// there are more of them for each the longer the others have had nothing to do that changes something.
    fn spins(&mut self) -> Option<Looks> {
        if !self.stays_awake() {
            return None;
        }
        let spoken = self.shared.has_spoken();
        if let State::Spinning { since, turns } = self.state
            && !spoken
        {
            let since = since.unwrap_or_else(Instant::now);
            if since.elapsed() >= self.spin.budget {
                return None;
            }
            self.state = State::Spinning { since: Some(since), turns: turns + 1 };
            return Some(Looks { count: 1 << turns.min(Spin::LOOKS.ilog2()), ahead: None });
        }
        self.state = State::Spinning { since: None, turns: 0 };
        let ahead = if spoken { Ahead::Spoken } else { Ahead::First };
        let ahead = self.spin.ahead(ahead).begins().then_some(ahead);
        let count = if ahead.is_some() { Spin::LOOKS_AHEAD } else { 0 };
        Some(Looks { count, ahead })
    }

    /// It has looked as often as it was to, and found something or not.
    fn looked(&mut self, looks: Looks, found: bool) {
        if let Some(ahead) = looks.ahead {
            self.spin.ahead(ahead).learn(found);
        }
    }

    /// Wakes the peer. It is called when [`Producer::publish`](super::Producer::publish) or
    /// [`Consumer::release`](super::Consumer::release) says so, and never blocks.
    pub fn ring(&self) -> Result<()> {
        ring(&self.shared.socket)
    }

    /// Rings from elsewhere.
    pub(super) fn bell(&self) -> Bell {
        Bell(self.shared.clone())
    }

    /// The next descriptor that the peer passed. It was passed before this is called, or never.
    pub(super) fn descriptor(&self) -> Result<Option<OwnedFd>> {
        let mut passed = self.shared.passed();
        while passed.is_empty() {
            let taken =
                receive_with(&self.shared.socket, &mut passed).map_err(|e| Error::os("wait for the peer", e))?;
            match taken {
                Taken::Nothing => break,
                Taken::End => {
                    self.shared.ended.store(true, Ordering::Release);
                    break;
                }
                Taken::Bells { .. } => {}
                Taken::TooMany => return Err(too_many()),
            }
        }
        // Those bells may have been meant for the other half.
        self.shared.wakers.0[1 - self.slot].wake();
        Ok(passed.pop_front())
    }

    /// Whether the peer is known to be gone, so that nobody will read what is published.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Asks the system whether the peer is gone, without waiting and without taking bells.
    pub(super) fn is_gone(&self) -> bool {
        let mut watched = [PollFd::new(&self.shared.socket, PollFlags::RDHUP)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        self.has_ended() || rustix::event::poll(&mut watched, Some(&now)).is_ok_and(|gone| gone > 0)
    }
}

impl Shared {
    /// Takes the bytes that wait in the socket, so that the next one is news.
    fn take_bytes(&self, mut ready: AsyncFdReadyGuard<'_, UnixStream>) -> Result<()> {
        let mut passed = self.passed();
        match receive_with(&self.socket, &mut passed).map_err(|e| Error::os("wait for the peer", e))? {
            Taken::End => self.ended.store(true, Ordering::Release),
            Taken::TooMany => return Err(too_many()),
            Taken::Bells { all: false } => {}
            // The socket was emptied: whatever comes now is a new event.
            Taken::Bells { all: true } | Taken::Nothing => ready.clear_ready(),
        }
        Ok(())
    }

    /// Whether the peer was shown something since this was last asked. It is a guess, and needs no order.
    fn has_spoken(&self) -> bool {
        let spoke = self.spoke.load(Ordering::Relaxed);
        if spoke {
            self.spoke.store(false, Ordering::Relaxed);
        }
        spoke
    }

    fn passed(&self) -> MutexGuard<'_, VecDeque<OwnedFd>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of taking bells.
enum Taken {
    /// `all`: the socket is empty now.
    Bells {
        all: bool,
    },
    Nothing,
    TooMany,
    End,
}

/// Takes bells, and the descriptors that they bring along.
fn receive_with(socket: impl AsFd, passed: &mut VecDeque<OwnedFd>) -> io::Result<Taken> {
    let (mut bells, mut descriptors) = ([0; BELLS_AT_ONCE], Vec::new());
    loop {
        match passing::receive_once(&socket, &mut bells, &mut descriptors) {
            Ok(Some(0)) => return Ok(Taken::End),
            Ok(Some(count)) => {
                // A read ends behind a byte with descriptors, whatever follows.
                let all = count < BELLS_AT_ONCE && descriptors.is_empty();
                passed.extend(descriptors);
                let too_many = passed.len() > DESCRIPTORS_WAITING_MAX;
                return Ok(if too_many { Taken::TooMany } else { Taken::Bells { all } });
            }
            Ok(None) => return Ok(Taken::TooMany),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => return Ok(Taken::Nothing),
                // It died with bells of ours unread.
                Some(Errno::CONNRESET) => return Ok(Taken::End),
                Some(Errno::INTR) => {}
                _ => return Err(error),
            },
        }
    }
}

fn too_many() -> Error {
    Error::Protocol { what: "shared memory: it passes more descriptors than it says what to do with".into() }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.iter().for_each(AtomicWaker::wake);
    }
}

/// Waits by blocking its thread, for a program without a runtime. One wait at a time: a thread that reads
/// and one that writes would take each other's bytes.
pub struct BlockingDoorbell {
    socket: UnixStream,
    spin: Spin,
    ended: bool,
}

impl BlockingDoorbell {
    /// Takes the socket that the two sides met on. Each wait looks for up to `spin` before it sleeps.
    pub fn new(socket: UnixStream, spin: Duration) -> Result<Self> {
        socket.set_nonblocking(false).map_err(|e| Error::os("prepare a doorbell", e))?;
        Ok(BlockingDoorbell { socket, spin: Spin::new(spin), ended: false })
    }

    /// Waits for the condition. Fails when the peer is gone and the condition does not hold, and never will.
    pub fn wait(&mut self, condition: &mut impl Condition) -> Result<()> {
        if self.spin.until(condition)? {
            return Ok(());
        }
        let mut asleep = None;
        while !holds_or_wish(condition)? {
            if self.ended {
                return Err(gone());
            }
            asleep.get_or_insert_with(Instant::now);
            let taken = receive(&self.socket, RecvFlags::empty()).map_err(|e| Error::os("wait for the peer", e))?;
            self.ended = taken == 0;
        }
        if let Some(since) = asleep {
            self.spin.slept(since.elapsed());
        }
        Ok(())
    }

    /// Wakes the peer, as [`Waiter::ring`] does.
    pub fn ring(&self) -> Result<()> {
        ring(&self.socket)
    }
}

/// How many bells are taken from the socket at once.
const BELLS_AT_ONCE: usize = 64;

/// Looks, wishes, and looks again. `false`: the wish stands, and sleeping is safe.
fn holds_or_wish(condition: &mut impl Condition) -> Result<bool> {
    if condition.holds()? {
        return Ok(true);
    }
    condition.wish();
    condition.holds()
}

fn ring(socket: impl AsFd) -> Result<()> {
    match rustix::net::send(socket, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        // A full socket is one that the peer has yet to read: it will wake.
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(gone()),
        Err(error) => Err(Error::os("wake the peer", error)),
    }
}

/// Reads bells. 0: the peer is gone.
fn receive(socket: impl AsFd, flags: RecvFlags) -> io::Result<usize> {
    let mut bells = [0; BELLS_AT_ONCE];
    loop {
        match rustix::net::recv(&socket, &mut bells, flags) {
            Ok((taken, _)) => return Ok(taken),
            // It died with bells of ours unread.
            Err(Errno::CONNRESET) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn gone() -> Error {
    Error::disconnected("the peer has closed its socket, or died")
}

/// How long to look before sleeping: up to `max` where it has paid lately, not at all where it has not.
struct Spin {
    max: Duration,
    budget: Duration,
    /// To look ahead of a turn of the runtime: the peer may take longer, or it may be another task of this thread
    /// that brings about what is waited for.
    ahead: [Patience; 2],
}

impl Spin {
    /// A first try to spin is this long.
    const LEAST: Duration = Duration::from_micros(1);
    /// After a sleep that was no longer, spinning may pay: waking up is most of it.
    const SHORT_SLEEP: Duration = Duration::from_micros(200);
    /// How often to look before looking at the clock.
    const LOOKS: u32 = 32;
    /// How often to look ahead of a turn of the runtime.
    const LOOKS_AHEAD: u32 = 64;

    fn new(max: Duration) -> Self {
        let max = if is_alone() { Duration::ZERO } else { max };
        Spin { max, budget: max, ahead: Default::default() }
    }

    fn ahead(&mut self, ahead: Ahead) -> &mut Patience {
        &mut self.ahead[ahead as usize]
    }

    /// Looks at the condition at least once, and says whether it holds.
    fn until(&self, condition: &mut impl Condition) -> Result<bool> {
        if condition.holds()? {
            return Ok(true);
        }
        if self.budget.is_zero() {
            return Ok(false);
        }
        let start = Instant::now();
        loop {
            for _ in 0..Self::LOOKS {
                std::hint::spin_loop();
                if condition.holds()? {
                    return Ok(true);
                }
            }
            if start.elapsed() >= self.budget {
                return Ok(false);
            }
        }
    }

    /// Learns from a sleep, and the spinning before it, that ended after this long.
    fn slept(&mut self, time: Duration) {
        self.budget = match time <= Self::SHORT_SLEEP {
            true => (self.budget * 2).max(Self::LEAST).min(self.max),
            false if self.budget <= Self::LEAST => Duration::ZERO,
            false => self.budget / 2,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::woken::Woken;

    /// Never holds; after it was wished for, does something first.
    struct Never<F: FnMut()>(bool, F);

    impl<F: FnMut()> Condition for Never<F> {
        fn holds(&mut self) -> Result<bool> {
            if self.0 {
                self.1();
            }
            Ok(false)
        }

        fn wish(&mut self) {
            self.0 = true;
        }
    }

    /// The byte that one half is about to sleep for may be taken by the other, which was awake for another
    /// reason: the socket is then not readable any more, and nothing else would wake the first.
    #[tokio::test]
    async fn who_takes_a_bell_wakes_the_other_half() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reads, mut writes) = doorbell(b, Duration::ZERO).unwrap();
        ring(&a).unwrap();
        reads.shared.socket.readable().await.unwrap().retain_ready();
        let woken = Arc::new(Woken::default());
        let mut race = Never(false, || {
            let polled = reads.poll(&mut Context::from_waker(Waker::noop()), &mut Never(false, || {}));
            assert!(polled.is_pending());
        });
        let waker = Waker::from(woken.clone());
        assert!(writes.poll(&mut Context::from_waker(&waker), &mut race).is_pending());
        assert!(woken.is());
    }

    /// The socket keeps one waker: that of a half that waits no more must not be the only one.
    #[tokio::test]
    async fn a_wait_that_is_given_up_takes_no_bell_along() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reads, mut writes) = doorbell(b, Duration::ZERO).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(reads.poll(&mut Context::from_waker(&waker), &mut Never(false, || {})).is_pending());
        assert!(writes.poll(&mut Context::from_waker(Waker::noop()), &mut Never(false, || {})).is_pending());
        drop(writes);
        ring(&a).unwrap();
        reads.shared.socket.readable().await.unwrap().retain_ready();
        assert!(woken.is());
    }

    #[test]
    fn spinning_is_given_up_where_it_does_not_pay_and_tried_again_where_it_may() {
        let max = Duration::from_micros(20);
        let mut spin = Spin { max, budget: max, ahead: Default::default() };
        for _ in 0..10 {
            spin.slept(Duration::from_secs(1));
        }
        assert_eq!(spin.budget, Duration::ZERO);
        for _ in 0..10 {
            spin.slept(Duration::from_micros(50));
        }
        assert_eq!(spin.budget, max);
        let mut never = Spin::new(Duration::ZERO);
        never.slept(Duration::from_micros(50));
        assert_eq!(never.budget, Duration::ZERO);
    }
}
