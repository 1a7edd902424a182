package org.shipmate.rpc;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import org.capnproto.AnyPointer;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;

/** A call that an object of this process gets, before its types are known. */
public final class Incoming {
  private final CallMessage call;
  private final Outgoing results = new Outgoing();
  private final AnyPointer.Builder content;
  private final List<Runnable> onCancel = new ArrayList<>();
  private CompletionStage<?> answerAfter;

  private final Deferred pending =
      new Deferred() {
        @Override
        void cancelled() {
          runOnCancel();
        }
      };

  Incoming(CallMessage call) {
    this.call = call;
    this.content = results.message.initReturn().initResults().getContent();
  }

  /** The call, with its types. */
  public <P extends StructReader, R> Invocation<P, R> as(
      StructFactory<?, P> params, StructFactory<R, ?> results) {
    return new Invocation<>(this, call.params().getAs(params), content.initAs(results));
  }

  Pending pending() {
    return pending;
  }

  void run(Server server) {
    if (pending.isCancelled()) {
      return;
    }
    try {
      if (!server.dispatch(call.interfaceId, call.method, this)) {
        throw Invocation.unimplemented(
            "method %d of interface @0x%x".formatted(call.method, call.interfaceId));
      }
      if (answerAfter == null) {
        answer(null);
      } else {
        answerAfter.whenComplete((result, error) -> answer(error));
      }
    } catch (Throwable error) {
      // Whatever a handler throws is for its caller: the object goes on.
      answer(error);
    }
  }

  void answerAfter(CompletionStage<?> stage) {
    answerAfter = stage;
  }

  boolean isCancelled() {
    return pending.isCancelled();
  }

  void onCancel(Runnable action) {
    synchronized (onCancel) {
      if (!pending.isCancelled()) {
        onCancel.add(action);
        return;
      }
    }
    action.run();
  }

  private void answer(Throwable error) {
    if (error == null) {
      pending.response.complete(new Response(content.asReader(), results));
    } else {
      boolean wrapped = error instanceof CompletionException && error.getCause() != null;
      pending.response.completeExceptionally(wrapped ? error.getCause() : error);
    }
  }

  private void runOnCancel() {
    List<Runnable> actions;
    synchronized (onCancel) {
      actions = List.copyOf(onCancel);
    }
    actions.forEach(Turns.POOL::execute);
  }
}
