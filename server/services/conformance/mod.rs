//! `conformance`: one method for each feature of Cap'n Proto that a client in any language must have.

mod objects;
mod stream;
mod values;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use shipmate::schema::conformance_capnp::{ErrorKind, conformance};
use shipmate::{Error, Limits};

use self::objects::{Counters, Node};
use self::stream::{Sink, pour};

/// One for each connection.
pub(crate) struct Conformance {
    limits: Limits,
    counters: RefCell<Counters>,
    /// Calls of `hang` that wait, and those that were cancelled.
    waiting: Cell<u32>,
    cancelled: Cell<u32>,
}

impl Conformance {
    pub(crate) fn new(limits: Limits) -> Self {
        let counters = RefCell::new(Counters::default());
        Conformance { limits, counters, waiting: Cell::new(0), cancelled: Cell::new(0) }
    }

    /// No small question makes an answer that the peer could not be sent.
    fn check_size(&self, bytes: u32) -> Result<(), Error> {
        let allowed = self.limits.frame_bytes_max as u64;
        match u64::from(bytes) < allowed {
            true => Ok(()),
            false => Err(Error::Limit {
                limit: "frame_bytes_max",
                allowed,
                seen: bytes.into(),
                what: "the value that was asked for",
                advice: "ask for less, or raise the limit on both sides",
            }),
        }
    }
}

impl conformance::Server for Conformance {
    async fn primitives(
        self: Rc<Self>,
        params: conformance::PrimitivesParams,
        mut results: conformance::PrimitivesResults,
    ) -> Result<(), capnp::Error> {
        values::primitives(params.get()?.get_value()?, results.get().init_value());
        Ok(())
    }

    async fn extremes(
        self: Rc<Self>,
        _: conformance::ExtremesParams,
        mut results: conformance::ExtremesResults,
    ) -> Result<(), capnp::Error> {
        values::least(results.get().init_least());
        values::greatest(results.get().init_greatest());
        Ok(())
    }

    async fn text(
        self: Rc<Self>,
        params: conformance::TextParams,
        mut results: conformance::TextResults,
    ) -> Result<(), capnp::Error> {
        let text = params.get()?.get_value()?.to_str()?;
        let mut results = results.get();
        results.set_bytes(text.len() as u32);
        results.set_value(text);
        Ok(())
    }

    async fn data(
        self: Rc<Self>,
        params: conformance::DataParams,
        mut results: conformance::DataResults,
    ) -> Result<(), capnp::Error> {
        let data = params.get()?.get_value()?;
        let mut results = results.get();
        results.set_sum(values::sum(data));
        results.set_value(data);
        Ok(())
    }

    async fn lists(
        self: Rc<Self>,
        params: conformance::ListsParams,
        mut results: conformance::ListsResults,
    ) -> Result<(), capnp::Error> {
        values::lists(params.get()?.get_value()?, results.get().init_value())
    }

    async fn shape(
        self: Rc<Self>,
        params: conformance::ShapeParams,
        mut results: conformance::ShapeResults,
    ) -> Result<(), capnp::Error> {
        values::shape(params.get()?.get_value()?, results.get().init_value())
    }

    async fn defaults(
        self: Rc<Self>,
        _: conformance::DefaultsParams,
        mut results: conformance::DefaultsResults,
    ) -> Result<(), capnp::Error> {
        results.get().init_value();
        Ok(())
    }

    async fn paint(
        self: Rc<Self>,
        params: conformance::PaintParams,
        mut results: conformance::PaintResults,
    ) -> Result<(), capnp::Error> {
        values::paint(params.get()?.get_colour(), results.get().init_painted())
    }

    async fn as_older(
        self: Rc<Self>,
        params: conformance::AsOlderParams,
        mut results: conformance::AsOlderResults,
    ) -> Result<(), capnp::Error> {
        values::as_older(params.get()?.get_record(), results.get())
    }

    async fn as_newer(
        self: Rc<Self>,
        params: conformance::AsNewerParams,
        mut results: conformance::AsNewerResults,
    ) -> Result<(), capnp::Error> {
        values::newer_record(params.get()?.get_record().get_as()?, results.get().init_record())
    }

    async fn segments(
        self: Rc<Self>,
        params: conformance::SegmentsParams,
        mut results: conformance::SegmentsResults,
    ) -> Result<(), capnp::Error> {
        let parts = params.get()?.get_parts()?;
        let mut copies = results.get().init_parts(parts.len());
        for (index, part) in (0..).zip(parts) {
            copies.set(index, part?);
        }
        Ok(())
    }

    async fn large(
        self: Rc<Self>,
        params: conformance::LargeParams,
        mut results: conformance::LargeResults,
    ) -> Result<(), capnp::Error> {
        let bytes = params.get()?.get_bytes();
        self.check_size(bytes)?;
        for (index, byte) in (0u32..).zip(results.get().init_value(bytes)) {
            *byte = index.wrapping_mul(31).wrapping_add(7) as u8;
        }
        Ok(())
    }

    async fn new_counter(
        self: Rc<Self>,
        params: conformance::NewCounterParams,
        mut results: conformance::NewCounterResults,
    ) -> Result<(), capnp::Error> {
        let counter = self.counters.borrow_mut().make(params.get()?.get_start());
        results.get().set_counter(counter);
        Ok(())
    }

    async fn identify(
        self: Rc<Self>,
        params: conformance::IdentifyParams,
        mut results: conformance::IdentifyResults,
    ) -> Result<(), capnp::Error> {
        let counter = capnp::capability::get_resolved_cap(params.get()?.get_counter()?).await;
        let own = self.counters.borrow().own(&counter);
        let value = match &own {
            Some(own) => own.value(),
            None => counter.read_request().send().promise.await?.get()?.get_value(),
        };
        let mut results = results.get();
        results.set_own(own.is_some());
        results.set_value(value);
        Ok(())
    }

    async fn echo_counter(
        self: Rc<Self>,
        params: conformance::EchoCounterParams,
        mut results: conformance::EchoCounterResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_counter(params.get()?.get_counter()?);
        Ok(())
    }

    async fn pair(
        self: Rc<Self>,
        _: conformance::PairParams,
        mut results: conformance::PairResults,
    ) -> Result<(), capnp::Error> {
        let mut counters = self.counters.borrow_mut();
        let (first, second) = (counters.make(1), counters.make(2));
        // In the order in which a client would not expect them.
        results.get().set_second(second);
        results.get().set_first(first);
        Ok(())
    }

    async fn node(
        self: Rc<Self>,
        _: conformance::NodeParams,
        mut results: conformance::NodeResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_node(capnp_rpc::new_client(Node { depth: 0 }));
        Ok(())
    }

    async fn call(
        self: Rc<Self>,
        params: conformance::CallParams,
        mut results: conformance::CallResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let callback = params.get_callback()?;
        let mut sum: i64 = 0;
        for number in 0..params.get_times() {
            let mut request = callback.call_request();
            request.get().set_number(number.into());
            sum = sum.wrapping_add(request.send().promise.await?.get()?.get_answer());
        }
        results.get().set_sum(sum);
        Ok(())
    }

    async fn reenter(
        self: Rc<Self>,
        params: conformance::ReenterParams,
        mut results: conformance::ReenterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let Some(depth) = params.get_depth().checked_sub(1) else { return Ok(()) };
        let mut request = params.get_callback()?.call_request();
        request.get().set_server(capnp_rpc::new_client_from_rc(self));
        request.get().set_depth(depth);
        let reached = request.send().promise.await?.get()?.get_depth();
        results.get().set_depth(reached.wrapping_add(1));
        Ok(())
    }

    async fn open_sink(
        self: Rc<Self>,
        _: conformance::OpenSinkParams,
        mut results: conformance::OpenSinkResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_sink(capnp_rpc::new_client(Sink::default()));
        Ok(())
    }

    async fn pour(
        self: Rc<Self>,
        params: conformance::PourParams,
        mut results: conformance::PourResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        self.check_size(params.get_bytes())?;
        let window = self.limits.stream_window_bytes as u64;
        let peak = pour(&params.get_sink()?, params.get_chunks(), params.get_bytes(), window).await?;
        results.get().set_peak(peak);
        Ok(())
    }

    async fn fail(
        self: Rc<Self>,
        params: conformance::FailParams,
        _: conformance::FailResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let reason = params.get_reason()?.to_string()?;
        Err(match params.get_kind()? {
            ErrorKind::Failed => capnp::Error::failed(reason),
            ErrorKind::Overloaded => capnp::Error::overloaded(reason),
            ErrorKind::Disconnected => capnp::Error::disconnected(reason),
            ErrorKind::Unimplemented => capnp::Error::unimplemented(reason),
        })
    }

    async fn refuse(
        self: Rc<Self>,
        params: conformance::RefuseParams,
        mut results: conformance::RefuseResults,
    ) -> Result<(), capnp::Error> {
        let mut outcome = results.get().init_outcome();
        match params.get()?.get_code() {
            0 => outcome.set_value("accepted"),
            code => {
                let mut refusal = outcome.init_error();
                refusal.set_code(code);
                refusal.set_reason(format!("refused with code {code}"));
            }
        }
        Ok(())
    }

    async fn delay(
        self: Rc<Self>,
        params: conformance::DelayParams,
        mut results: conformance::DelayResults,
    ) -> Result<(), capnp::Error> {
        let millis = params.get()?.get_millis();
        tokio::time::sleep(Duration::from_millis(millis.into())).await;
        results.get().set_millis(millis);
        Ok(())
    }

    async fn hang(self: Rc<Self>, _: conformance::HangParams, _: conformance::HangResults) -> Result<(), capnp::Error> {
        let _until_cancelled = Waiting::begin(&self);
        pending().await
    }

    async fn hanging(
        self: Rc<Self>,
        _: conformance::HangingParams,
        mut results: conformance::HangingResults,
    ) -> Result<(), capnp::Error> {
        let mut results = results.get();
        results.set_waiting(self.waiting.get());
        results.set_cancelled(self.cancelled.get());
        Ok(())
    }
}

/// A call that waits until it is cancelled, which drops it.
struct Waiting<'a>(&'a Conformance);

impl<'a> Waiting<'a> {
    fn begin(conformance: &'a Conformance) -> Self {
        conformance.waiting.update(|waiting| waiting + 1);
        Waiting(conformance)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.update(|waiting| waiting - 1);
        self.0.cancelled.update(|cancelled| cancelled + 1);
    }
}
