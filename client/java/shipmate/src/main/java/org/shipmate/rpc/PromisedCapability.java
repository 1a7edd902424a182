package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.List;

/** An object that is not known yet. Calls on it wait, in order. */
final class PromisedCapability extends Capability {
  private record Waiting(CallMessage call, Deferred pending) {}

  private final Object lock = new Object();
  private List<Waiting> waiting = new ArrayList<>();
  private boolean released;

  /** Is set once, after all that waited has been passed on. */
  private volatile Capability target;

  @Override
  Pending call(CallMessage call) {
    synchronized (lock) {
      if (target == null) {
        Deferred pending = new Deferred();
        waiting.add(new Waiting(call, pending));
        return pending;
      }
    }
    return target.call(call);
  }

  /** Says what the object is, and takes one reference to it over. */
  void resolve(Capability result) {
    boolean unwanted;
    synchronized (lock) {
      for (Waiting each : waiting) {
        if (each.pending.isCancelled()) {
          each.call.discard();
        } else {
          each.pending.adopt(result.call(each.call));
        }
      }
      waiting = List.of();
      target = result;
      unwanted = released;
    }
    if (unwanted) {
      result.release();
    }
  }

  @Override
  void awaitRoom() {
    Capability known = target;
    if (known != null) {
      known.awaitRoom();
    }
  }

  @Override
  Capability resolved() {
    Capability known = target;
    return known == null ? this : known.resolved();
  }

  @Override
  void released() {
    Capability known;
    synchronized (lock) {
      released = true;
      known = target;
    }
    if (known != null) {
      known.release();
    }
  }
}
