package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.shipmate.MessagePair.LIMIT;
import static org.shipmate.MessagePair.assertFilled;
import static org.shipmate.MessagePair.fill;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.capnproto.Data;
import org.capnproto.MessageReader;
import org.capnproto.ReaderOptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.shipmate.schema.RecordSchema.Record;

/** Messages in shared memory: built there, and read where they were built. */
@Timeout(60)
final class InPlaceTest {
  private static final int LARGE = 800_000;

  @TempDir Path folder;
  private String place;

  @BeforeEach
  void place() {
    place = Places.of("shm", folder);
  }

  @ParameterizedTest
  @CsvSource({
    "TRUSTED, TRUSTED, 800000, memfd r--s",
    "SEALED, TRUSTED, 5000000, memfd r--p",
    "COPY, TRUSTED, 800000, private",
    "TRUSTED, COPY, 800000, private"
  })
  void whereTheTierSays(Tier receives, Tier sends, int bytes, String kind) throws Exception {
    try (var pair = MessagePair.connect(place, receives, sends)) {
      for (int value = 0; value < 5; value++) {
        send(pair, value, bytes);
        try (var message = pair.receiver().receiveLent(LIMIT).orElseThrow()) {
          assertFilled(message.root(), value, bytes);
          assertEquals(kind, kindOf(message.root().getBody().getBytes().asByteBuffer()));
          assertEquals(1, message.segments().size());
        }
      }
    }
  }

  @Test
  void aLoanIsMemoryThatTheReceiverSees() throws Exception {
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED);
        var loan = pair.sender().loan(LARGE)) {
      assertEquals(LARGE, loan.memory().capacity());
      assertEquals("memfd rw-s", kindOf(loan.memory()));
    }
  }

  @Test
  void capnprotosOwnReaderReadsInPlace() throws Exception {
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      send(pair, 1);
      try (var message = pair.receiver().receiveLent(LIMIT).orElseThrow()) {
        ByteBuffer[] segments = message.segments().toArray(ByteBuffer[]::new);
        assertTrue(segments[0].isDirect());
        assertThrows(ReadOnlyBufferException.class, () -> segments[0].put(0, (byte) 1));
        var reader = new MessageReader(segments, ReaderOptions.DEFAULT_READER_OPTIONS);
        Record.Reader record = reader.getRoot(Record.factory);
        assertFilled(record, 1, LARGE);
        assertEquals("memfd r--s", kindOf(record.getBody().getBytes().asByteBuffer()));
      }
    }
  }

  /** What was not lent is this program's, whatever the tier. */
  @Test
  void aMessageThatIsNotLentStays() throws Exception {
    List<Record.Reader> kept = new ArrayList<>();
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      for (int value = 0; value < 5; value++) {
        send(pair, value);
        kept.add(pair.receiver().receive(LIMIT).orElseThrow());
      }
    }
    for (int value = 0; value < 5; value++) {
      assertFilled(kept.get(value), value, LARGE);
      assertEquals("private", kindOf(kept.get(value).getBody().getBytes().asByteBuffer()));
    }
  }

  @Test
  void whatIsHeldStaysAsItWas() throws Exception {
    List<LentMessage<Record.Reader>> held = new ArrayList<>();
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      for (int value = 0; value < 5; value++) {
        send(pair, value);
        held.add(pair.receiver().receiveLent(LIMIT).orElseThrow());
      }
    }
    for (int value = 0; value < 5; value++) {
      try (var message = held.get(value)) {
        assertFilled(message.root(), value, LARGE);
      }
    }
  }

  /** (A blob that is idle for long, on a machine that is busy, may be replaced.) */
  @Test
  void whatGoesBackIsUsedAgain() throws Exception {
    Set<Long> places = new HashSet<>();
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      for (int value = 0; value < 40; value++) {
        send(pair, value);
        try (var message = pair.receiver().receiveLent(LIMIT).orElseThrow()) {
          places.add(address(message.segments().get(0)));
        }
      }
    }
    assertTrue(places.size() < 10, places.toString());
  }

  /** Everything that reads by the message's own buffers throws, and nothing ends the program. */
  @Test
  void aMessageThatWasGivenBackCannotBeUsed() throws Exception {
    for (Tier tier : Tier.values()) {
      try (var pair = MessagePair.connect(place, tier, tier)) {
        send(pair, 1);
        var message = pair.receiver().receiveLent(LIMIT).orElseThrow();
        Record.Reader record = message.root();
        Data.Reader data = record.getBody().getBytes();
        ByteBuffer segment = message.segments().get(0);
        message.close();
        message.close();
        assertThrows(IllegalStateException.class, message::root);
        assertThrows(IllegalStateException.class, message::segments);
        assertThrows(IndexOutOfBoundsException.class, record::getValue);
        assertThrows(IndexOutOfBoundsException.class, () -> record.getName().toString());
        assertThrows(IllegalArgumentException.class, data::toArray);
        assertThrows(IllegalArgumentException.class, data::asByteBuffer);
        assertThrows(IndexOutOfBoundsException.class, () -> segment.get(0));
      }
    }
  }

  @Test
  void aLoanThatIsGoneCannotBeUsed() throws Exception {
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      var loan = pair.sender().loan(LARGE);
      ByteBuffer memory = loan.memory();
      Record.Builder record = loan.root();
      assertThrows(IllegalStateException.class, loan::root);
      assertThrows(IllegalArgumentException.class, () -> loan.send(LARGE + 1));
      loan.send();
      assertThrows(IllegalStateException.class, loan::send);
      assertThrows(IllegalStateException.class, loan::memory);
      assertThrows(IndexOutOfBoundsException.class, () -> record.setValue(1));
      assertThrows(IndexOutOfBoundsException.class, () -> memory.put(0, (byte) 1));
      assertThrows(IllegalStateException.class, pair.sender().loan(LARGE)::send);
      loan.close();
      assertEquals(0, pair.receiver().receive(LIMIT).orElseThrow().getValue());
    }
  }

  @Test
  void aLoanOfASenderThatWasClosed() throws Exception {
    try (var pair = MessagePair.connect(place, Tier.TRUSTED, Tier.TRUSTED)) {
      var loan = pair.sender().loan(LARGE);
      fill(loan.root(), 1, 10);
      pair.sender().close();
      assertThrows(DisconnectedException.class, loan::send);
      pair.assertEnded();
    }
  }

  private static void send(MessagePair pair, int value) {
    send(pair, value, LARGE);
  }

  private static void send(MessagePair pair, int value, int bytes) {
    try (var loan = pair.sender().loan(bytes + 1_000)) {
      fill(loan.root(), value, bytes);
      loan.send();
    }
  }

  private static long address(ByteBuffer direct) {
    return Pointer.nativeValue(Native.getDirectBufferPointer(direct));
  }

  /** "memfd" and the rights of its mapping, or "private". */
  private static String kindOf(ByteBuffer buffer) throws IOException {
    if (!buffer.isDirect()) {
      return "private";
    }
    long first = address(buffer);
    for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
      String[] parts = line.split("[- ]");
      long end = Long.parseUnsignedLong(parts[1], 16);
      if (Long.parseUnsignedLong(parts[0], 16) <= first && first < end) {
        assertTrue(first + buffer.remaining() <= end || !line.contains("/memfd:"));
        return line.contains("/memfd:") ? "memfd " + line.split(" ")[1] : "private";
      }
    }
    throw new AssertionError("nowhere");
  }
}
