package org.shipmate.generator;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import org.shipmate.generator.Schema.Field;
import org.shipmate.generator.Schema.Kind;
import org.shipmate.generator.Schema.Type;
import org.shipmate.generator.Schema.Value;

/** How the types and values of a schema are written in Java. */
final class Types {
  /**
   * String constants of a class file hold 65,535 bytes of modified UTF-8, two for each char here.
   */
  private static final int LITERAL_CHARS_MAX = 30_000;

  private final Schema schema;
  private final Names names;

  Types(Schema schema, Names names) {
    this.schema = schema;
    this.names = names;
  }

  /** The Java type of a number, a boolean or {@code Void}. */
  static String primitive(Kind kind) {
    return switch (kind) {
      case VOID -> "org.capnproto.Void";
      case BOOL -> "boolean";
      case INT8, UINT8 -> "byte";
      case INT16, UINT16 -> "short";
      case INT32, UINT32 -> "int";
      case INT64, UINT64 -> "long";
      case FLOAT32 -> "float";
      case FLOAT64 -> "double";
      default -> throw new IllegalArgumentException(kind.toString());
    };
  }

  /** As in the runtime's {@code _getShortField} and {@code PrimitiveList.Short}. */
  static String accessor(Kind kind) {
    return kind == Kind.VOID ? "Void" : Names.title(kind == Kind.ENUM ? "short" : primitive(kind));
  }

  /**
   * What a default is combined with by exclusive or, with its comma before it; nothing for zero.
   */
  static String mask(Kind kind, Value value) {
    if (value.isZero()) {
      return "";
    }
    return switch (kind) {
      case BOOL -> ", true";
      case INT8, UINT8 -> ", (byte) " + value.bits();
      case INT16, UINT16, ENUM -> ", (short) " + value.bits();
      case INT32, UINT32, FLOAT32 -> ", " + value.bits();
      default -> ", " + value.bits() + "L";
    };
  }

  /** The type of a field when it is read, {@code side} being "Reader", or built, "Builder". */
  String name(Type type, String side) {
    return switch (type.kind()) {
      case TEXT -> "org.capnproto.Text." + side;
      case DATA -> "org.capnproto.Data." + side;
      case ENUM -> names.full(type.id());
      case STRUCT -> names.full(type.id()) + "." + side;
      case INTERFACE -> names.full(type.id()) + ".Client";
      case CAPABILITY -> "org.shipmate.rpc.Client";
      case ANY_POINTER -> "org.capnproto.AnyPointer." + side;
      case LIST -> list(type.element(), side);
      default -> primitive(type.kind());
    };
  }

  /** An expression for the factory of a type that is a pointer. */
  String factory(Type type) {
    return switch (type.kind()) {
      case TEXT -> "org.capnproto.Text.factory";
      case DATA -> "org.capnproto.Data.factory";
      case STRUCT, INTERFACE -> names.full(type.id()) + ".factory";
      case CAPABILITY -> "org.shipmate.rpc.Client.factory";
      case ANY_POINTER -> "org.capnproto.AnyPointer.factory";
      case LIST -> listFactory(type.element());
      default -> throw new IllegalArgumentException(type.kind().toString());
    };
  }

  /**
   * Whether a capability may be reached from a struct, so that calls can be made on promises of it.
   */
  boolean leadsToCapability(long struct) {
    return leadsToCapability(struct, new HashSet<>());
  }

  /** A string literal with one char for each byte, or several of them joined. */
  static String bytes(byte[] bytes) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    if (text.length() <= LITERAL_CHARS_MAX) {
      return literal(text);
    }
    StringBuilder parts = new StringBuilder("String.join(\"\"");
    for (int from = 0; from < text.length(); from += LITERAL_CHARS_MAX) {
      int to = Math.min(text.length(), from + LITERAL_CHARS_MAX);
      parts.append(", ").append(literal(text.substring(from, to)));
    }
    return parts.append(')').toString();
  }

  static String literal(String text) {
    StringBuilder result = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        result.append('\\').append(c);
      } else if (c >= ' ' && c < 0x7f) {
        result.append(c);
      } else if (c < 0x100) {
        result.append("\\%03o".formatted((int) c));
      } else {
        result.append("\\u%04x".formatted((int) c));
      }
    }
    return result.append('"').toString();
  }

  private String list(Type element, String side) {
    String inner = "<" + (element.kind() == Kind.VOID ? "" : name(element, side)) + ">";
    return switch (element.kind()) {
      case TEXT -> "org.capnproto.TextList." + side;
      case DATA -> "org.capnproto.DataList." + side;
      case ENUM -> "org.capnproto.EnumList." + side + inner;
      case STRUCT -> "org.capnproto.StructList." + side + inner;
      case LIST -> {
        if (element.element().kind().ordinal() >= Kind.INTERFACE.ordinal()) {
          throw new GeneratorException("a list of lists of capabilities cannot be had in Java");
        }
        yield "org.capnproto.ListList." + side + inner;
      }
      case INTERFACE, CAPABILITY -> "org.shipmate.rpc.CapabilityList." + side + inner;
      case ANY_POINTER ->
          throw new GeneratorException(
              "List(AnyPointer) cannot be had in Java: put the pointer into a struct");
      default -> "org.capnproto.PrimitiveList." + accessor(element.kind()) + "." + side;
    };
  }

  private String listFactory(Type element) {
    return switch (element.kind()) {
      case TEXT -> "org.capnproto.TextList.factory";
      case DATA -> "org.capnproto.DataList.factory";
      case ENUM, STRUCT -> names.full(element.id()) + ".listFactory";
      case LIST -> "new org.capnproto.ListList.Factory<>(" + listFactory(element.element()) + ")";
      case INTERFACE, CAPABILITY ->
          "new org.shipmate.rpc.CapabilityList.Factory<>(" + factory(element) + ")";
      case ANY_POINTER -> list(element, "");
      default -> "org.capnproto.PrimitiveList." + accessor(element.kind()) + ".factory";
    };
  }

  private boolean leadsToCapability(long struct, Set<Long> seen) {
    if (!seen.add(struct) || !(schema.node(struct).body() instanceof Schema.Struct body)) {
      return false;
    }
    for (Field field : body.fields()) {
      boolean leads =
          field.isGroup()
              ? leadsToCapability(field.group(), seen)
              : switch (field.type().kind()) {
                case INTERFACE, CAPABILITY, ANY_POINTER -> true;
                case STRUCT -> leadsToCapability(field.type().id(), seen);
                default -> false;
              };
      if (leads) {
        return true;
      }
    }
    return false;
  }
}
