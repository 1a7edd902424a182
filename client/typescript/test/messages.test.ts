/** Messages to and from this package and the command line, over every address. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Deadline, Disconnected, LimitError, MessageListener, type Receiver, Sender, Unreachable } from "shipmate";
import { Record } from "../samples/schema/record.js";
import { DIST, errorOf, folder, library, lineOf, outputOf, program, start } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };
const MIB = 1 << 20;

process.env.SHIPMATE_LIBRARY = library();

/** Where to listen. */
const PLACES: [string, (t: TestContext) => string][] = [
  ["tcp", () => "tcp:127.0.0.1:0"],
  ...["unix:", "unix:@", "pipe:", "shm:", "auto:"].map((scheme): [string, (t: TestContext) => string] => [
    scheme.replace(":@", ", abstract").replace(":", ""),
    (t) => `${scheme}${join(folder(t), "r")}`,
  ]),
];

/** A sender and its receiver, which end with the test. */
async function pair(t: TestContext, at: string, limits = {}): Promise<[Sender<Record>, Receiver<Record>]> {
  using listener = await MessageListener.bind(at);
  const accepted = listener.accept(Record, limits);
  const sender = await Sender.connect(listener.address, Record);
  const receiver = await accepted;
  t.after(async () => {
    await receiver.close();
    // It may have had something to say to a receiver that is gone.
    await sender.finish().catch((error) => assert.ok(error instanceof Disconnected));
  });
  return [sender, receiver];
}

/** A running `shipmate recv`, and where it is. */
async function commandAt(t: TestContext, at: string): Promise<[ReturnType<typeof start>, string]> {
  const command = start(t, program("shipmate"), ["recv", at]);
  // At a pipe it says nothing, and its sender waits for it.
  return [command, at.startsWith("pipe:") ? at : await lineOf(command.stderr, /listening at (\S+)/)];
}

const large = (value: number) => ({ value: BigInt(value), body: { bytes: new Uint8Array(MIB).fill(value) } });

for (const [transport, at] of PLACES) {
  test(`there and back (${transport})`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, at(t));
    for (let value = 0; value < 5; value++) {
      await sender.send({ name: "depth", value: BigInt(value), tags: ["harbour", "船"] });
      const message = await receiver.receive();
      assert.deepEqual(
        [message?.name, message?.value, ...(message?.tags ?? [])],
        ["depth", BigInt(value), "harbour", "船"],
      );
    }
    for (let value = 0; value < 5; value++) {
      const sent = sender.send(large(value));
      const message = await receiver.receive();
      await sent;
      assert.ok(message?.body.bytes.toUint8Array().every((byte) => byte === value));
    }
    await sender.finish();
    assert.equal(await receiver.receive(), undefined);
    assert.equal(await receiver.receive(), undefined);
  });

  test(`a loan, and a message that is lent (${transport})`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, at(t));
    const loan = await sender.loan(MIB);
    loan.root.body
      ._initBytes(MIB / 2)
      .toUint8Array()
      .fill(7);
    const published = loan.publish();
    const message = (await receiver.receiveLent()) ?? assert.fail("a message was expected");
    await published;
    assert.throws(() => loan.root.name, /the loan has ended/);
    await assert.rejects(loan.publish(), /the loan has ended/);
    assert.ok(message.root.body.bytes.toUint8Array().every((byte) => byte === 7));
    assert.equal(message.root.tags.length, 0);
    const { root } = message;
    message.release();
    message.release();
    assert.throws(() => root.name, /the message was released/);
    assert.throws(() => root.body.bytes.toUint8Array(), /the message was released/);
  });

  test(`to shipmate recv (${transport})`, TIMEOUT, async (t) => {
    const [command, address] = await commandAt(t, at(t));
    const output = outputOf(command);
    await using sender = await Sender.connect(address, Record);
    for (const value of [1n, 2n, 3n]) await sender.send({ name: "wind", value });
    await sender.finish();
    const { lines, code } = await output;
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).value),
      [1, 2, 3],
    );
    assert.equal(code, 0);
  });

  test(`from shipmate send (${transport})`, TIMEOUT, async (t) => {
    using listener = await MessageListener.bind(at(t));
    const command = start(t, program("shipmate"), ["send", listener.address]);
    command.stdin.end('{"name": "depth", "value": 42}\n{"name": "wind", "tags": ["a", "b"]}\n');
    const output = outputOf(command);
    const received: unknown[] = [];
    for await (const { name, value, tags } of await listener.accept(Record)) received.push([name, value, ...tags]);
    assert.deepEqual(received, [
      ["depth", 42n],
      ["wind", 0n, "a", "b"],
    ]);
    assert.equal((await output).code, 0);
  });

  test(`a slow receiver holds its sender back, and nothing else (${transport})`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, at(t));
    let sent = 0;
    const sending = (async () => {
      for (let value = 0; value < 64; value++) {
        await sender.send(large(value));
        sent++;
      }
    })();
    for (let value = 0; value < 64; value++) {
      // Files are read by threads of Node's, and the event loop.
      assert.ok((await readFile(`${DIST}test/messages.test.js`)).length > 0);
      assert.equal((await receiver.receive())?.value, BigInt(value));
      assert.ok(sent <= value + 16, `${sent} messages are under way after ${value}`);
    }
    await sending;
  });

  test(`a receiver that dies (${transport})`, TIMEOUT, async (t) => {
    const [command, address] = await commandAt(t, at(t));
    const sender = await Sender.connect(address, Record);
    await sender.send({ name: "before" });
    await lineOf(command.stdout, /before/);
    command.kill("SIGKILL");
    const dead = (async () => {
      for (;;) await sender.send(large(1));
    })();
    await assert.rejects(dead, Disconnected);
    await sender.finish();
  });

  test(`a sender that dies in the middle of a message, and what waits (${transport})`, TIMEOUT, async (t) => {
    using listener = await MessageListener.bind(at(t));
    const program = `
      import { Sender } from "shipmate";
      import { Record } from "${DIST}samples/schema/record.js";
      const sender = await Sender.connect(${JSON.stringify(listener.address)}, Record);
      await sender.send({ name: "before" });
      sender.send({ body: { bytes: new Uint8Array(32 << 20) } });
      setTimeout(() => {}, 1e6);`;
    const child = start(t, process.execPath, ["--input-type=module", "--eval", program]);
    const receiver = await listener.accept(Record);
    assert.equal((await receiver.receive())?.name, "before", child.said());
    child.kill("SIGKILL");
    // Over shared memory all of it may have been handed over.
    const next = await receiver
      .receive()
      .then((message) => message && receiver.receive())
      .catch((error) => error);
    assert.ok(next === undefined || next instanceof Disconnected);
    await receiver.close();
  });

  test(`limits (${transport})`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, at(t), { frameBytesMax: 10_000 });
    const refused = await errorOf(sender.send({ body: { bytes: new Uint8Array(64 << 20) } }));
    assert.ok(refused instanceof LimitError);
    assert.equal(refused.limit, "frameBytesMax");
    await sender.send({ name: "small" });
    assert.equal((await receiver.receive())?.name, "small");
    await sender.send({ body: { bytes: new Uint8Array(10_000) } });
    const seen = await errorOf(receiver.receive());
    assert.ok(seen instanceof Disconnected);
    assert.match(seen.reason, /at most 10000 are accepted/);
  });

  test(`who stops waiting loses nothing (${transport})`, TIMEOUT, async (t) => {
    using listener = await MessageListener.bind(at(t));
    if (transport !== "pipe") {
      await assert.rejects(listener.accept(Record, { deadlineMillis: 5 }), Deadline);
    }
    const accepted = listener.accept(Record);
    await using sender = await Sender.connect(listener.address, Record);
    const receiver = await accepted;
    for (let value = 0n; value < 20n; value++) {
      const late = receiver.receive({ deadlineMillis: 1 });
      await assert.rejects(late, Deadline);
      const controller = new AbortController();
      const aborted = receiver.receive({ signal: controller.signal });
      const sent = sender.send({ value });
      controller.abort(new Error("changed my mind"));
      await assert.rejects(aborted, /changed my mind/);
      await assert.rejects(receiver.receive({ signal: controller.signal }), /changed my mind/);
      assert.equal((await receiver.receive())?.value, value);
      await sent;
    }
    await receiver.close();
    await sender.finish().catch(() => {});
  });

  test(`several who wait get theirs in order (${transport})`, TIMEOUT, async (t) => {
    const [sender, receiver] = await pair(t, at(t));
    const received = [receiver.receive(), receiver.receive(), receiver.receive()];
    for (const value of [1n, 2n, 3n]) await sender.send({ value });
    assert.deepEqual(
      (await Promise.all(received)).map((message) => message?.value),
      [1n, 2n, 3n],
    );
  });

  test(`closing ends what waits (${transport})`, TIMEOUT, async (t) => {
    const listener = await MessageListener.bind(at(t));
    const accepted = listener.accept(Record);
    const sender = await Sender.connect(listener.address, Record);
    const receiver = await accepted;
    const waiting = [receiver.receive(), ...(transport === "pipe" ? [] : [listener.accept(Record)])];
    const ended = Promise.allSettled(waiting);
    await receiver.close();
    listener.close();
    for (const end of await ended) assert.ok(end.status === "rejected" && end.reason instanceof Disconnected);
    await assert.rejects(receiver.receive(), Disconnected);
    await assert.rejects(listener.accept(Record), Disconnected);
    await sender.finish().catch(() => {});
    await assert.rejects(sender.send({}), Disconnected);
  });

  test(`nobody receives (${transport})`, TIMEOUT, async (t) => {
    const nobody = transport === "tcp" ? "tcp:127.0.0.1:1" : at(t);
    await assert.rejects(Sender.connect(nobody, Record, { timeoutMillis: 100 }), Unreachable);
  });
}

test("many who wait hold up nobody", TIMEOUT, async (t) => {
  const pairs = await Promise.all(Array.from({ length: 12 }, () => pair(t, `shm:${folder(t)}/r`)));
  const received = pairs.map(([, receiver]) => receiver.receive());
  assert.ok((await readFile(`${DIST}test/messages.test.js`)).length > 0);
  for (const [index, [sender]] of [...pairs.entries()].reverse()) await sender.send({ value: BigInt(index) });
  for (const [index, message] of (await Promise.all(received)).entries()) assert.equal(message?.value, BigInt(index));
});

test("a program ends although a receiver does not read", TIMEOUT, async (t) => {
  using listener = await MessageListener.bind(`shm:${folder(t)}/r`);
  const program = `
    import { Sender } from "shipmate";
    import { Record } from "${DIST}samples/schema/record.js";
    const sender = await Sender.connect(${JSON.stringify(listener.address)}, Record);
    sender.send({ body: { bytes: new Uint8Array(32 << 20) } });
    process.stdin.once("data", () => process.exit(3));
    console.log("ready");`;
  const child = start(t, process.execPath, ["--input-type=module", "--eval", program]);
  const receiver = await listener.accept(Record);
  await lineOf(child.stdout, /ready/);
  child.stdin.write("\n");
  assert.equal((await outputOf(child)).code, 3);
  await receiver.close();
});
