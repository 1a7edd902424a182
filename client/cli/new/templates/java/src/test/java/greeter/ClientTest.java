package greeter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.shipmate.UnreachableException;

/** Calls to the server at {@code $ADDRESS}: {@code ../test} starts one and runs this. */
class ClientTest {
  @Test
  void theServerGreetsByName() {
    var address = System.getenv("ADDRESS");
    assertNotNull(address, "ADDRESS says where the server is");
    assertEquals("Hello, Ada!", Client.greet(address, "Ada"));
  }

  @Test
  void withoutAServerTheErrorSaysSo() {
    assertThrows(
        UnreachableException.class, () -> Client.greet("unix:/nowhere/greeter.sock", "Ada"));
  }
}
