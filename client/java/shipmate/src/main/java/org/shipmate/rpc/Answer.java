package org.shipmate.rpc;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A call of the peer. All is guarded by the session's lock. */
final class Answer {
  private static final int PROMISES_MAX = 1_000;

  private final Map<List<Integer>, Reference> promises = new HashMap<>();
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

  /**
   * What the answer has at a place, or will have. It is the same promise each time, so that calls
   * on it keep their order.
   */
  Reference promise(int[] path) {
    List<Integer> key = Arrays.stream(path).boxed().toList();
    if (promises.size() == PROMISES_MAX && !promises.containsKey(key)) {
      throw new ProtocolException(
          "it has used more than " + PROMISES_MAX + " places of one answer");
    }
    return promises.computeIfAbsent(key, any -> new Reference(pending.pipeline(path)));
  }

  /** The peer refers to the answer no more. */
  void closeReferences() {
    promises.values().forEach(Reference::close);
    if (results != null) {
      results.closeReferences();
    }
  }
}
