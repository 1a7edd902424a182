package org.shipmate.rpc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Cap'n Proto's standard stream framing, for what is sent. */
public final class FrameWriter {
  private static final int WORD = 8;

  private FrameWriter() {}

  /** The frame to write: the table of segments, then each of them. */
  public static ByteBuffer[] frame(ByteBuffer[] segments) {
    ByteBuffer table =
        ByteBuffer.allocate((segments.length / 2 + 1) * WORD).order(ByteOrder.LITTLE_ENDIAN);
    table.putInt(segments.length - 1);
    for (ByteBuffer segment : segments) {
      table.putInt(segment.remaining() / WORD);
    }
    ByteBuffer[] frame = new ByteBuffer[segments.length + 1];
    frame[0] = table.rewind();
    System.arraycopy(segments, 0, frame, 1, segments.length);
    return frame;
  }
}
