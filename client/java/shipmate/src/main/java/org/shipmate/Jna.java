package org.shipmate;

/** What is done through JNA, which a program may not have. */
final class Jna {
  private Jna() {}

  /** Does it, and says what is missing where JNA is. */
  static <T, E extends Exception> T use(Action<T, E> action) throws E {
    try {
      return action.run();
    } catch (NoClassDefFoundError e) {
      throw new UnreachableException(
          "this address needs JNA: add net.java.dev.jna:jna to your dependencies", e);
    }
  }

  interface Action<T, E extends Exception> {
    T run() throws E;
  }
}
