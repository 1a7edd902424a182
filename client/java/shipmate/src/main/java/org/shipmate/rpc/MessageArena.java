package org.shipmate.rpc;

import java.nio.ByteBuffer;
import org.capnproto.AnyPointer;
import org.capnproto.Arena;
import org.capnproto.DecodeException;
import org.capnproto.FromPointerReader;
import org.capnproto.SegmentReader;

/**
 * A message that was received, and the capabilities in it, for which capnproto-java's own arena has
 * no place.
 */
public final class MessageArena implements Arena {
  private static final int NESTING_MAX = 64;
  private static final long TRAVERSAL_WORDS_MIN = 8L << 20;
  private static final Reference[] NONE = {};

  /** A segment that knows its message. */
  static final class Segment extends SegmentReader {
    final MessageArena message;

    Segment(ByteBuffer buffer, MessageArena message) {
      super(buffer, message);
      this.message = message;
    }
  }

  private final Segment[] segments;
  private final int bytes;
  private Reference[] capabilities = NONE;

  /** What may still be read. It stops a small message that points to itself from costing much. */
  private long traversalWords;

  /** Reads these segments, little-endian all of them, where they are. */
  public MessageArena(ByteBuffer[] buffers) {
    this.segments = new Segment[buffers.length];
    int total = 0;
    for (int i = 0; i < buffers.length; i++) {
      segments[i] = new Segment(buffers[i], this);
      total += buffers[i].remaining();
    }
    this.bytes = total;
    this.traversalWords = Math.max(TRAVERSAL_WORDS_MIN, 2L * bytes);
  }

  /** The message's root. */
  public <T> T root(FromPointerReader<T> factory) {
    return new AnyPointer.Reader(segments[0], 0, NESTING_MAX).getAs(factory);
  }

  int bytes() {
    return bytes;
  }

  void setCapabilities(Reference[] capabilities) {
    this.capabilities = capabilities;
  }

  Reference capability(int index) {
    if (index < 0 || index >= capabilities.length) {
      throw new DecodeException("a capability that the message does not have");
    }
    return capabilities[index];
  }

  @Override
  public SegmentReader tryGetSegment(int id) {
    if (id < 0 || id >= segments.length) {
      throw new DecodeException("a pointer into a segment that the message does not have");
    }
    return segments[id];
  }

  @Override
  public void checkReadLimit(int words) {
    traversalWords -= words;
    if (words < 0 || traversalWords < 0) {
      throw new DecodeException("more was read of a message than there can be in it");
    }
  }
}
