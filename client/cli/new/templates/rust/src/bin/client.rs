//! A client: `cargo run --bin client ADDRESS`.

use std::time::Duration;

use hello_shipmate::greeter_capnp::greeter;
use shipmate::RequestExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: client ADDRESS")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let connection = shipmate::connect(address.as_str()).await?;
        let greeter: greeter::Client = connection.bootstrap();

        let mut request = greeter.greet_request();
        request.get().set_name("Rust");
        let response = request.within(Duration::from_secs(5)).await?;
        println!("{}", response.get()?.get_greeting()?.to_str()?);
        Ok(())
    })
}
