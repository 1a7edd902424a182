package org.shipmate.rpc;

import org.shipmate.ShipmateException;

/** An object that can be called, wherever it is, with a count of the references to it. */
abstract class Capability {
  private int references = 1;
  private StreamWindow stream;

  /** Starts a call. Calls that are started one after the other arrive in this order. */
  abstract Pending call(CallMessage call);

  /** Waits until the way to the object takes a further call. Only a thread of the user's may. */
  void awaitRoom() {}

  /** What this has turned out to be, if it was a promise; else itself. */
  Capability resolved() {
    return this;
  }

  /** Is called when the last reference is gone. */
  void released() {}

  final void retain() {
    if (!tryRetain()) {
      throw new IllegalStateException("the object was released");
    }
  }

  /** Takes a reference, unless the last one is gone. */
  final synchronized boolean tryRetain() {
    if (references == 0) {
      return false;
    }
    references++;
    return true;
  }

  final void release() {
    synchronized (this) {
      if (--references > 0) {
        return;
      }
    }
    released();
  }

  /** What a stream into the object may have unanswered. */
  long streamWindowBytes() {
    return Limits.DEFAULT.streamWindowBytes();
  }

  /** The flow control of the calls that are a stream. */
  final synchronized StreamWindow stream() {
    if (stream == null) {
      stream = new StreamWindow(streamWindowBytes());
    }
    return stream;
  }

  final synchronized ShipmateException streamError() {
    return stream == null ? null : stream.error();
  }
}
