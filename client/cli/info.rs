//! `shipmate info`.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, RequestExt};

use crate::service;

/// Say what a server is, what it allows and which services it has.
#[derive(clap::Args)]
pub(crate) struct Info {
    address: Address,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: String,
    process_id: u32,
    uptime_millis: u64,
    connections: u32,
    shards: u16,
    limits: Limits,
    services: Vec<Service>,
}

#[derive(Serialize)]
struct Limits {
    frame_bytes_max: u64,
    segments_max: u32,
    calls_in_flight_max: u32,
    outgoing_bytes_max: u64,
    connections_max: u32,
}

#[derive(Serialize)]
struct Service {
    name: String,
    description: String,
    interface_id: String,
}

impl Info {
    pub(crate) async fn run(self, timeout: Duration) -> Result<()> {
        let connection = service::connect(&self.address, timeout).await?;
        let report = ask(&connection.bootstrap(), timeout).await?;
        connection.close().await;
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &report)?;
            return Ok(writeln!(out)?);
        }
        let Report { version, process_id, uptime_millis, connections, shards, limits, services } = report;
        let uptime = Duration::from_millis(uptime_millis);
        writeln!(out, "shipmated {version}, process {process_id}, up {uptime:?}")?;
        writeln!(out, "{connections} connections on {shards} shards")?;
        writeln!(out, "limits of a connection:")?;
        writeln!(out, "  frame_bytes_max      {}", limits.frame_bytes_max)?;
        writeln!(out, "  segments_max         {}", limits.segments_max)?;
        writeln!(out, "  calls_in_flight_max  {}", limits.calls_in_flight_max)?;
        writeln!(out, "  outgoing_bytes_max   {}", limits.outgoing_bytes_max)?;
        writeln!(out, "at most {} connections", limits.connections_max)?;
        writeln!(out, "services:")?;
        let width = services.iter().map(|service| service.name.len()).max().unwrap_or(0);
        for Service { name, description, interface_id } in services {
            writeln!(out, "  {name:width$}  {interface_id}  {description}")?;
        }
        Ok(())
    }
}

async fn ask(door: &front::Client, timeout: Duration) -> Result<Report> {
    let info = door.info_request().within(timeout).await?;
    let info = info.get()?.get_info()?;
    let limits = info.get_limits()?;
    let list = door.list_request().within(timeout).await?;
    let mut services = Vec::new();
    for service in list.get()?.get_services()? {
        services.push(Service {
            name: service.get_name()?.to_string()?,
            description: service.get_description()?.to_string()?,
            interface_id: format!("{:#018x}", service.get_interface_id()),
        });
    }
    Ok(Report {
        version: info.get_version()?.to_string()?,
        process_id: info.get_process_id(),
        uptime_millis: info.get_uptime_millis(),
        connections: info.get_connections(),
        shards: info.get_shards(),
        limits: Limits {
            frame_bytes_max: limits.get_frame_bytes_max(),
            segments_max: limits.get_segments_max(),
            calls_in_flight_max: limits.get_calls_in_flight_max(),
            outgoing_bytes_max: limits.get_outgoing_bytes_max(),
            connections_max: limits.get_connections_max(),
        },
        services,
    })
}
