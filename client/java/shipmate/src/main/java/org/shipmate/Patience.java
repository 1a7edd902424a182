package org.shipmate;

import java.time.Duration;
import java.util.concurrent.CancellationException;

/** How long somebody waits. An interrupt of the thread ends it too. */
final class Patience {
  private static final Duration LONGEST = Duration.ofNanos(Long.MAX_VALUE / 2);

  /** Null: for ever. */
  private final Duration allowed;

  private final long end;

  private Patience(Duration allowed) {
    this.allowed = allowed;
    this.end = allowed == null ? 0 : System.nanoTime() + allowed.toNanos();
  }

  static Patience forEver() {
    return new Patience(null);
  }

  /** From now on. */
  static Patience of(Duration allowed) {
    return new Patience(allowed.compareTo(LONGEST) < 0 ? allowed : LONGEST);
  }

  /** What is left, but no more than {@code most}; 0 when it is used up. */
  long millisLeft(long most) {
    if (allowed == null) {
      return most;
    }
    long nanos = Math.max(0, end - System.nanoTime());
    return Math.min(most, (nanos + 999_999) / 1_000_000);
  }

  /**
   * Tells whoever has found nothing yet whether to go on.
   *
   * @param missing what there is none of, for the error
   * @throws DeadlineException when the time is used up
   * @throws CancellationException when the thread is interrupted, which it then stays
   */
  void check(String missing) {
    if (Thread.currentThread().isInterrupted()) {
      throw new CancellationException("the thread was interrupted");
    }
    if (allowed != null && end - System.nanoTime() <= 0) {
      throw new DeadlineException(missing, allowed);
    }
  }
}
