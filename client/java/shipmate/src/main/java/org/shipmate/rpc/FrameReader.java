package org.shipmate.rpc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Takes bytes and gives messages: Cap'n Proto's standard stream framing, without any input or
 * output.
 *
 * <p>Memory is taken as bytes arrive and not as the peer announces them.
 */
public final class FrameReader {
  private static final int WORD = 8;
  private static final int FIRST_BYTES = 64 << 10;

  private final int frameBytesMax;
  private final int segmentsMax;

  private byte[] bytes = new byte[WORD];
  private int filled;

  /** How many bytes the part has that is being read: the table of segments, then the segments. */
  private int needed = WORD;

  private int[] segmentBytes;

  public FrameReader(int frameBytesMax, int segmentsMax) {
    this.frameBytesMax = frameBytesMax;
    this.segmentsMax = segmentsMax;
  }

  /** Takes from the buffer what the next message needs; null as long as it is not complete. */
  public MessageArena next(ByteBuffer from) throws FrameException {
    ByteBuffer[] segments = nextSegments(from);
    return segments == null ? null : new MessageArena(segments);
  }

  /** The same, as the segments of the message. */
  public ByteBuffer[] nextSegments(ByteBuffer from) throws FrameException {
    while (true) {
      take(from);
      if (filled < needed) {
        return null;
      }
      if (segmentBytes != null) {
        return complete();
      }
      int table = tableBytes();
      if (needed < table) {
        needed = table;
      } else {
        begin();
      }
    }
  }

  /** Whether a part of a message has been read: an end-of-file now is no clean end. */
  public boolean inMiddle() {
    return filled > 0 || segmentBytes != null;
  }

  private void take(ByteBuffer from) {
    int count = Math.min(from.remaining(), needed - filled);
    if (filled + count > bytes.length) {
      int doubled = (int) Math.min(needed, Math.max(2L * bytes.length, filled + count));
      bytes = Arrays.copyOf(bytes, doubled);
    }
    from.get(bytes, filled, count);
    filled += count;
  }

  private int tableBytes() throws FrameException {
    int segments = table().getInt(0) + 1;
    if (segments < 1 || segments > segmentsMax) {
      throw new FrameException(
          "a message of "
              + Integer.toUnsignedString(segments)
              + " segments: the limit is "
              + segmentsMax);
    }
    return (segments / 2 + 1) * WORD;
  }

  private void begin() throws FrameException {
    ByteBuffer table = table();
    int[] sizes = new int[table.getInt(0) + 1];
    long total = 0;
    for (int i = 0; i < sizes.length; i++) {
      long size = Integer.toUnsignedLong(table.getInt(4 + 4 * i)) * WORD;
      total += size;
      if (total > frameBytesMax) {
        throw new FrameException(
            "a message of " + total + " bytes or more: the limit is " + frameBytesMax);
      }
      sizes[i] = (int) size;
    }
    if (sizes[0] == 0) {
      throw new FrameException("a message without a root");
    }
    segmentBytes = sizes;
    needed = (int) total;
    filled = 0;
    bytes = new byte[Math.min(needed, FIRST_BYTES)];
  }

  private ByteBuffer[] complete() {
    ByteBuffer all = ByteBuffer.wrap(bytes);
    ByteBuffer[] segments = new ByteBuffer[segmentBytes.length];
    int from = 0;
    for (int i = 0; i < segments.length; i++) {
      segments[i] = all.slice(from, segmentBytes[i]).order(ByteOrder.LITTLE_ENDIAN);
      from += segmentBytes[i];
    }
    bytes = new byte[WORD];
    filled = 0;
    needed = WORD;
    segmentBytes = null;
    return segments;
  }

  private ByteBuffer table() {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
