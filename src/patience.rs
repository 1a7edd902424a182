//! [`Patience`]: whether to wait awake, where that has paid lately.

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
