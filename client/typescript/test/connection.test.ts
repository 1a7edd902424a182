/** Connections to a real server: lost, made again, and nothing left over. */

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { Connector, connect, Deadline, Disconnected, Unreachable } from "shipmate";
import { Conformance } from "../samples/schema/conformance.js";
import { folder, Shipmated, TRANSPORTS, until } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };

for (const [transport, listen] of TRANSPORTS) {
  test(`a server that dies: every call fails at once (${transport})`, TIMEOUT, async (t) => {
    const shipmated = await Shipmated.start(t, listen(t), "conformance");
    await using connection = await connect(shipmated.address);
    const server = connection.bootstrap(Conformance);
    const calls = Array.from({ length: 100 }, () => server.hang());
    const pipelined = server.node().node.next().node;
    await until(async () => (await server.hanging()).waiting === 100);
    await shipmated.kill();
    for (const call of [...calls, pipelined.depth(), server.hang()]) await assert.rejects(call, Disconnected);
    assert.ok((await connection.closed) instanceof Disconnected);
    assert.throws(() => connection.bootstrap(Conformance), Disconnected);
  });
}

test("a deadline ends the server's work", TIMEOUT, async (t) => {
  const shipmated = await Shipmated.start(t, "tcp:127.0.0.1:0", "conformance");
  await using connection = await connect(shipmated.address);
  const server = connection.bootstrap(Conformance);
  const call = server.hang({}, { deadlineMillis: 200 });
  await until(async () => (await server.hanging()).waiting === 1);
  await assert.rejects(call, Deadline);
  await until(async () => {
    const { waiting, cancelled } = await server.hanging();
    return waiting === 0 && cancelled === 1;
  });
});

test("a connector connects again, once for all who ask, and gives up when it is told to", TIMEOUT, async (t) => {
  const shipmated = await Shipmated.start(t, `unix:${folder(t)}/ship.sock`, "conformance");
  const connector = new Connector(shipmated.address, { attempts: 100, firstMillis: 1, maxMillis: 50 });
  const first = await connector.connection();
  assert.equal(await connector.connection(), first);
  await shipmated.kill();
  await first.closed;
  const again = Promise.all([connector.connection(), connector.connection()]);
  await shipmated.start();
  const [one, other] = await again;
  assert.notEqual(one, first);
  assert.equal(one, other);
  await one.bootstrap(Conformance).hanging();
  await connector.close();

  const nobody = new Connector(`unix:${folder(t)}/nobody`, { attempts: 3, firstMillis: 1 });
  await assert.rejects(nobody.connection(), Unreachable);
  await assert.rejects(nobody.connection(), Unreachable);
});

test("no descriptors are left over", TIMEOUT, async (t) => {
  const shipmated = await Shipmated.start(t, `unix:${folder(t)}/ship.sock`, "conformance");
  const open = () => readdirSync("/proc/self/fd").length;
  const round = async () => {
    const connection = await connect(shipmated.address);
    await connection.bootstrap(Conformance).newCounter().counter.read();
    await connection.close();
    await connect(`${shipmated.address}-nobody`).catch(() => {});
  };
  await round();
  const before = open();
  for (let count = 0; count < 100; count++) await round();
  assert.equal(open(), before);
});
