package org.shipmate.generator;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.shipmate.generator.Schema.Comments;
import org.shipmate.generator.Schema.Field;
import org.shipmate.generator.Schema.Kind;
import org.shipmate.generator.Schema.Node;
import org.shipmate.generator.Schema.Struct;
import org.shipmate.generator.Schema.Type;

/** Writes the class of a struct or of a group: its reader, its builder and its pipeline. */
final class StructWriter {
  private static final String CREATE_PARAMETERS =
      "segment, int data, int pointers, int dataSize, short pointerCount";
  private static final String CREATE_ARGUMENTS = "segment, data, pointers, dataSize, pointerCount";

  private final Schema schema;
  private final Names names;
  private final Types types;
  private final Code code;
  private final Node node;
  private final Struct struct;
  private final Comments comments;

  StructWriter(Schema schema, Names names, Types types, Code code, Node node) {
    this.schema = schema;
    this.names = names;
    this.types = types;
    this.code = code;
    this.node = node;
    this.struct = (Struct) node.body();
    this.comments = schema.comments().getOrDefault(node.id(), Comments.NONE);
  }

  /** Writes all but the closing brace, so that nested types may follow. */
  void write() {
    String name = names.simple(node.id());
    code.document(comments.node());
    code.add("public static final class %s {\nprivate %s() {}\n", name, name);
    if (!struct.isGroup()) {
      factory();
    }
    defaults();
    if (struct.hasUnion()) {
      which();
    }
    reader();
    builder();
    if (types.leadsToCapability(node.id())) {
      pipeline();
    }
    for (Field field : struct.fields()) {
      if (field.isGroup()) {
        new StructWriter(schema, names, types, code, schema.node(field.group())).write();
        code.add("}");
      }
    }
  }

  private void factory() {
    code.add(
        """

        public static final org.capnproto.StructSize STRUCT_SIZE = new org.capnproto.StructSize((short) %d, (short) %d);

        public static final class Factory extends org.capnproto.StructFactory<Builder, Reader> {
        private Factory() {}

        @Override
        public Reader constructReader(org.capnproto.SegmentReader %s, int nestingLimit) {
        return new Reader(%s, nestingLimit);
        }

        @Override
        public Builder constructBuilder(org.capnproto.SegmentBuilder %s) {
        return new Builder(%s);
        }

        @Override
        public org.capnproto.StructSize structSize() {
        return STRUCT_SIZE;
        }

        @Override
        public Reader asReader(Builder builder) {
        return builder.asReader();
        }
        }

        public static final Factory factory = new Factory();
        public static final org.capnproto.StructList.Factory<Builder, Reader> listFactory = org.capnproto.StructList.newFactory(factory);
        """,
        struct.dataWords(),
        struct.pointers(),
        CREATE_PARAMETERS,
        CREATE_ARGUMENTS,
        CREATE_PARAMETERS,
        CREATE_ARGUMENTS);
  }

  /** Constants for the defaults of pointers. */
  private void defaults() {
    for (Field field : struct.fields()) {
      if (!hasPointerDefault(field)) {
        continue;
      }
      String type = types.name(field.type(), "Reader");
      code.add(
          "private static final %s %s = %s;",
          type, defaultName(field), pointerValue(types, field.type(), field.value().bytes()));
    }
  }

  /** An expression for a text, data, a struct or a list, whose bytes are given. */
  static String pointerValue(Types types, Type type, byte[] bytes) {
    return switch (type.kind()) {
      case TEXT -> "new org.capnproto.Text.Reader(%s)".formatted(Types.literal(text(bytes)));
      case DATA ->
          "new org.capnproto.Data.Reader(%s.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1))"
              .formatted(Types.bytes(bytes));
      default ->
          "%s.fromPointerReader(org.capnproto.GeneratedClassSupport.decodeRawBytes(%s), 0, 64)"
              .formatted(types.factory(type), Types.bytes(bytes));
    };
  }

  private static String text(byte[] bytes) {
    // The bytes end with a NUL where they come from a text.
    int length = bytes.length > 0 && bytes[bytes.length - 1] == 0 ? bytes.length - 1 : bytes.length;
    return new String(bytes, 0, length, StandardCharsets.UTF_8);
  }

  private void which() {
    code.add("\npublic enum Which {");
    for (Field field : unionByNumber()) {
      code.add("%s,", Names.constant(field.name()));
    }
    code.add("_NOT_IN_SCHEMA\n}\n");
  }

  private List<Field> unionByNumber() {
    return struct.unionFields().stream()
        .sorted((a, b) -> Integer.compare(a.discriminant(), b.discriminant()))
        .toList();
  }

  private void whichMethod() {
    if (!struct.hasUnion()) {
      return;
    }
    code.add("\npublic Which which() {");
    code.add("return switch (_getShortField(%d)) {", struct.discriminantOffset());
    for (Field field : unionByNumber()) {
      code.add("case %d -> Which.%s;", field.discriminant(), Names.constant(field.name()));
    }
    code.add("default -> Which._NOT_IN_SCHEMA;\n};\n}");
    for (Field field : unionByNumber()) {
      code.add(
          "\npublic boolean is%s() {\nreturn _getShortField(%d) == (short) %d;\n}",
          Names.accessor(field.name()), struct.discriminantOffset(), field.discriminant());
    }
  }

  private void reader() {
    code.add(
        """

        public static final class Reader extends org.capnproto.StructReader {
        Reader(org.capnproto.SegmentReader %s, int nestingLimit) {
        super(%s, nestingLimit);
        }
        """,
        CREATE_PARAMETERS, CREATE_ARGUMENTS);
    whichMethod();
    for (int index = 0; index < struct.fields().size(); index++) {
      Field field = struct.fields().get(index);
      String comment = comments.member(index);
      if (field.isGroup()) {
        String group = names.full(field.group());
        getter(
            field,
            comment,
            group + ".Reader",
            "new %s.Reader(%s, nestingLimit)".formatted(group, CREATE_ARGUMENTS));
      } else if (field.type().kind().isPointer()) {
        has(field);
        getter(field, comment, types.name(field.type(), "Reader"), readPointer(field));
      } else {
        dataGetters(field, comment);
      }
    }
    code.add("}");
  }

  private String readPointer(Field field) {
    String factory = types.factory(field.type());
    if (!hasPointerDefault(field)) {
      return "_getPointerField(%s, %d)".formatted(factory, field.offset());
    }
    return "_pointerFieldIsNull(%d) ? %s : _getPointerField(%s, %d)"
        .formatted(field.offset(), defaultName(field), factory, field.offset());
  }

  private void builder() {
    code.add(
        """

        public static final class Builder extends org.capnproto.StructBuilder {
        Builder(org.capnproto.SegmentBuilder %s) {
        super(%s);
        }

        public Reader asReader() {
        return new Reader(%s, Integer.MAX_VALUE);
        }
        """,
        CREATE_PARAMETERS, CREATE_ARGUMENTS, CREATE_ARGUMENTS);
    whichMethod();
    for (int index = 0; index < struct.fields().size(); index++) {
      Field field = struct.fields().get(index);
      String comment = comments.member(index);
      if (field.isGroup()) {
        group(field, comment);
      } else if (field.type().kind().isPointer()) {
        pointer(field, comment);
      } else {
        dataGetters(field, comment);
        dataSetter(field, comment);
      }
    }
    code.add("}");
  }

  private void group(Field field, String comment) {
    String group = names.full(field.group());
    String create = "new %s.Builder(%s)".formatted(group, CREATE_ARGUMENTS);
    getter(field, comment, group + ".Builder", create);
    code.add("\npublic %s.Builder init%s() {", group, Names.accessor(field.name()));
    choose(field);
    clear((Struct) schema.node(field.group()).body());
    code.add("return %s;\n}", create);
  }

  /**
   * Clears all fields of a group, which shares its struct's memory with the other arms of a union.
   */
  private void clear(Struct group) {
    if (group.hasUnion()) {
      code.add("_setShortField(%d, (short) 0);", group.discriminantOffset());
    }
    for (Field field : group.fields()) {
      if (field.isGroup()) {
        clear((Struct) schema.node(field.group()).body());
      } else if (field.type().kind().isPointer()) {
        code.add("_clearPointerField(%d);", field.offset());
      } else if (field.type().kind() != Kind.VOID) {
        String accessor = Types.accessor(field.type().kind());
        code.add("_set%sField(%d, %s);", accessor, field.offset(), zero(field.type().kind()));
      }
    }
  }

  private static String zero(Kind kind) {
    return switch (kind) {
      case BOOL -> "false";
      case INT8, UINT8 -> "(byte) 0";
      case INT16, UINT16, ENUM -> "(short) 0";
      default -> "0";
    };
  }

  private void pointer(Field field, String comment) {
    Type type = field.type();
    String builder = types.name(type, "Builder");
    String factory = types.factory(type);
    has(field);
    document(field, comment);
    code.add("public %s get%s() {", builder, Names.accessor(field.name()));
    check(field);
    if (hasPointerDefault(field)) {
      code.add("if (_pointerFieldIsNull(%d)) {", field.offset());
      code.add("_setPointerField(%s, %d, %s);\n}", factory, field.offset(), defaultName(field));
    } else if (type.kind() == Kind.LIST) {
      code.add("if (_pointerFieldIsNull(%d)) {", field.offset());
      code.add("_initPointerField(%s, %d, 0);\n}", factory, field.offset());
    }
    code.add("return _getPointerField(%s, %d);\n}", factory, field.offset());

    setter(field, comment, types.name(type, "Reader"), factory, "value");
    switch (type.kind()) {
      case TEXT ->
          setter(field, comment, "String", factory, "new org.capnproto.Text.Reader(value)");
      case DATA -> dataSetter(field, comment, factory);
      case INTERFACE -> serverSetter(field, comment);
      default -> {}
    }
    switch (type.kind()) {
      case TEXT, DATA, LIST -> init(field, builder, factory, "int size", "size");
      case STRUCT, ANY_POINTER -> init(field, builder, factory, "", "0");
      default -> {}
    }
  }

  private void setter(Field field, String comment, String type, String factory, String value) {
    document(field, comment);
    code.add("public void set%s(%s value) {", Names.accessor(field.name()), type);
    choose(field);
    code.add("_setPointerField(%s, %d, %s);\n}", factory, field.offset(), value);
  }

  private void dataSetter(Field field, String comment, String factory) {
    document(field, comment);
    code.add("public void set%s(byte[] value) {", Names.accessor(field.name()));
    choose(field);
    code.add(
        "_initPointerField(%s, %d, value.length).asByteBuffer().put(value);\n}",
        factory, field.offset());
  }

  private void serverSetter(Field field, String comment) {
    String name = names.full(field.type().id());
    document(field, comment);
    code.add("public void set%s(%s.Server value) {", Names.accessor(field.name()), name);
    code.add("try (%s.Client client = %s.serve(value)) {", name, name);
    code.add("set%s(client);\n}\n}", Names.accessor(field.name()));
  }

  private void init(Field field, String type, String factory, String parameter, String size) {
    code.add("\npublic %s init%s(%s) {", type, Names.accessor(field.name()), parameter);
    choose(field);
    code.add("return _initPointerField(%s, %d, %s);\n}", factory, field.offset(), size);
  }

  private void has(Field field) {
    String inUnion = field.inUnion() ? "is%s() && ".formatted(Names.accessor(field.name())) : "";
    code.add(
        "\npublic boolean has%s() {\nreturn %s!_pointerFieldIsNull(%d);\n}",
        Names.accessor(field.name()), inUnion, field.offset());
  }

  private void getter(Field field, String comment, String type, String expression) {
    document(field, comment);
    code.add("public %s get%s() {", type, Names.accessor(field.name()));
    check(field);
    code.add("return %s;\n}", expression);
  }

  private void dataGetters(Field field, String comment) {
    Kind kind = field.type().kind();
    if (kind == Kind.VOID) {
      getter(field, comment, "org.capnproto.Void", "org.capnproto.Void.VOID");
      return;
    }
    String value =
        "_get%sField(%d%s)"
            .formatted(Types.accessor(kind), field.offset(), Types.mask(kind, field.value()));
    if (kind != Kind.ENUM) {
      getter(field, comment, Types.primitive(kind), value);
      return;
    }
    String type = names.full(field.type().id());
    getter(field, comment, type, "%s.of(%s)".formatted(type, value));
    code.add(
        "\n/** The number of {@link #get%s}, which a newer schema may know. */",
        Names.accessor(field.name()));
    code.add("public int get%sNumber() {", Names.accessor(field.name()));
    check(field);
    code.add("return Short.toUnsignedInt(%s);\n}", value);
  }

  private void dataSetter(Field field, String comment) {
    Kind kind = field.type().kind();
    document(field, comment);
    if (kind == Kind.VOID) {
      code.add("public void set%s() {", Names.accessor(field.name()));
      choose(field);
      code.add("}");
      return;
    }
    String type = kind == Kind.ENUM ? names.full(field.type().id()) : Types.primitive(kind);
    String value = kind == Kind.ENUM ? "value.number()" : "value";
    code.add("public void set%s(%s value) {", Names.accessor(field.name()), type);
    choose(field);
    code.add(
        "_set%sField(%d, %s%s);\n}",
        Types.accessor(kind), field.offset(), value, Types.mask(kind, field.value()));
  }

  private void pipeline() {
    code.add(
        """

        /** What a call will return: calls can be made on its capabilities before it has. */
        public static final class Pipeline extends org.shipmate.rpc.Pipeline {
        public Pipeline(org.shipmate.rpc.Pipeline promise) {
        super(promise);
        }
        """);
    for (Field field : struct.fields()) {
      String title = Names.accessor(field.name());
      if (field.isGroup() && types.leadsToCapability(field.group())) {
        String type = names.full(field.group()) + ".Pipeline";
        code.add("\npublic %s get%s() {\nreturn new %s(this);\n}", type, title, type);
      } else if (!field.isGroup()) {
        pipelineField(field, title);
      }
    }
    code.add("}");
  }

  private void pipelineField(Field field, String title) {
    Type type = field.type();
    switch (type.kind()) {
      case INTERFACE, CAPABILITY ->
          code.add(
              "\npublic %s get%s() {\nreturn _capability(%d, %s);\n}",
              types.name(type, ""), title, field.offset(), types.factory(type));
      case ANY_POINTER ->
          code.add(
              "\npublic org.shipmate.rpc.Pipeline get%s() {\nreturn _field(%d);\n}",
              title, field.offset());
      case STRUCT -> {
        if (types.leadsToCapability(type.id())) {
          String name = names.full(type.id()) + ".Pipeline";
          code.add(
              "\npublic %s get%s() {\nreturn new %s(_field(%d));\n}",
              name, title, name, field.offset());
        }
      }
      default -> {}
    }
  }

  /** Says in a builder which arm of the union it is. */
  private void choose(Field field) {
    if (field.inUnion()) {
      code.add(
          "_setShortField(%d, (short) %d);", struct.discriminantOffset(), field.discriminant());
    }
  }

  private void check(Field field) {
    if (field.inUnion()) {
      code.add(
          "assert is%s() : \"ask which() before a member of a union is read\";",
          Names.accessor(field.name()));
    }
  }

  private void document(Field field, String comment) {
    code.add("");
    code.document(comment);
  }

  private static boolean hasPointerDefault(Field field) {
    return !field.isGroup() && field.type().kind().isPointer() && !field.value().isZero();
  }

  private static String defaultName(Field field) {
    return "DEFAULT_" + Names.constant(field.name());
  }
}
