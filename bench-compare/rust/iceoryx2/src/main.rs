//! iceoryx2 over shared memory, request-response and publish-subscribe between two processes: `event`, where
//! both sides sleep until they are notified, or `busy`, where they look again and again.

use std::collections::VecDeque;
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use iceoryx2::pending_response::PendingResponse;
use iceoryx2::port::client::Client;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::prelude::*;
use kit::{Job, Part, Sending, Tally, Work};

type Ipc = ipc::Service;

/// How long a server sleeps before it looks whether it is over.
const NAP: Duration = Duration::from_millis(100);
/// Samples that a subscriber may have waiting; of large ones fewer, so that they stay in the cache.
const BUFFER: usize = 64;
const BUFFER_LARGE: usize = 8;
/// A value that ends a stream.
const END: i64 = -1;

#[repr(C)]
#[derive(Clone, Copy, Debug, ZeroCopySend)]
struct Factors {
    a: i64,
    b: i64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, ZeroCopySend)]
struct Record {
    name: [u8; kit::NAME.len()],
    value: i64,
}

fn main() {
    set_log_level(LogLevel::Error);
    let job = Job::of_this_process();
    let node = NodeBuilder::new().create::<Ipc>().unwrap();
    let busy = job.has("busy");
    match &job.part {
        Part::Server => {
            let address = format!("peer-{}", std::process::id());
            let way = Way::new(&node, &address, busy, "there", "back");
            match job.work {
                Work::Multiply { in_flight } => serve_multiply(&node, &address, &way, in_flight),
                Work::Blob { .. } => serve_blob(&node, &address, &way),
                Work::Record => receive_records(&node, &address, &way),
                Work::Bulk { .. } => receive_bulk(&node, &address, &way),
            }
        }
        Part::Client { address, time } => {
            let way = Way::new(&node, address, busy, "back", "there");
            match job.work {
                Work::Multiply { in_flight } => multiply(&node, address, &way, in_flight, *time),
                Work::Blob { .. } => blob(&node, address, &way, job.work, *time),
                Work::Record => send_records(&node, address, &way, job.work, *time),
                Work::Bulk { .. } => send_bulk(&node, address, &way, job.work, *time),
            }
        }
    }
}

/// How this side waits for the other, and wakes it.
struct Way {
    wake: Option<(Listener<Ipc>, Notifier<Ipc>)>,
}

impl Way {
    fn new(node: &Node<Ipc>, address: &str, busy: bool, from: &str, to: &str) -> Self {
        let event = |name: &str| {
            let name = format!("{address}/{name}");
            node.service_builder(&name.as_str().try_into().unwrap()).event().open_or_create().unwrap()
        };
        let wake = (!busy).then(|| {
            let listener = event(from).listener_builder().create().unwrap();
            (listener, event(to).notifier_builder().create().unwrap())
        });
        Way { wake }
    }

    fn notify(&self) {
        if let Some((_, notifier)) = &self.wake {
            // Nobody may be there any more.
            let _ = notifier.notify();
        }
    }

    /// Until there may be something.
    fn wait(&self) {
        match &self.wake {
            Some((listener, _)) => {
                listener.timed_wait(|_| {}, NAP).unwrap();
            }
            None => hint::spin_loop(),
        }
    }
}

fn over(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

macro_rules! calls {
    ($node:expr, $address:expr, $request:ty, $in_flight:expr) => {
        $node
            .service_builder(&$address.try_into().unwrap())
            .request_response::<$request, u64>()
            .enable_safe_overflow_for_requests(false)
            .enable_safe_overflow_for_responses(false)
            .max_active_requests_per_client($in_flight)
            .max_loaned_requests($in_flight)
            .open_or_create()
            .unwrap()
    };
}

macro_rules! serve {
    ($server:expr, $address:expr, $way:expr, $answer:expr) => {
        let flag = kit::ready_until($address);
        while !over(flag) {
            let mut answered = false;
            while let Some(request) = $server.receive().unwrap() {
                request.send_copy($answer(request.payload())).unwrap();
                answered = true;
            }
            if answered {
                $way.notify();
            }
            $way.wait();
        }
    };
}

fn serve_multiply(node: &Node<Ipc>, address: &str, way: &Way, in_flight: usize) {
    let server = calls!(node, address, Factors, in_flight).server_builder().create().unwrap();
    serve!(server, address, way, |factors: &Factors| (factors.a * factors.b) as u64);
}

fn serve_blob(node: &Node<Ipc>, address: &str, way: &Way) {
    let server = calls!(node, address, [u8], 1).server_builder().create().unwrap();
    serve!(server, address, way, |blob: &[u8]| kit::sum(blob));
}

struct Caller<'a, R: ?Sized + std::fmt::Debug + IceoryxSend + 'static> {
    client: Client<Ipc, R, (), u64, ()>,
    pending: VecDeque<PendingResponse<Ipc, R, (), u64, ()>>,
    way: &'a Way,
}

macro_rules! receive {
    ($caller:expr, $expected:expr) => {
        let pending = $caller.pending.pop_front().unwrap();
        loop {
            if let Some(response) = pending.receive().unwrap() {
                assert_eq!(*response.payload(), $expected);
                break;
            }
            $caller.way.wait();
        }
    };
}

fn multiply(node: &Node<Ipc>, address: &str, way: &Way, in_flight: usize, time: Duration) {
    let client = calls!(node, address, Factors, in_flight).client_builder().create().unwrap();
    let mut caller = Caller { client, pending: VecDeque::new(), way };
    kit::call_blocking(
        time,
        in_flight,
        &mut caller,
        |caller| {
            let request = caller.client.loan_uninit().unwrap().write_payload(Factors { a: 6, b: 7 });
            caller.pending.push_back(request.send().unwrap());
            caller.way.notify();
        },
        |caller| {
            receive!(caller, 42);
        },
    );
}

fn blob(node: &Node<Ipc>, address: &str, way: &Way, work: Work, time: Duration) {
    let blob = work.payload();
    let sum = kit::sum(&blob);
    let client = calls!(node, address, [u8], 1).client_builder().initial_max_slice_len(blob.len()).create().unwrap();
    let mut caller = Caller { client, pending: VecDeque::new(), way };
    kit::call_blocking(
        time,
        1,
        &mut caller,
        |caller| {
            let request = caller.client.loan_slice_uninit(blob.len()).unwrap().write_from_slice(&blob);
            caller.pending.push_back(request.send().unwrap());
            caller.way.notify();
        },
        |caller| {
            receive!(caller, sum);
        },
    );
}

macro_rules! stream {
    ($node:expr, $address:expr, $sample:ty, $buffer:expr) => {
        $node
            .service_builder(&$address.try_into().unwrap())
            .publish_subscribe::<$sample>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size($buffer)
            .open_or_create()
            .unwrap()
    };
}

macro_rules! receive_all {
    ($subscriber:expr, $address:expr, $way:expr, $note:expr) => {
        let flag = kit::ready_until($address);
        let mut tally = Tally::default();
        'all: while !over(flag) {
            while let Some(sample) = $subscriber.receive().unwrap() {
                if !$note(&mut tally, sample.payload()) {
                    break 'all;
                }
            }
            $way.wait();
        }
        drop($subscriber);
        tally.figures();
        while !over(flag) {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
}

fn receive_records(node: &Node<Ipc>, address: &str, way: &Way) {
    let subscriber = stream!(node, address, Record, BUFFER).subscriber_builder().create().unwrap();
    receive_all!(subscriber, address, way, |tally: &mut Tally, record: &Record| {
        assert_eq!(record.name, kit::NAME.as_bytes());
        tally.note(record.value, &[]);
        record.value != END
    });
}

fn receive_bulk(node: &Node<Ipc>, address: &str, way: &Way) {
    let subscriber = stream!(node, address, [u8], BUFFER_LARGE).subscriber_builder().create().unwrap();
    receive_all!(subscriber, address, way, |tally: &mut Tally, blob: &[u8]| {
        tally.note(0, blob);
        blob.len() > 1
    });
}

fn send_records(node: &Node<Ipc>, address: &str, way: &Way, work: Work, time: Duration) {
    let service = stream!(node, address, Record, BUFFER);
    let delivered = BackpressureStrategy::RetryUntilDelivered;
    let publisher = service.publisher_builder().backpressure_strategy(delivered).create().unwrap();
    let name = kit::NAME.as_bytes().try_into().unwrap();
    let send = |publisher: &Publisher<Ipc, Record, ()>, value| {
        publisher.loan_uninit().unwrap().write_payload(Record { name, value }).send().unwrap();
        way.notify();
    };
    let mut sending = Sending::begin(work, time);
    while let Some(value) = sending.next() {
        send(&publisher, value);
    }
    send(&publisher, END);
    sending.figures();
    // A publisher that goes takes its memory along.
    kit::until_stdin_ends();
}

fn send_bulk(node: &Node<Ipc>, address: &str, way: &Way, work: Work, time: Duration) {
    let blob = work.payload();
    let service = stream!(node, address, [u8], BUFFER_LARGE);
    let delivered = BackpressureStrategy::RetryUntilDelivered;
    let publisher = service
        .publisher_builder()
        .backpressure_strategy(delivered)
        .initial_max_slice_len(blob.len())
        .create()
        .unwrap();
    let send = |blob: &[u8]| {
        publisher.loan_slice_uninit(blob.len()).unwrap().write_from_slice(blob).send().unwrap();
        way.notify();
    };
    let mut sending = Sending::begin(work, time);
    while sending.next().is_some() {
        send(&blob);
    }
    send(&blob[..1]);
    sending.figures();
    // A publisher that goes takes its memory along.
    kit::until_stdin_ends();
}
