package org.shipmate;

import com.sun.jna.Pointer;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.ToIntFunction;

/** An object of the C library. Calls on it take turns; none is made once it is being closed. */
final class Handle {
  private final Pointer pointer;
  private final AtomicBoolean closed = new AtomicBoolean();

  Handle(Pointer pointer) {
    this.pointer = pointer;
  }

  /**
   * @throws DisconnectedException when it was closed on this side
   */
  synchronized int use(ToIntFunction<Pointer> call) {
    if (closed.get()) {
      throw new DisconnectedException("it was closed on this side");
    }
    return call.applyAsInt(pointer);
  }

  /** Closes it, once, after what is in progress. Who waits on it learns of that soon. */
  void close(Consumer<Pointer> close) {
    if (closed.compareAndSet(false, true)) {
      synchronized (this) {
        close.accept(pointer);
      }
    }
  }
}
