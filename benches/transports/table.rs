//! The results, in Markdown.

use crate::WORKS;
use crate::common::network::Network;
use crate::common::statistics::{micros, ratio, spread};
use crate::measure::{Sample, Work};

/// What is read off a sample.
struct Measure {
    name: &'static str,
    of: fn(&Sample) -> f64,
    decimals: usize,
}

const P50: Measure = Measure { name: "p50, us", of: |sample| micros(sample.p50), decimals: 1 };
const P99: Measure = Measure { name: "p99, us", of: |sample| micros(sample.p99), decimals: 1 };
const CALLS: Measure = Measure { name: "calls/s", of: calls_a_second, decimals: 0 };
const CPU: Measure =
    Measure { name: "CPU us/call", of: |sample| micros(sample.cpu) / sample.calls as f64, decimals: 1 };
const MEGABYTES: Measure = Measure { name: "MB/s each way", of: megabytes_a_second, decimals: 0 };

pub(crate) fn print(transport: &str, samples: &[Sample]) {
    println!("\n### {transport}\n");
    println!("| work | measure | raw | stock | Shipmate | Shipmate / stock |");
    println!("|---|---|---:|---:|---:|---:|");
    for work in WORKS {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.work == work).collect();
        let (name, measures): (String, &[Measure]) = match work {
            Work::Calls { in_flight: 1 } => ("1 call in flight".into(), &[P50, P99, CALLS, CPU]),
            Work::Spaced { micros } => (format!("1 call, {micros} us after the last"), &[P50, P99]),
            Work::Calls { in_flight } => (format!("{in_flight} calls in flight"), &[CALLS, CPU]),
            Work::Echo { bytes } => (format!("echo of {} KiB", bytes >> 10), &[MEGABYTES, CPU]),
        };
        for measure in measures {
            println!(
                "| {name} | {} |{} {} |",
                measure.name,
                cells(&samples, measure),
                ratio_to_stock(&samples, measure)
            );
        }
    }
}

fn cells(samples: &[&Sample], measure: &Measure) -> String {
    Network::ALL.map(|network| format!(" {} |", cell(&values(samples, network, measure), measure.decimals))).concat()
}

fn cell(values: &[f64], decimals: usize) -> String {
    if values.is_empty() { "-".into() } else { spread(values, decimals) }
}

fn ratio_to_stock(samples: &[&Sample], measure: &Measure) -> String {
    let stock = values(samples, Network::Stock, measure);
    let shipmate = values(samples, Network::Shipmate, measure);
    format!("{:.2}", ratio(&shipmate, &stock))
}

fn values(samples: &[&Sample], network: Network, measure: &Measure) -> Vec<f64> {
    samples.iter().filter(|sample| sample.network == network).map(|sample| (measure.of)(sample)).collect()
}

fn calls_a_second(sample: &Sample) -> f64 {
    sample.calls as f64 / sample.elapsed.as_secs_f64()
}

fn megabytes_a_second(sample: &Sample) -> f64 {
    let Work::Echo { bytes } = sample.work else { unreachable!("asked of echoes only") };
    calls_a_second(sample) * bytes as f64 / 1e6
}
