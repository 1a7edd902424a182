//! `shipmate ping`: round trips, one after the other.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, RequestExt};

use crate::context::{Context, of_front_door, reached, seconds};
use crate::output::Output;

/// Measure round trips to a server
///
/// Prints a line for each, and the least, the median and the greatest at the end. It goes on until it is
/// interrupted, unless --count is given. The server must have a front door.
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate ping unix:/tmp/ship.sock
  shipmate ping tcp:127.0.0.1:7700 --count 1000 --interval 0 --size 65536")]
pub(crate) struct Ping {
    /// Where the server listens
    address: Address,

    /// Stop after so many round trips
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Send so many bytes, and get them back
    #[arg(short, long, value_name = "BYTES", default_value_t = 56)]
    size: u32,

    /// From the start of one to the start of the next; 0: one at once after the other
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
}

/// The round trips so far. However the command ends, by an interrupt too, it tells them.
struct Tally {
    address: String,
    sent: u64,
    times: Vec<Duration>,
}

impl Ping {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let connection = context.connect(&self.address).await?;
        let server: front::Client = connection.bootstrap();
        let payload: Vec<u8> = (0..self.size).map(|n| n as u8).collect();
        let address = reached(&self.address, &connection);
        let mut tally = Tally { address: address.clone(), sent: 0, times: Vec::new() };
        loop {
            let start = Instant::now();
            let mut request = server.ping_request();
            request.get().set_payload(&payload);
            tally.sent += 1;
            let response = request.within(context.timeout).await.map_err(of_front_door)?;
            let time = start.elapsed();
            ensure!(response.get()?.get_payload()? == payload, "the server gave back other bytes than it was sent");
            tally.times.push(time);
            let (size, number) = (self.size, tally.sent);
            output.line(format!("{size} bytes from {address}: seq={number} time={}", micros(time))).await?;
            if self.count == Some(tally.sent) {
                break;
            }
            tokio::time::sleep(self.interval.saturating_sub(start.elapsed())).await;
        }
        connection.close().await;
        Ok(())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        use std::io::Write;
        // Standard output may be closed, and then nobody wants to know.
        let _ = writeln!(std::io::stdout(), "{}", summary(&self.address, self.sent, &mut self.times));
    }
}

fn summary(address: &str, sent: u64, times: &mut [Duration]) -> String {
    let mut text = format!("--- {address}: {sent} sent, {} answered", times.len());
    times.sort_unstable();
    if let (Some(least), Some(greatest)) = (times.first(), times.last()) {
        let median = times[times.len() / 2];
        text += &format!(", min/median/max {} / {} / {}", micros(*least), micros(median), micros(*greatest));
    }
    text
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_came_back() {
        let mut times = [30, 10, 20].map(Duration::from_micros);
        let expected = "--- unix:/s: 4 sent, 3 answered, min/median/max 10.0 us / 20.0 us / 30.0 us";
        assert_eq!(summary("unix:/s", 4, &mut times), expected);
        assert_eq!(summary("unix:/s", 4, &mut []), "--- unix:/s: 4 sent, 0 answered");
    }
}
