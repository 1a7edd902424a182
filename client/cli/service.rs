//! Reaching a service, whether the address has a front door or the service itself.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use capnp::capability::FromClientHook;
use shipmate::schema::shipmate_capnp::shipmate as front;
use shipmate::{Address, ConnectOptions, Connection, Error, RequestExt, connect_with};

/// Connects, within the time allowed.
pub(crate) async fn connect(address: &Address, timeout: Duration) -> Result<Connection> {
    let options = ConnectOptions { timeout, ..Default::default() };
    Ok(connect_with(address.clone(), &options).await?)
}

/// The service of this name: the front door is asked for it; where there is no front door, the listener
/// was opened for one service alone, and that one must be it.
pub(crate) async fn find<C: FromClientHook>(connection: &Connection, name: &str, timeout: Duration) -> Result<C> {
    let door: front::Client = connection.bootstrap();
    let mut request = door.get_request();
    request.get().set_name(name);
    match request.within(timeout).await {
        Ok(response) => {
            let found = response.get()?;
            if !found.get_found() {
                bail!("the server has no service {name:?}; `shipmate info` lists those that it has");
            }
            Ok(found.get_service().get_as_capability()?)
        }
        Err(Error::Service { kind: shipmate::error::ServiceErrorKind::Unimplemented, .. }) => {
            Ok(connection.bootstrap())
        }
        Err(error) => Err(error).with_context(|| format!("asking for the service {name:?}")),
    }
}
