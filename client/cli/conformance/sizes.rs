//! Messages of several segments, and large ones.

use shipmate::schema::conformance_capnp::conformance;

use super::{is, is_same};

/// No part fits into what is left of a segment, so that both messages have many.
pub(super) async fn multi_segment(server: &conformance::Client) -> anyhow::Result<()> {
    let parts: Vec<Vec<u8>> = (3..=22_u8).map(|n| vec![n; usize::from(n) * 1000]).collect();
    let mut request = server.segments_request();
    let mut to = request.get().init_parts(parts.len() as u32);
    for (index, part) in (0..).zip(&parts) {
        to.set(index, part);
    }
    let response = request.send().promise.await?;
    let echoed = response.get()?.get_parts()?;
    is("the number of parts", echoed.len() as usize, parts.len())?;
    for (echoed, part) in echoed.iter().zip(&parts) {
        is_same("a part", echoed?, part)?;
    }
    Ok(())
}

const MIB: u32 = 1 << 20;

pub(super) async fn large(server: &conformance::Client) -> anyhow::Result<()> {
    echo(server, MIB).await?;
    give(server, MIB).await?;
    give(server, 32 * MIB).await?;
    echo(server, 32 * MIB).await
}

async fn echo(server: &conformance::Client, bytes: u32) -> anyhow::Result<()> {
    let data = pattern(bytes);
    let mut request = server.data_request();
    request.get().set_value(&data);
    let response = request.send().promise.await?;
    is_same("what was sent", response.get()?.get_value()?, &data)
}

async fn give(server: &conformance::Client, bytes: u32) -> anyhow::Result<()> {
    let mut request = server.large_request();
    request.get().set_bytes(bytes);
    let response = request.send().promise.await?;
    is_same("what was asked for", response.get()?.get_value()?, &pattern(bytes))
}

fn pattern(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|index| index.wrapping_mul(31).wrapping_add(7) as u8).collect()
}
