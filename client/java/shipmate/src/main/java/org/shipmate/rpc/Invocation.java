package org.shipmate.rpc;

import java.util.concurrent.CompletionStage;
import org.shipmate.ServiceException;

/**
 * A call that an object gets. When the handler returns, the results go to the caller; when it
 * throws, the exception does.
 */
public final class Invocation<P, R> {
  private final Incoming call;
  private final P params;
  private final R results;

  Invocation(Incoming call, P params, R results) {
    this.call = call;
    this.params = params;
    this.results = results;
  }

  public P params() {
    return params;
  }

  /** What the caller will get. */
  public R results() {
    return results;
  }

  /** Answers when the stage is complete, and not when the handler returns. */
  public void answerAfter(CompletionStage<?> stage) {
    call.answerAfter(stage);
  }

  /** Whether the caller has given the call up. */
  public boolean isCancelled() {
    return call.isCancelled();
  }

  /** Does something when the caller gives the call up, or at once if it has. */
  public void onCancel(Runnable action) {
    call.onCancel(action);
  }

  /** The exception of a method that is not there. */
  public static ServiceException unimplemented(String method) {
    return new ServiceException(ServiceException.Kind.UNIMPLEMENTED, "not implemented: " + method);
  }
}
