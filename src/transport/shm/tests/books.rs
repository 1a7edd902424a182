//! The books about blobs: against each other, and against peers that say what they like.

use std::sync::Arc;

use proptest::prelude::*;

use super::hostile::{self, RING_BYTES, Words};
use super::lending::{BLOB_BYTES_MIN, Borrowed, Borrower, Lender, Room, returned};
use super::{Error, Memory, layout};

const BYTES_MAX: usize = 8 * BLOB_BYTES_MIN;

#[derive(Clone, Debug)]
enum Action {
    /// Builds a message in a blob, and sends it or not.
    Send { bytes: usize, once: bool, sent: bool },
    /// The owner lets go of the oldest message.
    LetGo,
    /// The receiver takes up what was sent.
    Take,
    /// It drops something that it holds.
    Drop(usize),
    /// The owner gives up what was not used.
    Trim,
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1..BYTES_MAX, any::<bool>(), any::<bool>())
            .prop_map(|(bytes, once, sent)| Action::Send { bytes, once: once && bytes > BYTES_MAX / 4, sent }),
        3 => Just(Action::LetGo),
        3 => Just(Action::Take),
        3 => any::<usize>().prop_map(Action::Drop),
        1 => Just(Action::Trim),
    ]
}

/// A record of the owner, as the receiver reads it.
enum Told {
    Attach { id: u64, bytes: u64, once: bool },
    Lend { id: u64, bytes: u64, number: usize },
    Detach { id: u64 },
}

/// What a message of this number writes into its blob.
type Content = Arc<std::sync::Mutex<usize>>;

struct Owner {
    lender: Lender<Content>,
    building: Vec<(usize, usize)>,
    told: std::collections::VecDeque<Told>,
}

impl Owner {
    fn look(&mut self, theirs: &Words) {
        self.lender.look(|id| returned(theirs, id)).unwrap();
    }

    fn retire(&mut self, id: usize) {
        if self.lender.is_attached(id) {
            self.told.push_back(Told::Detach { id: id as u64 });
        }
        self.lender.forget(id);
    }

    /// A blob that nobody else has: that is the promise.
    fn take(&mut self, bytes: usize, once: bool) -> Option<usize> {
        if !once && let Some(id) = self.lender.take(bytes) {
            return Some(id);
        }
        loop {
            match self.lender.room(bytes, once)? {
                Room::For(size) => return Some(self.lender.enter(Content::default(), size, once)),
                Room::Full => {
                    let id = self.lender.free(false)[0];
                    self.retire(id);
                }
            }
        }
    }

    fn send(&mut self, number: usize, bytes: usize, once: bool, sent: bool) {
        let Some(id) = self.take(bytes, once) else { return };
        *self.lender.blob(id).lock().unwrap() = number;
        if sent {
            assert!(self.lender.may_lend(id));
            if !self.lender.is_attached(id) {
                // At most what `take` may give for so few bytes; the receiver checks only the sum.
                let size = self.size_of(id);
                self.told.push_back(Told::Attach { id: id as u64, bytes: size, once });
                self.lender.attach(id);
            }
            self.told.push_back(Told::Lend { id: id as u64, bytes: bytes as u64, number });
            self.lender.lend(id);
            assert!(!self.lender.may_lend(id), "lent twice");
        }
        self.building.push((id, bytes));
    }

    fn size_of(&self, id: usize) -> u64 {
        self.lender.size(id) as u64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// However messages are sent, kept and dropped, both books agree, no blob is written while somebody
    /// reads it, neither side holds more than it may, and in the end everything is back.
    #[test]
    fn the_books_agree(actions in prop::collection::vec(any_action(), 1..200)) {
        let theirs = Words::new(RING_BYTES);
        let mut owner = Owner { lender: Lender::new(BYTES_MAX), building: Vec::new(), told: Default::default() };
        // The receiver maps the same memory.
        let mut borrower: Borrower<u64, Words> = Borrower::new(BYTES_MAX, Arc::new(theirs.clone()));
        let mut held: Vec<(Borrowed<u64, Words>, usize, Content)> = Vec::new();
        let take_up = |owner: &mut Owner, borrower: &mut Borrower<u64, Words>, held: &mut Vec<_>, told| match told {
            Told::Attach { id, bytes, once } => borrower.attach(id, bytes, once, |_| Ok(id)).unwrap(),
            Told::Lend { id, bytes, number } => {
                let lent = borrower.borrow(id, 0, bytes).unwrap();
                held.push((lent, number, owner.lender.blob(id as usize).clone()));
            }
            Told::Detach { id } => borrower.detach(id).unwrap(),
        };
        for (number, action) in actions.into_iter().enumerate() {
            owner.look(&theirs);
            match action {
                Action::Send { bytes, once, sent } => owner.send(number, bytes, once, sent),
                Action::LetGo => if !owner.building.is_empty() {
                    let (id, bytes) = owner.building.remove(0);
                    owner.lender.let_go(id, bytes);
                },
                Action::Take => if let Some(told) = owner.told.pop_front() {
                    take_up(&mut owner, &mut borrower, &mut held, told);
                },
                Action::Drop(which) => if !held.is_empty() {
                    held.swap_remove(which % held.len());
                },
                Action::Trim => for id in owner.lender.free(true) {
                    owner.retire(id);
                },
            }
            prop_assert!(owner.lender.bytes() <= BYTES_MAX && borrower.bytes() <= BYTES_MAX);
            for (lent, number, content) in &held {
                prop_assert_eq!(*content.lock().unwrap(), *number, "blob {} was written while it is read", lent.blob());
            }
        }
        while let Some(told) = owner.told.pop_front() {
            take_up(&mut owner, &mut borrower, &mut held, told);
        }
        held.clear();
        for (id, bytes) in std::mem::take(&mut owner.building) {
            owner.lender.let_go(id, bytes);
        }
        owner.look(&theirs);
        owner.lender.free(true);
        for id in owner.lender.free(true) {
            owner.retire(id);
        }
        prop_assert_eq!(owner.lender.bytes(), 0, "something was never given back");
    }

    /// A peer that says what it likes breaks the protocol or keeps to it; it never gets past the bounds.
    #[test]
    fn a_peer_that_says_what_it_likes_is_refused(script in prop::collection::vec(any::<u8>(), 0..400)) {
        hostile::run_books(&script);
    }
}

fn one_lent() -> (Lender<()>, usize, Words) {
    let mut lender = Lender::new(BYTES_MAX);
    let id = lender.enter((), BLOB_BYTES_MIN, false);
    lender.attach(id);
    lender.lend(id);
    lender.let_go(id, 100);
    (lender, id, Words::new(RING_BYTES))
}

#[test]
fn what_was_lent_comes_back_once_and_with_its_dirt() {
    let (mut lender, id, theirs) = one_lent();
    lender.look(|id| returned(&theirs, id)).unwrap();
    assert_eq!(lender.take(BLOB_BYTES_MIN), None, "it is still lent");
    theirs.store(layout::RETURNED + 8 * id, 1);
    lender.look(|id| returned(&theirs, id)).unwrap();
    assert_eq!(lender.take(BLOB_BYTES_MIN), Some(id));
    assert_eq!(lender.clear(id), 100);
    assert_eq!(lender.take(BLOB_BYTES_MIN), None, "it is held");
    lender.let_go(id, 70);
    assert_eq!(lender.take(BLOB_BYTES_MIN), Some(id));
    lender.let_go(id, 10);
    assert_eq!(lender.clear(id), 70, "it was not cleared before");
}

#[test]
fn a_peer_that_returns_what_it_has_not_or_twice_breaks_the_protocol() {
    for word in [2, 3, u64::MAX] {
        let (mut lender, id, theirs) = one_lent();
        theirs.store(layout::RETURNED + 8 * id, word);
        assert!(matches!(lender.look(|id| returned(&theirs, id)), Err(Error::Protocol { .. })), "{word}");
    }
}

#[test]
fn ids_run_out_before_bytes_do() {
    let mut lender = Lender::new(usize::MAX / 2);
    for _ in 0..layout::BLOBS_MAX {
        assert!(matches!(lender.room(1, false), Some(Room::For(BLOB_BYTES_MIN))));
        lender.enter((), BLOB_BYTES_MIN, false);
    }
    assert_eq!(lender.room(1, false), None);
    lender.let_go(7, 0);
    assert_eq!(lender.room(BLOB_BYTES_MIN * 100, false), Some(Room::Full), "once the free one has gone");
}

/// A small message does not take the one large blob along, which the next large one would miss.
#[test]
fn blobs_are_used_for_about_their_size() {
    let mut lender = Lender::new(BYTES_MAX * 100);
    let large = lender.enter((), 64 * BLOB_BYTES_MIN, false);
    lender.let_go(large, 0);
    assert_eq!(lender.take(BLOB_BYTES_MIN), None);
    assert_eq!(lender.take(30 * BLOB_BYTES_MIN), Some(large));
    assert_eq!(lender.clear(large), 0);
}
