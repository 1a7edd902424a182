//! One-way messages: the partner sends as fast as they are taken, and this side takes them for the time of a
//! round. Between rounds it takes none, and the partner waits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use shipmate::message::{Listener, Receiver, Sender};
use shipmate::schema::record_capnp::record;
use shipmate::transport::Connecting;
use shipmate::{Limits, ListenOptions};

use super::calls::sum;
use super::measure::{Meter, Round};
use super::partner::{self, BenchPartner, Partner, Role, now};
use super::plan::{Case, Way};

/// The receiver's side, and the sender.
pub(super) struct Stream {
    // The first to go.
    partner: Partner,
    receiver: Receiver<record::Owned>,
    sum: u32,
    _listener: Listener,
}

impl Stream {
    pub(super) async fn start(way: Way, case: &Case, spin: Duration) -> anyhow::Result<Self> {
        let (folder, tier) = (Partner::folder()?, way.tier.unwrap_or_default());
        let options = ListenOptions { spin, tier, ..ListenOptions::default() };
        let mut listener = Listener::bind_with(way.address(folder.path()).as_str(), &options, Limits::DEFAULT).await?;
        let address = listener.address().to_string();
        let mut partner = Partner::start(Role::Send, &address, folder, tier, spin, case.size)?;
        let accept = async { anyhow::Ok(listener.accept().await?) };
        let (_, receiver) = tokio::try_join!(partner.ready(), accept)?;
        Ok(Stream { partner, receiver, sum: sum(&vec![7; case.size]), _listener: listener })
    }

    pub(super) async fn round(&mut self, time: Duration, into: &mut Histogram<u64>) -> anyhow::Result<Round> {
        // What was sent before, and waited, tells nothing.
        let begin = now();
        while self.next().await? < begin {}
        let meter = Meter::start(&mut self.partner).await?;
        let (mut count, end) = (0, Instant::now() + time);
        while count == 0 || Instant::now() < end {
            let sent = self.next().await?;
            into.saturating_record(now().saturating_sub(sent).as_nanos() as u64);
            count += 1;
        }
        meter.stop(count, &mut self.partner).await
    }

    /// Receives a message, and says when it was sent.
    async fn next(&mut self) -> anyhow::Result<Duration> {
        let message = self.receiver.recv().await?.context("the other process has ended the stream")?;
        let record = message.get()?;
        let record::body::Bytes(bytes) = record.get_body().which()? else { anyhow::bail!("not what was sent") };
        ensure!(sum(bytes?) == self.sum, "the message is not what was sent");
        Ok(Duration::from_nanos(record.get_value().cast_unsigned()))
    }
}

/// The partner's side.
pub(super) async fn send(partner: &BenchPartner) -> anyhow::Result<()> {
    let options = Connecting { spin: partner.spin, tier: partner.tier };
    let mut sender =
        Sender::<record::Owned>::connect_with(partner.address.as_str(), &options, &Limits::DEFAULT).await?;
    partner::ready(&partner.address)?;
    let payload = vec![7; partner.size];
    loop {
        let build = |mut record: record::Builder<'_>| {
            record.set_value(now().as_nanos() as i64);
            record.init_body().set_bytes(&payload);
        };
        sender.feed(build).await?;
    }
}
