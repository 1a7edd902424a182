//! One publisher and many subscribers against a model, and each side against a hostile other.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::hostile::Words;
use super::{Condition, Error, Memory, layout};
use crate::Result;
use crate::transport::Policy;
use crate::transport::shm::broadcast::{Next, Publication, Start, Subscription};

const RING_BYTES: usize = 512;
/// A quarter of the ring without the header.
const MESSAGE_BYTES_MAX: usize = 112;

/// Subscribers are told apart by a number.
type TestPublication = Publication<u32, Words>;
type TestSubscription = Subscription<Words>;

fn publication() -> (TestPublication, Words) {
    let memory = Words::new(RING_BYTES);
    (Publication::new(memory.clone()), memory)
}

fn join(publication: &mut TestPublication, memory: &Words, policy: Policy, line: u32) -> TestSubscription {
    let mine = Words::new(0);
    let start = publication.join(mine.clone(), policy, line);
    Subscription::new(mine, memory.clone(), policy, start).unwrap()
}

/// `false`: a subscriber is in the way.
fn publish(publication: &mut TestPublication, bytes: &[u8]) -> bool {
    while let Some(mut holder) = publication.holder(bytes.len()) {
        if !holder.hold.holds().unwrap() {
            return false;
        }
    }
    let mut space = publication.reserve(bytes.len());
    space.write(0, bytes);
    space.publish(bytes.len(), |_| true);
    true
}

/// What is next, and how many were lost before it.
fn receive(subscription: &mut TestSubscription) -> Result<Option<(Vec<u8>, u64)>> {
    let before = subscription.lost();
    loop {
        match subscription.find()? {
            Next::Message(found) => {
                let mut bytes = vec![0; found.bytes];
                assert!(subscription.take(found, &mut bytes)?, "nothing is written meanwhile");
                return Ok(Some((bytes, subscription.lost() - before)));
            }
            Next::Overtaken => {}
            Next::Nothing | Next::End => return Ok(None),
        }
    }
}

fn bytes_of(number: u64, length: usize) -> Vec<u8> {
    (0..length).map(|index| (number as u8).wrapping_mul(31) ^ index as u8).collect()
}

#[derive(Clone, Debug)]
enum Action {
    Publish(usize),
    Join(bool),
    Receive(usize),
    Release(usize),
    Leave(usize),
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..=MESSAGE_BYTES_MAX).prop_map(Action::Publish),
        1 => any::<bool>().prop_map(Action::Join),
        6 => any::<usize>().prop_map(Action::Receive),
        2 => any::<usize>().prop_map(Action::Release),
        1 => any::<usize>().prop_map(Action::Leave),
    ]
}

/// A subscriber, and what a queue without bounds would hold for it.
struct Modelled {
    subscription: TestSubscription,
    line: u32,
    policy: Policy,
    queue: VecDeque<Vec<u8>>,
}

impl Modelled {
    /// What is received is what the queue has next, behind exactly as many as it is said were lost.
    fn check(&mut self) -> std::result::Result<bool, TestCaseError> {
        let Some((bytes, lost)) = receive(&mut self.subscription).unwrap() else {
            prop_assert!(self.queue.is_empty(), "a message is missing at the end");
            return Ok(false);
        };
        prop_assert!(lost == 0 || self.policy == Policy::LoseOldest);
        prop_assert!(self.queue.len() as u64 > lost, "lost {} of {}", lost, self.queue.len());
        self.queue.drain(..lost as usize);
        prop_assert_eq!(Some(bytes), self.queue.pop_front());
        Ok(true)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn everyone_gets_everything_or_knows_how_much_is_missing(actions in prop::collection::vec(any_action(), 1..300)) {
        let (mut publication, memory) = publication();
        let mut subscribers: Vec<Modelled> = Vec::new();
        for (number, action) in actions.into_iter().enumerate() {
            let chosen = |index: usize| index % subscribers.len().max(1);
            match action {
                Action::Publish(length) => {
                    let bytes = bytes_of(number as u64, length);
                    let held = subscribers.iter().any(|each| each.policy == Policy::Block && !each.queue.is_empty()
                        || each.subscription.unreleased_bytes() > 0);
                    match publish(&mut publication, &bytes) {
                        true => subscribers.iter_mut().for_each(|each| each.queue.push_back(bytes.clone())),
                        false => prop_assert!(held, "nobody is in the way"),
                    }
                }
                Action::Join(block) => {
                    let policy = if block { Policy::Block } else { Policy::LoseOldest };
                    let subscription = join(&mut publication, &memory, policy, number as u32);
                    subscribers.push(Modelled { subscription, line: number as u32, policy, queue: VecDeque::new() });
                }
                Action::Receive(index) => if let Some(each) = { let i = chosen(index); subscribers.get_mut(i) } {
                    each.check()?;
                }
                Action::Release(index) => if let Some(each) = { let i = chosen(index); subscribers.get_mut(i) } {
                    let _ = each.subscription.release();
                }
                Action::Leave(index) if !subscribers.is_empty() => {
                    let left = subscribers.swap_remove(chosen(index));
                    publication.retain(|line| *line != left.line);
                    prop_assert_eq!(publication.readers(), subscribers.len());
                }
                Action::Leave(_) => {}
            }
        }
        for each in &mut subscribers {
            while each.check()? {}
        }
    }

    /// A publisher that writes what it likes: nearly right words at nearly right places.
    #[test]
    fn a_hostile_publisher_breaks_the_protocol_and_nothing_else(
        block: bool,
        script in prop::collection::vec((0u8..6, any::<u16>(), any::<u64>()), 0..200),
    ) {
        let (mut publication, memory) = publication();
        let policy = if block { Policy::Block } else { Policy::LoseOldest };
        let mut subscription = join(&mut publication, &memory, policy, 0);
        for (action, place, value) in script {
            match action {
                0 | 1 => {
                    publish(&mut publication, &bytes_of(value, place as usize % MESSAGE_BYTES_MAX));
                }
                2 => {
                    let offset = layout::RING + place as usize % (RING_BYTES / 8) * 8;
                    memory.store(offset, (value % 1024) | ((value % 5) << 32));
                }
                3 => {
                    let control = [layout::WRITTEN, layout::OLDEST, layout::SPACE_WISH][place as usize % 3];
                    memory.store(control, memory.load(control).wrapping_add(value % 64 * 16));
                }
                4 => {
                    let _ = subscription.release();
                    subscription.wish();
                }
                _ => match receive(&mut subscription) {
                    Ok(message) => prop_assert!(message.is_none_or(|(bytes, _)| bytes.len() <= MESSAGE_BYTES_MAX)),
                    Err(error) => {
                        prop_assert!(matches!(error, Error::Protocol { .. }), "{}", error);
                        break;
                    }
                },
            }
        }
    }
}

#[test]
fn who_loses_the_oldest_is_told_how_many_and_goes_on_at_what_is_whole() {
    let (mut publication, memory) = publication();
    let mut subscription = join(&mut publication, &memory, Policy::LoseOldest, 0);
    for number in 0..100 {
        assert!(publish(&mut publication, &bytes_of(number, 48)), "nobody holds the publisher back");
    }
    // Eight records of 64 bytes fill the ring, and an eighth of it is given up ahead of need.
    let (first, lost) = receive(&mut subscription).unwrap().unwrap();
    assert!((92..=93).contains(&lost), "{lost}");
    assert_eq!(first, bytes_of(lost, 48));
    for number in lost + 1..100 {
        assert_eq!(receive(&mut subscription).unwrap(), Some((bytes_of(number, 48), 0)));
    }
    assert_eq!(receive(&mut subscription).unwrap(), None);
}

#[test]
fn what_is_overwritten_while_it_is_copied_is_not_taken() {
    let (mut publication, memory) = publication();
    let mut subscription = join(&mut publication, &memory, Policy::LoseOldest, 0);
    assert!(publish(&mut publication, &bytes_of(0, 100)));
    let Next::Message(found) = subscription.find().unwrap() else { panic!("there is one") };
    for number in 1..5 {
        assert!(publish(&mut publication, &bytes_of(number, 100)));
    }
    assert!(!subscription.take(found, &mut [0; 100]).unwrap());
    assert_eq!(receive(&mut subscription).unwrap().unwrap().1, subscription.lost());
    assert!(subscription.lost() > 0);
}

#[test]
fn who_blocks_holds_the_publisher_back_until_it_has_read_or_left() {
    let (mut publication, memory) = publication();
    let mut slow = join(&mut publication, &memory, Policy::Block, 1);
    let mut quick = join(&mut publication, &memory, Policy::Block, 2);
    let mut number = 0;
    while publish(&mut publication, &bytes_of(number, 100)) {
        number += 1;
    }
    assert_eq!(number, 4);
    while receive(&mut quick).unwrap().is_some() {}
    let _ = quick.release();
    assert!(!publish(&mut publication, &[]) || !publish(&mut publication, &[0; 100]), "the slow one has not read");

    publication.holder(100).unwrap().hold.wish();
    assert_eq!(receive(&mut slow).unwrap(), Some((bytes_of(0, 100), 0)));
    assert!(slow.release(), "the publisher waits for this");
    assert!(publish(&mut publication, &bytes_of(4, 100)));

    while publish(&mut publication, &[9; 100]) {}
    assert_eq!(publication.holder(100).map(|holder| *holder.line), Some(1));
    let index = publication.holder(100).unwrap().index;
    publication.remove(index);
    while receive(&mut quick).unwrap().is_some() {}
    let _ = quick.release();
    assert!(publish(&mut publication, &[9; 100]));
}

#[test]
fn a_subscriber_that_sleeps_is_rung_once_and_one_that_is_gone_is_removed() {
    let (mut publication, memory) = publication();
    let sleeper = join(&mut publication, &memory, Policy::Block, 1);
    let mut sleeps_too = join(&mut publication, &memory, Policy::LoseOldest, 2);
    let _awake = join(&mut publication, &memory, Policy::Block, 3);
    let mut sleeper = sleeper;
    sleeper.wish();
    sleeps_too.wish();
    let mut rung = Vec::new();
    publication.reserve(0).publish(0, |line| {
        rung.push(*line);
        *line != 2
    });
    publication.reserve(0).publish(0, |line| {
        rung.push(*line);
        true
    });
    assert_eq!(rung, [1, 2]);
    assert_eq!(publication.readers(), 2);
}

#[test]
fn the_end_comes_after_every_message_and_counts_what_was_lost_before_it() {
    for (policy, lost) in [(Policy::Block, 0), (Policy::LoseOldest, 1)] {
        let (mut publication, memory) = publication();
        let mut subscription = join(&mut publication, &memory, policy, 0);
        let mut late = join(&mut publication, &memory, Policy::LoseOldest, 1);
        for number in 0..3 {
            assert!(publish(&mut publication, &bytes_of(number, 100)));
        }
        if policy == Policy::LoseOldest {
            assert!(publish(&mut publication, &[0; 100]) && publish(&mut publication, &[0; 100]));
        }
        publication.end(|_| true);
        let mut received = 0;
        while receive(&mut subscription).unwrap().is_some() {
            received += 1;
        }
        for _ in 0..2 {
            assert_eq!(subscription.find().unwrap(), Next::End);
        }
        assert!(subscription.lost() >= lost);
        assert_eq!(subscription.lost() + received, if policy == Policy::Block { 3 } else { 5 });
        while receive(&mut late).unwrap().is_some() {}
        assert_eq!(late.find().unwrap(), Next::End);
    }
}

#[test]
fn who_joins_late_starts_at_the_next_message() {
    let (mut publication, memory) = publication();
    for number in 0..20 {
        assert!(publish(&mut publication, &bytes_of(number, 60)));
    }
    let mut late = join(&mut publication, &memory, Policy::Block, 0);
    assert_eq!(receive(&mut late).unwrap(), None);
    assert!(publish(&mut publication, &bytes_of(20, 60)));
    assert_eq!(receive(&mut late).unwrap(), Some((bytes_of(20, 60), 0)));
}

/// It is removed by who waits for it; nobody else notices.
#[test]
fn a_subscriber_that_has_read_what_is_not_there_breaks_the_protocol() {
    for read in [8, 4096, u64::MAX - 15] {
        let (mut publication, memory) = publication();
        let hostile = Words::new(0);
        publication.join(hostile.clone(), Policy::Block, 1);
        let mut honest = join(&mut publication, &memory, Policy::Block, 2);
        while publish(&mut publication, &[1; 100]) {
            assert_eq!(receive(&mut honest).unwrap(), Some((vec![1; 100], 0)));
            let _ = honest.release();
        }
        hostile.store(layout::READ, read);
        let mut holder = publication.holder(100).unwrap();
        assert_eq!(*holder.line, 1);
        assert!(matches!(holder.hold.holds(), Err(Error::Protocol { .. })), "{read}");
        publication.remove(0);
        assert!(publish(&mut publication, &[2; 100]));
        assert_eq!(receive(&mut honest).unwrap(), Some((vec![2; 100], 0)));
    }
}

#[test]
fn what_a_publisher_may_not_write_is_a_breach_of_the_protocol() {
    let cases: [(&str, &[(usize, u64)]); 8] = [
        ("half a record", &[(layout::WRITTEN, 8)]),
        ("no kind", &[(layout::WRITTEN, 32), (layout::RING, 8)]),
        ("an unknown kind", &[(layout::WRITTEN, 32), (layout::RING, 8 | 2 << 32)]),
        ("past what was written", &[(layout::WRITTEN, 32), (layout::RING, 40 | 1 << 32)]),
        ("past the ring", &[(layout::WRITTEN, 512), (layout::RING, u64::from(u32::MAX) | 1 << 32)]),
        ("too long", &[(layout::WRITTEN, 512), (layout::RING, 113 | 1 << 32)]),
        ("padding in the middle", &[(layout::WRITTEN, 32), (layout::RING, 16 | 3 << 32)]),
        ("the last number", &[(layout::WRITTEN, 32), (layout::RING, 8 | 1 << 32), (layout::RING + 8, u64::MAX)]),
    ];
    for policy in [Policy::Block, Policy::LoseOldest] {
        for (case, words) in cases {
            let memory = Words::new(RING_BYTES);
            let start = Start { position: 0, number: 0 };
            let mut subscription = Subscription::new(Words::new(0), memory.clone(), policy, start).unwrap();
            words.iter().for_each(|(offset, value)| memory.store(*offset, *value));
            let result = subscription.find();
            assert!(matches!(result, Err(Error::Protocol { .. })), "{case}: {result:?}");
        }
    }
    let start = Start { position: 8, number: 0 };
    assert!(Subscription::new(Words::new(0), Words::new(RING_BYTES), Policy::Block, start).is_err());
}

/// The example in docs/shared-memory.md, word for word.
#[test]
fn the_bytes_are_those_of_the_document() {
    let memory = Words::new(4096);
    let mut publication: TestPublication = Publication::new(memory.clone());
    publication.join(Words::new(0), Policy::LoseOldest, 0);
    assert!(publish(&mut publication, b"hello") && publish(&mut publication, b"!"));
    let words = [
        (0x0080, 0x0000_0000_0000_0040),
        (0x0280, 0x0000_0000_0000_0000),
        (0x1000, 0x0000_0001_0000_0005),
        (0x1008, 0x0000_0000_0000_0000),
        (0x1010, 0x0000_006f_6c6c_6568),
        (0x1020, 0x0000_0001_0000_0001),
        (0x1028, 0x0000_0000_0000_0001),
        (0x1030, 0x0000_0000_0000_0021),
    ];
    for (offset, word) in words {
        assert_eq!(memory.load(offset), word, "{offset:#06x}");
    }
}
