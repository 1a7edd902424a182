import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressError, connect, Unreachable } from "shipmate";
import { formatAddress, parseAddress } from "../src/address.js";
import { folder, library } from "./harness.js";

test("parsing and formatting are each other's inverse", () => {
  for (const text of [
    "tcp:localhost:7700",
    "tcp:[::1]:0",
    "unix:/run/ship.sock",
    "unix:@name",
    "pipe:./p",
    "shm:/run/ship",
    "auto:/run/ship",
  ]) {
    assert.equal(formatAddress(parseAddress(text)), text);
  }
});

test("a wrong address shows the right form", async () => {
  for (const [text, expected] of [
    ["ship", /tcp:HOST:PORT, unix:\/path/],
    ["http://ship", /tcp:HOST:PORT, unix:\/path/],
    ["tcp:host", /tcp:127\.0\.0\.1:7700/],
    ["tcp:host:65536", /tcp:127\.0\.0\.1:7700/],
    ["tcp:::1:80", /tcp:\[::1\]:7700/],
    ["unix:", /unix:\/path/],
    ["unix:a\0b", /NUL/],
  ] as const) {
    const refused = await connect(text).catch((error: unknown) => error);
    assert.ok(refused instanceof AddressError, text);
    assert.match(refused.expected, expected);
  }
});

test("nobody answers", async (t) => {
  const path = `unix:${folder(t)}/nobody`;
  for (const address of [path, "tcp:127.0.0.1:1"]) {
    const refused = await connect(address).catch((error: unknown) => error);
    assert.ok(refused instanceof Unreachable);
    assert.equal(refused.address, address);
  }
});

test("without libshipmate the error says how to get it", async (t) => {
  const { SHIPMATE_LIBRARY } = process.env;
  process.env.SHIPMATE_LIBRARY = "/no/such/library.so";
  t.after(() => {
    if (SHIPMATE_LIBRARY === undefined) delete process.env.SHIPMATE_LIBRARY;
    else process.env.SHIPMATE_LIBRARY = SHIPMATE_LIBRARY;
  });
  await assert.rejects(connect(`shm:${folder(t)}/ship`), /SHIPMATE_LIBRARY.*npm install koffi/);
});

test("libshipmate's errors are ours", async (t) => {
  const before = process.env.SHIPMATE_LIBRARY;
  process.env.SHIPMATE_LIBRARY = library();
  t.after(() => {
    if (before === undefined) delete process.env.SHIPMATE_LIBRARY;
    else process.env.SHIPMATE_LIBRARY = before;
  });
  await assert.rejects(connect(`shm:${folder(t)}/nobody`), Unreachable);
  await assert.rejects(connect(`unix:@${"too long".repeat(20)}`), AddressError);
});
