//! What to use: the simplest that is fast enough, and what that costs.

use shipmate::Tier;

use super::document::{Advice, Row, Settings};
use super::plan::{Network, Pattern, Transport, Wait, Way};
use super::units::{bytes, rate, time, times};

/// What is no slower than the fastest by more than this is as fast.
const AS_FAST: f64 = 1.1;

/// Chooses among the rows of one case.
pub(super) fn advise(rows: &[Row], settings: &Settings) -> Option<Advice> {
    let ours: Vec<&Row> = rows.iter().filter(|row| row.network == Network::Shipmate).collect();
    let best = ours.iter().copied().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    // The ways are in order of simplicity.
    let choice = ours.iter().copied().find(|row| cost(row) <= cost(best) * AS_FAST)?;
    let text = vec![use_it(choice, &ours), costs(choice, &ours, settings), change_it(choice, &ours)];
    let (address, figure) = (address(choice.way), figure(choice));
    Some(Advice { pattern: choice.pattern, size_bytes: choice.size_bytes, way: choice.way, address, figure, text })
}

/// The time that counts, of each. Where each is waited for, that is the median, unless so many take longer that
/// the average is worse: two processes that spin on one CPU have a fine median.
fn cost(row: &Row) -> f64 {
    let average = 1e9 / row.per_second;
    match row.pattern {
        Pattern::Sequential => average.max(row.latency_ns.p50 as f64),
        Pattern::InFlight | Pattern::OneWay => average,
    }
}

fn figure(row: &Row) -> String {
    match row.pattern {
        Pattern::Sequential => {
            let [median, most] = [row.latency_ns.p50, row.latency_ns.p99].map(|nanos| time(nanos as f64));
            format!("{median} a call (99 %: {most})")
        }
        _ => format!("{} {}s a second", rate(row.per_second), row.pattern.unit()),
    }
}

fn address(way: Way) -> &'static str {
    match way.transport {
        Transport::Tcp => "tcp:HOST:PORT",
        Transport::Unix => "unix:/path",
        Transport::Pipe => "pipe:/path",
        Transport::Shm => "shm:/path",
    }
}

fn use_it(choice: &Row, ours: &[&Row]) -> String {
    let what = format!(
        "{} of {}: use {}{}, with {}.",
        choice.pattern.title(choice.in_flight),
        bytes(choice.size_bytes),
        address(choice.way),
        how(choice.way),
        figure(choice)
    );
    let others = ours.iter().copied().filter(|row| row.way != choice.way);
    let next = others.min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let unix = ours.iter().copied().find(|row| row.transport == Transport::Unix && row.way != choice.way);
    match (unix, next) {
        (_, Some(next)) if cost(next) <= cost(choice) => format!(
            "{what} The fastest is {}, with {}: no more than 10 % better, and this is simpler.",
            next.way.name(),
            figure(next)
        ),
        (Some(other), _) | (None, Some(other)) => {
            let factor = cost(other) / cost(choice);
            let than = if factor < 1.05 {
                "about the same".into()
            } else {
                format!("this is {} times as fast", times(factor))
            };
            format!("{what} With {} it is {}: {than}.", other.way.name(), figure(other))
        }
        (None, None) => format!("{what} Nothing else was measured."),
    }
}

/// What has to be set for it.
fn how(way: Way) -> String {
    match (way.tier, way.wait) {
        (None, _) => String::new(),
        (Some(Tier::Copy), wait) => format!(" {}", wait.name()),
        (Some(tier), wait) => format!(" {} with the tier {tier}", wait.name()),
    }
}

fn costs(choice: &Row, ours: &[&Row], settings: &Settings) -> String {
    let unit = choice.pattern.unit();
    let cpu = |row: &Row| time(row.cpu_ns_each);
    let mut text = format!("It costs {} of CPU time a {unit}, of both processes together", cpu(choice));
    if let Some(unix) = ours.iter().find(|row| row.transport == Transport::Unix && row.way != choice.way) {
        text += &format!(" (unix: {})", cpu(unix));
    }
    text += ".";
    if choice.wait == Wait::Spinning {
        let micros = settings.spin_micros;
        text += &format!(
            " Spinning keeps a CPU busy on each side for up to {micros} µs whenever it waits, and pays only while both \
             sides have one to themselves. Set it on both: `shipmated --spin {micros}` or `ListenOptions::spin`, and \
             `ConnectOptions::spin`."
        );
    }
    if let Some(tier) = choice.tier.as_deref().filter(|&tier| tier != "copy") {
        text += &format!(
            " Both sides must ask for the tier: `--shm-tier {tier}`, `ListenOptions::tier`, `ConnectOptions::tier`."
        );
    }
    text
}

/// What would make another one the right one.
fn change_it(choice: &Row, ours: &[&Row]) -> String {
    let sleeping =
        |row: &&&Row| row.tier == choice.tier && row.transport == choice.transport && row.wait == Wait::Sleeping;
    let slower = |row: &Row| format!("{} times the time", times(cost(row) / cost(choice)));
    match (choice.transport, choice.wait) {
        (Transport::Tcp, _) => "It is the one that also reaches other machines.".into(),
        (Transport::Unix, _) => {
            "Change it to tcp:HOST:PORT when the two are on different machines; nothing else changes. Measure again \
             when what you send, or how, has changed."
                .into()
        }
        (Transport::Pipe, _) => {
            "Change it to unix:/path when clients in other languages come too, and to tcp:HOST:PORT for other machines."
                .into()
        }
        (Transport::Shm, wait) => {
            let mut text = String::from(
                "Change it to tcp:HOST:PORT when the two are on different machines; auto:/path takes shared memory \
                 where both sides have it, and else the Unix socket.",
            );
            if wait == Wait::Spinning
                && let Some(row) = ours.iter().find(sleeping)
            {
                text += &format!(" Let it sleep when there are no CPUs to spare: {}.", slower(row));
            }
            if choice.tier.as_deref() == Some("trusted") {
                text += " Do not use trusted with a process that you would not let write into your own memory.";
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use std::time::Duration;

    use super::super::document;
    use super::super::measure::{Measured, Pace, Round};
    use super::super::plan::Case;
    use super::*;

    const UNIX: usize = 0;
    const TCP: usize = 1;
    const SHM_SLEEPING: usize = 3;
    const SHM_SPINNING: usize = 4;
    const TRUSTED_SPINNING: usize = 8;

    /// Advice where each call over a way takes so many microseconds, of which so many are processor time.
    fn advice(pattern: Pattern, ways: &[(usize, u64, u64)]) -> Advice {
        advise_among(pattern, ways.iter().map(|&(way, micros, cpu)| measured(Way::ALL[way], micros, cpu)).collect())
    }

    fn advise_among(pattern: Pattern, measured: Vec<Measured>) -> Advice {
        let case = Case { pattern, size: 64, in_flight: 64, ways: measured.iter().map(|it| it.way).collect() };
        let [round, spin] = [Duration::from_millis(10), Duration::from_micros(50)];
        let pace = Pace { rounds: 1, round, spin, connect_max: round };
        let settings = Settings::new(&[pattern], &[64], 64, &pace);
        advise(&document::rows(&case, &measured), &settings).unwrap()
    }

    fn measured(way: Way, micros: u64, cpu: u64) -> Measured {
        let mut took = Histogram::new(3).unwrap();
        took.record_n(micros * 1000, 1000).unwrap();
        let [elapsed, cpu] = [micros, cpu].map(|micros| Duration::from_micros(micros * 1000));
        Measured { way, took, rounds: vec![Round { count: 1000, elapsed, cpu }] }
    }

    #[test]
    fn the_simplest_is_chosen_where_the_fastest_is_hardly_faster() {
        for pattern in Pattern::ALL {
            let advice = advice(pattern, &[(UNIX, 109, 50), (TCP, 150, 60), (SHM_SPINNING, 100, 150)]);
            assert_eq!(advice.address, "unix:/path");
            assert!(
                advice.text[0].contains("shm copy, spinning") && advice.text[0].contains("simpler"),
                "{:?}",
                advice.text
            );
        }
    }

    #[test]
    fn what_is_much_faster_is_chosen_and_its_price_is_named() {
        let advice = advice(Pattern::Sequential, &[(UNIX, 60, 50), (SHM_SLEEPING, 50, 40), (SHM_SPINNING, 6, 12)]);
        assert_eq!((advice.address, advice.way), ("shm:/path", Way::ALL[SHM_SPINNING]));
        let text = advice.text.join(" ");
        assert!(text.contains("10 times as fast"), "{text}");
        assert!(text.contains("12.0 µs of CPU time a call") && text.contains("(unix: 50.0 µs)"), "{text}");
        assert!(text.contains("--spin 50"), "{text}");
        assert!(text.contains("8.3 times the time"), "{text}");
    }

    #[test]
    fn the_stronger_tier_must_win_by_more_than_a_little() {
        let ways = [(UNIX, 600, 500), (SHM_SPINNING, 105, 100), (TRUSTED_SPINNING, 100, 100)];
        assert_eq!(advice(Pattern::OneWay, &ways).way, Way::ALL[SHM_SPINNING]);
        let ways = [(UNIX, 600, 500), (SHM_SPINNING, 200, 100), (TRUSTED_SPINNING, 100, 100)];
        let advice = advice(Pattern::OneWay, &ways);
        assert_eq!(advice.way, Way::ALL[TRUSTED_SPINNING]);
        assert!(advice.text.join(" ").contains("--shm-tier trusted"), "{:?}", advice.text);
    }

    #[test]
    fn a_fine_median_does_not_hide_a_bad_average() {
        let mut spinning = measured(Way::ALL[SHM_SPINNING], 6, 12);
        spinning.rounds[0].elapsed *= 20;
        assert_eq!(
            advise_among(Pattern::Sequential, vec![measured(Way::ALL[UNIX], 60, 50), spinning]).way,
            Way::ALL[UNIX]
        );
    }

    #[test]
    fn one_way_alone_is_no_choice() {
        let advice = advice(Pattern::InFlight, &[(TCP, 10, 10)]);
        assert_eq!(advice.address, "tcp:HOST:PORT");
        assert!(advice.text[0].contains("Nothing else was measured"));
    }
}
