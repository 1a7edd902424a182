package org.shipmate.rpc;

import java.util.function.BiFunction;
import org.capnproto.FromPointerBuilder;
import org.capnproto.FromPointerReader;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;

/** Where a pointer stands, which capnproto-java tells nobody but a factory. */
record Place<S extends SegmentReader>(S segment, int word) {
  private static final int WORD = 8;
  private static final int FAR = 2;

  static final FromPointerReader<Place<SegmentReader>> READ =
      (segment, pointer, nesting) -> new Place<>(segment, pointer);

  static final FromPointerBuilder<Place<SegmentBuilder>> BUILD =
      new FromPointerBuilder<>() {
        @Override
        public Place<SegmentBuilder> fromPointerBuilder(SegmentBuilder segment, int pointer) {
          return new Place<>(segment, pointer);
        }

        @Override
        public Place<SegmentBuilder> initFromPointerBuilder(
            SegmentBuilder segment, int pointer, int size) {
          return fromPointerBuilder(segment, pointer);
        }
      };

  /** What a pointer points to, and the pointer that says of what kind it is. */
  record Target<S extends SegmentReader>(Place<S> start, long pointer) {}

  /** Follows a pointer that is neither null nor a capability's, into another segment too. */
  Target<S> follow(BiFunction<S, Integer, S> segments) {
    long pointer = get();
    if ((pointer & 3) != FAR) {
      return new Target<>(new Place<>(segment, word + 1 + ((int) pointer >> 2)), pointer);
    }
    Place<S> pad = far(pointer, segments);
    long landing = pad.get();
    boolean isDouble = (pointer & 4) != 0;
    if (isDouble) {
      long tag = new Place<>(pad.segment, pad.word + 1).get();
      return new Target<>(far(landing, segments), tag);
    }
    return new Target<>(new Place<>(pad.segment, pad.word + 1 + ((int) landing >> 2)), landing);
  }

  private Place<S> far(long pointer, BiFunction<S, Integer, S> segments) {
    return new Place<>(segments.apply(segment, (int) (pointer >>> 32)), (int) pointer >>> 3);
  }

  long get() {
    return segment.buffer.getLong(word * WORD);
  }

  void set(long pointer) {
    segment.buffer.putLong(word * WORD, pointer);
  }
}
