/** What a thread of `threads.ts` does: it calls one function of the library after the other. */

import { parentPort, workerData } from "node:worker_threads";
import { type Call, CODE, Library, type Outcome } from "./library.js";
import type { Job } from "./threads.js";

/** How often a thread that waits looks whether somebody still wants what it waits for. */
const LOOK_MILLIS = 50;

const library = await Library.load(workerData as string);

parentPort?.on("message", (job: Job) => parentPort?.postMessage(work(job)));

function work({ calls, stop }: Job): Outcome {
  const outcomes = calls.map((call) => (stop === undefined ? library.call(...call) : wait(call, stop)));
  return outcomes.find(({ error }) => error !== undefined) ?? (outcomes.at(-1) as Outcome);
}

function wait(call: Call, stop: Int32Array): Outcome {
  for (;;) {
    const outcome = library.call(...call, LOOK_MILLIS);
    if (outcome.error?.code !== CODE.DEADLINE || Atomics.load(stop, 0) !== 0) return outcome;
  }
}
