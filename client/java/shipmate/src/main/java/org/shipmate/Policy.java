package org.shipmate;

/** What becomes of messages that are published faster than a subscriber receives them. */
public enum Policy {
  /** The publisher waits for it, and it gets every message. */
  BLOCK(1),
  /** The publisher does not wait, and it loses the oldest ones. */
  LOSE_OLDEST(2);

  /** The number in {@code enum shipmate_policy}. */
  final int number;

  Policy(int number) {
    this.number = number;
  }
}
