package org.shipmate;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/**
 * What to do when a connection cannot be made: how often to try, and how long to wait in between.
 *
 * @param attempts how many in a row may fail before the last error is reported
 * @param first the first pause
 * @param max the longest pause
 * @param factor how much longer each pause is than the one before
 */
public record Reconnect(int attempts, Duration first, Duration max, double factor) {
  /** One attempt. */
  public static final Reconnect NEVER = new Reconnect(1, Duration.ZERO, Duration.ZERO, 1);

  public Reconnect {
    if (attempts < 1 || factor < 1 || first.isNegative() || max.isNegative()) {
      throw new IllegalArgumentException(
          "a policy has one attempt or more, and pauses that grow: " + attempts + ", " + factor);
    }
  }

  /** Pauses from 50 ms to 5 s, doubling. */
  public static Reconnect backOff(int attempts) {
    return new Reconnect(attempts, Duration.ofMillis(50), Duration.ofSeconds(5), 2);
  }

  /**
   * The pause after so many failures in a row, 1 or more. It is shortened by a random part of up to
   * half, so that the clients of a restarted server do not all come at once.
   */
  public Duration pause(int failures) {
    double full = first.toNanos() * Math.pow(factor, failures - 1);
    double bounded = Math.min(full, max.toNanos());
    return Duration.ofNanos((long) (bounded * ThreadLocalRandom.current().nextDouble(0.5, 1)));
  }
}
