//! Two words in memory that both processes have mapped: one goes there, the other comes back. Who waits for
//! one spins on it, or sleeps in a futex.

use std::fs::{File, OpenOptions};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::futex;
use rustix::time::Timespec;
use shipmate::Tier;

use super::super::measure::{Meter, Round};
use super::super::partner::{self, BenchPartner, Partner, Role};
use super::super::plan::{Case, Wait, Way};
use super::streams::proc_path;

/// This side, and the partner's.
pub(crate) struct Words {
    // The first to go.
    partner: Partner,
    pair: Pair,
    payload: Vec<u8>,
    copy: Vec<u8>,
    /// Payloads that are copied for each hand-over.
    batch: usize,
}

/// The words, and how to wait for them.
struct Pair {
    there: &'static AtomicU32,
    back: &'static AtomicU32,
    wait: Wait,
}

const MEMORY_BYTES: usize = 4096;
/// Processors fetch pairs of lines of 64 bytes.
const APART_BYTES: usize = 128;
/// The partner then waits for the next round on its standard input.
const STOP: u32 = u32::MAX;
/// A partner that takes longer over a turn is not there any more.
const TURN_MAX: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

impl Words {
    pub(crate) async fn start(way: Way, case: &Case) -> anyhow::Result<Self> {
        let file = memfd_create("shipmate-bench", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, MEMORY_BYTES as u64)?;
        let file = File::from(file);
        let pair = Pair::map(&file, way.wait)?;
        let spin = if way.wait == Wait::Spinning { Duration::from_micros(1) } else { Duration::ZERO };
        let folder = Partner::folder()?;
        let mut partner = Partner::start(Role::RawWord, &proc_path(&file), folder, Tier::Copy, spin, case.size)?;
        partner.ready().await?;
        let (payload, copy) = (vec![7; case.size], vec![0; case.size]);
        Ok(Words { partner, pair, payload, copy, batch: case.in_flight })
    }

    pub(crate) async fn round(&mut self, time: Duration, into: &mut Histogram<u64>) -> anyhow::Result<Round> {
        self.pair.there.store(0, Ordering::Release);
        self.pair.back.store(0, Ordering::Release);
        self.partner.run().await?;
        // Until the partner has come, which takes it longer than a turn.
        self.turn(1)?;
        let meter = Meter::start(&mut self.partner).await?;
        let (mut turns, end) = (1, Instant::now() + time);
        while turns == 1 || Instant::now() < end {
            turns += 1;
            let start = Instant::now();
            self.turn(turns)?;
            into.saturating_record_n(start.elapsed().as_nanos() as u64, self.batch as u64);
        }
        let round = meter.stop(u64::from(turns - 1) * self.batch as u64, &mut self.partner).await;
        self.pair.store(self.pair.there, STOP)?;
        self.pair.until(self.pair.back, |word| word == STOP)?;
        round
    }

    fn turn(&mut self, turn: u32) -> anyhow::Result<()> {
        for _ in 0..self.batch {
            self.copy.copy_from_slice(black_box(&self.payload));
            black_box(&self.copy);
        }
        self.pair.store(self.pair.there, turn)?;
        self.pair.until(self.pair.back, |word| word == turn)
    }
}

/// The partner's side.
pub(crate) fn answer(partner: &BenchPartner, rounds: &mpsc::Receiver<()>) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(&partner.address)?;
    let pair = Pair::map(&file, if partner.spin.is_zero() { Wait::Sleeping } else { Wait::Spinning })?;
    partner::ready(&partner.address)?;
    while rounds.recv().is_ok() {
        let mut seen = 0;
        while seen != STOP {
            pair.until(pair.there, |word| word != seen)?;
            seen = pair.there.load(Ordering::Acquire);
            pair.store(pair.back, seen)?;
        }
    }
    Ok(())
}

impl Pair {
    #[allow(unsafe_code, reason = "words that two processes share have no other way to be had")]
    fn map(file: &File, wait: Wait) -> anyhow::Result<Self> {
        let (protection, none) = (ProtFlags::READ | ProtFlags::WRITE, std::ptr::null_mut());
        // SAFETY: the kernel chooses an address that nothing else has.
        let base = unsafe { mmap(none, MEMORY_BYTES, protection, MapFlags::SHARED, file, 0)? }.cast::<u8>();
        // SAFETY: both words lie in the mapping, are aligned, as it begins with a page, and are only used as
        // atomics, on either side. It stays mapped for as long as this process lives.
        let [there, back] = [0, APART_BYTES].map(|at| unsafe { AtomicU32::from_ptr(base.add(at).cast()) });
        Ok(Pair { there, back, wait })
    }

    fn store(&self, word: &AtomicU32, value: u32) -> anyhow::Result<()> {
        word.store(value, Ordering::Release);
        if self.wait == Wait::Sleeping {
            futex::wake(word, futex::Flags::empty(), 1)?;
        }
        Ok(())
    }

    fn until(&self, word: &AtomicU32, holds: impl Fn(u32) -> bool) -> anyhow::Result<()> {
        match self.wait {
            Wait::Sleeping => sleep_until(word, holds),
            Wait::Spinning => spin_until(word, holds),
        }
    }
}

fn sleep_until(word: &AtomicU32, holds: impl Fn(u32) -> bool) -> anyhow::Result<()> {
    loop {
        let value = word.load(Ordering::Acquire);
        if holds(value) {
            return Ok(());
        }
        match futex::wait(word, futex::Flags::empty(), value, Some(&TURN_MAX)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => bail!("wait for the other process: {error}"),
        }
    }
}

fn spin_until(word: &AtomicU32, holds: impl Fn(u32) -> bool) -> anyhow::Result<()> {
    let mut since = None;
    loop {
        for _ in 0..1 << 16 {
            if holds(word.load(Ordering::Acquire)) {
                return Ok(());
            }
            spin_loop();
        }
        // Rarely, so that looking at the clock is not what is measured.
        if since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(TURN_MAX.tv_sec.cast_unsigned()) {
            bail!("wait for the other process: it does not answer");
        }
    }
}
