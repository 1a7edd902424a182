//! `shipmate bench`: measure the transports on this machine, and choose the simplest that is fast enough.

mod advice;
mod calls;
mod document;
mod machine;
mod measure;
mod partner;
mod plan;
mod raw;
mod report;
mod stream;
mod table;
mod units;

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::document::{Document, Settings};
use self::machine::Machine;
use self::measure::Pace;
pub(crate) use self::partner::BenchPartner;
use self::plan::{Case, Pattern, Transport};
use crate::context::{Context, seconds};
use crate::output::Output;

/// Measure the transports on this machine, and choose the simplest that is fast enough
///
/// Two processes of this program talk over each transport, and in the same run over what is below it: sockets
/// and pipes alone, and two words in shared memory. The ways take turns, round after round, so that what
/// disturbs one disturbs all. In the end it says which address to use, what that costs, and when to change it.
///
/// Patterns: `sequential`, one call after the other, each with an argument of the size and a small result;
/// `in-flight`, so many of them at once; `one-way`, a stream of messages of the size, as fast as they are taken.
///
/// `x raw` says how many times the time of the raw way of the same kind a way takes. CPU time is that of both
/// processes. Keep the machine quiet, and mind that a laptop on battery is another machine.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate bench                                  64 bytes, every pattern and transport
  shipmate bench --size 1MiB --pattern one-way
  shipmate bench --sweep --report bench.html      64 bytes to 16 MiB, and a page to look at
  shipmate bench --quick --json | jq '.rows[] | {way, pattern, p50: .latency_ns.p50}'

The fields of the JSON document are explained in docs/bench.md.")]
pub(crate) struct Bench {
    /// The payload, as in 64, 4KiB or 16MiB; may be repeated [default: 64]
    #[arg(short, long, value_name = "BYTES", value_delimiter = ',', value_parser = units::parse_bytes, conflicts_with = "sweep")]
    size: Vec<usize>,

    /// Payloads from 64 bytes to 16 MiB
    #[arg(long)]
    sweep: bool,

    /// How the two processes talk; may be repeated
    #[arg(short, long, value_delimiter = ',', default_value = "all")]
    pattern: Vec<Patterns>,

    /// Calls that are under way at once, in that pattern; fewer of large ones, 32 MiB in all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,

    /// Which transports; may be repeated [default: all]
    #[arg(short, long, value_delimiter = ',')]
    transport: Vec<Transport>,

    /// Where one side spins: how long it looks before it sleeps
    #[arg(long, value_name = "MICROSECONDS", default_value = "50", value_parser = partner::micros)]
    spin: Duration,

    /// About how long to measure in all [default: 30; with --quick 3]
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,

    /// Rounds of each way [default: 5; with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,

    /// A first look, in a few seconds
    #[arg(short, long)]
    quick: bool,

    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,

    /// Write a page to look at as well: one file that needs no other
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Patterns {
    Sequential,
    InFlight,
    OneWay,
    All,
}

const SIZE: usize = 64;
const SWEEP: [usize; 7] = [64, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20];
/// A round that is shorter tells nothing.
const ROUND_MIN: Duration = Duration::from_millis(5);

impl Bench {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let cpus = available_parallelism().map_or(1, Into::into);
        let (patterns, sizes, in_flight) = (self.patterns(), self.sizes(), self.in_flight.into());
        let (cases, not_run) = plan::cases(&patterns, &sizes, &self.transports(), in_flight, cpus);
        let pace = self.pace(&cases, context);
        let settings = Settings::new(&patterns, &sizes, in_flight, &pace);
        let machine = Machine::this();
        let measured_unix_seconds = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        // A place that cannot be written to is better known before half a minute than after it.
        let report = self.report.as_deref().map(|path| report::create(path).map(|file| (path, file))).transpose()?;

        let (mut rows, mut advice) = (Vec::new(), Vec::new());
        let progress = progress(&cases, &pace);
        for case in &cases {
            progress.set_message(format!("{}, {}", case.pattern.title(case.in_flight), units::bytes(case.size)));
            let measured = measure::measure(case, &pace, || progress.inc(1)).await?;
            let of_case = document::rows(case, &measured);
            advice.extend(advice::advise(&of_case, &settings));
            rows.extend(of_case);
        }
        progress.finish_and_clear();

        let (format, version) = (document::FORMAT, env!("CARGO_PKG_VERSION"));
        let document = Document { format, version, measured_unix_seconds, machine, settings, rows, not_run, advice };
        if let Some((path, file)) = report {
            report::write(file, &document).with_context(|| format!("write {}", path.display()))?;
        }
        match self.json {
            true => output.line(serde_json::to_string_pretty(&document)?).await,
            false => output.line(table::text(&document)).await,
        }
    }

    fn patterns(&self) -> Vec<Pattern> {
        let asked = |pattern: &Pattern| {
            let its = match pattern {
                Pattern::Sequential => Patterns::Sequential,
                Pattern::InFlight => Patterns::InFlight,
                Pattern::OneWay => Patterns::OneWay,
            };
            self.pattern.contains(&its) || self.pattern.contains(&Patterns::All)
        };
        Pattern::ALL.into_iter().filter(asked).collect()
    }

    fn sizes(&self) -> Vec<usize> {
        let mut sizes = match (self.sweep, self.size.as_slice()) {
            (true, _) => SWEEP.to_vec(),
            (false, []) => vec![SIZE],
            (false, given) => given.to_vec(),
        };
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn transports(&self) -> Vec<Transport> {
        let all = Transport::value_variants().iter().copied();
        all.filter(|it| self.transport.is_empty() || self.transport.contains(it)).collect()
    }

    fn pace(&self, cases: &[Case], context: &Context) -> Pace {
        let (rounds, seconds) = if self.quick { (3, 3) } else { (5, 30) };
        let rounds = self.rounds.map_or(rounds, usize::from);
        let duration = self.duration.unwrap_or(Duration::from_secs(seconds));
        let slots = cases.iter().map(|case| case.ways.len()).sum::<usize>() * (rounds + 1);
        let round = (duration / slots.max(1) as u32).max(ROUND_MIN);
        Pace { rounds, round, spin: self.spin, connect_max: context.timeout }
    }
}

/// On standard error, if that is a terminal.
fn progress(cases: &[Case], pace: &Pace) -> ProgressBar {
    let slots = cases.iter().map(|case| case.ways.len()).sum::<usize>() * (pace.rounds + 1);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}").expect("the template is well-formed");
    ProgressBar::with_draw_target(Some(slots as u64), ProgressDrawTarget::stderr()).with_style(style)
}
