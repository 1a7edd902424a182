package org.shipmate.rpc;

import org.capnproto.FromPointerBuilder;
import org.capnproto.FromPointerReader;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;
import org.capnproto.SetPointerBuilder;
import org.capnproto.StructList;
import org.capnproto.TextList;

/** A list of objects, which capnproto-java does not have. */
public final class CapabilityList {
  private CapabilityList() {}

  public static final class Factory<C extends Client>
      implements FromPointerReader<Reader<C>>,
          FromPointerBuilder<Builder<C>>,
          SetPointerBuilder<Builder<C>, Reader<C>> {
    private final InterfaceFactory<C> element;

    public Factory(InterfaceFactory<C> element) {
      this.element = element;
    }

    @Override
    public Reader<C> fromPointerReader(SegmentReader segment, int pointer, int nestingLimit) {
      // A list of pointers can be read as one of structs that have nothing else.
      var structs = Empty.listFactory.fromPointerReader(segment, pointer, nestingLimit);
      return new Reader<>(element, structs);
    }

    @Override
    public Builder<C> fromPointerBuilder(SegmentBuilder segment, int pointer) {
      int size = TextList.factory.fromPointerBuilder(segment, pointer).size();
      Place<SegmentBuilder> list = new Place<>(segment, pointer);
      Place<SegmentBuilder> start =
          list.follow((from, id) -> from.getArena().getSegment(id)).start();
      return new Builder<>(element, start, size);
    }

    @Override
    public Builder<C> initFromPointerBuilder(SegmentBuilder segment, int pointer, int size) {
      // On the wire it is what any list of pointers is.
      TextList.factory.initFromPointerBuilder(segment, pointer, size);
      return fromPointerBuilder(segment, pointer);
    }

    @Override
    public void setPointerBuilder(SegmentBuilder segment, int pointer, Reader<C> value) {
      Builder<C> list = initFromPointerBuilder(segment, pointer, value.size());
      for (int i = 0; i < value.size(); i++) {
        list.set(i, value.get(i));
      }
    }
  }

  public static final class Reader<C extends Client> {
    private final InterfaceFactory<C> element;
    private final StructList.Reader<Empty.Reader> structs;

    private Reader(InterfaceFactory<C> element, StructList.Reader<Empty.Reader> structs) {
      this.element = element;
      this.structs = structs;
    }

    public int size() {
      return structs.size();
    }

    public C get(int index) {
      return structs.get(index).pointer(0).getAs(element);
    }
  }

  public static final class Builder<C extends Client> {
    private final InterfaceFactory<C> element;
    private final Place<SegmentBuilder> start;
    private final int size;

    private Builder(InterfaceFactory<C> element, Place<SegmentBuilder> start, int size) {
      this.element = element;
      this.start = start;
      this.size = size;
    }

    public int size() {
      return size;
    }

    public C get(int index) {
      return element.fromPointerBuilder(start.segment(), word(index));
    }

    public void set(int index, C value) {
      element.setPointerBuilder(start.segment(), word(index), value);
    }

    private int word(int index) {
      if (index < 0 || index >= size) {
        throw new IndexOutOfBoundsException("element " + index + " of " + size);
      }
      return start.word() + index;
    }
  }
}
