//! The ring against a model of it, and against a hostile peer.

use std::collections::VecDeque;

use capnp::Word;
use proptest::prelude::*;

use super::hostile::{self, RING_BYTES, Words};
use super::{Condition, Consumer, Error, Label, Memory, Producer, layout, link};

#[derive(Clone, Debug)]
enum Action {
    Send { reserve: usize, commit: usize, label: Label },
    Publish,
    Receive,
    Hold,
    GiveBack(usize),
    Release,
}

fn any_action() -> impl Strategy<Value = Action> {
    let most = RING_BYTES / 2 - 8;
    let label = (any::<u16>(), any::<bool>()).prop_map(|(tag, more)| Label { tag, more });
    prop_oneof![
        4 => (0..=most, 0..=most, label).prop_map(|(reserve, commit, label)| {
            Action::Send { reserve, commit: commit.min(reserve), label }
        }),
        2 => Just(Action::Publish),
        3 => Just(Action::Receive),
        1 => Just(Action::Hold),
        1 => any::<usize>().prop_map(Action::GiveBack),
        2 => Just(Action::Release),
    ]
}

/// The writing end of one side and the reading end of the other.
fn ends() -> (Producer<Words>, Consumer<Words>) {
    let (a, b) = (Words::new(RING_BYTES), Words::new(RING_BYTES));
    let (producer, _) = link(a.clone(), b.clone());
    let (_, consumer) = link(b, a);
    (producer, consumer)
}

fn bytes_of(count: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| count ^ index as u8).collect()
}

fn send(producer: &mut Producer<Words>, bytes: &[u8]) -> bool {
    let Some(mut loan) = producer.reserve(bytes.len()).unwrap() else { return false };
    loan.write(0, bytes);
    loan.commit(bytes.len(), Label::default());
    true
}

fn receive(consumer: &mut Consumer<Words>) -> Option<(Vec<u8>, Label)> {
    let record = consumer.receive().unwrap()?;
    let mut bytes = vec![0; record.bytes()];
    record.copy_to(&mut bytes);
    Some((bytes, record.label()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_ring_is_a_queue(actions in prop::collection::vec(any_action(), 1..200)) {
        let (mut producer, mut consumer) = ends();
        let (mut committed, mut published) = (VecDeque::new(), VecDeque::new());
        let mut held = Vec::new();
        for (count, action) in actions.into_iter().enumerate() {
            match action {
                Action::Send { reserve, commit, label } => {
                    let idle = consumer.unreleased_bytes() == 0 && published.is_empty() && committed.is_empty();
                    let Some(mut loan) = producer.reserve(reserve).unwrap() else {
                        prop_assert!(!idle, "an empty ring has room for every record");
                        continue;
                    };
                    let bytes = bytes_of(count as u8, commit);
                    loan.write(0, &bytes);
                    loan.commit(commit, label);
                    committed.push_back((bytes, label));
                }
                Action::Publish => {
                    let _ = producer.publish();
                    published.append(&mut committed);
                }
                Action::Receive => prop_assert_eq!(receive(&mut consumer), published.pop_front()),
                Action::Hold => {
                    if let Some(record) = consumer.receive().unwrap() {
                        held.push((record.hold(), published.pop_front().unwrap()));
                    }
                }
                Action::GiveBack(index) if !held.is_empty() => {
                    let (record, (expected, label)) = held.swap_remove(index % held.len());
                    let mut bytes = vec![0; record.bytes()];
                    record.copy_to(&mut bytes);
                    prop_assert_eq!((bytes, record.label()), (expected, label));
                    consumer.give_back(record);
                }
                Action::GiveBack(_) => {}
                Action::Release => {
                    let _ = consumer.release();
                }
            }
        }
    }

    #[test]
    fn a_message_of_any_size_arrives(slices in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..6)) {
        let (mut producer, mut consumer) = ends();
        let slices: Vec<&[u8]> = slices.iter().map(Vec::as_slice).collect();
        let (mut sent, mut received, mut done) = (0, Vec::new(), false);
        let whole = slices.concat();
        loop {
            if !done {
                done = producer.write(&slices, &mut sent, 7).unwrap();
                let _ = producer.publish();
            }
            let (part, label) = receive(&mut consumer).expect("the producer fills an empty ring");
            let _ = consumer.release();
            received.extend(part);
            prop_assert_eq!(label, Label { tag: 7, more: received.len() < whole.len() });
            if !label.more {
                break;
            }
        }
        prop_assert!(done);
        prop_assert_eq!(received, whole);
    }

    /// What is one frame of one segment comes as its words, and all else as it is.
    #[test]
    fn a_frame_comes_as_its_words(
        records in prop::collection::vec((0usize..14, 0u32..3, 0usize..8, any::<u8>()), 1..40),
        most in 0usize..120,
    ) {
        let (mut producer, mut consumer) = ends();
        for (words, segments, more, junk) in records {
            // Mostly one, with a table that is right, and whole words.
            let mut bytes = vec![junk; words * 8 + more / 7];
            if let Some(table) = bytes.first_chunk_mut::<8>() {
                let wrong = u64::from(more == 6);
                let said = (words as u64 - 1 + wrong) << 32 | u64::from(segments / 2);
                *table = said.to_le_bytes();
            }
            let is_frame = (1..=most / 8).contains(&words) && segments < 2 && more < 6;
            prop_assert!(send(&mut producer, &bytes));
            let _ = producer.publish();
            let frame = consumer.receive_frame(Label::default(), most).unwrap();
            let frame = frame.map(|words| Word::words_to_bytes(&words).to_vec());
            prop_assert_eq!(&frame, &is_frame.then(|| bytes[8..].to_vec()));
            if !is_frame {
                prop_assert_eq!(receive(&mut consumer), Some((bytes, Label::default())));
            }
            let _ = consumer.release();
        }
    }

    #[test]
    fn a_hostile_peer_breaks_the_protocol_and_nothing_else(script in prop::collection::vec(any::<u8>(), 0..600)) {
        hostile::run(&script);
    }
}

#[test]
fn a_loan_that_is_dropped_leaves_no_trace() {
    let (mut producer, mut consumer) = ends();
    drop(producer.reserve(100).unwrap().unwrap());
    assert!(!producer.publish());
    assert!(receive(&mut consumer).is_none());
    assert_eq!(producer.pending_bytes(), 0);
}

#[test]
fn a_record_larger_than_half_of_the_ring_is_a_misuse() {
    let (mut producer, _) = ends();
    let most = producer.record_bytes_max();
    assert_eq!(most, 120);
    assert!(producer.reserve(most).unwrap().is_some());
    assert!(matches!(producer.reserve(most + 1), Err(Error::Misuse(_))));
}

#[test]
fn each_wish_is_answered_once_and_not_too_early() {
    let (mut producer, mut consumer) = ends();
    consumer.wish();
    assert!(send(&mut producer, &[1; 56]) && producer.publish(), "the consumer waits for anything");
    assert!(send(&mut producer, &[2; 56]) && !producer.publish(), "it was rung for this wish");
    assert!(send(&mut producer, &[3; 56]) && send(&mut producer, &[4; 56]) && !producer.publish());
    assert!(!send(&mut producer, &[5; 120]), "the ring is full");

    producer.room(120).wish();
    assert!(receive(&mut consumer).is_some() && !consumer.release(), "half of what it waits for");
    assert!(receive(&mut consumer).is_some() && consumer.release(), "exactly what it waits for");
    assert!(receive(&mut consumer).is_some() && !consumer.release());
    assert!(producer.room(120).holds().unwrap());
}

#[test]
fn a_record_that_is_held_keeps_what_comes_after_it() {
    let (mut producer, mut consumer) = ends();
    for count in 0..4 {
        assert!(send(&mut producer, &[count; 56]));
    }
    let _ = producer.publish();
    let first = consumer.receive().unwrap().unwrap().hold();
    let second = consumer.receive().unwrap().unwrap().hold();
    while receive(&mut consumer).is_some() {}
    consumer.give_back(second);
    let _ = consumer.release();
    assert!(!send(&mut producer, &[]), "the first is held: nothing is free");
    consumer.give_back(first);
    let _ = consumer.release();
    assert!(send(&mut producer, &[]));
}

#[test]
fn what_a_peer_may_not_write_is_a_breach_of_the_protocol() {
    let record = |length: u64, kind: u64| length | kind << 32;
    let cases: [(&str, &[(usize, u64)]); 9] = [
        ("more than the ring", &[(layout::WRITTEN, RING_BYTES as u64 + 8)]),
        ("half a word", &[(layout::WRITTEN, 12)]),
        ("the end of time", &[(layout::WRITTEN, u64::MAX - 7)]),
        ("no kind", &[(layout::WRITTEN, 16), (layout::RING, record(8, 0))]),
        ("an unknown kind", &[(layout::WRITTEN, 16), (layout::RING, record(8, 4))]),
        ("past what was written", &[(layout::WRITTEN, 16), (layout::RING, record(16, 1))]),
        ("past the ring", &[(layout::WRITTEN, 256), (layout::RING, record(u64::from(u32::MAX), 1))]),
        ("padding in the middle", &[(layout::WRITTEN, 16), (layout::RING, record(8, 3))]),
        ("padding past the ring", &[(layout::WRITTEN, 256), (layout::RING, record(256, 3))]),
    ];
    for (case, words) in cases {
        let theirs = Words::new(RING_BYTES);
        let (_, mut consumer) = link(Words::new(RING_BYTES), theirs.clone());
        words.iter().for_each(|(offset, value)| theirs.store(*offset, *value));
        let result = consumer.receive().map(|record| record.map(|record| record.bytes()));
        assert!(matches!(result, Err(Error::Protocol { .. })), "{case}: {result:?}");
    }
}

#[test]
fn a_record_past_the_end_of_the_ring_is_a_breach_of_the_protocol() {
    let theirs = Words::new(RING_BYTES);
    let (_, mut consumer) = link(Words::new(RING_BYTES), theirs.clone());
    theirs.store(layout::RING, 120 | 1 << 32);
    theirs.store(layout::WRITTEN, 128);
    assert!(receive(&mut consumer).is_some() && !consumer.release());
    theirs.store(layout::RING + 128, 184 | 1 << 32);
    theirs.store(layout::WRITTEN, 128 + 192);
    let result = consumer.receive().map(|record| record.map(|record| record.bytes()));
    assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
}

#[test]
fn reading_what_was_not_published_is_a_breach_of_the_protocol() {
    for read in [8, 200, u64::MAX - 7] {
        let theirs = Words::new(RING_BYTES);
        let (mut producer, _) = link(Words::new(RING_BYTES), theirs.clone());
        while send(&mut producer, &[0; 120]) {}
        theirs.store(layout::READ, read);
        let result = producer.reserve(8).map(|loan| loan.is_some());
        assert!(matches!(result, Err(Error::Protocol { .. })), "read to {read}, of nothing published: {result:?}");
    }
}

#[test]
fn an_index_that_goes_back_is_a_breach_of_the_protocol() {
    let theirs = Words::new(RING_BYTES);
    let (_, mut consumer) = link(Words::new(RING_BYTES), theirs.clone());
    theirs.store(layout::RING, 1 << 32);
    theirs.store(layout::RING + 8, 1 << 32);
    theirs.store(layout::WRITTEN, 8);
    assert!(receive(&mut consumer).is_some());
    theirs.store(layout::WRITTEN, 0);
    assert!(matches!(consumer.receive().map(|_| ()), Err(Error::Protocol { .. })));
}

/// The example in docs/shared-memory.md, word for word.
#[test]
fn the_bytes_are_those_of_the_document() {
    const RING: usize = 4096;
    let mine = Words::new(RING);
    let (mut producer, mut consumer) = link(mine.clone(), Words::new(RING));
    consumer.wish();
    for (bytes, tag, more) in [(&b"hello"[..], 7, true), (&b"!"[..], 7, false)] {
        let mut loan = producer.reserve(bytes.len()).unwrap().unwrap();
        loan.write(0, bytes);
        loan.commit(bytes.len(), Label { tag, more });
    }
    let _ = producer.publish();
    let words = [
        (0x0080, 0x0000_0000_0000_0020),
        (0x0100, 0x0000_0000_0000_0000),
        (0x0180, 0x0000_0000_0000_0001),
        (0x0200, 0x0000_0000_0000_0000),
        (0x1000, 0x0007_0002_0000_0005),
        (0x1008, 0x0000_006f_6c6c_6568),
        (0x1010, 0x0007_0001_0000_0001),
        (0x1018, 0x0000_0000_0000_0021),
    ];
    for (offset, word) in words {
        assert_eq!(mine.load(offset), word, "{offset:#06x}");
    }
    assert_eq!(layout::MAGIC_WORD.to_le_bytes(), *b"SHIPSHM\x01");
}
