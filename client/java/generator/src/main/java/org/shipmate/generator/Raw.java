package org.shipmate.generator;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.capnproto.AnyPointer;
import org.capnproto.SegmentBuilder;
import org.capnproto.SegmentReader;
import org.capnproto.StructBuilder;
import org.capnproto.StructFactory;
import org.capnproto.StructList;
import org.capnproto.StructReader;
import org.capnproto.StructSize;
import org.capnproto.Text;

/**
 * A struct whose fields are read by their place. It serves to read a {@code CodeGeneratorRequest}
 * without code that was generated from {@code schema.capnp}: that code would have to come from this
 * very generator.
 */
final class Raw extends StructReader {
  static final StructFactory<StructBuilder, Raw> FACTORY =
      new StructFactory<>() {
        @Override
        public Raw constructReader(
            SegmentReader segment, int data, int pointers, int dataSize, short count, int nesting) {
          return new Raw(segment, data, pointers, dataSize, count, nesting);
        }

        @Override
        public StructBuilder constructBuilder(
            SegmentBuilder segment, int data, int pointers, int dataSize, short count) {
          return new StructBuilder(segment, data, pointers, dataSize, count);
        }

        @Override
        public StructSize structSize() {
          return new StructSize((short) 0, (short) 0);
        }

        @Override
        public Raw asReader(StructBuilder builder) {
          throw new UnsupportedOperationException("requests are only read");
        }
      };

  private static final StructList.Factory<StructBuilder, Raw> LIST = StructList.newFactory(FACTORY);

  private Raw(
      SegmentReader segment, int data, int pointers, int dataSize, short count, int nesting) {
    super(segment, data, pointers, dataSize, count, nesting);
  }

  /** The bit at this place, counted in bits. */
  boolean bool(int offset) {
    return _getBooleanField(offset);
  }

  /** The byte at this place, counted in bytes. */
  byte int8(int offset) {
    return _getByteField(offset);
  }

  /** The 16 bits at this place, counted in 16 bits, without a sign. */
  int uint16(int offset) {
    return Short.toUnsignedInt(_getShortField(offset));
  }

  /** The 32 bits at this place, counted in 32 bits. */
  int int32(int offset) {
    return _getIntField(offset);
  }

  /** The 64 bits at this place, counted in 64 bits. */
  long int64(int offset) {
    return _getLongField(offset);
  }

  String text(int pointer) {
    return _getPointerField(Text.factory, pointer).toString();
  }

  byte[] data(int pointer) {
    return _getPointerField(org.capnproto.Data.factory, pointer).toArray();
  }

  AnyPointer.Reader any(int pointer) {
    return _getPointerField(AnyPointer.factory, pointer);
  }

  Raw struct(int pointer) {
    return _getPointerField(FACTORY, pointer);
  }

  <T> List<T> list(int pointer, Function<Raw, T> read) {
    List<T> result = new ArrayList<>();
    for (Raw element : _getPointerField(LIST, pointer)) {
      result.add(read.apply(element));
    }
    return result;
  }
}
