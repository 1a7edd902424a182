/** What a thread of `threads.ts` does: it calls one function of the library after the other. */

import { parentPort, workerData } from "node:worker_threads";
import { CODE, Library, type Outcome } from "./library.js";
import type { Job } from "./threads.js";

/** How often a thread that waits looks whether somebody still wants what it waits for. */
const LOOK_MILLIS = 50;

const library = await Library.load(workerData as string);

parentPort?.on("message", (job: Job) => parentPort?.postMessage(work(job)));

function work({ name, args, stop }: Job): Outcome {
  if (stop === undefined) return library.call(name, args);
  for (;;) {
    const outcome = library.call(name, [...args, LOOK_MILLIS]);
    if (outcome.error?.code !== CODE.DEADLINE || Atomics.load(stop, 0) !== 0) return outcome;
  }
}
