package org.shipmate.rpc;

import java.util.concurrent.CancellationException;

/** A call within this process, or one that waits until it is known where it goes. */
class Deferred extends Pending {
  private Pending adopted;
  private boolean cancelled;

  @Override
  final Capability pipeline(int[] path) {
    PromisedCapability promise = new PromisedCapability();
    response.whenComplete(
        (results, error) ->
            promise.resolve(
                error == null ? results.capability(path) : new BrokenCapability(error)));
    return promise;
  }

  @Override
  final void cancel() {
    Pending inner;
    synchronized (this) {
      if (cancelled) {
        return;
      }
      cancelled = true;
      inner = adopted;
    }
    response.completeExceptionally(new CancellationException("the call was cancelled"));
    if (inner != null) {
      inner.cancel();
    }
    cancelled();
  }

  /** Is called once when the call was cancelled. */
  void cancelled() {}

  final synchronized boolean isCancelled() {
    return cancelled;
  }

  /** Takes another call's outcome for its own. */
  final void adopt(Pending inner) {
    boolean late;
    synchronized (this) {
      adopted = inner;
      late = cancelled;
    }
    if (late) {
      inner.cancel();
    }
    inner.response.whenComplete(
        (results, error) -> {
          if (error == null) {
            response.complete(results);
          } else {
            response.completeExceptionally(error);
          }
        });
  }
}
