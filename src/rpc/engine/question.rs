//! Calls of this side: from the request to the response.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use capnp::any_pointer;
use capnp::capability::{Promise, RemotePromise};
use capnp::private::capability::{ClientHook, PipelineHook, PipelineOp, RequestHook, ResponseHook};
use capnp::traits::{Imbue, ImbueMut};
use capnp_rpc::rpc_capnp::{call, message, return_};

use super::answer::Reply;
use super::capability::{self, Capability};
use super::{CapTable, Tables, broken, copy_call, wait_in};
use crate::rpc::message::{Incoming, Outgoing};
use crate::rpc::stream::Window;
use crate::rpc::wire::keep_waker;

/// An entry of the table of questions. It stays until the peer has returned and been told `Finish`.
pub(super) struct Asked {
    pub(super) by: Asker,
    /// What the parameters exported, for a peer that says to release it.
    pub(super) exports: Vec<u32>,
}

/// Who waits for the answer to a question.
pub(super) enum Asker {
    Program(Weak<Question>),
    /// A call of a stream, which takes so many bytes of the window.
    Stream(Rc<Window>, usize),
    /// Nobody any more: `Finish` was sent already.
    Nobody,
    /// The peer has returned. `Finish` waits for capabilities that are still called by way of the question.
    Returned,
}

/// A question of the program. When nobody holds it any more it is cancelled, or finished.
pub(super) struct Question {
    tables: Rc<Tables>,
    pub(super) id: u32,
    state: RefCell<State>,
    /// Capabilities that are called by way of this question.
    pipelined: Cell<usize>,
    /// It is in the table.
    open: Cell<bool>,
    /// The peer waits for a `Finish`.
    needs_finish: Cell<bool>,
}

enum State {
    Waiting {
        /// Of who awaits the response.
        waker: Option<Waker>,
        /// What the program was given already of the results, and by which path.
        promises: Vec<(Weak<Capability>, Vec<PipelineOp>)>,
    },
    Done(capnp::Result<Results>),
}

impl Question {
    /// Enters a question, which is about to be asked.
    pub(super) fn ask(tables: &Rc<Tables>, exports: Vec<u32>) -> Rc<Question> {
        Rc::new_cyclic(|question| {
            let id = tables.questions.borrow_mut().add(Asked { by: Asker::Program(question.clone()), exports });
            Question {
                tables: tables.clone(),
                id,
                state: RefCell::new(State::Waiting { waker: None, promises: Vec::new() }),
                pipelined: Cell::new(0),
                open: Cell::new(true),
                needs_finish: Cell::new(true),
            }
        })
    }

    /// Ends the question: capabilities of the results are settled first, so that calls on them keep their order
    /// with those that the program makes when it sees the response.
    pub(super) fn resolve(&self, result: capnp::Result<Results>) {
        let state = State::Done(result.clone());
        let State::Waiting { waker, promises } = self.state.replace(state) else { return };
        for (promise, path) in promises {
            if let Some(promise) = promise.upgrade() {
                promise.resolve(result.as_ref().map_err(Clone::clone).and_then(|results| results.capability(&path)));
            }
        }
        if self.pipelined.get() == 0 {
            self.finish();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes that the peer awaits no `Finish`.
    pub(super) fn needs_no_finish(&self) {
        self.needs_finish.set(false);
    }

    /// A capability was made that is called by way of this question.
    pub(super) fn pipelined(&self) {
        self.pipelined.set(self.pipelined.get() + 1);
    }

    /// Such a capability is gone.
    pub(super) fn unpipelined(&self) {
        self.pipelined.set(self.pipelined.get() - 1);
        if self.pipelined.get() == 0 && matches!(*self.state.borrow(), State::Done(_)) {
            self.finish();
        }
    }

    fn finish(&self) {
        if !self.open.replace(false) {
            return;
        }
        let asked = self.tables.questions.borrow_mut().remove(self.id);
        if asked.is_some() && self.needs_finish.get() {
            self.tables.send_finish(self.id, false);
        }
    }

    /// A capability of the results, which may not be there yet.
    pub(super) fn capability(self: &Rc<Self>, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        match &mut *self.state.borrow_mut() {
            State::Waiting { promises, .. } => {
                let now = Capability::pipelined(&self.tables, self.clone(), path.to_vec());
                let promise = Capability::promise(&self.tables, Box::new(now));
                let waiting = (promise.downgrade(), path.to_vec());
                wait_in(promises, waiting, |(promise, _)| promise.strong_count() == 0);
                Box::new(promise)
            }
            State::Done(Ok(results)) => results.capability(path).unwrap_or_else(broken),
            State::Done(Err(error)) => broken(error.clone()),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if matches!(self.state.get_mut(), State::Done(_)) {
            return;
        }
        let abandoned = match self.tables.questions.borrow_mut().get_mut(self.id) {
            Some(asked) if matches!(asked.by, Asker::Program(_)) => {
                asked.by = Asker::Nobody;
                true
            }
            _ => false,
        };
        if abandoned {
            self.tables.send_finish(self.id, true);
        }
    }
}

/// The results of a question.
#[derive(Clone)]
pub(super) enum Results {
    Received(Rc<Received>),
    /// Of a call that the peer passed on to this side.
    Local(Rc<Reply>),
}

/// A `Return` of the peer, with results.
pub(super) struct Received {
    pub(super) message: Incoming,
    pub(super) capabilities: CapTable,
}

impl Results {
    fn content(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        match self {
            Results::Local(reply) => reply.content(),
            Results::Received(received) => {
                let mut content = content_of_return(received.message.root()?)?;
                content.imbue(&received.capabilities);
                Ok(content)
            }
        }
    }

    fn capability(&self, path: &[PipelineOp]) -> capnp::Result<Box<dyn ClientHook>> {
        self.content()?.get_pipelined_cap(path)
    }
}

/// The results of a `Return` that has some.
pub(super) fn content_of_return(message: message::Reader<'_>) -> capnp::Result<any_pointer::Reader<'_>> {
    if let message::Return(answer) = message.which()?
        && let return_::Results(payload) = answer?.which()?
    {
        return Ok(payload?.get_content());
    }
    Err(capnp::Error::failed("a reply without results".into()))
}

struct Response(Results);

impl ResponseHook for Response {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.content()
    }
}

/// What the program awaits.
struct Awaited(Rc<Question>);

impl Future for Awaited {
    type Output = capnp::Result<capnp::capability::Response<any_pointer::Owned>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(*self.0.state.borrow(), State::Waiting { .. }) {
            self.0.tables.receive_ahead();
        }
        match &mut *self.0.state.borrow_mut() {
            State::Waiting { waker, .. } => {
                keep_waker(waker, cx);
                Poll::Pending
            }
            State::Done(Ok(results)) => {
                Poll::Ready(Ok(capnp::capability::Response::new(Box::new(Response(results.clone())))))
            }
            State::Done(Err(error)) => Poll::Ready(Err(error.clone())),
        }
    }
}

/// The results of a question, before they are there.
pub(super) struct Pipeline(pub(super) Rc<Question>);

impl PipelineHook for Pipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Pipeline(self.0.clone()))
    }

    fn get_pipelined_cap(&self, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.0.capability(path)
    }
}

/// A call that was not sent yet.
pub(super) struct Request {
    tables: Rc<Tables>,
    target: capability::Client,
    message: Outgoing,
    capabilities: CapTable,
}

impl Request {
    pub(super) fn new(tables: &Rc<Tables>, target: capability::Client, interface: u64, method: u16) -> Self {
        let mut message = tables.wire.new_message();
        let mut call = message.init().init_call();
        call.set_interface_id(interface);
        call.set_method_id(method);
        Request { tables: tables.clone(), target, message, capabilities: CapTable::new() }
    }

    /// Sends it, with the id that `ask` gives it when it is told what the parameters export.
    fn ask<T>(
        self,
        ask: impl FnOnce(&Rc<Tables>, &capability::Client, Vec<u32>) -> (u32, T),
    ) -> capnp::Result<Asking<T>> {
        let Request { tables, target, mut message, mut capabilities } = self;
        if let Some(error) = tables.error() {
            return Err(error);
        }
        let mut call = call(&mut message)?;
        if let Some(elsewhere) = target.write_target(call.reborrow().init_target()) {
            let (interface, method) = (call.reborrow().get_interface_id(), call.reborrow().get_method_id());
            let mut params = call.get_params()?.get_content();
            params.imbue_mut(&mut capabilities);
            return copy_call(&*elsewhere, interface, method, params.into_reader()).map(Asking::Elsewhere);
        }
        let mut exports = Vec::new();
        if !capabilities.is_empty() {
            exports = tables.write_descriptors(&capabilities, call.reborrow().get_params()?)?;
        }
        let (id, asked) = ask(&tables, &target, exports);
        call.set_question_id(id);
        tables.wire.send(message);
        Ok(Asking::Here(asked))
    }
}

enum Asking<T> {
    Here(T),
    /// The target has turned out to be somewhere else since the request was made.
    Elsewhere(capnp::capability::Request<any_pointer::Owned, any_pointer::Owned>),
}

fn call(message: &mut Outgoing) -> capnp::Result<call::Builder<'_>> {
    match message.root()?.which()? {
        message::Call(call) => call,
        _ => Err(capnp::Error::failed("a request that is no call".into())),
    }
}

impl RequestHook for Request {
    fn get(&mut self) -> any_pointer::Builder<'_> {
        let call = call(&mut self.message).expect("it was made as a call");
        let mut params = call.get_params().expect("no other has written to it").get_content();
        params.imbue_mut(&mut self.capabilities);
        params
    }

    fn get_brand(&self) -> usize {
        self.tables.brand()
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        let asking = self.ask(|tables, _, exports| {
            let question = Question::ask(tables, exports);
            (question.id, question)
        });
        match asking {
            Ok(Asking::Here(question)) => RemotePromise {
                promise: Promise::from_future(Awaited(question.clone())),
                pipeline: any_pointer::Pipeline::new(Box::new(Pipeline(question))),
            },
            Ok(Asking::Elsewhere(request)) => request.hook.send(),
            Err(error) => RemotePromise {
                promise: Promise::err(error.clone()),
                pipeline: any_pointer::Pipeline::new(Box::new(BrokenPipeline(error))),
            },
        }
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), capnp::Error> {
        let bytes = self.message.size_in_words() * 8;
        let asking = self.ask(|tables, target, exports| {
            let window = target.window();
            let asked = Asked { by: Asker::Stream(window.clone(), bytes), exports };
            (tables.questions.borrow_mut().add(asked), window)
        });
        match asking {
            // It was sent, whatever the window says, so that order is kept; what waits is the caller.
            Ok(Asking::Here(window)) => window.sent(bytes),
            Ok(Asking::Elsewhere(request)) => request.hook.send_streaming(),
            Err(error) => Promise::err(error),
        }
    }

    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), capnp::Error>, Box<dyn PipelineHook>)> {
        None
    }
}

/// Of a call that could not be sent.
struct BrokenPipeline(capnp::Error);

impl PipelineHook for BrokenPipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(BrokenPipeline(self.0.clone()))
    }

    fn get_pipelined_cap(&self, _: &[PipelineOp]) -> Box<dyn ClientHook> {
        broken(self.0.clone())
    }
}
