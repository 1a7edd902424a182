//! One to many: the objects behind `shipmate_publisher` and `shipmate_subscriber`.

use std::ffi::{c_int, c_uint};
use std::sync::Mutex;

use capnp::any_pointer;
use shipmate::message::{Policy, PublishOptions, Publisher, SubscribeOptions, Subscriber};
use shipmate::{Address, Limits};

use crate::error::{Failure, Result};
use crate::message::{Received, check, close, lock};
use crate::options::Options;
use crate::runtime::{Runtime, within};

/// `shipmate_publisher`.
pub struct PublisherHandle {
    runtime: &'static Runtime,
    publisher: Mutex<Publisher<any_pointer::Owned>>,
}

/// `shipmate_subscriber`.
pub struct SubscriberHandle {
    runtime: &'static Runtime,
    subscriber: Mutex<Subscriber<any_pointer::Owned>>,
}

impl PublisherHandle {
    /// `ring_bytes`: 0 for the default.
    pub(crate) fn open(address: Address, options: &Options, ring_bytes: usize) -> Result<Self> {
        let runtime = Runtime::current()?;
        let default = PublishOptions::default();
        let ring_bytes = if ring_bytes == 0 { default.ring_bytes } else { ring_bytes };
        let options = PublishOptions { listen: options.listen(), ring_bytes };
        let publisher = runtime.wait(Publisher::bind_with(address, &options, &Limits::DEFAULT))?;
        Ok(PublisherHandle { runtime, publisher: Mutex::new(publisher) })
    }

    pub(crate) fn publish(&self, segments: &[&[u8]]) -> Result<()> {
        self.runtime.check_process()?;
        check(segments)?;
        Ok(self.runtime.wait(lock(&self.publisher).send_segments(segments))?)
    }

    pub(crate) fn wait(&self, subscribers: usize, timeout_ms: c_int) -> Result<()> {
        self.runtime.check_process()?;
        self.runtime.wait(within(timeout_ms, lock(&self.publisher).subscribed(subscribers)))
    }

    /// Whoever subscribes gets the end after the last message.
    pub(crate) fn close(self) -> Result<()> {
        if let Err(wrong) = self.runtime.check_process() {
            std::mem::forget(self);
            return Err(wrong);
        }
        let publisher = self.publisher.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.runtime.wait(publisher.finish());
        Ok(())
    }
}

impl SubscriberHandle {
    pub(crate) fn open(address: Address, policy: c_uint, options: &Options) -> Result<Self> {
        let policy = match policy {
            1 => Policy::Block,
            2 => Policy::LoseOldest,
            other => return Err(Failure::misuse(format!("the policy {other} is none of enum shipmate_policy"))),
        };
        let runtime = Runtime::current()?;
        let options = SubscribeOptions { timeout: options.connect_timeout(), spin: options.spin() };
        let subscriber = runtime.wait(Subscriber::connect_with(address, policy, &options, &Limits::DEFAULT))?;
        Ok(SubscriberHandle { runtime, subscriber: Mutex::new(subscriber) })
    }

    pub(crate) fn receive(&self, timeout_ms: c_int) -> Result<Option<Box<Received>>> {
        self.runtime.check_process()?;
        let mut subscriber = lock(&self.subscriber);
        let message = self.runtime.wait(within(timeout_ms, subscriber.recv()))??;
        Ok(message.map(|message| Received::new(self.runtime, message.into_inner().into_segments())))
    }

    pub(crate) fn lost(&self) -> u64 {
        // In a child made by fork the lock may be held by a thread that is not there.
        match self.runtime.check_process() {
            Ok(()) => lock(&self.subscriber).lost(),
            Err(_) => 0,
        }
    }

    pub(crate) fn close(self) {
        close(self.runtime, self.subscriber);
    }
}
