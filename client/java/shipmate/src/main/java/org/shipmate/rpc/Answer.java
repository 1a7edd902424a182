package org.shipmate.rpc;

import java.util.List;

/** A call of the peer. All is guarded by the session's lock. */
final class Answer {
  final int id;

  /** What the parameters took, as long as it is at work. */
  final int bytes;

  /** The peer keeps the result for itself, to refer to it. */
  final boolean resultsElsewhere;

  Pending pending;

  /** What was sent, as long as the peer may refer to the capabilities in it. */
  Outgoing results;

  boolean returned;

  /** Objects of this process that the results gave to the peer. */
  List<Integer> resultExports = List.of();

  Answer(int id, int bytes, boolean resultsElsewhere) {
    this.id = id;
    this.bytes = bytes;
    this.resultsElsewhere = resultsElsewhere;
  }
}
