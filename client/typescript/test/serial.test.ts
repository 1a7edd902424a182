/** What is mended in capnp-es, and structs from plain objects. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "shipmate";
import { Record } from "../samples/schema/record.js";
import { encodeFrame, FrameDecoder } from "../src/frame.js";
import { DEFAULT_LIMITS } from "../src/limits.js";
import { MessageBuilder, MessageReader, Pointer, utils } from "../src/serial.js";
import { Twice } from "./generated/unusual.js";

function received(message: MessageBuilder, limits = DEFAULT_LIMITS): MessageReader {
  const decoder = new FrameDecoder(limits);
  for (const part of encodeFrame(message)) decoder.push(part);
  return new MessageReader(decoder.next() ?? assert.fail("a whole frame was expected"), limits);
}

test("setting a field again harms nothing else", () => {
  const message = new MessageBuilder();
  const twice = message.initRoot(Twice);
  for (const [round, size] of [3, 40, 2, 500, 0, 7].entries()) {
    twice.before = `before ${round}`;
    twice.text = "t".repeat(size);
    twice._initData(size).copyBuffer(new Uint8Array(size).fill(7));
    twice._initNumbers(size).fill(round);
    const points = twice._initPoints(size + 1);
    for (let index = 0; index <= size; index++) {
      points.get(index).x = -1n - BigInt(index);
      points.get(index).label = `label ${index}`;
    }
    twice._initPoint().label = `point ${round}`;
    const texts = twice._initTexts(2);
    for (const text of ["one", "another", "last"]) for (const index of [0, 1]) texts.set(index, `${text} ${index}`);
    twice.after = `after ${round}`;

    const seen = received(message).getRoot(Twice);
    assert.equal(seen.before, `before ${round}`);
    assert.equal(seen.text, "t".repeat(size));
    assert.deepEqual([...seen.data], Array(size).fill(7));
    assert.deepEqual([...seen.numbers], Array(size).fill(round));
    assert.equal(seen.points.length, size + 1);
    for (const [index, point] of seen.points.entries()) {
      assert.deepEqual([point.x, point.label], [-1n - BigInt(index), `label ${index}`]);
    }
    assert.equal(seen.point.label, `point ${round}`);
    assert.deepEqual([...seen.texts], ["last 0", "last 1"]);
    assert.equal(seen.after, `after ${round}`);
  }
});

test("a text keeps its byte order mark", () => {
  const texts = ["\uFEFF", "\uFEFFmark", "no mark", ""];
  const message = received(build(Twice, { text: "\uFEFFmark", texts }).segment.message as MessageBuilder);
  assert.equal(message.getRoot(Twice).text, "\uFEFFmark");
  assert.deepEqual([...message.getRoot(Twice).texts], texts);
});

test("the default of an Int32 has 32 bits", () => {
  const message = new MessageBuilder();
  const struct = message.initRoot(Twice);
  assert.equal(struct.depth, -70_000);
  for (const depth of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
    struct.depth = depth;
    assert.equal(received(message).getRoot(Twice).depth, depth);
  }
});

test("a message grows without being copied for every page", () => {
  const message = new MessageBuilder();
  const { length } = message.initRoot(Record)._initTags(100_000);
  let segments = 0;
  message.allocateSegment = (bytes) => {
    segments++;
    return MessageBuilder.prototype.allocateSegment.call(message, bytes);
  };
  const tags = message.getRoot(Record).tags;
  for (let index = 0; index < length; index++) tags.set(index, "a tag");
  assert.ok(segments < 10, `${segments} times`);
  assert.equal(received(message).getRoot(Record).tags.at(99_999), "a tag");
});

test("reading takes no more memory than allowed, and does not nest deeper", () => {
  // A list of a million structs that take no room, to be widened to those that the schema has.
  const message = new MessageBuilder();
  message.initRoot(Twice);
  const points = utils.getPointer(4, message.getRoot(Twice));
  const tag = points.segment.allocate(8);
  tag.segment.setUint32(tag.byteOffset, 1_000_000 << 2);
  const list = utils.initPointer(tag.segment, tag.byteOffset, points);
  list.pointer.segment.setUint32(list.pointer.byteOffset, (list.offsetWords << 2) | 1);
  list.pointer.segment.setUint32(list.pointer.byteOffset + 4, 7);
  const limits = { ...DEFAULT_LIMITS, readingBytesMax: 1 << 20 };
  assert.throws(() => received(message, limits).getRoot(Twice).points, RangeError);

  const deep = new MessageBuilder();
  let pointer = new Pointer(deep.getSegment(0), 0);
  for (let depth = 0; depth < 100; depth++) {
    const list = pointer.segment.allocate(8);
    const made = utils.initPointer(list.segment, list.byteOffset, pointer);
    utils.setListPointer(made.offsetWords, 6, 1, made.pointer);
    pointer = new Pointer(list.segment, list.byteOffset);
  }
  assert.throws(() => utils.copyFrom(new Pointer(received(deep).getSegment(0), 0, 64), target()), /[Nn]esting/);
});

function target(): Pointer {
  return new Pointer(new MessageBuilder().getSegment(0), 0);
}

test("a misspelt field is an error", () => {
  assert.throws(() => build(Record, { nmae: "x" } as object), /no field "nmae"/);
  const byFunction = build(Record, (record) => {
    record.name = "set";
  });
  assert.equal(byFunction.name, "set");
});
