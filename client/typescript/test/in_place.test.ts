/** Messages in shared memory, which nothing copies. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import {
  Disconnected,
  type LentMessage,
  LimitError,
  MessageListener,
  type Receiver,
  Sender,
  type Tier,
} from "shipmate";
import { NewerRecord, OlderRecord } from "../samples/schema/conformance.js";
import { Record } from "../samples/schema/record.js";
import { encodeFrame } from "../src/frame.js";
import { Library } from "../src/native/library.js";
import { MessageBuilder, type Struct, type StructCtor } from "../src/serial.js";
import { errorOf, folder, library, until } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };
const LARGE = 1 << 20;
/** Node 22 and later take the memory away from an `ArrayBuffer`. */
const DETACHES = "transfer" in ArrayBuffer.prototype;

process.env.SHIPMATE_LIBRARY = library();
const native = await Library.get();

const pair = (t: TestContext, sends: Tier, receives: Tier) => pairOf(t, sends, receives, Record, Record);

/** A sender and its receiver over shared memory, which end with the test. */
async function pairOf<S extends Struct, R extends Struct>(
  t: TestContext,
  sends: Tier,
  receives: Tier,
  Sent: StructCtor<S>,
  Received: StructCtor<R>,
): Promise<[Sender<S>, Receiver<R>]> {
  using listener = await MessageListener.bind(`shm:${folder(t)}/r`, { tier: receives, spinMicros: 10 });
  const accepted = listener.accept(Received);
  const sender = await Sender.connect(listener.address, Sent, { tier: sends });
  const receiver = await accepted;
  t.after(async () => {
    await receiver.close();
    await sender.finish().catch((error) => assert.ok(error instanceof Disconnected));
  });
  return [sender, receiver];
}

async function next<T extends Struct>(receiver: Receiver<T>): Promise<LentMessage<T>> {
  return (await receiver.receiveLent()) ?? assert.fail("a message was expected");
}

const bytesOf = ({ root }: LentMessage<Record>) => root.body.bytes.toUint8Array();
const message = (value: number, size = LARGE) => ({
  value: BigInt(value),
  body: { bytes: new Uint8Array(size).fill(value) },
});

/** The mapping that memory is in. */
function mappingOf({ buffer, byteOffset, byteLength }: Uint8Array): { isFile: boolean; isReadOnly: boolean } {
  const start = native.addressOf(buffer as ArrayBuffer) + BigInt(byteOffset);
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\n")) {
    const [, from, to, mode, path] = /^(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
    if (start < BigInt(`0x${from}`) || start >= BigInt(`0x${to}`)) continue;
    assert.ok(start + BigInt(byteLength) <= BigInt(`0x${to}`));
    return { isFile: path?.startsWith("/memfd:") ?? false, isReadOnly: mode?.startsWith("r--") ?? false };
  }
  return assert.fail("nowhere");
}

for (const [sends, receives, size, isInPlace] of [
  ["trusted", "trusted", LARGE, true],
  ["sealed", "trusted", 5 * LARGE, true],
  ["copy", "trusted", LARGE, false],
  ["trusted", "copy", LARGE, false],
] as const) {
  test(`sent as ${sends} and received as ${receives}`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, sends, receives);
    for (let value = 0; value < 5; value++) {
      await sender.send(message(value, size));
      using received = await next(receiver);
      const bytes = bytesOf(received);
      assert.equal(mappingOf(bytes).isFile, isInPlace);
      if (isInPlace) assert.ok(mappingOf(bytes).isReadOnly);
      assert.ok(bytes.every((byte) => byte === value));
    }
    await sender.send(message(9));
    const copied = (await receiver.receive())?.body.bytes.toUint8Array();
    assert.equal(mappingOf(copied ?? assert.fail()).isFile, false);
  });
}

test("a loan is the memory that the receiver sees", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  const loan = await sender.loan(LARGE);
  assert.ok(mappingOf(loan.memory).isFile);
  loan.root.body
    ._initBytes(LARGE / 2)
    .toUint8Array()
    .fill(7);
  const { memory } = loan;
  await loan.publish();
  if (DETACHES) assert.equal(memory.byteLength, 0);
  using received = await next(receiver);
  assert.ok(mappingOf(bytesOf(received)).isFile);
  assert.ok(bytesOf(received).every((byte) => byte === 7));
});

test("what does not fit into a loan goes on elsewhere", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  const loan = await sender.loan(64 << 10);
  loan.root.name = "before";
  loan.root.body._initBytes(LARGE).toUint8Array().fill(7);
  await loan.publish();
  using received = await next(receiver);
  assert.equal(received.root.name, "before");
  assert.ok(bytesOf(received).every((byte) => byte === 7));
});

test("a loan that is filled with bytes, and ones that are not sent", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  const builder = new MessageBuilder();
  builder.initRoot(Record).name = "n".repeat(50_000);
  const [, segment] = encodeFrame(builder);
  const bytes = segment ?? assert.fail();

  (await sender.loan(LARGE)).cancel();
  {
    using forgotten = await sender.loan(LARGE);
    forgotten.root.name = "never sent";
  }
  const loan = await sender.loan(bytes.byteLength + 1000);
  assert.throws(() => loan.memory.set(new Uint8Array(2 * loan.memory.byteLength)), RangeError);
  loan.memory.set(bytes);
  await assert.rejects(loan.publish({ usedBytes: 2 * loan.memory.byteLength }), RangeError);
  await loan.publish({ usedBytes: bytes.byteLength });
  using received = await next(receiver);
  assert.equal(received.root.name, "n".repeat(50_000));
  assert.deepEqual(
    received.segments.map(({ byteLength }) => byteLength),
    [bytes.byteLength],
  );
  const late = await sender.loan(LARGE);
  await sender.finish();
  await assert.rejects(late.publish(), Disconnected);
  assert.ok((await errorOf(sender.loan(8))) instanceof Disconnected);
});

test("a loan that is too large", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  assert.ok((await errorOf(sender.loan(65 << 20))) instanceof LimitError);
  await sender.send({ name: "small" });
  assert.equal((await receiver.receive())?.name, "small");
});

test("what was released cannot be used", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  await sender.send(message(1));
  const received = await next(receiver);
  const [segment] = received.segments;
  const { root } = received;
  assert.equal(root.value, 1n);
  received.release();
  assert.throws(() => root.value, /the message was released/);
  if (DETACHES) assert.equal(segment?.byteLength, 0);
});

test("reading in place writes nothing there", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  await sender.send({ name: "n".repeat(50_000), body: { none: true } });
  using received = await next(receiver);
  const before = received.segments.map((segment) => segment.slice());
  const { tags, position, readings, name } = received.root;
  assert.deepEqual([tags.length, readings.length, position.latitude, name.length], [0, 0, 0, 50_000]);
  assert.deepEqual(received.segments, before);
  assert.ok(mappingOf(received.segments[0] ?? assert.fail()).isReadOnly);

  const [older, newer] = await pairOf(t, "trusted", "trusted", OlderRecord, NewerRecord);
  await older.send({ name: "n".repeat(50_000), value: 3n });
  using record = await next(newer);
  const { unit, weight, value } = record.root;
  assert.deepEqual([unit, weight, value, record.root.tags.length], ["metre", 1.5, 3n, 0]);
  assert.equal(record.root.name, "n".repeat(50_000));
  // What is changed is a copy.
  record.root.value = 4n;
  assert.equal(record.root.value, 4n);
});

test("what goes back is used again, also when it was forgotten", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  for (const isForgotten of [false, true]) {
    const places = new Set<bigint>();
    for (let value = 0; value < 40; value++) {
      await sender.send(message(value));
      const place = await (async () => {
        const received = await next(receiver);
        const { buffer } = received.segments[0] ?? assert.fail();
        assert.equal(received.root.value, BigInt(value));
        const place = native.addressOf(buffer as ArrayBuffer);
        if (!isForgotten) received.release();
        return place;
      })();
      places.add(place);
      if (isForgotten) {
        globalThis.gc?.();
        await new Promise(setImmediate);
      }
    }
    assert.ok(places.size < 20, `${places.size} places, ${isForgotten ? "forgotten" : "released"}`);
  }
});

test("what is held stays as it was, also when both sides are closed", TIMEOUT, async (t) => {
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  const held: LentMessage<Record>[] = [];
  for (let value = 0; value < 8; value++) {
    await sender.send(message(value));
    held.push(await next(receiver));
  }
  await sender.finish();
  assert.equal(await receiver.receiveLent(), undefined);
  await receiver.close();
  for (const [value, received] of held.entries()) assert.ok(bytesOf(received).every((byte) => byte === value));
  for (const received of held) received.release();
});

test("nothing is left over", TIMEOUT, async (t) => {
  const open = () =>
    readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter((line) => line.includes("memfd:")).length;
  const before = open();
  const [sender, receiver] = await pair(t, "trusted", "trusted");
  await sender.send(message(1));
  (await next(receiver)).release();
  await sender.finish();
  await receiver.close();
  await until(() => open() <= before);
});

test("a tier that there is none of", TIMEOUT, async (t) => {
  const tier = "nonsense" as Tier;
  const address = `shm:${folder(t)}/r`;
  await assert.rejects(Sender.connect(address, Record, { tier }), /copy, sealed, trusted/);
  await assert.rejects(MessageListener.bind(address, { tier }), /copy, sealed, trusted/);
});
