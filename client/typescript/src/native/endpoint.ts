/** Objects of the library, each with a handle that is used by one at a time, and not after it was closed. */

import { Disconnected } from "../errors.js";
import { Turns, Waiting, type WaitOptions } from "../wait.js";
import {
  type Address,
  type Argument,
  type Call,
  CODE,
  errorOf,
  type FunctionName,
  type Library,
  type Outcome,
} from "./library.js";
import { type Threads, threads } from "./threads.js";

export class Endpoint {
  readonly library: Library;
  readonly #turns = new Turns();
  readonly #stops = new Set<(reason: Disconnected) => void>();
  #over: Disconnected | undefined;

  protected constructor(
    protected readonly threads: Threads,
    readonly handle: Address,
    /** For its errors. */
    readonly address: string,
  ) {
    this.library = threads.library;
  }

  /** Opens one by a function that gives a handle. */
  static async opened(name: FunctionName, address: string, ...args: Argument[]): Promise<[Threads, Address]> {
    const all = await threads();
    const { given, error } = await all.call([[name, address, ...args]]);
    if (error !== undefined) throw errorOf(error, address);
    return [all, given[0] as Address];
  }

  /** Opens one that only sends. */
  static async open(name: FunctionName, address: string, ...args: Argument[]): Promise<Endpoint> {
    return new Endpoint(...(await Endpoint.opened(name, address, ...args)), address);
  }

  /** Calls a function that does not wait. */
  async here(...call: Call): Promise<Outcome> {
    return this.#checked(await this.#turn(() => this.library.call(...call)));
  }

  /** Calls functions that may wait; the first error is thrown. `kept` is memory that they read. */
  async elsewhere(calls: readonly Call[], kept: unknown): Promise<Outcome> {
    return this.#checked(await this.#turn(() => this.threads.call(calls, kept)));
  }

  /**
   * Waits by a function that takes a timeout as its last argument. `what` does not come if the time is over.
   * `missed` gives what came when nobody waited for it, and `miss` takes that.
   */
  wait<T>(
    options: WaitOptions,
    what: string,
    call: Call,
    read: (outcome: Outcome) => T,
    missed: () => { readonly value: T } | undefined = () => undefined,
    miss: (value: T) => void = () => {},
  ): Promise<T> {
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const onGivenUp = () => Atomics.store(stop, 0, 1);
    const waiting = new Waiting<T>(options, what, onGivenUp);
    const end = (reason: Disconnected) => {
      onGivenUp();
      waiting.reject(reason);
    };
    this.#stops.add(end);
    const look = async () => {
      if (waiting.isOver) return;
      const earlier = missed();
      if (earlier !== undefined) {
        waiting.resolve(earlier.value);
        return;
      }
      let outcome = this.library.call(...call, 0);
      if (outcome.error?.code === CODE.DEADLINE) outcome = await this.threads.wait(call, stop);
      // It was given up.
      if (outcome.error?.code === CODE.DEADLINE) return;
      const value = read(this.#checked(outcome));
      if (!waiting.resolve(value)) miss(value);
    };
    this.#turn(look)
      .catch((error) => waiting.reject(error))
      .finally(() => this.#stops.delete(end));
    return waiting.promise;
  }

  /** Why it cannot be used any more. */
  get over(): Disconnected | undefined {
    return this.#over;
  }

  /** Ends the use of it by a function that may wait. */
  async finish(name: FunctionName, reason: string): Promise<void> {
    const outcome = await this.close(reason, () => this.threads.call([[name, this.handle]]));
    if (outcome !== undefined) this.#checked(outcome);
  }

  /** Ends the use of it, by this: now, if nothing is under way, and otherwise after that. */
  close<T>(reason: string, work: () => T | Promise<T>): Promise<T | undefined> {
    if (this.#over !== undefined) return Promise.resolve(undefined);
    this.#over = new Disconnected(reason);
    for (const stop of this.#stops) stop(this.#over);
    return this.#turns.take(work);
  }

  #turn<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#turns.take(() => {
      if (this.#over !== undefined) throw this.#over;
      return work();
    });
  }

  #checked(outcome: Outcome): Outcome {
    if (outcome.error !== undefined) throw errorOf(outcome.error, this.address);
    return outcome;
  }
}
