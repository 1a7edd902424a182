package org.shipmate.generator;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.shipmate.generator.Schema.Comments;
import org.shipmate.generator.Schema.Field;
import org.shipmate.generator.Schema.Interface;
import org.shipmate.generator.Schema.Kind;
import org.shipmate.generator.Schema.Method;
import org.shipmate.generator.Schema.Node;
import org.shipmate.generator.Schema.Struct;

/** Writes the class of an interface: its typed client and what a server implements. */
final class InterfaceWriter {
  /** {@code StreamResult} of {@code /capnp/stream.capnp}, which {@code -> stream} stands for. */
  private static final long STREAM_RESULT = 0x995f9a3377c0b16eL;

  private final Schema schema;
  private final Names names;
  private final Types types;
  private final Code code;
  private final Node node;
  private final Interface body;

  InterfaceWriter(Schema schema, Names names, Types types, Code code, Node node) {
    this.schema = schema;
    this.names = names;
    this.types = types;
    this.code = code;
    this.node = node;
    this.body = (Interface) node.body();
  }

  /** Writes all but the closing brace, so that nested types may follow. */
  void write() {
    String name = names.simple(node.id());
    code.document(comments(node).node());
    code.add(
        """
        public static final class %s {
        /** Names the interface on the wire. */
        public static final long ID = 0x%sL;

        public static final org.shipmate.rpc.InterfaceFactory<Client> factory = new org.shipmate.rpc.InterfaceFactory<>(Client::new);

        private %s() {}

        /** Makes a server an object that can be called and given away. */
        public static Client serve(Server server) {
        return factory.serve(server);
        }
        """,
        name, Long.toHexString(node.id()), name);
    client();
    server();
    for (Method method : body.methods()) {
      ownStruct(method.params());
      ownStruct(method.results());
    }
  }

  /** The struct of a list of parameters or results is nobody's nested node. */
  private void ownStruct(long id) {
    Node struct = schema.node(id);
    if (struct.scope() == 0) {
      new StructWriter(schema, names, types, code, struct).write();
      code.add("}");
    }
  }

  private void client() {
    code.add(
        """

        /** Calls the methods of an object that may be anywhere. */
        public static final class Client extends org.shipmate.rpc.Client {
        Client(org.shipmate.rpc.Reference reference) {
        super(reference);
        }

        /** Another reference to the same object, to be closed on its own. */
        public Client copy() {
        return new Client(_copyReference());
        }
        """);
    for (Node owner : withSuperclasses()) {
      List<Method> methods = ((Interface) owner.body()).methods();
      for (int number = 0; number < methods.size(); number++) {
        clientMethod(owner, number, methods.get(number));
      }
    }
    code.add("}");
  }

  private void clientMethod(Node owner, int number, Method method) {
    Struct params = (Struct) schema.node(method.params()).body();
    String comment = comments(owner).member(number);
    if (params.fields().isEmpty()) {
      clientMethod(owner, number, method, comment, "", "params -> {}");
      return;
    }
    String builder = names.full(method.params()) + ".Builder";
    String consumer = "java.util.function.Consumer<%s> params".formatted(builder);
    clientMethod(owner, number, method, comment, consumer, "params");
    if (canBeListed(method, params)) {
      String setters =
          params.fields().stream()
              .filter(field -> field.type().kind() != Kind.VOID)
              .map(field -> setter(field))
              .collect(Collectors.joining(" ", "_params -> { ", " }"));
      clientMethod(owner, number, method, comment, parameters(params), setters);
    }
  }

  private void clientMethod(
      Node owner, int number, Method method, String comment, String parameters, String fill) {
    boolean stream = isStream(method);
    String results =
        ", %s.factory, %s::new"
            .formatted(names.full(method.results()), pipelineType(method.results()));
    code.add("").document(comment);
    code.add(
        "public %s %s(%s) {",
        stream ? "void" : callType(method), Names.method(method.name()), parameters);
    code.add(
        "%s(%s.ID, %d, %s.factory, %s%s);",
        stream ? "_stream" : "return _call",
        names.full(owner.id()),
        number,
        names.full(method.params()),
        fill,
        stream ? "" : results);
    code.add("}");
  }

  private static String setter(Field field) {
    return "_params.set%s(%s);"
        .formatted(Names.accessor(field.name()), Names.variable(field.name()));
  }

  private static boolean isStream(Method method) {
    return method.results() == STREAM_RESULT;
  }

  private String parameters(Struct params) {
    return params.fields().stream()
        .filter(field -> field.type().kind() != Kind.VOID)
        .map(field -> parameterType(field) + " " + Names.variable(field.name()))
        .collect(Collectors.joining(", "));
  }

  private String parameterType(Field field) {
    return switch (field.type().kind()) {
      case TEXT -> "String";
      case DATA -> "byte[]";
      default -> types.name(field.type(), "Reader");
    };
  }

  /**
   * Whether a method can have its parameters one by one: they were declared so, and none is a
   * union's.
   */
  private boolean canBeListed(Method method, Struct params) {
    return schema.node(method.params()).scope() == 0
        && !params.hasUnion()
        && params.fields().stream().noneMatch(Field::isGroup);
  }

  private String callType(Method method) {
    return "org.shipmate.rpc.Call<%s.Reader, %s>"
        .formatted(names.full(method.results()), pipelineType(method.results()));
  }

  private String pipelineType(long results) {
    return types.leadsToCapability(results)
        ? names.full(results) + ".Pipeline"
        : "org.shipmate.rpc.Pipeline";
  }

  /**
   * What a server implements. Where there is one method it is abstract, so that a lambda can be a
   * server; where there are several, one that is left out answers that it is not implemented.
   */
  private void server() {
    String parents =
        body.superclasses().isEmpty()
            ? "org.shipmate.rpc.Server"
            : parents().stream()
                .map(id -> names.full(id) + ".Server")
                .collect(Collectors.joining(", "));
    boolean single = body.methods().size() == 1 && body.superclasses().isEmpty();
    code.add("\n/** An object that is called by others. */");
    code.add(
        "%spublic interface Server extends %s {", single ? "@FunctionalInterface\n" : "", parents);
    for (int number = 0; number < body.methods().size(); number++) {
      Method method = body.methods().get(number);
      code.add("").document(comments(node).member(number));
      String signature =
          "void %s(%s call) throws java.lang.Exception"
              .formatted(Names.method(method.name()), invocationType(method));
      if (single) {
        code.add("%s;", signature);
      } else {
        code.add("default %s {", signature);
        code.add("throw org.shipmate.rpc.Invocation.unimplemented(\"%s\");\n}", method.name());
      }
    }
    dispatch();
    code.add("}");
  }

  /** What it extends, without those that another of them extends too. */
  private List<Long> parents() {
    return body.superclasses().stream()
        .filter(
            id ->
                body.superclasses().stream()
                    .noneMatch(other -> !other.equals(id) && extendsToo(schema.node(other), id)))
        .toList();
  }

  private boolean extendsToo(Node node, long id) {
    return ((Interface) node.body())
        .superclasses().stream()
            .anyMatch(parent -> parent == id || extendsToo(schema.node(parent), id));
  }

  private void dispatch() {
    code.add(
        """

        @Override
        default boolean dispatch(long interfaceId, int method, org.shipmate.rpc.Incoming call) throws java.lang.Exception {
        if (interfaceId != ID) {
        """);
    List<String> parents =
        parents().stream()
            .map(id -> names.full(id) + ".Server.super.dispatch(interfaceId, method, call)")
            .toList();
    code.add("return %s;\n}", parents.isEmpty() ? "false" : String.join(" || ", parents));
    code.add("switch (method) {");
    for (int number = 0; number < body.methods().size(); number++) {
      Method method = body.methods().get(number);
      code.add(
          "case %d -> {\n%s(call.as(%s.factory, %s.factory));\nreturn true;\n}",
          number, Names.method(method.name()), names.full(method.params()), resultsName(method));
    }
    code.add("default -> {\nreturn false;\n}\n}\n}");
  }

  private String invocationType(Method method) {
    return "org.shipmate.rpc.Invocation<%s.Reader, %s.Builder>"
        .formatted(names.full(method.params()), resultsName(method));
  }

  private String resultsName(Method method) {
    return isStream(method) ? "org.shipmate.rpc.Empty" : names.full(method.results());
  }

  /** The interface and all that it extends, each once. */
  private List<Node> withSuperclasses() {
    Map<Long, Node> result = new LinkedHashMap<>();
    collect(node, result);
    return new ArrayList<>(result.values());
  }

  private void collect(Node current, Map<Long, Node> into) {
    if (into.putIfAbsent(current.id(), current) == null) {
      for (long superclass : ((Interface) current.body()).superclasses()) {
        collect(schema.node(superclass), into);
      }
    }
  }

  private Comments comments(Node of) {
    return schema.comments().getOrDefault(of.id(), Comments.NONE);
  }
}
