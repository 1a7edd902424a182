package org.shipmate.rpc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Frames on their way to the peer. Whoever adds one writes what can be written; what then is left
 * the reader's thread writes when there is room. So nobody ever waits for the peer but those who
 * ask for room.
 */
final class Outbox {
  private static final int BUFFERS_MAX = 64;

  /** Java copies what it writes, so a large buffer is given to it in pieces. */
  private static final int WRITE_BYTES_MAX = 256 << 10;

  private final Transport transport;
  private final long bytesMax;
  private final ReentrantLock writing = new ReentrantLock();
  private final Deque<ByteBuffer> queue = new ArrayDeque<>();
  private final ByteBuffer[] batch = new ByteBuffer[BUFFERS_MAX];
  private long bytes;
  private volatile boolean full;
  private boolean closed;

  Outbox(Transport transport, long bytesMax) {
    this.transport = transport;
    this.bytesMax = bytesMax;
  }

  synchronized void add(ByteBuffer[] frame) {
    if (closed) {
      return;
    }
    for (ByteBuffer part : frame) {
      bytes += part.remaining();
      queue.add(part);
    }
  }

  /** Waits until less than the limit is queued. */
  synchronized void awaitRoom() throws InterruptedException {
    while (bytes > bytesMax && !closed) {
      wait();
    }
  }

  /** Whether something waits for room in the transport. */
  boolean isFull() {
    return full;
  }

  /** Writes what can be written. */
  void flush() throws IOException {
    boolean drained = true;
    while (drained && !isEmpty()) {
      if (!writing.tryLock()) {
        // Whoever writes will look again.
        return;
      }
      try {
        drained = write();
      } finally {
        writing.unlock();
      }
    }
  }

  synchronized void close() {
    closed = true;
    queue.clear();
    bytes = 0;
    notifyAll();
  }

  private synchronized boolean isEmpty() {
    return queue.isEmpty();
  }

  /** Gives false when the transport takes no more for now. */
  private boolean write() throws IOException {
    for (int count = nextBatch(); count > 0; count = nextBatch()) {
      int last = count - 1;
      int limit = batch[last].limit();
      batch[last].limit(
          batch[last].position() + Math.min(batch[last].remaining(), WRITE_BYTES_MAX));
      long written;
      try {
        written = transport.write(batch, count);
      } finally {
        batch[last].limit(limit);
      }
      if (written == 0) {
        full = true;
        transport.wakeup();
        return false;
      }
      written(written);
    }
    full = false;
    return true;
  }

  /** Small buffers, up to and with the first large one. */
  private synchronized int nextBatch() {
    int count = 0;
    int total = 0;
    for (ByteBuffer next : queue) {
      batch[count++] = next;
      total += next.remaining();
      if (count == BUFFERS_MAX || total >= WRITE_BYTES_MAX) {
        break;
      }
    }
    return count;
  }

  private synchronized void written(long count) {
    bytes -= count;
    while (!queue.isEmpty() && !queue.peek().hasRemaining()) {
      queue.poll();
    }
    notifyAll();
  }
}
