//! `mailbox`: named, bounded queues of records, shared by all connections and threads of a server.

mod queue;
mod registry;
mod subscription;

use std::rc::Rc;
use std::sync::Arc;

use shipmate::schema::mailbox_capnp::{Refusal, box_, box_info, mailbox};

use self::queue::{Figures, Queue, StoredRecord};
use self::registry::Held;
pub(crate) use self::registry::Mailboxes;
use self::subscription::Subscription;

/// Every bound of the mailboxes. All of them together hold at most
/// `boxes_max * 2 * box_bytes_max` bytes: records, and records that wait to be posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MailboxLimits {
    /// Mailboxes at one time.
    pub(crate) boxes_max: usize,
    pub(crate) name_bytes_max: usize,
    /// Records that one mailbox may be made to hold.
    pub(crate) capacity_records_max: usize,
    /// For who asks for 0.
    pub(crate) capacity_records_default: usize,
    /// Memory that the records of one mailbox take, and as much again for those that wait to be posted.
    pub(crate) box_bytes_max: usize,
    /// Posts, and takes, that wait at one mailbox.
    pub(crate) waiters_max: usize,
    /// Subscriptions to one mailbox.
    pub(crate) subscriptions_max: usize,
    /// Calls to a subscriber that may be unanswered.
    pub(crate) window_calls_max: u16,
    /// For who asks for 0.
    pub(crate) window_calls_default: u16,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        MailboxLimits {
            boxes_max: 256,
            name_bytes_max: 256,
            capacity_records_max: 64 << 10,
            capacity_records_default: 1024,
            box_bytes_max: 8 << 20,
            waiters_max: 1024,
            subscriptions_max: 256,
            window_calls_max: 1024,
            window_calls_default: 16,
        }
    }
}

/// The service's first object.
pub(crate) struct Mailbox {
    mailboxes: Arc<Mailboxes>,
}

/// One open mailbox.
struct OpenBox {
    held: Arc<Held>,
}

impl Mailbox {
    pub(crate) fn new(mailboxes: Arc<Mailboxes>) -> Self {
        Mailbox { mailboxes }
    }
}

impl mailbox::Server for Mailbox {
    async fn open(
        self: Rc<Self>,
        params: mailbox::OpenParams,
        mut results: mailbox::OpenResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let mut results = results.get();
        match self.mailboxes.open(params.get_name()?.to_str()?, params.get_capacity()) {
            Ok(held) => {
                results.set_box(capnp_rpc::new_client(OpenBox { held: Arc::new(held) }));
                results.set_opened(true);
                results.set_refusal(Refusal::None);
            }
            Err(refusal) => results.set_refusal(refusal),
        }
        Ok(())
    }

    async fn list(
        self: Rc<Self>,
        _: mailbox::ListParams,
        mut results: mailbox::ListResults,
    ) -> Result<(), capnp::Error> {
        let queues = self.mailboxes.list();
        let mut boxes = results.get().init_boxes(queues.len() as u32);
        for (index, queue) in queues.iter().enumerate() {
            describe(queue, boxes.reborrow().get(index as u32));
        }
        Ok(())
    }
}

impl box_::Server for OpenBox {
    async fn post(self: Rc<Self>, params: box_::PostParams, _: box_::PostResults) -> Result<(), capnp::Error> {
        let record = StoredRecord::copy(params.get()?.get_record()?, self.held.record_bytes_max())?;
        // While the post waits, the record need not be in memory twice.
        drop(params);
        self.held.post(record).await
    }

    async fn take(self: Rc<Self>, _: box_::TakeParams, mut results: box_::TakeResults) -> Result<(), capnp::Error> {
        let lease = self.held.take().await?;
        results.get().set_record(lease.reader()?)?;
        lease.settle();
        Ok(())
    }

    async fn try_take(
        self: Rc<Self>,
        _: box_::TryTakeParams,
        mut results: box_::TryTakeResults,
    ) -> Result<(), capnp::Error> {
        if let Some(lease) = self.held.try_take() {
            let mut results = results.get();
            results.set_record(lease.reader()?)?;
            results.set_found(true);
            lease.settle();
        }
        Ok(())
    }

    async fn subscribe(
        self: Rc<Self>,
        params: box_::SubscribeParams,
        mut results: box_::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let subscription = Subscription::begin(&self.held, params.get_subscriber()?, params.get_window())?;
        results.get().set_subscription(capnp_rpc::new_client(subscription));
        Ok(())
    }

    async fn info(self: Rc<Self>, _: box_::InfoParams, mut results: box_::InfoResults) -> Result<(), capnp::Error> {
        describe(&self.held, results.get().init_info());
        Ok(())
    }
}

fn describe(queue: &Queue, mut info: box_info::Builder<'_>) {
    let Figures { capacity, length, posted, taken } = queue.figures();
    info.set_name(queue.name());
    info.set_capacity(capacity as u32);
    info.set_length(length as u32);
    info.set_posted(posted);
    info.set_taken(taken);
}

#[cfg(test)]
mod tests;
