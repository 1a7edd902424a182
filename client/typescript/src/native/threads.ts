/**
 * Threads for the functions of the library that wait, so that Node's event loop, and its pool for files and names,
 * go on. There are as many as functions that wait at once, and a few for the next.
 */

import { Worker } from "node:worker_threads";
import { type Call, Library, type Outcome } from "./library.js";

export interface Job {
  /** One after the other, and the rest too when one fails: the outcome is that of the first that fails, or of the last. */
  readonly calls: readonly Call[];
  /**
   * Each takes a timeout as its last argument, and is repeated until what it waits for is there, or this is not 0
   * any more.
   */
  readonly stop?: Int32Array;
}

/** So many are kept while there is nothing for them to do. */
const IDLE_MAX = 4;

let shared: Promise<Threads> | undefined;

/** Those of this program. */
export function threads(): Promise<Threads> {
  shared ??= Library.get().then((library) => new Threads(library));
  shared.catch(() => {
    shared = undefined;
  });
  return shared;
}

export class Threads {
  readonly #idle: Worker[] = [];
  /** Functions under way that may take as long as they like. */
  #endless = 0;

  constructor(readonly library: Library) {
    process.on("exit", (code) => {
      // Node waits for threads, and these for a peer that may never read; `process.exit()` is to end the program.
      if (this.#endless > 0) library.exit(code);
    });
  }

  /**
   * Calls functions on another thread, one after the other. `kept` is memory that they read, which stays where it is
   * until then.
   */
  async call(calls: readonly Call[], kept?: unknown): Promise<Outcome> {
    this.#endless++;
    try {
      return await this.#run({ calls }, kept);
    } finally {
      this.#endless--;
    }
  }

  /** Calls a function that takes a timeout, until it has what it waits for or `stop` is not 0 any more. */
  wait(call: Call, stop: Int32Array): Promise<Outcome> {
    return this.#run({ calls: [call], stop });
  }

  #run(job: Job, kept?: unknown): Promise<Outcome> {
    const thread = this.#idle.pop() ?? this.#start();
    thread.ref();
    return new Promise((resolve, reject) => {
      const done = (outcome: Outcome) => {
        thread.off("error", failed);
        void kept;
        this.#rest(thread);
        resolve(outcome);
      };
      const failed = (error: Error) => {
        thread.off("message", done);
        reject(error);
      };
      thread.once("message", done);
      thread.once("error", failed);
      thread.postMessage(job);
    });
  }

  #start(): Worker {
    return new Worker(new URL("./thread.js", import.meta.url), { workerData: this.library.path, execArgv: [] });
  }

  #rest(thread: Worker): void {
    thread.unref();
    if (this.#idle.length < IDLE_MAX) this.#idle.push(thread);
    else void thread.terminate();
  }
}
