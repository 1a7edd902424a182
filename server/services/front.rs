//! `shipmate`: the front door.

use std::rc::Rc;
use std::sync::Arc;

use ::shipmate::Limits;
use ::shipmate::schema::shipmate_capnp::{limits, shipmate};

use super::{Host, SERVICES, Service};

pub(crate) struct Front {
    host: Arc<Host>,
}

impl Front {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Front { host }
    }
}

impl shipmate::Server for Front {
    async fn info(
        self: Rc<Self>,
        _: shipmate::InfoParams,
        mut results: shipmate::InfoResults,
    ) -> Result<(), capnp::Error> {
        let load = (self.host.load)();
        let mut info = results.get().init_info();
        info.set_version(env!("CARGO_PKG_VERSION"));
        info.set_process_id(std::process::id());
        info.set_uptime_millis(load.started.elapsed().as_millis() as u64);
        info.set_connections(count(load.connections));
        info.set_shards(u16::try_from(load.shards).unwrap_or(u16::MAX));
        describe(&self.host.limits, info.init_limits());
        Ok(())
    }

    async fn list(
        self: Rc<Self>,
        _: shipmate::ListParams,
        mut results: shipmate::ListResults,
    ) -> Result<(), capnp::Error> {
        let mut services = results.get().init_services(SERVICES.len() as u32);
        for (index, service) in SERVICES.iter().enumerate() {
            let mut info = services.reborrow().get(index as u32);
            info.set_name(service.name);
            info.set_description(service.description);
            info.set_interface_id(service.interface_id);
        }
        Ok(())
    }

    async fn get(
        self: Rc<Self>,
        params: shipmate::GetParams,
        mut results: shipmate::GetResults,
    ) -> Result<(), capnp::Error> {
        let name = params.get()?.get_name()?.to_str()?;
        if let Some(service) = Service::named(name) {
            let mut results = results.get();
            results.set_found(true);
            results.init_service().set_as_capability(service.make(&self.host).hook);
        }
        Ok(())
    }

    async fn ping(
        self: Rc<Self>,
        params: shipmate::PingParams,
        mut results: shipmate::PingResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_payload(params.get()?.get_payload()?);
        Ok(())
    }
}

fn describe(limits: &Limits, mut to: limits::Builder<'_>) {
    to.set_frame_bytes_max(limits.frame_bytes_max as u64);
    to.set_segments_max(count(limits.segments_max));
    to.set_calls_in_flight_max(count(limits.calls_in_flight_max));
    to.set_outgoing_bytes_max(limits.outgoing_bytes_max as u64);
    to.set_connections_max(count(limits.connections_max));
}

/// A number that may be set to more than its field holds.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ::shipmate::schema::{arith_capnp, mailbox_capnp};
    use capnp::capability::FromClientHook;
    use futures::executor::block_on;

    use super::super::Load;
    use super::*;

    fn host() -> Arc<Host> {
        let started = Instant::now() - Duration::from_millis(1500);
        Arc::new(Host::new(Limits::DEFAULT, move || Load { connections: 7, shards: 3, started }))
    }

    fn front(host: &Arc<Host>) -> shipmate::Client {
        FromClientHook::new(Service::named("shipmate").unwrap().make(host).hook)
    }

    /// A service that is used before the reply has come.
    fn get<C: FromClientHook>(front: &shipmate::Client, name: &str) -> (C, impl Future<Output = bool> + use<C>) {
        let mut request = front.get_request();
        request.get().set_name(name);
        let sent = request.send();
        let service = C::new(sent.pipeline.get_service().as_cap());
        (service, async { sent.promise.await.unwrap().get().unwrap().get_found() })
    }

    #[test]
    fn info_tells_what_the_server_is_and_allows() {
        block_on(async {
            let response = front(&host()).info_request().send().promise.await.unwrap();
            let info = response.get().unwrap().get_info().unwrap();
            assert_eq!(info.get_version().unwrap().to_str().unwrap(), env!("CARGO_PKG_VERSION"));
            assert_eq!(info.get_process_id(), std::process::id());
            assert!(info.get_uptime_millis() >= 1500);
            assert_eq!((info.get_connections(), info.get_shards()), (7, 3));
            let limits = info.get_limits().unwrap();
            assert_eq!(limits.get_frame_bytes_max(), Limits::DEFAULT.frame_bytes_max as u64);
            assert_eq!(limits.get_segments_max(), Limits::DEFAULT.segments_max as u32);
            assert_eq!(limits.get_calls_in_flight_max(), Limits::DEFAULT.calls_in_flight_max as u32);
            assert_eq!(limits.get_outgoing_bytes_max(), Limits::DEFAULT.outgoing_bytes_max as u64);
            assert_eq!(limits.get_connections_max(), Limits::DEFAULT.connections_max as u32);
        });
    }

    #[test]
    fn every_listed_service_is_found_and_they_are_sorted() {
        block_on(async {
            let front = front(&host());
            let response = front.list_request().send().promise.await.unwrap();
            let services = response.get().unwrap().get_services().unwrap();
            let names: Vec<_> = services.iter().map(|info| info.get_name().unwrap().to_string().unwrap()).collect();
            assert_eq!(names, ["arith", "calculator", "conformance", "mailbox", "shipmate"]);
            for info in services.iter() {
                let name = info.get_name().unwrap().to_str().unwrap();
                let (service, found) = get::<capnp::capability::Client>(&front, name);
                assert!(found.await);
                // No service takes offence at its first method with empty parameters.
                let call = service.new_call::<capnp::any_pointer::Owned, capnp::any_pointer::Owned>(
                    info.get_interface_id(),
                    0,
                    None,
                );
                let answer = call.send().promise.await;
                assert!(answer.is_ok(), "{name}: {:?}", answer.err());
                assert!(info.get_description().unwrap().to_str().unwrap().ends_with('.'));
            }
        });
    }

    #[test]
    fn calls_may_be_pipelined_on_a_service() {
        block_on(async {
            let (arith, found) = get::<arith_capnp::arith::Client>(&front(&host()), "arith");
            let mut request = arith.multiply_request();
            request.get().set_a(6);
            request.get().set_b(7);
            let (response, found) = futures::join!(request.send().promise, found);
            assert!(found);
            let response = response.unwrap();
            let product = response.get().unwrap().get_product().unwrap().which().unwrap();
            assert!(matches!(product, arith_capnp::product::Value(42)));
        });
    }

    #[test]
    fn an_unknown_name_is_not_found_and_null() {
        block_on(async {
            let mut request = front(&host()).get_request();
            request.get().set_name("no such service");
            let response = request.send().promise.await.unwrap();
            let response = response.get().unwrap();
            assert!(!response.get_found() && response.get_service().is_null());
        });
    }

    #[test]
    fn connections_share_the_mailboxes() {
        block_on(async {
            let host = host();
            let open = async |front: &shipmate::Client| {
                let (mailbox, found) = get::<mailbox_capnp::mailbox::Client>(front, "mailbox");
                assert!(found.await);
                let mut request = mailbox.open_request();
                request.get().set_name("a");
                request.send().promise.await.unwrap().get().unwrap().get_box().unwrap()
            };
            let (one, other) = (open(&front(&host)).await, open(&front(&host)).await);
            let mut post = one.post_request();
            post.get().init_record().set_value(5);
            post.send().promise.await.unwrap();
            let response = other.take_request().send().promise.await.unwrap();
            assert_eq!(response.get().unwrap().get_record().unwrap().get_value(), 5);
        });
    }

    #[test]
    fn ping_gives_back_what_it_was_given() {
        block_on(async {
            let front = front(&host());
            for size in [0, 1, 1 << 20] {
                let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
                let mut request = front.ping_request();
                request.get().set_payload(&payload);
                let response = request.send().promise.await.unwrap();
                assert_eq!(response.get().unwrap().get_payload().unwrap(), payload);
            }
        });
    }
}
