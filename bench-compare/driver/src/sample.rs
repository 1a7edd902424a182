//! What was measured, and what is made of it.

use crate::peers::Way;
use crate::work::{Figure, Work};

/// Of one work.
pub struct Samples {
    pub work: &'static Work,
    pub rows: Vec<Row>,
}

/// One way of one peer.
pub struct Row {
    pub way: Way,
    pub samples: Vec<Sample>,
    pub failed: Option<String>,
}

/// One round.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub calls_a_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Of both sides, and of whoever stands between them, for each call.
    pub cpu_us: f64,
}

impl Samples {
    pub fn new(work: &'static Work, ways: Vec<Way>) -> Self {
        let rows = ways.into_iter().map(|way| Row { way, samples: vec![], failed: None }).collect();
        Samples { work, rows }
    }

    pub fn measured(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.samples.is_empty())
    }

    /// The best of others than Shipmate over transports of this kind. A sender that is told to collect
    /// messages is no rival of one that is told not to.
    pub fn best_peer(&self, of: &Row) -> Option<&Row> {
        let rivals = self.measured().filter(|row| row.way.is_peer() && row.way.kind == of.way.kind);
        let rivals = rivals.filter(|row| of.way.is_fed() || !row.way.is_fed());
        rivals.max_by(|a, b| f64::total_cmp(&median(&a.speeds(self.work)), &median(&b.speeds(self.work))))
    }

    pub fn raw(&self, of: &Row) -> Option<&Row> {
        self.measured().find(|row| row.way.peer == "raw" && row.way.kind.lowest() == of.way.kind.lowest())
    }

    /// How many times as fast as another: the median over the rounds, of which both ran in turns.
    pub fn faster(&self, row: &Row, than: &Row) -> f64 {
        let pairs = row.speeds(self.work).into_iter().zip(than.speeds(self.work));
        median(&pairs.map(|(speed, than)| speed / than).collect::<Vec<_>>())
    }
}

impl Row {
    /// The work's figure in each round.
    pub fn figures(&self, work: &Work) -> Vec<f64> {
        let figure = |sample: &Sample| match work.figure {
            Figure::Latency => sample.p50_us,
            Figure::Calls | Figure::Messages => sample.calls_a_second,
            Figure::Bandwidth => sample.calls_a_second * work.size as f64 / 1e6,
        };
        self.samples.iter().map(figure).collect()
    }

    /// The same, so that more is better.
    fn speeds(&self, work: &Work) -> Vec<f64> {
        let figures = self.figures(work);
        if work.figure.less_is_better() { figures.iter().map(|figure| 1.0 / figure).collect() } else { figures }
    }

    pub fn each(&self, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
        self.samples.iter().map(value).collect()
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
