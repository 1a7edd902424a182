//! Capabilities of the peer, as the program holds and calls them.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, ParamsHook, PipelineOp, ResultsHook};
use capnp_rpc::rpc_capnp::{cap_descriptor, message_target, promised_answer};
use futures::channel::oneshot;

use super::export::innermost;
use super::question::{Question, Request};
use super::{Tables, broken, copy_call, disconnected, forward, wait_in};
use crate::rpc::message::Outgoing;
use crate::rpc::stream::Window;

/// A capability that is reached by way of the peer.
pub(super) struct Capability {
    tables: Rc<Tables>,
    kind: Kind,
    /// Of the stream that it is, once it is called as one.
    window: RefCell<Option<Rc<Window>>>,
}

enum Kind {
    /// One that the peer exports. `references`: how often it was received, and so is to be released.
    Import { id: u32, references: Cell<u32> },
    /// One in the results of a question that has not returned when this is made.
    Pipelined { question: Rc<Question>, path: Vec<PipelineOp> },
    /// One that is called where it is now, until it turns out where it really is.
    Promise(RefCell<Promised>),
}

struct Promised {
    to: Box<dyn ClientHook>,
    resolved: bool,
    /// Calls went where it was before it was resolved.
    called: bool,
    waiting: Vec<oneshot::Sender<Box<dyn ClientHook>>>,
    /// Promises that lead to this one. They are led on when it is settled, so that there are no chains.
    followers: Vec<Weak<Capability>>,
}

/// An entry of the table of imports.
pub(super) struct Import {
    import: Weak<Capability>,
    /// What wraps it, if it is a promise.
    promise: Weak<Capability>,
}

/// The hold of a program on a [`Capability`].
#[derive(Clone)]
pub(super) struct Client(Rc<Capability>);

impl Capability {
    fn enter(tables: &Rc<Tables>, kind: Kind) -> Client {
        let capability = Rc::new(Capability { tables: tables.clone(), kind, window: RefCell::default() });
        tables.capabilities.borrow_mut().insert(Rc::as_ptr(&capability) as usize, Rc::downgrade(&capability));
        Client(capability)
    }

    pub(super) fn pipelined(tables: &Rc<Tables>, question: Rc<Question>, path: Vec<PipelineOp>) -> Client {
        question.pipelined();
        Capability::enter(tables, Kind::Pipelined { question, path })
    }

    pub(super) fn promise(tables: &Rc<Tables>, to: Box<dyn ClientHook>) -> Client {
        let promised = Promised { to, resolved: false, called: false, waiting: Vec::new(), followers: Vec::new() };
        Capability::enter(tables, Kind::Promise(RefCell::new(promised)))
    }

    /// Settles a promise; from now on it is called there. Calls that went by way of the peer, to what has turned out
    /// to be on this side, come first.
    pub(super) fn resolve(self: &Rc<Self>, to: capnp::Result<Box<dyn ClientHook>>) {
        let Kind::Promise(promised) = &self.kind else { return };
        if promised.borrow().resolved {
            return;
        }
        let failed = to.is_err();
        let to = to.map_or_else(broken, innermost);
        let next = self.tables.own(&*to);
        let to = match &next {
            Some(next) if Rc::ptr_eq(&next.0, self) => {
                broken(capnp::Error::failed("a promise that leads to itself".into()))
            }
            None if promised.borrow().called && !failed && self.tables.error().is_none() => self.embargoed(to),
            _ => to,
        };
        let mut state = promised.borrow_mut();
        let before = std::mem::replace(&mut state.to, to.clone());
        state.resolved = true;
        let called = state.called;
        let (waiting, mut followers) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.followers));
        drop(state);
        for waiting in waiting {
            let _ = waiting.send(to.clone());
        }
        for follower in followers.iter().filter_map(Weak::upgrade) {
            follower.lead_on(to.clone());
        }
        if let Some(Client(next)) = &next
            && let Kind::Promise(next) = &next.kind
        {
            followers.push(Rc::downgrade(self));
            let mut next = next.borrow_mut();
            for follower in followers {
                wait_in(&mut next.followers, follower, |follower| follower.strong_count() == 0);
            }
            next.called |= called;
        }
        drop(before);
    }

    /// What this promise leads to leads further.
    fn lead_on(&self, to: Box<dyn ClientHook>) {
        if let Kind::Promise(promised) = &self.kind {
            let before = std::mem::replace(&mut promised.borrow_mut().to, to);
            drop(before);
        }
    }

    /// Holds calls back until those that are under way by the peer have arrived: it sends a `Disembargo` back when it
    /// has passed them all on.
    fn embargoed(&self, to: Box<dyn ClientHook>) -> Box<dyn ClientHook> {
        let (lift, lifted) = oneshot::channel();
        let id = self.tables.embargoes.borrow_mut().add(lift);
        let mut message = Outgoing::of_words(50);
        let mut disembargo = message.init().init_disembargo();
        disembargo.reborrow().init_context().set_sender_loopback(id);
        // It leads to the peer, since it was called there.
        let _ = self.write_target(disembargo.init_target());
        self.tables.wire.send(message);
        capnp_rpc::new_future_client::<capnp::capability::Client>(async move {
            lifted.await.map_err(|_| disconnected())?;
            Ok(capnp::capability::Client::new(to))
        })
        .hook
    }

    /// Writes the way that a call takes to it. If it does not lead to the peer any more: where instead.
    fn write_target(&self, mut target: message_target::Builder<'_>) -> Option<Box<dyn ClientHook>> {
        match &self.kind {
            Kind::Import { id, .. } => target.set_imported_cap(*id),
            Kind::Pipelined { question, path } => write_path(question, path, target.init_promised_answer()),
            Kind::Promise(promised) => {
                let mut promised = promised.borrow_mut();
                promised.called = true;
                return match self.tables.own(&*promised.to) {
                    Some(capability) => capability.0.write_target(target),
                    None => Some(promised.to.add_ref()),
                };
            }
        }
        None
    }

    /// Writes what the peer is to find it by. What was exported for that comes back.
    fn write_descriptor(&self, mut descriptor: cap_descriptor::Builder<'_>) -> capnp::Result<Option<u32>> {
        match &self.kind {
            Kind::Import { id, .. } => descriptor.set_receiver_hosted(*id),
            Kind::Pipelined { question, path } => write_path(question, path, descriptor.init_receiver_answer()),
            Kind::Promise(promised) => {
                promised.borrow_mut().called = true;
                let to = promised.borrow().to.clone();
                return self.tables.write_descriptor(to, descriptor);
            }
        }
        Ok(None)
    }
}

fn write_path(question: &Question, path: &[PipelineOp], mut answer: promised_answer::Builder<'_>) {
    answer.set_question_id(question.id);
    let mut transform = answer.init_transform(path.len() as u32);
    for (index, op) in path.iter().enumerate() {
        if let PipelineOp::GetPointerField(field) = op {
            transform.reborrow().get(index as u32).set_get_pointer_field(*field);
        }
    }
}

impl Drop for Capability {
    fn drop(&mut self) {
        let this: *const Capability = self;
        self.tables.capabilities.borrow_mut().remove(&(this as usize));
        match &self.kind {
            Kind::Import { id, references } => {
                self.tables.imports.borrow_mut().remove(id);
                self.tables.send_release(*id, references.get());
            }
            Kind::Pipelined { question, .. } => question.unpipelined(),
            Kind::Promise(_) => {}
        }
    }
}

impl Tables {
    /// A capability of this connection behind a hook, if it is one.
    pub(super) fn own(&self, hook: &dyn ClientHook) -> Option<Client> {
        if hook.get_brand() != self.brand() {
            return None;
        }
        self.capabilities.borrow().get(&hook.get_ptr())?.upgrade().map(Client)
    }

    /// Takes what the peer has exported under this id once more.
    pub(super) fn import(self: &Rc<Self>, id: u32, is_promise: bool) -> Box<dyn ClientHook> {
        let known = self.imports.borrow().get(&id).and_then(|entry| {
            let import = Client(entry.import.upgrade()?);
            Some((import, entry.promise.upgrade().map(Client)))
        });
        let (import, promise) = known.unwrap_or_else(|| {
            let import = Capability::enter(self, Kind::Import { id, references: Cell::new(0) });
            let entry = Import { import: import.downgrade(), promise: Weak::new() };
            self.imports.borrow_mut().insert(id, entry);
            (import, None)
        });
        if let Kind::Import { references, .. } = &import.0.kind {
            references.set(references.get() + 1);
        }
        match promise {
            Some(promise) => Box::new(promise),
            None if is_promise => {
                let promise = Capability::promise(self, Box::new(import));
                if let Some(entry) = self.imports.borrow_mut().get_mut(&id) {
                    entry.promise = promise.downgrade();
                }
                Box::new(promise)
            }
            None => Box::new(import),
        }
    }

    /// The peer says where its promise leads.
    pub(super) fn resolve_import(&self, id: u32, to: capnp::Result<Box<dyn ClientHook>>) -> capnp::Result<()> {
        let Some(promise) = self.imports.borrow().get(&id).map(|entry| entry.promise.upgrade()) else {
            // It is released, and the peer does not know yet.
            return Ok(());
        };
        match promise {
            Some(promise) => promise.resolve(to),
            None => return Err(capnp::Error::failed("'Resolve' for what is no promise".into())),
        }
        Ok(())
    }

    /// Fails the peer's promises.
    pub(super) fn break_imports(&self, error: &capnp::Error) {
        let promises: Vec<_> = self.imports.borrow().values().filter_map(|entry| entry.promise.upgrade()).collect();
        for promise in promises {
            promise.resolve(Err(error.clone()));
        }
    }
}

impl Client {
    pub(super) fn downgrade(&self) -> Weak<Capability> {
        Rc::downgrade(&self.0)
    }

    pub(super) fn write_target(&self, target: message_target::Builder<'_>) -> Option<Box<dyn ClientHook>> {
        self.0.write_target(target)
    }

    pub(super) fn write_descriptor(&self, descriptor: cap_descriptor::Builder<'_>) -> capnp::Result<Option<u32>> {
        self.0.write_descriptor(descriptor)
    }

    /// The window of the stream that this capability is.
    pub(super) fn window(&self) -> Rc<Window> {
        let new = || Rc::new(Window::new(self.0.tables.wire.stream_window_bytes()));
        self.0.window.borrow_mut().get_or_insert_with(new).clone()
    }
}

impl ClientHook for Client {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(self.clone())
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        size: Option<capnp::MessageSize>,
    ) -> capnp::capability::Request<any_pointer::Owned, any_pointer::Owned> {
        if let Some(error) = self.0.tables.error() {
            return broken(error).new_call(interface, method, size);
        }
        if let Some(to) = self.get_resolved() {
            return innermost(to).new_call(interface, method, size);
        }
        let request = Request::new(&self.0.tables, self.clone(), interface, method);
        capnp::capability::Request::new(Box::new(request))
    }

    /// Passes a call on to the peer.
    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), capnp::Error> {
        let request = params.get().and_then(|params| copy_call(self, interface, method, params));
        match request {
            Err(error) => Promise::err(error),
            Ok(request) => forward(request.send().promise, results),
        }
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }

    fn get_brand(&self) -> usize {
        self.0.tables.brand()
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        match &self.0.kind {
            Kind::Promise(promised) if promised.borrow().resolved => Some(promised.borrow().to.clone()),
            _ => None,
        }
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, capnp::Error>> {
        let Kind::Promise(promised) = &self.0.kind else { return None };
        let mut promised = promised.borrow_mut();
        if promised.resolved {
            return Some(Promise::ok(promised.to.clone()));
        }
        let (resolve, resolved) = oneshot::channel();
        wait_in(&mut promised.waiting, resolve, oneshot::Sender::is_canceled);
        Some(Promise::from_future(async move { resolved.await.map_err(|_| disconnected()) }))
    }

    fn when_resolved(&self) -> Promise<(), capnp::Error> {
        let mut hook = self.add_ref();
        Promise::from_future(async move {
            loop {
                hook = innermost(hook);
                match hook.when_more_resolved() {
                    Some(more) => hook = more.await?,
                    None => return Ok(()),
                }
            }
        })
    }
}
