//! The server as a process, and a call to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hello_shipmate::greeter_capnp::greeter;
use shipmate::RequestExt;

/// A server, which ends when the test does.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_server_greets_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/greeter.sock", folder.path().display());
    let program = env!("CARGO_BIN_EXE_server");
    let mut server = Server(
        Command::new(program)
            .arg(&address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, format!("listening at {address}\n"));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let connection = shipmate::connect(address.as_str()).await.unwrap();
        let greeter: greeter::Client = connection.bootstrap();
        let mut request = greeter.greet_request();
        request.get().set_name("Ada");
        let response = request.within(Duration::from_secs(30)).await.unwrap();
        assert_eq!(
            response.get().unwrap().get_greeting().unwrap(),
            "Hello, Ada!"
        );
    });
}
