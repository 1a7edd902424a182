package org.shipmate.rpc;

import java.util.concurrent.CompletableFuture;

/** A call that was started: what it will give, and what can be done until then. */
abstract class Pending {
  /** Is completed by whatever thread has the answer: nothing that may wait is to depend on it. */
  final CompletableFuture<Response> response = new CompletableFuture<>();

  /**
   * The capability that the results will have in the struct's pointer field {@code path[0]}, in its
   * field {@code path[1]} and so on. The caller gets one reference to it.
   */
  abstract Capability pipeline(int[] path);

  /** Gives the call up. It is not an error if it has ended. */
  abstract void cancel();

  static Pending failed(Throwable error) {
    Deferred failed = new Deferred();
    failed.response.completeExceptionally(error);
    return failed;
  }
}
