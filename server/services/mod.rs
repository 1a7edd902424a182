//! The services that `shipmated` hosts, by name.

mod arith;
mod calculator;
mod conformance;
mod front;
mod mailbox;

use std::sync::Arc;
use std::time::Instant;

use capnp::capability::{Client, FromServer};
use capnp::traits::HasTypeId;
use shipmate::Limits;
use shipmate::schema::{arith_capnp, calculator_capnp, conformance_capnp, mailbox_capnp, shipmate_capnp};

use self::arith::Arith;
use self::calculator::Calculator;
use self::conformance::Conformance;
use self::front::Front;
use self::mailbox::{Mailbox, MailboxLimits, Mailboxes};

/// What a listener serves unless it is told otherwise.
pub(crate) const DEFAULT_SERVICE: &str = "shipmate";

/// Every service, sorted by name. A further one is a file beside this and an entry here.
pub(crate) static SERVICES: [Service; 5] = [
    Service {
        name: "arith",
        description: "Integer arithmetic whose overflow and division by zero are values, not exceptions.",
        interface_id: arith_capnp::arith::Client::TYPE_ID,
        make: |_| client::<_, arith_capnp::arith::Client>(Arith),
    },
    Service {
        name: "calculator",
        description: "The Cap'n Proto project's sample: expressions, functions and callbacks.",
        interface_id: calculator_capnp::calculator::Client::TYPE_ID,
        make: |_| client::<_, calculator_capnp::calculator::Client>(Calculator::default()),
    },
    Service {
        name: "conformance",
        description: "For tests of clients: every feature that one must have, a method each.",
        interface_id: conformance_capnp::conformance::Client::TYPE_ID,
        make: |host| client::<_, conformance_capnp::conformance::Client>(Conformance::new(host.limits.clone())),
    },
    Service {
        name: "mailbox",
        description: "Named, bounded mailboxes of records, shared by all connections.",
        interface_id: mailbox_capnp::mailbox::Client::TYPE_ID,
        make: |host| client::<_, mailbox_capnp::mailbox::Client>(Mailbox::new(host.mailboxes.clone())),
    },
    Service {
        name: DEFAULT_SERVICE,
        description: "The front door: what this server is, and every other service by its name.",
        interface_id: shipmate_capnp::shipmate::Client::TYPE_ID,
        make: |host| client::<_, shipmate_capnp::shipmate::Client>(Front::new(host.clone())),
    },
];

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    /// What the front door's `get` and `--listen ADDRESS=NAME` take.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) description: &'static str,
    /// The Cap'n Proto id of its interface.
    pub(crate) interface_id: u64,
    make: fn(&Arc<Host>) -> Client,
}

/// What the services of one server share, on all its threads.
pub(crate) struct Host {
    limits: Limits,
    load: Box<dyn Fn() -> Load + Send + Sync>,
    mailboxes: Arc<Mailboxes>,
}

/// Figures of a server.
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) shards: usize,
    pub(crate) started: Instant,
}

impl Service {
    /// The service of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Service> {
        SERVICES.iter().find(|service| service.name == name)
    }

    /// A new object of the service, for one connection.
    pub(crate) fn make(&self, host: &Arc<Host>) -> Client {
        (self.make)(host)
    }
}

impl Host {
    pub(crate) fn new(limits: Limits, load: impl Fn() -> Load + Send + Sync + 'static) -> Self {
        Host { limits, load: Box::new(load), mailboxes: Arc::new(Mailboxes::new(MailboxLimits::default())) }
    }
}

fn client<S, C: FromServer<S>>(server: S) -> Client {
    Client::new(capnp_rpc::new_client::<C, S>(server).into_client_hook())
}
