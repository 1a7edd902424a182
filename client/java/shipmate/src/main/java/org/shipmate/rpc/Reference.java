package org.shipmate.rpc;

import java.lang.ref.Cleaner;

/**
 * One reference to an object. What is forgotten is released when it is garbage; closing it does so
 * at once.
 */
public final class Reference implements AutoCloseable {
  private static final Cleaner CLEANER = Cleaner.create();

  private final Capability capability;
  private final Cleaner.Cleanable release;
  private volatile boolean closed;

  /** Takes one of the capability's references over. */
  Reference(Capability capability) {
    this.capability = capability;
    this.release = CLEANER.register(this, capability::release);
  }

  Capability capability() {
    if (closed) {
      throw new IllegalStateException("this reference was closed");
    }
    return capability;
  }

  Reference copy() {
    capability().retain();
    return new Reference(capability);
  }

  @Override
  public void close() {
    closed = true;
    release.clean();
  }
}
