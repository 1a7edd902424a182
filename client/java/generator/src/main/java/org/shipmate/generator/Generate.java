package org.shipmate.generator;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.shipmate.generator.Schema.Node;
import org.shipmate.generator.Schema.RequestedFile;

/** The program: Java classes from Cap'n Proto schemas. */
public final class Generate {
  private static final String USAGE =
      """
      usage: java -jar shipmate-generator.jar --package NAME [OPTION]... SCHEMA.capnp...

      Writes a Java class for each schema file. Needs the `capnp` tool (on Debian: capnproto, and
      libcapnp-dev for `-> stream`).

        --package NAME      the package of schemas that have no $Java.package
        --out FOLDER        where to write, default "."
        --outer FILE=CLASS  the class that holds all of a file; else $Java.outerClassname, else
                            TheFileSchema for the-file.capnp
        -I FOLDER           where `import "/..."` looks, besides the system's folders
        -                   instead of schemas: read a CodeGeneratorRequest from standard input, as
                            a plugin of `capnp compile` does
      """;

  private String javaPackage;
  private Path out = Path.of(".");
  private final Map<String, String> outerNames = new HashMap<>();
  private final List<String> compilerOptions = new ArrayList<>();
  private final List<String> inputs = new ArrayList<>();

  private Generate() {}

  /** Ends with 0, with 1 when code cannot be generated, or with 2 for wrong arguments. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    Generate program = new Generate();
    if (!program.parse(arguments)) {
      System.err.print(USAGE);
      System.exit(2);
    }
    try {
      program.run();
    } catch (GeneratorException e) {
      System.err.println("shipmate-generator: " + e.getMessage());
      System.exit(1);
    }
  }

  private boolean parse(String[] arguments) {
    for (int i = 0; i < arguments.length; i++) {
      String argument = arguments[i];
      boolean takesValue = List.of("--package", "--out", "--outer", "-I").contains(argument);
      if (takesValue && ++i == arguments.length) {
        return false;
      }
      switch (argument) {
        case "--package" -> javaPackage = arguments[i];
        case "--out" -> out = Path.of(arguments[i]);
        case "-I" -> compilerOptions.add("-I" + arguments[i]);
        case "--outer" -> {
          String[] pair = arguments[i].split("=", 2);
          if (pair.length != 2) {
            return false;
          }
          outerNames.put(pair[0], pair[1]);
        }
        default -> {
          if (argument.startsWith("-") && !argument.equals("-")) {
            return false;
          }
          inputs.add(argument);
        }
      }
    }
    return javaPackage != null && !inputs.isEmpty();
  }

  private void run() throws IOException, InterruptedException {
    byte[] request = inputs.equals(List.of("-")) ? System.in.readAllBytes() : compile();
    Schema schema = Schema.read(request);
    Names names = new Names(schema, javaPackage, outerNames);
    for (RequestedFile requested : schema.files()) {
      Node file = schema.node(requested.id());
      Path folder = out.resolve(names.packageOf(file).replace('.', '/'));
      Files.createDirectories(folder);
      Path path = folder.resolve(names.outerClass(file) + ".java");
      Files.writeString(path, new FileWriter(schema, names).write(file));
    }
  }

  private byte[] compile() throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("capnp", "compile", "-o-"));
    command.addAll(compilerOptions);
    command.addAll(inputs);
    Process process;
    try {
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    } catch (IOException e) {
      throw new GeneratorException(
          "the capnp tool is missing (on Debian: apt-get install capnproto libcapnp-dev)");
    }
    byte[] request = process.getInputStream().readAllBytes();
    if (process.waitFor() != 0) {
      throw new GeneratorException("capnp compile has refused the schemas, see above");
    }
    return request;
  }
}
