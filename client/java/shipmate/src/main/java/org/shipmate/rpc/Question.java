package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.List;

/** A call that was sent. All but the response is guarded by the session's lock. */
final class Question extends Pending {
  private final Session session;
  final int id;

  /** Objects of this process that the parameters gave to the peer. */
  List<Integer> paramExports = List.of();

  /** Promises of what it will return, which then learn what they are. */
  final List<PipelinedCapability> promises = new ArrayList<>();

  /** The peer was told that nobody wants the answer, or has it. */
  boolean finished;

  /** What it has come to. */
  Outcome outcome;

  /** A call of the peer whose outcome is this one's too. */
  Pending source;

  /** The error is null where there is a response. */
  record Outcome(Response response, Throwable error) {}

  Question(Session session, int id) {
    this.session = session;
    this.id = id;
  }

  @Override
  Capability pipeline(int[] path) {
    return session.pipeline(this, path);
  }

  @Override
  void cancel() {
    session.cancel(this);
  }

  /** Gives one reference to a capability of the outcome. */
  Capability settled(int[] path) {
    if (source != null) {
      return source.pipeline(path);
    }
    return outcome.error == null
        ? outcome.response.capability(path)
        : new BrokenCapability(outcome.error);
  }
}
