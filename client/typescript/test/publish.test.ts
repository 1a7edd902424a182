/** One to many. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { AddressError, Deadline, Disconnected, LimitError, Publisher, Subscriber, Unreachable } from "shipmate";
import { Record } from "../samples/schema/record.js";
import { errorOf, folder, library, lineOf, outputOf, program, start, until } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };

process.env.SHIPMATE_LIBRARY = library();

test("who blocks gets all, and who loses knows how many", TIMEOUT, async (t) => {
  await using publisher = await Publisher.bind(`shm:${folder(t)}/p`, Record, { ringBytes: 1 << 16 });
  const blocking = await Subscriber.connect(publisher.address, Record, "block", { spinMicros: 10 });
  const losing = await Subscriber.connect(publisher.address, Record, "lose-oldest");
  await publisher.subscribed(2);
  const all = (async () => {
    const values: bigint[] = [];
    for await (const { value } of blocking) values.push(value);
    return values;
  })();
  const count = 1000;
  for (let value = 0; value < count; value++) await publisher.send({ value: BigInt(value), name: "n".repeat(1000) });
  await publisher.finish();
  assert.deepEqual(
    await all,
    Array.from({ length: count }, (_, value) => BigInt(value)),
  );
  assert.equal(blocking.lost, 0);
  let received = 0;
  let last = -1n;
  for await (const { value } of losing) {
    assert.ok(value > last);
    last = value;
    received++;
    assert.equal(losing.lost, Number(value) + 1 - received);
  }
  assert.equal(received + losing.lost, count);
  assert.ok(losing.lost > 0);
});

test("lent, and what a subscriber waits for", TIMEOUT, async (t) => {
  await using publisher = await Publisher.bind(`shm:${folder(t)}/p`, Record);
  await assert.rejects(publisher.subscribed(1, { deadlineMillis: 5 }), Deadline);
  await using subscriber = await Subscriber.connect(publisher.address, Record, "block");
  await publisher.subscribed(1);
  await assert.rejects(subscriber.receive({ deadlineMillis: 5 }), Deadline);
  await publisher.send({ name: "n".repeat(50_000) });
  using message = (await subscriber.receiveLent()) ?? assert.fail();
  assert.equal(message.root.name.length, 50_000);
  assert.equal(message.root.tags.length, 0);
});

test("to shipmate subscribe", TIMEOUT, async (t) => {
  await using publisher = await Publisher.bind(`shm:${folder(t)}/p`, Record);
  const commands = ["block", "lose-oldest"].map((policy) =>
    start(t, program("shipmate"), ["subscribe", publisher.address, "--policy", policy]),
  );
  const outputs = commands.map(outputOf);
  await publisher.subscribed(2);
  for (const value of [1n, 2n, 3n]) await publisher.send({ value });
  await publisher.finish();
  for (const output of outputs) {
    const { lines, code } = await output;
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).value),
      [1, 2, 3],
    );
    assert.equal(code, 0);
  }
});

test("from shipmate publish, which then dies", TIMEOUT, async (t) => {
  const command = start(t, program("shipmate"), ["publish", `shm:${folder(t)}/p`]);
  const address = await lineOf(command.stderr, /at (shm:\S+)/);
  const subscriber = await Subscriber.connect(address, Record, "block");
  command.stdin.write('{"name": "depth", "value": 42}\n{"name": "wind"}\n');
  assert.equal((await subscriber.receive())?.value, 42n);
  assert.equal((await subscriber.receive())?.name, "wind");
  const waiting = subscriber.receive();
  command.kill("SIGKILL");
  await assert.rejects(waiting, Disconnected);
  await subscriber.close();
});

test("from shipmate publish, which ends", TIMEOUT, async (t) => {
  const command = start(t, program("shipmate"), ["publish", `shm:${folder(t)}/p`]);
  const address = await lineOf(command.stderr, /at (shm:\S+)/);
  const subscriber = await Subscriber.connect(address, Record, "lose-oldest");
  command.stdin.end('{"name": "depth"}\n');
  const names: string[] = [];
  for await (const { name } of subscriber) names.push(name);
  assert.deepEqual(names, ["depth"]);
});

test("a subscriber that dies does not hold up the others", TIMEOUT, async (t) => {
  await using publisher = await Publisher.bind(`shm:${folder(t)}/p`, Record, { ringBytes: 1 << 14 });
  const command = start(t, program("shipmate"), ["subscribe", publisher.address]);
  await publisher.subscribed(1);
  command.kill("SIGSTOP");
  let sent = 0;
  const sending = (async () => {
    for (; sent < 100; sent++) await publisher.send({ name: "n".repeat(1000) });
  })();
  await until(() => sent > 3);
  const exit = once(command, "exit");
  command.kill("SIGKILL");
  await exit;
  await sending;
});

test("what is too large, and where nothing can be", TIMEOUT, async (t) => {
  const address = `shm:${folder(t)}/p`;
  await using publisher = await Publisher.bind(address, Record, { ringBytes: 1 << 14 });
  const quarter = 1 << 12;
  for (const bytes of [1 << 20, quarter, quarter - 88]) {
    const refused = await errorOf(publisher.send({ body: { bytes: new Uint8Array(bytes) } }));
    assert.ok(refused instanceof LimitError, `${bytes}`);
    assert.match(refused.limit, /ringBytes/);
  }
  await publisher.send({ body: { bytes: new Uint8Array(quarter - 96) } });
  await assert.rejects(Publisher.bind("unix:/tmp/p", Record), AddressError);
  await assert.rejects(Subscriber.connect("tcp:127.0.0.1:1", Record, "block"), AddressError);
  await assert.rejects(Subscriber.connect(`${address}-nobody`, Record, "block"), Unreachable);
  await assert.rejects(Subscriber.connect(address, Record, "nonsense" as "block"), /block, lose-oldest/);
  await assert.rejects(Publisher.bind(`${address}2`, Record, { ringBytes: 5000 }), /power of two/);
});
