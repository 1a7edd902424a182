//! The service: one implementation, whatever the network.

use std::rc::Rc;

use shipmate::schema::arith_capnp::{ArithError, arith};
use shipmate::schema::shipmate_capnp::shipmate as front;

/// Answers `ping`, and gives [`Arith`] whatever service it is asked for.
pub(crate) struct Front;

struct Arith;

impl front::Server for Front {
    async fn get(self: Rc<Self>, _: front::GetParams, mut results: front::GetResults) -> capnp::Result<()> {
        let arith: arith::Client = capnp_rpc::new_client(Arith);
        let mut results = results.get();
        results.set_found(true);
        results.init_service().set_as_capability(arith.client.hook);
        Ok(())
    }

    async fn ping(self: Rc<Self>, params: front::PingParams, mut results: front::PingResults) -> capnp::Result<()> {
        results.get().set_payload(params.get()?.get_payload()?);
        Ok(())
    }
}

impl arith::Server for Arith {
    async fn multiply(
        self: Rc<Self>,
        params: arith::MultiplyParams,
        mut results: arith::MultiplyResults,
    ) -> capnp::Result<()> {
        let params = params.get()?;
        let mut product = results.get().init_product();
        match params.get_a().checked_mul(params.get_b()) {
            Some(value) => product.set_value(value),
            None => product.set_error(ArithError::Overflow),
        }
        Ok(())
    }
}
