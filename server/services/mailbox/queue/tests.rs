//! Order, waiting, cancelling and bounds of one mailbox.

use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::executor::block_on;
use futures::poll;
use proptest::prelude::*;

use super::super::tests::record;
use super::*;

fn queue(capacity: usize) -> Queue {
    Queue::new("box", capacity, MailboxLimits::default())
}

fn value(lease: &Lease<'_>) -> i64 {
    lease.reader().unwrap().get_value()
}

async fn take(queue: &Queue) -> i64 {
    let lease = queue.take().await.unwrap();
    let value = value(&lease);
    lease.settle();
    value
}

#[test]
fn a_post_waits_for_room_and_posts_are_admitted_in_order() {
    block_on(async {
        let queue = queue(1);
        queue.post(record(1)).await.unwrap();
        let mut second = pin!(queue.post(record(2)));
        let mut third = pin!(queue.post(record(3)));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        assert_eq!(take(&queue).await, 1);
        assert!(poll!(&mut third).is_pending());
        assert!(poll!(&mut second).is_ready());
        assert_eq!(take(&queue).await, 2);
        assert!(poll!(&mut third).is_ready());
        assert_eq!(take(&queue).await, 3);
    });
}

#[test]
fn a_cancelled_post_posts_nothing_and_the_next_moves_up() {
    block_on(async {
        let queue = queue(1);
        queue.post(record(1)).await.unwrap();
        let mut third = pin!(queue.post(record(3)));
        {
            let mut second = pin!(queue.post(record(2)));
            assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        }
        assert_eq!(take(&queue).await, 1);
        assert!(poll!(&mut third).is_ready());
        assert_eq!(take(&queue).await, 3);
        assert_eq!(queue.figures(), Figures { capacity: 1, length: 0, posted: 2, taken: 2 });
    });
}

#[test]
fn takers_are_served_in_order() {
    block_on(async {
        let queue = queue(2);
        let mut first = pin!(queue.take());
        let mut second = pin!(queue.take());
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        queue.post(record(1)).await.unwrap();
        assert!(poll!(&mut second).is_pending());
        queue.post(record(2)).await.unwrap();
        assert_eq!((value(&second.await.unwrap()), value(&first.await.unwrap())), (2, 1));
    });
}

#[test]
fn a_take_that_is_cancelled_while_it_waits_takes_nothing() {
    block_on(async {
        let queue = queue(1);
        assert!(poll!(pin!(queue.take())).is_pending());
        queue.post(record(1)).await.unwrap();
        assert_eq!(take(&queue).await, 1);
    });
}

/// The record was already on its way to the taker when the call was cancelled.
#[test]
fn takes_that_are_cancelled_after_the_hand_over_give_back_in_order() {
    block_on(async {
        let queue = queue(3);
        {
            let mut first = Box::pin(queue.take());
            let mut second = Box::pin(queue.take());
            assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
            for value in 1..=3 {
                queue.post(record(value)).await.unwrap();
            }
            // The first to be dropped got the first record: a plain push to the front would swap them.
            drop(first);
            drop(second);
        }
        assert_eq!([take(&queue).await, take(&queue).await, take(&queue).await], [1, 2, 3]);
    });
}

#[test]
fn a_dropped_lease_gives_the_record_to_who_waits() {
    block_on(async {
        let queue = queue(1);
        queue.post(record(1)).await.unwrap();
        let lease = queue.take().await.unwrap();
        let mut waiting = pin!(queue.take());
        assert!(poll!(&mut waiting).is_pending());
        let mut second = pin!(queue.post(record(2)));
        assert!(poll!(&mut second).is_pending(), "what is on a lease counts against the capacity");
        drop(lease);
        let again = waiting.await.unwrap();
        assert_eq!(value(&again), 1);
        again.settle();
        assert!(poll!(&mut second).is_ready());
    });
}

#[test]
fn bytes_are_bounded_too_and_a_smaller_post_does_not_overtake() {
    block_on(async {
        let one = record(1).bytes;
        let limits = MailboxLimits { box_bytes_max: one * 2, ..Default::default() };
        let queue = Queue::new("box", 100, limits);
        queue.post(record(1)).await.unwrap();
        let large = StoredRecord { bytes: one * 2, ..record(2) };
        {
            let mut large = pin!(queue.post(large));
            assert!(poll!(&mut large).is_pending());
            let refused = queue.post(record(3)).now_or_never();
            assert!(matches!(refused, Some(Err(_))), "no bytes are left to wait with");
        }
        let mut small = pin!(queue.post(record(3)));
        assert!(poll!(&mut small).is_ready());
    });
}

#[test]
fn the_lines_of_waiters_are_bounded() {
    block_on(async {
        let limits = MailboxLimits { waiters_max: 1, subscriptions_max: 1, ..Default::default() };
        let queue = Queue::new("box", 1, limits);
        let kind = |error: capnp::Error| error.kind;
        {
            let mut waiting = pin!(queue.take());
            assert!(poll!(&mut waiting).is_pending());
            assert_eq!(queue.take().await.err().map(kind), Some(capnp::ErrorKind::Overloaded));
            assert!(poll!(pin!(queue.take_for_subscription())).is_pending());
        }
        queue.post(record(1)).await.unwrap();
        let mut waiting = pin!(queue.post(record(2)));
        assert!(poll!(&mut waiting).is_pending());
        assert_eq!(queue.post(record(3)).await.err().map(kind), Some(capnp::ErrorKind::Overloaded));
        queue.begin_subscription().unwrap();
        assert_eq!(queue.begin_subscription().err().map(kind), Some(capnp::ErrorKind::Overloaded));
        queue.end_subscription();
        queue.begin_subscription().unwrap();
    });
}

#[test]
fn a_record_that_no_mailbox_holds_is_refused() {
    let record = record(1);
    let refused = StoredRecord::copy(record.reader().unwrap(), record.bytes - 1).err().unwrap();
    assert!(refused.extra.contains("box_bytes_max"), "{refused}");
    assert!(StoredRecord::copy(record.reader().unwrap(), record.bytes).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Post,
    CancelPost(usize),
    Take,
    FinishTakes,
    CancelTake(usize),
    DropLease(usize),
    SettleLease(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Post),
        1 => (0usize..8).prop_map(Step::CancelPost),
        4 => Just(Step::Take),
        2 => Just(Step::FinishTakes),
        1 => (0usize..8).prop_map(Step::CancelTake),
        2 => (0usize..8).prop_map(Step::DropLease),
        3 => (0usize..8).prop_map(Step::SettleLease),
    ]
}

proptest! {
    /// Whatever is cancelled or dropped and when: no record is lost, doubled or out of order.
    #[test]
    fn nothing_is_lost_or_doubled(steps in proptest::collection::vec(any_step(), 0..60), capacity in 1usize..4) {
        let queue = queue(capacity);
        let (mut posts, mut takes, mut leases) = (Vec::new(), Vec::new(), Vec::<Lease<'_>>::new());
        let (mut admitted, mut settled, mut next) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Post => {
                    posts.push((next, Box::pin(queue.post(record(next)))));
                    next += 1;
                }
                Step::CancelPost(at) if at < posts.len() => drop(posts.remove(at)),
                Step::Take => {
                    let mut take = Box::pin(queue.take());
                    match take.as_mut().now_or_never() {
                        Some(lease) => leases.push(lease.unwrap()),
                        None => takes.push(take),
                    }
                }
                Step::FinishTakes => takes.retain_mut(|take| match take.as_mut().now_or_never() {
                    Some(lease) => { leases.push(lease.unwrap()); false }
                    None => true,
                }),
                Step::CancelTake(at) if at < takes.len() => drop(takes.remove(at)),
                Step::DropLease(at) if at < leases.len() => drop(leases.remove(at)),
                Step::SettleLease(at) if at < leases.len() => {
                    let lease = leases.remove(at);
                    settled.push(value(&lease));
                    lease.settle();
                }
                _ => {}
            }
            posts.retain_mut(|(value, post)| match post.as_mut().now_or_never() {
                Some(outcome) => { outcome.unwrap(); admitted.push(*value); false }
                None => true,
            });
            prop_assert!(queue.figures().length <= capacity);
        }
        drop((posts, takes));
        drop(leases);
        let mut rest = Vec::new();
        while let Some(lease) = queue.try_take() {
            rest.push(value(&lease));
            lease.settle();
        }
        prop_assert!(rest.is_sorted(), "{rest:?}");
        settled.extend(rest);
        settled.sort();
        prop_assert_eq!(settled, admitted);
    }
}

#[test]
fn threads_move_every_record_once() {
    const EACH: i64 = 2_000;
    let queue = Arc::new(queue(3));
    let posters = (0..3).map(|thread| {
        let queue = queue.clone();
        std::thread::spawn(move || {
            block_on(async {
                for value in 0..EACH {
                    queue.post(record(thread * EACH + value)).await.unwrap();
                }
            });
            Vec::new()
        })
    });
    let takers = (0..3).map(|_| {
        let queue = queue.clone();
        std::thread::spawn(move || {
            block_on(async {
                let mut values = Vec::new();
                for _ in 0..EACH {
                    values.push(take(&queue).await);
                }
                values
            })
        })
    });
    let threads: Vec<_> = posters.chain(takers).collect();
    let mut values: Vec<i64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    values.sort();
    assert!(values.into_iter().eq(0..3 * EACH));
    assert!(queue.is_empty());
}
