//! Calls: an argument of some size, and a small result.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use shipmate::schema::conformance_capnp::conformance;
use shipmate::{ConnectOptions, Connection, ListenOptions, Server, ServerOptions, connect_with};
use tokio::task::JoinSet;

use super::measure::{Meter, Round};
use super::partner::{self, BenchPartner, Partner, Role};
use super::plan::{Case, Way};

/// The caller's side, and the server.
pub(super) struct Calls {
    // The first to go.
    partner: Partner,
    client: conformance::Client,
    payload: Rc<[u8]>,
    in_flight: usize,
    _connection: Connection,
}

impl Calls {
    pub(super) async fn start(way: Way, case: &Case, spin: Duration, time_max: Duration) -> anyhow::Result<Self> {
        let (folder, tier) = (Partner::folder()?, way.tier.unwrap_or_default());
        let address = way.address(folder.path());
        let mut partner = Partner::start(Role::Serve, &address, folder, tier, spin, case.size)?;
        let address: shipmate::Address = partner.ready().await?.parse()?;
        // Between rounds this thread may be in a blocking read for a while.
        let options = ConnectOptions { spin, tier, timeout: time_max, keepalive: None, ..ConnectOptions::default() };
        let connection = connect_with(address, &options).await?;
        let (client, payload) = (connection.bootstrap(), vec![7; case.size].into());
        Ok(Calls { partner, client, payload, in_flight: case.in_flight, _connection: connection })
    }

    pub(super) async fn round(&mut self, time: Duration, into: &mut Histogram<u64>) -> anyhow::Result<Round> {
        let meter = Meter::start(&mut self.partner).await?;
        let took = Rc::new(RefCell::new(std::mem::replace(into, Histogram::new(1)?)));
        let before = took.borrow().len();
        let end = Instant::now() + time;
        // Tasks of their own, so that whatever else this thread waits for is not looked at for each call.
        let mut callers = JoinSet::new();
        for _ in 0..self.in_flight {
            callers.spawn_local(call(self.client.clone(), self.payload.clone(), end, took.clone()));
        }
        while let Some(result) = callers.join_next().await {
            result??;
        }
        *into = Rc::into_inner(took).context("all callers have returned")?.into_inner();
        let count = into.len() - before;
        meter.stop(count, &mut self.partner).await
    }
}

/// Calls again and again, at least once.
async fn call(
    client: conformance::Client,
    payload: Rc<[u8]>,
    end: Instant,
    took: Rc<RefCell<Histogram<u64>>>,
) -> anyhow::Result<()> {
    let expected = sum(&payload);
    loop {
        let start = Instant::now();
        let mut request = client.data_request();
        request.get().set_value(&payload);
        let response = request.send().promise.await?;
        anyhow::ensure!(response.get()?.get_sum() == expected, "the answer is wrong");
        took.borrow_mut().saturating_record(start.elapsed().as_nanos() as u64);
        if Instant::now() >= end {
            return Ok(());
        }
    }
}

/// The partner's side.
pub(super) async fn serve(partner: &BenchPartner) -> anyhow::Result<()> {
    let mut server = Server::new(ServerOptions { shards: 1, ..ServerOptions::default() });
    let options = ListenOptions { spin: partner.spin, tier: partner.tier, ..ListenOptions::default() };
    let bootstrap = |_: &shipmate::Peer| -> conformance::Client { capnp_rpc::new_client(Sink) };
    let address = server.listen(&partner.address.parse()?, &options, bootstrap).await?;
    partner::ready(&address.to_string())?;
    Ok(server.serve(pending()).await?)
}

/// Takes an argument, looks at a byte of each page, and answers with a number.
struct Sink;

impl conformance::Server for Sink {
    async fn data(
        self: Rc<Self>,
        params: conformance::DataParams,
        mut results: conformance::DataResults,
    ) -> capnp::Result<()> {
        results.get().set_sum(sum(params.get()?.get_value()?));
        Ok(())
    }
}

/// Of a byte of each page.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().step_by(4096).map(|&byte| u32::from(byte)).sum()
}
