package org.shipmate;

import java.time.Duration;

/** No answer came within the time allowed. The call was cancelled, at the server too. */
public final class DeadlineException extends ShipmateException {
  private static final long serialVersionUID = 1;

  private final Duration allowed;

  public DeadlineException(Duration allowed) {
    super("no answer within " + allowed.toMillis() + " ms", null);
    this.allowed = allowed;
  }

  private DeadlineException(DeadlineException cause) {
    super(cause.getMessage(), cause);
    this.allowed = cause.allowed;
  }

  /** The time that was allowed. */
  public Duration allowed() {
    return allowed;
  }

  @Override
  public DeadlineException rethrown() {
    return new DeadlineException(this);
  }
}
