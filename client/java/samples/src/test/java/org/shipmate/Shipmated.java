package org.shipmate;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A real server, in a process of its own. */
final class Shipmated implements AutoCloseable {
  private static final String LISTENING = "shipmated: listening at ";

  private final Process process;
  private final List<String> addresses = new ArrayList<>();

  private Shipmated(Process process) {
    this.process = process;
  }

  /** Starts it, with {@code ADDRESS=SERVICE}, and waits until it is ready. */
  static Shipmated start(String... listeners) throws IOException {
    List<String> command = new ArrayList<>(List.of(program("shipmated").toString()));
    for (String listener : listeners) {
      command.addAll(List.of("--listen", listener));
    }
    var server =
        new Shipmated(
            new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .redirectInput(ProcessBuilder.Redirect.PIPE)
                .start());
    BufferedReader output = server.process.inputReader();
    for (String line = output.readLine(); line != null; line = output.readLine()) {
      if (line.equals("shipmated: ready")) {
        return server;
      }
      if (line.startsWith(LISTENING)) {
        server.addresses.add(line.substring(LISTENING.length()).replaceFirst(" .*", ""));
      }
    }
    throw new IOException("shipmated has ended: " + command);
  }

  /** Where it listens, with the port that the system chose. */
  String address() {
    return addresses.get(0);
  }

  /** Kills it as {@code kill -9} does. */
  void kill() {
    process.destroyForcibly().onExit().join();
  }

  @Override
  public void close() {
    kill();
  }

  /** One of the repository's programs, built when it is missing. */
  static synchronized Path program(String name) throws IOException {
    String named = System.getenv("SHIPMATED");
    Path built =
        named != null
            ? Path.of(named).resolveSibling(name)
            : Path.of("../../../target/debug").toAbsolutePath().normalize().resolve(name);
    if (!Files.isExecutable(built)) {
      build();
    }
    return built;
  }

  private static void build() throws IOException {
    try {
      int exit =
          new ProcessBuilder("cargo", "build", "--quiet", "--bins")
              .directory(Path.of("../../..").toFile())
              .inheritIO()
              .start()
              .waitFor();
      if (exit != 0) {
        throw new IOException("cargo build has failed");
      }
    } catch (InterruptedException e) {
      throw new IOException("interrupted", e);
    }
  }
}
