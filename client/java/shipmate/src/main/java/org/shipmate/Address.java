package org.shipmate;

import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a peer is and how bytes get there: {@code tcp:HOST:PORT}, {@code unix:/path}, {@code
 * unix:@name}, {@code pipe:/path}, {@code shm:/path} or {@code auto:/path}.
 */
sealed interface Address {
  /** What Java's own sockets reach. */
  sealed interface Socket extends Address {}

  /** A TCP port, by a name that need not be known yet. */
  record Tcp(String host, int port) implements Socket {}

  /** A Unix socket in the file system. */
  record Unix(UnixDomainSocketAddress socket) implements Socket {}

  /** A Unix socket in Linux's abstract namespace; the name has no {@code @}. */
  record Abstract(String name) implements Address {}

  /** What the C library connects to; it understands the text itself. */
  record Native(String text) implements Address {}

  /** The longest path of a Unix socket, in bytes. */
  int PATH_BYTES_MAX = 107;

  String FORMS = "write tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path";

  Pattern TCP = Pattern.compile("(?:\\[([^\\]]+)\\]|([^:\\[\\]]+)):(\\d{1,5})");

  /**
   * @throws AddressException when it cannot be understood
   */
  static Address parse(String text) {
    int colon = text.indexOf(':');
    String transport = colon < 0 ? "" : text.substring(0, colon);
    String place = text.substring(colon + 1);
    return switch (transport) {
      case "tcp" -> tcp(text, place);
      case "unix" -> unix(text, place);
      case "pipe", "shm", "auto" -> {
        if (place.isEmpty() || place.indexOf('\0') >= 0) {
          throw wrong(text, "it has no path");
        }
        yield new Native(text);
      }
      default -> throw wrong(text, "there is no transport of that name");
    };
  }

  private static Address tcp(String text, String place) {
    Matcher parts = TCP.matcher(place);
    if (!parts.matches()) {
      throw wrong(text, "it has no host and port, as in tcp:127.0.0.1:7700 or tcp:[::1]:7700");
    }
    int port = Integer.parseInt(parts.group(3));
    if (port > 65_535) {
      throw wrong(text, "a port is at most 65535");
    }
    return new Tcp(parts.group(1) != null ? parts.group(1) : parts.group(2), port);
  }

  private static Address unix(String text, String place) {
    if (place.isEmpty() || place.equals("@") || place.indexOf('\0') >= 0) {
      throw wrong(text, "it has no path or name");
    }
    if (place.getBytes(StandardCharsets.UTF_8).length > PATH_BYTES_MAX) {
      throw wrong(text, "the path of a Unix socket has at most " + PATH_BYTES_MAX + " bytes");
    }
    if (place.startsWith("@")) {
      return new Abstract(place.substring(1));
    }
    try {
      return new Unix(UnixDomainSocketAddress.of(place));
    } catch (InvalidPathException e) {
      throw wrong(text, e.getReason());
    }
  }

  private static AddressException wrong(String text, String reason) {
    return new AddressException(
        "the address \"" + text + "\" cannot be understood: " + reason + ". Please " + FORMS);
  }
}
