//! Messages by reference between two sides that met, in every tier; and peers that break the rules.

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use capnp::data;
use capnp::message::{Builder, HeapAllocator, ReaderSegments};
use proptest::prelude::*;
use rustix::fs::SealFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::lending::BLOB_BYTES_MIN;
use super::{Error, Label, Memory, Producer, Region, layout, link, passing};
use crate::frame::{Frame, FrameReader, FrameWriter, Segments};
use crate::message::{Receiver, Sender};
use crate::transport::half::Arena;
use crate::transport::shm::stream::tag;
use crate::transport::{Connecting, ListenOptions, ReadHalf, Stream, Tier, connect_within, listen_within};
use crate::{Address, Limits};

const TIERS: [Tier; 3] = [Tier::Copy, Tier::Sealed, Tier::Trusted];

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("somebody waits for ever")
}

/// A client's stream and the server's, which ask for these tiers.
async fn pair(client: Tier, server: Tier, limits: &Limits) -> (Stream, Stream) {
    let folder = tempfile::tempdir().unwrap();
    let address: Address = format!("shm:{}/socket", folder.path().display()).parse().unwrap();
    let options = ListenOptions { tier: server, ..Default::default() };
    let mut listener = listen_within(&address, &options, limits).await.unwrap();
    let connecting = Connecting { tier: client, ..Default::default() };
    let (connected, accepted) = in_time(async {
        tokio::join!(connect_within(&address, &connecting, limits), async { listener.accept().await?.attach().await })
    })
    .await;
    (connected.unwrap(), accepted.unwrap())
}

/// A message in an arena or on the heap.
enum Message {
    Heap(Builder<HeapAllocator>),
    Arena(Builder<Arena>),
}

impl Segments for Message {
    fn segments(&self) -> capnp::OutputSegments<'_> {
        match self {
            Message::Heap(message) => message.segments(),
            Message::Arena(message) => message.segments(),
        }
    }
}

/// Two payloads, each likely in a segment of its own.
fn message(arena: Option<Arena>, number: usize, lengths: [usize; 2]) -> Message {
    let fill = |mut list: capnp::data_list::Builder<'_>| {
        for (index, length) in lengths.into_iter().enumerate() {
            list.set(index as u32, &vec![number as u8 + index as u8; length]);
        }
    };
    match arena {
        Some(arena) => {
            let mut message = Builder::new(arena);
            fill(message.initn_root(2));
            Message::Arena(message)
        }
        None => {
            let mut message = Builder::new(HeapAllocator::new().first_segment_words(16));
            fill(message.initn_root(2));
            Message::Heap(message)
        }
    }
}

fn check(frame: &capnp::message::Reader<Frame>, number: usize, lengths: [usize; 2]) {
    let list: capnp::data_list::Reader<'_> = frame.get_root().unwrap();
    for (index, length) in lengths.into_iter().enumerate() {
        let payload = list.get(index as u32).unwrap();
        assert_eq!(payload.len(), length);
        assert!(payload.iter().all(|byte| *byte == number as u8 + index as u8), "message {number} changed");
    }
}

fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0usize..4000, 3 => 30_000usize..400_000, 1 => 400_000usize..3_000_000]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is sent, from the heap or an arena, and however long it is kept at the other side, arrives
    /// and stays as it was; with room for little, the rest goes through the ring.
    #[test]
    fn messages_arrive_whole_in_every_tier(
        tier in prop::sample::select(TIERS.to_vec()),
        shared_bytes_max in prop::sample::select(vec![0, 128 << 10, 4 << 20, 64 << 20]),
        messages in prop::collection::vec((any::<bool>(), any_length(), any_length(), 0usize..6), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(in_time(async {
            let limits = Limits { shared_bytes_max, ..Limits::DEFAULT };
            let (client, server) = pair(tier, tier, &limits).await;
            prop_assert_eq!((client.peer.tier, server.peer.tier), (Some(tier), Some(tier)));
            let sent = messages.clone();
            let sending = tokio::spawn(async move {
                let mut writer = FrameWriter::new(client.writer);
                for (number, (arena, first, second, _)) in sent.into_iter().enumerate() {
                    let arena = if arena { writer.arena(16) } else { None };
                    writer.push(message(arena, number, [first, second]));
                    writer.flush().await.unwrap();
                }
                client.reader
            });
            let mut reader = FrameReader::new(server.reader, &limits);
            let mut kept = VecDeque::new();
            for (number, (_, first, second, keep)) in messages.into_iter().enumerate() {
                let frame = reader.next().await.unwrap().unwrap().into_reader(&limits);
                check(&frame, number, [first, second]);
                kept.push_back((frame, number, [first, second]));
                while kept.len() > keep {
                    let (frame, number, lengths) = kept.swap_remove_back(number % kept.len()).unwrap();
                    check(&frame, number, lengths);
                }
            }
            sending.await.unwrap();
            for (frame, number, lengths) in kept {
                check(&frame, number, lengths);
            }
            Ok(())
        }))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Bytes that are lent take a shorter way, once the peer has their memory mapped and nothing is to be waited for.
    #[test]
    fn bytes_arrive_whole_by_either_way(
        tier in prop::sample::select(TIERS.to_vec()),
        shared_bytes_max in prop::sample::select(vec![0, 128 << 10, 4 << 20, 64 << 20]),
        messages in prop::collection::vec((any_length(), 0usize..6, any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(in_time(async {
            let limits = Limits { shared_bytes_max, ..Limits::DEFAULT };
            let (client, server) = pair(tier, tier, &limits).await;
            let sent = messages.clone();
            let sending = tokio::spawn(async move {
                let mut sender = Sender::<data::Owned>::over(client, &limits);
                for (number, (length, _, small)) in sent.into_iter().enumerate() {
                    if small {
                        sender.feed(|_| {}).await.unwrap();
                    }
                    let mut loan = sender.loan_bytes(length).unwrap();
                    loan.fill(number as u8);
                    loan.send().await.unwrap();
                }
                sender.finish().await.unwrap();
            });
            let mut receiver = Receiver::<data::Owned>::over(server, &Limits::DEFAULT);
            let mut kept = VecDeque::new();
            for (number, (length, keep, small)) in messages.into_iter().enumerate() {
                if small {
                    assert!(receiver.recv().await.unwrap().unwrap().get().unwrap().is_empty());
                }
                let message = receiver.recv().await.unwrap().unwrap();
                kept.push_back((message, vec![number as u8; length]));
                while kept.len() > keep {
                    let (message, bytes) = kept.swap_remove_back(number % kept.len()).unwrap();
                    assert!(message.get().unwrap() == bytes, "a message changed");
                }
            }
            assert!(receiver.recv().await.unwrap().is_none());
            sending.await.unwrap();
        }));
    }
}

/// What is filled as a whole is not cleared, and is clear again for who builds a message in it.
#[tokio::test]
async fn memory_is_cleared_for_who_needs_it() {
    let (client, _server) = pair(Tier::Copy, Tier::Copy, &Limits::DEFAULT).await;
    let mut lease = client.writer.lease(60_000, false).unwrap();
    lease.as_mut().fill(7);
    drop(lease);
    let lease = client.writer.lease(40_000, false).unwrap();
    assert_eq!(lease.as_ref(), vec![7; 40_000]);
    drop(lease);
    let mut message = Builder::new(client.writer.arena(8_000).unwrap());
    let built = message.initn_root::<capnp::data::Builder<'_>>(60_000);
    assert_eq!(built, vec![0; 60_000]);
    drop(message);
    client.writer.lease(60_000, false).unwrap().as_mut().fill(7);
    assert_eq!(client.writer.lease(60_000, true).unwrap().as_ref(), vec![0; 60_000]);
    assert_eq!(client.writer.pool().unwrap().bytes(), BLOB_BYTES_MIN, "it was another blob");
}

#[tokio::test]
async fn the_strongest_tier_that_both_take_is_used() {
    for client in TIERS {
        for server in TIERS {
            let (a, b) = pair(client, server, &Limits::DEFAULT).await;
            assert_eq!((a.peer.tier, b.peer.tier), (Some(client.min(server)), Some(client.min(server))));
        }
    }
}

/// In place means that no byte is copied: the peer's frame changes with our memory. (An honest peer does
/// not do this.)
#[tokio::test]
async fn only_trusted_messages_are_read_where_they_were_written() {
    for tier in TIERS {
        let (client, server) = pair(tier, tier, &Limits::DEFAULT).await;
        let mut writer = FrameWriter::new(client.writer);
        let mut reader = FrameReader::new(server.reader, &Limits::DEFAULT);
        for number in 0..3 {
            let message = message(writer.arena(16), number, [100, 100_000]);
            writer.push(message);
            let (sent, frame) = in_time(async { tokio::join!(writer.flush(), reader.next()) }).await;
            sent.unwrap();
            let frame = frame.unwrap().unwrap();
            assert_eq!(frame.segments_in_place(), usize::from(tier == Tier::Trusted), "{tier}");
            check(&frame.into_reader(&Limits::DEFAULT), number, [100, 100_000]);
        }
        let message = message(writer.arena(16), 7, [100, 1_000_000]);
        writer.push(message);
        let (sent, frame) = in_time(async { tokio::join!(writer.flush(), reader.next()) }).await;
        sent.unwrap();
        assert_eq!(frame.unwrap().unwrap().segments_in_place(), usize::from(tier != Tier::Copy), "{tier}");
    }
}

/// Both sides give back what a connection has not used for some seconds.
#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_used_shrinks_to_nothing() {
    for tier in TIERS {
        let (client, server) = pair(tier, tier, &Limits::DEFAULT).await;
        let pool = client.writer.pool().unwrap().clone();
        let mut writer = FrameWriter::new(client.writer);
        let mut reader = FrameReader::new(server.reader, &Limits::DEFAULT);
        for number in 0..8 {
            let message = message(writer.arena(16), number, [100_000, 1_000_000]);
            writer.push(message);
            let (sent, frame) = tokio::join!(writer.flush(), reader.next());
            sent.unwrap();
            let frame = frame.unwrap().unwrap().into_reader(&Limits::DEFAULT);
            assert!(pool.bytes() > 0);
            check(&frame, number, [100_000, 1_000_000]);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(pool.bytes(), 0, "{tier}");
        // It grows again, with the same ids.
        let message = message(writer.arena(16), 9, [100_000, 1_000_000]);
        writer.push(message);
        let (sent, frame) = tokio::join!(writer.flush(), reader.next());
        sent.unwrap();
        check(&frame.unwrap().unwrap().into_reader(&Limits::DEFAULT), 9, [100_000, 1_000_000]);
    }
}

/// Cap'n Proto builds in zeroed memory, and what was there before is of no concern to the next message.
#[tokio::test]
async fn memory_that_is_used_again_is_zero() {
    let (client, _server) = pair(Tier::Copy, Tier::Copy, &Limits::DEFAULT).await;
    let build = |payload: &[u8]| {
        let mut message = Builder::new(client.writer.arena(16).unwrap());
        let root: capnp::data::Builder<'_> = message.initn_root(payload.len() as u32);
        assert!(root.iter().all(|byte| *byte == 0));
        root.copy_from_slice(payload);
        message.get_segments_for_output()[1].as_ptr().addr()
    };
    let first = build(&[7; 50_000]);
    assert_eq!(build(&[8; 60_000]), first, "the memory is used again");
    assert_eq!(build(&[9; 65_536]), first);
}

#[tokio::test]
async fn the_connections_of_a_user_share_a_budget() {
    let limits = Limits { shared_bytes_per_user_max: 300 << 10, ..Limits::DEFAULT };
    let folder = tempfile::tempdir().unwrap();
    let address: Address = format!("shm:{}/socket", folder.path().display()).parse().unwrap();
    let mut listener = listen_within(&address, &ListenOptions::default(), &limits).await.unwrap();
    let mut sides = Vec::new();
    for _ in 0..2 {
        let (client, server) = in_time(async {
            let connecting = Connecting::default();
            tokio::join!(connect_within(&address, &connecting, &limits), async {
                listener.accept().await?.attach().await
            })
        })
        .await;
        sides.push((client.unwrap(), server.unwrap().writer));
    }
    let pools: Vec<_> = sides.iter().map(|(_, writer)| writer.pool().unwrap().clone()).collect();
    let (memory, _) = pools[0].allocate(200 << 10).unwrap();
    assert!(pools[1].allocate(64 << 10).is_none(), "the other connection has it all");
    pools[0].let_go(memory, 0);
    drop((sides, pools));
    let (_client, server) = in_time(async {
        let connecting = Connecting::default();
        tokio::join!(connect_within(&address, &connecting, &limits), async { listener.accept().await?.attach().await })
    })
    .await;
    assert!(server.unwrap().writer.pool().unwrap().allocate(200 << 10).is_some(), "what is gone is given back");
}

/// A peer by hand: it shakes hands as a client, and then writes the records that it likes.
struct Rogue {
    socket: UnixStream,
    producer: Producer,
    theirs: Stream,
    /// Its region, to write what it likes.
    mine: Arc<Region>,
}

impl Rogue {
    async fn meet(tier: Tier) -> Rogue {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let address: Address = format!("shm:{}", path.display()).parse().unwrap();
        let options = ListenOptions { tier, ..Default::default() };
        let limits = Limits { shared_bytes_max: 1 << 20, ..Limits::DEFAULT };
        let mut listener = listen_within(&address, &options, &limits).await.unwrap();
        let client = async {
            let socket = UnixStream::connect(&path).await.unwrap();
            let (mine, file) = Region::create(64 << 10).unwrap();
            let mut hello = b"SHIPMATE-SHM".to_vec();
            for word in [1u32, 7, 16] {
                hello.extend(word.to_le_bytes());
            }
            passing::send(&socket, &hello, &[file.as_fd()]).await.unwrap();
            let descriptors = passing::receive(&socket, &mut [0; 24], 1).await.unwrap();
            let (producer, consumer) = link(mine, Region::receive(&descriptors[0], 1 << 20).unwrap());
            (socket, producer, consumer.mine())
        };
        let ((socket, producer, mine), theirs) =
            in_time(async { tokio::join!(client, async { listener.accept().await.unwrap().attach().await.unwrap() }) })
                .await;
        Rogue { socket, producer, theirs, mine }
    }

    fn record(&mut self, tag: u16, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.bytes(tag, &bytes);
    }

    fn bytes(&mut self, tag: u16, bytes: &[u8]) {
        let mut loan = self.producer.reserve(bytes.len()).unwrap().unwrap();
        loan.write(0, bytes);
        loan.commit(bytes.len(), Label { tag, more: false });
    }

    async fn pass(&self, file: &OwnedFd) {
        passing::send(&self.socket, &[1], &[file.as_fd()]).await.unwrap();
    }

    /// Publishes, and gives what the victim says to that.
    async fn publish(&mut self) -> Error {
        let _ = self.producer.publish();
        passing::send(&self.socket, &[1], &[]).await.unwrap();
        let mut bytes = Vec::new();
        let read = in_time(self.theirs.reader.read_to_end(&mut bytes)).await;
        Error::stream("read", read.expect_err("the victim noticed nothing"))
    }
}

/// A blob as it should be.
fn blob(bytes: usize) -> OwnedFd {
    let (_region, file) = Region::make_blob(bytes).unwrap();
    Region::close_to_writers(&file).unwrap();
    file
}

fn expect_breach(error: &Error, hint: &str) {
    assert!(matches!(error, Error::Protocol { what } if what.contains(hint)), "{hint}: {error}");
}

#[tokio::test]
async fn records_about_blobs_that_make_no_sense_are_breaches() {
    const SIZE: u64 = 64 << 10;
    type Script = (&'static str, usize, Vec<(u16, Vec<u64>)>);
    let scripts: Vec<Script> = vec![
        ("not attached", 0, vec![(tag::BLOB, vec![0, 0, 8])]),
        ("not attached", 0, vec![(tag::DETACH, vec![3])]),
        ("without its descriptor", 0, vec![(tag::ATTACH, vec![0, SIZE])]),
        ("without its descriptor", 1, vec![(tag::ATTACH, vec![0, SIZE]), (tag::ATTACH, vec![1, SIZE])]),
        ("blob id 256", 1, vec![(tag::ATTACH, vec![layout::BLOBS_MAX as u64, SIZE])]),
        ("blob id", 1, vec![(tag::ATTACH, vec![u64::MAX, SIZE])]),
        ("twice", 2, vec![(tag::ATTACH, vec![0, SIZE]), (tag::ATTACH, vec![0, SIZE])]),
        ("a blob of 0 bytes", 1, vec![(tag::ATTACH, vec![0, 0])]),
        ("a blob of 4097 bytes", 1, vec![(tag::ATTACH, vec![0, 4097])]),
        ("announced with 131072", 1, vec![(tag::ATTACH, vec![0, 2 * SIZE])]),
        ("from byte 8", 1, vec![(tag::ATTACH, vec![0, SIZE]), (tag::BLOB, vec![0, 8, SIZE])]),
        ("from byte", 1, vec![(tag::ATTACH, vec![0, SIZE]), (tag::BLOB, vec![0, u64::MAX, 8])]),
        ("0 bytes from", 1, vec![(tag::ATTACH, vec![0, SIZE]), (tag::BLOB, vec![0, 0, 0])]),
        ("not sealed", 1, vec![(tag::SEALED, vec![0, SIZE, 0, 8])]),
        ("the tag 3 and 16 bytes", 0, vec![(tag::BLOB, vec![0, 0])]),
        ("the tag 2 and 40 bytes", 0, vec![(tag::ATTACH, vec![0; 5])]),
        ("unknown tag 6", 0, vec![(6, vec![])]),
    ];
    for (hint, descriptors, records) in scripts {
        let mut rogue = Rogue::meet(Tier::Copy).await;
        for _ in 0..descriptors {
            rogue.pass(&blob(SIZE as usize)).await;
        }
        for (tag, words) in records {
            rogue.record(tag, &words);
        }
        expect_breach(&rogue.publish().await, hint);
    }
}

/// The stream is read in part, and what was lent is not given back before the rest is.
#[tokio::test]
async fn what_is_still_lent_is_neither_lent_again_nor_detached() {
    for (tag, words, hint) in [(tag::BLOB, &[0, 0, 64][..], "lends blob 0"), (tag::DETACH, &[0], "detaches blob 0")] {
        let mut rogue = Rogue::meet(Tier::Trusted).await;
        rogue.pass(&blob(64 << 10)).await;
        rogue.record(tag::ATTACH, &[0, 64 << 10]);
        rogue.record(tag::BLOB, &[0, 0, 64]);
        let _ = rogue.producer.publish();
        let held = std::future::poll_fn(|cx| rogue.theirs.reader.poll_in_place(cx, 64));
        let held = in_time(held).await.unwrap().expect("it is there, in place");
        assert_eq!((*held).as_ref(), [0; 64]);
        rogue.record(tag, words);
        expect_breach(&rogue.publish().await, hint);
    }
}

/// A frame whose only segment is lent comes in one go where its two records say the same, and else as any other.
#[tokio::test]
async fn a_frame_that_is_lent_is_what_both_its_records_say() {
    const BYTES: u64 = 40_000;
    let table = |bytes: u64| (tag::BYTES, ((bytes / 8) << 32).to_le_bytes().to_vec());
    let bytes_of = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let place = |words: [u64; 3]| (tag::BLOB, bytes_of(&words));
    let sealed = |words: [u64; 4]| (tag::SEALED, bytes_of(&words));
    let rest = |bytes| (tag::BYTES, vec![0; bytes]);
    let lent = [table(BYTES), place([0, 0, BYTES])];
    let good = [
        (1, lent.to_vec()),
        (1, vec![table(BYTES), place([0, 16, BYTES])]),
        (0, vec![table(BYTES), place([0, 12, BYTES])]),
        (0, vec![table(BYTES), place([0, 0, BYTES - 4_000]), rest(4_000)]),
        (0, vec![table(BYTES), rest(4_000), place([0, 0, BYTES - 4_000])]),
        (0, vec![(tag::BYTES, [&table(BYTES).1[..], &[0; 8]].concat()), place([0, 0, BYTES - 8])]),
    ];
    let meet = async || {
        let mut rogue = Rogue::meet(Tier::Trusted).await;
        rogue.pass(&blob(64 << 10)).await;
        rogue.record(tag::ATTACH, &[0, 64 << 10]);
        let reads = std::mem::replace(&mut rogue.theirs.reader, ReadHalf::new(tokio::io::empty()));
        (rogue, FrameReader::new(reads, &Limits::DEFAULT))
    };
    let send = async |rogue: &mut Rogue, records: &[(u16, Vec<u8>)]| {
        records.iter().for_each(|(tag, bytes)| rogue.bytes(*tag, bytes));
        let _ = rogue.producer.publish();
        passing::send(&rogue.socket, &[1], &[]).await.unwrap();
    };
    let (mut rogue, mut reader) = meet().await;
    for (in_place, records) in &good {
        send(&mut rogue, records).await;
        let frame = in_time(reader.next()).await.unwrap().unwrap();
        assert_eq!((frame.segments_in_place(), frame.len()), (*in_place, 1));
        assert_eq!(frame.get_segment(0), Some(&[0; BYTES as usize][..]));
    }
    let most = Limits::DEFAULT.frame_bytes_max as u64;
    let bad = [
        ("blob 1, which is not attached", vec![table(BYTES), place([1, 0, BYTES])]),
        ("from byte 32000", vec![table(BYTES), place([0, 32_000, BYTES])]),
        ("lends blob 0", [&lent[..], &lent[..]].concat()),
        ("tag 3 and 16 bytes", vec![table(BYTES), (tag::BLOB, vec![0; 16])]),
        ("frame_bytes_max", vec![table(most), place([0, 0, BYTES])]),
        ("without its descriptor", vec![table(BYTES), sealed([1, 64 << 10, 0, BYTES])]),
        ("attaches blob 0 twice", vec![table(BYTES), sealed([0, 64 << 10, 0, BYTES])]),
    ];
    for (hint, records) in &bad {
        let (mut rogue, mut reader) = meet().await;
        send(&mut rogue, records).await;
        let mut kept = Vec::new();
        let error = loop {
            match in_time(reader.next()).await {
                Ok(frame) => kept.push(frame.unwrap()),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(hint), "{hint}: {error}");
    }
}

#[tokio::test]
async fn descriptors_that_are_no_blobs_are_refused_and_closed() {
    let (mut end, no_memory) = std::io::pipe().map(|(end, writer)| (end, OwnedFd::from(writer))).unwrap();
    let (_unsealed_region, unsealed) = Region::make_blob(64 << 10).unwrap();
    let (_half_sealed_region, half_sealed) = Region::make_blob(64 << 10).unwrap();
    rustix::fs::fcntl_add_seals(&half_sealed, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
    for (file, hint) in [(no_memory, "not a memory file"), (unsealed, "not sealed"), (half_sealed, "not sealed")] {
        let mut rogue = Rogue::meet(Tier::Copy).await;
        rogue.pass(&file).await;
        drop(file);
        rogue.record(tag::ATTACH, &[0, 64 << 10]);
        expect_breach(&rogue.publish().await, hint);
    }
    assert_eq!(end.read(&mut [0]).unwrap(), 0, "the victim has it open");
}

#[tokio::test]
async fn descriptors_without_records_are_a_breach_and_closed() {
    let (mut end, writer) = std::io::pipe().map(|(end, writer)| (end, OwnedFd::from(writer))).unwrap();
    let mut rogue = Rogue::meet(Tier::Copy).await;
    for _ in 0..9 {
        rogue.pass(&writer).await;
    }
    drop(writer);
    expect_breach(&rogue.publish().await, "more descriptors");
    drop(rogue);
    assert_eq!(end.read(&mut [0]).unwrap(), 0, "the victim has them open");
}

#[tokio::test]
async fn a_peer_that_attaches_more_than_it_may_learns_the_limit() {
    let mut rogue = Rogue::meet(Tier::Copy).await;
    for id in 0..2 {
        rogue.pass(&blob(768 << 10)).await;
        rogue.record(tag::ATTACH, &[id, 768 << 10]);
    }
    let error = rogue.publish().await;
    assert!(matches!(error, Error::Limit { limit: "shared_bytes_max", allowed: 0x10_0000, .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_returns_what_it_has_not_is_refused_by_the_next_write() {
    let mut rogue = Rogue::meet(Tier::Copy).await;
    let arena = rogue.theirs.writer.arena(16).unwrap();
    let first = message(Some(arena), 0, [10, 100_000]);
    for segment in first.segments().iter() {
        rogue.theirs.writer.write_all(segment).await.unwrap();
    }
    drop(first);
    rogue.mine.store(layout::RETURNED, 5);
    let arena = rogue.theirs.writer.arena(16).unwrap();
    let second = message(Some(arena), 0, [10, 100_000]);
    let written = rogue.theirs.writer.write_all(second.segments()[0]).await;
    expect_breach(&Error::stream("write", written.unwrap_err()), "returned blob 0 5 times");
}

/// Records need not hold whole words. It was a panic once, when one was read in pieces.
#[tokio::test]
async fn records_of_odd_lengths_are_read_in_pieces() {
    let mut rogue = Rogue::meet(Tier::Copy).await;
    let bytes: Vec<u8> = (0..100).collect();
    rogue.bytes(tag::BYTES, &bytes[..3]);
    rogue.bytes(tag::BYTES, &bytes[3..50]);
    rogue.bytes(tag::BYTES, &bytes[50..]);
    let _ = rogue.producer.publish();
    let mut at = 0;
    for length in [1, 5, 2, 7, 30, 55] {
        let mut read = vec![0; length];
        in_time(rogue.theirs.reader.read_exact(&mut read)).await.unwrap();
        assert_eq!(read, bytes[at..at + length]);
        at += length;
    }
}
