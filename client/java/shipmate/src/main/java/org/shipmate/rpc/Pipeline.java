package org.shipmate.rpc;

import java.util.Arrays;

/** A place in the results of a call that need not have returned. */
public class Pipeline {
  private static final int[] ROOT = {};

  private final Pending pending;
  private final int[] path;

  Pipeline(Pending pending) {
    this(pending, ROOT);
  }

  /** The same place, with a type. For generated code. */
  public Pipeline(Pipeline promise) {
    this(promise.pending, promise.path);
  }

  private Pipeline(Pending pending, int[] path) {
    this.pending = pending;
    this.path = path;
  }

  /** What will be here, as an object of an interface. */
  public final <C extends Client> C as(InterfaceFactory<C> type) {
    return type.wrap(pending.pipeline(path));
  }

  /** For generated code. */
  protected final Pipeline _field(int pointer) {
    int[] deeper = Arrays.copyOf(path, path.length + 1);
    deeper[path.length] = pointer;
    return new Pipeline(pending, deeper);
  }

  /** For generated code. */
  protected final <C extends Client> C _capability(int pointer, InterfaceFactory<C> type) {
    return _field(pointer).as(type);
  }
}
