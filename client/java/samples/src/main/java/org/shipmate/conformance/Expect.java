package org.shipmate.conformance;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** Compares what was seen with what was expected. */
final class Expect {
  private Expect() {}

  static void is(String what, Object seen, Object expected) {
    if (!Objects.equals(seen, expected)) {
      throw new AssertionError(what + ": expected " + expected + " and saw " + seen);
    }
  }

  /** The same for bytes that are too many to be shown. */
  static void isSame(String what, byte[] seen, byte[] expected) {
    is("the length of " + what, seen.length, expected.length);
    int at = Arrays.mismatch(seen, expected);
    if (at >= 0) {
      is("byte " + at + " of " + what, seen[at], expected[at]);
    }
  }

  static void isSame(String what, List<?> seen, List<?> expected) {
    is("the length of " + what, seen.size(), expected.size());
    for (int i = 0; i < expected.size(); i++) {
      is("element " + i + " of " + what, seen.get(i), expected.get(i));
    }
  }

  static void isTrue(String what, boolean seen) {
    is(what, seen, true);
  }

  /** Does what should fail with such an error, and gives it. */
  static <E extends RuntimeException> E error(String what, Class<E> expected, Runnable action) {
    try {
      action.run();
    } catch (RuntimeException e) {
      if (expected.isInstance(e)) {
        return expected.cast(e);
      }
      throw new AssertionError(
          what + ": expected " + expected.getSimpleName() + " and saw " + e, e);
    }
    throw new AssertionError(
        what + ": expected " + expected.getSimpleName() + ", and it succeeded");
  }
}
