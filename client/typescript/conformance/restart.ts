/** A server that is killed and started again. */

import { createInterface } from "node:readline";
import { Connector, Disconnected } from "shipmate";
import { Conformance } from "../samples/schema/conformance.js";
import { failsWith, is, Mismatch } from "./expect.js";
import { untilHanging } from "./failures.js";

export async function restart(address: string): Promise<void> {
  const connector = new Connector(address, { attempts: 20 });
  const server = (await connector.connection()).bootstrap(Conformance);
  const inFlight = server.hang();
  await untilHanging(server, 1, 0);

  console.log("restart now");
  await aLine();

  await failsWith("the call in flight", inFlight, Disconnected);
  await failsWith("the next call", readNewCounter(server), Disconnected);

  const again = (await connector.connection()).bootstrap(Conformance);
  is("a call of a new connection", await readNewCounter(again), 5n);
  await connector.close();
}

async function aLine(): Promise<void> {
  try {
    for await (const _ of createInterface({ input: process.stdin })) return;
  } finally {
    // Open, it would keep the program from ending.
    process.stdin.destroy();
  }
  throw new Mismatch("a line on standard input was expected, and it ended");
}

async function readNewCounter(server: Conformance): Promise<bigint> {
  return (await server.newCounter({ start: 5n }).counter.read()).value;
}
