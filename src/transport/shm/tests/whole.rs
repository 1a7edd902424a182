//! Regions, passed over a socket, with rings in them and doorbells beside them: between tasks, threads and
//! processes.

use std::future::Future;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::{UnixListener, UnixStream};

use super::{BlockingDoorbell, Consumer, Error, Label, Producer, Region, Waiter, doorbell, link, passing};
use crate::Result;

/// A ring that is full and empty all the time.
const SMALL: usize = 4096;

/// What one side of a connection has.
struct Side {
    producer: Producer,
    consumer: Consumer,
    reads: Waiter,
    writes: Waiter,
}

impl Side {
    /// Exchanges regions over a socket.
    async fn meet(socket: UnixStream, ring_bytes: usize, spin: Duration) -> Result<Side> {
        let (producer, consumer) = exchange(&socket, ring_bytes).await?;
        let (reads, writes) = doorbell(socket.into_std().unwrap(), spin).unwrap();
        Ok(Side { producer, consumer, reads, writes })
    }

    async fn pair(ring_bytes: usize, spin: Duration) -> (Side, Side) {
        let (a, b) = UnixStream::pair().unwrap();
        tokio::try_join!(Side::meet(a, ring_bytes, spin), Side::meet(b, ring_bytes, spin)).unwrap()
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        send(&mut self.producer, &mut self.writes, bytes).await
    }

    async fn receive(&mut self) -> Result<Vec<u8>> {
        receive(&mut self.consumer, &mut self.reads).await
    }
}

async fn exchange(socket: &UnixStream, ring_bytes: usize) -> Result<(Producer, Consumer)> {
    let (mine, file) = Region::create(ring_bytes)?;
    passing::send(socket, b"hello", &[file.as_fd()]).await?;
    let descriptors = passing::receive(socket, &mut [0; 5], 1).await?;
    Ok(link(mine, Region::receive(&descriptors[0], ring_bytes)?))
}

async fn send(producer: &mut Producer, waiter: &mut Waiter, bytes: &[u8]) -> Result<()> {
    let mut sent = 0;
    loop {
        let done = producer.write(&[bytes], &mut sent, 0)?;
        if producer.publish() {
            waiter.ring()?;
        }
        if done {
            return Ok(());
        }
        let part = producer.next_part(bytes.len() - sent);
        waiter.wait(&mut producer.room(part)).await?;
    }
}

/// A message, put together of its parts.
async fn receive(consumer: &mut Consumer, waiter: &mut Waiter) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        waiter.wait(consumer).await?;
        let Some(record) = consumer.receive()? else { continue };
        let filled = message.len();
        message.resize(filled + record.bytes(), 0);
        record.copy_to(&mut message[filled..]);
        let more = record.label().more;
        if consumer.release() {
            waiter.ring()?;
        }
        if !more {
            return Ok(message);
        }
    }
}

/// A lost ring is a wait without end.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("somebody waits for ever")
}

/// Of every size from nothing to several rings.
fn message(number: u32) -> Vec<u8> {
    let length = if number.is_multiple_of(100) { 3 * SMALL + 5 } else { number as usize * 37 % 2500 };
    number.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// Both directions at once, all four halves on threads of their own, and no spinning: each wait sleeps, and
/// the two halves of a side take bells from the same socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_ring_is_lost_between_threads() {
    const MESSAGES: u32 = 3000;
    let (a, b) = Side::pair(SMALL, Duration::ZERO).await;
    let mut halves = tokio::task::JoinSet::new();
    for Side { mut producer, mut consumer, mut reads, mut writes } in [a, b] {
        halves.spawn(async move {
            for number in 0..MESSAGES {
                send(&mut producer, &mut writes, &message(number)).await.unwrap();
            }
            // A side that leaves takes its socket along.
            (Some(writes), None)
        });
        halves.spawn(async move {
            for number in 0..MESSAGES {
                assert_eq!(receive(&mut consumer, &mut reads).await.unwrap(), message(number));
            }
            (None, Some(reads))
        });
    }
    in_time(halves.join_all()).await;
}

#[tokio::test]
async fn messages_go_back_and_forth_on_one_thread() {
    for spin in [Duration::ZERO, Duration::from_micros(5)] {
        let (mut a, mut b) = Side::pair(SMALL, spin).await;
        in_time(async {
            for number in 0..500 {
                a.send(&message(number)[..1000.min(message(number).len())]).await.unwrap();
                let received = b.receive().await.unwrap();
                b.send(&received).await.unwrap();
                assert_eq!(a.receive().await.unwrap(), received);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_published_before_the_end_still_arrives() {
    let (mut a, mut b) = Side::pair(SMALL, Duration::ZERO).await;
    a.send(b"last words").await.unwrap();
    drop(a);
    in_time(async {
        assert_eq!(b.receive().await.unwrap(), b"last words");
        assert!(matches!(b.receive().await, Err(Error::Disconnected { .. })));
    })
    .await;
    assert!(b.writes.has_ended());
    assert!(matches!(b.writes.ring(), Err(Error::Disconnected { .. })));
}

#[tokio::test]
async fn the_end_of_the_peer_wakes_both_halves() {
    let (a, b) = Side::pair(SMALL, Duration::ZERO).await;
    let Side { mut producer, mut consumer, mut reads, mut writes } = b;
    let most = vec![0; producer.record_bytes_max()];
    let writer = tokio::spawn(async move {
        loop {
            if let Err(error) = send(&mut producer, &mut writes, &most).await {
                return error;
            }
        }
    });
    let reader = tokio::spawn(async move { receive(&mut consumer, &mut reads).await.unwrap_err() });
    tokio::task::yield_now().await;
    drop(a);
    let errors = in_time(async { [writer.await.unwrap(), reader.await.unwrap()] }).await;
    assert!(errors.iter().all(|error| matches!(error, Error::Disconnected { .. })), "{errors:?}");
}

#[tokio::test]
async fn a_peer_that_hears_no_bell_blocks_nobody() {
    let (a, mut b) = Side::pair(SMALL, Duration::ZERO).await;
    for _ in 0..100_000 {
        a.reads.ring().unwrap();
    }
    let waits = tokio::time::timeout(Duration::from_millis(1), b.receive()).await;
    assert!(waits.is_err(), "bells are not data");
    let mut a = a;
    a.send(b"data").await.unwrap();
    assert_eq!(in_time(b.receive()).await.unwrap(), b"data");
}

#[tokio::test]
async fn messages_are_built_and_read_in_place() {
    let (mut a, mut b) = Side::pair(SMALL, Duration::ZERO).await;
    for number in 0..10_u8 {
        let mut loan = a.producer.reserve(1000).unwrap().unwrap();
        loan.as_mut_slice()[..500].fill(number);
        loan.commit(500, Label { tag: u16::from(number), more: false });
        let _ = a.producer.publish();
        let held = b.consumer.receive().unwrap().unwrap().hold();
        // SAFETY: `a` writes to the record again only once it is given back.
        let bytes = unsafe { held.as_slice() };
        assert_eq!(bytes, [number; 500]);
        assert!(bytes.as_ptr().cast::<u64>().is_aligned());
        assert_eq!(held.label().tag, u16::from(number));
        b.consumer.give_back(held);
        let _ = b.consumer.release();
    }
}

/// Two blocking sides, as [`messages_go_back_and_forth_on_one_thread`].
fn blocking_echo(producer: &mut Producer, consumer: &mut Consumer, bell: &mut BlockingDoorbell) -> Result<()> {
    let mut bytes = [0; 64];
    blocking_receive(consumer, bell, &mut bytes)?;
    blocking_send(producer, bell, &bytes)
}

fn blocking_send(producer: &mut Producer, bell: &mut BlockingDoorbell, bytes: &[u8]) -> Result<()> {
    bell.wait(&mut producer.room(bytes.len()))?;
    if let Some(mut loan) = producer.reserve(bytes.len())? {
        loan.write(0, bytes);
        loan.commit(bytes.len(), Label::default());
    }
    if producer.publish() {
        bell.ring()?;
    }
    Ok(())
}

fn blocking_receive(consumer: &mut Consumer, bell: &mut BlockingDoorbell, bytes: &mut [u8]) -> Result<()> {
    bell.wait(consumer)?;
    if let Some(record) = consumer.receive()? {
        record.copy_to(bytes);
    }
    if consumer.release() {
        bell.ring()?;
    }
    Ok(())
}

type BlockingSide = (Producer, Consumer, BlockingDoorbell);

async fn blocking_side(socket: UnixStream, spin: Duration) -> Result<BlockingSide> {
    let (producer, consumer) = exchange(&socket, 1 << 16).await?;
    let socket = socket.into_std().map_err(|e| Error::os("test", e))?;
    Ok((producer, consumer, BlockingDoorbell::new(socket, spin)?))
}

#[tokio::test]
async fn threads_that_block_wake_each_other() {
    const ROUNDS: usize = 2000;
    let (a, b) = UnixStream::pair().unwrap();
    let (mine, theirs) = tokio::try_join!(blocking_side(a, Duration::ZERO), blocking_side(b, Duration::ZERO)).unwrap();
    let echo = tokio::task::spawn_blocking(move || {
        let (mut producer, mut consumer, mut bell) = theirs;
        for _ in 0..ROUNDS {
            blocking_echo(&mut producer, &mut consumer, &mut bell).unwrap();
        }
    });
    let ours = tokio::task::spawn_blocking(move || {
        let (mut producer, mut consumer, mut bell) = mine;
        let mut bytes = [0; 64];
        for round in 0..ROUNDS {
            blocking_send(&mut producer, &mut bell, &[round as u8; 64]).unwrap();
            blocking_receive(&mut consumer, &mut bell, &mut bytes).unwrap();
            assert_eq!(bytes, [round as u8; 64]);
        }
        assert!(matches!(bell.wait(&mut consumer), Err(Error::Disconnected { .. })), "the other thread is gone");
    });
    in_time(async { tokio::try_join!(echo, ours).unwrap() }).await;
}

/// The other process of [`a_killed_peer_is_gone_at_once`] and [`round_trips_between_processes`]: this
/// program again, which does nothing unless it is told where to connect.
#[tokio::test]
async fn peer_process() {
    let Some(path) = std::env::var_os(PEER_SOCKET) else { return };
    let socket = UnixStream::connect(PathBuf::from(path)).await.unwrap();
    let (mut producer, mut consumer, mut bell) = blocking_side(socket, SPIN).await.unwrap();
    while blocking_echo(&mut producer, &mut consumer, &mut bell).is_ok() {}
}

const PEER_SOCKET: &str = "SHIPMATE_TEST_PEER_SOCKET";
const SPIN: Duration = Duration::from_micros(20);

/// A process that is killed when it is not needed any more.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start_peer() -> (Peer, UnixStream) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peer.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let test = module_path!().split_once("::").unwrap().1.to_owned() + "::peer_process";
    let program = std::env::current_exe().unwrap();
    let child =
        Command::new(program).args(["--exact", &test]).env(PEER_SOCKET, &path).stdout(Stdio::null()).spawn().unwrap();
    let peer = Peer(child);
    let (socket, _) = in_time(listener.accept()).await.unwrap();
    (peer, socket)
}

#[tokio::test]
async fn a_killed_peer_is_gone_at_once() {
    let (peer, socket) = start_peer().await;
    let mut side = in_time(Side::meet(socket, 1 << 16, Duration::ZERO)).await.unwrap();
    side.send(&[7; 64]).await.unwrap();
    assert_eq!(in_time(side.receive()).await.unwrap(), [7; 64]);
    drop(peer);
    assert!(matches!(in_time(side.receive()).await, Err(Error::Disconnected { .. })));
}

/// How long a round trip of 64 bytes takes, in microseconds: half of them take less.
fn round_trips(side: BlockingSide) -> f64 {
    let (mut producer, mut consumer, mut bell) = side;
    let mut bytes = [7; 64];
    let mut times: Vec<Duration> = (0..200_000)
        .map(|_| {
            let start = Instant::now();
            blocking_send(&mut producer, &mut bell, &bytes).unwrap();
            blocking_receive(&mut consumer, &mut bell, &mut bytes).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[tokio::test]
#[ignore = "prints a time and asserts nothing; it needs two idle processors"]
async fn round_trips_between_threads() {
    for spin in [SPIN, Duration::ZERO] {
        let (a, b) = UnixStream::pair().unwrap();
        let (mine, theirs) = tokio::try_join!(blocking_side(a, spin), blocking_side(b, spin)).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut producer, mut consumer, mut bell) = theirs;
            while blocking_echo(&mut producer, &mut consumer, &mut bell).is_ok() {}
        });
        println!("64 bytes there and back between threads, spinning {spin:?}: p50 {:.3} us", round_trips(mine));
        echo.join().unwrap();
    }
}

#[tokio::test]
#[ignore = "prints a time and asserts nothing; it needs two idle processors"]
async fn round_trips_between_processes() {
    let (_peer, socket) = start_peer().await;
    let side = blocking_side(socket, SPIN).await.unwrap();
    println!("64 bytes there and back between processes, spinning {SPIN:?}: p50 {:.3} us", round_trips(side));
}
