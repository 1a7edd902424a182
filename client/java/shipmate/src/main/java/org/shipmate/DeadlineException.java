package org.shipmate;

import java.time.Duration;

/**
 * Nothing came within the time allowed. A call was cancelled, at the server too; a message or a
 * sender that comes later is not lost.
 */
public final class DeadlineException extends ShipmateException {
  private static final long serialVersionUID = 1;

  private final Duration allowed;

  /** For a call that was not answered. */
  public DeadlineException(Duration allowed) {
    this("no answer", allowed);
  }

  /** {@code missing} is what did not come, such as "no message". */
  public DeadlineException(String missing, Duration allowed) {
    super(missing + " within " + allowed.toMillis() + " ms", null);
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
