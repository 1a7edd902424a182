//! Latency while calls come at a steady rate, whether or not the ones before have been answered.
//!
//! A call's time counts from when it was due, and not from when it was sent: one that the client could not
//! send in time, since the server held it up, has waited all the same. The client looks at the clock all the
//! time between two calls, so that its own waking is in no figure.
//!
//! The most is what this same client gets done when every call is due at once and 64 may be in flight: it keeps the
//! time and makes a task for each call, which takes a processor longer than callers in a loop do.

use std::time::{Duration, Instant};

use shipmate::schema::arith_capnp::arith;
use tokio::task::{JoinSet, yield_now};

use crate::common::network::multiply;
use crate::common::statistics::{median, micros, spread};
use crate::measure::{Bench, Timing};

const PERCENT_OF_THE_MOST: [usize; 3] = [10, 50, 90];
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];
/// For the most.
const IN_FLIGHT: usize = 64;
/// What is due beyond this waits, and its time counts: what a moment of overload leaves is made up for sooner if it fits
/// the caches.
const IN_FLIGHT_MAX: usize = 1_000;

pub(crate) async fn load(transport: &str, timing: Timing) {
    let bench = Bench::start(transport, 1);
    let client = bench.connect().await;
    let service = client.arith().await;
    let time = timing.each * 4;
    let mut most = Vec::new();
    for _ in 0..timing.rounds {
        most.push(calls(&service, f64::INFINITY, IN_FLIGHT, time).await.len() as f64 / time.as_secs_f64());
    }
    let most = median(&most);
    for percent in PERCENT_OF_THE_MOST {
        let a_second = most * percent as f64 / 100.0;
        let mut rounds: [Vec<f64>; PERCENTILES.len()] = Default::default();
        for _ in 0..timing.rounds {
            let mut took = calls(&service, a_second, IN_FLIGHT_MAX, time).await;
            took.sort_unstable();
            for (values, percentile) in rounds.iter_mut().zip(PERCENTILES) {
                let index = took.len() as f64 * percentile / 100.0;
                values.push(micros(took[(index as usize).min(took.len() - 1)]));
            }
        }
        let cells = rounds.map(|values| spread(&values, 1)).join(" | ");
        println!("| {transport} | {percent} % | {a_second:.0} | {cells} |");
    }
}

/// Makes calls for so long, so many a second, and gives how long after it was due each was answered. With no end of them,
/// each is due when there is room for it.
async fn calls(service: &arith::Client, a_second: f64, in_flight_max: usize, time: Duration) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for index in 0.. {
        let due = start + Duration::from_secs_f64(f64::from(index) / a_second);
        while Instant::now() < due || calls.len() >= in_flight_max {
            yield_now().await;
            while let Some(call) = calls.try_join_next() {
                took.push(call.unwrap());
            }
        }
        let over = if a_second.is_finite() { due } else { Instant::now() };
        if over - start >= time {
            break;
        }
        let service = service.clone();
        calls.spawn_local(async move {
            multiply(&service, 6, 7).await;
            due.elapsed()
        });
    }
    took.extend(calls.join_all().await);
    took
}
