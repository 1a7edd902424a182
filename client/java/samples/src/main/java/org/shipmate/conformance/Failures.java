package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.error;
import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.shipmate.DeadlineException;
import org.shipmate.DisconnectedException;
import org.shipmate.ServiceException;
import org.shipmate.rpc.Call;
import org.shipmate.schema.ConformanceSchema.Conformance;
import org.shipmate.schema.ConformanceSchema.ErrorKind;

/** Calls that are given up, that fail, and that are many. */
final class Failures {
  private Failures() {}

  /** A call that is cancelled ends at the server too, and no other does. */
  static void cancel(Conformance.Client server) throws InterruptedException {
    Hanging before = hanging(server);
    var one = server.hang();
    var other = server.hang();
    untilHanging(server, before.plus(2, 0));
    one.cancel();
    untilHanging(server, before.plus(1, 1));
    other.future().cancel(true);
    untilHanging(server, before.plus(0, 2));
  }

  /** How many calls of {@code hang} wait, and how many were cancelled. */
  record Hanging(int waiting, int cancelled) {
    Hanging plus(int waiting, int cancelled) {
      return new Hanging(this.waiting + waiting, this.cancelled + cancelled);
    }
  }

  static Hanging hanging(Conformance.Client server) {
    var counts = server.hanging().get();
    return new Hanging(counts.getWaiting(), counts.getCancelled());
  }

  /** Asks until the counts are as expected; the time allowed for a step ends it. */
  static void untilHanging(Conformance.Client server, Hanging expected)
      throws InterruptedException {
    for (Hanging seen = hanging(server); !seen.equals(expected); seen = hanging(server)) {
      isTrue("expected " + expected + " and saw " + seen, seen.cancelled <= expected.cancelled);
      Thread.sleep(2);
    }
  }

  /** Errors of the application are values. */
  static void typedError(Conformance.Client server) {
    for (int code : new int[] {0, 1, 65_535}) {
      var outcome = server.refuse((short) code).get().getOutcome();
      is("whether it is refused", outcome.isError(), code != 0);
      if (outcome.isError()) {
        is("the code", Short.toUnsignedInt(outcome.getError().getCode()), code);
      }
    }
  }

  /** Exceptions keep their kind, and their reason word for word. */
  static void errorKinds(Conformance.Client server) {
    for (ServiceException.Kind kind : ServiceException.Kind.values()) {
      String reason = "the reason for " + kind;
      var call = server.fail(ErrorKind.valueOf(kind.name()), reason);
      ServiceException seen = error("the call", ServiceException.class, call::get);
      is("the kind", seen.kind(), kind);
      is("the reason", seen.reason(), reason);
      goesOn(server);
    }
    var call = server.fail(ErrorKind.DISCONNECTED, "it is gone");
    var seen = error("the call", DisconnectedException.class, call::get);
    is("the reason", seen.getMessage(), "it is gone");
    goesOn(server);
  }

  static void deadline(Conformance.Client server) {
    is("the delay", server.delay(20).within(Duration.ofSeconds(30)).get().getMillis(), 20);
    var late = server.delay(60_000).within(Duration.ofMillis(50));
    error("a call that takes too long", DeadlineException.class, late::get);
    goesOn(server);
  }

  /** A call that has failed costs nothing but itself. */
  private static void goesOn(Conformance.Client server) {
    is("the next call", server.text("still there").get().getValue().toString(), "still there");
  }

  static void many(Conformance.Client server) {
    List<Call<Conformance.TextResults.Reader, ?>> calls = new ArrayList<>();
    for (int i = 0; i < 1_000; i++) {
      calls.add(server.text("call " + i));
    }
    for (int i = 0; i < calls.size(); i++) {
      is("the answer", calls.get(i).get().getValue().toString(), "call " + i);
    }
  }
}
