/** Values of every type, which come back as they were sent. */

import type { Init } from "shipmate";
import {
  Colour,
  type Conformance,
  type Lists,
  type Point,
  type Primitives,
  type Shape,
  Shape_Which,
} from "../samples/schema/conformance.js";
import { is, isSame } from "./expect.js";

interface Numbers {
  bool: boolean;
  int8: number;
  int16: number;
  int32: number;
  int64: bigint;
  uint8: number;
  uint16: number;
  uint32: number;
  uint64: bigint;
  float32: number;
  float64: number;
}

const BETWEEN: Numbers = {
  bool: true,
  int8: -12,
  int16: -1234,
  int32: -123_456_789,
  int64: -1_234_567_890_123_456_789n,
  uint8: 200,
  uint16: 54_321,
  uint32: 4_000_000_000,
  uint64: 12_345_678_901_234_567_890n,
  float32: 1.5,
  float64: -1.25e-300,
};

const LEAST: Numbers = {
  bool: false,
  int8: -(2 ** 7),
  int16: -(2 ** 15),
  int32: -(2 ** 31),
  int64: -(2n ** 63n),
  uint8: 0,
  uint16: 0,
  uint32: 0,
  uint64: 0n,
  float32: -Infinity,
  float64: -Infinity,
};

const GREATEST: Numbers = {
  bool: true,
  int8: 2 ** 7 - 1,
  int16: 2 ** 15 - 1,
  int32: 2 ** 31 - 1,
  int64: 2n ** 63n - 1n,
  uint8: 2 ** 8 - 1,
  uint16: 2 ** 16 - 1,
  uint32: 2 ** 32 - 1,
  uint64: 2n ** 64n - 1n,
  float32: Infinity,
  float64: Infinity,
};

export async function primitives(server: Conformance): Promise<void> {
  const echo = async (value: Numbers) => readNumbers((await server.primitives({ value })).value);
  is("values in between", await echo(BETWEEN), BETWEEN);

  const extremes = await server.extremes();
  is("the least", readNumbers(extremes.least), LEAST);
  is("the greatest", readNumbers(extremes.greatest), GREATEST);
  is("the least, echoed", await echo(LEAST), LEAST);
  is("the greatest, echoed", await echo(GREATEST), GREATEST);

  const nan = { ...BETWEEN, float32: Number.NaN, float64: Number.NaN };
  is("with NaN", await echo(nan), nan);
}

function readNumbers(from: Primitives): Numbers {
  const { bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64 } = from;
  return { bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64 };
}

export async function text(server: Conformance): Promise<void> {
  const everyPlane = Array.from({ length: 17 }, (_, plane) => String.fromCodePoint((plane << 16) + 0x1041)).join("");
  const texts = [
    "",
    "Ahoy!",
    "naïve, Ωμέγα, 船, 🚢",
    everyPlane,
    "before\0after",
    "x".repeat(1000),
    "船".repeat(33_333),
    "x".repeat(100_000),
  ];
  for (const sent of texts) {
    const { value, bytes } = await server.text({ value: sent });
    isSame("a text", value, sent);
    is("its bytes", bytes, Buffer.byteLength(sent));
  }
}

export async function data(server: Conformance): Promise<void> {
  const long = Uint8Array.from({ length: 100_000 }, (_, n) => n * 7 + 3);
  for (const sent of [new Uint8Array(), Uint8Array.from({ length: 256 }, (_, n) => n), long]) {
    const { value, sum } = await server.data({ value: sent });
    isSame("the data", value.toUint8Array(), sent);
    is(
      "their sum",
      sum,
      sent.reduce((sum, byte) => sum + byte, 0),
    );
  }
}

export async function lists(server: Conformance): Promise<void> {
  const none = { bools: [], bytes: [], longs: [], texts: [], grid: [], points: [], colours: [] };
  const full = {
    bools: [true, false, true, true, false, false, true, false, true],
    bytes: [0, 1, 127, 128, 255],
    longs: [-(2n ** 63n), -1n, 0n, 1n, 2n ** 63n - 1n],
    texts: ["", "one", "zwei", "三"],
    grid: [[1], [], [2, -3, 2 ** 31 - 1], [-(2 ** 31), 5]],
    points: [
      { x: 1, y: 2 },
      { x: -3, y: 4 },
      { x: -(2 ** 31), y: 2 ** 31 - 1 },
    ],
    colours: [Colour.BLUE, Colour.RED, Colour.GREEN, Colour.BLUE],
  };
  for (const sent of [none, full]) {
    const { value } = await server.lists({ value: sent as Init<Lists> });
    const seen = {
      bools: [...value.bools],
      bytes: [...value.bytes],
      longs: [...value.longs],
      texts: [...value.texts],
      grid: value.grid.map((row) => [...row]),
      points: value.points.map(readPoint),
      colours: [...value.colours],
    };
    is("the lists", seen, sent as typeof seen);
  }
}

/** Each arm of a union, beside a group that has nothing to do with it. */
export async function unions(server: Conformance): Promise<void> {
  const points = [
    { x: 0, y: 0 },
    { x: 7, y: 0 },
    { x: 0, y: -7 },
  ];
  const forms = [{ circle: 2.5 }, { rectangle: { width: 3, height: 0.25 } }, { polygon: points }, { nothing: true }];
  for (const form of forms) {
    const sent = { name: `a ${Object.keys(form)}`, ...form, border: { width: 7, colour: Colour.GREEN } };
    const { value } = await server.shape({ value: sent as Init<Shape> });
    const { width, colour } = value.border;
    is("the shape", { name: value.name, ...readForm(value), border: { width, colour } }, sent);
  }
}

function readForm(shape: Shape): object {
  switch (shape.which()) {
    case Shape_Which.CIRCLE:
      return { circle: shape.circle };
    case Shape_Which.RECTANGLE:
      return { rectangle: { width: shape.rectangle.width, height: shape.rectangle.height } };
    case Shape_Which.POLYGON:
      return { polygon: shape.polygon.map(readPoint) };
    case Shape_Which.NOTHING:
      return { nothing: true };
    default:
      return { unknown: shape.which() };
  }
}

function readPoint({ x, y }: Point): { x: number; y: number } {
  return { x, y };
}

export async function defaults(server: Conformance): Promise<void> {
  const { value } = await server.defaults();
  is("flag", value.flag, true);
  is("number", value.number, -123);
  is("ratio", value.ratio, 0.5);
  is("word", value.word, "shipmate");
  is("bytes", [...value.bytes], [1, 2, 3]);
  is("colour", value.colour, Colour.BLUE);
  is("primes", [...value.primes], [2, 3, 5, 7]);
  is("point", readPoint(value.point), { x: 3, y: -4 });
}
