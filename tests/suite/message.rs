//! One-way messages: in order, held back by a slow receiver, with a clear end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use capnp::data;
use capnp::message::{Builder, HeapAllocator};
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::record_capnp::record;
use shipmate::transport::{self, Connecting, ListenOptions, Tier, WriteHalf, memory, pipe};
use shipmate::{Address, Error, Limits};
use tokio::io::AsyncWriteExt;

use crate::harness::{Transport, local, shm};

on_every_transport! { order, every_size_and_way_to_build, loans, bytes, back_pressure, a_torn_stream, an_oversized_message, senders_one_after_another }

type Records = (Sender<record::Owned>, Receiver<record::Owned>);

async fn order(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    check_order(connected(transport, folder.path()).await).await;
}

/// Small ones that grow, large ones, and what is built here and there, one behind the other.
async fn every_size_and_way_to_build(transport: Transport) {
    const COUNT: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let (mut sender, mut receiver) = connected(transport, folder.path()).await;
    let bytes = |index: usize| match index % 7 {
        0 => 200_000,
        1 => 40_000,
        _ => index * 7919 % 3000,
    };
    let build = |record: record::Builder<'_>, index: usize| {
        let mut record = record;
        record.set_value(index as i64);
        let mut tags = record.reborrow().init_tags(index as u32 % 20);
        (0..tags.len()).for_each(|tag| tags.set(tag, "tag"));
        record.init_body().set_bytes(&vec![index as u8; bytes(index)]);
    };
    let sending = async {
        for index in 0..COUNT {
            match index % 5 {
                0 | 1 => sender.feed(|record| build(record, index)).await.unwrap(),
                2 => {
                    let mut message = Builder::new_default();
                    build(message.init_root(), index);
                    sender.feed_message(message).await.unwrap();
                }
                3 => sender.send(|record| build(record, index)).await.unwrap(),
                _ => {
                    let mut loan = sender.loan(bytes(index) as u32 / 8);
                    build(loan.init_root(), index);
                    loan.send().await.unwrap();
                }
            }
        }
        sender.finish().await.unwrap();
    };
    let receiving = async {
        for index in 0..COUNT {
            let message = receiver.recv().await.unwrap().unwrap();
            let record = message.get().unwrap();
            assert_eq!(record.get_value(), index as i64);
            assert_eq!(record.get_tags().unwrap().len(), index as u32 % 20);
            let record::body::Bytes(body) = record.get_body().which().unwrap() else { panic!("no bytes") };
            assert_eq!(body.unwrap(), vec![index as u8; bytes(index)]);
        }
        assert!(receiver.recv().await.unwrap().is_none());
    };
    futures::join!(sending, receiving);
}

async fn loans(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let (mut sender, mut receiver) = connected(transport, folder.path()).await;
    let mut unsent = sender.loan(10);
    fill(unsent.init_root(), 1);
    drop(unsent);
    let sending = async {
        for (value, words) in [(2, 10), (3, 0), (4, 100_000)] {
            let mut loan = sender.loan(words);
            fill(loan.init_root(), value);
            tokio::task::yield_now().await;
            loan.get_root().unwrap().init_body().set_bytes(&vec![3; 90_000]);
            loan.send().await.unwrap();
        }
    };
    let receiving = async {
        for value in 2..5 {
            let message = receiver.recv().await.unwrap().unwrap();
            let record = message.get().unwrap();
            assert_eq!(record.get_value(), value);
            let record::body::Bytes(body) = record.get_body().which().unwrap() else { panic!("no bytes") };
            assert_eq!(body.unwrap(), vec![3; 90_000]);
        }
    };
    futures::join!(sending, receiving);
}

/// Messages that are nothing but bytes, filled in place or copied, of sizes around those of words and blobs.
async fn bytes(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let mut listener = Listener::bind(transport(folder.path()).as_str()).await.unwrap();
    let (sender, receiver) = futures::join!(Sender::connect(listener.address().clone()), listener.accept());
    let (mut sender, mut receiver): (Sender<data::Owned>, Receiver<data::Owned>) = (sender.unwrap(), receiver.unwrap());
    const SIZES: [usize; 9] = [0, 1, 8, 13, 32 << 10, 300_001, 40_000, 1 << 20, 70_007];
    let sending = async {
        for (index, size) in SIZES.into_iter().cycle().take(60).enumerate() {
            let mut loan = sender.loan_bytes(size).unwrap();
            assert_eq!(loan.len(), size);
            loan.fill(index as u8);
            loan.send().await.unwrap();
            drop(sender.loan_bytes(50_000).unwrap());
        }
        let refused = sender.loan_bytes(Limits::DEFAULT.frame_bytes_max);
        assert!(matches!(refused, Err(Error::Limit { limit: "frame_bytes_max", .. })));
        drop(refused);
        sender.finish().await.unwrap();
    };
    let receiving = async {
        for (index, size) in SIZES.into_iter().cycle().take(60).enumerate() {
            let message = receiver.recv().await.unwrap().unwrap();
            assert_eq!(message.get().unwrap(), vec![index as u8; size]);
        }
        assert!(receiver.recv().await.unwrap().is_none());
    };
    futures::join!(sending, receiving);
}

/// A message that was built in a loan is read there, and its memory is used again once it is dropped.
#[test]
fn a_loan_is_read_in_place_by_who_trusts() {
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let (mut sender, mut receiver) = connected_in(Tier::Trusted, folder.path()).await;
        let mut kept = Vec::new();
        for value in 0..100 {
            let mut loan = sender.loan(140_000);
            let mut record = loan.init_root();
            record.set_value(value);
            record.init_body().init_bytes(1 << 20).fill(value as u8);
            loan.send().await.unwrap();
            let message = receiver.recv().await.unwrap().unwrap();
            kept.push(message);
            if kept.len() > 3 {
                // In any order.
                let message = kept.swap_remove(value as usize % 3);
                let record = message.get().unwrap();
                let record::body::Bytes(body) = record.get_body().which().unwrap() else { panic!("no bytes") };
                assert_eq!(body.unwrap(), vec![record.get_value() as u8; 1 << 20]);
                assert_eq!(message.into_inner().into_segments().segments_in_place(), 1);
            }
        }
        let memory = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mapped = memory.lines().filter(|line| line.contains("memfd:shipmate")).count();
        assert!(mapped < 60, "{mapped} regions are mapped: the memory is not used again");
    });
}

/// Larger than any first segment: the value has one of its own, in shared memory too. Only the first message is copied,
/// before which nothing is known.
#[test]
fn a_large_value_is_read_where_it_was_built() {
    const BYTES: usize = 16 << 20;
    local(async {
        for tier in [Tier::Sealed, Tier::Trusted] {
            let folder = tempfile::tempdir().unwrap();
            let (mut sender, mut receiver) = connected_in(tier, folder.path()).await;
            for value in 0..4 {
                let build = |mut record: record::Builder<'_>| {
                    record.set_value(value);
                    record.init_body().init_bytes(BYTES as u32).fill(value as u8);
                };
                let sending = async {
                    match value % 2 {
                        0 => sender.send(build).await.unwrap(),
                        _ => {
                            let mut loan = sender.loan(BYTES as u32 / 8);
                            build(loan.init_root());
                            loan.send().await.unwrap();
                        }
                    }
                };
                let ((), message) = futures::join!(sending, receiver.recv());
                let message = message.unwrap().unwrap();
                let record = message.get().unwrap();
                let record::body::Bytes(body) = record.get_body().which().unwrap() else { panic!("no bytes") };
                assert!(body.unwrap() == vec![value as u8; BYTES]);
                let in_place = message.into_inner().into_segments().segments_in_place();
                assert_eq!(in_place, usize::from(value > 0), "{tier}: message {value}");
            }
        }
    });
}

#[test]
fn senders_and_their_loans_may_go_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn check(sender: &mut Sender<record::Owned>) {
        is_send(sender);
        is_send(&sender.loan(1));
    }
    let _ = check;
}

async fn back_pressure(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    check_back_pressure(connected(transport, folder.path()).await).await;
}

#[test]
fn in_memory() {
    local(async {
        let records = || {
            let (here, there) = memory::pair();
            (Sender::over(here, &Limits::DEFAULT), Receiver::over(there, &Limits::DEFAULT))
        };
        check_order(records()).await;
        check_back_pressure(records()).await;
    });
}

async fn check_order((mut sender, mut receiver): Records) {
    const COUNT: i64 = 5000;
    let sending = async {
        for value in 0..COUNT {
            // Mostly in batches, as `feed` makes them.
            match value % 10 {
                0 => sender.send(|record| fill(record, value)).await.unwrap(),
                _ => sender.feed(|record| fill(record, value)).await.unwrap(),
            }
        }
        sender.finish().await.unwrap();
    };
    let receiving = async {
        for value in 0..COUNT {
            let message = receiver.recv().await.unwrap().unwrap();
            let record = message.get().unwrap();
            assert_eq!(record.get_value(), value);
            assert_eq!(record.get_name().unwrap(), format!("record {value}").as_str());
        }
        assert!(receiver.recv().await.unwrap().is_none());
        assert!(receiver.recv().await.unwrap().is_none());
    };
    futures::join!(sending, receiving);
}

async fn check_back_pressure((mut sender, mut receiver): Records) {
    const COUNT_MAX: i64 = 1000;
    let body = vec![7; 64 << 10];
    let mut sent = 0;
    loop {
        assert!(sent < COUNT_MAX, "nothing holds the sender back");
        let value = sent;
        let sending = sender.send(|mut record| {
            record.set_value(value);
            record.init_body().set_bytes(&body);
        });
        sent += 1;
        if tokio::time::timeout(Duration::from_millis(200), sending).await.is_err() {
            break;
        }
    }
    // The future that was dropped in the middle of a message has not torn it.
    let finishing = sender.finish();
    let receiving = async {
        for value in 0..sent {
            let message = receiver.recv().await.unwrap().unwrap();
            assert_eq!(message.get().unwrap().get_value(), value);
        }
        assert!(receiver.recv().await.unwrap().is_none());
    };
    let (finished, ()) = futures::join!(finishing, receiving);
    finished.unwrap();
}

async fn a_torn_stream(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut receiver) = raw(transport, folder.path(), Limits::DEFAULT).await;
    let good = frame(1, 0);
    writer.write_all(&[&good[..], &good, &good[..good.len() - 3]].concat()).await.unwrap();
    writer.shutdown().await.unwrap();
    drop(writer);
    for _ in 0..2 {
        assert_eq!(receiver.recv().await.unwrap().unwrap().get().unwrap().get_value(), 1);
    }
    for _ in 0..2 {
        let error = receiver.recv().await.err().unwrap();
        assert!(matches!(&error, Error::Protocol { what } if what.contains("the stream ends after")), "{error}");
    }
}

async fn an_oversized_message(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { frame_bytes_max: 4096, ..Limits::DEFAULT };
    let (mut writer, mut receiver) = raw(transport, folder.path(), limits).await;
    writer.write_all(&[frame(1, 0), frame(2, 3000), frame(3, 5000)].concat()).await.unwrap();
    for value in [1, 2] {
        assert_eq!(receiver.recv().await.unwrap().unwrap().get().unwrap().get_value(), value);
    }
    let error = receiver.recv().await.err().unwrap();
    assert!(matches!(error, Error::Limit { limit: "frame_bytes_max", allowed: 4096, .. }), "{error}");
}

async fn senders_one_after_another(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let mut listener = Listener::bind(transport(folder.path()).as_str()).await.unwrap();
    for value in 0..20 {
        let (mut sender, receiver) =
            futures::join!(Sender::<record::Owned>::connect(listener.address().clone()), listener.accept());
        let sender = sender.as_mut().unwrap();
        let mut receiver: Receiver<record::Owned> = receiver.unwrap();
        sender.send(|record| fill(record, value)).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap().get().unwrap().get_value(), value);
    }
}

#[test]
fn too_large_a_message_is_refused_and_the_sender_goes_on() {
    local(async {
        let limits = Limits { frame_bytes_max: 4096, ..Limits::DEFAULT };
        let (here, there) = memory::pair();
        let mut sender = Sender::<record::Owned>::over(here, &limits);
        let mut receiver = Receiver::<record::Owned>::over(there, &limits);
        let large = sender.send(|record| record.init_body().set_bytes(&[0; 5000])).await.unwrap_err();
        assert!(matches!(large, Error::Limit { limit: "frame_bytes_max", .. }), "{large}");
        sender.send(|record| fill(record, 3)).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap().get().unwrap().get_value(), 3);
        drop(receiver);
        let gone = sender.send(|record| fill(record, 4)).await.unwrap_err();
        assert!(matches!(gone, Error::Disconnected { .. }), "{gone}");
    });
}

/// Where Cap'n Proto's own tool is installed: it reads what a sender writes into a FIFO.
#[test]
fn the_capnp_tool_reads_a_fifo() {
    if Command::new("capnp").arg("--version").stdout(Stdio::null()).status().is_err() {
        return eprintln!("skipped: the tool `capnp` is not installed");
    }
    local(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = path.clone();
        let decode = tokio::task::spawn_blocking(move || {
            let fifo = std::fs::File::open(reader).unwrap();
            let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/record.capnp");
            Command::new("capnp").args(["decode", "--short", schema, "Record"]).stdin(fifo).output().unwrap()
        });
        let mut sender = Sender::<record::Owned>::connect(Address::Pipe(path)).await.unwrap();
        for value in [41, 42] {
            sender.send(|record| fill(record, value)).await.unwrap();
        }
        sender.finish().await.unwrap();
        let output = decode.await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains(r#"name = "record 41", value = 41"#), "{text}");
        assert!(lines[1].contains(r#"name = "record 42", value = 42"#), "{text}");
    });
}

async fn connected(transport: Transport, folder: &Path) -> Records {
    let mut listener = Listener::bind(transport(folder).as_str()).await.unwrap();
    let (sender, receiver) = futures::join!(Sender::connect(listener.address().clone()), listener.accept());
    (sender.unwrap(), receiver.unwrap())
}

/// The same, over shared memory in this tier.
async fn connected_in(tier: Tier, folder: &Path) -> Records {
    let options = ListenOptions { tier, ..ListenOptions::default() };
    let address = shm(folder);
    let mut listener = Listener::bind_with(address.as_str(), &options, Limits::DEFAULT).await.unwrap();
    let connecting = Connecting { tier, ..Connecting::default() };
    let connecting = Sender::connect_with(address.as_str(), &connecting, &Limits::DEFAULT);
    let (sender, receiver) = futures::join!(connecting, listener.accept());
    (sender.unwrap(), receiver.unwrap())
}

/// A receiver, and what its sender would write to.
async fn raw(transport: Transport, folder: &Path, limits: Limits) -> (WriteHalf, Receiver<record::Owned>) {
    let address = transport(folder);
    let mut listener = Listener::bind_with(address.as_str(), &ListenOptions::default(), limits).await.unwrap();
    let address = listener.address().clone();
    let writer = async {
        match &address {
            Address::Pipe(path) => pipe::open_writer(path, 0o600).await.unwrap().writer,
            _ => transport::connect(&address).await.unwrap().writer,
        }
    };
    let (writer, receiver) = futures::join!(writer, listener.accept());
    (writer, receiver.unwrap())
}

fn fill(mut record: record::Builder<'_>, value: i64) {
    record.set_value(value);
    record.set_name(format!("record {value}"));
}

fn frame(value: i64, body_bytes: usize) -> Vec<u8> {
    let mut message = Builder::new(HeapAllocator::new());
    let mut record: record::Builder<'_> = message.init_root();
    record.set_value(value);
    record.init_body().set_bytes(&vec![1; body_bytes]);
    capnp::serialize::write_message_to_words(&message)
}
