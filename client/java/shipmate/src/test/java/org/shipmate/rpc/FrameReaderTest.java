package org.shipmate.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.capnproto.BuilderArena.AllocationStrategy;
import org.capnproto.FromPointerBuilder;
import org.capnproto.MessageBuilder;
import org.capnproto.SegmentBuilder;
import org.capnproto.Serialize;
import org.capnproto.Text;
import org.capnproto.TextList;
import org.junit.jupiter.api.Test;

final class FrameReaderTest {
  private static final int FRAME_BYTES_MAX = 1 << 20;
  private static final int SEGMENTS_MAX = 512;

  /** Messages of one and of many segments come whole, however their bytes are cut. */
  @Test
  void messagesInPieces() throws IOException {
    byte[] stream = stream(20);
    Random random = new Random(1);
    for (int most : new int[] {1, 7, 100, 5_000, stream.length}) {
      FrameReader reader = new FrameReader(FRAME_BYTES_MAX, SEGMENTS_MAX);
      List<String> seen = new ArrayList<>();
      for (int from = 0; from < stream.length; ) {
        int count = Math.min(stream.length - from, 1 + random.nextInt(most));
        ByteBuffer piece = ByteBuffer.wrap(stream, from, count);
        for (MessageArena m = reader.next(piece); m != null; m = reader.next(piece)) {
          seen.add(last(m));
        }
        from += count;
      }
      assertFalse(reader.inMiddle());
      assertEquals(20, seen.size());
      for (int i = 0; i < 20; i++) {
        assertEquals("text " + i + ", " + i, seen.get(i));
      }
    }
  }

  @Test
  void aPartOfAMessage() throws IOException {
    FrameReader reader = new FrameReader(FRAME_BYTES_MAX, SEGMENTS_MAX);
    assertFalse(reader.inMiddle());
    assertNull(reader.next(ByteBuffer.wrap(stream(3), 0, 3)));
    assertTrue(reader.inMiddle());
  }

  @Test
  void whatIsTooLarge() {
    refuses("segments", 512, 1);
    refuses("segments", -1, 1);
    refuses("bytes", 0, FRAME_BYTES_MAX / 8 + 1);
    refuses("bytes", 0, -1);
    refuses("root", 0, 0);
  }

  private static void refuses(String reason, int segmentsLess1, int firstWords) {
    ByteBuffer table = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    table.putInt(segmentsLess1).putInt(firstWords).flip();
    FrameReader reader = new FrameReader(FRAME_BYTES_MAX, SEGMENTS_MAX);
    var error = assertThrows(FrameException.class, () -> reader.next(table));
    assertTrue(error.getMessage().contains(reason), error.getMessage());
  }

  private static byte[] stream(int messages) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int number = 0; number < messages; number++) {
      MessageBuilder message = new MessageBuilder(8, AllocationStrategy.FIXED_SIZE);
      TextList.Builder texts = message.initRoot(new TextRoot(number + 1));
      for (int i = 0; i <= number; i++) {
        texts.set(i, new Text.Reader("text " + number + ", " + i));
      }
      Serialize.write(Channels.newChannel(bytes), message);
    }
    return bytes.toByteArray();
  }

  /** Makes the root a list of so many texts. */
  private record TextRoot(int size) implements FromPointerBuilder<TextList.Builder> {
    @Override
    public TextList.Builder fromPointerBuilder(SegmentBuilder segment, int pointer) {
      return TextList.factory.fromPointerBuilder(segment, pointer);
    }

    @Override
    public TextList.Builder initFromPointerBuilder(
        SegmentBuilder segment, int pointer, int ignored) {
      return TextList.factory.initFromPointerBuilder(segment, pointer, size);
    }
  }

  private static String last(MessageArena message) {
    TextList.Reader texts = message.root(TextList.factory);
    return texts.get(texts.size() - 1).toString();
  }
}
