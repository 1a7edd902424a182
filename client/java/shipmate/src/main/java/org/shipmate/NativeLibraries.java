package org.shipmate;

import com.sun.jna.LastErrorException;
import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;

/** What is called of the C libraries, through JNA. */
final class NativeLibraries {
  /** Where libshipmate is, if the system's loader does not know. */
  private static final String PATH_VARIABLE = "SHIPMATE_LIBRARY";

  private static final int ERROR_BYTES = 512;
  private static final int ERROR_MESSAGE_OFFSET = 8;
  private static final int ERROR_ADDRESS = 1;

  /** The system's own. */
  interface C extends Library {
    C INSTANCE = Native.load("c", C.class);

    int socket(int domain, int type, int protocol) throws LastErrorException;

    int connect(int socket, byte[] address, int length) throws LastErrorException;

    NativeLong recv(int socket, ByteBuffer into, NativeLong size, int flags)
        throws LastErrorException;

    NativeLong send(int socket, ByteBuffer from, NativeLong size, int flags)
        throws LastErrorException;

    int poll(Pointer descriptors, NativeLong count, int timeoutMillis) throws LastErrorException;

    int eventfd(int value, int flags) throws LastErrorException;

    NativeLong read(int descriptor, Pointer into, NativeLong size) throws LastErrorException;

    NativeLong write(int descriptor, Pointer from, NativeLong size) throws LastErrorException;

    int close(int descriptor) throws LastErrorException;
  }

  /** {@code libshipmate}; {@code shipmate.h} documents it. */
  interface LibShipmate extends Library {
    int shipmate_connect(String address, Pointer options, Pointer error);
  }

  private NativeLibraries() {}

  /** Gives the descriptor of a socket whose far end is carried to the address. */
  static int connect(String address) {
    try (Memory error = new Memory(ERROR_BYTES)) {
      error.clear();
      int socket = load().shipmate_connect(address, null, error);
      if (socket >= 0) {
        return socket;
      }
      String message = error.getString(ERROR_MESSAGE_OFFSET, "UTF-8");
      throw error.getInt(0) == ERROR_ADDRESS
          ? new AddressException(message)
          : new UnreachableException(message, null);
    }
  }

  private static LibShipmate load() {
    String path = System.getenv(PATH_VARIABLE);
    try {
      return Native.load(path == null ? "shipmate" : path, LibShipmate.class);
    } catch (UnsatisfiedLinkError e) {
      throw new UnreachableException(
          "pipe:, shm: and auto: addresses need libshipmate, which is not here: build it with"
              + " `cargo build --release -p shipmate-ffi` and let "
              + PATH_VARIABLE
              + " name libshipmate.so",
          e);
    }
  }
}
