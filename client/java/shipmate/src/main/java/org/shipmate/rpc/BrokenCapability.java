package org.shipmate.rpc;

/** An object that is not there: each call fails in the same way. */
final class BrokenCapability extends Capability {
  private final Throwable error;

  BrokenCapability(Throwable error) {
    this.error = error;
  }

  @Override
  Pending call(CallMessage call) {
    call.discard();
    return Pending.failed(error);
  }
}
