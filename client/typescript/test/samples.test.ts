/** The samples, as a user runs them, with the programs of the repository at the other end. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { DIST, folder, lineOf, outputOf, program, Shipmated, start } from "./harness.js";

const TIMEOUT = { timeout: 60_000 };
const sample = (name: string, ...args: string[]) => [`${DIST}samples/${name}.js`, ...args];

test("arith", TIMEOUT, async (t) => {
  const server = await Shipmated.start(t, "tcp:127.0.0.1:0", "arith");
  const { lines } = await outputOf(start(t, process.execPath, sample("arith", server.address)));
  assert.deepEqual(lines, ["6 * 7 = 42", "22 / 7 = 3, remainder 1", "1 / 0 cannot be done"]);
  await server.kill();
  const alone = start(t, process.execPath, sample("arith", server.address));
  assert.equal((await outputOf(alone)).code, 1);
  assert.match(alone.said(), /start a server first: nobody answers at tcp:/);
});

test("callback", TIMEOUT, async (t) => {
  const server = await Shipmated.start(t, `unix:${folder(t)}/ship.sock`, "calculator");
  const { lines } = await outputOf(start(t, process.execPath, sample("callback", server.address)));
  assert.deepEqual(lines, ["the server asks for 2 to the power of 9", "2 ^ (4 + 5) = 512"]);
});

test("serve_arith, called by the command line", TIMEOUT, async (t) => {
  const server = start(t, process.execPath, sample("serve_arith", "tcp:127.0.0.1:0"));
  const address = await lineOf(server.stdout, /^listening at (.*)/);
  const run = (...args: string[]) => outputOf(start(t, program("shipmate"), ["arith", ...args, "--at", address]));
  assert.deepEqual((await run("multiply", "6", "7")).lines, ["42"]);
  assert.deepEqual((await run("divide", "22", "7")).lines, ["3 1"]);
  assert.notEqual((await run("divide", "1", "0")).code, 0);
  server.kill("SIGTERM");
  const [code] = await once(server, "exit");
  assert.equal(code, 0);
});

test("records to the command line", TIMEOUT, async (t) => {
  const receiver = start(t, program("shipmate"), ["recv", "tcp:127.0.0.1:0"]);
  const output = outputOf(receiver);
  const address = await lineOf(receiver.stderr, /listening at (.*)/);
  const sender = await outputOf(start(t, process.execPath, sample("records", "send", address)));
  assert.equal(sender.code, 0);
  const records = (await output).lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    records.map(({ value }) => value),
    [0, 1, 2],
  );
  assert.deepEqual(records[2], {
    name: "buoy 7",
    value: 2,
    tags: ["sea", "north"],
    position: { latitude: 54.5, longitude: 9.9 },
    readings: [{ sensor: "wind", timeMillis: 1_700_007_200_000, values: [7.5, 8.25] }],
    body: { text: "calm" },
  });
});

test("records from the command line", TIMEOUT, async (t) => {
  const receiver = start(t, process.execPath, sample("records", "recv", `unix:${folder(t)}/records`));
  const output = outputOf(receiver);
  const address = await lineOf(receiver.stderr, /listening at (.*)/);
  const sender = start(t, program("shipmate"), ["send", address]);
  sender.stdin.end('{"name": "depth", "value": -42, "tags": ["a", "b"], "body": {"text": "deep"}}\n{}\n');
  assert.equal((await outputOf(sender)).code, 0);
  const expected = ["depth = -42 (deep); tags: a, b; readings: 0", " = 0; tags: ; readings: 0"];
  assert.deepEqual(await output, { lines: expected, code: 0 });
});
