package org.shipmate.rpc;

import org.capnproto.AnyPointer;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;
import org.capnproto.StructBuilder;
import org.capnproto.StructFactory;
import org.capnproto.StructList;
import org.capnproto.StructReader;
import org.capnproto.StructSize;

/** A struct without fields, which is also how a struct is read of which nothing is known. */
public final class Empty {
  public static final Factory factory = new Factory();

  static final StructList.Factory<Builder, Reader> listFactory = StructList.newFactory(factory);

  private Empty() {}

  public static final class Factory extends StructFactory<Builder, Reader> {
    private static final StructSize SIZE = new StructSize((short) 0, (short) 0);

    private Factory() {}

    @Override
    public Reader constructReader(
        SegmentReader segment, int data, int pointers, int dataSize, short count, int nesting) {
      return new Reader(segment, data, pointers, dataSize, count, nesting);
    }

    @Override
    public Builder constructBuilder(
        SegmentBuilder segment, int data, int pointers, int dataSize, short count) {
      return new Builder(segment, data, pointers, dataSize, count);
    }

    @Override
    public StructSize structSize() {
      return SIZE;
    }

    @Override
    public Reader asReader(Builder builder) {
      return builder.asReader();
    }
  }

  public static final class Reader extends StructReader {
    private Reader(
        SegmentReader segment, int data, int pointers, int dataSize, short count, int nesting) {
      super(segment, data, pointers, dataSize, count, nesting);
    }

    AnyPointer.Reader pointer(int index) {
      return _getPointerField(AnyPointer.factory, index);
    }
  }

  public static final class Builder extends StructBuilder {
    private Builder(SegmentBuilder segment, int data, int pointers, int dataSize, short count) {
      super(segment, data, pointers, dataSize, count);
    }

    public Reader asReader() {
      return new Reader(segment, data, pointers, dataSize, pointerCount, Integer.MAX_VALUE);
    }
  }
}
