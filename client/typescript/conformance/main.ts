/**
 * `node dist/conformance/main.js ADDRESS [--restart]`: every feature that a client in any language must have, tried
 * at `shipmated --listen ADDRESS=conformance`. The steps are the same in every language, and a file has each group.
 */

import { parseArgs } from "node:util";
import { connect } from "shipmate";
import { Conformance } from "../samples/schema/conformance.js";
import * as capabilities from "./capabilities.js";
import * as evolution from "./evolution.js";
import * as failures from "./failures.js";
import { restart } from "./restart.js";
import * as sizes from "./sizes.js";
import * as streams from "./streams.js";
import * as values from "./values.js";

const STEPS: [string, (server: Conformance) => Promise<void>][] = [
  ["primitives", values.primitives],
  ["text", values.text],
  ["data", values.data],
  ["lists", values.lists],
  ["unions", values.unions],
  ["defaults", values.defaults],
  ["future-enum", evolution.futureEnum],
  ["evolution", evolution.evolution],
  ["multi-segment", sizes.multiSegment],
  ["large", sizes.large],
  ["capability", capabilities.capability],
  ["identity", capabilities.identity],
  ["callback", capabilities.callback],
  ["reentrant", capabilities.reentrant],
  ["pipelining", capabilities.pipelining],
  ["out-of-order", capabilities.outOfOrder],
  ["stream-up", streams.up],
  ["stream-down", streams.down],
  ["cancel", failures.cancel],
  ["typed-error", failures.typedError],
  ["error-kinds", failures.errorKinds],
  ["deadline", failures.deadline],
  ["many", failures.many],
];

/** The longest that a step may take: a limit for hanging, not for being slow. */
const STEP_MILLIS_MAX = 60_000;

/** Runs all steps. Gives the exit code. */
async function main(): Promise<number> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { restart: { type: "boolean" } } });
  const [address] = positionals;
  if (address === undefined) {
    console.error("Usage: conformance ADDRESS [--restart]");
    return 2;
  }
  const connection = await connect(address).catch((error: Error) => console.error(error.message));
  if (connection === undefined) return 2;

  const server = connection.bootstrap(Conformance);
  let failed = 0;
  for (const [name, step] of STEPS) failed += await report(name, step(server));
  await connection.close();
  if (values.restart) failed += await report("restart", restart(address));
  return failed === 0 ? 0 : 1;
}

/** Says how a step went. Gives how many failed: one or none. */
async function report(name: string, step: Promise<void>): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${STEP_MILLIS_MAX} ms`)), STEP_MILLIS_MAX);
  });
  try {
    await Promise.race([step, tooLate]);
    console.log(`ok ${name}`);
    return 0;
  } catch (error) {
    console.log(`FAILED ${name}: ${String(error instanceof Error ? error.message : error).replaceAll("\n", " ")}`);
    return 1;
  } finally {
    clearTimeout(timer);
  }
}

process.exitCode = await main();
