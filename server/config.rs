//! What the command line and the configuration file say, checked and put together.
//!
//! Both are the same [`Settings`]: an option `--max-frame` is the key `max-frame`, and the command line
//! wins.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, ValueEnum};
use serde::Deserialize;
use shipmate::{Address, Limits, Tier};
use tracing_subscriber::EnvFilter;

use crate::services::{DEFAULT_SERVICE, SERVICES, Service};

/// A service is of no use with less.
const FRAME_BYTES_MIN: usize = 4 << 10;

const DRAIN_SECONDS_DEFAULT: u64 = 10;

/// Everything that the program was told, or its default.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: Vec<Listen>,
    pub(crate) until_stdin_ends: bool,
    pub(crate) socket_mode: u32,
    /// 0: one for each CPU.
    pub(crate) shards: usize,
    pub(crate) drain: Duration,
    pub(crate) upgrade: bool,
    pub(crate) spin: Duration,
    pub(crate) shm_tier: Tier,
    /// None: off.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) log: LogFormat,
    /// None: the environment's, or the default.
    pub(crate) log_level: Option<LogLevel>,
}

/// An address and what is served there.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listen {
    pub(crate) address: Address,
    pub(crate) service: &'static Service,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Plain,
    Json,
}

/// A level, or directives as in `RUST_LOG`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LogLevel(pub(crate) String);

/// Hosts Shipmate's services for programs in any language.
#[derive(Parser)]
#[command(name = "shipmated", version, after_help = after_help(), max_term_width = 100)]
struct CommandLine {
    /// Read settings from this TOML file; its keys are the names of the options below
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Shut down when standard input ends, as at a signal: for a program that starts this one and may be killed
    #[arg(long)]
    until_stdin_ends: bool,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Args, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Listen here; may be repeated [default: unix:$XDG_RUNTIME_DIR/shipmate.sock, or
    /// unix:/run/shipmate.sock for root]
    #[arg(long, value_name = "ADDRESS[=SERVICE]")]
    listen: Vec<Listen>,

    /// Permissions of Unix sockets and named pipes, in octal: 600 this user, 660 the group too [default: 600]
    #[arg(long, value_name = "MODE")]
    socket_mode: Option<Mode>,

    /// Threads that serve connections; 0 for one per CPU [default: 0]
    #[arg(long, value_name = "N")]
    shards: Option<u16>,

    /// How long calls may go on after SIGINT or SIGTERM; a second signal ends at once [default: 10]
    #[arg(long, value_name = "SECONDS")]
    drain: Option<u64>,

    /// At unix: addresses, whether a client that asks for shared memory gets it; others see no
    /// difference [default: true]
    #[arg(long, value_name = "BOOL")]
    upgrade: Option<bool>,

    /// Over shared memory, look this long for a client's next call before sleeping: faster answers for
    /// few clients, at the cost of a busy CPU [default: 0]
    #[arg(long, value_name = "MICROSECONDS")]
    spin: Option<u64>,

    /// Over shared memory, how large messages are handed over: copy, sealed, or trusted, which trusts
    /// clients of this user not to change what they have sent; a client must ask for as much [default: copy]
    #[arg(long, value_name = "TIER")]
    shm_tier: Option<ShmTier>,

    /// Ask a client that has been silent this long for a sign of life, and disconnect it when it gives
    /// none within as long again; 0 turns this off [default: 0]
    #[arg(long, value_name = "SECONDS")]
    keepalive: Option<u64>,

    /// Connections open at once; further ones wait [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_connections: Option<NonZeroUsize>,

    /// The largest message accepted [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_frame: Option<Size>,

    /// The most segments in a message [default: 512]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_segments: Option<NonZeroUsize>,

    /// Calls that one connection may have unanswered; beyond it no more are read [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    calls_in_flight: Option<NonZeroUsize>,

    /// Replies that may wait for a slow reader; beyond it no more calls are read [default: 4MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_outgoing: Option<Size>,

    /// Over shared memory, what one connection may have of memory for large messages, each way; beyond it
    /// they are copied through a ring [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    max_shared: Option<Size>,

    /// How log lines on standard error look [default: plain]
    #[arg(long, value_name = "FORMAT", help_heading = "Logs")]
    log: Option<LogFormat>,

    /// error, warn, info, debug, trace or off, or directives as in RUST_LOG [default: $RUST_LOG, or info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    log_level: Option<LogLevel>,
}

/// A tier, by its name.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct ShmTier(Tier);

/// Permission bits, written in octal.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Mode(u32);

/// A number of bytes, which may be written with a binary unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
struct Size(usize);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of bytes or a text such as \"64MiB\"")]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl Config {
    /// The configuration of this process.
    pub(crate) fn of_process() -> Result<Config, clap::Error> {
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR");
        Config::new(std::env::args_os(), default_address(runtime_dir, rustix::process::getuid().is_root()))
    }

    /// An error of this kind is printed, and gives the exit code, by its `exit`.
    fn new(args: impl IntoIterator<Item = OsString>, default: Option<Address>) -> Result<Config, clap::Error> {
        let CommandLine { config, until_stdin_ends, settings } = CommandLine::try_parse_from(args)?;
        let settings = match config {
            Some(path) => settings.or(read(&path)?),
            None => settings,
        };
        Ok(Config { until_stdin_ends, ..settings.check(default)? })
    }
}

impl Settings {
    /// These settings, and for what they do not say, others.
    fn or(self, other: Settings) -> Settings {
        Settings {
            listen: if self.listen.is_empty() { other.listen } else { self.listen },
            socket_mode: self.socket_mode.or(other.socket_mode),
            shards: self.shards.or(other.shards),
            drain: self.drain.or(other.drain),
            upgrade: self.upgrade.or(other.upgrade),
            spin: self.spin.or(other.spin),
            shm_tier: self.shm_tier.or(other.shm_tier),
            keepalive: self.keepalive.or(other.keepalive),
            max_connections: self.max_connections.or(other.max_connections),
            max_frame: self.max_frame.or(other.max_frame),
            max_segments: self.max_segments.or(other.max_segments),
            calls_in_flight: self.calls_in_flight.or(other.calls_in_flight),
            max_outgoing: self.max_outgoing.or(other.max_outgoing),
            max_shared: self.max_shared.or(other.max_shared),
            log: self.log.or(other.log),
            log_level: self.log_level.or(other.log_level),
        }
    }

    fn check(mut self, default: Option<Address>) -> Result<Config, clap::Error> {
        if self.listen.is_empty() {
            let address = default.ok_or_else(|| {
                misuse("name an address with --listen ADDRESS: without XDG_RUNTIME_DIR there is no default".to_owned())
            })?;
            let service = Service::named(DEFAULT_SERVICE).expect("the default service is in the list");
            self.listen.push(Listen { address, service });
        }
        let default = Limits::DEFAULT;
        let limits = Limits {
            connections_max: self.max_connections.map_or(default.connections_max, NonZeroUsize::get),
            frame_bytes_max: self.max_frame.map_or(default.frame_bytes_max, |size| size.0),
            segments_max: self.max_segments.map_or(default.segments_max, NonZeroUsize::get),
            calls_in_flight_max: self.calls_in_flight.map_or(default.calls_in_flight_max, NonZeroUsize::get),
            outgoing_bytes_max: self.max_outgoing.map_or(default.outgoing_bytes_max, |size| size.0),
            shared_bytes_max: self.max_shared.map_or(default.shared_bytes_max, |size| size.0),
            ..default
        };
        if limits.frame_bytes_max < FRAME_BYTES_MIN {
            return Err(misuse(format!("max-frame must be at least {FRAME_BYTES_MIN} bytes")));
        }
        Ok(Config {
            listen: self.listen,
            until_stdin_ends: false,
            socket_mode: self.socket_mode.map_or(0o600, |mode| mode.0),
            shards: self.shards.unwrap_or(0).into(),
            drain: Duration::from_secs(self.drain.unwrap_or(DRAIN_SECONDS_DEFAULT)),
            upgrade: self.upgrade.unwrap_or(true),
            spin: Duration::from_micros(self.spin.unwrap_or(0)),
            shm_tier: self.shm_tier.map_or(Tier::Copy, |tier| tier.0),
            keepalive: self.keepalive.filter(|&seconds| seconds > 0).map(Duration::from_secs),
            limits,
            log: self.log.unwrap_or_default(),
            log_level: self.log_level,
        })
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path that has an equals sign in it is written with its service.
        let (address, service) = text.rsplit_once('=').unwrap_or((text, DEFAULT_SERVICE));
        let service = Service::named(service).ok_or_else(|| {
            let names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
            format!(
                "there is no service {service:?}: write ADDRESS or ADDRESS=SERVICE, with one of {}",
                names.join(", ")
            )
        })?;
        let address = address.parse::<Address>().map_err(|error| error.to_string())?;
        Ok(Listen { address, service })
    }
}

impl FromStr for ShmTier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(ShmTier)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if mode <= 0o777 && digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(Mode(mode)),
            _ => Err("write permissions as three octal digits, as in 660".to_owned()),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a size in bytes or with KiB, MiB or GiB, as in 64MiB".to_owned();
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit: usize = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: usize = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Size).ok_or_else(|| "the size is larger than memory can be".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvFilter::builder().parse(text).map_err(|error| {
            format!("{error}: write error, warn, info, debug, trace or off, or directives such as shipmate=debug")
        })?;
        Ok(LogLevel(text.to_owned()))
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for ShmTier {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for LogLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<NumberOrText> for Size {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        match value {
            NumberOrText::Number(bytes) => {
                usize::try_from(bytes).map(Size).map_err(|_| "the size is larger than memory can be".to_owned())
            }
            NumberOrText::Text(text) => text.parse(),
        }
    }
}

fn read(path: &Path) -> Result<Settings, clap::Error> {
    let refuse = |error: &dyn std::fmt::Display| misuse(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
    toml::from_str(&text).map_err(|error| refuse(&error.to_string().trim_end()))
}

fn misuse(text: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, text + "\n")
}

fn default_address(runtime_dir: Option<OsString>, root: bool) -> Option<Address> {
    match runtime_dir.filter(|dir| !dir.is_empty()) {
        Some(dir) => Some(Address::Unix(PathBuf::from(dir).join("shipmate.sock"))),
        None if root => Some(Address::Unix("/run/shipmate.sock".into())),
        // A well-known name in /tmp could be somebody else's.
        None => None,
    }
}

fn after_help() -> String {
    let services: String =
        SERVICES.iter().map(|service| format!("  {:<12} {}\n", service.name, service.description)).collect();
    format!(
        "\
Addresses:
  tcp:HOST:PORT, tcp:[::1]:PORT   TCP; port 0 takes any free port
  unix:/path, unix:@name          a Unix socket, or one of Linux's abstract names
  pipe:/path                      named pipes
  shm:/path                       shared memory, met on a Unix socket
  auto:/path                      a Unix socket, and shared memory for those who ask for it

Services:
{services}
A connection gets the service of its listener; `{DEFAULT_SERVICE}` when none is named.

Examples:
  shipmated --listen unix:/run/user/1000/ship.sock --socket-mode 660
  shipmated --listen tcp:127.0.0.1:7700 --listen unix:@ship --listen tcp:127.0.0.1:7701=calculator
  shipmated --config /etc/shipmated.toml --log json

A configuration file:
  listen = [\"tcp:127.0.0.1:7700\", \"unix:/run/ship.sock=mailbox\"]
  socket-mode = \"660\"
  max-frame = \"16MiB\"
  drain = 30

Standard output, once every listener is ready:
  shipmated: listening at tcp:127.0.0.1:7700 (shipmate)
  shipmated: ready

Exit codes: 0 after a shutdown by signal or by the end of standard input, 1 when something failed, 2 when the command line or the
configuration is wrong."
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Config, clap::Error> {
        let args = std::iter::once("shipmated").chain(args.iter().copied()).map(OsString::from);
        Config::new(args, Some("unix:/default".parse().unwrap()))
    }

    fn parse_file(text: &str, args: &[&str]) -> Result<Config, clap::Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        parse(&[&["--config", path], args].concat())
    }

    fn listeners(config: &Config) -> Vec<String> {
        config.listen.iter().map(|listen| format!("{} {}", listen.address, listen.service.name)).collect()
    }

    /// What the user reads, and the code that the program ends with.
    fn refusal(outcome: Result<Config, clap::Error>) -> String {
        let error = outcome.expect_err("a refusal");
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn the_command_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let config = parse(&[]).unwrap();
        assert_eq!(listeners(&config), ["unix:/default shipmate"]);
        assert_eq!((config.socket_mode, config.shards, config.drain), (0o600, 0, Duration::from_secs(10)));
        assert_eq!(config.limits, Limits::DEFAULT);
        assert!(config.upgrade);
        assert_eq!((config.log, config.log_level), (LogFormat::Plain, None));
    }

    #[test]
    fn every_option() {
        let config = parse(&[
            "--listen=tcp:[::1]:0",
            "--listen=unix:/a=b=mailbox",
            "--socket-mode=660",
            "--shards=3",
            "--drain=0",
            "--keepalive=20",
            "--upgrade=false",
            "--spin=15",
            "--shm-tier=trusted",
            "--max-connections=5",
            "--max-frame=1MiB",
            "--max-segments=6",
            "--calls-in-flight=7",
            "--max-outgoing=8KiB",
            "--max-shared=9MiB",
            "--log=json",
            "--log-level=shipmate=debug,warn",
        ])
        .unwrap();
        assert_eq!(listeners(&config), ["tcp:[::1]:0 shipmate", "unix:/a=b mailbox"]);
        assert_eq!((config.socket_mode, config.shards, config.drain), (0o660, 3, Duration::ZERO));
        assert_eq!((config.keepalive, config.spin), (Some(Duration::from_secs(20)), Duration::from_micros(15)));
        assert_eq!(config.shm_tier, Tier::Trusted);
        assert!(!config.upgrade);
        let limits = Limits {
            connections_max: 5,
            frame_bytes_max: 1 << 20,
            segments_max: 6,
            calls_in_flight_max: 7,
            outgoing_bytes_max: 8 << 10,
            shared_bytes_max: 9 << 20,
            ..Limits::DEFAULT
        };
        assert_eq!(config.limits, limits);
        assert_eq!(config.log, LogFormat::Json);
        assert_eq!(config.log_level, Some(LogLevel("shipmate=debug,warn".into())));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = "listen = [\"tcp:localhost:1=arith\"]\nsocket-mode = \"640\"\nmax-frame = 8192\nlog = \"json\"\n\
                    max-outgoing = \"2MiB\"\nshards = 2\n";
        let config = parse_file(file, &[]).unwrap();
        assert_eq!(listeners(&config), ["tcp:localhost:1 arith"]);
        assert_eq!((config.socket_mode, config.shards, config.log), (0o640, 2, LogFormat::Json));
        assert_eq!((config.limits.frame_bytes_max, config.limits.outgoing_bytes_max), (8192, 2 << 20));

        let config = parse_file(file, &["--listen=unix:/x", "--max-frame=16KiB", "--log=plain"]).unwrap();
        assert_eq!(listeners(&config), ["unix:/x shipmate"]);
        assert_eq!((config.limits.frame_bytes_max, config.log, config.shards), (16 << 10, LogFormat::Plain, 2));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_right_form() {
        for (args, text) in [
            (&["--listen=localhost:80"][..], "tcp:HOST:PORT"),
            (&["--listen=unix:/x=mailbag"], "arith, calculator, conformance, mailbox, shipmate"),
            (&["--socket-mode=999"], "as in 660"),
            (&["--socket-mode=+660"], "as in 660"),
            (&["--socket-mode=1777"], "as in 660"),
            (&["--max-frame=64MB"], "as in 64MiB"),
            (&["--max-frame=MiB"], "as in 64MiB"),
            (&["--max-frame=99999999999GiB"], "larger than memory"),
            (&["--max-frame=100"], "at least 4096"),
            (&["--max-connections=0"], "zero"),
            (&["--log-level=shipmate=loud"], "trace or off"),
            (&["--log=xml"], "plain, json"),
            (&["--lisen=unix:/x"], "--listen"),
            (&["--config=/no/such/file.toml"], "/no/such/file.toml"),
        ] {
            let refusal = refusal(parse(args));
            assert!(refusal.contains(text), "{args:?}: {refusal}");
        }
        for (file, text) in [
            ("max-frames = 1", "max-frames"),
            ("listen = \"tcp:x\"", "listen"),
            ("listen = [\"tcp:x\"]", "tcp:127.0.0.1:7700"),
            ("max-frame = true", "64MiB"),
            ("max-frame = \"1TB\"", "as in 64MiB"),
            ("max-segments = 0", "nonzero"),
            ("socket-mode = \"rw\"", "as in 660"),
            ("drain = -1", "drain"),
            ("shards 2", "TOML"),
        ] {
            let refusal = refusal(parse_file(file, &[]));
            assert!(refusal.contains(text), "{file}: {refusal}");
        }
    }

    #[test]
    fn the_default_address_is_one_that_nobody_else_can_take() {
        let default = |dir: Option<&str>, root| default_address(dir.map(Into::into), root).map(|a| a.to_string());
        assert_eq!(default(Some("/run/user/7"), false).as_deref(), Some("unix:/run/user/7/shipmate.sock"));
        assert_eq!(default(Some(""), true).as_deref(), Some("unix:/run/shipmate.sock"));
        assert_eq!(default(None, false), None);
        let none = Config::new(["shipmated".into()], None);
        assert!(refusal(none).contains("--listen"));
    }

    #[test]
    fn help_names_every_service() {
        let help = CommandLine::try_parse_from(["shipmated", "--help"]).err().unwrap();
        assert_eq!(help.exit_code(), 0);
        // Lines are wrapped to the terminal.
        let help = help.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        for service in &SERVICES {
            assert!(help.contains(service.description), "{}", service.name);
        }
    }
}
