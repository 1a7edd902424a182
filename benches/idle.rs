//! What an idle connection costs the server's process in memory: many are opened to one server, and then
//! each still answers.
//!
//! `cargo bench --bench idle -- [COUNT]`

#[allow(dead_code, unused_imports, reason = "this benchmark uses a part of it")]
mod common;

use std::env;

use common::network::{Client, Network, address};
use common::process::{self, Server};
use shipmate::Address;
use tempfile::TempDir;
use tokio::runtime;
use tokio::task::LocalSet;

const CONNECTIONS: usize = 2_000;

fn main() {
    process::serve_if_asked();
    let count = env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CONNECTIONS);
    println!("{count} idle connections, memory for each:\n");
    println!("| transport | network | server, KiB |");
    println!("|---|---|---:|");
    for transport in ["unix", "tcp"] {
        for network in [Network::Stock, Network::Shipmate] {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, measure(transport, network, count));
        }
    }
}

async fn measure(transport: &str, network: Network, count: usize) {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(network, &address(transport, &folder, "socket"), None);
    // The first connection pays for what all share.
    let first = connect(network, &server.address).await;
    let before = server.usage().resident_bytes;
    let mut clients = vec![first];
    for _ in 0..count {
        clients.push(connect(network, &server.address).await);
    }
    let after = server.usage().resident_bytes;
    for client in &clients {
        client.echo(b"still there?").await;
    }
    let each = after.saturating_sub(before) as f64 / count as f64 / 1024.0;
    println!("| {transport} | {} | {each:.1} |", network.name());
}

/// A connection that has answered once.
async fn connect(network: Network, address: &Address) -> Client {
    let client = Client::connect(network, address).await;
    client.echo(b"hello").await;
    client
}
