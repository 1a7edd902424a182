//! Latency while calls come at a steady rate, whether or not the ones before have been answered.
//!
//! A call's time counts from when it was due, and not from when it was sent: one that the client could not
//! send in time, since the server held it up, has waited all the same. The client looks at the clock all the
//! time between two calls, so that its own waking is in no figure.

use std::rc::Rc;
use std::time::{Duration, Instant};

use shipmate::schema::arith_capnp::arith;
use tokio::task::{JoinSet, yield_now};

use crate::common::network::multiply;
use crate::common::statistics::{median, micros, spread};
use crate::measure::{Bench, Timing};

const PERCENT_OF_THE_MOST: [usize; 3] = [10, 50, 90];
const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];
/// The most is that of a client with so many callers.
const IN_FLIGHT: usize = 64;
/// What is due beyond this waits, and its time counts, so that an overload takes no memory without end.
const IN_FLIGHT_MAX: usize = 10_000;

pub(crate) async fn load(transport: &str, timing: Timing) {
    let mut bench = Bench::start(transport, 1);
    let client = bench.connect().await;
    let service = client.arith().await;
    let services = Rc::new([service.clone()]) as Rc<[_]>;
    let most = median(&bench.call(&services, IN_FLIGHT, timing).await.calls_a_second);
    for percent in PERCENT_OF_THE_MOST {
        let a_second = most * percent as f64 / 100.0;
        let mut rounds: [Vec<f64>; PERCENTILES.len()] = Default::default();
        for _ in 0..timing.rounds {
            let mut took = steady(&service, a_second, timing.each * 4).await;
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

async fn steady(service: &arith::Client, a_second: f64, time: Duration) -> Vec<Duration> {
    let count = (a_second * time.as_secs_f64()) as usize;
    let mut took = Vec::with_capacity(count);
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for index in 0..count {
        let due = start + Duration::from_secs_f64(index as f64 / a_second);
        while Instant::now() < due || calls.len() >= IN_FLIGHT_MAX {
            yield_now().await;
            while let Some(call) = calls.try_join_next() {
                took.push(call.unwrap());
            }
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
