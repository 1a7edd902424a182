//! [`Address`]: where a peer is and how bytes get there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// Where a server listens or a client connects. Written as `transport:place`:
///
/// | form | transport |
/// |---|---|
/// | `tcp:HOST:PORT`, `tcp:[::1]:PORT` | TCP; port 0 asks a listener for any free port |
/// | `unix:/path` | a Unix socket in the file system |
/// | `unix:@name` | a Unix socket in Linux's abstract namespace: no file |
/// | `pipe:/path` | named pipes (FIFOs) |
/// | `shm:/path` | shared memory; the path is that of the Unix socket on which the two sides meet |
/// | `auto:/path` | a Unix socket, and the fastest way from there that both sides have: shared memory, or else the socket |
///
/// Parsing and [`Display`](fmt::Display) are each other's inverse.
///
/// ```
/// use shipmate::Address;
/// let address: Address = "unix:/run/ship.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/ship.sock");
/// assert!("http://ship".parse::<Address>().is_err());
/// # Ok::<(), shipmate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host name or IP address (without brackets) and a port.
    Tcp {
        /// A name or an IP address; an IPv6 one has no brackets here.
        host: String,
        /// 0 asks a listener for any free port.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// The name of a Unix socket in the abstract namespace, without the `@`.
    UnixAbstract(String),
    /// The path of a FIFO.
    Pipe(PathBuf),
    /// The path of the Unix socket on which the two sides of shared memory meet.
    Shm(PathBuf),
    /// The path of a Unix socket, on which the two sides find the fastest way that both have.
    Auto(PathBuf),
}

impl Address {
    /// The word before the colon: the transport's name.
    pub fn transport(&self) -> &'static str {
        match self {
            Address::Tcp { .. } => "tcp",
            Address::Unix(_) | Address::UnixAbstract(_) => "unix",
            Address::Pipe(_) => "pipe",
            Address::Shm(_) => "shm",
            Address::Auto(_) => "auto",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::UnixAbstract(name) => write!(f, "unix:@{name}"),
            Address::Pipe(path) => write!(f, "pipe:{}", path.display()),
            Address::Shm(path) => write!(f, "shm:{}", path.display()),
            Address::Auto(path) => write!(f, "auto:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |expected: &'static str| Error::Address { given: text.to_owned(), expected };
        let (transport, place) = text.split_once(':').ok_or_else(|| refuse(ANY_FORM))?;
        if place.contains('\0') {
            return Err(refuse("a place without NUL bytes"));
        }
        match transport {
            "tcp" => parse_tcp(place).ok_or_else(|| refuse(TCP_FORM)),
            "unix" => match place.strip_prefix('@') {
                Some("") => Err(refuse("unix:@NAME, with a name after the @")),
                Some(name) if name.len() > UNIX_NAME_BYTES_MAX => Err(refuse(UNIX_FORM)),
                Some(name) => Ok(Address::UnixAbstract(name.to_owned())),
                None if place.is_empty() || place.len() > UNIX_NAME_BYTES_MAX => Err(refuse(UNIX_FORM)),
                None => Ok(Address::Unix(PathBuf::from(place))),
            },
            "pipe" if place.is_empty() => Err(refuse("pipe:/path/of/a/fifo")),
            "pipe" => Ok(Address::Pipe(PathBuf::from(place))),
            "shm" if place.is_empty() || place.len() > UNIX_NAME_BYTES_MAX => Err(refuse(SHM_FORM)),
            "shm" => Ok(Address::Shm(PathBuf::from(place))),
            // What looks like an abstract name would be a file in the current folder.
            "auto" if place.is_empty() || place.len() > UNIX_NAME_BYTES_MAX || place.starts_with('@') => {
                Err(refuse(AUTO_FORM))
            }
            "auto" => Ok(Address::Auto(PathBuf::from(place))),
            _ => Err(refuse(ANY_FORM)),
        }
    }
}

impl TryFrom<&str> for Address {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

/// `sockaddr_un.sun_path` has 108 bytes, one of them for the NUL or the abstract marker (unix(7)).
const UNIX_NAME_BYTES_MAX: usize = 107;

const ANY_FORM: &str = "tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path";
const TCP_FORM: &str = "tcp:HOST:PORT, as in tcp:127.0.0.1:7700 or tcp:[::1]:7700";
const AUTO_FORM: &str = "auto:/path, of at most 107 bytes; it has no abstract names";
const SHM_FORM: &str = "shm:/path, of at most 107 bytes";
const UNIX_FORM: &str = "unix:/path or unix:@name, of at most 107 bytes";

fn parse_tcp(place: &str) -> Option<Address> {
    let (host, port) = place.rsplit_once(':')?;
    // `u16::from_str` takes a leading plus sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']')?;
            // A scope such as %eth0 may follow the address.
            let address = inner.split('%').next().unwrap_or_default();
            address.parse::<std::net::Ipv6Addr>().ok()?;
            inner
        }
        None => host,
    };
    let bare_v6 = !place.starts_with('[') && host.contains(':');
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '/' | '@');
    if host.is_empty() || bare_v6 || host.contains(odd) {
        return None;
    }
    Some(Address::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_address() -> impl Strategy<Value = Address> {
        let host = prop_oneof![
            "[a-z][a-z0-9.-]{0,20}",
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        ];
        prop_oneof![
            (host, any::<u16>()).prop_map(|(host, port)| Address::Tcp { host, port }),
            "[^@\0][^\0]{0,20}".prop_map(|path| Address::Unix(path.into())),
            "[^\0]{1,20}".prop_map(Address::UnixAbstract),
            "[^\0]{1,40}".prop_map(|path| Address::Pipe(path.into())),
            "[^\0]{1,20}".prop_map(|path| Address::Shm(path.into())),
            "[^@\0][^\0]{0,20}".prop_map(|path| Address::Auto(path.into())),
        ]
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(address in any_address()) {
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }

        #[test]
        fn whatever_parses_prints_as_it_was(text in "(tcp|unix|pipe|shm|auto):.{0,30}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }

    #[test]
    fn a_wrong_address_is_answered_with_the_right_form() {
        for (given, hint) in [
            ("", "tcp:HOST:PORT"),
            ("localhost:80", "tcp:HOST:PORT"),
            ("http://x", "tcp:HOST:PORT"),
            ("tcp:localhost", "tcp:127.0.0.1:7700"),
            ("tcp:localhost:65536", "tcp:127.0.0.1:7700"),
            ("tcp:localhost:+1", "tcp:127.0.0.1:7700"),
            ("tcp::1", "tcp:127.0.0.1:7700"),
            ("tcp:::1:80", "tcp:[::1]:7700"),
            ("tcp:[::1:80", "tcp:[::1]:7700"),
            ("tcp:[nine]:80", "tcp:[::1]:7700"),
            ("unix:", "unix:/path"),
            ("unix:@", "unix:@NAME"),
            ("pipe:", "pipe:/path"),
            ("shm:", "shm:/path"),
            ("auto:", "auto:/path"),
            ("auto:@ship", "no abstract names"),
        ] {
            let error = given.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(hint), "{given:?}: {error}");
        }
    }
}
