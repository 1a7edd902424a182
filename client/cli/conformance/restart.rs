//! A server that is killed and started again.

use anyhow::ensure;
use shipmate::schema::conformance_capnp::conformance;
use shipmate::{Address, ConnectOptions, Connector, Error, Reconnect};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::failures::until_hanging;
use super::{is, is_error};
use crate::output::Output;

pub(super) async fn restart(address: &Address, mut prompt: Output) -> anyhow::Result<()> {
    let connector = Connector::new(address.clone(), ConnectOptions::default(), Reconnect::back_off(20));
    let server: conformance::Client = connector.connection().await?.bootstrap();
    let in_flight = server.hang_request().send().promise;
    until_hanging(&server, (1, 0)).await?;

    prompt.line("restart now").await?;
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    ensure!(read > 0, "a line on standard input was expected, and it ended");

    let is_disconnected = |error: &Error| matches!(error, Error::Disconnected { .. });
    is_error("the call in flight", in_flight.await.map_err(Error::from), is_disconnected)?;
    is_error("the next call", read_new_counter(&server).await, is_disconnected)?;

    let server = connector.connection().await?.bootstrap();
    is("a call of a new connection", read_new_counter(&server).await?, 5)
}

async fn read_new_counter(server: &conformance::Client) -> shipmate::Result<i64> {
    let mut request = server.new_counter_request();
    request.get().set_start(5);
    let counter = request.send().pipeline.get_counter();
    Ok(counter.read_request().send().promise.await?.get()?.get_value())
}
