package org.shipmate.rpc;

/** What a question will return. Calls on it are sent at once, for the peer to direct. */
final class PipelinedCapability extends RemoteCapability {
  final Question question;
  final int[] path;

  PipelinedCapability(Session session, Question question, int[] path) {
    super(session);
    this.question = question;
    this.path = path;
  }

  @Override
  void address(RpcSchema.MessageTarget.Builder to) {
    Exchange.write(this, to.initPromisedAnswer());
  }

  @Override
  void released() {
    session.released(this);
  }
}
