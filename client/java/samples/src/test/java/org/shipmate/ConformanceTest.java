package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.shipmate.conformance.Conformance;

/** The program {@code conformance}, with a server that is really killed and started again. */
@Timeout(300)
final class ConformanceTest {
  @TempDir Path folder;

  @Test
  void tcp() throws Exception {
    passes("tcp:127.0.0.1:0");
  }

  @Test
  void unix() throws Exception {
    passes("unix:" + folder.resolve("c.sock"));
  }

  @Test
  void abstractUnix() throws Exception {
    passes("unix:@shipmate-java-" + UUID.randomUUID());
  }

  @Test
  void pipe() throws Exception {
    assumeTrue(System.getenv("SHIPMATE_LIBRARY") != null, "without libshipmate");
    passes("pipe:" + folder.resolve("c.pipe"));
  }

  @Test
  void sharedMemory() throws Exception {
    assumeTrue(System.getenv("SHIPMATE_LIBRARY") != null, "without libshipmate");
    passes("shm:" + folder.resolve("c.shm"));
  }

  @Test
  void endsWith2WithoutAServer() throws Exception {
    Process process = start("unix:" + folder.resolve("nobody.sock"));
    assertEquals(2, process.waitFor());
  }

  private void passes(String listen) throws Exception {
    Process process = null;
    Shipmated server = Shipmated.start(listen + "=conformance");
    try {
      String address = server.address();
      process = start(address, "--restart");
      List<String> lines = new ArrayList<>();
      BufferedReader output = process.inputReader();
      for (String line = output.readLine(); line != null; line = output.readLine()) {
        if (!line.equals("restart now")) {
          lines.add(line);
          continue;
        }
        server.kill();
        server = Shipmated.start(address + "=conformance");
        process.getOutputStream().write('\n');
        process.getOutputStream().flush();
      }
      assertEquals(contract(), lines);
      assertEquals(0, process.waitFor());
    } finally {
      server.close();
      if (process != null) {
        process.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
      }
    }
  }

  private static Process start(String... arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-ea", "-cp", System.getProperty("java.class.path")));
    command.add(Conformance.class.getName());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }

  /** What must be printed: the steps of the contract that all languages share, in its order. */
  private static List<String> contract() throws IOException {
    String text = Files.readString(Path.of("../../README.md"));
    return text.substring(text.indexOf("| step |"))
        .lines()
        .takeWhile(line -> line.startsWith("|"))
        .filter(line -> line.startsWith("| `"))
        .map(line -> "ok " + line.split("`")[1])
        .toList();
  }
}
