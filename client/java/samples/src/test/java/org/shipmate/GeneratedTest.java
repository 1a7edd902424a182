package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.capnproto.MessageBuilder;
import org.capnproto.Text;
import org.junit.jupiter.api.Test;
import org.shipmate.rpc.Invocation;
import org.shipmate.tricky.Tricky;
import org.shipmate.tricky.Tricky.Both;
import org.shipmate.tricky.Tricky.Officer;
import org.shipmate.tricky.Tricky.Place;
import org.shipmate.tricky.Tricky.Sailor;
import org.shipmate.tricky.Tricky.Words;

/** What the generator makes of a schema that is hard to write in Java. */
final class GeneratedTest {
  @Test
  void constants() {
    assertEquals(42, Tricky.ANSWER);
    assertEquals("a \"quoted\" \\ text, café", Tricky.GREETING.toString());
    assertEquals(-1, Tricky.LARGEST);
    assertEquals(0.5f, Tricky.HALF);
    assertEquals(1, Tricky.ORIGIN.getX());
    assertEquals("there", Tricky.ORIGIN.getNames().get(1).toString());
    assertEquals(5, Tricky.PRIMES.get(2));
  }

  @Test
  void defaultsAreReadFromAnEmptyStruct() {
    Words.Reader words = new MessageBuilder().initRoot(Words.factory).asReader();
    assertEquals("€", words.getClass_().toString());
    assertFalse(words.hasClass_());
    assertTrue(words.getInt().isLong());
    assertEquals(-5, words.getInt().getLong());
    assertEquals(Words.Case.DEFAULT, words.getEnum());
    assertEquals((byte) 255, words.getReader());
    assertEquals(7, words.getNew().getX());
  }

  @Test
  void defaultsOfABuilderBecomeItsOwn() {
    Place.Builder place = new MessageBuilder().initRoot(Place.factory);
    assertEquals("default", place.getNames().get(0).toString());
    place.getNames().set(0, new Text.Reader("own"));
    assertEquals("own", place.asReader().getNames().get(0).toString());
    Place.Builder other = new MessageBuilder().initRoot(Place.factory);
    assertEquals("default", other.asReader().getNames().get(0).toString());
    assertEquals(0, new MessageBuilder().initRoot(Words.factory).getDeep().size());
  }

  @Test
  void anArmOfAUnionBeginsWithItsDefaults() {
    Words.Builder words = new MessageBuilder().initRoot(Words.factory);
    words.getInt().setLong(0x0123_4567_89ab_cdefL);
    Words.Int.Short.Builder group = words.getInt().initShort();
    assertTrue(words.getInt().isShort());
    assertEquals(1.5f, group.getFloat());
    assertTrue(group.getFlag());
    group.setFloat(2.5f);
    assertEquals(2.5f, words.asReader().getInt().getShort().getFloat());
  }

  @Test
  void listsOfLists() {
    Words.Builder words = new MessageBuilder().initRoot(Words.factory);
    words.initDeep(2).init(1, 1).init(0, 1).set(0, new Text.Reader("deep"));
    assertEquals("deep", words.asReader().getDeep().get(1).get(0).get(0).toString());
  }

  @Test
  void enumsThatAreNotInTheSchema() {
    assertEquals(Words.Case.SOME_LONG_NAME, Words.Case.of((short) 2));
    assertEquals(Words.Case._NOT_IN_SCHEMA, Words.Case.of((short) -1));
    Words.Builder words = new MessageBuilder().initRoot(Words.factory);
    assertThrows(IllegalArgumentException.class, () -> words.setEnum(Words.Case._NOT_IN_SCHEMA));
  }

  @Test
  void methodsOfSuperclasses() throws Exception {
    Both.Server server =
        new Both.Server() {
          @Override
          public void name(Invocation<Sailor.NameParams.Reader, Sailor.NameResults.Builder> call) {
            call.results().setName("both");
          }

          @Override
          public void order(
              Invocation<Officer.OrderParams.Reader, Officer.OrderResults.Builder> call) {
            String name = call.params().getTo().name().get().getName().toString();
            call.results().setDone(call.params().getClass_() + " to " + name);
          }
        };
    try (Peers peers = Peers.connect(Both.serve(server))) {
      Both.Client both = peers.left().bootstrap(Both.factory);
      assertEquals("both", both.name().get().getName().toString());
      Sailor.Client sailor = both.as(Sailor.factory);
      assertEquals("both", sailor.name().get().getName().toString());
      // The handler calls its own object before it returns.
      assertEquals("sail to both", both.order("sail", sailor).get().getDone().toString());
      var missing = assertThrows(ServiceException.class, () -> both.wait_(crew -> {}).get());
      assertEquals(ServiceException.Kind.UNIMPLEMENTED, missing.kind());
    }
  }
}
