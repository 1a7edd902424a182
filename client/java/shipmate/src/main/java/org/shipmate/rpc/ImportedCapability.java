package org.shipmate.rpc;

/** An object of the peer, or one of which the peer will say later what it is. */
final class ImportedCapability extends Capability {
  final Session session;
  final int id;

  /** How often the peer has sent it, and so is to be told that it was released. */
  int remoteReferences = 1;

  /** Calls are on their way to it. Is guarded by the session's lock. */
  boolean used;

  /** What it was resolved to. Is set under the session's lock. */
  volatile Capability target;

  ImportedCapability(Session session, int id) {
    this.session = session;
    this.id = id;
  }

  @Override
  Pending call(CallMessage call) {
    return session.callImported(this, call);
  }

  @Override
  long streamWindowBytes() {
    return session.streamWindowBytes();
  }

  @Override
  void awaitRoom() {
    Capability known = target;
    if (known == null) {
      session.awaitRoom();
    } else {
      known.awaitRoom();
    }
  }

  @Override
  Capability resolved() {
    Capability known = target;
    return known == null ? this : known.resolved();
  }

  @Override
  void released() {
    session.released(this);
  }
}
