package org.shipmate;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.charset.StandardCharsets;
import java.util.function.IntSupplier;

/** {@code libshipmate}, through JNA; {@code shipmate.h} documents each of its functions. */
final class LibShipmate {
  /** Where it is, if the system's loader does not know. */
  private static final String PATH_VARIABLE = "SHIPMATE_LIBRARY";

  /** How often a thread that waits looks whether it is interrupted, or its object closed. */
  private static final int LOOK_MILLIS = 50;

  // struct shipmate_error
  private static final int ERROR_BYTES = 512;
  private static final int ERROR_MESSAGE_OFFSET = 8;

  // enum shipmate_error_code
  private static final int ERROR_ADDRESS = 1;
  private static final int ERROR_UNREACHABLE = 2;
  private static final int ERROR_ADDRESS_IN_USE = 3;
  private static final int ERROR_LIMIT = 6;
  private static final int ERROR_DEADLINE = 7;
  private static final int ERROR_MISUSE = 9;
  private static final int ERROR_INTERNAL = 11;

  // struct shipmate_options
  private static final int OPTIONS_BYTES = 24;
  private static final int TIMEOUT_OFFSET = 8;
  private static final int SPIN_OFFSET = 12;
  private static final int TIER_OFFSET = 20;
  private static final long UINT32_MAX = 0xFFFF_FFFFL;

  /** Where a call puts its error, and its results. */
  private static final ThreadLocal<Memory> ERROR =
      ThreadLocal.withInitial(() -> new Memory(ERROR_BYTES));

  private static final ThreadLocal<Memory> RESULTS =
      ThreadLocal.withInitial(() -> new Memory(2L * Native.POINTER_SIZE));

  private static boolean loaded;

  private LibShipmate() {}

  static native int shipmate_connect(byte[] address, Pointer options, Pointer error);

  static native int shipmate_sender_open(
      byte[] address, Pointer options, Pointer sender, Pointer error);

  static native int shipmate_sender_send(
      Pointer sender, Pointer segments, long segmentCount, Pointer error);

  static native int shipmate_sender_loan(
      Pointer sender, long bytes, Pointer loan, Pointer memory, Pointer error);

  static native int shipmate_loan_publish(Pointer loan, long used, Pointer error);

  static native void shipmate_loan_cancel(Pointer loan);

  static native int shipmate_sender_close(Pointer sender, Pointer error);

  static native int shipmate_receiver_listen(
      byte[] address, Pointer options, Pointer listener, Pointer error);

  static native Pointer shipmate_listener_address(Pointer listener);

  static native int shipmate_receiver_accept(
      Pointer listener, int timeoutMillis, Pointer receiver, Pointer error);

  static native void shipmate_listener_close(Pointer listener);

  static native int shipmate_receiver_receive(
      Pointer receiver, int timeoutMillis, Pointer message, Pointer error);

  static native void shipmate_message_return(Pointer message);

  static native void shipmate_receiver_close(Pointer receiver);

  static native int shipmate_publisher_open(
      byte[] address, long ringBytes, Pointer options, Pointer publisher, Pointer error);

  static native int shipmate_publisher_wait(
      Pointer publisher, long subscribers, int timeoutMillis, Pointer error);

  static native int shipmate_publisher_publish(
      Pointer publisher, Pointer segments, long segmentCount, Pointer error);

  static native int shipmate_publisher_close(Pointer publisher, Pointer error);

  static native int shipmate_subscriber_open(
      byte[] address, int policy, Pointer options, Pointer subscriber, Pointer error);

  static native int shipmate_subscriber_receive(
      Pointer subscriber, int timeoutMillis, Pointer message, Pointer error);

  static native long shipmate_subscriber_lost(Pointer subscriber);

  static native void shipmate_subscriber_close(Pointer subscriber);

  /** A function of the library that may fail. */
  interface Call {
    int call(Pointer error);
  }

  /** A function that makes an object, and puts it at {@code place}. */
  interface Open {
    int call(byte[] address, Pointer options, Pointer place, Pointer error);
  }

  /** A function that waits on an object, and may put what comes at {@code place}. */
  interface Wait {
    int call(Pointer object, int timeoutMillis, Pointer place, Pointer error);
  }

  /** Gives the descriptor of a socket whose far end is carried to the address. */
  static int connect(String address) {
    load();
    return reachable(() -> checked(error -> shipmate_connect(text(address), null, error)));
  }

  /** Makes an object. That it cannot be had is an {@link UnreachableException}. */
  static Pointer open(Open open, String address, MessageOptions options) {
    load();
    Memory place = RESULTS.get();
    try (Memory given = new Memory(OPTIONS_BYTES)) {
      given.clear();
      given.setLong(0, OPTIONS_BYTES);
      // 0 stands for the default.
      given.setInt(TIMEOUT_OFFSET, Math.max(1, uint32(options.timeout().toMillis())));
      given.setInt(SPIN_OFFSET, uint32(options.spin().toNanos() / 1_000));
      given.setInt(TIER_OFFSET, options.tier().ordinal());
      reachable(() -> checked(error -> open.call(text(address), given, place, error)));
    }
    return place.getPointer(0);
  }

  /**
   * Waits for what an object gives, as long as the patience lasts.
   *
   * @param missing what there is none of when it ends, for the error
   * @return null where the function has returned 0, which may mean the end
   */
  static Pointer await(Handle object, Wait wait, Patience patience, String missing) {
    Memory place = RESULTS.get();
    Memory error = ERROR.get();
    place.setPointer(0, null);
    while (true) {
      int millis = (int) patience.millisLeft(LOOK_MILLIS);
      if (object.use(pointer -> wait.call(pointer, millis, place, error)) >= 0) {
        return place.getPointer(0);
      }
      if (error.getInt(0) != ERROR_DEADLINE) {
        throw failure(error);
      }
      patience.check(missing);
    }
  }

  /** Gives what a function returns that has not failed. */
  static int checked(Call call) {
    Memory error = ERROR.get();
    int result = call.call(error);
    if (result < 0) {
      throw failure(error);
    }
    return result;
  }

  /** Where a function of this thread may put two pointers. */
  static Memory results() {
    return RESULTS.get();
  }

  private static synchronized void load() {
    if (loaded) {
      return;
    }
    if (Native.SIZE_T_SIZE != Long.BYTES) {
      throw new UnreachableException("libshipmate is used by 64-bit programs only", null);
    }
    String path = System.getenv(PATH_VARIABLE);
    try {
      Native.register(LibShipmate.class, path == null ? "shipmate" : path);
      loaded = true;
    } catch (UnsatisfiedLinkError e) {
      throw new UnreachableException(
          "this address needs libshipmate, which is not here: build it with"
              + " `cargo build --release -p shipmate-ffi` and let "
              + PATH_VARIABLE
              + " name libshipmate.so",
          e);
    }
  }

  private static int reachable(IntSupplier opening) {
    try {
      return opening.getAsInt();
    } catch (DisconnectedException e) {
      throw new UnreachableException(e.getMessage(), e);
    }
  }

  private static RuntimeException failure(Memory error) {
    String message = error.getString(ERROR_MESSAGE_OFFSET, "UTF-8");
    return switch (error.getInt(0)) {
      case ERROR_ADDRESS -> new AddressException(message);
      case ERROR_UNREACHABLE, ERROR_ADDRESS_IN_USE -> new UnreachableException(message, null);
      case ERROR_LIMIT -> new LimitException(message);
      case ERROR_MISUSE -> new IllegalArgumentException(message);
      case ERROR_INTERNAL -> new IllegalStateException(message);
      default -> new DisconnectedException(message);
    };
  }

  private static byte[] text(String text) {
    return (text + '\0').getBytes(StandardCharsets.UTF_8);
  }

  private static int uint32(long value) {
    return (int) Math.min(value, UINT32_MAX);
  }
}
