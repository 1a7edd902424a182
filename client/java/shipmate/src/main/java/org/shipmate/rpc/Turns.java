package org.shipmate.rpc;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;

/**
 * Lets an object handle its calls one at a time, in order, on a thread of a common pool.
 *
 * <p>A handler that waits for an answer lets the object take its next calls meanwhile, on the same
 * thread: without that, two objects that call each other would wait for ever.
 */
final class Turns implements Executor {
  static final Executor POOL =
      Executors.newCachedThreadPool(
          task -> {
            Thread thread = new Thread(task, "shipmate-handler");
            thread.setDaemon(true);
            return thread;
          });

  private static final ThreadLocal<Turns> CURRENT = new ThreadLocal<>();

  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private boolean running;

  /** Waits until the future is complete, in whatever way. */
  static void await(CompletableFuture<?> future) throws InterruptedException {
    Turns current = CURRENT.get();
    if (current != null) {
      current.serveUntil(future);
      return;
    }
    try {
      future.get();
    } catch (ExecutionException | java.util.concurrent.CancellationException e) {
      // It is complete; the caller looks at how.
      return;
    }
  }

  @Override
  public void execute(Runnable task) {
    synchronized (this) {
      tasks.add(task);
      if (running) {
        notifyAll();
        return;
      }
      running = true;
    }
    POOL.execute(this::run);
  }

  private void run() {
    CURRENT.set(this);
    try {
      for (Runnable task = nextOrStop(); task != null; task = nextOrStop()) {
        task.run();
      }
    } finally {
      CURRENT.remove();
    }
  }

  private synchronized Runnable nextOrStop() {
    Runnable task = tasks.poll();
    running = task != null;
    return task;
  }

  private void serveUntil(CompletableFuture<?> future) throws InterruptedException {
    future.whenComplete((result, error) -> wakeAll());
    while (!future.isDone()) {
      Runnable task;
      synchronized (this) {
        while ((task = tasks.poll()) == null && !future.isDone()) {
          wait();
        }
      }
      if (task != null) {
        task.run();
      }
    }
  }

  private synchronized void wakeAll() {
    notifyAll();
  }
}
