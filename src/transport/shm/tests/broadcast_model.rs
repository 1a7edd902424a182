//! Broadcasting under loom. Where somebody loses the oldest, the words of the ring are atomics too: it reads
//! what is being written, and must notice. Where all block, they are loom's cells, and a read that meets a
//! write fails.

use super::loom_memory::{Bell, Ring, Words};
use crate::transport::Policy;
use crate::transport::shm::broadcast::{Next, Publication, Subscription};

/// A ring that holds four records of two words each.
const RING_WORDS: usize = 16;
const MESSAGE_BYTES: usize = 16;

/// The bells of a subscriber: by which it is rung, and by which it rings.
#[derive(Clone)]
struct Line {
    data: Bell,
    space: Bell,
}

/// A publisher whose subscribers sleep on one bell and are slept on by another.
type TestPublication = Publication<Line, Words>;

fn model(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(test);
}

fn publication(ring: Ring) -> (TestPublication, Words) {
    let memory = Words::new(ring);
    (Publication::new(memory.clone()), memory)
}

fn atomics() -> Ring {
    Ring::atomics(RING_WORDS)
}

fn cells() -> Ring {
    Ring::cells(RING_WORDS)
}

fn join(publication: &mut TestPublication, memory: &Words, policy: Policy) -> (Subscription<Words>, Line) {
    let (mine, line) = (Words::new(Ring::cells(0)), Line { data: Bell::new(), space: Bell::new() });
    let start = publication.join(mine.clone(), policy, line.clone());
    (Subscription::new(mine, memory.clone(), policy, start).unwrap(), line)
}

/// Both words of the message are its number.
fn publish(publication: &mut TestPublication, number: u64) {
    while let Some(mut holder) = publication.holder(MESSAGE_BYTES) {
        holder.line.space.clone().wait(&mut holder.hold);
    }
    let mut space = publication.reserve(MESSAGE_BYTES);
    space.write(0, &number.to_ne_bytes());
    space.write(8, &number.to_ne_bytes());
    space.publish(MESSAGE_BYTES, |line| {
        line.data.ring();
        true
    });
}

/// Waits for one message or the end. What is taken is whole.
fn receive(subscription: &mut Subscription<Words>, line: &Line) -> Option<u64> {
    loop {
        match subscription.find().unwrap() {
            Next::Message(found) => {
                let mut bytes = [0; MESSAGE_BYTES];
                if subscription.take(found, &mut bytes).unwrap() {
                    let (first, second) = bytes.split_at(8);
                    assert_eq!(first, second, "the message is torn");
                    return Some(u64::from_ne_bytes(first.try_into().unwrap()));
                }
            }
            Next::Overtaken => {}
            Next::Nothing => {
                if subscription.release() {
                    line.space.ring();
                }
                line.data.wait(subscription);
            }
            Next::End => return None,
        }
    }
}

/// The publisher laps the subscriber at any moment: nothing torn, nothing twice, in order, and as many
/// lost as are missing.
#[test]
fn who_is_overtaken_takes_nothing_torn_and_counts_what_is_lost() {
    const COUNT: u64 = 6;
    model(3, || {
        let (mut publication, memory) = publication(atomics());
        let (mut subscription, line) = join(&mut publication, &memory, Policy::LoseOldest);
        // Ahead, so that the model is about what happens when the ring is full.
        (0..4).for_each(|number| publish(&mut publication, number));
        let reader = loom::thread::spawn(move || {
            let (mut expected, mut lost) = (0, 0);
            for _ in 0..2 {
                let number = receive(&mut subscription, &line).unwrap();
                assert_eq!(number, expected + (subscription.lost() - lost), "lost, or twice");
                (expected, lost) = (number + 1, subscription.lost());
            }
        });
        (4..COUNT).for_each(|number| publish(&mut publication, number));
        reader.join().unwrap();
    });
}

/// What it knows of `written` is from before the publisher came around. The messages are empty.
#[test]
fn who_is_overtaken_by_a_whole_ring_goes_on() {
    fn publish(publication: &mut TestPublication) {
        publication.reserve(0).publish(0, |_| true);
    }
    model(1, || {
        let (mut publication, memory) = publication(Ring::atomics(8));
        let (mut subscription, _) = join(&mut publication, &memory, Policy::LoseOldest);
        (0..4).for_each(|_| publish(&mut publication));
        assert!(matches!(subscription.find(), Ok(Next::Message(_))));
        let reader = loom::thread::spawn(move || match subscription.find().unwrap() {
            Next::Message(found) => {
                let _ = subscription.take(found, &mut []).unwrap();
            }
            Next::Overtaken => {
                subscription.find().unwrap();
            }
            next => panic!("{next:?} where there are messages"),
        });
        (4..9).for_each(|_| publish(&mut publication));
        reader.join().unwrap();
    });
}

/// A ring that is lost is a deadlock, which loom reports.
#[test]
fn who_blocks_gets_everything_and_nobody_sleeps_for_ever() {
    const COUNT: u64 = 5;
    model(3, || {
        let (mut publication, memory) = publication(cells());
        let (mut subscription, line) = join(&mut publication, &memory, Policy::Block);
        (0..4).for_each(|number| publish(&mut publication, number));
        let reader = loom::thread::spawn(move || {
            for expected in 0..COUNT {
                assert_eq!(receive(&mut subscription, &line), Some(expected));
            }
            assert_eq!(receive(&mut subscription, &line), None);
            assert_eq!(subscription.lost(), 0);
            if subscription.release() {
                line.space.ring();
            }
        });
        (4..COUNT).for_each(|number| publish(&mut publication, number));
        while let Some(mut holder) = publication.holder(0) {
            holder.line.space.clone().wait(&mut holder.hold);
        }
        publication.end(|line| {
            line.data.ring();
            true
        });
        reader.join().unwrap();
    });
}

/// Two that block share the one wish of the publisher.
#[test]
fn the_wish_of_the_publisher_is_answered_by_each_of_several() {
    const COUNT: u64 = 5;
    model(2, || {
        let (mut publication, memory) = publication(cells());
        let joined = [(); 2].map(|()| join(&mut publication, &memory, Policy::Block));
        (0..4).for_each(|number| publish(&mut publication, number));
        let readers: Vec<_> = joined
            .into_iter()
            .map(|(mut subscription, line)| {
                loom::thread::spawn(move || {
                    for expected in 0..2 {
                        assert_eq!(receive(&mut subscription, &line), Some(expected));
                        if subscription.release() {
                            line.space.ring();
                        }
                    }
                })
            })
            .collect();
        (4..COUNT).for_each(|number| publish(&mut publication, number));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// One that is overtaken does not disturb one that blocks.
#[test]
fn each_policy_keeps_its_promise_beside_the_other() {
    const COUNT: u64 = 5;
    model(2, || {
        let (mut publication, memory) = publication(atomics());
        let (mut blocks, line) = join(&mut publication, &memory, Policy::Block);
        let (mut loses, other_line) = join(&mut publication, &memory, Policy::LoseOldest);
        (0..4).for_each(|number| publish(&mut publication, number));
        let blocking = loom::thread::spawn(move || {
            for expected in 0..2 {
                assert_eq!(receive(&mut blocks, &line), Some(expected));
                if blocks.release() {
                    line.space.ring();
                }
            }
        });
        let losing = loom::thread::spawn(move || {
            let number = receive(&mut loses, &other_line).unwrap();
            assert_eq!(number, loses.lost());
        });
        (4..COUNT).for_each(|number| publish(&mut publication, number));
        blocking.join().unwrap();
        losing.join().unwrap();
    });
}
