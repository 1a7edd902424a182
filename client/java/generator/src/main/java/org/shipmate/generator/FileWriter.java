package org.shipmate.generator;

import org.shipmate.generator.Schema.Comments;
import org.shipmate.generator.Schema.Constant;
import org.shipmate.generator.Schema.NestedNode;
import org.shipmate.generator.Schema.Node;
import org.shipmate.generator.Schema.Type;
import org.shipmate.generator.Schema.Value;

/** Writes the class that holds all that one schema file declares. */
final class FileWriter {
  private final Schema schema;
  private final Names names;
  private final Types types;
  private final Code code = new Code();

  FileWriter(Schema schema, Names names) {
    this.schema = schema;
    this.names = names;
    this.types = new Types(schema, names);
  }

  String write(Node file) {
    code.add("// Generated from %s by shipmate-generator. Do not edit.", file.displayName());
    code.add("package %s;\n", names.packageOf(file));
    code.document(comments(file).node());
    code.add("public final class %s {", names.outerClass(file));
    code.add("private %s() {}", names.outerClass(file));
    nested(file);
    return code.add("}").toString();
  }

  private void nested(Node scope) {
    for (NestedNode nested : scope.nested()) {
      code.add("");
      declaration(schema.node(nested.id()), nested.name());
    }
  }

  private void declaration(Node node, String name) {
    if (node.body() instanceof Schema.Struct) {
      new StructWriter(schema, names, types, code, node).write();
      nested(node);
      code.add("}");
    } else if (node.body() instanceof Schema.Interface) {
      new InterfaceWriter(schema, names, types, code, node).write();
      nested(node);
      code.add("}");
    } else if (node.body() instanceof Schema.Enum body) {
      enumeration(node, body);
    } else if (node.body() instanceof Constant body) {
      code.document(comments(node).node());
      code.add(
          "public static final %s %s = %s;",
          types.name(body.type(), "Reader"),
          Names.constant(name),
          constant(body.type(), body.value()));
    }
  }

  private void enumeration(Node node, Schema.Enum body) {
    String name = names.simple(node.id());
    code.document(comments(node).node());
    code.add("public enum %s {", name);
    for (int number = 0; number < body.enumerants().size(); number++) {
      code.document(comments(node).member(number));
      code.add("%s,", Names.constant(body.enumerants().get(number)));
    }
    code.add(
        """
        /** A value that this schema does not know: it comes from a newer one. */
        _NOT_IN_SCHEMA;

        public static final org.capnproto.EnumList.Factory<%s> listFactory = new org.capnproto.EnumList.Factory<>(values());
        private static final %s[] VALUES = values();

        /** The value of a number. */
        public static %s of(short number) {
        return VALUES[Math.min(Short.toUnsignedInt(number), VALUES.length - 1)];
        }

        /** The number on the wire. */
        public short number() {
        if (this == _NOT_IN_SCHEMA) {
        throw new IllegalArgumentException("a value that is not in the schema cannot be written");
        }
        return (short) ordinal();
        }
        }
        """,
        name, name, name);
  }

  private String constant(Type type, Value value) {
    return switch (type.kind()) {
      case VOID -> "org.capnproto.Void.VOID";
      case BOOL -> Boolean.toString(value.bits() != 0);
      case INT8, UINT8 -> "(byte) " + value.bits();
      case INT16, UINT16 -> "(short) " + value.bits();
      case INT32, UINT32 -> Long.toString(value.bits());
      case INT64, UINT64 -> value.bits() + "L";
      case FLOAT32 -> "Float.intBitsToFloat(%d)".formatted(value.bits());
      case FLOAT64 -> "Double.longBitsToDouble(%dL)".formatted(value.bits());
      case ENUM -> "%s.of((short) %d)".formatted(names.full(type.id()), value.bits());
      case INTERFACE, CAPABILITY, ANY_POINTER ->
          throw new GeneratorException("a constant cannot be a capability or of any type");
      default ->
          StructWriter.pointerValue(
              types, type, value.bytes() == null ? new byte[8] : value.bytes());
    };
  }

  private Comments comments(Node node) {
    return schema.comments().getOrDefault(node.id(), Comments.NONE);
  }
}
