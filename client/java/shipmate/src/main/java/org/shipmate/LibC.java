package org.shipmate;

import com.sun.jna.LastErrorException;
import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;

/** What is called of the system's C library, through JNA. */
interface LibC extends Library {
  LibC INSTANCE = Native.load("c", LibC.class);

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
