package org.shipmate;

/**
 * How large parts of messages go over shared memory. What a connection has is the strongest that
 * both sides take; other transports copy.
 */
public enum Tier {
  /** The receiver copies once, and then looks: safe with a hostile peer. */
  COPY,
  /** 4 MiB and more are sealed by the kernel against any change, and received in place. */
  SEALED,
  /**
   * 32 KiB and more are received where the sender has built them: between processes of one user.
   */
  TRUSTED
}
