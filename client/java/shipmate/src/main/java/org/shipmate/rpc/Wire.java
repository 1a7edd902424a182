package org.shipmate.rpc;

/** Where a session's messages go. */
interface Wire {
  /** Puts a message at the end of the queue. Never waits. */
  void add(Outgoing message);

  /** Writes what can be written. Never waits. */
  void flush();

  /** Waits until the queue takes a further call. */
  void awaitRoom();
}
