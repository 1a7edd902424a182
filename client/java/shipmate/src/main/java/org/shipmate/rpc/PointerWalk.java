package org.shipmate.rpc;

import java.util.function.Consumer;
import org.capnproto.DecodeException;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;

/**
 * Visits a pointer and all that can be reached through it, and checks that it is sound: that all is
 * within the message, and that no part is in it twice. capnproto-java checks neither when it
 * copies.
 */
final class PointerWalk {
  private static final int STRUCT = 0;
  private static final int LIST = 1;
  private static final int NESTING_MAX = 64;
  private static final int POINTERS_MAX = Short.MAX_VALUE;
  private static final int POINTER = 6;
  private static final int INLINE_COMPOSITE = 7;
  private static final int[] ELEMENT_BITS = {0, 1, 8, 16, 32, 64, 64, 64};
  private static final int WORD_BITS = 64;

  private final Consumer<Place<SegmentReader>> visit;
  private long wordsLeft;

  private PointerWalk(long words, Consumer<Place<SegmentReader>> visit) {
    this.wordsLeft = words;
    this.visit = visit;
  }

  /**
   * @throws DecodeException when it is not sound
   */
  static void walk(Place<SegmentReader> from, Consumer<Place<SegmentReader>> visit) {
    long words =
        from.segment() instanceof MessageArena.Segment received
            ? received.message.bytes() / Long.BYTES
            : Long.MAX_VALUE;
    new PointerWalk(words, visit).walk(from, NESTING_MAX);
  }

  private void walk(Place<SegmentReader> at, int nesting) {
    visit.accept(at);
    long pointer = at.get();
    if (pointer == 0 || CapPointer.is(pointer)) {
      return;
    }
    if (nesting == 0) {
      throw new DecodeException("a message that is nested too deeply, or in a circle");
    }
    Place.Target<SegmentReader> target = at.follow(PointerWalk::segment);
    switch ((int) target.pointer() & 3) {
      case STRUCT -> {
        claim(target.start(), structWords(target.pointer()));
        walkStruct(target.start(), target.pointer(), nesting);
      }
      case LIST -> walkList(target.start(), target.pointer(), nesting);
      default -> throw new DecodeException("a pointer of an unknown kind");
    }
  }

  private void walkStruct(Place<SegmentReader> at, long pointer, int nesting) {
    int firstPointer = at.word() + dataWords(pointer);
    for (int i = 0; i < pointers(pointer); i++) {
      walk(new Place<>(at.segment(), firstPointer + i), nesting - 1);
    }
  }

  private void walkList(Place<SegmentReader> at, long pointer, int nesting) {
    long count = pointer >>> 35;
    int size = (int) (pointer >>> 32) & 7;
    if (size == INLINE_COMPOSITE) {
      claim(at, count + 1);
      walkStructs(at, count, nesting);
      return;
    }
    claim(at, (count * ELEMENT_BITS[size] + WORD_BITS - 1) / WORD_BITS);
    for (int i = 0; size == POINTER && i < count; i++) {
      walk(new Place<>(at.segment(), at.word() + i), nesting - 1);
    }
  }

  private void walkStructs(Place<SegmentReader> at, long words, int nesting) {
    long tag = at.get();
    long elements = (int) tag >>> 2;
    int step = structWords(tag);
    if (elements * step > words) {
      throw new DecodeException("a list whose elements are longer than the list");
    }
    for (int i = 0; pointers(tag) > 0 && i < elements; i++) {
      walkStruct(new Place<>(at.segment(), at.word() + 1 + i * step), tag, nesting);
    }
  }

  private void claim(Place<SegmentReader> at, long words) {
    wordsLeft -= words;
    if (wordsLeft < 0 || !at.segment().isInBounds(at.word(), (int) words)) {
      throw new DecodeException(
          "a pointer out of the message, or to a part of it for a second time");
    }
  }

  private static int dataWords(long pointer) {
    return (int) (pointer >>> 32) & 0xffff;
  }

  private static int pointers(long pointer) {
    return (int) (pointer >>> 48);
  }

  private static int structWords(long pointer) {
    if (pointers(pointer) > POINTERS_MAX || dataWords(pointer) > POINTERS_MAX) {
      throw new DecodeException("a struct that is too large for capnproto-java");
    }
    return dataWords(pointer) + pointers(pointer);
  }

  private static SegmentReader segment(SegmentReader of, int id) {
    return of instanceof MessageArena.Segment received
        ? received.message.tryGetSegment(id)
        : ((SegmentBuilder) of).getArena().getSegment(id);
  }
}
