package org.shipmate.rpc;

import org.capnproto.AnyPointer;

/**
 * What a call gave. {@code built} is the message of a result that was made in this process and that
 * can be sent as it is; null for one that came from elsewhere.
 */
record Response(AnyPointer.Reader content, Outgoing built) {
  /** A capability of the results; see {@link Pending#pipeline}. */
  Capability capability(int[] path) {
    try {
      AnyPointer.Reader pointer = content;
      for (int field : path) {
        pointer = pointer.getAs(Empty.factory).pointer(field);
      }
      Capability capability = pointer.getAs(Client.factory).reference().capability();
      capability.retain();
      return capability;
    } catch (RuntimeException e) {
      return new BrokenCapability(e);
    }
  }
}
