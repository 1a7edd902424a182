package org.shipmate;

import java.time.Duration;

/**
 * How messages are sent and received: {@code MessageOptions.DEFAULT.withTier(Tier.TRUSTED)}.
 *
 * @param tier over shared memory, the strongest tier to take
 * @param spin over shared memory, how long to look for a message before sleeping
 * @param timeout how long connecting may take
 */
public record MessageOptions(Tier tier, Duration spin, Duration timeout) {
  /** Copies, sleeps at once, and connects within ten seconds. */
  public static final MessageOptions DEFAULT =
      new MessageOptions(Tier.COPY, Duration.ZERO, Duration.ofSeconds(10));

  /**
   * @throws IllegalArgumentException when a time is negative
   */
  public MessageOptions {
    if (spin.isNegative() || timeout.isNegative()) {
      throw new IllegalArgumentException("the times of MessageOptions are not negative");
    }
  }

  public MessageOptions withTier(Tier tier) {
    return new MessageOptions(tier, spin, timeout);
  }

  public MessageOptions withSpin(Duration spin) {
    return new MessageOptions(tier, spin, timeout);
  }

  public MessageOptions withTimeout(Duration timeout) {
    return new MessageOptions(tier, spin, timeout);
  }
}
