package org.shipmate.rpc;

/** What a question will return. Calls on it are sent at once, for the peer to direct. */
final class PipelinedCapability extends Capability {
  final Session session;
  final Question question;
  final int[] path;

  /** Calls are on their way through the peer. Is guarded by the session's lock. */
  boolean used;

  /** Is set once, under the session's lock. */
  volatile Capability target;

  PipelinedCapability(Session session, Question question, int[] path) {
    this.session = session;
    this.question = question;
    this.path = path;
  }

  @Override
  Pending call(CallMessage call) {
    return session.callPipelined(this, call);
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
