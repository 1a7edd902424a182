package org.shipmate.generator;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.capnproto.AnyPointer;
import org.capnproto.MessageBuilder;
import org.capnproto.ReaderOptions;
import org.capnproto.Serialize;

/**
 * What {@code capnp compile} says about schemas: a {@code CodeGeneratorRequest} as plain records.
 *
 * <p>The numbers are the places of the fields of {@code schema.capnp}, as {@code capnp compile
 * -ocapnp} prints them.
 */
record Schema(Map<Long, Node> nodes, List<RequestedFile> files, Map<Long, Comments> comments) {
  private static final int NO_DISCRIMINANT = 0xffff;
  private static final int NESTING_MAX = 64;

  /** Reads a request, as {@code capnp compile -o-} writes it. */
  static Schema read(byte[] request) {
    Raw root;
    try {
      var options = new ReaderOptions(-1, NESTING_MAX);
      root = Serialize.read(ByteBuffer.wrap(request), options).getRoot(Raw.FACTORY);
    } catch (IOException | RuntimeException e) {
      throw new GeneratorException("this is no CodeGeneratorRequest: " + e.getMessage());
    }
    return new Schema(
        byId(root.list(0, Node::read), Node::id),
        root.list(1, raw -> new RequestedFile(raw.int64(0), raw.text(0))),
        byId(root.list(3, Comments::read), Comments::id));
  }

  Node node(long id) {
    Node node = nodes.get(id);
    if (node == null) {
      throw new GeneratorException("the request lacks node @0x" + Long.toHexString(id));
    }
    return node;
  }

  private static <T> Map<Long, T> byId(List<T> all, Function<T, Long> id) {
    return all.stream().collect(Collectors.toMap(id, Function.identity()));
  }

  /** A file that was named on the command line. */
  record RequestedFile(long id, String name) {}

  /** What the schema's author wrote about a node and about its members, in their order. */
  record Comments(long id, String node, List<String> members) {
    static final Comments NONE = new Comments(0, "", List.of());

    static Comments read(Raw raw) {
      return new Comments(raw.int64(0), raw.text(0), raw.list(1, member -> member.text(0)));
    }

    String member(int index) {
      return index < members.size() ? members.get(index) : "";
    }
  }

  /** A file, or something that was declared in one. {@code scope} is 0 where there is none. */
  record Node(
      long id,
      String displayName,
      long scope,
      List<NestedNode> nested,
      List<Annotation> annotations,
      Body body) {
    static Node read(Raw raw) {
      return new Node(
          raw.int64(0),
          raw.text(0),
          raw.int64(2),
          raw.list(1, nested -> new NestedNode(nested.text(0), nested.int64(0))),
          raw.list(2, Annotation::read),
          Body.read(raw));
    }
  }

  record NestedNode(String name, long id) {}

  record Annotation(long id, String text) {
    static Annotation read(Raw raw) {
      Raw value = raw.struct(0);
      return new Annotation(
          raw.int64(0), value.uint16(0) == Kind.TEXT.ordinal() ? value.text(0) : "");
    }
  }

  /** What kind of node it is. */
  sealed interface Body {
    static Body read(Raw raw) {
      return switch (raw.uint16(6)) {
        case 1 ->
            new Struct(
                raw.uint16(7),
                raw.uint16(12),
                raw.bool(224),
                raw.uint16(15),
                raw.int32(8),
                raw.list(3, Field::read));
        case 2 -> new Enum(raw.list(3, enumerant -> enumerant.text(0)));
        case 3 ->
            new Interface(
                raw.list(3, Method::read), raw.list(4, superclass -> superclass.int64(0)));
        case 4 -> new Constant(Type.read(raw.struct(3)), Value.read(raw.struct(4)));
        default -> new Other();
      };
    }
  }

  /** Sizes are in words; the discriminant's place is counted in 16 bits. */
  record Struct(
      int dataWords,
      int pointers,
      boolean isGroup,
      int discriminants,
      int discriminantOffset,
      List<Field> fields)
      implements Body {
    boolean hasUnion() {
      return discriminants > 0;
    }

    List<Field> unionFields() {
      return fields.stream().filter(Field::inUnion).toList();
    }
  }

  record Enum(List<String> enumerants) implements Body {}

  record Interface(List<Method> methods, List<Long> superclasses) implements Body {}

  record Constant(Type type, Value value) implements Body {}

  /** A file or an annotation's declaration. */
  record Other() implements Body {}

  /**
   * A field: a slot, or a group where {@code group} is not 0. The offset is in units of its size.
   */
  record Field(String name, int discriminant, int offset, Type type, Value value, long group) {
    static Field read(Raw raw) {
      int discriminant = raw.uint16(1) ^ NO_DISCRIMINANT;
      if (raw.uint16(4) == 1) {
        return new Field(raw.text(0), discriminant, 0, null, null, raw.int64(2));
      }
      Type type = Type.read(raw.struct(2));
      return new Field(raw.text(0), discriminant, raw.int32(1), type, Value.read(raw.struct(3)), 0);
    }

    boolean inUnion() {
      return discriminant != NO_DISCRIMINANT;
    }

    boolean isGroup() {
      return group != 0;
    }
  }

  record Method(String name, long params, long results) {
    static Method read(Raw raw) {
      return new Method(raw.text(0), raw.int64(1), raw.int64(2));
    }
  }

  /** The kinds of types, in the order of their numbers in {@code schema.capnp}. */
  enum Kind {
    VOID,
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    FLOAT32,
    FLOAT64,
    TEXT,
    DATA,
    LIST,
    ENUM,
    STRUCT,
    INTERFACE,
    ANY_POINTER,
    /** An {@code AnyPointer} that may only be a capability. */
    CAPABILITY;

    boolean isPointer() {
      return this == TEXT || this == DATA || this == LIST || ordinal() >= STRUCT.ordinal();
    }
  }

  /** A type. A generic parameter is what it is on the wire: any pointer. */
  record Type(Kind kind, Type element, long id) {
    private static final int CAPABILITY = 3;

    static Type read(Raw raw) {
      Kind kind = Kind.values()[raw.uint16(0)];
      return switch (kind) {
        case LIST -> new Type(kind, read(raw.struct(0)), 0);
        case ENUM, STRUCT, INTERFACE -> new Type(kind, null, raw.int64(1));
        case ANY_POINTER -> {
          boolean unconstrained = raw.uint16(4) == 0;
          boolean capability = unconstrained && raw.uint16(5) == CAPABILITY;
          yield new Type(capability ? Kind.CAPABILITY : kind, null, 0);
        }
        default -> new Type(kind, null, 0);
      };
    }
  }

  /**
   * A default or a constant. {@code bits} are those of a number, {@code bytes} those of a text or
   * of data, and of a list or a struct a message of one segment.
   */
  record Value(long bits, byte[] bytes) {
    static Value read(Raw raw) {
      return switch (Kind.values()[raw.uint16(0)]) {
        case BOOL -> new Value(raw.bool(16) ? 1 : 0, null);
        case INT8, UINT8 -> new Value(raw.int8(2), null);
        case INT16, UINT16, ENUM -> new Value((short) raw.uint16(1), null);
        case INT32, UINT32, FLOAT32 -> new Value(raw.int32(1), null);
        case INT64, UINT64, FLOAT64 -> new Value(raw.int64(1), null);
        case TEXT -> new Value(0, raw.data(0));
        case DATA -> new Value(0, raw.data(0));
        case LIST, STRUCT, ANY_POINTER -> new Value(0, message(raw.any(0)));
        default -> new Value(0, null);
      };
    }

    /** Whether it is what a field has where nothing was said. */
    boolean isZero() {
      return bits == 0 && (bytes == null || bytes.length == 0);
    }

    private static byte[] message(AnyPointer.Reader pointer) {
      if (pointer.isNull()) {
        return null;
      }
      for (int words = 64; ; words *= 8) {
        var message = new MessageBuilder(words);
        message.setRoot(AnyPointer.factory, pointer);
        ByteBuffer[] segments = message.getSegmentsForOutput();
        if (segments.length == 1) {
          var bytes = new byte[segments[0].remaining()];
          segments[0].get(bytes);
          return bytes;
        }
      }
    }
  }
}
