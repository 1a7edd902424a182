package org.shipmate.rpc;

/** What the peer has, until it is known to be something else. */
abstract class RemoteCapability extends Capability {
  final Session session;

  /** Calls are on their way to it, through the peer. Is guarded by the session's lock. */
  boolean used;

  /** What it has turned out to be. Is set once, under the session's lock. */
  volatile Capability target;

  RemoteCapability(Session session) {
    this.session = session;
  }

  /** Says to the peer which one of its capabilities is meant. */
  abstract void address(RpcSchema.MessageTarget.Builder to);

  @Override
  final Pending call(CallMessage call) {
    return session.call(this, call);
  }

  @Override
  final long streamWindowBytes() {
    return session.streamWindowBytes();
  }

  @Override
  final void awaitRoom() {
    Capability known = target;
    if (known == null) {
      session.awaitRoom();
    } else {
      known.awaitRoom();
    }
  }

  @Override
  final Capability resolved() {
    Capability known = target;
    return known == null ? this : known.resolved();
  }
}
