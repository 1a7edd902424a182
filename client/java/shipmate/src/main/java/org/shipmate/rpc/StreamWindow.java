package org.shipmate.rpc;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import org.shipmate.ShipmateException;

/** Holds the writer of a stream back by what is unanswered. The first error ends the stream. */
final class StreamWindow {
  private record Waiting(long bytes, CompletableFuture<Void> room) {}

  private final long windowBytes;
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private long unanswered;
  private ShipmateException error;

  StreamWindow(long windowBytes) {
    this.windowBytes = windowBytes;
  }

  synchronized ShipmateException error() {
    return error;
  }

  /** Is complete when there is room; one message has it always. */
  synchronized CompletableFuture<Void> acquire(long bytes) {
    CompletableFuture<Void> room = new CompletableFuture<>();
    waiting.add(new Waiting(bytes, room));
    grant();
    return room;
  }

  /** A message was handled, or failed. */
  synchronized void answered(long bytes, ShipmateException failure) {
    unanswered -= bytes;
    if (error == null) {
      error = failure;
    }
    grant();
  }

  private void grant() {
    while (!waiting.isEmpty()
        && (error != null || unanswered == 0 || unanswered + waiting.peek().bytes <= windowBytes)) {
      Waiting first = waiting.poll();
      unanswered += first.bytes;
      first.room.complete(null);
    }
  }
}
