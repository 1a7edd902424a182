package org.shipmate.rpc;

import org.capnproto.DecodeException;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;

/** The pointer that stands for a capability: its index in the message's table. */
final class CapPointer {
  private static final int KIND = 3;

  private CapPointer() {}

  static boolean is(long pointer) {
    return (int) pointer == KIND;
  }

  static int index(long pointer) {
    return (int) (pointer >>> 32);
  }

  static long of(int index) {
    return (long) index << 32 | KIND;
  }

  /** The reference for which a pointer stands. The message keeps it. */
  static Reference read(SegmentReader segment, int word) {
    long pointer = new Place<>(segment, word).get();
    if (pointer == 0) {
      return new Reference(new BrokenCapability(new NullPointerException("a null capability")));
    }
    if (!is(pointer)) {
      throw new DecodeException("something else where a capability was expected");
    }
    if (segment instanceof MessageArena.Segment received) {
      return received.message.capability(index(pointer));
    }
    var references = CapTable.find(((SegmentBuilder) segment).getArena());
    if (index(pointer) >= references.size()) {
      throw new DecodeException("a capability that the message does not have");
    }
    return references.get(index(pointer));
  }

  /** Makes a pointer stand for a reference, which is taken over. */
  static void write(SegmentBuilder segment, int word, Reference reference) {
    new Place<>(segment, word).set(of(CapTable.of(segment.getArena()).add(reference)));
  }
}
