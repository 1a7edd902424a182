//! The networks that are compared.

pub(crate) mod raw;
mod rpc;
mod stock;

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use shipmate::Address;
use tempfile::TempDir;

pub(crate) use rpc::{Client, multiply, serve_on};

/// How a client talks to its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Network {
    /// Blocking reads and writes of 64 bytes on the same kind of descriptor, no RPC: what waking costs.
    Raw,
    /// `capnp_rpc::twoparty` over buffered tokio streams.
    Stock,
    Shipmate,
}

impl Network {
    pub(crate) const ALL: [Network; 3] = [Network::Raw, Network::Stock, Network::Shipmate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Network::Raw => "raw",
            Network::Stock => "stock",
            Network::Shipmate => "Shipmate",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.name() == name)
    }
}

pub(crate) fn serve(network: Network, address: &Address) {
    match network {
        Network::Raw => raw::serve(address),
        Network::Stock | Network::Shipmate => rpc::serve(network, address),
    }
}

/// Where to listen: at a port that the system chooses, or under this name in the folder.
pub(crate) fn address(transport: &str, folder: &TempDir, name: &str) -> Address {
    let text = match transport {
        "tcp" => "tcp:127.0.0.1:0".into(),
        _ => format!("{transport}:{}/{name}", folder.path().display()),
    };
    text.parse().unwrap()
}

/// The two FIFOs of the networks that have no rendezvous of their own: to the server and from it.
fn fifos(path: &Path) -> (PathBuf, PathBuf) {
    (path.with_extension("up"), path.with_extension("down"))
}

fn make_fifos(path: &Path) -> (PathBuf, PathBuf) {
    let (up, down) = fifos(path);
    for fifo in [&up, &down] {
        mkfifoat(CWD, fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO can be made");
    }
    (up, down)
}

fn local_port(address: &Address) -> (&str, u16) {
    match address {
        Address::Tcp { host, port } => (host, *port),
        _ => unreachable!("asked of TCP addresses only"),
    }
}
