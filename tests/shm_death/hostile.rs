//! A peer that makes calls like any other while another thread of it writes what it likes into all of its
//! memory, and sends what it likes over the socket: that costs it its connection, and nobody else anything.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;
use shipmate::transport::shm::{Consumer, Memory, Producer, Region, Waiter, doorbell, layout, link, passing};
use shipmate::transport::{ReadHalf, WriteHalf, memory};
use shipmate::{Address, ConnectOptions, Connection, connect, connect_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::{Random, Shipmated, ping};
use crate::usage::Usage;
use crate::{LONG, alone, seeded, within};

/// Hostile peers at a time, each on the thread of one that is not.
const LANES: usize = 3;
const PEERS: usize = 60;
/// What each does to its memory, unless it is thrown out before.
const SCRIBBLES: usize = 3000;

#[test]
fn a_peer_that_scribbles_costs_itself_its_connection() {
    alone(async {
        let mut random = seeded();
        for spin in ["0", "50"] {
            scribble_at(spin, Random(random.next())).await;
        }
    });
}

async fn scribble_at(spin: &str, mut random: Random) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ship");
    let auto = format!("auto:{}", path.display());
    let options = ["--listen", &auto, "--spin", spin, "--shards", "2", "--log-level", "error"];
    let mut server = Shipmated::run(folder, &options);
    let at = |transport: &str| connect(format!("{transport}:{}", path.display()).parse::<Address>().unwrap());
    let witnesses = [at("shm").await.unwrap(), at("auto").await.unwrap(), at("unix").await.unwrap()];
    for witness in &witnesses {
        ping(witness, b"before").await.unwrap();
    }
    let before = Usage::of(server.pid());

    let lanes = (0..LANES).map(|_| {
        let (path, mut random) = (&path, Random(random.next()));
        async move {
            for _ in 0..PEERS / LANES {
                within(hostile_peer(path, Random(random.next()))).await;
            }
        }
    });
    let others = async {
        for bytes in [100, 5_000, 60_000, 300_000].into_iter().cycle() {
            for witness in &witnesses {
                within(ping(witness, &vec![7; bytes])).await.unwrap();
            }
        }
    };
    tokio::select! {
        _ = join_all(lanes) => {}
        () = others => {}
    }
    before.returns(server.pid()).await;
    server.signal(Signal::TERM);
    assert!(within(server.exit()).await.success());
    let log = std::fs::read_to_string(server.folder.path().join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

/// Until it is thrown out, which it will be.
async fn hostile_peer(path: &Path, mut random: Random) {
    let socket = UnixStream::connect(path).await.unwrap();
    let (region, file) = Region::create(4096 << random.below(7)).unwrap();
    let mut hello = *b"SHIPMATE-SHM\x01\0\0\0\x01\0\0\0\0\0\0\0";
    passing::send(&socket, &hello, &[file.as_fd()]).await.unwrap();
    let theirs = passing::receive(&socket, &mut hello, 1).await.unwrap();
    let theirs = Shared(Arc::new(Region::receive(&theirs[0], layout::RING_BYTES_MAX).unwrap()));
    let mine = Shared(Arc::new(region));

    let socket = socket.into_std().unwrap();
    let (bell, scribbled) = (socket.try_clone().unwrap(), mine.clone());
    let (producer, consumer) = link(mine, theirs);
    let (reads, writes) = doorbell(socket, Duration::ZERO).unwrap();
    let (here, there) = memory::pair();
    let connection = connect_stream(here, &ConnectOptions::default());
    let (calling, scribbling) = (Random(random.next()), Random(random.next()));
    let calls = async {
        futures::join!(
            call_until_the_end(&connection, calling),
            send(there.reader, producer, writes),
            receive(there.writer, consumer, reads)
        )
    };
    let scribbler = Scribbler { region: scribbled, socket: bell, random: scribbling };
    let scribble = tokio::task::spawn_blocking(move || scribbler.scribble_until_thrown_out());
    // What becomes of the calls, nobody can tell, not even whether they are answered.
    tokio::select! {
        ended = scribble => ended.unwrap(),
        never = async { let _ = calls.await; std::future::pending().await } => never,
    }
}

async fn call_until_the_end(connection: &Connection, mut random: Random) {
    let front: shipmate::schema::shipmate_capnp::shipmate::Client = connection.bootstrap();
    loop {
        let mut request = front.ping_request();
        request.get().init_payload(random.below(20_000) as u32);
        let (one, other) = futures::join!(request.send().promise, front.info_request().send().promise);
        if one.is_err() || other.is_err() {
            return;
        }
    }
}

/// The bytes of the calls, into the ring.
async fn send(mut from: ReadHalf, mut to: Producer<Shared>, mut waiter: Waiter) -> shipmate::Result<()> {
    let mut bytes = vec![0; 30_000];
    loop {
        let count = from.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        let mut sent = 0;
        while !to.write(&[&bytes[..count]], &mut sent, 0)? {
            if to.publish() {
                waiter.ring()?;
            }
            let next = to.next_part(count - sent);
            waiter.wait(&mut to.room(next)).await?;
        }
        if to.publish() {
            waiter.ring()?;
        }
    }
}

/// The bytes of the replies, out of the ring.
async fn receive(mut to: WriteHalf, mut from: Consumer<Shared>, mut waiter: Waiter) -> shipmate::Result<()> {
    loop {
        waiter.wait(&mut from).await?;
        while let Some(record) = from.receive()? {
            let mut bytes = vec![0; record.bytes()];
            record.copy_to(&mut bytes);
            if to.write_all(&bytes).await.is_err() {
                return Ok(());
            }
        }
        if from.release() {
            waiter.ring()?;
        }
    }
}

/// The thread that does the harm.
struct Scribbler {
    region: Shared,
    socket: StdStream,
    random: Random,
}

impl Scribbler {
    fn scribble_until_thrown_out(mut self) {
        // A peer that does everything at once is thrown out before it comes far.
        let habit = self.random.below(6);
        for _ in 0..SCRIBBLES {
            let offset = self.place(habit);
            let value = self.value(offset);
            self.region.store(offset, value);
            if self.random.below(30) == 0 {
                self.say();
            }
            if self.is_thrown_out(0) {
                return;
            }
        }
        let start = Instant::now();
        while !self.is_thrown_out(1) {
            assert!(start.elapsed() < LONG, "a peer whose index is odd keeps its connection");
            self.region.store(layout::WRITTEN, 1);
            self.say();
        }
    }

    fn place(&mut self, habit: usize) -> usize {
        let wishes = [layout::DATA_WISH, layout::SPACE_WISH];
        match habit {
            0 => wishes[self.random.below(2)],
            1 => layout::READ,
            2 => layout::WRITTEN,
            3 => layout::RING + self.random.below((self.region.bytes() - layout::RING) / 8) * 8,
            // The beginning of the ring, where most headers are.
            4 => layout::RING + self.random.below(64) * 8,
            _ => self.random.below(self.region.bytes() / 8) * 8,
        }
    }

    /// Mostly nearly right, for what is far off is refused at once.
    fn value(&mut self, offset: usize) -> u64 {
        let small = self.random.below(64) as u64;
        match self.random.below(4) {
            0 => self.region.load(offset).wrapping_add(8 * small),
            1 => self.region.load(offset) ^ (1 << small),
            // A header: of so many bytes, and of any kind and tag.
            2 => self.random.below(4096) as u64 | (small % 5) << 32 | (small % 3) << 48,
            _ => self.random.next(),
        }
    }

    /// Bells and noise, sometimes with descriptors.
    fn say(&mut self) {
        let length = 1 + self.random.below(64);
        let noise = self.random.bytes(length);
        let passed = [self.socket.as_fd(); 3];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if self.random.below(4) == 0 {
            control.push(SendAncillaryMessage::ScmRights(&passed[..1 + self.random.below(3)]));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A socket that is full, or at its end, is as well.
        let _ = rustix::net::sendmsg(&self.socket, &[std::io::IoSlice::new(&noise)], &mut control, flags);
    }

    fn is_thrown_out(&self, millis: i64) -> bool {
        let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        let mut socket = [PollFd::new(&self.socket, PollFlags::empty())];
        poll(&mut socket, Some(&time)).unwrap();
        socket[0].revents().contains(PollFlags::HUP)
    }
}

/// A region that two threads of this process write to, and therefore only as atomics.
#[derive(Clone)]
struct Shared(Arc<Region>);

impl Memory for Shared {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn load(&self, offset: usize) -> u64 {
        self.0.load(offset)
    }

    fn store(&self, offset: usize, value: u64) {
        self.0.store(offset, value);
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        self.0.read(offset, to);
    }

    fn write(&self, mut offset: usize, mut from: &[u8]) {
        while !from.is_empty() {
            let (at, inside) = (offset / 8 * 8, offset % 8);
            let count = from.len().min(8 - inside);
            let mut word = self.load(at).to_ne_bytes();
            word[inside..][..count].copy_from_slice(&from[..count]);
            self.store(at, u64::from_ne_bytes(word));
            (offset, from) = (offset + count, &from[count..]);
        }
    }

    fn fence(order: Ordering) {
        Region::fence(order);
    }
}
