//! What is measured: the ways between two processes, what goes over them, and which of it is worth running.

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use shipmate::Tier;

use super::units;

/// A way from one process to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    pub(super) network: Network,
    pub(super) transport: Transport,
    /// Over shared memory, with Shipmate.
    pub(super) tier: Option<Tier>,
    pub(super) wait: Wait,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Network {
    Shipmate,
    /// What the kernel, or the processor, has: the limit of what can be built on it.
    Raw,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    Tcp,
    Unix,
    Pipe,
    Shm,
}

/// What a process does that waits for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wait {
    Sleeping,
    /// Looks again and again, for a while, before it sleeps.
    Spinning,
}

/// How the two processes talk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pattern {
    Sequential,
    InFlight,
    OneWay,
}

/// What is measured together, in turns: one pattern and one size over some ways.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) pattern: Pattern,
    pub(super) size: usize,
    /// Calls that are under way at once.
    pub(super) in_flight: usize,
    pub(super) ways: Vec<Way>,
}

/// What is not measured, and why not.
#[derive(Debug, Serialize)]
pub(super) struct NotRun {
    #[serde(serialize_with = "name")]
    pub(super) way: Way,
    pub(super) pattern: Pattern,
    pub(super) size_bytes: usize,
    pub(super) reason: String,
}

/// From here on the parts of a message are handed over by reference, where the tier allows it.
const BLOB_BYTES_MIN: usize = 32 << 10;
/// A message this long at most is cut out of what one read took, which is one more copy.
const CUT_BYTES_MAX: usize = 64 << 10;
/// What is under way at once has no more bytes than this: the limits of a connection are of that order.
const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;
/// Of a stream: how many messages a hand-over of the raw words stands for.
const ONE_WAY_BATCH: usize = 64;

/// The cases, in the order in which they are measured, and what is left out of them.
pub(super) fn cases(
    patterns: &[Pattern],
    sizes: &[usize],
    transports: &[Transport],
    in_flight: usize,
    cpus: usize,
) -> (Vec<Case>, Vec<NotRun>) {
    let (mut cases, mut not_run) = (Vec::new(), Vec::new());
    for &pattern in patterns {
        for &size in sizes {
            let mut ways = Vec::new();
            for way in ways_over(transports) {
                match way.why_not(size, cpus) {
                    None => ways.push(way),
                    Some(reason) => not_run.push(NotRun { way, pattern, size_bytes: size, reason }),
                }
            }
            let most = (IN_FLIGHT_BYTES_MAX / size).max(1);
            let in_flight = match pattern {
                Pattern::Sequential => 1,
                Pattern::InFlight => in_flight.min(most),
                Pattern::OneWay => ONE_WAY_BATCH.min(most),
            };
            cases.push(Case { pattern, size, in_flight, ways });
        }
    }
    (cases, not_run)
}

/// Shipmate's ways, the simplest first, and then the raw ones that are their limits.
fn ways_over(transports: &[Transport]) -> Vec<Way> {
    let mut ways: Vec<Way> = Way::ALL.into_iter().filter(|way| transports.contains(&way.transport)).collect();
    for index in 0..ways.len() {
        let limit = ways[index].limit();
        if !ways.contains(&limit) {
            ways.push(limit);
        }
    }
    ways
}

impl Way {
    /// Shipmate's, the simplest first: with the least to configure, to trust and to pay for.
    pub(super) const ALL: [Way; 9] = [
        Way::socket(Transport::Unix),
        Way::socket(Transport::Tcp),
        Way::socket(Transport::Pipe),
        Way::shm(Tier::Copy, Wait::Sleeping),
        Way::shm(Tier::Copy, Wait::Spinning),
        Way::shm(Tier::Sealed, Wait::Sleeping),
        Way::shm(Tier::Sealed, Wait::Spinning),
        Way::shm(Tier::Trusted, Wait::Sleeping),
        Way::shm(Tier::Trusted, Wait::Spinning),
    ];

    const fn socket(transport: Transport) -> Way {
        Way { network: Network::Shipmate, transport, tier: None, wait: Wait::Sleeping }
    }

    const fn shm(tier: Tier, wait: Wait) -> Way {
        Way { network: Network::Shipmate, transport: Transport::Shm, tier: Some(tier), wait }
    }

    /// The raw way of the same kind, which this one cannot be faster than.
    pub(super) fn limit(self) -> Way {
        Way { network: Network::Raw, tier: None, ..self }
    }

    pub(super) fn name(self) -> String {
        match (self.network, self.transport, self.wait) {
            (Network::Raw, Transport::Shm, Wait::Sleeping) => "raw futex".into(),
            (Network::Raw, Transport::Shm, Wait::Spinning) => "raw spinning".into(),
            (Network::Raw, transport, _) => format!("raw {}", transport.name()),
            (Network::Shipmate, Transport::Shm, wait) => {
                format!("shm {}, {}", self.tier.unwrap_or_default(), wait.name())
            }
            (Network::Shipmate, transport, _) => transport.name().into(),
        }
    }

    /// Its place in tables.
    pub(super) fn order(self) -> usize {
        let place = |way| Way::ALL.iter().position(|&other| other == way);
        let limits = || Way::ALL.iter().position(|other| other.limit() == self).unwrap_or_default();
        place(self).unwrap_or_else(|| Way::ALL.len() + limits())
    }

    /// How often each byte of a payload is copied from where its sender built it to where its receiver reads
    /// it: a property of the way, which docs/bench.md derives.
    pub(super) fn copies(self, pattern: Pattern, size: usize) -> usize {
        let by_ring = match pattern {
            Pattern::Sequential | Pattern::InFlight => 2,
            // A message is built in the ring.
            Pattern::OneWay => 1,
        };
        let cut = usize::from(size <= CUT_BYTES_MAX);
        match (self.network, self.transport, self.tier) {
            (Network::Raw, Transport::Shm, _) => 1,
            (Network::Raw, ..) => 2,
            (_, Transport::Shm, _) if size < BLOB_BYTES_MIN => by_ring + cut,
            (_, Transport::Shm, Some(Tier::Trusted)) => 0,
            (_, Transport::Shm, Some(Tier::Sealed)) if size >= Tier::SEALED_BYTES_MIN => 0,
            (_, Transport::Shm, _) => 1 + cut,
            // Into the kernel, and out of it.
            (_, Transport::Tcp | Transport::Unix | Transport::Pipe, _) => 2 + cut,
        }
    }

    /// Where to meet, in a folder of its own.
    pub(super) fn address(self, folder: &Path) -> String {
        match self.transport {
            Transport::Tcp => "tcp:127.0.0.1:0".to_owned(),
            other => format!("{}:{}", other.name(), folder.join("meet").display()),
        }
    }

    /// How long who waits looks before it sleeps.
    pub(super) fn spin(self, spin: Duration) -> Duration {
        match self.wait {
            Wait::Sleeping => Duration::ZERO,
            Wait::Spinning => spin,
        }
    }

    fn why_not(self, size: usize, cpus: usize) -> Option<String> {
        let (tier, least) = match self.tier {
            Some(Tier::Trusted) => ("trusted", BLOB_BYTES_MIN),
            Some(Tier::Sealed) => ("sealed", Tier::SEALED_BYTES_MIN),
            _ => ("copy", 0),
        };
        if self.wait == Wait::Spinning && cpus < 2 {
            return Some("there is one CPU: while one side spins, the other cannot answer".into());
        }
        (size < least).then(|| format!("the same as copy: {tier} begins at {}", units::bytes(least)))
    }
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Unix => "unix",
            Transport::Pipe => "pipe",
            Transport::Shm => "shm",
        }
    }
}

impl Wait {
    pub(super) fn name(self) -> &'static str {
        match self {
            Wait::Sleeping => "sleeping",
            Wait::Spinning => "spinning",
        }
    }
}

impl Pattern {
    pub(super) const ALL: [Pattern; 3] = [Pattern::Sequential, Pattern::InFlight, Pattern::OneWay];

    /// What is counted.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Pattern::Sequential | Pattern::InFlight => "call",
            Pattern::OneWay => "message",
        }
    }

    pub(super) fn title(self, in_flight: usize) -> String {
        match self {
            Pattern::Sequential => "One call at a time".into(),
            Pattern::InFlight => format!("{in_flight} calls in flight"),
            Pattern::OneWay => "One-way messages".into(),
        }
    }
}

pub(super) fn name<S: Serializer>(way: &Way, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&way.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ways: &[Way]) -> Vec<String> {
        ways.iter().map(|way| way.name()).collect()
    }

    #[test]
    fn each_way_has_its_limit_in_the_same_case() {
        let (cases, not_run) = cases(&Pattern::ALL, &[64, 4 << 20], &[Transport::Unix, Transport::Shm], 64, 2);
        assert_eq!(cases.len(), 6);
        assert_eq!(
            names(&cases[0].ways),
            ["unix", "shm copy, sleeping", "shm copy, spinning", "raw unix", "raw futex", "raw spinning"]
        );
        assert_eq!(cases[1].ways.len(), 10);
        assert!(cases.iter().all(|case| case.ways.iter().all(|way| case.ways.contains(&way.limit()))));
        // Two tiers in two wait modes, of the small size, in each pattern.
        assert_eq!(not_run.len(), 12);
        assert!(not_run.iter().all(|it| it.size_bytes == 64 && it.reason.contains("the same as copy")));
    }

    #[test]
    fn with_one_cpu_nothing_spins_and_the_reason_is_given() {
        let (cases, not_run) = cases(&[Pattern::Sequential], &[4 << 20], &[Transport::Shm], 64, 1);
        assert!(cases[0].ways.iter().all(|way| way.wait == Wait::Sleeping));
        let left_out: Vec<Way> = not_run.iter().map(|it| it.way).collect();
        assert_eq!(left_out.len(), 4);
        assert!(not_run.iter().all(|it| it.reason.contains("one CPU")));
    }

    #[test]
    fn what_is_in_flight_stays_within_a_connections_limits() {
        let (cases, _) = cases(&[Pattern::InFlight], &[64, 1 << 20, 16 << 20, 48 << 20], &[Transport::Tcp], 64, 2);
        let in_flight: Vec<usize> = cases.iter().map(|case| case.in_flight).collect();
        assert_eq!(in_flight, [64, 32, 2, 1]);
    }

    #[test]
    fn copies() {
        let [unix, _, _, copy, _, sealed, _, trusted, _] = Way::ALL;
        let of = |way: Way, size| way.copies(Pattern::Sequential, size);
        assert_eq!([64, 64 << 10, 1 << 20].map(|size| of(unix, size)), [3, 3, 2]);
        assert_eq!([64, 64 << 10, 1 << 20].map(|size| of(copy, size)), [3, 2, 1]);
        assert_eq!([64, 64 << 10, 4 << 20].map(|size| of(sealed, size)), [3, 2, 0]);
        assert_eq!([64, 64 << 10, 1 << 20].map(|size| of(trusted, size)), [3, 0, 0]);
        assert_eq!(copy.copies(Pattern::OneWay, 64), 2);
    }
}
