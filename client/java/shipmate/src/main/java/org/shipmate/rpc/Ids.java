package org.shipmate.rpc;

import java.util.ArrayDeque;
import java.util.Deque;

/** Small numbers, each of which is used again when it is free. */
final class Ids {
  private final Deque<Integer> free = new ArrayDeque<>();
  private int next;

  int next() {
    Integer reused = free.poll();
    return reused != null ? reused : next++;
  }

  void free(int id) {
    free.add(id);
  }
}
