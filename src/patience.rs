//! To wait awake, where that has paid lately: [`Patience`] says whether, [`Linger`] does.

use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::task::yield_now;

/// Going to sleep and being woken costs more than looking a while for what one waits for, if it comes soon. Whether it
/// does is learned: where it was in vain to stay awake [three times](Self::VAIN) in a row, 8 waits do without, then twice
/// as many, and up to 1,024.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// How often in a row it was in vain.
    vain: u32,
    /// So many waits do without.
    without: u32,
}

impl Patience {
    const VAIN: u32 = 3;
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
            self.vain = 0;
        } else {
            self.vain = (self.vain + 1).min(Self::WITHOUT_MAX);
            self.without = if self.vain < Self::VAIN { 0 } else { 1 << self.vain };
        }
    }
}

/// How long to look for what the peer sends next before sleeping: who goes on at once is heard before the kernel has put
/// a processor to sleep, which is most of what a call takes otherwise.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// Something came since the last wait.
    heard: bool,
    /// Turns of the runtime that are left of this wait.
    turns: u32,
    patience: Patience,
}

impl Linger {
    /// Some 40 us: longer than it takes to wake a peer that sleeps, on TCP too, so that two who call each other stay awake
    /// from the first call on that is answered at once.
    const TURNS: u32 = 64;
    /// Between two offers of the processor to others.
    const TURNS_OF_MINE: u32 = 4;

    /// Passes on what was found. Where it is nothing, and it pays to look again, this task's turn comes again soon.
    #[inline]
    pub(crate) fn watch<T>(&mut self, cx: &mut Context<'_>, found: Poll<T>) -> Poll<T> {
        match found {
            Poll::Ready(_) => self.heard(),
            Poll::Pending if self.goes_on() => {
                if self.turns.is_multiple_of(Self::TURNS_OF_MINE) {
                    // The peer may have no other processor than this one.
                    thread::yield_now();
                }
                // After all other tasks and a look at the system: waking itself would not wait for those.
                let _ = pin!(yield_now()).poll(cx);
            }
            Poll::Pending => {}
        }
        found
    }

    fn heard(&mut self) {
        self.heard = true;
        if std::mem::take(&mut self.turns) > 0 {
            self.patience.learn(true);
        }
    }

    fn goes_on(&mut self) -> bool {
        if std::mem::take(&mut self.heard) && self.patience.begins() {
            self.turns = Self::TURNS;
        }
        let Some(left) = self.turns.checked_sub(1) else { return false };
        self.turns = left;
        if left == 0 {
            self.patience.learn(false);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
