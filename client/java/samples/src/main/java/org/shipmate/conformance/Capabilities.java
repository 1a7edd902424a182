package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.LongStream;
import org.shipmate.rpc.Invocation;
import org.shipmate.schema.ConformanceSchema.Callback;
import org.shipmate.schema.ConformanceSchema.Conformance;
import org.shipmate.schema.ConformanceSchema.Counter;
import org.shipmate.schema.ConformanceSchema.Node;
import org.shipmate.schema.ConformanceSchema.Reentrant;

/** References to objects, of the server and of this program. */
final class Capabilities {
  private Capabilities() {}

  static void capability(Conformance.Client server) {
    try (Counter.Client one = server.newCounter(10).get().getCounter();
        Counter.Client other = server.newCounter(100).get().getCounter()) {
      is("10 + 5", one.add(5).get().getValue(), 15L);
      is("100 - 1", other.add(-1).get().getValue(), 99L);
      is("the one", one.read().get().getValue(), 15L);
      is("the other", other.read().get().getValue(), 99L);
    }
  }

  /** A counter of this program. */
  private static final class OwnCounter implements Counter.Server {
    private long value = 22;
    private int reads;

    @Override
    public synchronized void add(
        Invocation<Counter.AddParams.Reader, Counter.AddResults.Builder> call) {
      value += call.params().getAmount();
      call.results().setValue(value);
    }

    @Override
    public synchronized void read(
        Invocation<Counter.ReadParams.Reader, Counter.ReadResults.Builder> call) {
      reads++;
      call.results().setValue(value);
    }
  }

  /** An object is known again when it comes back to where it lives. */
  static void identity(Conformance.Client server) {
    Counter.Client theirs = server.newCounter(11).get().getCounter();
    var identified = server.identify(theirs).get();
    isTrue("a counter of the server is its own", identified.getOwn());
    is("its value", identified.getValue(), 11L);
    Counter.Client back = server.echoCounter(theirs).get().getCounter();
    isTrue("a counter of the server that came back is the same", back.isSame(theirs));

    OwnCounter object = new OwnCounter();
    Counter.Client ours = Counter.serve(object);
    identified = server.identify(ours).get();
    is("a counter of ours is the server's own", identified.getOwn(), false);
    is("its value", identified.getValue(), 22L);
    is("how often it was read", object.reads, 1);
    Counter.Client echoed = server.echoCounter(ours).get().getCounter();
    is("22 + 3", echoed.add(3).get().getValue(), 25L);
    is("the object that was called", object.value, 25L);
    isTrue("the counter that came back is our object", echoed.server().get() == object);
  }

  static void callback(Conformance.Client server) {
    List<Long> numbers = Collections.synchronizedList(new ArrayList<>());
    Callback.Client doubler =
        Callback.serve(
            call -> {
              numbers.add(call.params().getNumber());
              call.results().setAnswer(2 * call.params().getNumber());
            });
    is("the sum of what it answered", server.call(doubler, 100).get().getSum(), 9_900L);
    is("what it was called with", numbers, LongStream.range(0, 100).boxed().toList());
  }

  /** The server calls us, and before we answer we call the server, and so on. */
  static void reentrant(Conformance.Client server) {
    List<Integer> depths = Collections.synchronizedList(new ArrayList<>());
    Reentrant.Server calls =
        new Reentrant.Server() {
          @Override
          public void call(
              Invocation<Reentrant.CallParams.Reader, Reentrant.CallResults.Builder> call) {
            int depth = call.params().getDepth();
            depths.add(depth);
            var deeper =
                call.params()
                    .getServer()
                    .reenter(
                        params -> {
                          params.setCallback(this);
                          params.setDepth(depth);
                        });
            call.results().setDepth(deeper.get().getDepth());
          }
        };
    is("the depth", server.reenter(Reentrant.serve(calls), 5).get().getDepth(), 5);
    is("the depths it was called with", depths, List.of(4, 3, 2, 1, 0));
  }

  /** Calls on what has not been returned: all are on their way before the first is answered. */
  static void pipelining(Conformance.Client server) {
    Node.Client node = server.node().pipeline().getNode();
    for (int i = 0; i < 3; i++) {
      node = node.next().pipeline().getNode();
    }
    is("the depth of the fourth node", node.depth().get().getDepth(), 3);
  }

  /** Two results of one call, used before it returned. The server sets the second first. */
  static void outOfOrder(Conformance.Client server) {
    var pair = server.pair().pipeline();
    var first = pair.getFirst().read();
    var second = pair.getSecond().read();
    is("first", first.get().getValue(), 1L);
    is("second", second.get().getValue(), 2L);
  }
}
