package org.shipmate.conformance;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.shipmate.Shipmate;
import org.shipmate.ShipmateException;
import org.shipmate.rpc.Connection;
import org.shipmate.schema.ConformanceSchema;

/**
 * The program {@code conformance ADDRESS [--restart]}: every feature that a client in any language
 * must have, tried at a real server. A line says how each step went. It ends with 0, with 1 when a
 * step failed, and with 2 when there was no connection.
 */
public final class Conformance {
  /** The longest that a step may take: a limit for hanging, not for being slow. */
  private static final long STEP_SECONDS_MAX = 60;

  /** What a step does with the server; it throws what is wrong. */
  interface Take {
    void with(ConformanceSchema.Conformance.Client server) throws Exception;
  }

  record Step(String name, Take take) {}

  static final List<Step> STEPS =
      List.of(
          new Step("primitives", Values::primitives),
          new Step("text", Values::text),
          new Step("data", Values::data),
          new Step("lists", Values::lists),
          new Step("unions", Values::unions),
          new Step("defaults", Values::defaults),
          new Step("future-enum", Evolution::futureEnum),
          new Step("evolution", Evolution::evolution),
          new Step("multi-segment", Sizes::multiSegment),
          new Step("large", Sizes::large),
          new Step("capability", Capabilities::capability),
          new Step("identity", Capabilities::identity),
          new Step("callback", Capabilities::callback),
          new Step("reentrant", Capabilities::reentrant),
          new Step("pipelining", Capabilities::pipelining),
          new Step("out-of-order", Capabilities::outOfOrder),
          new Step("stream-up", Streams::up),
          new Step("stream-down", Streams::down),
          new Step("cancel", Failures::cancel),
          new Step("typed-error", Failures::typedError),
          new Step("error-kinds", Failures::errorKinds),
          new Step("deadline", Failures::deadline),
          new Step("many", Failures::many));

  private Conformance() {}

  public static void main(String[] arguments) {
    List<String> rest = new ArrayList<>(List.of(arguments));
    boolean restart = rest.remove("--restart");
    if (rest.size() != 1 || rest.get(0).startsWith("-")) {
      System.err.println("usage: conformance ADDRESS [--restart]");
      System.exit(2);
    }
    System.exit(run(rest.get(0), restart));
  }

  private static int run(String address, boolean restart) {
    boolean passed = true;
    try (Connection connection = Shipmate.connect(address)) {
      var server = connection.bootstrap(ConformanceSchema.Conformance.factory);
      for (Step step : STEPS) {
        passed &= report(step.name, () -> step.take.with(server));
      }
    } catch (ShipmateException e) {
      System.err.println(e.getMessage());
      return 2;
    }
    if (restart) {
      passed &= report("restart", () -> Restart.restart(address));
    }
    return passed ? 0 : 1;
  }

  private interface Action {
    void run() throws Exception;
  }

  private static boolean report(String name, Action step) {
    Callable<Void> call =
        () -> {
          step.run();
          return null;
        };
    FutureTask<Void> task = new FutureTask<>(call);
    Thread thread = new Thread(task, name);
    thread.setDaemon(true);
    thread.start();
    String wrong;
    try {
      task.get(STEP_SECONDS_MAX, TimeUnit.SECONDS);
      System.out.println("ok " + name);
      return true;
    } catch (ExecutionException e) {
      wrong = e.getCause().toString();
    } catch (TimeoutException | InterruptedException e) {
      wrong = "not done within " + STEP_SECONDS_MAX + " s";
    }
    System.out.println("FAILED " + name + ": " + wrong.replace('\n', ' '));
    return false;
  }
}
