//! The ring and the wake protocol under loom, which runs every interleaving of two processors (up to a
//! number of forced switches) with every value that a weakly ordered load may return. The words of the
//! ring are loom's cells: it also fails when one side reads what the other is writing.

use std::sync::Arc;

use super::lending::{BLOB_BYTES_MIN, Borrower, Lender, returned};
use super::loom_memory::{Bell, Ring, Words};
use super::{Consumer, Error, Label, Memory, Producer, layout, link};

/// A ring that holds two records of one word each.
const RING_WORDS: usize = 4;

/// A region, of which one side's reads may not meet the other's writes.
fn words() -> Words {
    Words::new(Ring::cells(RING_WORDS))
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// The writing end of one side and the reading end of the other.
fn ends() -> (Producer<Words>, Consumer<Words>) {
    let (a, b) = (words(), words());
    let (producer, _) = link(a.clone(), b.clone());
    let (_, consumer) = link(b, a);
    (producer, consumer)
}

fn send(producer: &mut Producer<Words>, value: u64) -> bool {
    let Some(mut loan) = producer.reserve(8).unwrap() else { return false };
    loan.write(0, &value.to_ne_bytes());
    loan.commit(8, Label::default());
    true
}

fn receive(consumer: &mut Consumer<Words>) -> Option<u64> {
    let record = consumer.receive().unwrap()?;
    let mut bytes = [0; 8];
    record.copy_to(&mut bytes);
    Some(u64::from_ne_bytes(bytes))
}

/// Neither side ever sleeps: only the order of the indices keeps it from reading or writing too early.
#[test]
fn records_arrive_whole_and_in_order() {
    model(|| {
        let (mut producer, mut consumer) = ends();
        let writer = loom::thread::spawn(move || {
            for value in 1..=3 {
                while !send(&mut producer, value) {
                    loom::thread::yield_now();
                }
                let _ = producer.publish();
            }
        });
        for expected in 1..=3 {
            let value = loop {
                match receive(&mut consumer) {
                    Some(value) => break value,
                    None => loom::thread::yield_now(),
                }
            };
            assert_eq!(value, expected);
            let _ = consumer.release();
        }
        writer.join().unwrap();
    });
}

/// Both sides sleep until they are rung. A ring that is lost is a deadlock, which loom reports.
#[test]
fn a_sleeper_is_always_rung() {
    model(|| {
        let (mut producer, mut consumer) = ends();
        let (data, space) = (Bell::new(), Bell::new());
        let (ring_data, wait_space) = (data.clone(), space.clone());
        let writer = loom::thread::spawn(move || {
            for value in 1..=4 {
                while !send(&mut producer, value) {
                    wait_space.wait(&mut producer.room(8));
                }
                if producer.publish() {
                    ring_data.ring();
                }
            }
        });
        for expected in 1..=4 {
            data.wait(&mut consumer);
            assert_eq!(receive(&mut consumer), Some(expected));
            if consumer.release() {
                space.ring();
            }
        }
        writer.join().unwrap();
    });
}

/// The owner writes to a blob again once it sees that it was returned; what the reader saw before must be over by
/// then. The cell fails if it is not.
#[test]
fn a_blob_is_written_again_only_when_it_was_read() {
    model(|| {
        let (blob, theirs) = (words(), words());
        let mut lender = Lender::new(usize::MAX / 2);
        let id = lender.enter((), BLOB_BYTES_MIN, false);
        blob.store(layout::RING, 7);
        lender.attach(id);
        lender.lend(id);
        lender.let_go(id, 8);
        let reader = {
            let (blob, theirs) = (blob.clone(), theirs.clone());
            loom::thread::spawn(move || {
                #[allow(clippy::arc_with_non_send_sync, reason = "see `Words`")]
                let mut borrower: Borrower<(), Words> = Borrower::new(usize::MAX, Arc::new(theirs));
                borrower.attach(0, 4096, false, |_| Ok(())).unwrap();
                let lent = borrower.borrow(0, 0, 8).unwrap();
                assert_eq!(blob.load(layout::RING), 7);
                drop(lent);
            })
        };
        loop {
            lender.look(|id| returned(&theirs, id)).unwrap();
            if lender.take(8) == Some(id) {
                break;
            }
            loom::thread::yield_now();
        }
        blob.store(layout::RING, 8);
        reader.join().unwrap();
    });
}

/// A peer that stores what it likes in its indices meanwhile. The cells are indexed with bounds checks,
/// so a step outside of the ring would fail here.
#[test]
fn no_index_of_a_peer_leads_out_of_the_ring() {
    model(|| {
        let (a, b) = (words(), words());
        let (mut producer, mut consumer) = link(a, b.clone());
        let hostile = loom::thread::spawn(move || {
            for value in [8, 4096, u64::MAX - 7] {
                b.store(layout::WRITTEN, value);
                b.store(layout::READ, value);
            }
        });
        for _ in 0..2 {
            // The peer's ring is full of zeros, which are no record.
            assert!(matches!(
                consumer.receive().map(|record| record.is_some()),
                Ok(false) | Err(Error::Protocol { .. })
            ));
            if let Ok(Some(loan)) = producer.reserve(8) {
                loan.commit(8, Label::default());
                let _ = producer.publish();
            }
        }
        hostile.join().unwrap();
    });
}
