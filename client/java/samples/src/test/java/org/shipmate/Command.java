package org.shipmate;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The program {@code shipmate}, in a process that ends with this. */
final class Command implements AutoCloseable {
  private static final Pattern LISTENING =
      Pattern.compile("shipmate: (?:listening|publishing) at (.*)");

  private final Process process;
  private final BufferedReader lines;
  private final Writer input;
  private final String address;

  private Command(Process process, String address) {
    this.process = process;
    this.address = address;
    this.lines = process.inputReader();
    this.input = process.outputWriter();
  }

  static Command start(String... arguments) throws IOException {
    return new Command(run(arguments), null);
  }

  /** Starts one that listens, and waits until it does; senders to a pipe wait for it themselves. */
  static Command listening(String command, String place, String... options) throws IOException {
    List<String> arguments = new ArrayList<>(List.of(command, place));
    arguments.addAll(List.of(options));
    Process process = run(arguments.toArray(String[]::new));
    if (place.startsWith("pipe:")) {
      return new Command(process, place);
    }
    String line = process.errorReader().readLine();
    Matcher said = LISTENING.matcher(String.valueOf(line));
    if (!said.matches()) {
      process.destroyForcibly();
      throw new IOException(command + " does not listen: " + line);
    }
    return new Command(process, said.group(1));
  }

  private static Process run(String... arguments) throws IOException {
    String[] command = new String[arguments.length + 1];
    command[0] = Shipmated.program("shipmate").toString();
    System.arraycopy(arguments, 0, command, 1, arguments.length);
    return new ProcessBuilder(command).start();
  }

  /** Where it listens, with the port that the system chose. */
  String address() {
    return address;
  }

  /** The next line that it prints; null at the end. */
  String line() throws IOException {
    return lines.readLine();
  }

  /** Gives it a line to read. */
  void give(String line) throws IOException {
    input.append(line).append('\n').flush();
  }

  /** Ends what it reads, and gives its exit code. */
  int finish() throws IOException, InterruptedException {
    input.close();
    return exit();
  }

  /** Its exit code, when it has ended. */
  int exit() throws InterruptedException {
    return process.waitFor();
  }

  /** Kills it as {@code kill -9} does. */
  void kill() {
    process.destroyForcibly().onExit().join();
  }

  @Override
  public void close() {
    kill();
  }
}
