/** Calls to the server at $ADDRESS: `../test` starts one and runs this. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Unreachable } from "shipmate";
import { greet } from "./greet.js";

test("the server greets by name", async () => {
  const address = process.env.ADDRESS;
  assert(address !== undefined, "ADDRESS says where the server is");
  assert.equal(await greet(address, "Ada"), "Hello, Ada!");
});

test("without a server the error says so", async () => {
  await assert.rejects(greet("unix:/nowhere/greeter.sock", "Ada"), Unreachable);
});
