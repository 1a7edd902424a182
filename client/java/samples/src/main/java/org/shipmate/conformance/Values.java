package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isSame;
import static org.shipmate.conformance.Expect.isTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.capnproto.MessageBuilder;
import org.capnproto.Text;
import org.shipmate.schema.ConformanceSchema.Colour;
import org.shipmate.schema.ConformanceSchema.Conformance;
import org.shipmate.schema.ConformanceSchema.Defaults;
import org.shipmate.schema.ConformanceSchema.Lists;
import org.shipmate.schema.ConformanceSchema.Primitives;
import org.shipmate.schema.ConformanceSchema.Shape;

/** Values of every type, which come back as they were sent. */
final class Values {
  private static final int LONG = 100_000;

  private Values() {}

  /** Unsigned numbers are those of the same bits in Java's signed types. */
  private record Numbers(
      boolean bool,
      byte int8,
      short int16,
      int int32,
      long int64,
      byte uint8,
      short uint16,
      int uint32,
      long uint64,
      float float32,
      double float64) {
    static final Numbers BETWEEN =
        new Numbers(
            true,
            (byte) -12,
            (short) -1234,
            -123_456_789,
            -1_234_567_890_123_456_789L,
            (byte) 200,
            (short) 54_321,
            (int) 4_000_000_000L,
            Long.parseUnsignedLong("12345678901234567890"),
            1.5f,
            -1.25e-300);

    static final Numbers LEAST =
        new Numbers(
            false,
            Byte.MIN_VALUE,
            Short.MIN_VALUE,
            Integer.MIN_VALUE,
            Long.MIN_VALUE,
            (byte) 0,
            (short) 0,
            0,
            0,
            Float.NEGATIVE_INFINITY,
            Double.NEGATIVE_INFINITY);

    static final Numbers GREATEST =
        new Numbers(
            true,
            Byte.MAX_VALUE,
            Short.MAX_VALUE,
            Integer.MAX_VALUE,
            Long.MAX_VALUE,
            (byte) 0xff,
            (short) 0xffff,
            0xffff_ffff,
            0xffff_ffff_ffff_ffffL,
            Float.POSITIVE_INFINITY,
            Double.POSITIVE_INFINITY);

    static Numbers read(Primitives.Reader from) {
      return new Numbers(
          from.getBool(),
          from.getInt8(),
          from.getInt16(),
          from.getInt32(),
          from.getInt64(),
          from.getUint8(),
          from.getUint16(),
          from.getUint32(),
          from.getUint64(),
          from.getFloat32(),
          from.getFloat64());
    }

    void write(Primitives.Builder to) {
      to.setBool(bool);
      to.setInt8(int8);
      to.setInt16(int16);
      to.setInt32(int32);
      to.setInt64(int64);
      to.setUint8(uint8);
      to.setUint16(uint16);
      to.setUint32(uint32);
      to.setUint64(uint64);
      to.setFloat32(float32);
      to.setFloat64(float64);
    }
  }

  static void primitives(Conformance.Client server) {
    is("values in between", echo(server, Numbers.BETWEEN::write), Numbers.BETWEEN);
    var extremes = server.extremes().get();
    is("the least", Numbers.read(extremes.getLeast()), Numbers.LEAST);
    is("the greatest", Numbers.read(extremes.getGreatest()), Numbers.GREATEST);
    is("the least, echoed", echo(server, Numbers.LEAST::write), Numbers.LEAST);
    is("the greatest, echoed", echo(server, Numbers.GREATEST::write), Numbers.GREATEST);
    Numbers nan =
        echo(
            server,
            to -> {
              to.setFloat32(Float.NaN);
              to.setFloat64(Double.NaN);
            });
    isTrue("NaN of 32 bits stays one", Float.isNaN(nan.float32));
    isTrue("NaN of 64 bits stays one", Double.isNaN(nan.float64));
  }

  private static Numbers echo(Conformance.Client server, Consumer<Primitives.Builder> fill) {
    var response = server.primitives(params -> fill.accept(params.initValue())).get();
    return Numbers.read(response.getValue());
  }

  static void text(Conformance.Client server) {
    // One byte, two, three (the last of the basic plane too), four; and a NUL.
    String planes = "a\u00e9\u20ac\uffff\ud83d\udea2\udbff\udffd";
    List<String> texts =
        List.of(
            "", "ship", planes, "a\0b", "\0", "x".repeat(LONG), "\ud83d\udea2".repeat(LONG / 4));
    for (String text : texts) {
      var response = server.text(text).get();
      String what = "a text of " + text.length() + " chars";
      is(what, response.getValue().toString(), text);
      is(what, response.getBytes(), text.getBytes(StandardCharsets.UTF_8).length);
    }
  }

  static void data(Conformance.Client server) {
    byte[] all = new byte[256];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) i;
    }
    for (byte[] data : List.of(new byte[0], all, Sizes.pattern(LONG))) {
      var response = server.data(data).get();
      isSame("the data", response.getValue().toArray(), data);
      is("the sum", response.getSum(), sum(data));
    }
  }

  static int sum(byte[] data) {
    int sum = 0;
    for (byte b : data) {
      sum += Byte.toUnsignedInt(b);
    }
    return sum;
  }

  static void lists(Conformance.Client server) {
    String empty = describe(server.lists(params -> params.initValue()).get().getValue());
    is("empty lists", empty, "[] [] [] [] [] [] []");
    var message = new MessageBuilder();
    var lists = message.initRoot(Lists.factory);
    fill(lists);
    String expected = describe(lists.asReader());
    is("the lists", describe(server.lists(lists.asReader()).get().getValue()), expected);
    is(
        "the lists as they were built",
        expected,
        "[true, false, true] [0, 255] [-9223372036854775808, 7] [, two, drei] [[], [1], [2, 3, 4]]"
            + " [(1, -1), (2, -2)] [BLUE, RED, GREEN]");
  }

  private static void fill(Lists.Builder lists) {
    var bools = lists.initBools(3);
    bools.set(0, true);
    bools.set(2, true);
    lists.initBytes(2).set(1, (byte) 255);
    var longs = lists.initLongs(2);
    longs.set(0, Long.MIN_VALUE);
    longs.set(1, 7);
    var texts = lists.initTexts(3);
    texts.set(0, new Text.Reader(""));
    texts.set(1, new Text.Reader("two"));
    texts.set(2, new Text.Reader("drei"));
    var grid = lists.initGrid(3);
    int next = 1;
    grid.init(0, 0);
    grid.init(1, 1).set(0, next++);
    var longest = grid.init(2, 3);
    for (int i = 0; i < 3; i++) {
      longest.set(i, next++);
    }
    var points = lists.initPoints(2);
    for (int i = 0; i < 2; i++) {
      points.get(i).setX(i + 1);
      points.get(i).setY(-i - 1);
    }
    var colours = lists.initColours(3);
    colours.set(0, Colour.BLUE);
    colours.set(1, Colour.RED);
    colours.set(2, Colour.GREEN);
  }

  /** All of the lists as a text, element by element. */
  private static String describe(Lists.Reader lists) {
    List<Object> bools = new ArrayList<>();
    for (int i = 0; i < lists.getBools().size(); i++) {
      bools.add(lists.getBools().get(i));
    }
    List<Object> bytes = new ArrayList<>();
    for (int i = 0; i < lists.getBytes().size(); i++) {
      bytes.add(Byte.toUnsignedInt(lists.getBytes().get(i)));
    }
    List<Object> longs = new ArrayList<>();
    for (int i = 0; i < lists.getLongs().size(); i++) {
      longs.add(lists.getLongs().get(i));
    }
    List<Object> texts = new ArrayList<>();
    lists.getTexts().forEach(text -> texts.add(text.toString()));
    List<Object> grid = new ArrayList<>();
    for (int i = 0; i < lists.getGrid().size(); i++) {
      List<Object> row = new ArrayList<>();
      for (int j = 0; j < lists.getGrid().get(i).size(); j++) {
        row.add(lists.getGrid().get(i).get(j));
      }
      grid.add(row);
    }
    List<Object> points = new ArrayList<>();
    lists.getPoints().forEach(point -> points.add("(" + point.getX() + ", " + point.getY() + ")"));
    List<Object> colours = new ArrayList<>();
    for (int i = 0; i < lists.getColours().size(); i++) {
      colours.add(lists.getColours().get(i));
    }
    return bools + " " + bytes + " " + longs + " " + texts + " " + grid + " " + points + " "
        + colours;
  }

  static void unions(Conformance.Client server) {
    is("a circle", shape(server, "c", shape -> shape.setCircle(2.5)), "c: circle 2.5");
    is(
        "a rectangle",
        shape(
            server,
            "r",
            shape -> {
              shape.initRectangle().setWidth(3);
              shape.getRectangle().setHeight(4);
            }),
        "r: rectangle 3.0 x 4.0");
    is(
        "a polygon",
        shape(
            server,
            "p",
            shape -> {
              var points = shape.initPolygon(2);
              points.get(0).setX(1);
              points.get(1).setY(-1);
            }),
        "p: polygon (1, 0) (0, -1)");
    is("nothing", shape(server, "n", Shape.Builder::setNothing), "n: nothing");
  }

  private static String shape(
      Conformance.Client server, String name, Consumer<Shape.Builder> fill) {
    var response =
        server.shape(
            params -> {
              Shape.Builder shape = params.initValue();
              shape.setName(name);
              shape.getBorder().setWidth((short) 65_535);
              shape.getBorder().setColour(Colour.GREEN);
              fill.accept(shape);
            });
    Shape.Reader shape = response.get().getValue();
    is("the border's width", Short.toUnsignedInt(shape.getBorder().getWidth()), 65_535);
    is("the border's colour", shape.getBorder().getColour(), Colour.GREEN);
    return shape.getName() + ": " + describe(shape);
  }

  private static String describe(Shape.Reader shape) {
    return switch (shape.which()) {
      case CIRCLE -> "circle " + shape.getCircle();
      case RECTANGLE ->
          "rectangle " + shape.getRectangle().getWidth() + " x " + shape.getRectangle().getHeight();
      case POLYGON -> {
        StringBuilder points = new StringBuilder("polygon");
        shape.getPolygon().forEach(p -> points.append(" (%d, %d)".formatted(p.getX(), p.getY())));
        yield points.toString();
      }
      case NOTHING -> "nothing";
      case _NOT_IN_SCHEMA -> "unknown";
    };
  }

  static void defaults(Conformance.Client server) {
    Defaults.Reader value = server.defaults().get().getValue();
    is("flag", value.getFlag(), true);
    is("number", value.getNumber(), -123);
    is("ratio", value.getRatio(), 0.5);
    is("word", value.getWord().toString(), "shipmate");
    isSame("bytes", value.getBytes().toArray(), new byte[] {1, 2, 3});
    is("colour", value.getColour(), Colour.BLUE);
    List<Object> primes = new ArrayList<>();
    for (int i = 0; i < value.getPrimes().size(); i++) {
      primes.add((int) value.getPrimes().get(i));
    }
    is("primes", primes, List.of(2, 3, 5, 7));
    is("point", List.of(value.getPoint().getX(), value.getPoint().getY()), List.of(3, -4));
  }
}
