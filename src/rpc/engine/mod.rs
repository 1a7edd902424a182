//! The RPC engine of one connection: calls, capabilities and promises, on top of the [`Wire`].
//!
//! Cap'n Proto RPC at level 1 (`rpc.capnp` of Cap'n Proto says what each message means): promise pipelining,
//! capabilities in both directions, and embargoes, so that calls on one capability arrive in the order in which they
//! were made, wherever it turns out to be. Four tables, as the specification has them:
//!
//! ```text
//!   questions   calls of this side, until the peer has returned              question.rs
//!   imports     capabilities of the peer that this side holds                capability.rs
//!   answers     calls of the peer, until the reply needs no more of them     answer.rs
//!   exports     capabilities of this side that the peer holds                export.rs
//! ```
//!
//! Programs see it through the hooks of the `capnp` crate (`ClientHook` and its like), as they do `capnp-rpc`; from
//! that crate come the objects that are called here (`capnp_rpc::new_client`) and clients that wait.
//!
//! A call that its service can answer at once takes one turn from the message to the reply, and no task; one call of
//! the program takes one shared object. That is what makes this faster than `capnp_rpc::RpcSystem`.
//!
//! # Order
//!
//! Before a message is handled, all calls at work are polled that can go on. So what was held up for a promise is
//! passed on before whatever came after its fulfilment.

mod ahead;
mod answer;
mod capability;
mod export;
mod question;
mod table;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, PipelineHook, ResultsHook};
use capnp_rpc::rpc_capnp::{cap_descriptor, disembargo, exception, message, resolve, return_};
use futures::StreamExt;
use futures::channel::oneshot;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;

use super::head::ReturnHead;
use super::kind::Kind;
use super::message::{Incoming, Outgoing};
use super::wire::{Wire, keep_waker};
use ahead::Ahead;
use answer::{Answer, Work};
use capability::{Capability, Import};
use export::{Exports, innermost};
use question::{Asked, Asker, Pipeline, Question, Received, Results};
use table::Table;

/// By ids that the peer gives, and by addresses.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The capabilities of a message, in the order of its descriptors.
type CapTable = Vec<Option<Box<dyn ClientHook>>>;

/// After so many messages others get their turn.
const MESSAGES_IN_A_TURN: usize = 256;

/// How often the calls at work are polled again because one of them woke another.
const ROUNDS_MAX: usize = 16;

/// Runs the RPC of one connection. As a future it is done when the connection is over; the tables are empty then.
pub(crate) struct Engine {
    tables: Rc<Tables>,
    /// Calls of the peer that were not done at once, and promises that the peer waits for.
    work: FuturesUnordered<Work>,
    woken: Arc<Woken>,
}

/// What is known of the two sides' calls and capabilities.
pub(crate) struct Tables {
    wire: Rc<Wire>,
    /// What the peer gets when it asks for it.
    offered: RefCell<Option<Box<dyn ClientHook>>>,
    questions: RefCell<Table<Asked>>,
    answers: RefCell<Map<u32, Answer>>,
    exports: RefCell<Exports>,
    imports: RefCell<Map<u32, Import>>,
    embargoes: RefCell<Table<oneshot::Sender<()>>>,
    /// All capabilities of this connection, by [`ClientHook::get_ptr`].
    capabilities: RefCell<Map<usize, Weak<Capability>>>,
    /// What the engine has not taken up yet.
    new_work: RefCell<Vec<Work>>,
    /// Of the engine.
    waker: RefCell<Option<Waker>>,
    ahead: Ahead,
    /// Why the connection is over.
    error: RefCell<Option<capnp::Error>>,
}

impl Engine {
    /// On this wire; the peer may ask for what is `offered`.
    pub(crate) fn new(wire: Rc<Wire>, offered: Option<capnp::capability::Client>) -> Self {
        let tables = Tables {
            wire,
            offered: RefCell::new(offered.map(|client| client.hook)),
            questions: RefCell::default(),
            answers: RefCell::default(),
            exports: RefCell::default(),
            imports: RefCell::default(),
            embargoes: RefCell::default(),
            capabilities: RefCell::default(),
            new_work: RefCell::default(),
            waker: RefCell::default(),
            ahead: Ahead::default(),
            error: RefCell::default(),
        };
        Engine { tables: Rc::new(tables), work: FuturesUnordered::new(), woken: Arc::default() }
    }

    pub(crate) fn tables(&self) -> &Rc<Tables> {
        &self.tables
    }

    /// Polls what is at work until none of it can go on.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> capnp::Result<()> {
        self.work.extend(self.tables.new_work.take());
        if self.work.is_empty() {
            return Ok(());
        }
        self.woken.engine.register(cx.waker());
        let waker = Waker::from(self.woken.clone());
        let mut rounds = 0;
        while rounds < ROUNDS_MAX {
            self.woken.again.store(false, Ordering::Relaxed);
            match self.work.poll_next_unpin(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(result)) => result?,
                Poll::Ready(None) => return Ok(()),
                // The set gives up early when it was woken meanwhile.
                Poll::Pending if self.woken.again.load(Ordering::Relaxed) => rounds += 1,
                Poll::Pending => return Ok(()),
            }
            self.work.extend(self.tables.new_work.take());
        }
        Ok(())
    }

    /// Handles messages until there are none, or the connection is over.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<capnp::Result<()>> {
        for _ in 0..MESSAGES_IN_A_TURN {
            self.poll_work(cx)?;
            match ready!(self.tables.poll_receive(cx))? {
                Some(message) => self.work.extend(self.tables.handle(message, cx)?),
                None => return Poll::Ready(Err(capnp::Error::disconnected("Peer disconnected.".into()))),
            }
            self.tables.wire.flush_due(cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Engine {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        keep_waker(&mut self.tables.waker.borrow_mut(), cx);
        self.tables.ahead.forbid();
        if let Poll::Ready(ended) = self.poll_messages(cx) {
            ended.unwrap_or_else(|error| self.tables.disconnect(error));
            return Poll::Ready(());
        }
        if self.work.is_empty() {
            self.tables.ahead.allow();
        }
        Poll::Pending
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.tables.disconnect(disconnected());
    }
}

/// Wakes the engine for something at work, and notes that it did.
#[derive(Default)]
struct Woken {
    again: AtomicBool,
    engine: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::Relaxed);
        self.engine.wake();
    }
}

impl Tables {
    /// The peer's bootstrap capability. It can be called at once.
    pub(crate) fn bootstrap(self: &Rc<Self>) -> capnp::capability::Client {
        if let Some(error) = self.error() {
            return capnp_rpc::new_broken_cap(error);
        }
        let question = Question::ask(self, Vec::new());
        let mut message = Outgoing::of_words(5);
        message.init().init_bootstrap().set_question_id(question.id);
        self.wire.send(message);
        capnp::capability::Client::new(Pipeline(question).get_pipelined_cap(&[]))
    }

    /// Ends the connection: who waits for the peer fails with this, and the peer is told.
    pub(crate) fn disconnect(&self, error: capnp::Error) {
        if self.error.borrow().is_some() {
            return;
        }
        let mut message = Outgoing::of_words(100);
        write_error(&error, message.init().init_abort());
        self.error.replace(Some(error.clone()));

        // Everything is taken out before any of it is dropped, since what is dropped may come back here.
        let questions: Vec<_> = self.questions.borrow_mut().take_all().collect();
        let embargoes: Vec<_> = self.embargoes.borrow_mut().take_all().collect();
        let exports: Vec<_> = self.take_exports().collect();
        let (offered, answers, new_work) = (self.offered.take(), self.answers.take(), self.new_work.take());
        for asked in questions {
            match asked.by {
                Asker::Stream(window, bytes) => window.acknowledged(bytes, Err(error.clone())),
                Asker::Program(question) => {
                    if let Some(question) = question.upgrade() {
                        question.resolve(Err(error.clone()));
                    }
                }
                Asker::Nobody | Asker::Returned => {}
            }
        }
        self.break_imports(&error);
        drop((embargoes, exports, offered, answers, new_work));

        self.wire.send(message);
        self.wire.shutdown(error);
    }

    /// Why the connection is over, if it is.
    fn error(&self) -> Option<capnp::Error> {
        self.error.borrow().clone()
    }

    /// What [`ClientHook::get_brand`] gives for capabilities of this connection.
    fn brand(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Gives the engine something to work on.
    fn add_work(&self, work: Work) {
        self.ahead.forbid();
        self.new_work.borrow_mut().push(work);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Handles a message of the peer. What comes back is still to be worked on; an error ends the connection.
    fn handle(self: &Rc<Self>, incoming: Incoming, cx: &mut Context<'_>) -> capnp::Result<Option<Work>> {
        match incoming.kind {
            Kind::Call(_) => return self.handle_call(incoming, cx),
            Kind::Return { .. } => self.handle_return(incoming)?,
            _ => self.handle_other(incoming)?,
        }
        Ok(None)
    }

    fn handle_other(self: &Rc<Self>, incoming: Incoming) -> capnp::Result<()> {
        match incoming.root::<message::Reader<'_>>()?.which() {
            Ok(message::Finish(finish)) => {
                let finish = finish?;
                self.handle_finish(finish.get_question_id(), finish.get_release_result_caps())?;
            }
            Ok(message::Release(release)) => {
                let release = release?;
                self.release(release.get_id(), release.get_reference_count())?;
            }
            Ok(message::Bootstrap(bootstrap)) => self.handle_bootstrap(bootstrap?.get_question_id())?,
            Ok(message::Resolve(resolve)) => self.handle_resolve(resolve?)?,
            Ok(message::Disembargo(disembargo)) => self.handle_disembargo(disembargo?)?,
            Ok(message::Abort(reason)) => return Err(read_error(reason?)),
            Ok(message::Unimplemented(message)) => self.handle_unimplemented(message?)?,
            // These are malformed, or their kind would have been told.
            Ok(message::Call(call)) => drop(call?),
            Ok(message::Return(answer)) => drop(answer?),
            // Levels of the protocol that this is not at, and what is newer than it.
            Ok(_) | Err(capnp::NotInSchema(_)) => self.send_unimplemented(&incoming)?,
        }
        Ok(())
    }

    fn handle_bootstrap(self: &Rc<Self>, id: u32) -> capnp::Result<()> {
        let offered = self.offered.borrow().clone();
        self.answer_bootstrap(
            id,
            offered.unwrap_or_else(|| broken(capnp::Error::failed("this side offers no bootstrap capability".into()))),
        )
    }

    fn handle_return(self: &Rc<Self>, incoming: Incoming) -> capnp::Result<()> {
        let at_a_glance = ReturnHead::at_a_glance(incoming.first_segment());
        let head = at_a_glance.map_or_else(|| return_head(&incoming), Ok)?;
        let id = head.question;
        let (asker, exports) = {
            let mut questions = self.questions.borrow_mut();
            let asked = questions
                .get_mut(id)
                .ok_or_else(|| capnp::Error::failed(format!("Invalid question ID in Return message: {id}")))?;
            (std::mem::replace(&mut asked.by, Asker::Returned), std::mem::take(&mut asked.exports))
        };
        match asker {
            Asker::Program(question) => {
                let Some(question) = question.upgrade() else { return Ok(()) };
                if !head.needs_finish {
                    question.needs_no_finish();
                }
                let received = match at_a_glance {
                    Some(_) => Ok(Some(CapTable::new())),
                    None => self.receive_results(&incoming, &question),
                };
                match received {
                    Ok(Some(capabilities)) => {
                        let received = Received { message: incoming, capabilities };
                        question.resolve(Ok(Results::Received(Rc::new(received))));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        question.resolve(Err(error.clone()));
                        return Err(error);
                    }
                }
            }
            Asker::Stream(window, bytes) => {
                self.questions.borrow_mut().remove(id);
                let failed = if at_a_glance.is_some() { None } else { failure(&incoming) };
                window.acknowledged(bytes, failed.map_or(Ok(()), Err));
                if head.needs_finish {
                    self.send_finish(id, true);
                }
            }
            Asker::Nobody => drop(self.questions.borrow_mut().remove(id)),
            Asker::Returned => {
                return Err(capnp::Error::failed(format!("Second Return message for question ID: {id}")));
            }
        }
        if head.releases {
            exports.iter().try_for_each(|export| self.release(*export, 1))?;
        }
        Ok(())
    }

    /// The capabilities of the results; nothing, if there are none or they come from elsewhere, and the question knows.
    fn receive_results(
        self: &Rc<Self>,
        incoming: &Incoming,
        question: &Rc<Question>,
    ) -> capnp::Result<Option<CapTable>> {
        match answer(incoming)?.which()? {
            return_::Results(payload) => self.receive_capabilities(payload?.get_cap_table()?).map(Some),
            return_::TakeFromOtherQuestion(other) => {
                self.take_results(other, question.clone())?;
                Ok(None)
            }
            _ => {
                question.resolve(Err(failure(incoming).unwrap_or_else(disconnected)));
                Ok(None)
            }
        }
    }

    fn handle_resolve(self: &Rc<Self>, resolve: resolve::Reader<'_>) -> capnp::Result<()> {
        let to = match resolve.which()? {
            resolve::Exception(error) => Err(read_error(error?)),
            resolve::Cap(descriptor) => Ok(self
                .receive_capability(descriptor?)?
                .ok_or_else(|| capnp::Error::failed("'Resolve' contained 'CapDescriptor.none'.".into()))?),
        };
        self.resolve_import(resolve.get_promise_id(), to)
    }

    fn handle_disembargo(self: &Rc<Self>, disembargo: disembargo::Reader<'_>) -> capnp::Result<()> {
        match disembargo.get_context().which()? {
            disembargo::context::SenderLoopback(id) => {
                let target = innermost(self.target(disembargo.get_target()?)?);
                let mut message = Outgoing::of_words(50);
                let mut back = message.init().init_disembargo();
                back.reborrow().init_context().set_receiver_loopback(id);
                // Whatever was called before it has been passed on.
                let elsewhere = match self.own(&*target) {
                    Some(own) => own.write_target(back.init_target()).is_some(),
                    None => true,
                };
                if elsewhere {
                    return Err(capnp::Error::failed(
                        "'Disembargo' of type 'senderLoopback' sent to an object that does not point back to the \
                         sender."
                            .into(),
                    ));
                }
                self.wire.send(message);
            }
            disembargo::context::ReceiverLoopback(id) => {
                let lift = self.embargoes.borrow_mut().remove(id).ok_or_else(|| {
                    capnp::Error::failed("Invalid embargo ID in `Disembargo.context.receiverLoopback".into())
                })?;
                let _ = lift.send(());
            }
            _ => {
                return Err(capnp::Error::unimplemented("Disembargo::Context::Provide/Accept not implemented".into()));
            }
        }
        Ok(())
    }

    fn handle_unimplemented(&self, message: message::Reader<'_>) -> capnp::Result<()> {
        let message::Resolve(resolve) = message.which()? else {
            return Err(capnp::Error::failed("Peer did not implement required RPC message type.".into()));
        };
        match resolve?.which()? {
            resolve::Exception(_) => Ok(()),
            resolve::Cap(descriptor) => match descriptor?.which()? {
                cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) => self.release(id, 1),
                _ => Ok(()),
            },
        }
    }

    fn send_unimplemented(&self, incoming: &Incoming) -> capnp::Result<()> {
        let mut message = Outgoing::of_words(50);
        message.init().set_unimplemented(incoming.root()?)?;
        self.wire.send(message);
        Ok(())
    }

    fn send_return(&self, id: u32, write: impl FnOnce(return_::Builder<'_>)) {
        let mut message = Outgoing::of_words(10);
        let mut answer = message.init().init_return();
        answer.set_answer_id(id);
        answer.set_release_param_caps(false);
        write(answer);
        self.wire.reply(id, false, message);
    }

    fn send_finish(&self, id: u32, release: bool) {
        if self.error.borrow().is_some() {
            return;
        }
        let mut message = Outgoing::of_words(5);
        let mut finish = message.init().init_finish();
        finish.set_question_id(id);
        finish.set_release_result_caps(release);
        self.wire.send(message);
    }

    fn send_release(&self, id: u32, references: u32) {
        if self.error.borrow().is_some() || references == 0 {
            return;
        }
        let mut message = Outgoing::of_words(5);
        let mut release = message.init().init_release();
        release.set_id(id);
        release.set_reference_count(references);
        self.wire.send(message);
    }
}

fn answer(incoming: &Incoming) -> capnp::Result<return_::Reader<'_>> {
    match incoming.root::<message::Reader<'_>>()?.which()? {
        message::Return(answer) => answer,
        _ => Err(capnp::Error::failed("a return that is none".into())),
    }
}

fn return_head(incoming: &Incoming) -> capnp::Result<ReturnHead> {
    let answer = answer(incoming)?;
    Ok(ReturnHead {
        question: answer.get_answer_id(),
        releases: answer.get_release_param_caps(),
        needs_finish: !answer.get_no_finish_needed(),
    })
}

/// Why a `Return` has no results, if it has none.
fn failure(incoming: &Incoming) -> Option<capnp::Error> {
    let failure = answer(incoming).and_then(|answer| match answer.which()? {
        return_::Results(_) => Ok(None),
        return_::Exception(error) => Ok(Some(read_error(error?))),
        return_::Canceled(()) => Ok(Some(capnp::Error::failed("the peer cancelled the call".into()))),
        _ => Ok(Some(capnp::Error::failed("the peer returned in a way that was not asked for".into()))),
    });
    failure.unwrap_or_else(Some)
}

/// A call with a copy of these parameters.
fn copy_call(
    target: &dyn ClientHook,
    interface: u64,
    method: u16,
    params: any_pointer::Reader<'_>,
) -> capnp::Result<capnp::capability::Request<any_pointer::Owned, any_pointer::Owned>> {
    let mut request = target.new_call(interface, method, Some(params.target_size()?));
    request.hook.get().set_as(params)?;
    Ok(request)
}

/// Copies a response to the results of another call.
fn forward(
    response: Promise<capnp::capability::Response<any_pointer::Owned>, capnp::Error>,
    mut results: Box<dyn ResultsHook>,
) -> Promise<(), capnp::Error> {
    Promise::from_future(async move {
        let response = response.await?;
        results.get()?.set_as(response.get()?)
    })
}

fn broken(error: capnp::Error) -> Box<dyn ClientHook> {
    capnp_rpc::new_broken_cap(error).hook
}

fn disconnected() -> capnp::Error {
    capnp::Error::disconnected("the connection is closed".into())
}

fn write_error(error: &capnp::Error, mut exception: exception::Builder<'_>) {
    use capnp::ErrorKind;
    let (type_, reason) = match error.kind {
        ErrorKind::Failed => (exception::Type::Failed, None),
        ErrorKind::Overloaded => (exception::Type::Overloaded, None),
        ErrorKind::Disconnected => (exception::Type::Disconnected, None),
        ErrorKind::Unimplemented => (exception::Type::Unimplemented, None),
        ErrorKind::SettingDynamicCapabilitiesIsUnsupported => (exception::Type::Unimplemented, Some(error.to_string())),
        // There is more in the kind than there are types.
        _ => (exception::Type::Failed, Some(error.to_string())),
    };
    exception.set_type(type_);
    exception.set_reason(reason.as_ref().unwrap_or(&error.extra));
}

fn read_error(exception: exception::Reader<'_>) -> capnp::Error {
    use capnp::ErrorKind;
    let kind = match exception.get_type() {
        Ok(exception::Type::Overloaded) => ErrorKind::Overloaded,
        Ok(exception::Type::Disconnected) => ErrorKind::Disconnected,
        Ok(exception::Type::Unimplemented) => ErrorKind::Unimplemented,
        Ok(exception::Type::Failed) | Err(_) => ErrorKind::Failed,
    };
    let reason = exception
        .get_reason()
        .map_or("(malformed error)", |reason| reason.to_str().unwrap_or("<malformed utf-8 in error reason>"));
    capnp::Error { extra: format!("remote exception: {reason}"), kind }
}

/// Adds to a list of who waits for something. Before it grows, those leave who do not wait any more, so that a peer cannot
/// make it grow with such.
fn wait_in<T>(list: &mut Vec<T>, waiting: T, is_over: impl Fn(&T) -> bool) {
    if list.len() == list.capacity() {
        list.retain(|other| !is_over(other));
    }
    list.push(waiting);
}
