package org.shipmate.samples;

import java.time.Duration;
import org.shipmate.Shipmate;
import org.shipmate.ShipmateException;
import org.shipmate.rpc.Connection;
import org.shipmate.schema.ArithSchema.Arith;
import org.shipmate.schema.ArithSchema.Division;
import org.shipmate.schema.ArithSchema.Product;

/** {@code arith ADDRESS multiply|divide A B}: a call with a deadline, whose errors are values. */
public final class ArithSample {
  private static final Duration ALLOWED = Duration.ofSeconds(5);

  private ArithSample() {}

  public static void main(String[] arguments) {
    if (arguments.length != 4) {
      System.err.println("usage: arith ADDRESS multiply|divide A B");
      System.exit(2);
    }
    long a = Long.parseLong(arguments[2]);
    long b = Long.parseLong(arguments[3]);
    try (Connection connection = Shipmate.connect(arguments[0])) {
      Arith.Client arith = connection.bootstrap(Arith.factory);
      System.out.println(
          arguments[1].equals("multiply") ? multiply(arith, a, b) : divide(arith, a, b));
    } catch (ShipmateException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  private static String multiply(Arith.Client arith, long a, long b) {
    Product.Reader product = arith.multiply(a, b).within(ALLOWED).get().getProduct();
    return switch (product.which()) {
      case VALUE -> Long.toString(product.getValue());
      case ERROR -> "it cannot be done: " + product.getError();
      case _NOT_IN_SCHEMA -> "an answer that this program is too old for";
    };
  }

  private static String divide(Arith.Client arith, long a, long b) {
    Division.Reader division = arith.divide(a, b).within(ALLOWED).get().getDivision();
    return switch (division.which()) {
      case VALUE ->
          division.getValue().getQuotient() + " remainder " + division.getValue().getRemainder();
      case ERROR -> "it cannot be done: " + division.getError();
      case _NOT_IN_SCHEMA -> "an answer that this program is too old for";
    };
  }
}
