package org.shipmate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.MessageTransport.Received;
import org.shipmate.rpc.MessageArena;

/**
 * A message in memory that is lent until this is closed, on any thread, also after its stream.
 * Until then it takes memory of the sender.
 *
 * <p>What was read of it before throws {@link IndexOutOfBoundsException} or {@link
 * IllegalArgumentException} after that, and so do its segments; but buffers that were made of
 * these, as {@code asByteBuffer()}, {@code slice()} and {@code duplicate()} make them, must not be
 * used: they show what is another's, or nothing, and that ends the program. It may not be closed
 * while another thread reads.
 *
 * @param <R> the reader of the message's type
 */
public final class LentMessage<R extends StructReader> implements AutoCloseable {
  private final Received received;
  private final StructFactory<?, R> type;
  private final MessageArena arena;

  /** What was handed out, and is to be disabled beside the segments that the readers have. */
  private final List<ByteBuffer> segments;

  private boolean closed;

  LentMessage(Received received, StructFactory<?, R> type) {
    this.received = received;
    this.type = type;
    this.arena = new MessageArena(received.segments());
    this.segments =
        Arrays.stream(received.segments())
            .map(segment -> segment.asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN))
            .toList();
  }

  /** What was sent, read where it is. */
  public synchronized R root() {
    checkOpen();
    return arena.root(type);
  }

  /**
   * The segments, read-only and little-endian, as {@link org.capnproto.MessageReader} takes them.
   */
  public synchronized List<ByteBuffer> segments() {
    checkOpen();
    return segments;
  }

  /** Gives the memory back. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    // A buffer without room checks every access, and so does all that reads by it.
    segments.forEach(segment -> segment.limit(0));
    for (ByteBuffer segment : received.segments()) {
      segment.limit(0);
    }
    if (received.giveBack() != null) {
      received.giveBack().run();
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("this message was given back");
    }
  }
}
