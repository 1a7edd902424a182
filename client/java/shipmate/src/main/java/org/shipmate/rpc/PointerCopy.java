package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ObjIntConsumer;
import org.capnproto.AnyPointer;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;

/**
 * Copies what a pointer points to, with the capabilities in it, which capnproto-java's own copy
 * refuses: it copies all but them, and then they are put into the copy at the same places. For a
 * message that is passed on.
 */
final class PointerCopy {
  private PointerCopy() {}

  static void copy(AnyPointer.Reader from, AnyPointer.Builder to) {
    List<Place<SegmentReader>> places = new ArrayList<>();
    List<Reference> references = new ArrayList<>();
    PointerWalk.walk(
        from.getAs(Place.READ),
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
    PointerWalk.walk(to.asReader().getAs(Place.READ), copies::add);
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
}
