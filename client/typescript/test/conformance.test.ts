/** The steps that every language takes, with a real restart in the end. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { DIST, folder, library, outputOf, Shipmated, start, TRANSPORTS } from "./harness.js";

const MAIN = `${DIST}conformance/main.js`;

/** The names of the steps, from the table that all languages share. */
function stepsOfTheContract(): string[] {
  const contract = readFileSync(`${DIST}../../README.md`, "utf8").split("| step |")[1] ?? "";
  return [...contract.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name ?? "");
}

const LISTEN: typeof TRANSPORTS = [
  ...TRANSPORTS,
  // Through libshipmate.
  ["unix, abstract", () => `unix:@shipmate-test-${process.pid}`],
  ["pipe", (t) => `pipe:${folder(t)}/ship.pipe`],
  ["shm", (t) => `shm:${folder(t)}/ship.shm`],
];

for (const [transport, listen] of LISTEN) {
  test(`every step over ${transport}`, { timeout: 120_000 }, async (t) => {
    const server = await Shipmated.start(t, listen(t), "conformance");
    const client = start(t, process.execPath, [MAIN, server.address, "--restart"], {
      SHIPMATE_LIBRARY: library(),
    });
    const seen: string[] = [];
    for await (const line of createInterface({ input: client.stdout })) {
      if (line === "restart now") {
        await server.kill();
        await server.start();
        client.stdin.write("done\n");
      } else {
        seen.push(line);
      }
    }
    assert.deepEqual(
      seen,
      stepsOfTheContract().map((name) => `ok ${name}`),
    );
  });
}

test("a client that cannot fail a step proves nothing", { timeout: 120_000 }, async (t) => {
  const server = await Shipmated.start(t, "tcp:127.0.0.1:0", "arith");
  const { lines, code } = await outputOf(start(t, process.execPath, [MAIN, server.address]));
  assert.equal(code, 1);
  assert.equal(lines.length, stepsOfTheContract().length - 1);
  for (const line of lines) assert.match(line, /^FAILED [a-z-]+: ./);
});

test("nobody there", { timeout: 60_000 }, async (t) => {
  const { lines, code } = await outputOf(start(t, process.execPath, [MAIN, `unix:${folder(t)}/nobody`]));
  assert.deepEqual({ lines, code }, { lines: [], code: 2 });
});
