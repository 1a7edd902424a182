/** What a call gives: results, later, and before they are there the capabilities in them. */

import { PointerType, Struct, utils } from "../serial.js";
import { BrokenCapability, type Capability, capabilityAt, QueuedCapability } from "./capability.js";
import type { Payload } from "./request.js";

/** Where in the results a capability is: the numbers of the pointer fields that lead to it. */
export type Path = readonly number[];

/** A promised capability, which is told in the end what it is. */
interface Promised {
  readonly capability: Capability;
  readonly path: Path;
  resolve(target: Capability): void;
}

/** The answer to one call. It is settled once: with results, or with an error. */
export abstract class Answer {
  /** Never an unhandled rejection: who only pipelines on a call does not look at its results. */
  readonly results: Promise<Payload>;
  #settle!: { resolve: (payload: Payload) => void; reject: (error: Error) => void };
  #outcome: Payload | Error | Answer | undefined;
  #promised = new Map<string, Promised>();

  constructor() {
    this.results = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.results.catch(() => {});
  }

  get isSettled(): boolean {
    return this.#outcome !== undefined && !(this.#outcome instanceof Answer);
  }

  fulfil(payload: Payload): void {
    if (this.isSettled) return;
    this.#outcome = payload;
    this.#resolvePromised((path) => capabilityIn(payload, path));
    this.#settle.resolve(payload);
  }

  fail(error: Error): void {
    if (this.isSettled) return;
    this.#outcome = error;
    this.#resolvePromised(() => new BrokenCapability(error));
    this.#settle.reject(error);
  }

  /** Becomes what another call gives. */
  follow(answer: Answer): void {
    this.#outcome = answer;
    this.#resolvePromised((path) => answer.pipelined(path));
    answer.results.then(
      (payload) => this.fulfil(payload),
      (error) => this.fail(error),
    );
  }

  /** The call is not wanted any more; its promise fails with `reason`. */
  cancel(reason: Error): void {
    if (this.isSettled) return;
    const following = this.#outcome;
    this.fail(reason);
    if (following instanceof Answer) following.cancel(reason);
    this.cancelled();
  }

  /** The capability at a place in the results, which may be called before they are there. */
  pipelined(path: Path): Capability {
    const outcome = this.#outcome;
    if (outcome instanceof Answer) return outcome.pipelined(path);
    if (outcome instanceof Error) return new BrokenCapability(outcome);
    if (outcome !== undefined) return capabilityIn(outcome, path);
    const key = path.join();
    let promised = this.#promised.get(key);
    if (promised === undefined) {
      const capability = this.promise(path);
      promised = { capability, path, resolve: (target) => capability.resolve(target) };
      this.#promised.set(key, promised);
    }
    return promised.capability;
  }

  /** A capability to call until the results are there. */
  protected promise(_path: Path): Capability & { resolve(target: Capability): void } {
    return new QueuedCapability();
  }

  /** Stops the work. */
  protected cancelled(): void {}

  #resolvePromised(target: (path: Path) => Capability): void {
    for (const promised of this.#promised.values()) promised.resolve(target(promised.path));
    this.#promised.clear();
  }
}

/** The answer to a call that could not be made yet. */
export class QueuedAnswer extends Answer {}

export class FailedAnswer extends Answer {
  constructor(error: Error) {
    super();
    this.fail(error);
  }
}

function capabilityIn(payload: Payload, path: Path): Capability {
  let pointer = payload.content;
  try {
    for (const field of path) {
      utils.validate(PointerType.STRUCT, pointer);
      pointer = utils.getPointer(field, new Struct(pointer.segment, pointer.byteOffset, pointer._capnp.depthLimit));
    }
    return capabilityAt(pointer);
  } catch (error) {
    return new BrokenCapability(new Error("the results have no capability there", { cause: error }));
  }
}
