//! `shipmate info`: what a server is.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;
use shipmate::schema::shipmate_capnp::{server_info, service_info, shipmate as front};
use shipmate::{Address, Connection, Peer, RequestExt};

use crate::context::{Context, of_front_door};
use crate::output::Output;

/// Show what a server is: version, transport, limits, load and services
#[derive(Args)]
#[command(after_help = "\
Examples:
  shipmate info unix:/tmp/ship.sock
  shipmate info unix:/tmp/ship.sock --json | jq .limits")]
pub(crate) struct Info {
    /// Where the server listens
    address: Address,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    version: String,
    process_id: u32,
    uptime_millis: u64,
    /// Which one this connection got.
    transport: &'static str,
    /// Over shared memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    connections: u32,
    shards: u16,
    limits: Limits,
    services: Vec<Service>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    frame_bytes_max: u64,
    segments_max: u32,
    calls_in_flight_max: u32,
    outgoing_bytes_max: u64,
    connections_max: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    description: String,
    /// As it stands in the schema; a JSON number would lose digits in many a program.
    interface_id: String,
}

impl Info {
    pub(crate) async fn run(self, context: &Context, output: &mut Output) -> anyhow::Result<()> {
        let connection = context.connect(&self.address).await?;
        let server = ask(context, &connection).await?;
        connection.close().await;
        match self.json {
            true => output.line(serde_json::to_string(&server)?).await,
            false => output.line(server.describe()?).await,
        }
    }
}

/// Both questions travel together.
async fn ask(context: &Context, connection: &Connection) -> anyhow::Result<Server> {
    let front: front::Client = connection.bootstrap();
    let info = front.info_request().within(context.timeout);
    let list = front.list_request().within(context.timeout);
    let (info, list) = futures::try_join!(info, list).map_err(of_front_door)?;
    let services = list.get()?.get_services()?.iter().map(Service::read).collect::<Result<_, _>>()?;
    Ok(Server::read(info.get()?.get_info()?, connection.peer(), services)?)
}

impl Server {
    fn read(info: server_info::Reader<'_>, peer: &Peer, services: Vec<Service>) -> capnp::Result<Self> {
        let limits = info.get_limits()?;
        Ok(Server {
            version: info.get_version()?.to_string()?,
            process_id: info.get_process_id(),
            uptime_millis: info.get_uptime_millis(),
            transport: peer.transport,
            tier: peer.tier.map(|tier| tier.to_string()),
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

    fn describe(&self) -> Result<String, std::fmt::Error> {
        let Server { version, process_id, transport, connections, shards, limits, .. } = self;
        let uptime = Duration::from_millis(self.uptime_millis);
        let mut text = String::new();
        let tier = self.tier.as_ref().map_or_else(String::new, |tier| format!(", {tier}"));
        writeln!(text, "shipmated {version}, process {process_id}, up {uptime:?}, reached over {transport}{tier}")?;
        writeln!(text, "{connections} of {} connections, on {shards} threads", limits.connections_max)?;
        writeln!(text, "\na message: up to {} bytes in {} segments", limits.frame_bytes_max, limits.segments_max)?;
        writeln!(
            text,
            "a connection: up to {} calls in flight and {} bytes of replies that wait\n",
            limits.calls_in_flight_max, limits.outgoing_bytes_max
        )?;
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for service in &self.services {
            table.add_row([&service.name, &service.interface_id, &service.description]);
        }
        for column in table.column_iter_mut().take(1) {
            column.set_padding((0, 1));
        }
        write!(text, "{}", table.trim_fmt())?;
        Ok(text)
    }
}

impl Service {
    fn read(service: service_info::Reader<'_>) -> capnp::Result<Self> {
        Ok(Service {
            name: service.get_name()?.to_string()?,
            description: service.get_description()?.to_string()?,
            interface_id: format!("@{:#018x}", service.get_interface_id()),
        })
    }
}
