package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.shipmate.rpc.Call;
import org.shipmate.rpc.Client;
import org.shipmate.rpc.Empty;
import org.shipmate.rpc.Invocation;
import org.shipmate.rpc.Limits;
import org.shipmate.schema.ConformanceSchema.Callback;
import org.shipmate.schema.ConformanceSchema.Sink;
import org.shipmate.tricky.Tricky.Relay;
import org.shipmate.tricky.Tricky.Sailor;

/** Java on both sides: what a server in Java does, and the corners of the protocol. */
@Timeout(60)
final class PeersTest {
  /** Remembers what it was called with, in order. */
  private static final class Recorder implements Callback.Server {
    final List<Long> numbers = Collections.synchronizedList(new ArrayList<>());
    final CountDownLatch released = new CountDownLatch(1);

    @Override
    public void call(Invocation<Callback.CallParams.Reader, Callback.CallResults.Builder> call) {
      numbers.add(call.params().getNumber());
      call.results().setAnswer(call.params().getNumber());
    }

    @Override
    public void released() {
      released.countDown();
    }
  }

  /** Gives back what it is given, as soon as the gate is open. */
  private record GatedRelay(CompletableFuture<Void> gate) implements Relay.Server {
    @Override
    public void pass(Invocation<Relay.PassParams.Reader, Relay.PassResults.Builder> call) {
      Client object = call.params().getObject().getAs(Client.factory);
      call.results().getObject().setAs(Client.factory, object);
      call.answerAfter(gate);
    }
  }

  private static Relay.Client openRelay() {
    return Relay.serve(new GatedRelay(CompletableFuture.completedFuture(null)));
  }

  private static Callback.Client pass(Relay.Client relay, Client object) {
    return passing(relay, object).get().getObject().getAs(Callback.factory);
  }

  private static Call<Relay.PassResults.Reader, Relay.PassResults.Pipeline> passing(
      Relay.Client relay, Client object) {
    return relay.pass(params -> params.getObject().setAs(Client.factory, object));
  }

  @Test
  void anObjectIsReleasedWhenNobodyRefersToIt() throws Exception {
    Recorder recorder = new Recorder();
    try (Peers peers = Peers.connect(Callback.serve(recorder))) {
      Callback.Client callback = peers.left().bootstrap(Callback.factory);
      Callback.Client copy = callback.copy();
      assertEquals(1, callback.call(1).get().getAnswer());
      callback.close();
      assertEquals(2, copy.call(2).get().getAnswer());
      assertThrows(IllegalStateException.class, () -> callback.call(3));
      assertEquals(1, recorder.released.getCount());
    }
    assertTrue(recorder.released.await(30, TimeUnit.SECONDS));
  }

  @Test
  void aReferenceThatIsClosedIsGivenBackWhileTheConnectionGoesOn() throws Exception {
    Recorder recorder = new Recorder();
    try (Peers peers = Peers.connect(openRelay())) {
      Relay.Client relay = peers.left().bootstrap(Relay.factory);
      try (Callback.Client own = Callback.serve(recorder)) {
        pass(relay, own).close();
      }
      // What a handler does not close goes when it is garbage.
      while (!recorder.released.await(10, TimeUnit.MILLISECONDS)) {
        System.gc();
      }
      assertTrue(peers.left().isOpen());
    }
  }

  /** Calls through the peer, and calls that need no more go through it, arrive in order. */
  @Test
  void aPromiseThatIsOurOwnObjectKeepsTheOrder() throws Exception {
    CompletableFuture<Void> gate = new CompletableFuture<>();
    try (Peers peers = Peers.connect(Relay.serve(new GatedRelay(gate)))) {
      Recorder recorder = new Recorder();
      Callback.Client own = Callback.serve(recorder);
      var call = passing(peers.left().bootstrap(Relay.factory), own);
      Callback.Client promise = call.pipeline().getObject().as(Callback.factory);
      List<Call<?, ?>> calls = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        calls.add(promise.call(i));
      }
      gate.complete(null);
      call.get();
      for (int i = 50; i < 100; i++) {
        calls.add(promise.call(i));
      }
      calls.forEach(Call::get);
      assertEquals(IntStream.range(0, 100).mapToObj(Long::valueOf).toList(), recorder.numbers);
      // It is known by the next call at the latest.
      promise.call(100).get();
      assertTrue(promise.isSame(own));
    }
  }

  /** An object passes through a process that only passes it on, and comes back as itself. */
  @Test
  void anObjectPassesThroughAThirdProcess() throws Exception {
    try (Peers far = Peers.connect(openRelay());
        Peers near = Peers.connect(far.left().bootstrap(Relay.factory))) {
      Relay.Client relay = near.left().bootstrap(Relay.factory);
      Recorder recorder = new Recorder();
      Callback.Client own = Callback.serve(recorder);
      Callback.Client back = pass(relay, own);
      assertEquals(7, back.call(7).get().getAnswer());
      assertTrue(back.isSame(own));
      assertEquals(recorder, back.server().get());
      assertEquals(List.of(7L), recorder.numbers);
    }
  }

  @Test
  void theFarSideOfAProxyIsLost() throws Exception {
    try (Peers far = Peers.connect(Callback.serve(new Recorder()));
        Peers near = Peers.connect(far.left().bootstrap(Callback.factory))) {
      Callback.Client callback = near.left().bootstrap(Callback.factory);
      assertEquals(1, callback.call(1).get().getAnswer());
      far.right().close();
      assertThrows(DisconnectedException.class, () -> callback.call(2).get());
      assertTrue(near.left().isOpen());
    }
  }

  @Test
  void tooManyCallsAtWorkAreRefusedAndTheOthersGoOn() throws Exception {
    CompletableFuture<Void> gate = new CompletableFuture<>();
    Limits two = new Limits(1 << 20, 512, 2, 1 << 20, 10, 1 << 20, 1 << 16);
    Callback.Client slow = Callback.serve(call -> call.answerAfter(gate));
    try (Peers peers = Peers.connect(slow, two)) {
      Callback.Client callback = peers.left().bootstrap(Callback.factory);
      var first = callback.call(1);
      var second = callback.call(2);
      var third = assertThrows(ServiceException.class, () -> callback.call(3).get());
      assertEquals(ServiceException.Kind.OVERLOADED, third.kind());
      gate.complete(null);
      first.get();
      second.get();
      callback.call(4).get();
    }
  }

  @Test
  void aMessageThatIsTooLargeCostsTheConnection() throws Exception {
    Limits small = new Limits(1 << 16, 512, 10, 1 << 20, 10, 1 << 20, 1 << 16);
    try (Peers peers = Peers.connect(Sink.serve(new Sink.Server() {}), small)) {
      Sink.Client sink = peers.left().bootstrap(Sink.factory);
      sink.write(new byte[1 << 17]);
      assertThrows(DisconnectedException.class, () -> sink.done().get());
      assertTrue(peers.right().closed().get().getMessage().contains("the limit is 65536"));
      // The reason may reach the other side, or be lost with what it was still sending.
      peers.left().closed().get();
      assertFalse(peers.left().isOpen());
    }
  }

  @Test
  void aHandlerLearnsThatItsCallWasCancelled() throws Exception {
    CompletableFuture<Void> started = new CompletableFuture<>();
    CompletableFuture<Void> cancelled = new CompletableFuture<>();
    Callback.Client hanging =
        Callback.serve(
            call -> {
              call.answerAfter(new CompletableFuture<>());
              call.onCancel(() -> cancelled.complete(null));
              started.complete(null);
            });
    try (Peers peers = Peers.connect(hanging)) {
      var call = peers.left().bootstrap(Callback.factory).call(1);
      // One that is cancelled before its turn is not handled at all.
      started.get();
      call.cancel();
      cancelled.get();
    }
  }

  @Test
  void whatAHandlerThrowsReachesItsCaller() throws Exception {
    Callback.Client failing =
        Callback.serve(
            call -> {
              if (call.params().getNumber() == 1) {
                throw new ServiceException(ServiceException.Kind.OVERLOADED, "too much");
              }
              throw new IllegalArgumentException("not that");
            });
    try (Peers peers = Peers.connect(failing)) {
      Callback.Client callback = peers.left().bootstrap(Callback.factory);
      var ours = assertThrows(ServiceException.class, () -> callback.call(1).get());
      assertEquals(ServiceException.Kind.OVERLOADED, ours.kind());
      assertEquals("too much", ours.reason());
      var theirs = assertThrows(ServiceException.class, () -> callback.call(2).get());
      assertEquals(ServiceException.Kind.FAILED, theirs.kind());
      assertTrue(theirs.reason().contains("not that"));
    }
  }

  @Test
  void aFailureEndsAStream() throws Exception {
    Sink.Server refusing =
        new Sink.Server() {
          @Override
          public void write(Invocation<Sink.WriteParams.Reader, Empty.Builder> call) {
            throw new ServiceException(ServiceException.Kind.FAILED, "full");
          }
        };
    try (Peers peers = Peers.connect(Sink.serve(refusing))) {
      Sink.Client sink = peers.left().bootstrap(Sink.factory);
      var error =
          assertThrows(
              ServiceException.class,
              () -> {
                while (true) {
                  sink.write(new byte[1000]);
                }
              });
      assertEquals("full", error.reason());
      assertEquals("full", assertThrows(ServiceException.class, () -> sink.done().get()).reason());
    }
  }

  @Test
  void oneObjectThatWaitsDoesNotHoldUpAnother() throws Exception {
    CountDownLatch gate = new CountDownLatch(1);
    Callback.Client waiting = Callback.serve(call -> gate.await());
    try (Peers peers = Peers.connect(openRelay())) {
      Relay.Client relay = peers.left().bootstrap(Relay.factory);
      Callback.Client there = pass(relay, waiting);
      assertTrue(there.isSame(waiting));
      var call = there.call(1);
      assertEquals(5, pass(relay, Callback.serve(new Recorder())).call(5).get().getAnswer());
      gate.countDown();
      call.get();
    }
  }

  @Test
  void objectsInListsAndGroups() throws Exception {
    Sailor.Server echo =
        new Sailor.Server() {
          @Override
          public void name(Invocation<Sailor.NameParams.Reader, Sailor.NameResults.Builder> call) {
            call.results().setName("echo");
          }

          @Override
          public void wait_(Invocation<Sailor.WaitParams.Reader, Sailor.WaitResults.Builder> call) {
            var crew = call.params().getCrew();
            var result = call.results().initCrew();
            result.setMembers(crew.getMembers());
            result.setAnyone(crew.getAnyone());
            result.getNamed().setCaptain(crew.getNamed().getCaptain());
          }
        };
    try (Peers peers = Peers.connect(Sailor.serve(echo))) {
      Sailor.Client sailor = peers.left().bootstrap(Sailor.factory);
      List<Sailor.Client> members =
          IntStream.range(0, 3).mapToObj(number -> Sailor.serve(new Named("s" + number))).toList();
      var call =
          sailor.wait_(
              params -> {
                var crew = params.initCrew();
                var list = crew.initMembers(4);
                IntStream.range(0, 3).forEach(i -> list.set(i, members.get(i)));
                list.set(3, sailor);
                crew.setAnyone(members.get(1));
                crew.getNamed().setCaptain(new Named("captain"));
              });
      var captain = call.pipeline().getCrew().getNamed().getCaptain();
      assertEquals("captain", captain.name().get().getName().toString());
      var crew = call.get().getCrew();
      for (int i = 0; i < 3; i++) {
        assertTrue(crew.getMembers().get(i).isSame(members.get(i)));
        assertEquals("s" + i, crew.getMembers().get(i).name().get().getName().toString());
      }
      assertEquals("echo", crew.getMembers().get(3).name().get().getName().toString());
      assertTrue(crew.getAnyone().isSame(members.get(1)));
      assertFalse(crew.hasBox());
    }
  }

  private record Named(String text) implements Sailor.Server {
    @Override
    public void name(Invocation<Sailor.NameParams.Reader, Sailor.NameResults.Builder> call) {
      call.results().setName(text);
    }
  }
}
