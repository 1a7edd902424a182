//! Calls that are given up, that fail, and that are many.

use std::time::Duration;

use anyhow::{bail, ensure};
use futures::future::try_join_all;
use shipmate::error::ServiceErrorKind;
use shipmate::schema::conformance_capnp::{ErrorKind, conformance, outcome};
use shipmate::{Error, RequestExt};

use super::{is, is_error};

/// A call that is dropped ends at the server too, and no other does.
pub(super) async fn cancel(server: &conformance::Client) -> anyhow::Result<()> {
    let (waiting, cancelled) = hanging(server).await?;
    let one = server.hang_request().send();
    let other = server.hang_request().send();
    until_hanging(server, (waiting + 2, cancelled)).await?;
    drop(one);
    until_hanging(server, (waiting + 1, cancelled + 1)).await?;
    drop(other);
    until_hanging(server, (waiting, cancelled + 2)).await
}

/// How many calls wait, and how many were cancelled.
pub(super) async fn hanging(server: &conformance::Client) -> anyhow::Result<(u32, u32)> {
    let response = server.hanging_request().send().promise.await?;
    let counts = response.get()?;
    Ok((counts.get_waiting(), counts.get_cancelled()))
}

/// Asks until the counts are as expected; the time allowed for a step ends it.
pub(super) async fn until_hanging(server: &conformance::Client, expected: (u32, u32)) -> anyhow::Result<()> {
    loop {
        let seen = hanging(server).await?;
        if seen == expected {
            return Ok(());
        }
        // More than were cancelled will not come back.
        ensure!(seen.1 <= expected.1, "waiting and cancelled: expected {expected:?} and saw {seen:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Errors of the application are values.
pub(super) async fn typed_error(server: &conformance::Client) -> anyhow::Result<()> {
    for code in [0, 1, 65535] {
        let mut request = server.refuse_request();
        request.get().set_code(code);
        let response = request.send().promise.await?;
        let refused = match response.get()?.get_outcome()?.which()? {
            outcome::Value(_) => None,
            outcome::Error(refusal) => Some(refusal?.get_code()),
        };
        is("the code of the refusal", refused, (code != 0).then_some(code))?;
    }
    Ok(())
}

/// Exceptions keep their kind, and their reason word for word.
pub(super) async fn error_kinds(server: &conformance::Client) -> anyhow::Result<()> {
    for kind in [ErrorKind::Failed, ErrorKind::Overloaded, ErrorKind::Unimplemented, ErrorKind::Disconnected] {
        let expected = format!("the reason for {kind:?}");
        let mut request = server.fail_request();
        request.get().set_kind(kind);
        request.get().set_reason(&expected);
        let (seen, reason) = match request.send().promise.await.map_err(Error::from) {
            Err(Error::Service { kind: ServiceErrorKind::Failed, reason }) => (ErrorKind::Failed, reason),
            Err(Error::Service { kind: ServiceErrorKind::Overloaded, reason }) => (ErrorKind::Overloaded, reason),
            Err(Error::Service { kind: ServiceErrorKind::Unimplemented, reason }) => (ErrorKind::Unimplemented, reason),
            Err(Error::Disconnected { reason }) => (ErrorKind::Disconnected, reason),
            Err(other) => bail!("{kind:?}: another error was expected, and this was seen: {other:?}"),
            Ok(_) => bail!("{kind:?}: an error was expected, and it succeeded"),
        };
        is("the kind", seen, kind)?;
        is("the reason", reason, expected)?;
        goes_on(server).await?;
    }
    Ok(())
}

pub(super) async fn deadline(server: &conformance::Client) -> anyhow::Result<()> {
    let mut request = server.delay_request();
    request.get().set_millis(20);
    let response = request.within(Duration::from_secs(30)).await?;
    is("the time it waited", response.get()?.get_millis(), 20)?;

    let mut request = server.delay_request();
    request.get().set_millis(60_000);
    let late = request.within(Duration::from_millis(50)).await;
    is_error("a call that takes too long", late, |error| matches!(error, Error::Deadline(_)))?;
    goes_on(server).await
}

/// A call that has failed costs nothing but itself.
async fn goes_on(server: &conformance::Client) -> anyhow::Result<()> {
    let mut request = server.text_request();
    request.get().set_value("still there");
    let response = request.send().promise.await?;
    is("the next call", response.get()?.get_value()?.to_str()?, "still there")
}

pub(super) async fn many(server: &conformance::Client) -> anyhow::Result<()> {
    let calls = (0..1000).map(|number| async move {
        let text = format!("call {number}");
        let mut request = server.text_request();
        request.get().set_value(&text);
        let response = request.send().promise.await?;
        is("the answer", response.get()?.get_value()?.to_str()?, &text)
    });
    try_join_all(calls).await?;
    Ok(())
}
