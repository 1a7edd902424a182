import assert from "node:assert/strict";
import { test } from "node:test";
import { Record } from "../samples/schema/record.js";
import { encodeFrame, FrameDecoder, FrameError } from "../src/frame.js";
import { DEFAULT_LIMITS } from "../src/limits.js";
import { MessageBuilder } from "../src/serial.js";

function frame(segments: number[][], lengths = segments.map((words) => words.length)): Uint8Array {
  const table = [segments.length - 1, ...lengths, ...(segments.length % 2 === 0 ? [0] : [])];
  return new Uint8Array([
    ...new Uint8Array(Uint32Array.from(table).buffer),
    ...segments.flatMap((words) => [...new Uint8Array(BigUint64Array.from(words.map(BigInt)).buffer)]),
  ]);
}

function words(segments: ArrayBuffer[] | undefined): number[][] | undefined {
  return segments?.map((segment) => [...new BigUint64Array(segment)].map(Number));
}

test("frames come out whole, however their bytes come in", () => {
  const frames = [[[1]], [[1, 2], [3]], [[], [4], [5, 6, 7]]];
  const bytes = new Uint8Array(frames.flatMap((segments) => [...frame(segments)]));
  for (let step = 1; step <= bytes.length; step++) {
    const decoder = new FrameDecoder(DEFAULT_LIMITS);
    const seen: (number[][] | undefined)[] = [];
    for (let at = 0; at < bytes.length; at += step) {
      decoder.push(bytes.subarray(at, at + step));
      for (let next = decoder.next(); next !== undefined; next = decoder.next()) seen.push(words(next));
    }
    assert.deepEqual(seen, frames, `in steps of ${step}`);
    assert.equal(decoder.isInside, false);
  }
});

test("an end inside a frame is seen as such", () => {
  const bytes = frame([[1, 2, 3]]);
  for (let length = 1; length < bytes.length; length++) {
    const decoder = new FrameDecoder(DEFAULT_LIMITS);
    decoder.push(bytes.subarray(0, length));
    assert.equal(decoder.next(), undefined);
    assert.equal(decoder.isInside, true, `after ${length} bytes`);
  }
});

test("the limits hold before anything is allocated", () => {
  const limits = { ...DEFAULT_LIMITS, frameBytesMax: 64, segmentsMax: 3 };
  const decode = (bytes: Uint8Array) => {
    const decoder = new FrameDecoder(limits);
    decoder.push(bytes);
    return decoder.next();
  };
  assert.ok(decode(frame([[1, 2, 3, 4, 5, 6, 7]])));
  assert.throws(() => decode(frame([[1, 2, 3, 4, 5, 6, 7, 8]])), FrameError);
  assert.throws(() => decode(frame([[]], [0xffffffff])), FrameError);
  assert.throws(() => decode(frame([[], [], [], []])), FrameError);
  assert.throws(() => decode(new Uint8Array(4).fill(0xff)), FrameError);
});

test("what is encoded is decoded", () => {
  const message = new MessageBuilder();
  message.initRoot(Record).name = "x".repeat(100_000);
  const decoder = new FrameDecoder(DEFAULT_LIMITS);
  for (const part of encodeFrame(message)) decoder.push(part);
  assert.equal(decoder.next()?.[0]?.byteLength, message.getSegment(0).byteLength);
});
