//! Measuring: all ways of a case in turns, since what disturbs a round disturbs those next to it too.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::time::timeout;

use super::calls::Calls;
use super::partner::{Partner, cpu_of_this_process};
use super::plan::{Case, Network, Pattern, Transport, Way};
use super::raw::streams::Raw;
use super::raw::words::Words;
use super::stream::Stream;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    /// For each round of each way.
    pub(super) round: Duration,
    /// Over shared memory: how long who spins looks before it sleeps.
    pub(super) spin: Duration,
    /// How long connecting may take.
    pub(super) connect_max: Duration,
}

/// What one way gave, in one case.
pub(super) struct Measured {
    pub(super) way: Way,
    /// How long each took, in nanoseconds, of all rounds.
    pub(super) took: Histogram<u64>,
    pub(super) rounds: Vec<Round>,
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) count: u64,
    pub(super) elapsed: Duration,
    /// Of both processes.
    pub(super) cpu: Duration,
}

/// Looks at the clock and the processor time of both processes.
pub(super) struct Meter {
    cpu: Duration,
    begin: Instant,
}

/// Beyond its own time, a round that takes this long hangs.
const ROUND_EXTRA_MAX: Duration = Duration::from_secs(30);

/// Measures a case. `tick` is called after each round of each way, the one to warm up included.
pub(super) async fn measure(case: &Case, pace: &Pace, mut tick: impl FnMut()) -> anyhow::Result<Vec<Measured>> {
    let mut lines = Vec::new();
    for &way in &case.ways {
        let name = || format!("over {}", way.name());
        let line = Line::start(way, case, pace).await.with_context(name)?;
        lines.push((
            line,
            Measured { way, took: Histogram::new_with_bounds(1, LONGEST_NANOS, PRECISION)?, rounds: Vec::new() },
        ));
    }
    for round in 0..=pace.rounds {
        for (line, measured) in &mut lines {
            let name = || format!("over {}", measured.way.name());
            let sample = line.round(pace.round, &mut measured.took);
            let sample = timeout(pace.round + ROUND_EXTRA_MAX, sample).await.context("a round hangs");
            let sample = sample.and_then(|sample| sample).with_context(name)?;
            match round {
                // To warm up.
                0 => measured.took.reset(),
                _ => measured.rounds.push(sample),
            }
            tick();
        }
    }
    Ok(lines.into_iter().map(|(_, measured)| measured).collect())
}

/// What the histograms hold: times up to this, in so many significant digits.
const LONGEST_NANOS: u64 = 100_000_000_000;
const PRECISION: u8 = 3;

/// This process's end of a way, and its partner.
enum Line {
    Calls(Calls),
    Stream(Box<Stream>),
    Raw(Raw),
    Words(Words),
}

impl Line {
    async fn start(way: Way, case: &Case, pace: &Pace) -> anyhow::Result<Self> {
        let spin = way.spin(pace.spin);
        Ok(match (way.network, way.transport, case.pattern) {
            (Network::Raw, Transport::Shm, _) => Line::Words(Words::start(way, case).await?),
            (Network::Raw, ..) => Line::Raw(Raw::start(way, case).await?),
            (Network::Shipmate, _, Pattern::OneWay) => {
                let stream = timeout(pace.connect_max, Stream::start(way, case, spin)).await;
                Line::Stream(Box::new(stream.context("the other process does not connect")??))
            }
            (Network::Shipmate, ..) => Line::Calls(Calls::start(way, case, spin, pace.connect_max).await?),
        })
    }

    async fn round(&mut self, time: Duration, into: &mut Histogram<u64>) -> anyhow::Result<Round> {
        match self {
            Line::Calls(calls) => calls.round(time, into).await,
            Line::Stream(stream) => stream.round(time, into).await,
            Line::Raw(raw) => raw.round(time, into).await,
            Line::Words(words) => words.round(time, into).await,
        }
    }
}

impl Meter {
    pub(super) async fn start(partner: &mut Partner) -> anyhow::Result<Self> {
        let cpu = partner.cpu().await? + cpu_of_this_process();
        Ok(Meter { cpu, begin: Instant::now() })
    }

    pub(super) async fn stop(self, count: u64, partner: &mut Partner) -> anyhow::Result<Round> {
        let (elapsed, own) = (self.begin.elapsed(), cpu_of_this_process());
        let cpu = (partner.cpu().await? + own).saturating_sub(self.cpu);
        Ok(Round { count, elapsed, cpu })
    }
}

impl Measured {
    pub(super) fn count(&self) -> u64 {
        self.rounds.iter().map(|round| round.count).sum()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.rounds.iter().map(|round| round.elapsed).sum()
    }

    /// Of both processes, for each call or message, in nanoseconds.
    pub(super) fn cpu_nanos_each(&self) -> f64 {
        let cpu: Duration = self.rounds.iter().map(|round| round.cpu).sum();
        cpu.as_nanos() as f64 / self.count() as f64
    }

    /// Calls or messages in a second: the lowest round, the median one, and the highest.
    pub(super) fn rates(&self) -> [f64; 3] {
        let mut rates: Vec<f64> =
            self.rounds.iter().map(|round| round.count as f64 / round.elapsed.as_secs_f64()).collect();
        rates.sort_unstable_by(f64::total_cmp);
        [rates[0], rates[rates.len() / 2], rates[rates.len() - 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_is_what_counts() {
        let round = |count, millis, cpu| {
            let [elapsed, cpu] = [millis, cpu].map(Duration::from_millis);
            Round { count, elapsed, cpu }
        };
        let rounds = vec![round(100, 100, 50), round(10, 100, 50), round(200, 100, 55)];
        let measured = Measured { way: Way::ALL[0], took: Histogram::new(3).unwrap(), rounds };
        assert_eq!(measured.rates(), [100.0, 1000.0, 2000.0]);
        assert_eq!(measured.count(), 310);
        assert_eq!(measured.cpu_nanos_each(), 500_000.0);
    }
}
