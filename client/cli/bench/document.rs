//! What was found, as one document: what `--json` prints, and what the table and the report are made of.
//! docs/bench.md explains each field.

use hdrhistogram::Histogram;
use serde::Serialize;
use shipmate::Tier;

use super::machine::Machine;
use super::measure::{Measured, Pace};
use super::plan::{self, Case, Network, NotRun, Pattern, Transport, Wait, Way};

#[derive(Serialize)]
pub(super) struct Document {
    /// Changes whenever a program that reads this would have to.
    pub(super) format: &'static str,
    pub(super) version: &'static str,
    pub(super) measured_unix_seconds: u64,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) rows: Vec<Row>,
    pub(super) not_run: Vec<NotRun>,
    pub(super) advice: Vec<Advice>,
}

#[derive(Serialize)]
pub(super) struct Settings {
    pub(super) sizes_bytes: Vec<usize>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) in_flight: usize,
    pub(super) rounds: usize,
    pub(super) round_millis: f64,
    pub(super) spin_micros: u64,
    /// A program that was not optimized measures itself.
    pub(super) optimized: bool,
}

/// One way in one case.
#[derive(Serialize)]
pub(super) struct Row {
    #[serde(serialize_with = "plan::name")]
    pub(super) way: Way,
    pub(super) network: Network,
    pub(super) transport: Transport,
    pub(super) tier: Option<String>,
    pub(super) wait: Wait,
    pub(super) pattern: Pattern,
    pub(super) size_bytes: usize,
    pub(super) in_flight: usize,
    pub(super) count: u64,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) per_second_lowest: f64,
    pub(super) per_second_highest: f64,
    pub(super) bytes_per_second: f64,
    pub(super) latency_ns: Latency,
    /// Parts of all, and how many nanoseconds no more than that part took.
    pub(super) quantiles: Vec<(f64, u64)>,
    pub(super) cpu_ns_each: f64,
    pub(super) copies: usize,
    /// The name of the raw way of the same kind, and how many times its time this one takes.
    pub(super) raw: Option<String>,
    pub(super) times_raw: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) p99_9: u64,
    pub(super) max: u64,
}

/// What to use for a pattern and a size.
#[derive(Serialize)]
pub(super) struct Advice {
    pub(super) pattern: Pattern,
    pub(super) size_bytes: usize,
    #[serde(serialize_with = "plan::name")]
    pub(super) way: Way,
    pub(super) address: &'static str,
    /// What it has, in the unit that counts.
    pub(super) figure: String,
    /// In plain words, a paragraph each: what to use, what it costs, when to change it.
    pub(super) text: Vec<String>,
}

pub(super) const FORMAT: &str = "shipmate-bench-1";

impl Document {
    pub(super) fn warnings(&self) -> Vec<String> {
        let build = "This program was built without optimization: build it with --release before you believe it.";
        let build = (!self.settings.optimized).then(|| build.to_owned());
        build.into_iter().chain(self.machine.warning()).collect()
    }
}

impl Settings {
    pub(super) fn new(patterns: &[Pattern], sizes: &[usize], in_flight: usize, pace: &Pace) -> Self {
        Settings {
            sizes_bytes: sizes.to_vec(),
            patterns: patterns.to_vec(),
            in_flight,
            rounds: pace.rounds,
            round_millis: pace.round.as_secs_f64() * 1e3,
            spin_micros: pace.spin.as_micros() as u64,
            optimized: cfg!(not(debug_assertions)),
        }
    }
}

/// The rows of a case, Shipmate's first.
pub(super) fn rows(case: &Case, measured: &[Measured]) -> Vec<Row> {
    let row = |it: &Measured| {
        let limit = (it.way.network == Network::Shipmate).then(|| it.way.limit());
        let limit = limit.and_then(|limit| measured.iter().find(|other| other.way == limit));
        Row::new(case, it, limit)
    };
    measured.iter().map(row).collect()
}

impl Row {
    fn new(case: &Case, measured: &Measured, limit: Option<&Measured>) -> Self {
        let (way, took) = (measured.way, &measured.took);
        let [lowest, median, highest] = measured.rates();
        let at = |quantile| took.value_at_quantile(quantile);
        Row {
            way,
            network: way.network,
            transport: way.transport,
            tier: way.tier.map(|tier: Tier| tier.to_string()),
            wait: way.wait,
            pattern: case.pattern,
            size_bytes: case.size,
            in_flight: case.in_flight,
            count: measured.count(),
            seconds: measured.elapsed().as_secs_f64(),
            per_second: median,
            per_second_lowest: lowest,
            per_second_highest: highest,
            bytes_per_second: median * case.size as f64,
            latency_ns: Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: took.max() },
            quantiles: quantiles(took),
            cpu_ns_each: measured.cpu_nanos_each(),
            copies: way.copies(case.pattern, case.size),
            raw: limit.map(|limit| limit.way.name()),
            times_raw: limit.map(|limit| times(case.pattern, measured, limit)),
        }
    }
}

/// How much longer one takes than the other: by the median where each is waited for, or else by the rate.
fn times(pattern: Pattern, of: &Measured, to: &Measured) -> f64 {
    match pattern {
        Pattern::Sequential => of.took.value_at_quantile(0.5) as f64 / to.took.value_at_quantile(0.5).max(1) as f64,
        Pattern::InFlight | Pattern::OneWay => to.rates()[1] / of.rates()[1],
    }
}

/// Those quantiles that rest on more than one value.
fn quantiles(took: &Histogram<u64>) -> Vec<(f64, u64)> {
    const QUANTILES: [f64; 14] =
        [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 0.99999];
    let supported = |quantile: &f64| (1.0 - quantile) * took.len() as f64 >= 2.0;
    QUANTILES.into_iter().filter(supported).map(|quantile| (quantile, took.value_at_quantile(quantile))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_quantile_rests_on_a_single_value() {
        let mut took = Histogram::new(3).unwrap();
        for value in 1..=1000 {
            took.record(value).unwrap();
        }
        let of_1000 = quantiles(&took);
        assert_eq!(of_1000.last(), Some(&(0.998, 998)));
        assert!(of_1000.is_sorted_by_key(|&(_, value)| value));
    }
}
