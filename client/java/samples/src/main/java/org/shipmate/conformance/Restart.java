package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.error;
import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.shipmate.Connector;
import org.shipmate.DisconnectedException;
import org.shipmate.Reconnect;
import org.shipmate.schema.ConformanceSchema.Conformance;

/** A server that is killed and started again. */
final class Restart {
  private Restart() {}

  static void restart(String address) throws IOException, InterruptedException {
    try (Connector connector = new Connector(address, Reconnect.backOff(20))) {
      Conformance.Client server = connector.bootstrap(Conformance.factory);
      var inFlight = server.hang();
      Failures.untilHanging(server, new Failures.Hanging(1, 0));

      System.out.println("restart now");
      var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
      isTrue("a line on standard input", input.readLine() != null);

      error("the call in flight", DisconnectedException.class, inFlight::get);
      error("the next call", DisconnectedException.class, () -> readNewCounter(server));

      Conformance.Client again = connector.bootstrap(Conformance.factory);
      is("a call of a new connection", readNewCounter(again), 5L);
    }
  }

  private static long readNewCounter(Conformance.Client server) {
    return server.newCounter(5).pipeline().getCounter().read().get().getValue();
  }
}
