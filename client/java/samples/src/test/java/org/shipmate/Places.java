package org.shipmate;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;

/** Addresses to test at. */
final class Places {
  private Places() {}

  /** One of this transport, with its file in the folder. */
  static String of(String transport, Path folder) {
    return switch (transport) {
      case "tcp" -> "tcp:127.0.0.1:0";
      case "unix" -> "unix:" + folder.resolve("m");
      case "abstract" -> {
        needLibrary();
        yield "unix:@" + folder;
      }
      default -> {
        needLibrary();
        yield transport + ":" + folder.resolve("m");
      }
    };
  }

  /** Leaves the test out where there is no {@code libshipmate}. */
  static void needLibrary() {
    assumeTrue(System.getenv("SHIPMATE_LIBRARY") != null, "without libshipmate");
  }
}
