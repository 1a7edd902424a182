//! Which mailboxes there are: made when they are opened, gone when nobody holds them and they are empty.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shipmate::schema::mailbox_capnp::Refusal;

use super::MailboxLimits;
use super::queue::Queue;

/// All mailboxes of a server.
pub(crate) struct Mailboxes {
    limits: MailboxLimits,
    boxes: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    queue: Arc<Queue>,
    holders: usize,
}

/// A mailbox that is kept alive.
pub(super) struct Held {
    mailboxes: Arc<Mailboxes>,
    queue: Arc<Queue>,
}

impl Mailboxes {
    pub(crate) fn new(limits: MailboxLimits) -> Self {
        Mailboxes { limits, boxes: Mutex::default() }
    }

    pub(super) fn open(self: &Arc<Self>, name: &str, capacity: u32) -> Result<Held, Refusal> {
        if name.is_empty() {
            return Err(Refusal::NameEmpty);
        }
        if name.len() > self.limits.name_bytes_max {
            return Err(Refusal::NameTooLong);
        }
        let mut boxes = self.lock();
        let full = boxes.len() >= self.limits.boxes_max;
        let queue = match boxes.get_mut(name) {
            Some(entry) => {
                entry.holders += 1;
                entry.queue.clone()
            }
            None if full => return Err(Refusal::TooManyBoxes),
            None => {
                let capacity = match capacity as usize {
                    0 => self.limits.capacity_records_default,
                    asked if asked > self.limits.capacity_records_max => return Err(Refusal::CapacityTooLarge),
                    asked => asked,
                };
                let queue = Arc::new(Queue::new(name, capacity, self.limits));
                boxes.insert(name.to_owned(), Entry { queue: queue.clone(), holders: 1 });
                queue
            }
        };
        Ok(Held { mailboxes: self.clone(), queue })
    }

    /// Every mailbox, sorted by name.
    pub(super) fn list(&self) -> Vec<Arc<Queue>> {
        self.lock().values().map(|entry| entry.queue.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Held {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Records come and go only through a `Held`, so the last of them sees whether any is left.
        let mut boxes = self.mailboxes.lock();
        if let Some(entry) = boxes.get_mut(self.queue.name()) {
            entry.holders -= 1;
            if entry.holders == 0 && entry.queue.is_empty() {
                boxes.remove(self.queue.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::StoredRecord;
    use super::super::tests::record;
    use super::*;

    fn mailboxes() -> Arc<Mailboxes> {
        let limits = MailboxLimits { boxes_max: 2, name_bytes_max: 8, capacity_records_max: 5, ..Default::default() };
        Arc::new(Mailboxes::new(limits))
    }

    fn names(mailboxes: &Mailboxes) -> Vec<String> {
        mailboxes.list().iter().map(|queue| queue.name().to_owned()).collect()
    }

    #[test]
    fn every_bound_has_its_refusal() {
        let mailboxes = mailboxes();
        let refusal = |name, capacity| mailboxes.open(name, capacity).err();
        assert_eq!(refusal("", 1), Some(Refusal::NameEmpty));
        assert_eq!(refusal("123456789", 1), Some(Refusal::NameTooLong));
        assert_eq!(refusal("b", 6), Some(Refusal::CapacityTooLarge));
        let _held = [mailboxes.open("b", 5).ok().unwrap(), mailboxes.open("a", 0).ok().unwrap()];
        assert_eq!(refusal("c", 1), Some(Refusal::TooManyBoxes));
        assert_eq!(refusal("b", 6), None, "the capacity is ignored once the mailbox is made");
        assert_eq!(names(&mailboxes), ["a", "b"]);
    }

    #[tokio::test]
    async fn a_mailbox_lives_while_it_is_held_or_holds_a_record() {
        let mailboxes = mailboxes();
        let first = mailboxes.open("a", 1).ok().unwrap();
        let second = mailboxes.open("a", 1).ok().unwrap();
        drop(first);
        assert_eq!(names(&mailboxes), ["a"]);

        second.post(StoredRecord::copy(record(1).reader().unwrap(), usize::MAX).unwrap()).await.unwrap();
        drop(second);
        assert_eq!(names(&mailboxes), ["a"], "a record is in it");

        let third = mailboxes.open("a", 1).ok().unwrap();
        third.take().await.unwrap().settle();
        drop(third);
        assert!(names(&mailboxes).is_empty());
    }
}
