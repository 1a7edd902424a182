@0xaef9c1c6c61ff66f;
# Named, bounded mailboxes of typed records, shared by all connections of a server.

using import "record.capnp".Record;

interface Mailbox {
  open @0 (name :Text, capacity :UInt32) -> (box :Box, opened :Bool, refusal :Refusal);
  # Opens the mailbox of that name, or makes it. `capacity` is how many records it holds; it counts
  # when the mailbox is made and is ignored after; 0 means the server's default. A mailbox lives while
  # a capability to it is held or a record is in it. `opened` is false, `box` is null and `refusal`
  # says why, when it may not be made.

  list @1 () -> (boxes :List(BoxInfo));
  # Every mailbox, sorted by name.
}

enum Refusal {
  none @0;
  nameTooLong @1;
  tooManyBoxes @2;
  capacityTooLarge @3;
  nameEmpty @4;
}

interface Box {
  post @0 (record :Record) -> ();
  # Adds a record at the end. While the mailbox is full the reply waits, which slows the sender down;
  # a call that is cancelled while it waits posts nothing.

  take @1 () -> (record :Record);
  # Removes the first record. While the mailbox is empty the reply waits; a call that is cancelled
  # while it waits takes nothing. A record leaves the mailbox as its reply is sent: a receiver that may
  # not lose one when its connection breaks subscribes instead.

  tryTake @2 () -> (found :Bool, record :Record);
  # The same, without waiting.

  subscribe @3 (subscriber :Subscriber, window :UInt16) -> (subscription :Subscription);
  # Takes records as they come and hands each to the subscriber, in order. At most `window` calls are
  # unanswered at a time (0: the server's default; the server may use less), and what is unanswered
  # still counts against the capacity, so a slow subscriber slows the senders down.
  #
  # The subscription ends when it is dropped, when a `receive` fails, or with the connection. Calls that
  # are unanswered then are cancelled, and their records go back to the front, in order: each record is
  # dealt with at least once.

  info @4 () -> (info :BoxInfo);
}

interface Subscriber {
  receive @0 (record :Record) -> ();
  # Returning says that the record has been dealt with.
}

interface Subscription {
  # Dropping it ends the subscription.
  delivered @0 () -> (count :UInt64);
  # Records that the subscriber has dealt with so far.
}

struct BoxInfo {
  name @0 :Text;
  capacity @1 :UInt32;
  length @2 :UInt32;
  # Records in it now, those included that are in the hands of a subscriber.

  posted @3 :UInt64;
  taken @4 :UInt64;
  # Since it was made.
}
