package org.shipmate.rpc;

/**
 * An object that is called by others. Implement the {@code Server} of an interface of your schema.
 *
 * <p>An object handles its calls one at a time, in order, on a thread of its own; different objects
 * work side by side. A handler that waits for an answer lets its object take further calls
 * meanwhile. One that would wait long answers later: {@link Invocation#answerAfter}.
 */
public interface Server {
  /** Finds the method to call. Generated code does that; false says that there is none. */
  boolean dispatch(long interfaceId, int method, Incoming call) throws Exception;

  /** Nobody refers to the object any more: there will be no further calls. */
  default void released() {}
}
