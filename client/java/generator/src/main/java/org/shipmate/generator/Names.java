package org.shipmate.generator;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.shipmate.generator.Schema.Node;

/** How the things of a schema are called in Java. */
final class Names {
  /** The annotations of {@code java.capnp}, which capnproto-java's own compiler asks for. */
  private static final long PACKAGE_ANNOTATION = 0x9ee4c8f803b3b596L;

  private static final long OUTER_CLASSNAME_ANNOTATION = 0x9b066bb4881f7cd3L;

  private static final Set<String> KEYWORDS =
      Set.of(
          "abstract",
          "assert",
          "boolean",
          "break",
          "byte",
          "case",
          "catch",
          "char",
          "class",
          "const",
          "continue",
          "default",
          "do",
          "double",
          "else",
          "enum",
          "extends",
          "false",
          "final",
          "finally",
          "float",
          "for",
          "goto",
          "if",
          "implements",
          "import",
          "instanceof",
          "int",
          "interface",
          "long",
          "native",
          "new",
          "null",
          "package",
          "private",
          "protected",
          "public",
          "return",
          "short",
          "static",
          "strictfp",
          "super",
          "switch",
          "synchronized",
          "this",
          "throw",
          "throws",
          "transient",
          "true",
          "try",
          "void",
          "volatile",
          "while");

  /** Methods that a generated client has from elsewhere. */
  private static final Set<String> TAKEN =
      Set.of(
          "as",
          "clone",
          "close",
          "copy",
          "dispatch",
          "equals",
          "finalize",
          "getClass",
          "hashCode",
          "notify",
          "notifyAll",
          "released",
          "toString",
          "wait");

  /** Classes inside of each generated one. */
  private static final Set<String> INNER =
      Set.of("Builder", "Client", "Factory", "Pipeline", "Reader", "Server", "Which");

  private final Schema schema;
  private final String defaultPackage;
  private final Map<String, String> outerNames;
  private final Map<Long, String> fullNames = new HashMap<>();

  /** {@code outerNames} gives the outer classes of some files, by the files' names. */
  Names(Schema schema, String defaultPackage, Map<String, String> outerNames) {
    this.schema = schema;
    this.defaultPackage = defaultPackage;
    this.outerNames = outerNames;
    for (Node node : schema.nodes().values()) {
      if (node.body() instanceof Schema.Interface body) {
        nameMethodStructs(node, body);
      }
    }
  }

  String packageOf(Node file) {
    String annotated = annotation(file, PACKAGE_ANNOTATION);
    return annotated != null ? annotated : defaultPackage;
  }

  /** The class that holds all of a file: as annotated, as asked for, or {@code ThingSchema}. */
  String outerClass(Node file) {
    String base = file.displayName().substring(file.displayName().lastIndexOf('/') + 1);
    String asked = outerNames.get(base);
    if (asked != null) {
      return asked;
    }
    String annotated = annotation(file, OUTER_CLASSNAME_ANNOTATION);
    return annotated != null ? annotated : camel(base.replaceFirst("\\.capnp$", "")) + "Schema";
  }

  /** A class's name with its package and all that surrounds it. */
  String full(long id) {
    String known = fullNames.get(id);
    if (known == null) {
      known = fullName(schema.node(id));
      fullNames.put(id, known);
    }
    return known;
  }

  /** A class's name alone. */
  String simple(long id) {
    String full = full(id);
    return full.substring(full.lastIndexOf('.') + 1);
  }

  /** As in {@code Thing}. */
  static String title(String name) {
    return Character.toUpperCase(name.charAt(0)) + name.substring(1);
  }

  /** A field in its methods' names, as in {@code getThing}; {@code getClass} is Java's. */
  static String accessor(String field) {
    return field.equals("class") ? "Class_" : title(field);
  }

  /** As in {@code SOME_THING}. */
  static String constant(String name) {
    return name.replaceAll("([a-z0-9])([A-Z])", "$1_$2").toUpperCase(java.util.Locale.ROOT);
  }

  /** A variable's name. */
  static String variable(String name) {
    return KEYWORDS.contains(name) ? name + "_" : name;
  }

  /** The name of an interface's method. */
  static String method(String name) {
    return KEYWORDS.contains(name) || TAKEN.contains(name) ? name + "_" : name;
  }

  private String fullName(Node node) {
    if (node.scope() == 0) {
      return packageOf(node) + "." + outerClass(node);
    }
    Node scope = schema.node(node.scope());
    String around = full(scope.id());
    String name =
        scope.nested().stream()
            .filter(nested -> nested.id() == node.id())
            .map(nested -> nested.name())
            .findFirst()
            // A group is no nested node; its name ends the display name.
            .orElse(node.displayName().replaceFirst(".*[.:]", ""));
    name = title(name);
    boolean clash = INNER.contains(name) || (around + ".").contains("." + name + ".");
    return around + "." + (clash ? name + "_" : name);
  }

  /**
   * The structs that a method's own list of parameters or results makes belong to its interface.
   */
  private void nameMethodStructs(Node node, Schema.Interface body) {
    for (Schema.Method method : body.methods()) {
      nameMethodStruct(node, method.params(), title(method.name()) + "Params");
      nameMethodStruct(node, method.results(), title(method.name()) + "Results");
    }
  }

  private void nameMethodStruct(Node node, long struct, String name) {
    if (schema.node(struct).scope() == 0) {
      boolean clash = node.nested().stream().anyMatch(nested -> nested.name().equals(name));
      fullNames.put(struct, full(node.id()) + "." + (clash ? name + "_" : name));
    }
  }

  private static String annotation(Node file, long id) {
    return file.annotations().stream()
        .filter(annotation -> annotation.id() == id)
        .map(annotation -> annotation.text())
        .findFirst()
        .orElse(null);
  }

  /** {@code some-thing} and {@code some_thing} as {@code SomeThing}. */
  private static String camel(String name) {
    StringBuilder result = new StringBuilder();
    for (String part : name.split("[^A-Za-z0-9]+")) {
      if (!part.isEmpty()) {
        result.append(title(part));
      }
    }
    return result.toString();
  }
}
