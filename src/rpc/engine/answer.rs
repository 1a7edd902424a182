//! Calls of the peer: from the call to the reply.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::{ClientHook, ParamsHook, PipelineHook, PipelineOp, RequestHook, ResultsHook};
use capnp::traits::{Imbue, ImbueMut};
use capnp_rpc::rpc_capnp::{call, message, return_};
use futures::channel::oneshot;
use futures::future::{AbortHandle, Abortable};
use futures::{FutureExt, future::LocalBoxFuture};

use super::question::{self, Question, content_of_return};
use super::{CapTable, Tables, broken, disconnected, forward, wait_in, write_error};
use crate::rpc::head::CallHead;
use crate::rpc::message::{Incoming, Outgoing};

/// An entry of the table of answers: a call that is at work, or a reply that the peer may still call by way of.
#[derive(Default)]
pub(super) struct Answer {
    call: Option<Rc<Call>>,
    /// When the last of these goes, the call is cancelled. A capability that is called by way of it has one.
    hold: Option<Rc<Hold>>,
    /// `Finish` came before the reply.
    finished: bool,
    results: Option<capnp::Result<Rc<Reply>>>,
    /// What the results exported.
    exports: Vec<u32>,
    /// The question of this side that the results are the answer to, where the peer has said so.
    taker: Option<Rc<Question>>,
}

struct Hold(AbortHandle);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is kept of the results.
pub(super) struct Reply {
    message: Rc<Builder<HeapAllocator>>,
    capabilities: CapTable,
}

impl Reply {
    pub(super) fn content(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        let mut content = content_of_return(self.message.get_root_as_reader()?)?;
        content.imbue(&self.capabilities);
        Ok(content)
    }

    fn capability(&self, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.content().and_then(|content| content.get_pipelined_cap(path)).unwrap_or_else(broken)
    }
}

/// A call of the peer that has no reply yet.
struct Call {
    tables: Rc<Tables>,
    id: u32,
    /// The results are not sent: they are the answer to a question of this side.
    kept_here: bool,
    state: RefCell<CallState>,
}

#[derive(Default)]
struct CallState {
    /// What the service's method came to.
    outcome: Option<capnp::Result<()>>,
    /// The results, once the service has let go of them.
    built: Option<(Outgoing, CapTable)>,
    /// What the service has said ahead of the results.
    pipeline: Option<Rc<Reply>>,
    /// Capabilities of the results that are called already.
    waiting: Vec<Waiting>,
    replied: bool,
}

/// Who waits for a capability of the results, and by which path it is found.
type Waiting = (oneshot::Sender<Box<dyn ClientHook>>, Vec<PipelineOp>);

impl Call {
    fn returned(&self, outcome: capnp::Result<()>) {
        self.state.borrow_mut().outcome = Some(outcome);
        self.reply_if_done();
    }

    fn built(&self, message: Outgoing, capabilities: CapTable) {
        self.state.borrow_mut().built = Some((message, capabilities));
        self.reply_if_done();
    }

    fn reply_if_done(&self) {
        let mut state = self.state.borrow_mut();
        if state.replied {
            return;
        }
        let result = match state.outcome.take() {
            Some(Ok(())) if state.built.is_none() => return state.outcome = Some(Ok(())),
            None => return,
            Some(outcome) => outcome.map(|()| state.built.take().expect("seen above")),
        };
        state.replied = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        let kept = self.tables.reply(self, result, !waiting.is_empty());
        for (waiting, path) in waiting {
            let _ = waiting.send(match &kept {
                Ok(Some(reply)) => reply.capability(&path),
                Ok(None) => broken(disconnected()),
                Err(error) => broken(error.clone()),
            });
        }
    }

    /// Nobody waits for the results any more, and the service does not work on them.
    fn cancelled(&self) {
        if !std::mem::replace(&mut self.state.borrow_mut().replied, true) {
            let answer = self.tables.answers.borrow_mut().remove(&self.id);
            drop(answer);
            self.tables.send_return(self.id, |mut answer| answer.set_canceled(()));
        }
    }

    /// A capability of the results.
    fn capability(&self, path: &[PipelineOp], hold: Option<&Rc<Hold>>) -> Box<dyn ClientHook> {
        let mut state = self.state.borrow_mut();
        if let Some(reply) = &state.pipeline {
            return reply.capability(path);
        }
        let (there, is_there) = oneshot::channel();
        wait_in(&mut state.waiting, (there, path.to_vec()), |(there, _)| there.is_canceled());
        let hold = hold.cloned();
        capnp_rpc::new_future_client::<capnp::capability::Client>(async move {
            let hook = is_there.await.map_err(|_| disconnected())?;
            drop(hold);
            Ok(capnp::capability::Client::new(hook))
        })
        .hook
    }

    fn new_message(&self) -> Outgoing {
        let mut message = if self.kept_here { Outgoing::kept_here() } else { self.tables.wire.new_message() };
        let mut answer = message.init().init_return();
        answer.set_answer_id(self.id);
        answer.set_release_param_caps(false);
        // Unless there turn out to be capabilities.
        answer.set_no_finish_needed(true);
        answer.init_results();
        message
    }
}

/// What a call says beside its parameters.
struct Asked {
    id: u32,
    interface: u64,
    method: u16,
    target: Box<dyn ClientHook>,
    kept_here: bool,
    /// Of the parameters.
    capabilities: CapTable,
}

/// A call is dispatched: what is left to do of it, if it is not done at once.
pub(super) type Work = LocalBoxFuture<'static, capnp::Result<()>>;

impl Tables {
    pub(super) fn handle_call(self: &Rc<Self>, message: Incoming, cx: &mut Context<'_>) -> capnp::Result<Option<Work>> {
        let Asked { id, interface, method, target, kept_here, capabilities } = self.read_call(&message)?;
        if self.answers.borrow().contains_key(&id) {
            return Err(capnp::Error::failed(format!("Received a new call on in-use question id {id}")));
        }
        let call = Rc::new(Call { tables: self.clone(), id, kept_here, state: RefCell::default() });
        let params = Box::new(Params { message, capabilities });
        let results = Box::new(Results { call: call.clone(), message: None, capabilities: CapTable::new() });
        let mut promise = target.call(interface, method, params, results);
        // Most calls are done by this, and need no place in the table.
        match promise.poll_unpin(cx) {
            Poll::Ready(outcome) => {
                call.returned(outcome);
                if !call.state.borrow().replied {
                    self.answers.borrow_mut().insert(id, Answer { call: Some(call), ..Answer::default() });
                }
                Ok(None)
            }
            Poll::Pending => {
                let (abort, registration) = AbortHandle::new_pair();
                let hold = Some(Rc::new(Hold(abort)));
                let answer = Answer { call: Some(call.clone()), hold, ..Answer::default() };
                self.answers.borrow_mut().insert(id, answer);
                Ok(Some(Box::pin(async move {
                    match Abortable::new(promise, registration).await {
                        Ok(outcome) => call.returned(outcome),
                        Err(_) => call.cancelled(),
                    }
                    Ok(())
                })))
            }
        }
    }

    fn read_call(self: &Rc<Self>, message: &Incoming) -> capnp::Result<Asked> {
        if let Some(head) = CallHead::at_a_glance(message.first_segment()) {
            return Ok(Asked {
                id: head.question,
                interface: head.interface,
                method: head.method,
                target: self.target_of_export(head.target)?,
                kept_here: false,
                capabilities: CapTable::new(),
            });
        }
        let message::Call(call) = message.root::<message::Reader<'_>>()?.which()? else {
            return Err(capnp::Error::failed("a call that is none".into()));
        };
        let call = call?;
        let target = self.target(call.get_target()?)?;
        let kept_here = match call.get_send_results_to().which()? {
            call::send_results_to::Caller(()) => false,
            call::send_results_to::Yourself(()) => true,
            call::send_results_to::ThirdParty(_) => {
                return Err(capnp::Error::failed("Unsupported `Call.sendResultsTo`.".into()));
            }
        };
        let capabilities = self.receive_capabilities(call.get_params()?.get_cap_table()?)?;
        let (interface, method) = (call.get_interface_id(), call.get_method_id());
        Ok(Asked { id: call.get_question_id(), interface, method, target, kept_here, capabilities })
    }

    /// Replies with a capability alone.
    pub(super) fn answer_bootstrap(self: &Rc<Self>, id: u32, hook: Box<dyn ClientHook>) -> capnp::Result<()> {
        if self.answers.borrow().contains_key(&id) {
            return Err(capnp::Error::failed("questionId is already in use".into()));
        }
        let call = Rc::new(Call { tables: self.clone(), id, kept_here: false, state: RefCell::default() });
        let mut results = Results { call: call.clone(), message: None, capabilities: CapTable::new() };
        results.get()?.set_as_capability(hook);
        drop(results);
        call.returned(Ok(()));
        Ok(())
    }

    /// Sends the reply to a call; gives what is to be kept of it, if anything.
    fn reply(
        self: &Rc<Self>,
        call: &Call,
        result: capnp::Result<(Outgoing, CapTable)>,
        keep: bool,
    ) -> capnp::Result<Option<Rc<Reply>>> {
        let answer = self.answers.borrow_mut().remove(&call.id).unwrap_or_default();
        if let Some(error) = self.error() {
            return Err(error);
        }
        if answer.finished && answer.taker.is_none() {
            self.send_return(call.id, |mut answer| answer.set_canceled(()));
            return result
                .map(|(message, capabilities)| Some(Rc::new(Reply { message: message.into_kept(), capabilities })));
        }
        if call.kept_here {
            return self.keep_here(call.id, answer, result);
        }
        let (mut message, capabilities) = match result {
            Ok(result) => result,
            Err(error) => {
                self.send_return(call.id, |answer| write_error(&error, answer.init_exception()));
                let answer = Answer { results: Some(Err(error.clone())), ..Answer::default() };
                self.answers.borrow_mut().insert(call.id, answer);
                return Err(error);
            }
        };
        if capabilities.is_empty() && !keep {
            self.wire.reply(call.id, true, message);
            return Ok(None);
        }
        let exports = match message.root()?.which()? {
            message::Return(answer) if !capabilities.is_empty() => {
                let mut answer = answer?;
                answer.set_no_finish_needed(false);
                match answer.which()? {
                    return_::Results(payload) => self.write_descriptors(&capabilities, payload?)?,
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let needs_finish = !capabilities.is_empty();
        let reply = Rc::new(Reply { message: self.wire.reply_and_keep(call.id, !needs_finish, message), capabilities });
        if needs_finish {
            let answer = Answer { results: Some(Ok(reply.clone())), exports, ..Answer::default() };
            self.answers.borrow_mut().insert(call.id, answer);
        }
        Ok(Some(reply))
    }

    /// The results go to a question of this side.
    fn keep_here(
        self: &Rc<Self>,
        id: u32,
        answer: Answer,
        result: capnp::Result<(Outgoing, CapTable)>,
    ) -> capnp::Result<Option<Rc<Reply>>> {
        let results =
            result.map(|(message, capabilities)| Rc::new(Reply { message: message.into_kept(), capabilities }));
        self.send_return(id, |mut answer| answer.set_results_sent_elsewhere(()));
        if !answer.finished {
            let answer = Answer { results: Some(results.clone()), ..Answer::default() };
            self.answers.borrow_mut().insert(id, answer);
        }
        if let Some(question) = answer.taker {
            question.resolve(results.clone().map(question::Results::Local));
        }
        results.map(Some)
    }

    /// The peer says that the answer to a question of this side is what its own question came to.
    pub(super) fn take_results(&self, from: u32, question: Rc<Question>) -> capnp::Result<()> {
        let results = {
            let mut answers = self.answers.borrow_mut();
            let answer = answers
                .get_mut(&from)
                .ok_or_else(|| capnp::Error::failed("return.takeFromOtherQuestion had invalid answer ID.".into()))?;
            match (&answer.results, &answer.call) {
                (Some(results), _) => results.clone(),
                (None, Some(call)) if call.kept_here && answer.taker.is_none() => {
                    answer.taker = Some(question);
                    return Ok(());
                }
                _ => {
                    return Err(capnp::Error::failed(
                        "return.takeFromOtherQuestion referenced a call that did not use sendResultsTo.yourself."
                            .into(),
                    ));
                }
            }
        };
        question.resolve(results.map(question::Results::Local));
        Ok(())
    }

    pub(super) fn handle_finish(&self, id: u32, release: bool) -> capnp::Result<()> {
        let mut answers = self.answers.borrow_mut();
        // It may have been said that none is needed, after it was sent.
        let Some(answer) = answers.get_mut(&id) else { return Ok(()) };
        if answer.call.is_none() {
            let answer = answers.remove(&id);
            drop(answers);
            let Some(answer) = answer.filter(|_| release) else { return Ok(()) };
            return answer.exports.iter().try_for_each(|export| self.release(*export, 1));
        }
        answer.finished = true;
        let hold = if answer.taker.is_none() { answer.hold.take() } else { None };
        drop(answers);
        drop(hold);
        Ok(())
    }

    /// What the peer calls by way of one of its questions.
    pub(super) fn capability_of_answer(&self, id: u32, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        match self.answers.borrow().get(&id) {
            Some(Answer { results: Some(Ok(reply)), .. }) => reply.capability(path),
            Some(Answer { results: Some(Err(error)), .. }) => broken(error.clone()),
            Some(Answer { call: Some(call), finished: false, hold, .. }) => call.capability(path, hold.as_ref()),
            _ => broken(capnp::Error::failed(
                "Pipeline call on a request that returned no capabilities or was already closed.".into(),
            )),
        }
    }
}

struct Params {
    message: Incoming,
    capabilities: CapTable,
}

impl ParamsHook for Params {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        match self.message.root::<message::Reader<'_>>()?.which()? {
            message::Call(call) => {
                let mut content = call?.get_params()?.get_content();
                content.imbue(&self.capabilities);
                Ok(content)
            }
            _ => Err(capnp::Error::failed("parameters of what is no call".into())),
        }
    }
}

struct Results {
    call: Rc<Call>,
    message: Option<Outgoing>,
    capabilities: CapTable,
}

impl ResultsHook for Results {
    fn get(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        let message = self.message.get_or_insert_with(|| self.call.new_message());
        if let message::Return(answer) = message.root()?.which()?
            && let return_::Results(payload) = answer?.which()?
        {
            let mut content = payload?.get_content();
            content.imbue_mut(&mut self.capabilities);
            return Ok(content);
        }
        Err(capnp::Error::failed("a reply without results".into()))
    }

    fn set_pipeline(&mut self) -> capnp::Result<()> {
        let mut message = Outgoing::kept_here();
        let mut capabilities = CapTable::new();
        let mut content = message.init().init_return().init_results().get_content();
        content.imbue_mut(&mut capabilities);
        content.set_as(self.get()?.into_reader())?;
        let reply = Rc::new(Reply { message: message.into_kept(), capabilities });
        let mut state = self.call.state.borrow_mut();
        if state.pipeline.replace(reply.clone()).is_some() {
            return Err(capnp::Error::failed("set_pipeline() called twice".into()));
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (waiting, path) in waiting {
            let _ = waiting.send(reply.capability(&path));
        }
        Ok(())
    }

    fn allow_cancellation(&self) {}

    fn tail_call(self: Box<Self>, request: Box<dyn RequestHook>) -> Promise<(), capnp::Error> {
        forward(request.send().promise, self)
    }

    fn direct_tail_call(
        self: Box<Self>,
        request: Box<dyn RequestHook>,
    ) -> (Promise<(), capnp::Error>, Box<dyn PipelineHook>) {
        let response = request.send();
        (forward(response.promise, self), Box::new(Typeless(response.pipeline)))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let message = self.message.take().unwrap_or_else(|| self.call.new_message());
        self.call.built(message, std::mem::take(&mut self.capabilities));
    }
}

/// The results of another call, as a hook.
struct Typeless(any_pointer::Pipeline);

impl PipelineHook for Typeless {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Typeless(self.0.noop()))
    }

    fn get_pipelined_cap(&self, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        let field = |at: any_pointer::Pipeline, op: &PipelineOp| match op {
            PipelineOp::Noop => at,
            PipelineOp::GetPointerField(field) => at.get_pointer_field(*field),
        };
        path.iter().fold(self.0.noop(), field).as_cap()
    }
}
