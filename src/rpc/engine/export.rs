//! Capabilities of this side that the peer may call.

use std::rc::{Rc, Weak};

use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, PipelineOp};
use capnp::struct_list;
use capnp_rpc::rpc_capnp::{cap_descriptor, message_target, payload, promised_answer};
use futures::future::{AbortHandle, Abortable};

use super::table::Table;
use super::{CapTable, Map, Tables, broken, write_error};
use crate::rpc::message::Outgoing;

#[derive(Default)]
pub(super) struct Exports {
    table: Table<Export>,
    /// The export of a capability, by [`ClientHook::get_ptr`].
    ids: Map<usize, u32>,
}

struct Export {
    hook: Box<dyn ClientHook>,
    /// How often the peer was given it.
    references: u32,
    /// It is the one of its hook in `ids`.
    canonical: bool,
    /// What waits until a promise is settled, to tell the peer.
    resolving: Option<AbortHandle>,
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(resolving) = &self.resolving {
            resolving.abort();
        }
    }
}

impl Tables {
    /// Writes what the peer is to find capabilities by. What is exported for that comes back.
    pub(super) fn write_descriptors(
        self: &Rc<Self>,
        capabilities: &CapTable,
        payload: payload::Builder<'_>,
    ) -> capnp::Result<Vec<u32>> {
        let mut descriptors = payload.init_cap_table(capabilities.len() as u32);
        let mut exports = Vec::new();
        for (index, capability) in capabilities.iter().enumerate() {
            let mut descriptor = descriptors.reborrow().get(index as u32);
            match capability {
                None => descriptor.set_none(()),
                Some(hook) => exports.extend(self.write_descriptor(hook.clone(), descriptor)?),
            }
        }
        // Letting go of hooks may have ended the connection.
        self.error().map_or(Ok(exports), Err)
    }

    pub(super) fn write_descriptor(
        self: &Rc<Self>,
        hook: Box<dyn ClientHook>,
        mut descriptor: cap_descriptor::Builder<'_>,
    ) -> capnp::Result<Option<u32>> {
        let hook = innermost(hook);
        if let Some(own) = self.own(&*hook) {
            return own.write_descriptor(descriptor);
        }
        if let Some(error) = self.error() {
            return Err(error);
        }
        let mut exports = self.exports.borrow_mut();
        let known = exports.ids.get(&hook.get_ptr()).copied();
        if let Some(id) = known
            && let Some(export) = exports.table.get_mut(id)
        {
            export.references += 1;
            match export.resolving {
                Some(_) => descriptor.set_sender_promise(id),
                None => descriptor.set_sender_hosted(id),
            }
            return Ok(Some(id));
        }
        let export = Export { hook: hook.clone(), references: 1, canonical: true, resolving: None };
        let id = exports.table.add(export);
        exports.ids.insert(hook.get_ptr(), id);
        drop(exports);
        match hook.when_more_resolved() {
            None => descriptor.set_sender_hosted(id),
            Some(more) => {
                let (resolving, registration) = AbortHandle::new_pair();
                if let Some(export) = self.exports.borrow_mut().table.get_mut(id) {
                    export.resolving = Some(resolving);
                }
                let resolve = Abortable::new(resolve(Rc::downgrade(self), id, more), registration);
                self.add_work(Box::pin(async move { resolve.await.unwrap_or(Ok(())) }));
                descriptor.set_sender_promise(id);
            }
        }
        Ok(Some(id))
    }

    /// The promise that was exported under this id leads here. Gives what to wait for further, if the peer need not
    /// be told of this step.
    fn settle(&self, id: u32, to: &dyn ClientHook) -> Option<Promise<Box<dyn ClientHook>, capnp::Error>> {
        let mut exports = self.exports.borrow_mut();
        let Exports { table, ids } = &mut *exports;
        let export = table.get_mut(id)?;
        if std::mem::replace(&mut export.canonical, false) {
            ids.remove(&export.hook.get_ptr());
        }
        let before = std::mem::replace(&mut export.hook, to.add_ref());
        let mut more = None;
        if self.own(to).is_none() && !ids.contains_key(&to.get_ptr()) {
            more = to.when_more_resolved();
            if more.is_some() {
                // A promise again, which has no export of its own: it takes over this one.
                ids.insert(to.get_ptr(), id);
                export.canonical = true;
            }
        }
        if more.is_none() {
            export.resolving = None;
        }
        drop(exports);
        drop(before);
        more
    }

    /// The peer lets go of an export so many times.
    pub(super) fn release(&self, id: u32, references: u32) -> capnp::Result<()> {
        let mut exports = self.exports.borrow_mut();
        let export = exports
            .table
            .get_mut(id)
            .ok_or_else(|| capnp::Error::failed("Tried to release invalid export ID.".into()))?;
        export.references = export
            .references
            .checked_sub(references)
            .ok_or_else(|| capnp::Error::failed("Tried to drop export's refcount below zero.".into()))?;
        if export.references > 0 {
            return Ok(());
        }
        let released = exports.table.remove(id);
        if let Some(export) = released.as_ref().filter(|export| export.canonical) {
            exports.ids.remove(&export.hook.get_ptr());
        }
        // What is dropped with it may come back to this table.
        drop(exports);
        drop(released);
        Ok(())
    }

    /// Takes all exports out.
    pub(super) fn take_exports(&self) -> impl Iterator<Item = impl Drop> {
        let mut exports = self.exports.borrow_mut();
        exports.ids.clear();
        exports.table.take_all()
    }

    /// What a call of the peer goes to.
    pub(super) fn target(&self, target: message_target::Reader<'_>) -> capnp::Result<Box<dyn ClientHook>> {
        match target.which()? {
            message_target::ImportedCap(id) => self.target_of_export(id),
            message_target::PromisedAnswer(answer) => self.promised(answer?),
        }
    }

    pub(super) fn target_of_export(&self, id: u32) -> capnp::Result<Box<dyn ClientHook>> {
        self.exported(id).ok_or_else(|| capnp::Error::failed("Message target is not a current export ID.".into()))
    }

    fn exported(&self, id: u32) -> Option<Box<dyn ClientHook>> {
        Some(self.exports.borrow().table.get(id)?.hook.add_ref())
    }

    fn promised(&self, answer: promised_answer::Reader<'_>) -> capnp::Result<Box<dyn ClientHook>> {
        let mut path = Vec::new();
        for op in answer.get_transform()? {
            match op.which()? {
                promised_answer::op::Noop(()) => {}
                promised_answer::op::GetPointerField(field) => path.push(PipelineOp::GetPointerField(field)),
            }
        }
        Ok(self.capability_of_answer(answer.get_question_id(), &path))
    }

    pub(super) fn receive_capabilities(
        self: &Rc<Self>,
        table: struct_list::Reader<'_, cap_descriptor::Owned>,
    ) -> capnp::Result<CapTable> {
        table.iter().map(|descriptor| self.receive_capability(descriptor)).collect()
    }

    pub(super) fn receive_capability(
        self: &Rc<Self>,
        descriptor: cap_descriptor::Reader<'_>,
    ) -> capnp::Result<Option<Box<dyn ClientHook>>> {
        Ok(Some(match descriptor.which()? {
            cap_descriptor::None(()) => return Ok(None),
            cap_descriptor::SenderHosted(id) => self.import(id, false),
            cap_descriptor::SenderPromise(id) => self.import(id, true),
            cap_descriptor::ReceiverHosted(id) => self
                .exported(id)
                .unwrap_or_else(|| broken(capnp::Error::failed("invalid 'receiverHosted' export ID".into()))),
            cap_descriptor::ReceiverAnswer(answer) => self.promised(answer?)?,
            cap_descriptor::ThirdPartyHosted(_) => {
                return Err(capnp::Error::unimplemented("ThirdPartyHosted caps are not supported.".into()));
            }
        }))
    }
}

/// Tells the peer where a promise leads that was exported to it, once that is known.
async fn resolve(
    tables: Weak<Tables>,
    id: u32,
    mut more: Promise<Box<dyn ClientHook>, capnp::Error>,
) -> capnp::Result<()> {
    loop {
        let to = more.await.map(innermost);
        let Some(tables) = tables.upgrade().filter(|tables| tables.error().is_none()) else { return Ok(()) };
        if let Ok(to) = &to
            && let Some(further) = tables.settle(id, &**to)
        {
            more = further;
            continue;
        }
        let mut message = Outgoing::of_words(15);
        let mut resolve = message.init().init_resolve();
        resolve.set_promise_id(id);
        match to {
            Ok(to) => {
                tables.write_descriptor(to, resolve.init_cap())?;
            }
            Err(error) => {
                if let Some(export) = tables.exports.borrow_mut().table.get_mut(id) {
                    export.resolving = None;
                }
                write_error(&error, resolve.init_exception());
            }
        }
        tables.wire.send(message);
        return Ok(());
    }
}

/// What a promise leads to, as far as is known. A peer can make promises that lead to each other: such lead nowhere.
pub(super) fn innermost(mut hook: Box<dyn ClientHook>) -> Box<dyn ClientHook> {
    let place = |hook: &dyn ClientHook| (hook.get_brand(), hook.get_ptr());
    // Brent's way to find a cycle: to remember one place, at distances that double.
    let (mut remembered, mut steps, mut distance) = (place(&*hook), 0, 2);
    while let Some(resolved) = hook.get_resolved() {
        hook = resolved;
        if place(&*hook) == remembered {
            return broken(capnp::Error::failed("a promise that leads to itself".into()));
        }
        steps += 1;
        if steps == distance {
            (remembered, steps, distance) = (place(&*hook), 0, 2 * distance);
        }
    }
    hook
}
