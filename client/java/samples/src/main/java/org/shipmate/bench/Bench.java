package org.shipmate.bench;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Stream;
import org.shipmate.Shipmate;
import org.shipmate.rpc.Call;
import org.shipmate.schema.ArithSchema.Arith;

/**
 * Measures calls of {@code Arith.multiply} and prints a line of JSON: {@code bench shipmate ADDRESS
 * CALLS}. {@code cargo xtask clients-bench} runs it.
 */
public final class Bench {
  /** So many calls are in flight at once where calls per second are counted. */
  private static final int IN_FLIGHT = 32;

  private Bench() {}

  public static void main(String[] arguments) {
    int calls = Integer.parseInt(arguments[2]);
    try (var connection = Shipmate.connect(arguments[1])) {
      var arith = connection.bootstrap(Arith.factory);
      // The compiler of the virtual machine needs more calls than others until it is done.
      for (int count = 0; count < calls; count++) {
        check(arith.multiply(6, 7));
      }
      double[] micros = new double[calls];
      for (int count = 0; count < calls; count++) {
        long before = System.nanoTime();
        check(arith.multiply(6, 7));
        micros[count] = (System.nanoTime() - before) / 1e3;
      }
      Arrays.sort(micros);

      int batches = calls / IN_FLIGHT;
      long before = System.nanoTime();
      for (int batch = 0; batch < batches; batch++) {
        Stream.generate(() -> arith.multiply(6, 7)).limit(IN_FLIGHT).toList().forEach(Bench::check);
      }
      double seconds = (System.nanoTime() - before) / 1e9;
      System.out.printf(
          Locale.ROOT,
          "{\"which\": \"%s\", \"p50_us\": %.2f, \"calls_per_s\": %.0f}%n",
          arguments[0],
          micros[calls / 2],
          batches * IN_FLIGHT / seconds);
    }
  }

  private static void check(Call<Arith.MultiplyResults.Reader, ?> call) {
    if (call.get().getProduct().getValue() != 42) {
      throw new AssertionError("6 * 7 is not 42");
    }
  }
}
