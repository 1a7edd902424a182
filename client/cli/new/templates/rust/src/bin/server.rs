//! The server: `cargo run --bin server ADDRESS`, which prints the address when it is ready.

use std::rc::Rc;

use hello_shipmate::greeter_capnp::greeter;
use shipmate::{ListenOptions, Server, ServerOptions};
use tokio::signal::unix::{SignalKind, signal};

struct Greeter;

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        params: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        let name = params.get()?.get_name()?.to_str()?;
        results.get().set_greeting(format!("Hello, {name}!"));
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: server ADDRESS")?
        .parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        let mut server = Server::new(ServerOptions::default());
        let greeter = |_: &_| capnp_rpc::new_client::<greeter::Client, _>(Greeter);
        let address = server
            .listen(&address, &ListenOptions::default(), greeter)
            .await?;
        println!("listening at {address}");
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(server.serve(stop).await?)
    })
}
