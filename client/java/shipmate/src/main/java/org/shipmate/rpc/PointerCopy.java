package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.ObjIntConsumer;
import org.capnproto.AnyPointer;
import org.capnproto.BuilderArena;
import org.capnproto.DecodeException;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;

/**
 * Copies what a pointer points to, with the capabilities in it, which capnproto-java's own copy
 * refuses: it copies all but them, and then they are put into the copy at the same places. For a
 * message that is passed on.
 */
final class PointerCopy {
  private static final int STRUCT = 0;
  private static final int LIST = 1;
  private static final int NESTING_MAX = 64;
  private static final int POINTERS = 6;
  private static final int STRUCTS = 7;

  private PointerCopy() {}

  static void copy(AnyPointer.Reader from, AnyPointer.Builder to) {
    List<Place<SegmentReader>> places = new ArrayList<>();
    List<Reference> references = new ArrayList<>();
    walk(
        from.getAs(Place.READ),
        NESTING_MAX,
        place -> {
          boolean capability = CapPointer.is(place.get());
          places.add(capability ? place : null);
          references.add(capability ? CapPointer.read(place.segment(), place.word()) : null);
        });
    List<Long> pointers = places.stream().map(place -> place == null ? 0 : place.get()).toList();
    forEach(places, (place, index) -> place.set(0));
    try {
      to.setAs(AnyPointer.factory, from);
    } finally {
      forEach(places, (place, index) -> place.set(pointers.get(index)));
    }
    // The copy has the same pointers in the same order.
    List<Place<SegmentReader>> copies = new ArrayList<>();
    walk(to.asReader().getAs(Place.READ), NESTING_MAX, copies::add);
    forEach(
        places,
        (place, index) -> {
          Place<SegmentReader> copy = copies.get(index);
          Reference reference = references.get(index).copy();
          CapPointer.write((SegmentBuilder) copy.segment(), copy.word(), reference);
        });
  }

  private static void forEach(
      List<Place<SegmentReader>> places, ObjIntConsumer<Place<SegmentReader>> action) {
    for (int i = 0; i < places.size(); i++) {
      if (places.get(i) != null) {
        action.accept(places.get(i), i);
      }
    }
  }

  private static void walk(
      Place<SegmentReader> at, int nesting, Consumer<Place<SegmentReader>> visit) {
    visit.accept(at);
    long pointer = at.get();
    if (pointer == 0 || CapPointer.is(pointer)) {
      return;
    }
    if (nesting == 0) {
      throw new DecodeException("a message that is nested too deeply, or in a circle");
    }
    Place.Target<SegmentReader> target = at.follow(PointerCopy::segment);
    if ((target.pointer() & 3) == STRUCT) {
      walkStruct(target.start(), target.pointer(), nesting, visit);
    } else if ((target.pointer() & 3) == LIST) {
      walkList(target.start(), target.pointer(), nesting, visit);
    } else {
      throw new DecodeException("a pointer of an unknown kind");
    }
  }

  private static void walkStruct(
      Place<SegmentReader> at, long pointer, int nesting, Consumer<Place<SegmentReader>> visit) {
    int dataWords = (int) (pointer >>> 32) & 0xffff;
    int pointers = (int) (pointer >>> 48);
    for (int i = 0; i < pointers; i++) {
      walk(new Place<>(at.segment(), at.word() + dataWords + i), nesting - 1, visit);
    }
  }

  private static void walkList(
      Place<SegmentReader> at, long pointer, int nesting, Consumer<Place<SegmentReader>> visit) {
    int elements = (int) (pointer >>> 35);
    switch ((int) (pointer >>> 32) & 7) {
      case POINTERS -> {
        for (int i = 0; i < elements; i++) {
          walk(new Place<>(at.segment(), at.word() + i), nesting - 1, visit);
        }
      }
      case STRUCTS -> {
        long tag = at.get();
        int words = ((int) (tag >>> 32) & 0xffff) + (int) (tag >>> 48);
        for (int i = 0; i < (int) tag >>> 2 && words > 0; i++) {
          walkStruct(new Place<>(at.segment(), at.word() + 1 + i * words), tag, nesting, visit);
        }
      }
      default -> {}
    }
  }

  private static SegmentReader segment(SegmentReader of, int id) {
    if (of instanceof MessageArena.Segment received) {
      return received.message.tryGetSegment(id);
    }
    BuilderArena arena = ((SegmentBuilder) of).getArena();
    return arena.getSegment(id);
  }
}
