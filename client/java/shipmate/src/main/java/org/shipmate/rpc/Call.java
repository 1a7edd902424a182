package org.shipmate.rpc;

import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.DeadlineException;
import org.shipmate.ShipmateException;

/**
 * A call that was started. It goes on whether or not anybody waits for it.
 *
 * @param <R> its results
 * @param <P> promises of its results, on which calls can be made at once
 */
public final class Call<R extends StructReader, P> {
  private final Pending pending;
  private final StructFactory<?, R> results;
  private final Function<Pipeline, P> pipeline;
  private volatile Duration allowed;

  Call(Pending pending, StructFactory<?, R> results, Function<Pipeline, P> pipeline) {
    this.pending = pending;
    this.results = results;
    this.pipeline = pipeline;
  }

  /**
   * Cancels the call, at the server too, when it has not been answered within this time from now.
   * It then fails with {@link DeadlineException}.
   */
  public Call<R, P> within(Duration time) {
    allowed = time;
    pending
        .response
        .orTimeout(time.toNanos(), TimeUnit.NANOSECONDS)
        .whenComplete(
            (response, error) -> {
              if (error instanceof TimeoutException) {
                pending.cancel();
              }
            });
    return this;
  }

  /**
   * Waits for the results.
   *
   * @throws ShipmateException when there are none
   * @throws CancellationException when the call was cancelled, or when the thread is interrupted
   *     while it waits, which cancels the call and leaves the thread interrupted
   */
  public R get() {
    try {
      Turns.await(pending.response);
    } catch (InterruptedException e) {
      cancel();
      Thread.currentThread().interrupt();
      throw new CancellationException("the thread was interrupted");
    }
    try {
      return read(pending.response.join());
    } catch (CompletionException | CancellationException e) {
      RuntimeException error = error(e);
      throw error instanceof ShipmateException known ? known.rethrown() : error;
    }
  }

  /**
   * The results as a future. It is completed on a thread of its own, where waiting harms nobody;
   * cancelling it cancels the call.
   */
  public CompletableFuture<R> future() {
    CompletableFuture<R> future = new CompletableFuture<>();
    pending.response.whenCompleteAsync(
        (response, error) -> {
          if (error == null) {
            try {
              future.complete(read(response));
            } catch (RuntimeException e) {
              future.completeExceptionally(Errors.forCaller(e));
            }
          } else {
            future.completeExceptionally(error(error));
          }
        },
        Turns.POOL);
    future.whenComplete(
        (result, error) -> {
          if (future.isCancelled()) {
            cancel();
          }
        });
    return future;
  }

  /** Promises of the results: calls on them need not wait for this one. */
  public P pipeline() {
    return pipeline.apply(new Pipeline(pending));
  }

  /** Gives the call up, at the server too. */
  public void cancel() {
    pending.cancel();
  }

  private R read(Response response) {
    return response.content().getAs(results);
  }

  private RuntimeException error(Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return cause instanceof TimeoutException
        ? new DeadlineException(allowed)
        : Errors.forCaller(cause);
  }
}
