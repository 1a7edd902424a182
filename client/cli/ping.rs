//! `shipmate ping`.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, RequestExt};

use crate::{seconds, service};

/// Measure round trips to a server.
#[derive(clap::Args)]
pub(crate) struct Ping {
    address: Address,
    /// How many round trips.
    #[arg(long, short, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How many bytes go there and back each time.
    #[arg(long, short, default_value_t = 56)]
    size: usize,
    /// The pause between two of them, in seconds.
    #[arg(long, short, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,
}

impl Ping {
    pub(crate) async fn run(self, timeout: Duration) -> Result<()> {
        let connection = service::connect(&self.address, timeout).await?;
        let door: front::Client = connection.bootstrap();
        let payload: Vec<u8> = (0..self.size).map(|index| index as u8).collect();
        let mut times = Vec::new();
        for sequence in 1..=self.count {
            let began = Instant::now();
            let mut request = door.ping_request();
            request.get().set_payload(&payload);
            let response = request.within(timeout).await?;
            times.push(began.elapsed());
            ensure!(response.get()?.get_payload()? == payload, "the server gave back other bytes");
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "{} bytes from {}: seq={sequence} time={:?}",
                self.size,
                self.address,
                times[times.len() - 1]
            )?;
            if sequence < self.count {
                tokio::time::sleep(self.interval).await;
            }
        }
        times.sort();
        let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        writeln!(std::io::stdout(), "{} round trips: min {least:?}, median {median:?}, max {most:?}", times.len())?;
        connection.close().await;
        Ok(())
    }
}
