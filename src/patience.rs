//! To wait awake, where that has paid lately: [`Patience`] says whether, [`Linger`] does.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// Going to sleep and being woken costs more than looking a while for what one waits for, if it comes soon. Whether it
/// does is learned: where it was in vain to stay awake [three times](Self::VAIN), 8 waits do without, then twice as many, and
/// up to 1,024. It goes on where it is worth it one time in three.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// How much oftener it was in vain than worth it.
    vain: u32,
    /// So many waits do without.
    without: u32,
}

impl Patience {
    const VAIN: u32 = 3;
    /// Once that it was worth it makes up for so many times in vain.
    const WORTH: u32 = 2;
    /// The waits that do without, at most, as a power of two.
    const WITHOUT_MAX: u32 = 10;

    /// Whether to stay awake in a wait that begins.
    pub(crate) fn begins(&mut self) -> bool {
        match self.without.checked_sub(1) {
            Some(rest) => {
                self.without = rest;
                false
            }
            None => true,
        }
    }

    /// Whether staying awake was worth it.
    pub(crate) fn learn(&mut self, came: bool) {
        if came {
            self.vain = self.vain.saturating_sub(Self::WORTH);
        } else {
            self.vain = (self.vain + 1).min(Self::WITHOUT_MAX);
            self.without = if self.vain < Self::VAIN { 0 } else { 1 << self.vain };
        }
    }
}

/// Looks for what the peer sends next before sleeping: who goes on at once is heard before the kernel has put a processor
/// to sleep, which is most of what a call takes otherwise.
///
/// One of a thread looks for all: while it keeps the runtime turning, each turn finds what has come for the others too. If
/// each looked for itself, a turn would take as long as there are many of them. And the thread learns whether that pays:
/// where one of very many is heard, and then another, it does not.
#[derive(Debug)]
pub(crate) struct Linger {
    /// Whose it is, among all of the process.
    id: u64,
    /// Something came since the last wait.
    heard: bool,
}

/// What a thread does about it.
#[derive(Default)]
struct Looking {
    /// Who looks for all.
    who: Option<u64>,
    /// Turns of the runtime that are left of this wait.
    turns: u32,
    /// How often others left it to that one since it last did.
    left: u32,
    patience: Patience,
}

thread_local! {
    static LOOKING: RefCell<Looking> = RefCell::default();
}

impl Linger {
    /// Some 70 us: longer than it takes to wake a peer that sleeps, on TCP too, so that two who call each other stay awake
    /// from the first call on that is answered at once; and longer than the peer takes to read 1 MiB before it answers.
    const TURNS: u32 = 128;
    /// What comes in the first turns says nothing: it would have been found without staying awake. So it is where the system
    /// lets the peer run on this processor, as soon as it has something to answer.
    const TURNS_FIRST: u32 = 3;
    /// Between two offers of the processor to others.
    const TURNS_OF_MINE: u32 = 4;
    /// Who looks no more, though others left it to that so often, has gone to another thread.
    const LEFT_MAX: u32 = 256;

    pub(crate) fn new() -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Linger { id: IDS.fetch_add(1, Ordering::Relaxed), heard: false }
    }

    /// Passes on what was found. Where it is nothing, and it pays to look again, this task's turn comes again soon.
    #[inline]
    pub(crate) fn watch<T>(&mut self, cx: &mut Context<'_>, found: Poll<T>) -> Poll<T> {
        match found {
            Poll::Ready(_) => self.heard = true,
            Poll::Pending => self.look_again(cx),
        }
        found
    }

    fn look_again(&mut self, cx: &mut Context<'_>) {
        let heard = std::mem::take(&mut self.heard);
        let Some(turns) = LOOKING.with_borrow_mut(|looking| looking.next_turn(self.id, heard)) else { return };
        if turns.is_multiple_of(Self::TURNS_OF_MINE) {
            offer_processor();
        }
        // After all other tasks and a look at the system: waking itself would not wait for those.
        let _ = pin!(yield_now()).poll(cx);
    }
}

/// Whether this thread may use one processor alone: the peer does nothing while it looks. It is found out once.
pub(crate) fn is_alone() -> bool {
    thread_local! {
        static ALONE: bool = thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    }
    ALONE.with(|alone| *alone)
}

/// Lets others run on this processor: the peer may have no other. Where they keep it for long, it is not offered again so
/// soon: who sleeps gets it back sooner than who waits for his turn.
fn offer_processor() {
    /// A peer has answered by then.
    const SOON: Duration = Duration::from_micros(100);
    /// Others keep it for milliseconds, once in the tenths of a second that these take.
    const WITHOUT: u32 = 1 << 16;
    thread_local! {
        static WITHOUT_OFFERS: Cell<u32> = const { Cell::new(0) };
    }
    if let Some(rest) = WITHOUT_OFFERS.get().checked_sub(1) {
        return WITHOUT_OFFERS.set(rest);
    }
    let before = Instant::now();
    thread::yield_now();
    if before.elapsed() > SOON {
        WITHOUT_OFFERS.set(WITHOUT);
    }
}

impl Looking {
    /// Whether this one looks again, and how often after that. It may have `heard` something since it last asked.
    fn next_turn(&mut self, id: u64, heard: bool) -> Option<u32> {
        match self.who {
            Some(who) if who == id && heard => self.over(true),
            Some(who) if who != id && self.left < Linger::LEFT_MAX => {
                self.left += 1;
                return None;
            }
            _ => {}
        }
        if self.who != Some(id) {
            if !heard || !self.patience.begins() {
                return None;
            }
            (self.who, self.turns) = (Some(id), Linger::TURNS);
        }
        self.left = 0;
        self.turns -= 1;
        if self.turns == 0 {
            self.over(false);
        }
        Some(self.turns)
    }

    /// Nobody looks any more; it was worth it or not.
    fn over(&mut self, came: bool) {
        if !came || self.turns <= Linger::TURNS - Linger::TURNS_FIRST {
            self.patience.learn(came);
        }
        self.who = None;
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        // The thread may be ending.
        let _ = LOOKING.try_with(|looking| {
            let mut looking = looking.borrow_mut();
            if looking.who == Some(self.id) {
                looking.who = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use super::*;
    use crate::woken::Woken;

    #[test]
    fn it_is_lost_where_it_is_in_vain_and_tried_again() {
        let mut patience = Patience::default();
        let mut stay = |came| {
            let awake = patience.begins();
            if awake {
                patience.learn(came);
            }
            awake
        };
        let vain = (0..10_000).filter(|_| stay(false)).count();
        assert!((10..30).contains(&vain), "{vain} of 10,000 waits");
        // The next that is in time brings all of it back.
        let first = (0..2_000).position(|_| stay(true)).unwrap();
        assert!(first <= 1_024, "{first}");
        assert!((0..100).all(|_| stay(true)));
    }

    fn looks(linger: &mut Linger) -> bool {
        let woken = Arc::new(Woken::default());
        let pending = linger.watch(&mut Context::from_waker(&woken.clone().into()), Poll::<()>::Pending);
        assert!(pending.is_pending());
        woken.is()
    }

    fn hear(linger: &mut Linger) {
        let _ = linger.watch(&mut Context::from_waker(Waker::noop()), Poll::Ready(()));
    }

    #[test]
    fn what_comes_in_the_first_turns_is_no_reason_to_stay_awake() {
        // A thread for each: it is the thread that learns.
        let stays_awake = |turn| {
            move || {
                let mut linger = Linger::new();
                let waits = (0..200).map(|_| {
                    hear(&mut linger);
                    let awake = looks(&mut linger);
                    for _ in 1..turn {
                        looks(&mut linger);
                    }
                    hear(&mut linger);
                    while looks(&mut linger) {}
                    awake
                });
                waits.filter(|awake| *awake).count()
            }
        };
        assert!(thread::spawn(stays_awake(1)).join().unwrap() < 50);
        assert_eq!(thread::spawn(stays_awake(Linger::TURNS_FIRST)).join().unwrap(), 200);
    }

    #[test]
    fn one_of_a_thread_looks_for_all() {
        let (mut one, mut other) = (Linger::new(), Linger::new());
        assert!(!looks(&mut one), "nothing was heard yet");
        hear(&mut one);
        hear(&mut other);
        assert!(looks(&mut one));
        assert!(!looks(&mut other));
        assert_eq!((0..200).filter(|_| looks(&mut one)).count() as u32, Linger::TURNS - 1);
        // In vain, and so it is another's turn.
        hear(&mut other);
        assert!(looks(&mut other));
        drop(other);
        hear(&mut one);
        assert!(looks(&mut one));
        // One that has gone to another thread tells nobody.
        let gone = thread::spawn(move || drop(one));
        gone.join().unwrap();
        let mut third = Linger::new();
        let first = (0..1_000).position(|_| {
            hear(&mut third);
            looks(&mut third)
        });
        assert_eq!(first, Some(Linger::LEFT_MAX as usize));
    }
}
