package greeter;

import greeter.GreeterSchema.Greeter;
import java.time.Duration;
import org.shipmate.Shipmate;
import org.shipmate.ShipmateException;
import org.shipmate.UnreachableException;

/** A client: {@code mvn compile exec:java -Dexec.args=ADDRESS}. */
public final class Client {
  private static final Duration ALLOWED = Duration.ofSeconds(5);

  private Client() {}

  public static void main(String[] arguments) {
    if (arguments.length != 1) {
      System.err.println("usage: Client ADDRESS");
      System.exit(2);
    }
    try {
      System.out.println(greet(arguments[0], "Java"));
    } catch (UnreachableException e) {
      System.err.println("client: start the server first: " + e.getMessage());
      System.exit(1);
    } catch (ShipmateException e) {
      System.err.println("client: " + e.getMessage());
      System.exit(1);
    }
  }

  /** Asks the server at the address for a greeting. */
  static String greet(String address, String name) {
    try (var connection = Shipmate.connect(address)) {
      var greeter = connection.bootstrap(Greeter.factory);
      return greeter.greet(name).within(ALLOWED).get().getGreeting().toString();
    }
  }
}
